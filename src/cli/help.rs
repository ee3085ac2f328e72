//! What help and manual pages say beside the options: details, examples, exit statuses, files and variables, as data
//! of which both are made. The first line of a command stands with it in [`super::options`].

use std::fmt::Write;

use clap::Command;

/// What is said of one command.
#[derive(Clone, Copy, Debug)]
pub struct Help {
    /// The name of the command.
    pub name: &'static str,
    /// What follows the name in "Usage:"; empty: what the argument reader makes of it.
    pub usage: &'static str,
    /// What follows its first line in the long help.
    pub details: &'static str,
    /// What the examples are for, and their lines.
    pub examples: &'static [(&'static str, &'static [&'static str])],
    /// A paragraph behind the examples.
    pub note: &'static str,
    /// The command whose exit statuses it has, too.
    pub exit_as: Option<&'static str>,
    /// Exit statuses, in rising order.
    pub exit: &'static [(u8, &'static str)],
    /// What else is to be said of them.
    pub exit_note: &'static str,
    /// A paragraph at the end.
    pub remark: &'static str,
    /// What ends the short help.
    pub short_end: &'static str,
    /// What it takes besides options, for whoever gave more.
    pub takes: &'static str,
}

/// What is said of the program.
pub const ABOUT: &str = "Tells a SIP registrar where you can be reached";

/// A command of which there is nothing to say.
const PLAIN: Help = Help {
    name: "",
    usage: "",
    details: "",
    examples: &[],
    note: "",
    exit_as: None,
    exit: &[],
    exit_note: "",
    remark: "",
    short_end: "\
The variable SIPREG_PASSWORD may hold the password. --help says more, gives
examples and explains the exit status.",
    takes: "a command takes one AOR; everything else is an option. Quote values that hold spaces",
};

/// The program itself.
pub const PROGRAM: Help = Help {
    name: "sipreg",
    examples: &[(
        "",
        &[
            "sipreg register you@example.com",
            "sipreg list you@example.com",
            "sipreg unregister you@example.com",
            "sipreg register --help",
        ],
    )],
    ..PLAIN
};

/// The help of every command, in the order of the list.
pub const COMMANDS: [&Help; 10] =
    [&REGISTER, &KEEP, &LIST, &UNREGISTER, &CHECK, &SERVE, &DEMO, &EXPLAIN, &COMPLETIONS, &MAN];

impl Help {
    /// What is said of a command, by its name.
    #[must_use]
    pub fn of(name: &str) -> &'static Help {
        COMMANDS.into_iter().find(|help| help.name == name).unwrap_or(&PROGRAM)
    }

    /// Adds it to the command, which has its first line already.
    #[must_use]
    pub fn add(&self, command: Command) -> Command {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let mut command = command
            .long_about(format!("{about}.\n\n{}", self.details))
            .after_long_help(self.end())
            .max_term_width(80);
        if !self.usage.is_empty() {
            command = command.override_usage(format!("sipreg {} {}", self.name, self.usage));
        }
        if !self.short_end.is_empty() {
            command = command.after_help(self.short_end);
        }
        command
    }

    /// The end of the long help. It is made whenever the command is called, with or without `--help`: piece by piece,
    /// without copies.
    #[must_use]
    pub fn end(&self) -> String {
        let mut text = String::with_capacity(2048);
        text += "Examples:";
        for (number, (title, lines)) in self.examples.iter().enumerate() {
            if number > 0 {
                text += "\n";
            }
            if !title.is_empty() {
                text += "\n  ";
                text += title;
            }
            for line in *lines {
                text += if title.is_empty() { "\n  " } else { "\n    " };
                text += line;
            }
        }
        if !self.note.is_empty() {
            text += "\n\n";
            text += self.note;
        }
        if self.exit_as.is_some() || !self.exit.is_empty() {
            text += "\n\nExit status:";
        }
        if let Some(other) = self.exit_as {
            let and = if self.exit.is_empty() { ". " } else { ", and" };
            text.extend([" as for 'sipreg ", other, "'", and, self.exit_note]);
        }
        for (code, meaning) in self.exit {
            // Writing to a String can't fail.
            let _ = write!(text, "\n{code:>5}  {meaning}");
        }
        if !self.remark.is_empty() {
            text += "\n\n";
            text += self.remark;
        }
        text
    }

    /// All that it may end with: its own, and those of the command that it points to. The program's are everybody's.
    #[must_use]
    pub fn all_exit_statuses(&self) -> Vec<(u8, &'static str)> {
        let mut all = self.exit.to_vec();
        let others = COMMANDS
            .into_iter()
            .filter(|other| self.name == PROGRAM.name || self.exit_as == Some(other.name));
        for status in others.flat_map(|other| other.exit) {
            if !all.iter().any(|(code, _)| *code == status.0) {
                all.push(*status);
            }
        }
        all.sort_by_key(|(code, _)| *code);
        all
    }
}

