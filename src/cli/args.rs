//! The command line as it is typed. Values stay text here, unless they come from a closed list: what they mean, and
//! every complaint about them, is the business of [`super::account`].
//!
//! Help texts are part of the product. Keep the first line of each short: `-h` shows nothing else.

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::proto::digest::Hidden;

const ABOUT: &str = "Tells a SIP registrar where you can be reached";

const REGISTER_ABOUT: &str = "Bind this device to an address, once, and print what was granted";

const REGISTER_LONG: &str = "\
Bind this device to an address, once, and print what was granted.

AOR, the address of record, is the address that people call: sip:you@example.com, or \
you@example.com for short. The registrar of its domain is asked to send its calls to this \
device, or to each --contact.";

const TOP_EXAMPLES: &str = "\
Examples:
  sipreg register you@example.com
  sipreg register --help";

const REGISTER_SHORT_END: &str = "'--help' says more, with examples and what the exit status means.";

const REGISTER_END: &str = "\
Examples:
  Bind this device, and be asked for the password if there has to be one:
    sipreg register you@example.com

  From a script, for half an hour, with the result as JSON:
    sipreg register you@example.com --password-file ~/.sip --expires 30m --json

  A desk phone, through a registrar given by address:
    sipreg register you@example.com --registrar 192.0.2.1 \\
      --contact sip:you@192.0.2.7:5060

  Remove that binding again:
    sipreg register you@example.com --contact sip:you@192.0.2.7:5060 --expires 0

  Look before you leap, and watch while you do:
    sipreg register you@example.com --dry-run
    sipreg register you@example.com -vv

Durations are numbers with units, such as 90s, 1h or '1h 30m'; a bare number is
seconds.

Exit status:
    0  done: the registrar confirmed it
    1  refused by the registrar
    2  the command line is wrong; nothing was sent
    3  credentials are missing or were not accepted
    4  no final answer in time
    5  could not be reached
    6  the registrar misbehaved: it said yes and did not do it
   70  internal error (a bug)
  130  ended by SIGINT (Ctrl-C); 143 by SIGTERM";

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "sipreg",
    version,
    about = ABOUT,
    after_help = TOP_EXAMPLES,
    max_term_width = 80,
    subcommand_required = true,
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
        about = REGISTER_ABOUT,
        long_about = REGISTER_LONG,
        after_help = REGISTER_SHORT_END,
        after_long_help = REGISTER_END,
        override_usage = "sipreg register [OPTIONS] <AOR>",
        max_term_width = 80
    )]
    Register(Box<Register>),
}

/// `sipreg register`.
#[derive(ClapArgs)]
pub struct Register {
    /// The address to bind, such as sip:you@example.com
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
    /// How it gets there.
    #[command(flatten)]
    pub network: Network,
    /// What is shown of it.
    #[command(flatten)]
    pub output: Output,
}

/// "Where to".
#[derive(ClapArgs)]
#[command(next_help_heading = "Where to")]
pub struct Target {
    /// Registrar to ask, as a URI or HOST[:PORT] [default: the AOR's domain]
    #[arg(long, value_name = "URI")]
    pub registrar: Option<String>,
    /// Send through this proxy, as a URI or HOST[:PORT] (repeatable)
    ///
    /// Several are passed in the order given, which becomes the Route.
    #[arg(long, value_name = "URI")]
    pub proxy: Vec<String>,
    /// Transport of the first hop [default: what the URI says, else udp]
    ///
    /// Requests above 1300 bytes go over TCP where that works, as RFC 3261 wants it.
    #[arg(long, value_name = "NAME", ignore_case = true, hide_possible_values = true)]
    #[arg(help = "Transport of the first hop, udp or tcp [default: as the URI says]")]
    pub transport: Option<TransportName>,
}

