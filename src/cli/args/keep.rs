//! `sipreg keep`, as it is typed.

use clap::Args;

use super::{Binding, Identity, Network, Output, Request, Target};

pub(super) const ABOUT: &str = "Bind this device, and keep it bound until told to stop";

pub(super) const LONG: &str = "\
Bind this device, and keep it bound until told to stop.

Each AOR is bound, and bound again before that runs out. What fails is tried again, ever less often; \
what failed for good, such as a wrong password, is not, unless --probe says so. SIGINT (Ctrl-C) and \
SIGTERM remove the bindings; a second one ends it at once. SIGHUP reads the configuration again and binds \
anew, and SIGUSR1 says how things stand.";

pub(super) const END: &str = "\
Examples:
  Until Ctrl-C:
    sipreg keep you@example.com

  Two accounts of the configuration file, with events for a script:
    sipreg keep work home --json

  As long as something runs:
    sipreg keep you@example.com -- ./softphone --no-register

Exit status: as for 'sipreg register', and
    0  stopped, and the registrars confirmed that the bindings are removed
    4  stopped, and one of them did not within 4 s
  130  ended at once by a second SIGINT; 143 by SIGTERM

A failure counts when every account has failed for good. With a COMMAND that was
started it ends as that does.";

/// `sipreg keep`.
#[derive(Args)]
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
    /// How long.
    #[command(flatten)]
    pub life: Life,
    /// Where the requests go.
    #[command(flatten)]
    pub target: Target,
    /// Who asks.
    #[command(flatten)]
    pub identity: Identity,
    /// What is asked for.
    #[command(flatten)]
    pub binding: Binding,
    /// What else the requests say.
    #[command(flatten)]
    pub request: Request,
    /// How they get there.
    #[command(flatten)]
    pub network: Network,
    /// What is shown of it.
    #[command(flatten)]
    pub output: Output,
}

/// "How long to stay".
#[derive(Args)]
#[command(next_help_heading = "How long to stay")]
pub struct Life {
    /// Stop by itself after that time
    #[arg(long = "for", value_name = "DURATION", allow_negative_numbers = true)]
    pub stop_after: Option<String>,
    /// Try what failed for good again, that often
    ///
    /// A wrong password, a refusal. Without it, or with never: not at all.
    #[arg(long, value_name = "DURATION|never", allow_negative_numbers = true)]
    pub probe: Option<String>,
    /// Status that calls are refused with [default: 480]
    ///
    /// Whoever calls hears that nobody is there. 486 is busy, 603 declines.
    #[arg(long, value_name = "STATUS")]
    pub on_invite: Option<String>,
    /// Prometheus metrics, at /metrics there
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<String>,
    /// Run a program for each event
    ///
    /// A shell runs it, with the event as JSON on its standard input, and with SIPREG_EVENT and SIPREG_AOR in its
    /// environment. Events wait until it has ended.
    #[arg(long, value_name = "COMMAND")]
    pub on_event: Option<std::ffi::OsString>,
}