/// `sipreg register`.
pub const REGISTER: Help = Help {
    name: "register",
    usage: "[OPTIONS] <AOR>",
    details: "\
AOR, the address of record, is the address that people call: sip:you@example.com, or \
you@example.com for short. The registrar of its domain is asked to send its calls to this \
device, or to each --contact. The name of an account in the configuration file stands for \
its address and options.",
    examples: &[
        (
            "Bind this device, and be asked for the password if there has to be one:",
            &["sipreg register you@example.com"],
        ),
        (
            "From a script, for half an hour, with the result as JSON:",
            &["sipreg register you@example.com --password-file ~/.sip --expires 30m --json"],
        ),
        (
            "A desk phone, through a registrar given by address:",
            &[
                "sipreg register you@example.com --registrar 192.0.2.1 \\",
                "  --contact sip:you@192.0.2.7:5060",
            ],
        ),
        (
            "Remove that binding again:",
            &["sipreg register you@example.com --contact sip:you@192.0.2.7:5060 --expires 0"],
        ),
        (
            "Over TLS all the way, with a certificate of the company's own authority:",
            &["sipreg register sips:you@example.com --tls-ca our-root.pem"],
        ),
        (
            "Look before you leap, and watch while you do:",
            &["sipreg register you@example.com --dry-run", "sipreg register you@example.com -vv"],
        ),
    ],
    note: "Durations are numbers with units, such as 90s, 1h or '1h 30m'; a bare number is\n\
        seconds.",
    exit: &[
        (0, "done: the registrar confirmed it"),
        (1, "refused by the registrar"),
        (2, "the command line is wrong; nothing was sent"),
        (3, "credentials are missing or were not accepted"),
        (4, "no final answer in time"),
        (5, "could not be reached"),
        (6, "the registrar misbehaved: it said yes and did not do it"),
        (70, "internal error (a bug)"),
        (130, "ended by SIGINT (Ctrl-C); 143 by SIGTERM"),
    ],
    ..PLAIN
};

/// `sipreg keep`.
pub const KEEP: Help = Help {
    name: "keep",
    usage: "[OPTIONS] <AOR>... [-- <COMMAND>...]",
    details: "\
Each AOR is bound, and bound again before that runs out. What fails is tried again, ever less often; \
what failed for good, such as a wrong password, is not, unless --probe says so. SIGINT (Ctrl-C) and \
SIGTERM remove the bindings; a second one ends it at once. SIGHUP reads the configuration again and binds \
anew, and SIGUSR1 says how things stand.",
    examples: &[
        ("Until Ctrl-C:", &["sipreg keep you@example.com"]),
        (
            "Two accounts of the configuration file, with events for a script:",
            &["sipreg keep work home --json"],
        ),
        ("As long as something runs:", &["sipreg keep you@example.com -- ./softphone --no-register"]),
    ],
    exit_as: Some("register"),
    exit: &[
        (0, "stopped, and the registrars confirmed that the bindings are removed"),
        (4, "stopped, and one of them did not within 4 s"),
        (130, "ended at once by a second SIGINT; 143 by SIGTERM"),
    ],
    remark: "A failure counts when every account has failed for good. With a COMMAND that was\n\
        started it ends as that does.",
    ..PLAIN
};

/// `sipreg list`.
pub const LIST: Help = Help {
    name: "list",
    usage: "[OPTIONS] <AOR>",
    details: "\
The registrar of AOR is asked where its calls go now. Nothing changes.",
    examples: &[
        ("What is bound, and for how long:", &["sipreg list you@example.com"]),
        (
            "In a script: is the desk phone there?",
            &["sipreg list you@example.com --contact sip:you@192.0.2.7:5060 --quiet"],
        ),
        ("Only the URIs:", &["sipreg list you@example.com --json | jq -r '.bindings[].uri'"]),
    ],
    exit_as: Some("register"),
    exit: &[(7, "a --contact is not bound")],
    ..PLAIN
};

/// `sipreg unregister`.
pub const UNREGISTER: Help = Help {
    name: "unregister",
    usage: "[OPTIONS] <AOR>",
    details: "\
Without --contact and --all it removes what 'sipreg register' bound from here, and \
touches no other device.",
    examples: &[
        ("After 'sipreg register you@example.com':", &["sipreg unregister you@example.com"]),
        (
            "A desk phone that is gone:",
            &["sipreg unregister you@example.com --contact sip:you@192.0.2.7:5060"],
        ),
        ("Everything, without being asked:", &["sipreg unregister you@example.com --all --yes"]),
    ],
    exit_as: Some("register"),
    exit_note: "6 also says that the registrar answered\n\
        yes, and the binding is still there.",
    ..PLAIN
};

