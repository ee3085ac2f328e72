//! The command line as it is typed. Values stay text here, unless they come from a closed list: what they mean, and
//! every complaint about them, is the business of [`super::account`].
//!
//! Help texts are part of the product. Keep the first line of each short: `-h` shows nothing else.

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};

pub mod demo;
pub mod keep;
mod later;
pub mod serve;
mod texts;
pub mod tools;
mod typed;
mod values;
mod wanted;

use crate::proto::digest::Hidden;
pub use later::Later;
pub use typed::{Typed, Wish};
use values::hidden;
pub use values::{ColorChoice, TransportName};
pub use wanted::{Binding, Removal, Request, Retry};

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "sipreg",
    version,
    about = texts::ABOUT,
    after_help = texts::TOP_EXAMPLES,
    max_term_width = 80,
    subcommand_required = true,
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Binds once.
    #[command(
        about = texts::REGISTER_ABOUT,
        long_about = texts::REGISTER_LONG,
        after_help = texts::SHORT_END,
        after_long_help = texts::REGISTER_END,
        override_usage = "sipreg register [OPTIONS] <AOR>",
        max_term_width = 80
    )]
    Register(Later<Register>),
    /// Keeps bound.
    #[command(
        about = keep::ABOUT,
        long_about = keep::LONG,
        after_help = texts::SHORT_END,
        after_long_help = keep::END,
        override_usage = "sipreg keep [OPTIONS] <AOR>... [-- <COMMAND>...]",
        max_term_width = 80
    )]
    Keep(Later<keep::Keep>),
    /// Lists.
    #[command(
        about = texts::LIST_ABOUT,
        long_about = texts::LIST_LONG,
        visible_alias = "query",
        after_help = texts::SHORT_END,
        after_long_help = texts::LIST_END,
        override_usage = "sipreg list [OPTIONS] <AOR>",
        max_term_width = 80
    )]
    List(Later<List>),
    /// Removes.
    #[command(
        about = texts::UNREGISTER_ABOUT,
        long_about = texts::UNREGISTER_LONG,
        after_help = texts::SHORT_END,
        after_long_help = texts::UNREGISTER_END,
        override_usage = "sipreg unregister [OPTIONS] <AOR>",
        max_term_width = 80
    )]
    Unregister(Later<Unregister>),
    /// Serves.
    #[command(
        about = serve::ABOUT,
        long_about = serve::LONG,
        after_help = texts::SHORT_END,
        after_long_help = serve::END,
        override_usage = "sipreg serve [OPTIONS]",
        max_term_width = 80
    )]
    Serve(Later<serve::Serve>),
    /// Shows it.
    #[command(
        about = demo::ABOUT,
        long_about = demo::LONG,
        after_help = texts::SHORT_END,
        after_long_help = demo::END,
        override_usage = "sipreg demo [OPTIONS]",
        max_term_width = 80
    )]
    Demo(Later<demo::Demo>),
    /// Prints a completion script.
    #[command(
        about = tools::COMPLETIONS_ABOUT,
        long_about = tools::COMPLETIONS_LONG,
        after_long_help = tools::COMPLETIONS_END,
        max_term_width = 80
    )]
    Completions(Later<tools::Completions>),
    /// Prints or writes manual pages.
    #[command(about = tools::MAN_ABOUT, long_about = tools::MAN_LONG, after_long_help = tools::MAN_END, max_term_width = 80)]
    Man(Later<tools::Man>),
}

/// `sipreg register`.
#[derive(ClapArgs)]
pub struct Register {
    /// The address to bind: sip:you@example.com, or an account
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Option<String>,
    /// Where the request goes.
    #[command(flatten)]
    pub target: Target,
    /// Who asks.
    #[command(flatten)]
    pub identity: Identity,
    /// What is asked for.
    #[command(flatten)]
    pub binding: Binding,
    /// What else the request says.
    #[command(flatten)]
    pub request: Request,
    /// How it gets there.
    #[command(flatten)]
    pub network: Network,
    /// Whether it is tried again.
    #[command(flatten)]
    pub retry: Retry,
    /// What is shown of it.
    #[command(flatten)]
    pub output: Output,
}

/// `sipreg list`.
#[derive(ClapArgs)]
pub struct List {
    /// The address to ask about: sip:you@example.com, or an account
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Option<String>,
    /// Also fail unless this is bound (repeatable)
    ///
    /// Compared as RFC 3261 has it. Exit status 7 if it is not there.
    #[arg(short, long, value_name = "URI", help_heading = "What to expect")]
    pub contact: Vec<String>,
    /// Where the request goes.
    #[command(flatten)]
    pub target: Target,
    /// Who asks.
    #[command(flatten)]
    pub identity: Identity,
    /// What else the request says.
    #[command(flatten)]
    pub request: Request,
    /// How it gets there.
    #[command(flatten)]
    pub network: Network,
    /// Whether it is tried again.
    #[command(flatten)]
    pub retry: Retry,
    /// What is shown of it.
    #[command(flatten)]
    pub output: Output,
}

/// `sipreg unregister`.
#[derive(ClapArgs)]
pub struct Unregister {
    /// The address to leave: sip:you@example.com, or an account
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Option<String>,
    /// What is to go.
    #[command(flatten)]
    pub removal: Removal,
    /// Where the request goes.
    #[command(flatten)]
    pub target: Target,
    /// Who asks.
    #[command(flatten)]
    pub identity: Identity,
    /// What else the request says.
    #[command(flatten)]
    pub request: Request,
    /// How it gets there.
    #[command(flatten)]
    pub network: Network,
    /// Whether it is tried again.
    #[command(flatten)]
    pub retry: Retry,
    /// What is shown of it.
    #[command(flatten)]
    pub output: Output,
}

