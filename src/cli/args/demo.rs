//! `sipreg demo`, as it is typed.

use clap::{ArgAction, Args};

use super::ColorChoice;

pub(super) const ABOUT: &str = "Watch the textbook registration, on this machine alone";

pub(super) const LONG: &str = "\
Watch the textbook registration, on this machine alone.

A registrar of munich.de is started on a free port of the loopback interface. Werner Heisenberg \
registers two devices there with his password, looks where he is bound, takes one back and then \
all. Sockets, messages, digest and registrar are the real ones of 'sipreg serve' and \
'sipreg register'; each step shows the command that does the same.";

pub(super) const END: &str = "\
Examples:
  At a pace to read along, with whole messages:
    sipreg demo --slow -vv

Exit status:
    0  all went as it should
    6  it did not (or what the step that failed would end with)
   70  internal error (a bug)";

/// `sipreg demo`.
#[derive(Args)]
pub struct Demo {
    /// Pause between the steps
    #[arg(long, help_heading = "Output")]
    pub slow: bool,
    /// Print one JSON object, on failure too
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print its JSON Schema and exit
    #[arg(long, help_heading = "Output")]
    pub json_schema: bool,
    /// -vv shows whole messages
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet", help_heading = "Output")]
    pub verbose: u8,
    /// Don't mask digest responses in -vv
    #[arg(long, help_heading = "Output")]
    pub show_secrets: bool,
    /// Print nothing but errors
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
    /// Colours: auto, always or never
    ///
    /// auto, the default: on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE wants them everywhere.
    #[arg(long, value_name = "WHEN", hide_possible_values = true, help_heading = "Output")]
    pub color: Option<ColorChoice>,
}