/// What `--timeout` bounds for `sipreg check`.
pub const CHECK_TIMEOUT: &str = "\
What is bound by then is removed; steps that nobody came to are told as skipped. --patience adds to it. \
What you take to answer a question does not count";

/// What `--quiet` leaves of `sipreg check`.
pub const CHECK_QUIET: &str = "\
The exit status says how it ended, and stderr which step failed and what to do. What --json and --nagios print is \
printed all the same, and so is the warning of --tls-insecure";

/// `sipreg check`.
pub const CHECK: Help = Help {
    name: "check",
    usage: "[OPTIONS] <AOR>",
    details: "\
The whole way is gone that a call to AOR depends on: the name service, every server, TLS, the registrar, \
the password, a binding, and a request to yourself that has to arrive. Each step is told as soon as it is \
known, with what it means, what to do about it and what not to bother with. One contact is bound, for as \
short as the registrar allows, and removed; other bindings are not touched. The password is used at one \
server, and never again once it was refused.",
    examples: &[
        ("Why does it not work?", &["sipreg check you@example.com"]),
        (
            "Does a NAT forget this device within two minutes?",
            &["sipreg check you@example.com --patience 2m"],
        ),
        ("For a ticket:", &["sipreg check you@example.com --report ./ticket"]),
        ("In monitoring:", &["sipreg check you@example.com --nagios --timeout 20s"]),
        ("Only what was found:", &["sipreg check you@example.com --json | jq -r '.steps[].cause | values'"]),
    ],
    exit: &[
        (0, "nothing failed"),
        (1, "refused by the registrar"),
        (2, "the command line or the configuration file is wrong; nothing was sent"),
        (3, "credentials are missing or were not accepted"),
        (4, "no answer in time"),
        (5, "could not be reached, or who is there could not prove to be the right one"),
        (6, "the registrar misbehaved: it is none, or said yes and did not do it"),
        (7, "something else failed; --strict: there was a warning"),
        (70, "internal error (a bug)"),
        (130, "ended by SIGINT (Ctrl-C); 143 by SIGTERM. What was bound is removed"),
    ],
    exit_note: "",
    remark: "The first step that failed decides. 'sipreg explain' knows the word of each finding.",
    ..PLAIN
};

/// `sipreg serve`.
pub const SERVE: Help = Help {
    name: "serve",
    usage: "[OPTIONS]",
    details: "\
Devices that know a user's password bind themselves to that user's address. Whoever calls the address \
reaches them, at once or one after another. Bindings are kept in memory, until they run out or the \
server ends. It runs until SIGINT or SIGTERM; SIGHUP reads the users and certificates again.",
    examples: &[
        ("For yourself, without passwords, on this machine only:", &["sipreg serve --no-auth"]),
        (
            "A user, asking for the password, and a server that knows her:",
            &[
                "sipreg serve --add-user alice@munich.de --users users.txt",
                "sipreg serve --domain munich.de --users users.txt --listen udp:0.0.0.0:5060",
            ],
        ),
        (
            "Over TLS, and for browsers; cert.pem holds certificate and key:",
            &[
                "sipreg serve --users users.txt --tls-cert cert.pem --listen tls:0.0.0.0:5061",
                "sipreg serve --users users.txt --tls-cert cert.pem --listen wss:0.0.0.0:8443",
            ],
        ),
        (
            "For a script: any free port, events as JSON:",
            &["sipreg serve --no-auth --listen udp:127.0.0.1:0 --json"],
        ),
    ],
    exit: &[
        (0, "stopped by SIGINT or SIGTERM, and everything answered"),
        (2, "the command line or one of its files is wrong, or it can't listen there"),
        (70, "internal error (a bug)"),
        (130, "SIGINT, twice (143: SIGTERM)"),
    ],
    ..PLAIN
};

/// `sipreg demo`.
pub const DEMO: Help = Help {
    name: "demo",
    usage: "[OPTIONS]",
    details: "\
A registrar of munich.de is started on a free port of the loopback interface. Werner Heisenberg \
registers two devices there with his password, looks where he is bound, takes one back and then \
all. In between he is called: both devices ring, then one after the other, and in the end none. \
Sockets, messages, digest, registrar and proxy are the real ones of 'sipreg serve' and \
'sipreg register'; each step of a device shows the command that does the same.",
    examples: &[("At a pace to read along, with whole messages:", &["sipreg demo --slow -vv"])],
    exit: &[
        (0, "all went as it should"),
        (6, "it did not (or what the step that failed would end with)"),
        (70, "internal error (a bug)"),
    ],
    ..PLAIN
};