/// "Who you are".
#[derive(ClapArgs)]
#[command(next_help_heading = "Who you are")]
pub struct Identity {
    /// User name for the password [default: the user part of --from or AOR]
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    pub username: Option<String>,
    /// Read the password from the first line of FILE; '-' is stdin
    ///
    /// With no password given in any way, you are asked on the terminal if the registrar wants one.
    #[arg(long, value_name = "FILE", group = "secret")]
    pub password_file: Option<std::path::PathBuf>,
    /// The password; prefer --password-file or the variable SIPREG_PASSWORD
    ///
    /// Other users of this machine can see it in the process list. The environment variable SIPREG_PASSWORD does the
    /// same unseen; it counts when the command line gives no secret.
    #[arg(long, value_name = "TEXT", group = "secret", allow_hyphen_values = true, value_parser = hidden)]
    pub password: Option<Hidden>,
    /// Hash of user:realm:password instead of the password
    ///
    /// Hex digits: 32 are MD5 and 64 are SHA-256, unless MD5:, SHA-256: or SHA-512-256: comes before them. It serves
    /// this algorithm only.
    #[arg(long, value_name = "[ALGORITHM:]HEX", group = "secret", allow_hyphen_values = true, value_parser = hidden)]
    pub ha1: Option<Hidden>,
    /// Read that hash from the first line of FILE; '-' is stdin
    #[arg(long, value_name = "FILE", group = "secret")]
    pub ha1_file: Option<std::path::PathBuf>,
    /// Answer challenges of this realm only [default: any]
    #[arg(long, value_name = "NAME")]
    pub realm: Option<String>,
    /// Weakest digest algorithm to answer [default: MD5]
    ///
    /// MD5, SHA-256 or SHA-512-256, in rising strength. Weaker challenges are skipped.
    #[arg(long, value_name = "NAME")]
    pub min_algorithm: Option<String>,
    /// Register on behalf of the AOR as this user (third party)
    #[arg(long, value_name = "URI")]
    pub from: Option<String>,
}

/// "What to bind".
#[derive(ClapArgs)]
#[command(next_help_heading = "What to bind")]
pub struct Binding {
    /// Bind this URI instead of this device (repeatable)
    ///
    /// Contact parameters come after angle brackets: '<sip:you@192.0.2.7>;q=0.5'. Other schemes are allowed:
    /// mailto:you@example.com.
    #[arg(short, long, value_name = "URI")]
    pub contact: Vec<String>,
    /// How long to stay bound; 0 removes [default: 1h]
    ///
    /// Whole seconds, asked for with Expires; the registrar may grant another time. 0 removes the binding of each
    /// --contact.
    #[arg(short, long, value_name = "DURATION", allow_negative_numbers = true)]
    pub expires: Option<String>,
    /// Preference among your devices, 0 to 1 [default: none]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub q: Option<String>,
    /// Add a header to the request (repeatable)
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'")]
    pub headers: Vec<String>,
    /// What User-Agent says; 'none' leaves it out [default: sipreg/VERSION]
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
}

/// "Network".
#[derive(ClapArgs)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Local address to send from [default: the system's choice]
    #[arg(long, value_name = "IP[:PORT]")]
    pub bind: Option<String>,
    /// What Via and Contact say instead of the local address
    #[arg(long, value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,
    /// Name server to ask (repeatable) [default: the system's]
    #[arg(long, value_name = "IP[:PORT]")]
    pub nameserver: Vec<String>,
    /// Use IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6')]
    pub ipv6: bool,
    /// Time for the whole command [default: 4 times 64*T1, that is 128s]
    ///
    /// Each address that is tried gets 64*T1 (32s) of it, connecting included.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub timeout: Option<String>,
    /// RFC 3261's T1, the expected round trip [default: 500ms]
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub t1: Option<String>,
    /// Keep no state between runs (there is none to keep yet)
    #[arg(long)]
    pub stateless: bool,
}

/// "Output".
#[derive(ClapArgs)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print one JSON object, on failure too
    #[arg(long)]
    pub json: bool,
    /// Print the JSON Schema of that object and exit
    #[arg(long)]
    pub json_schema: bool,
    /// Print the exact first request and send nothing
    #[arg(long, conflicts_with = "json")]
    pub dry_run: bool,
    /// Show each message as one line on stderr; -vv shows all of it
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Show digest responses, which -vv masks
    #[arg(long)]
    pub show_secrets: bool,
    /// Print nothing but errors (and what --json prints)
    #[arg(short, long)]
    pub quiet: bool,
    /// Use colours: auto, always or never [default: auto]
    ///
    /// auto is: on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE wants them everywhere.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: ColorChoice,
}

/// The transports that can be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TransportName {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// When a person looks.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn hidden(text: &str) -> Result<Hidden, std::convert::Infallible> {
    Ok(Hidden::new(text.to_owned()))
}