/// "Where to".
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Where to")]
pub struct Target {
    /// Server to ask, if not the AOR's domain
    ///
    /// A URI, a host or host:port. To and From keep the AOR.
    #[arg(long, value_name = "URI")]
    pub registrar: Option<String>,
    /// Send through this proxy (repeatable)
    ///
    /// A URI, a host or host:port. Several are passed in the order given, which becomes the Route.
    #[arg(long, value_name = "URI")]
    pub proxy: Vec<String>,
    /// udp or tcp, whatever the URI says
    ///
    /// Requests above 1300 bytes go over TCP where that works, as RFC 3261 wants it.
    #[arg(long, value_name = "NAME", ignore_case = true, hide_possible_values = true)]
    pub transport: Option<TransportName>,
}

/// "Who you are".
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Who you are")]
pub struct Identity {
    /// User name for the password, if not the AOR's
    ///
    /// Without it: the user part of --from, else of the AOR, with its escapes undone.
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    pub username: Option<String>,
    /// Read the password from a file; - is stdin
    ///
    /// Its first line is the password. With no password given in any way, you are asked on the terminal if the
    /// registrar wants one.
    #[arg(long, value_name = "FILE", group = "secret")]
    pub password_file: Option<std::path::PathBuf>,
    /// The password, which others see with ps
    ///
    /// Other users of this machine can see it in the process list. The environment variable SIPREG_PASSWORD does the
    /// same unseen; it counts when the command line gives no secret.
    #[arg(long, value_name = "TEXT", group = "secret", allow_hyphen_values = true, value_parser = hidden)]
    pub password: Option<Hidden>,
    /// Hash of user:realm:password in its place
    ///
    /// 32 hex digits are MD5 and 64 are SHA-256, unless MD5:, SHA-256: or SHA-512-256: comes before them. It serves
    /// this algorithm only, and others see it in the process list, too.
    #[arg(long, value_name = "[ALGORITHM:]HEX", group = "secret", allow_hyphen_values = true, value_parser = hidden)]
    pub ha1: Option<Hidden>,
    /// Read that hash from a file; - is stdin
    #[arg(long, value_name = "FILE", group = "secret")]
    pub ha1_file: Option<std::path::PathBuf>,
    /// Answer challenges of this realm only
    #[arg(long, value_name = "NAME")]
    pub realm: Option<String>,
    /// Weakest digest to answer [default: MD5]
    ///
    /// MD5, SHA-256 or SHA-512-256, in rising strength. Weaker challenges are skipped.
    #[arg(long, value_name = "NAME")]
    pub min_algorithm: Option<String>,
    /// Register the AOR as this other user
    ///
    /// A third-party registration: From differs from To.
    #[arg(long, value_name = "URI")]
    pub from: Option<String>,
}

/// "Network".
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Local address and port to send from
    ///
    /// Without it: the address that the system would use, and any free port.
    #[arg(long, value_name = "IP[:PORT]")]
    pub bind: Option<String>,
    /// Address to tell others instead
    ///
    /// It stands in Via and in the Contact of this device. Without a port it keeps the local one.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,
    /// Name server to ask (repeatable)
    #[arg(long, value_name = "IP[:PORT]")]
    pub nameserver: Vec<String>,
    /// Use IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6')]
    pub ipv6: bool,
    /// Time for the whole command [default: 128s]
    ///
    /// Each address that is tried gets 64*T1 (32s) of it, connecting included; without this option the whole gets
    /// four times as much. What you take to answer a question does not count. For 'sipreg keep' it is the time for
    /// each try.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub timeout: Option<String>,
    /// Expected round trip [default: 500ms]
    ///
    /// RFC 3261's T1: a request over UDP is repeated after T1, 2*T1, 4*T1 and so on.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub t1: Option<String>,
    /// Configuration file, with accounts
    ///
    /// Without it: $XDG_CONFIG_HOME/sipreg/config.toml, which is ~/.config/sipreg/config.toml, if it is there. It has
    /// options for all commands, and accounts; the name of an account stands for the AOR.
    #[arg(long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Where to remember what is bound
    ///
    /// Without it: $XDG_STATE_HOME/sipreg, which is ~/.local/state/sipreg. It holds Call-ID, CSeq and contacts, no
    /// secrets.
    #[arg(long, value_name = "DIR", conflicts_with = "stateless")]
    pub state_dir: Option<std::path::PathBuf>,
    /// Remember nothing, and don't look it up
    #[arg(long)]
    pub stateless: bool,
}

/// "Output".
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print one JSON object, on failure too
    #[arg(long)]
    pub json: bool,
    /// Print its JSON Schema and exit
    #[arg(long)]
    pub json_schema: bool,
    /// Print the exact first request and send nothing
    #[arg(long, conflicts_with = "json")]
    pub dry_run: bool,
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
    /// What --json and --dry-run print is printed all the same.
    #[arg(short, long)]
    pub quiet: bool,
    /// Colours: auto, always or never
    ///
    /// auto, the default: on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE wants them everywhere.
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<ColorChoice>,
}
