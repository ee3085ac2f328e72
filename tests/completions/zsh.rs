//! zsh: the script found in `fpath`, and the script sourced; Tab at a terminal.

use std::fs;

use crate::home::Home;
use crate::script;
use crate::terminal::Terminal;

fn zsh(home: &Home, load: &str) -> Terminal {
    let mut command = home.command("zsh");
    command.args(["-f", "-i"]).env("PS1", "> ");
    let setup = format!("unsetopt zle_bracketed_paste prompt_cr prompt_sp; {load}");
    Terminal::start(&command, &setup)
}

/// As packages install it. The first Tab has to work already.
#[test]
fn tab_completes_in_zsh() {
    let home = Home::new();
    fs::create_dir(home.path("functions")).unwrap();
    fs::copy(script("_sipreg"), home.path("functions/_sipreg")).unwrap();
    let load = format!(
        "fpath=('{}' $fpath); autoload -Uz compinit; compinit -u -D",
        home.path("functions").display()
    );
    let mut zsh = zsh(&home, &load);
    for (typed, completed) in [
        ("sipreg reg", "sipreg register "),
        ("sipreg comp", "sipreg completions "),
        ("sipreg register --reg", "sipreg register --registrar "),
        ("sipreg list --transport tc", "sipreg list --transport tcp "),
        ("sipreg list --color=n", "sipreg list --color=never "),
        ("sipreg list --min-algorithm M", "sipreg list --min-algorithm MD5 "),
        ("sipreg list --password-file passwo", "sipreg list --password-file password "),
        ("sipreg list --password-file pass\\ w", "sipreg list --password-file pass\\ word "),
        ("sipreg list --password-file \"pass w", "sipreg list --password-file \"pass word\" "),
        ("sipreg list --password-file ~/s", "sipreg list --password-file ~/secret "),
        ("sipreg list --state-dir pass", "sipreg list --state-dir passdir/"),
        ("sipreg list off", "sipreg list office "),
        ("sipreg list --config other.toml sp", "sipreg list --config other.toml spare "),
    ] {
        zsh.tab(typed, completed);
    }
}

/// As people do in `~/.zshrc`; and what is offered comes with its description.
#[test]
fn zsh_shows_descriptions() {
    let home = Home::new();
    let load = format!("autoload -Uz compinit; compinit -u -D; source '{}'", script("_sipreg").display());
    let mut zsh = zsh(&home, &load);
    zsh.tab("sipreg list --ret", "sipreg list --retry-for ");
    let shown = zsh.tab("sipreg unregister --a", "--all");
    assert!(shown.contains("Remove every binding, other devices' too"), "{shown}");
}
