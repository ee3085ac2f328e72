//! What is wanted of the registrar, as it is typed.

use clap::Args as ClapArgs;

/// "What to remove".
#[derive(ClapArgs)]
#[command(next_help_heading = "What to remove")]
pub struct Removal {
    /// Remove this, not this device (repeatable)
    ///
    /// Without it, and without --all: what 'sipreg register' bound from here.
    #[arg(short, long, value_name = "URI", conflicts_with = "all")]
    pub contact: Vec<String>,
    /// Remove every binding, other devices' too
    ///
    /// You are asked first. Where there is no terminal to ask on, it needs --yes.
    #[arg(long)]
    pub all: bool,
    /// Don't ask before --all
    #[arg(long, requires = "all")]
    pub yes: bool,
}

/// "What to bind".
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "What to bind")]
pub struct Binding {
    /// Bind this, not this device (repeatable)
    ///
    /// Contact parameters come after angle brackets: '<sip:you@192.0.2.7>;q=0.5'. Other schemes are allowed:
    /// mailto:you@example.com.
    #[arg(short, long, value_name = "URI")]
    pub contact: Vec<String>,
    /// For how long; 0 removes [default: 1h]
    ///
    /// Whole seconds, asked for with Expires; the registrar may grant another time. 0 removes, as 'sipreg unregister'
    /// does.
    #[arg(short, long, value_name = "DURATION", allow_negative_numbers = true)]
    pub expires: Option<String>,
    /// Preference among your devices, 0 to 1
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub q: Option<String>,
}

/// "What else to say".
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "What else to say")]
pub struct Request {
    /// Add a header, 'Name: value' (repeatable)
    ///
    /// Headers that the protocol owns are refused.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// User-Agent; none leaves it out
    ///
    /// Without it: sipreg/VERSION.
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
}

/// Of the commands that end by themselves.
#[derive(ClapArgs)]
#[command(next_help_heading = "Network")]
pub struct Retry {
    /// Try again for that long; 0 is not at all
    ///
    /// After silence, when nobody could be reached, and after a 503, whose Retry-After is obeyed. The pauses grow from
    /// a second to half a minute.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true)]
    pub retry_for: Option<String>,
}
