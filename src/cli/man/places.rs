//! Files and environment variables, and which commands they matter to.

use clap::Command;

/// A name and what it is.
pub type Entry = (&'static str, &'static str);

/// Whom something matters to, besides the program's page, which has all.
enum To {
    Everybody,
    /// Commands with this argument.
    Argument(&'static str),
    /// This command.
    Command(&'static str),
}

const FILES: &[(&str, &[To], &str)] = &[
    (
        "$XDG_CONFIG_HOME/sipreg/config.toml",
        &[To::Argument("config"), To::Command("completions")],
        "The accounts. Without the variable ~/.config/sipreg/config.toml. Another file with --config.",
    ),
    (
        "$XDG_STATE_HOME/sipreg/",
        &[To::Argument("state_dir")],
        "What is remembered between runs: Call-ID, CSeq and contacts for each address and registrar; no secrets. \
         Without the variable ~/.local/state/sipreg/. Another place with --state-dir; none with --stateless.",
    ),
    (
        "FILE of --users",
        &[To::Argument("users")],
        "The users, a line for each: user:realm:HA1:[SHA-256]:[SHA-512-256]:[may-register]. Whoever reads it can \
         register as its users.",
    ),
    (
        "/usr/share/bash-completion/completions/sipreg",
        &[To::Command("completions")],
        "The place for the bash script if everybody on a Debian system is to have it.",
    ),
    ("/usr/share/zsh/vendor-completions/_sipreg", &[To::Command("completions")], "The same for zsh."),
    ("/usr/share/fish/vendor_completions.d/sipreg.fish", &[To::Command("completions")], "The same for fish."),
    (
        "~/.local/share/man/man1/",
        &[To::Command("man")],
        "A directory in which man looks for pages if ~/.local/bin is in PATH.",
    ),
];

const ENVIRONMENT: &[(&str, &[To], &str)] = &[
    (
        "SIPREG_PASSWORD",
        &[To::Argument("password"), To::Argument("add_user")],
        "The password, unless it is empty. It counts when the command line gives no secret.",
    ),
    (
        "XDG_CONFIG_HOME, HOME",
        &[To::Argument("config"), To::Command("completions")],
        "Say where the configuration file is. XDG_CONFIG_HOME has to be an absolute path.",
    ),
    (
        "XDG_STATE_HOME, HOME",
        &[To::Argument("state_dir")],
        "Say where the state directory is. XDG_STATE_HOME has to be an absolute path.",
    ),
    (
        "COMPLETE",
        &[To::Command("completions")],
        "Set by the completion scripts to the name of their shell: sipreg then answers with candidates and does \
         nothing else. Don't export it.",
    ),
    (
        "TZ",
        &[To::Argument("json")],
        "The zone of the times that people read; without it that of the system. JSON has UTC.",
    ),
    ("NO_COLOR", &[To::Everybody], "If it is not empty, there are no colours."),
    (
        "CLICOLOR_FORCE",
        &[To::Everybody],
        "If it is neither empty nor 0, there are colours even where no terminal is.",
    ),
    ("TERM", &[To::Everybody], "With dumb there are no colours."),
];

/// "FILES" of a command's page.
pub fn files(command: &Command) -> Vec<Entry> {
    of(FILES, command)
}

/// "ENVIRONMENT" of a command's page.
pub fn environment(command: &Command) -> Vec<Entry> {
    of(ENVIRONMENT, command)
}

fn of(table: &'static [(&str, &[To], &str)], command: &Command) -> Vec<Entry> {
    let concerns = |to: &To| match to {
        To::Everybody => true,
        To::Argument(id) => command.get_arguments().any(|argument| argument.get_id() == id),
        To::Command(name) => command.get_name() == *name,
    };
    let matters = |to: &[To]| command.has_subcommands() || to.iter().any(concerns);
    table.iter().filter(|(_, to, _)| matters(to)).map(|(name, _, text)| (*name, *text)).collect()
}
