//! bash: the script sourced, and Tab at a terminal.

use crate::home::Home;
use crate::script;
use crate::terminal::Terminal;

/// A bash that has the script, as `~/.bashrc` would load it.
fn bash(home: &Home) -> Terminal {
    let mut command = home.command("bash");
    command.args(["--norc", "--noprofile", "-i"]).env("PS1", "> ");
    let setup = format!(
        "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; source '{}'",
        script("sipreg.bash").display()
    );
    Terminal::start(&command, &setup)
}

/// Commands, options, closed lists, files with what is special in their names, accounts.
#[test]
fn tab_completes_in_bash() {
    let home = Home::new();
    let mut bash = bash(&home);
    for (typed, completed) in [
        ("sipreg reg", "sipreg register "),
        ("sipreg comp", "sipreg completions "),
        ("sipreg register --reg", "sipreg register --registrar "),
        ("sipreg list --transport tc", "sipreg list --transport tcp "),
        ("sipreg list --color=n", "sipreg list --color=never "),
        ("sipreg list --min-algorithm M", "sipreg list --min-algorithm MD5 "),
        ("sipreg completions el", "sipreg completions elvish "),
        ("sipreg list --password-file passwo", "sipreg list --password-file password "),
        ("sipreg list --password-file=passwo", "sipreg list --password-file=password "),
        ("sipreg list --password-file pass\\ w", "sipreg list --password-file pass\\ word "),
        ("sipreg list --password-file \"pass w", "sipreg list --password-file \"pass word\" "),
        ("sipreg list --password-file ~/s", "sipreg list --password-file ~/secret "),
        ("sipreg list --state-dir pass", "sipreg list --state-dir passdir/"),
        ("sipreg list off", "sipreg list office "),
        ("sipreg unregister --json tra", "sipreg unregister --json travel "),
        ("sipreg list --config other.toml sp", "sipreg list --config other.toml spare "),
        ("sipreg list --config=other.toml sp", "sipreg list --config=other.toml spare "),
    ] {
        bash.tab(typed, completed);
    }
    let shown = bash.tab("sipreg list --transport ", "tcp");
    assert!(shown.contains("udp"), "{shown}");
}

/// Nothing is offered where a secret goes, not even file names.
#[test]
fn bash_offers_no_secrets() {
    let home = Home::new();
    for (option, offered) in [("--password", 0), ("--ha1", 0), ("--password-file", 5)] {
        let run = format!(
            "source '{}'; COMP_WORDS=(sipreg list {option} ''); COMP_CWORD=3; COMP_TYPE=9; \
             _clap_complete_sipreg sipreg '' {option}; echo ${{#COMPREPLY[@]}}",
            script("sipreg.bash").display()
        );
        let output = home.command("bash").args(["--norc", "-c", &run]).output().unwrap();
        let count = String::from_utf8(output.stdout).unwrap();
        assert_eq!(count.trim(), offered.to_string(), "{option}");
    }
}
