//! The command line and the options of the configuration file: each option stands here once, with its type
//! ([`super::values`]), its place in the help and its key. What it means is the business of [`super::account`].
//!
//! The file is long because no option may stand elsewhere. Help texts are part of the product. Keep the first line of
//! each short: `-h` shows nothing else.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Args as ClapArgs, Error, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::help::{self, Help};
use super::report::Settings;
use super::table::{Reader, Setting, is_off, is_on};
use super::values::{
    AddedHeader, Address, Advertised, AlgorithmName, Collector, ColorChoice, CommandLine, Contact,
    ContactsPolicy, Domain, ForkName, Ha1, KeepaliveName, Lifetime, Listener, NodeAddress, NodeName,
    Password, Preference, Proxy, Realm, Refusal, Registrant, Registrar, Resolve, Shell, Size, SocketAddress,
    Span, SpanOrNever, SpanOrNone, StoreName, TransportName, UserAgent, UserName, VerifiedName, WebOrigin,
    WebSocketPath,
};

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "sipreg",
    version,
    long_version = built(),
    about = help::ABOUT,
    after_help = help::PROGRAM.end(),
    max_term_width = 80,
    subcommand_required = true,
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

/// What `--version` says behind the program's name: what was built, a line each.
fn built() -> String {
    let transports: Vec<_> =
        TransportName::value_variants().iter().map(|name| name.to_possible_value()).collect();
    let transports: Vec<_> =
        transports.iter().flatten().map(clap::builder::PossibleValue::get_name).collect();
    let mut lines = vec![env!("CARGO_PKG_VERSION").to_owned()];
    lines.extend(option_env!("SIPREG_COMMIT").map(|commit| format!("commit      {commit}")));
    lines.push(format!("target      {}", env!("SIPREG_TARGET")));
    lines.push(format!("transports  {}", transports.join(" ")));
    lines.push(format!("stores      {}", StoreName::KINDS.join(" ")));
    lines.join("\n")
}

/// The commands, each with the first line of its help; the rest of that is in [`super::help`].
#[derive(Subcommand)]
pub enum Command {
    /// Bind this device to an address, once, and print what was granted
    Register(Deferred<Register>),
    /// Bind this device, and keep it bound until told to stop
    Keep(Deferred<Keep>),
    /// Show every binding of an address
    #[command(visible_alias = "query")]
    List(Deferred<List>),
    /// Remove this device's binding, another one, or all
    Unregister(Deferred<Unregister>),
    /// Say why an address doesn't work, and prove it when it does
    Check(Deferred<Check>),
    /// Run a registrar, and route calls to the devices bound there
    Serve(Deferred<Serve>),
    /// Watch the textbook registration, on this machine alone
    Demo(Deferred<Demo>),
    /// Say what a status code, an exit status or a kind of error means
    Explain(Deferred<Explain>),
    /// Print the script that makes a shell complete sipreg's arguments
    Completions(Deferred<Completions>),
    /// Print the manual page, or write one per command
    Man(Deferred<Man>),
}

/// `sipreg register`.
#[derive(ClapArgs)]
pub struct Register {
    /// The address to bind: sip:you@example.com, or an account
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Option<String>,
    #[command(flatten)]
    pub options: Client<Binding, Retry>,
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
    pub contact: Vec<Contact>,
    #[command(flatten)]
    pub options: Client<(), Retry>,
}

/// `sipreg unregister`.
#[derive(ClapArgs)]
pub struct Unregister {
    /// The address to leave: sip:you@example.com, or an account
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Option<String>,
    #[command(flatten)]
    pub removal: Removal,
    #[command(flatten)]
    pub options: Client<(), Retry>,
}

/// `sipreg check`.
#[derive(ClapArgs)]
#[command(
    mut_arg("timeout", |timeout| timeout.help("Time for the whole command [default: 60s]").long_help(help::CHECK_TIMEOUT)),
    mut_arg("quiet", |quiet| quiet.long_help(help::CHECK_QUIET))
)]
pub struct Check {
    /// The address to look at: sip:you@example.com, or an account
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Option<String>,
    #[command(flatten)]
    pub looking: Looking,
    #[command(flatten)]
    pub options: Client<(), ()>,
}

#[derive(Clone, Default, ClapArgs)]
#[command(next_help_heading = "How to look, and how to tell")]
pub struct Looking {
    /// Look whether calls arrive again after that
    ///
    /// Nothing is sent in between: what stands on the way may forget this device by then, and a keep-alive is needed more
    /// often. It adds to --timeout.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub patience: Option<Span>,
    /// End with 7 on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// Write text, JSON and messages there
    ///
    /// What a ticket needs: check.txt, check.json and check.pcapng, with secrets masked. The folder is made if it is not
    /// there; what was in these files is lost.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Print one line for Nagios
    ///
    /// With performance data. The exit status is that of a plugin: 0 ok, 1 warning, 2 critical, 3 unknown.
    #[arg(long, conflicts_with = "json")]
    pub nagios: bool,
    /// Write Prometheus text to that file
    ///
    /// For the textfile collector of node_exporter. The file is replaced as a whole.
    #[arg(long, value_name = "FILE")]
    pub textfile: Option<PathBuf>,
}

