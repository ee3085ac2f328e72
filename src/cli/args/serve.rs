//! `sipreg serve`, as it is typed.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::ColorChoice;

pub(super) const ABOUT: &str = "Be a registrar: take registrations, and tell them";

pub(super) const LONG: &str = "\
Be a registrar: take registrations, and tell them.

Devices that know a user's password bind themselves to that user's address. Bindings are kept in \
memory, until they run out or the server ends. It runs until SIGINT or SIGTERM; SIGHUP reads the \
users again.";

pub(super) const END: &str = "\
Examples:
  For yourself, without passwords, on this machine only:
    sipreg serve --no-auth

  A user, asking for the password, and a server that knows her:
    sipreg serve --add-user alice@example.com --users users.txt
    sipreg serve --domain example.com --users users.txt --listen udp:0.0.0.0:5060

  For a script: any free port, events as JSON:
    sipreg serve --no-auth --listen udp:127.0.0.1:0 --json

Exit status:
    0  stopped by SIGINT or SIGTERM, and everything answered
    2  the command line or the users file is wrong, or it can't listen there
   70  internal error (a bug)
  130  SIGINT, twice (143: SIGTERM)";

/// `sipreg serve`.
#[derive(Args)]
pub struct Serve {
    /// Where it listens.
    #[command(flatten)]
    pub place: Place,
    /// Who may register.
    #[command(flatten)]
    pub access: Access,
    /// What is granted.
    #[command(flatten)]
    pub policy: Policy,
    /// What is shown of it.
    #[command(flatten)]
    pub output: Output,
}

/// "Where to listen".
#[derive(Args)]
#[command(next_help_heading = "Where to listen")]
pub struct Place {
    /// Listen there (repeatable)
    ///
    /// udp:127.0.0.1:5060 or tcp:0.0.0.0:5060; port 0 lets the system choose, and the port is printed. Without it:
    /// udp:127.0.0.1:5060 and tcp:127.0.0.1:5060.
    #[arg(long, value_name = "TRANSPORT:ADDR:PORT")]
    pub listen: Vec<String>,
    /// Connections at a time
    ///
    /// When all are taken, the one that has been silent longest makes room. Without it: 8192, or fewer where the
    /// system allows fewer open files.
    #[arg(long, value_name = "NUMBER")]
    pub max_connections: Option<usize>,
    /// Prometheus metrics, at /metrics there
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<String>,
}

/// "Who may register".
#[derive(Args)]
#[command(next_help_heading = "Who may register")]
pub struct Access {
    /// Domain to be responsible for (repeatable)
    ///
    /// The addresses it listens on always count. Without it: localhost.
    #[arg(long, value_name = "NAME")]
    pub domain: Vec<String>,
    /// File with the users
    ///
    /// A line for each, as --add-user writes it: user:realm:HA1:[SHA-256]:[SHA-512-256]:[may-register]. The realm is
    /// the domain of the user's address. The last field says whose addresses the user may register besides the own:
    /// user names or addresses with commas between, or *.
    #[arg(long, value_name = "FILE", conflicts_with = "no_auth")]
    pub users: Option<PathBuf>,
    /// Take anybody, without a password
    ///
    /// Refused on an address that others can reach, unless you say --yes.
    #[arg(long)]
    pub no_auth: bool,
    /// Don't refuse --no-auth where others can reach it
    #[arg(long, requires = "no_auth")]
    pub yes: bool,
    /// Digests to offer, best first
    ///
    /// Without it: SHA-512-256,SHA-256,MD5, as far as the users file has them.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub algorithms: Vec<String>,
    /// Add a user or change the password, and exit
    ///
    /// USER is alice@example.com; without a domain that of --domain counts. The line is written into the file of
    /// --users, or printed without that option. The password comes from SIPREG_PASSWORD or --password-file, or you are
    /// asked.
    #[arg(long, value_name = "USER", conflicts_with_all = ["no_auth", "listen", "metrics"])]
    pub add_user: Option<String>,
    /// For --add-user: read the password; - is stdin
    #[arg(long, value_name = "FILE", requires = "add_user")]
    pub password_file: Option<PathBuf>,
}

/// "What is granted".
#[derive(Args)]
#[command(next_help_heading = "What is granted")]
pub struct Policy {
    /// Shortest lifetime [default: 60s]
    ///
    /// A shorter wish is refused with 423, unless it is an hour or more.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub min_expires: Option<String>,
    /// Longest lifetime [default: 2h]
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub max_expires: Option<String>,
    /// Lifetime if none is asked for [default: 1h]
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub default_expires: Option<String>,
    /// Bindings per address [default: 10]
    #[arg(long, value_name = "NUMBER")]
    pub max_contacts: Option<usize>,
    /// Where bindings are kept [default: memory]
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
}

/// "Output".
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print a JSON object per event
    #[arg(long)]
    pub json: bool,
    /// Print the JSON Schema of events and exit
    #[arg(long)]
    pub json_schema: bool,
    /// Show messages on stderr; -vv in full
    ///
    /// Once: a line for each. Twice: the whole message, digest responses masked.
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Don't mask digest responses in -vv
    #[arg(long)]
    pub show_secrets: bool,
    /// Print nothing but errors
    ///
    /// What --json prints is printed all the same.
    #[arg(short, long)]
    pub quiet: bool,
    /// Colours: auto, always or never
    ///
    /// auto, the default: on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE wants them everywhere.
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<ColorChoice>,
}
