//! Values of options that come from a closed list, or must not be seen.

use clap::ValueEnum;

use crate::proto::digest::Hidden;

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

pub(super) fn hidden(text: &str) -> Result<Hidden, std::convert::Infallible> {
    Ok(Hidden::new(text.to_owned()))
}