/// `sipreg completions`.
pub const COMPLETIONS: Help = Help {
    name: "completions",
    details: "\
Commands, options, values, files and the accounts of the configuration file are completed. The \
script asks the 'sipreg' found in PATH for them whenever you press Tab, so it keeps fitting \
when your accounts change.",
    examples: &[
        ("bash, in ~/.bashrc:", &["source <(sipreg completions bash)"]),
        ("zsh, in ~/.zshrc after compinit:", &["source <(sipreg completions zsh)"]),
        (
            "fish:",
            &[
                "mkdir -p ~/.config/fish/completions",
                "sipreg completions fish > ~/.config/fish/completions/sipreg.fish",
            ],
        ),
        ("PowerShell, in $PROFILE:", &["sipreg completions powershell | Out-String | Invoke-Expression"]),
        ("elvish, in ~/.config/elvish/rc.elv:", &["eval (sipreg completions elvish | slurp)"]),
    ],
    exit: &[(0, "done"), (2, "the command line is wrong"), (70, "internal error (a bug)")],
    short_end: "",
    takes: "'completions' takes one SHELL",
    ..PLAIN
};

/// `sipreg explain`.
pub const EXPLAIN: Help = Help {
    name: "explain",
    details: "\
What it means for a registration, what usually causes it, and what to do about it. Several words \
are joined: 'sipreg explain exit 6'.",
    examples: &[
        ("The registrar answered 403:", &["sipreg explain 403"]),
        (
            "A script ended with exit status 6, or its JSON says so:",
            &["sipreg explain exit 6", "sipreg explain misbehaved"],
        ),
        ("Everything there is:", &["sipreg explain"]),
    ],
    exit: &[
        (0, "done"),
        (2, "the command line is wrong, or nothing is known by these words"),
        (70, "internal error (a bug)"),
    ],
    short_end: "",
    ..PLAIN
};

/// `sipreg man`.
pub const MAN: Help = Help {
    name: "man",
    details: "\
Without DIR the page of sipreg itself goes to standard output.",
    examples: &[
        ("Read it:", &["sipreg man | man -l -"]),
        (
            "Install the pages for yourself, where man finds them:",
            &[
                "sipreg man ~/.cargo/share/man/man1    # with ~/.cargo/bin in PATH",
                "sipreg man ~/.local/share/man/man1    # with ~/.local/bin in PATH",
            ],
        ),
    ],
    exit: &[
        (0, "done"),
        (2, "the command line is wrong, or DIR can't be written"),
        (70, "internal error (a bug)"),
    ],
    short_end: "",
    takes: "'man' takes one DIR. Quote values that hold spaces",
    ..PLAIN
};

/// What `--quiet` leaves of a server.
pub const SERVE_QUIET: &str = "\
Print nothing but errors

What --json prints is printed all the same.";

/// A name and what it is.
pub type Entry = (&'static str, &'static str);

/// Whom something matters to, besides the program's page, which has all.
enum To {
    Everybody,
    /// Commands with this argument.
    Argument(&'static str),
    /// The page of this command.
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
        "FILE of --tls-cert, --tls-key",
        &[To::Argument("tls_cert")],
        "A certificate and its private key, as PEM. Whoever reads the key can pose as its owner.",
    ),
    (
        "FILE.db of --store",
        &[To::Argument("store")],
        "The bindings of a server: who is where. It is made for its owner alone.",
    ),
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
        "SIPREG_STORE_PASSWORD",
        &[To::Argument("store")],
        "The password of a Redis or Valkey, unless it is empty. It counts when the URL of --store has none.",
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
        "SSLKEYLOGFILE",
        &[To::Argument("tls_ca")],
        "A file that gets the secrets of TLS sessions, for Wireshark. Whoever has it can read along.",
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
    concerning(FILES, command)
}

/// "ENVIRONMENT" of a command's page.
pub fn environment(command: &Command) -> Vec<Entry> {
    concerning(ENVIRONMENT, command)
}

fn concerning(table: &'static [(&str, &[To], &str)], command: &Command) -> Vec<Entry> {
    let concerns = |to: &To| match to {
        To::Everybody => true,
        To::Argument(id) => command.get_arguments().any(|argument| argument.get_id() == id),
        To::Command(name) => command.get_name() == *name,
    };
    let matters = |to: &[To]| command.has_subcommands() || to.iter().any(concerns);
    table.iter().filter(|(_, to, _)| matters(to)).map(|(name, _, text)| (*name, *text)).collect()
}