/// Declares a group of options once for the command line and the configuration file: the argument reader makes options
/// of the fields, and the file has a key of the same name for each, unless it is a plain `bool`. Of the fields that are
/// `exclusive` only one can hold: one that a stronger group sets keeps the others of a weaker one out, too.
macro_rules! group {
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(<$($param:ident),*>)? {
            $($(#[$attribute:meta])* pub $field:ident: $type:ty,)*
        }
        $(exclusive [$($member:ident),*]: $hint:literal)*
    ) => {
        #[derive(Clone, Default, ClapArgs)]
        $(#[$meta])*
        pub struct $name $(<$($param: ClapArgs),*>)? {
            $($(#[$attribute])* pub $field: $type,)*
        }

        impl $(<$($param: ClapArgs + Setting),*>)? Setting for $name $(<$($param),*>)? {
            fn read(_key: &'static str, table: &mut Reader<'_>) -> Self {
                let group = $name { $($field: Setting::read(stringify!($field), table),)* };
                $(table.exclude(&[$((stringify!($member), is_off(&group.$member))),*], $hint);)*
                group
            }

            #[allow(unused_mut, reason = "a group without exclusive options takes nothing away")]
            fn or(self, mut weaker: Self) -> Self {
                $(if $(is_on(&self.$member))||* {
                    $(weaker.$member = None;)*
                })*
                $name { $($field: Setting::or(self.$field, weaker.$field),)* }
            }

            fn typed(self) -> Self {
                $name { $($field: Setting::typed(self.$field),)* }
            }

            fn add_keys(&self, _key: &'static str, keys: &mut Vec<&'static str>) {
                $(self.$field.add_keys(stringify!($field), keys);)*
            }
        }
    };
}

group! {
    /// The options that the client commands share. `B` says what is bound, and `R` whether it is tried again; a
    /// command that has no such options has `()` there.
    pub struct Client<B, R> {
        #[command(flatten)]
        pub target: Target,
        #[command(flatten)]
        pub identity: Identity,
        #[command(flatten)]
        pub binding: B,
        #[command(flatten)]
        pub headers: Headers,
        #[command(flatten)]
        pub network: Network,
        #[command(flatten)]
        pub security: Security,
        #[command(flatten)]
        pub retry: R,
        #[command(flatten)]
        pub output: Output,
    }
}

/// All options of the client commands. The configuration file may hold any of them, whichever command reads it.
pub type Options = Client<Binding, Retry>;

impl<B: ClapArgs + Into<Binding>, R: ClapArgs + Into<Retry>> Client<B, R> {
    /// What was typed, for all commands alike.
    #[must_use]
    pub fn typed(self) -> Options {
        let Client { target, identity, binding, headers, network, security, retry, output } = self;
        let (binding, retry) = (binding.into(), retry.into());
        Setting::typed(Client { target, identity, binding, headers, network, security, retry, output })
    }
}

impl From<()> for Binding {
    fn from((): ()) -> Binding {
        Binding::default()
    }
}

impl From<()> for Retry {
    fn from((): ()) -> Retry {
        Retry::default()
    }
}

group! {
    #[command(next_help_heading = "Where to")]
    pub struct Target {
        /// Server to ask, if not the AOR's domain
        ///
        /// A URI, a host or host:port. To and From keep the AOR.
        #[arg(long, value_name = "URI")]
        pub registrar: Option<Registrar>,
        /// Send through this proxy (repeatable)
        ///
        /// A URI, a host or host:port. Several are passed in the order given, which becomes the Route.
        #[arg(long, value_name = "URI")]
        pub proxy: Option<Vec<Proxy>>,
        /// udp, tcp, tls, ws or wss, whatever the URI says
        ///
        /// Without it: what the name service says; TLS for sips:, which takes tls and wss only. Requests above 1300 bytes
        /// that would go over UDP go over TCP where that works, as RFC 3261 wants it.
        #[arg(long, value_name = "NAME", ignore_case = true, hide_possible_values = true)]
        pub transport: Option<TransportName>,
    }
}

group! {
    #[command(next_help_heading = "Who you are")]
    pub struct Identity {
        /// User name for the password, if not the AOR's
        ///
        /// Without it: the user part of --from, else of the AOR, with its escapes undone.
        #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
        pub username: Option<UserName>,
        /// Read the password from a file; - is stdin
        ///
        /// Its first line is the password. With no password given in any way, you are asked on the terminal if the
        /// registrar wants one.
        #[arg(long, value_name = "FILE", group = "secret")]
        pub password_file: Option<PathBuf>,
        /// The password, which others see with ps
        ///
        /// Other users of this machine can see it in the process list. The environment variable SIPREG_PASSWORD does the
        /// same unseen; it counts when the command line gives no secret.
        #[arg(long, value_name = "TEXT", group = "secret", allow_hyphen_values = true)]
        pub password: Option<Password>,
        /// The password is empty
        ///
        /// Some providers know their customers by the line they call from. An empty first line of a password file says the
        /// same.
        #[arg(long, action = ArgAction::SetTrue, group = "secret")]
        pub no_password: Option<bool>,
        /// Hash of user:realm:password in its place
        ///
        /// 32 hex digits are MD5 and 64 are SHA-256, unless MD5:, SHA-256: or SHA-512-256: comes before them. It serves
        /// this algorithm only, and others see it in the process list, too.
        #[arg(long, value_name = "[ALGORITHM:]HEX", group = "secret", allow_hyphen_values = true)]
        pub ha1: Option<Ha1>,
        /// Read that hash from a file; - is stdin
        #[arg(long, value_name = "FILE", group = "secret")]
        pub ha1_file: Option<PathBuf>,
        /// A program whose first line is the password: of the file alone.
        #[arg(skip)]
        pub password_command: Option<CommandLine>,
        /// Answer challenges of this realm only
        #[arg(long, value_name = "NAME")]
        pub realm: Option<Realm>,
        /// Weakest digest to answer [default: MD5]
        ///
        /// MD5, SHA-256 or SHA-512-256, in rising strength. Weaker challenges are skipped.
        #[arg(long, value_name = "NAME")]
        pub min_algorithm: Option<AlgorithmName>,
        /// Register the AOR as this other user
        ///
        /// A third-party registration: From differs from To.
        #[arg(long, value_name = "URI")]
        pub from: Option<Registrant>,
    }
    exclusive [password_file, password_command, password, no_password, ha1, ha1_file]: "keep one; those of other realms go into [[accounts.NAME.credentials]], with realm"
}

group! {
    #[command(next_help_heading = "What to bind")]
    pub struct Binding {
        /// Bind this, not this device (repeatable)
        ///
        /// Contact parameters come after angle brackets: '<sip:you@192.0.2.7>;q=0.5'. {addr} stands for this
        /// device's host and port: '<sip:4930123456@{addr};line=abc>'. Other schemes are allowed:
        /// mailto:you@example.com.
        #[arg(short, long, value_name = "URI")]
        pub contact: Option<Vec<Contact>>,
        /// For how long; 0 removes [default: 1h]
        ///
        /// Whole seconds, asked for with Expires; the registrar may grant another time. 0 removes, as 'sipreg unregister'
        /// does.
        #[arg(short, long, value_name = "DURATION", allow_negative_numbers = true)]
        pub expires: Option<Lifetime>,
        /// Preference among your devices, 0 to 1
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        pub q: Option<Preference>,
    }
}

group! {
    #[command(next_help_heading = "What else to say")]
    pub struct Headers {
        /// Add a header, 'Name: value' (repeatable)
        ///
        /// Headers that the protocol owns are refused.
        #[arg(short = 'H', long, value_name = "HEADER")]
        pub header: Option<Vec<AddedHeader>>,
        /// User-Agent; none leaves it out
        ///
        /// Without it: sipreg/VERSION.
        #[arg(long, value_name = "TEXT")]
        pub user_agent: Option<UserAgent>,
    }
}

group! {
    #[command(next_help_heading = "Network")]
    pub struct Network {
        /// Local address and port to send from
        ///
        /// Without it: the address that the system would use, and any free port.
        #[arg(long, value_name = "IP[:PORT]")]
        pub bind: Option<Address>,
        /// Address to tell others instead
        ///
        /// It stands in Via and in the Contact of this device. Without a port it keeps the local one.
        #[arg(long, value_name = "HOST[:PORT]")]
        pub advertise: Option<Advertised>,
        /// Name server to ask (repeatable)
        #[arg(long, value_name = "IP[:PORT]")]
        pub nameserver: Option<Vec<Address>>,
        /// Address of a host at a port (repeatable)
        ///
        /// It counts in place of what the name service says of that host (A and AAAA), also where an SRV record leads
        /// there; NAPTR and SRV are still asked for. IPv6 stands in brackets.
        #[arg(long, value_name = "HOST:PORT:ADDR")]
        pub resolve: Option<Vec<Resolve>>,
        /// Use IPv4 only
        #[arg(short = '4', action = ArgAction::SetTrue, conflicts_with = "ipv6")]
        pub ipv4: Option<bool>,
        /// Use IPv6 only
        #[arg(short = '6', action = ArgAction::SetTrue)]
        pub ipv6: Option<bool>,
        /// Time for the whole command [default: 128s]
        ///
        /// Each address that is tried gets 64*T1 (32s) of it, connecting included; without this option the whole gets
        /// four times as much. What you take to answer a question does not count. For 'sipreg keep' it is the time for
        /// each try.
        #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
        pub timeout: Option<Span>,
        /// Expected round trip [default: 500ms]
        ///
        /// RFC 3261's T1: a request over UDP is repeated after T1, 2*T1, 4*T1 and so on.
        #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
        pub t1: Option<Span>,
        /// Configuration file, with accounts
        ///
        /// Without it: $XDG_CONFIG_HOME/sipreg/config.toml, which is ~/.config/sipreg/config.toml, if it is there. It has
        /// options for all commands, and accounts; the name of an account stands for the AOR.
        #[arg(long, value_name = "FILE")]
        pub config: Option<PathBuf>,
        /// Where to remember what is bound
        ///
        /// Without it: $XDG_STATE_HOME/sipreg, which is ~/.local/state/sipreg. It holds Call-ID, CSeq and contacts, no
        /// secrets.
        #[arg(long, value_name = "DIR", conflicts_with = "stateless")]
        pub state_dir: Option<PathBuf>,
        /// Remember nothing, and don't look it up
        #[arg(long, action = ArgAction::SetTrue)]
        pub stateless: Option<bool>,
    }
    exclusive [ipv4, ipv6]: "keep one of them"
    exclusive [state_dir, stateless]: "keep one of them"
}

group! {
    /// How the other end proves who it is, and how we do, over TLS and WebSocket.
    #[command(next_help_heading = "TLS and WebSocket")]
    pub struct Security {
        /// Trust only these authorities
        ///
        /// Certificates as PEM, or the certificate of the server itself. Without it: those that the system trusts.
        #[arg(long, value_name = "FILE")]
        pub tls_ca: Option<PathBuf>,
        /// Certificate to show to the server
        ///
        /// As PEM, with those between it and its root. The key may stand in the same file.
        #[arg(long, value_name = "FILE")]
        pub tls_cert: Option<PathBuf>,
        /// Its private key, if in another file
        #[arg(long, value_name = "FILE")]
        pub tls_key: Option<PathBuf>,
        /// Name that the certificate must be for
        ///
        /// Without it: the host of the URI that the request goes to, as RFC 5922 has it.
        #[arg(long, value_name = "NAME")]
        pub tls_name: Option<VerifiedName>,
        /// Accept wildcard names in certificates
        ///
        /// A * as the leftmost label stands for exactly one label. RFC 5922 forbids it.
        #[arg(long, action = ArgAction::SetTrue)]
        pub tls_wildcard: Option<bool>,
        /// Verify nothing: anybody may read along
        ///
        /// For tests only. A warning says so each time, with --quiet too.
        #[arg(long, action = ArgAction::SetTrue)]
        pub tls_insecure: Option<bool>,
        /// Path of the WebSocket request [default: /]
        ///
        /// With its query, if there is one: /ws or /sip?token=1.
        #[arg(long, value_name = "PATH")]
        pub ws_path: Option<WebSocketPath>,
    }
}

group! {
    /// Of the commands that end by themselves.
    #[command(next_help_heading = "Network")]
    pub struct Retry {
        /// Try again for that long; 0 is not at all
        ///
        /// After silence, when nobody could be reached, and after a 503, whose Retry-After is obeyed. The pauses grow from
        /// a second to half a minute.
        #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
        pub retry_for: Option<SpanOrNone>,
    }
}

group! {
    /// "Output" of the client commands.
    #[command(next_help_heading = "Output")]
    pub struct Output {
        #[command(flatten)]
        pub format: Format,
        /// Print the exact first request and send nothing
        #[arg(long, conflicts_with = "json")]
        pub dry_run: bool,
        #[command(flatten)]
        pub display: Display,
        #[command(flatten)]
        pub copies: Copies,
    }
}

group! {
    /// "Output": in which form.
    #[command(next_help_heading = "Output")]
    pub struct Format {
        /// Print one JSON object, on failure too
        #[arg(long, action = ArgAction::SetTrue)]
        pub json: Option<bool>,
        /// Print its JSON Schema and exit
        #[arg(long)]
        pub json_schema: bool,
    }
}

group! {
    /// "Output": how much of it.
    #[command(next_help_heading = "Output")]
    pub struct Display {
        /// Show messages on stderr; -vv in full
        ///
        /// Once: a line for each. Twice: the whole message, digest responses masked.
        #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
        pub verbose: Option<u8>,
        /// Don't mask digest responses
        #[arg(long)]
        pub show_secrets: bool,
        /// Print nothing but errors
        ///
        /// What --json and --dry-run print is printed all the same, and so is the warning of --tls-insecure.
        #[arg(short, long, action = ArgAction::SetTrue)]
        pub quiet: Option<bool>,
        /// Colours: auto, always or never
        ///
        /// auto, the default: on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE wants them everywhere.
        #[arg(long, value_name = "WHEN", hide_possible_values = true)]
        pub color: Option<ColorChoice>,
    }
    exclusive [verbose, quiet]: "keep one of them"
}

group! {
    /// "Output": copies of the messages.
    #[command(next_help_heading = "Output")]
    pub struct Copies {
        /// Write SIP messages there, for Wireshark
        ///
        /// A pcapng file: each message as it passes, decrypted, with addresses, time and direction, digest responses
        /// masked. What was in the file is lost, and nobody but its owner may read it any more.
        #[arg(long, value_name = "FILE.pcapng")]
        pub trace: Option<PathBuf>,
        /// Send copies of them to a Homer (HEP3)
        ///
        /// Over UDP, masked in the same way. The name is looked up once, at the start.
        #[arg(long, value_name = "HOST:PORT")]
        pub hep: Option<Collector>,
    }
}

impl Display {
    /// How it is shown, but for what depends on the command.
    pub fn settings(&self, format: &Format) -> Settings {
        Settings {
            json: format.json == Some(true),
            quiet: self.quiet == Some(true),
            verbosity: self.verbose.unwrap_or_default(),
            show_secrets: self.show_secrets,
            color: self.color.unwrap_or_default(),
            ..Settings::default()
        }
    }
}

#[derive(ClapArgs)]
#[command(next_help_heading = "What to remove")]
pub struct Removal {
    /// Remove this, not this device (repeatable)
    ///
    /// Without it, and without --all: what 'sipreg register' bound from here.
    #[arg(short, long, value_name = "URI", conflicts_with = "all")]
    pub contact: Vec<Contact>,
    /// Remove every binding, other devices' too
    ///
    /// You are asked first. Where there is no terminal to ask on, it needs --yes.
    #[arg(long)]
    pub all: bool,
    /// Don't ask before --all
    #[arg(long, requires = "all")]
    pub yes: bool,
}

/// `sipreg keep`.
#[derive(ClapArgs)]
pub struct Keep {
    /// The addresses to bind: sip:you@example.com, or accounts
    #[arg(value_name = "AOR", required_unless_present = "json_schema")]
    pub aor: Vec<String>,
    /// A program to run while they are bound
    ///
    /// It starts when all are bound, with SIPREG_AOR and SIPREG_CONTACT in its environment. When it ends, the
    /// bindings are removed.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
    #[command(flatten)]
    pub life: Life,
    #[command(flatten)]
    pub options: Client<Binding, ()>,
}

#[derive(ClapArgs)]
#[command(next_help_heading = "How long to stay")]
pub struct Life {
    /// Stop by itself after that time
    #[arg(long = "for", value_name = "DURATION", allow_negative_numbers = true)]
    pub stop_after: Option<Span>,
    /// Try what failed for good again, that often
    ///
    /// A wrong password, a refusal. Without it, or with never: not at all.
    #[arg(long, value_name = "DURATION|never", allow_negative_numbers = true)]
    pub probe: Option<SpanOrNever>,
    /// Keep the way through a NAT open [default: auto]
    ///
    /// auto: where a NAT is seen, or the registrar asks for it; every 29 seconds over UDP, every 120 over connections, or as
    /// it asks. A DURATION: always, so often at least, and over UDP with STUN where that is answered. Up to a fifth less at
    /// random. off: never.
    #[arg(long, value_name = "DURATION|off|auto", allow_negative_numbers = true)]
    pub keepalive: Option<KeepaliveName>,
    /// Status that calls are refused with [default: 480]
    ///
    /// Whoever calls hears that nobody is there. 486 is busy, 603 declines.
    #[arg(long, value_name = "STATUS")]
    pub on_invite: Option<Refusal>,
    /// Prometheus metrics, at /metrics there
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddress>,
    /// Run a program for each event
    ///
    /// A shell runs it, with the event as JSON on its standard input, and with SIPREG_EVENT and SIPREG_AOR in its
    /// environment. Events wait until it has ended.
    #[arg(long, value_name = "COMMAND")]
    pub on_event: Option<std::ffi::OsString>,
}

/// `sipreg serve`.
#[derive(ClapArgs)]
#[command(
    mut_arg("json", |json| json.help("Print a JSON object per event")),
    mut_arg("json_schema", |schema| schema.help("Print the JSON Schema of events and exit")),
    mut_arg("quiet", |quiet| quiet.long_help(help::SERVE_QUIET))
)]
pub struct Serve {
    #[command(flatten)]
    pub listening: Listening,
    #[command(flatten)]
    pub showing: Showing,
    #[command(flatten)]
    pub access: Access,
    #[command(flatten)]
    pub policy: Policy,
    #[command(flatten)]
    pub calls: Calls,
    #[command(flatten)]
    pub cluster: Cluster,
    #[command(flatten)]
    pub format: Format,
    #[command(flatten)]
    pub display: Display,
    #[command(flatten)]
    pub copies: Copies,
}

/// The servers that share a store.
#[derive(ClapArgs)]
#[command(next_help_heading = "Several servers")]
pub struct Cluster {
    /// Name of this server in a shared store
    ///
    /// Without it: the name of the host, with the port of the first --listen. Over TLS the certificate of --tls-cert has to be for
    /// that host, as other nodes see it.
    #[arg(long, value_name = "NAME")]
    pub node: Option<NodeName>,
    /// Where other nodes hand calls over
    ///
    /// tcp:10.0.0.1:5070; udp: and tls: are served, too. Others send requests there for devices that are connected to this
    /// server, or let in nobody else through their NAT. It takes the address by which they reach it, and says it in the shared
    /// store. Without it such devices are called by this server alone.
    #[arg(long, value_name = "TRANSPORT:ADDR:PORT")]
    pub peer_listen: Option<Listener>,
    /// Address of another node (repeatable)
    ///
    /// What comes to --peer-listen from any other address is not heard. Without it any may come that knows the secret of
    /// --peer-secret-file.
    #[arg(long, value_name = "ADDRESS")]
    pub peer: Vec<NodeAddress>,
    /// File with what all nodes know
    ///
    /// Its first line, 16 characters or more; the same for every node. What a node sends to another is proven with it, and with a
    /// key that is in the shared store.
    #[arg(long, value_name = "FILE")]
    pub peer_secret_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
#[command(next_help_heading = "Where to listen")]
pub struct Listening {
    /// Listen there (repeatable)
    ///
    /// udp:127.0.0.1:5060 or tcp:0.0.0.0:5060; tls: and wss:, which need --tls-cert, and ws: for browsers. Port 0 lets the
    /// system choose, and the port is printed. Without it: udp:127.0.0.1:5060 and tcp:127.0.0.1:5060.
    #[arg(long, value_name = "TRANSPORT:ADDR:PORT")]
    pub listen: Vec<Listener>,
    /// Connections at a time
    ///
    /// When all are taken, the one that has been silent longest makes room. Without it: 8192, or fewer where the
    /// system allows fewer open files.
    #[arg(long, value_name = "NUMBER")]
    pub max_connections: Option<usize>,
    /// Answers/s before a login [default: 100]
    ///
    /// For one source: an IPv4 address, or the /64 network of an IPv6 address; loopback is exempt. Requests beyond get no
    /// answer and are told as an event. With --no-auth every request counts, else those without a right password.
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<u32>,
    /// Failed logins a minute [default: 30]
    ///
    /// For one source, as with --rate. Logins beyond get 503 with Retry-After, even with the right password, but for users
    /// who have logged in from there before: they are limited by their own failures there. No user is ever locked out elsewhere.
    #[arg(long, value_name = "NUMBER")]
    pub login_failures: Option<u32>,
    /// Time between keep-alives [default: 30s]
    ///
    /// What devices hear that offer to keep their NAT open (keep in Via, RFC 6223): that they are to send something at least as
    /// often. Many NATs forget who is silent over UDP for half a minute.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub keepalive_interval: Option<Lifetime>,
    /// Prometheus metrics, at /metrics there
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddress>,
}

/// What `tls:`, `ws:` and `wss:` listeners show and ask for.
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "TLS and WebSocket")]
pub struct Showing {
    /// Certificate of this server
    ///
    /// As PEM, with those between it and its root. The key may stand in the same file. SIGHUP reads all these files again.
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, if in another file
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities that vouch for clients
    ///
    /// As PEM. A client that shows a certificate which one of them has issued is the user whose address is among the
    /// certificate's alternative names (URI:sip:alice@example.com), and is asked for no password. A certificate from
    /// anybody else is refused. Clients need not show one.
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Authorities to trust when forwarding
    ///
    /// As PEM, for the servers that requests are forwarded to over TLS. Without it: those that the system trusts.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Web pages that may connect (repeatable)
    ///
    /// By their origin, as browsers send it: https://phone.example.com. Without it any page may. What is no browser sends
    /// no origin, and always may.
    #[arg(long, value_name = "ORIGIN")]
    pub ws_origin: Vec<WebOrigin>,
}

#[derive(ClapArgs)]
#[command(next_help_heading = "Who may register")]
pub struct Access {
    /// Domain to be responsible for (repeatable)
    ///
    /// The addresses it listens on always count. Without it: localhost.
    #[arg(long, value_name = "NAME")]
    pub domain: Vec<Domain>,
    /// File with the users
    ///
    /// A line for each, as --add-user writes it: user:realm:HA1:[SHA-256]:[SHA-512-256]:[may-register]. The realm is
    /// the domain of the user's address. The last field says whose addresses of that realm the user may register
    /// besides the own: user names or addresses with commas between, or *.
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
    /// Digests to offer, in this order
    ///
    /// Without it: SHA-256,SHA-512-256,MD5, as far as the users file has them. A device that is challenged three times
    /// and never answers is told as an event: old ones read the first challenge only.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub algorithms: Vec<AlgorithmName>,
    /// Add a user or change the password, and exit
    ///
    /// USER is alice@example.com; without a domain that of --domain counts. alice@example.com@example.com is for phones
    /// that sign in with the whole address. The line is written into the file of --users, or printed without that option. The password comes from SIPREG_PASSWORD or --password-file, or you are
    /// asked.
    #[arg(long, value_name = "USER", conflicts_with_all = ["no_auth", "listen", "metrics"])]
    pub add_user: Option<String>,
    /// For --add-user: read the password; - is stdin
    #[arg(long, value_name = "FILE", requires = "add_user")]
    pub password_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
#[command(next_help_heading = "What is granted")]
pub struct Policy {
    /// Shortest lifetime [default: 60s]
    ///
    /// A shorter wish is refused with 423, unless it is an hour or more.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub min_expires: Option<Lifetime>,
    /// Longest lifetime [default: 2h]
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub max_expires: Option<Lifetime>,
    /// Lifetime if none is asked for [default: 1h]
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub default_expires: Option<Lifetime>,
    /// Bindings per address [default: 10]
    #[arg(long, value_name = "NUMBER")]
    pub max_contacts: Option<usize>,
    /// At one more: refuse, replace-oldest
    ///
    /// refuse, the default: 503, with Retry-After until the first of them ends. replace-oldest: the one that was refreshed longest ago
    /// is removed. Those that are there may always be refreshed.
    #[arg(long, value_name = "WHAT", ignore_case = true, hide_possible_values = true)]
    pub max_contacts_policy: Option<ContactsPolicy>,
    #[command(flatten)]
    pub storing: Storing,
    /// Memory for bindings [default: 128MiB]
    ///
    /// 128MiB, 64k or 1G. When bindings take more than that, new ones are refused with 503; refreshes and removals still go.
    /// With redis:// it bounds what is known here of what is there.
    #[arg(long, value_name = "SIZE")]
    pub max_store: Option<Size>,
    /// Replicas before a 200 [default: 0]
    ///
    /// For redis:// only: so many must have the binding. Where there are too few in time, the answer is 503, and the binding is made all the same.
    #[arg(long, value_name = "NUMBER")]
    pub store_wait: Option<u32>,
    /// Say what is in a store's file, and exit
    ///
    /// Nothing is written to it. Status 0: it is sound; 2: it is not, or a server has it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_auth", "users", "listen", "metrics", "add_user", "store"])]
    pub store_check: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub struct Storing {
    /// Bindings: memory, FILE.db or redis://HOST
    ///
    /// memory, the default: they end with the server. A file is made if there is none, readable by its owner alone; a 200 is sent when the
    /// binding would survive a power failure. While it can't be written, say because the disk is full, changes get 503, and
    /// lists and calls go on.
    ///
    /// redis://[USER:PASSWORD@]HOST[:PORT][/DB] is a Redis or Valkey that several servers share; rediss:// is one over TLS,
    /// verified as --tls-ca has it, redis+cluster://HOST,HOST... a cluster. SIPREG_STORE_PASSWORD gives the password unseen. While it is
    /// away, changes get 503, calls go by what is known, and it is connected to again.
    #[arg(long, value_name = "STORE")]
    pub store: Option<StoreName>,
}

#[derive(ClapArgs)]
#[command(next_help_heading = "How calls are routed")]
pub struct Calls {
    /// Several devices: parallel, sequential
    ///
    /// Devices of one address with the same preference (q) are called all at once, or one after another, the one that was
    /// refreshed last in front. Those of a lower preference always come after those of a higher one. Without it: parallel.
    #[arg(long, value_name = "HOW", ignore_case = true, hide_possible_values = true)]
    pub fork: Option<ForkName>,
    /// Ask every caller for a password
    ///
    /// Without it anybody may call an address of a domain of --domain. Calls to other domains are always for users only, who
    /// have to call from their own address.
    #[arg(long, conflicts_with = "no_auth")]
    pub auth_calls: bool,
    /// Calls in progress [default: 20000]
    ///
    /// One more gets 503 with Retry-After, and is told as an event. Registrations go on.
    #[arg(long, value_name = "NUMBER")]
    pub max_calls: Option<usize>,
    /// Name server to ask (repeatable)
    ///
    /// For calls to other domains, and for devices that are bound by a name. Without it: the system's.
    #[arg(long, value_name = "IP[:PORT]")]
    pub nameserver: Vec<Address>,
    /// Address of a host at a port (repeatable)
    ///
    /// It counts in place of what the name service says of that host (A and AAAA), also where an SRV record leads there;
    /// NAPTR and SRV are still asked for. IPv6 stands in brackets.
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    pub resolve: Vec<Resolve>,
}

/// `sipreg demo`.
#[derive(ClapArgs)]
#[command(
    mut_arg("verbose", |verbose| verbose.help("-vv shows whole messages").long_help(None::<&str>)),
    mut_arg("quiet", |quiet| quiet.long_help(None::<&str>))
)]
pub struct Demo {
    /// How devices register: udp, tcp, tls, ws, wss
    ///
    /// Over tls and wss the registrar shows a certificate that is made for the demonstration. Calls go over UDP. Without
    /// it: udp.
    #[arg(long, value_name = "NAME", ignore_case = true, hide_possible_values = true)]
    pub transport: Option<TransportName>,
    #[command(flatten)]
    pub storing: Storing,
    /// Pause between the steps
    #[arg(long, help_heading = "Output")]
    pub slow: bool,
    #[command(flatten)]
    pub format: Format,
    #[command(flatten)]
    pub display: Display,
}

/// `sipreg explain`.
#[derive(ClapArgs)]
pub struct Explain {
    /// 403, exit 6, credentials; without it: what there is
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
}

/// `sipreg completions`.
#[derive(ClapArgs)]
pub struct Completions {
    /// The shell that is to complete
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `sipreg man`.
#[derive(ClapArgs)]
pub struct Man {
    /// Write a page per command into this directory
    ///
    /// It is made if it is not there. Each page is replaced as a whole, and its path is printed.
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What a client command is asked to do.
pub struct Request {
    /// The address of record, or the name of an account.
    pub aor: Option<String>,
    /// What is wanted of its registrar.
    pub command: ClientCommand,
    /// The options that say how.
    pub options: Options,
}

impl Request {
    /// The keys of the configuration file that what was typed decides.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        self.options.add_keys("", &mut keys);
        let has_contacts = match &self.command {
            // It binds a contact of its own.
            ClientCommand::Check => true,
            ClientCommand::Register => false,
            // A contact would be a condition there, and the file sets none.
            ClientCommand::List(_) => true,
            ClientCommand::Unregister(removal) => removal.all || !removal.contact.is_empty(),
        };
        keys.extend(has_contacts.then_some("contact"));
        keys
    }
}

/// What is wanted of the registrar.
pub enum ClientCommand {
    /// Its contacts are to be bound.
    Register,
    /// To know, and perhaps that these are bound.
    List(Vec<Contact>),
    /// These are to be removed.
    Unregister(Removal),
    /// The whole way is to be looked at.
    Check,
}

impl From<Register> for Request {
    fn from(Register { aor, options }: Register) -> Request {
        Request { aor, command: ClientCommand::Register, options: options.typed() }
    }
}

impl From<List> for Request {
    fn from(List { aor, contact, options }: List) -> Request {
        Request { aor, command: ClientCommand::List(contact), options: options.typed() }
    }
}

impl From<Unregister> for Request {
    fn from(Unregister { aor, removal, options }: Unregister) -> Request {
        Request { aor, command: ClientCommand::Unregister(removal), options: options.typed() }
    }
}

impl Check {
    /// What is wanted, and how it is looked at and told.
    #[must_use]
    pub fn request(self) -> (Request, Looking) {
        let Check { aor, looking, options } = self;
        (Request { aor, command: ClientCommand::Check, options: options.typed() }, looking)
    }
}

impl Keep {
    /// What is wanted for one of the addresses.
    pub fn request(&self, aor: &str) -> Request {
        let options = self.options.clone().typed();
        Request { aor: Some(aor.to_owned()), command: ClientCommand::Register, options }
    }
}

/// The options of a command, made only when that command is called: there are some forty of them in each, and making
/// those of all commands would take a good part of the time that one registration takes.
pub struct Deferred<T>(pub Box<T>);

impl<T: ClapArgs> ClapArgs for Deferred<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(put::<T>)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(put::<T>)
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Deferred<T>, Error> {
        T::from_arg_matches(matches).map(|args| Deferred(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Adds the options and the rest of the help. The first line stays: the struct's own words are for its readers.
fn put<T: ClapArgs>(command: clap::Command) -> clap::Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let help = Help::of(command.get_name());
    help.add(T::augment_args(command).about(about))
}
