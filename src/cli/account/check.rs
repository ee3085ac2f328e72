//! One value by the rule of its option: what the configuration file says is held to what the command line is.

use clap::ValueEnum;

use super::{address, contact, header, network, span};
use crate::cli::args::{ColorChoice, TransportName};
use crate::cli::config::key::Key;
use crate::cli::secret;
use crate::cli::usage::UsageError;

/// Checks a value that stands for itself.
///
/// # Errors
/// What the option of that name would say.
pub fn check(key: Key, text: &str) -> Result<(), UsageError> {
    match key {
        Key::Aor => address::aor(text).map(drop),
        Key::Registrar => address::registrar(text).map(drop),
        Key::Proxy => address::proxy(text).map(drop),
        Key::From => address::from(text).map(drop),
        Key::Transport => one_of::<TransportName>("--transport", text),
        Key::Color => one_of::<ColorChoice>("--color", text),
        Key::Username => super::plain_username(text),
        Key::Realm => super::plain_realm(text),
        Key::MinAlgorithm => super::minimum(text).map(drop),
        Key::Ha1 => secret::ha1("--ha1", text).map(drop),
        Key::Contact => contact::contacts(&[text.to_owned()]).map(drop),
        Key::Expires => span::lifetime("--expires", text).map(drop),
        Key::Q => super::preference(text).map(drop),
        Key::Header => header::headers(&[text.to_owned()]).map(drop),
        Key::UserAgent => header::user_agent(Some(text.to_owned())).map(drop),
        Key::Bind => network::address("--bind", text).map(drop),
        Key::Nameserver => network::address("--nameserver", text).map(drop),
        Key::Advertise => network::advertise(text).map(drop),
        Key::Timeout => span::positive("--timeout", text).map(drop),
        Key::T1 => span::positive("--t1", text).map(drop),
        Key::RetryFor => span::or_none("--retry-for", text).map(drop),
        Key::StateDir => super::plain_dir(text.is_empty()),
        Key::PasswordFile | Key::Ha1File if text.is_empty() => Err(UsageError::new("is empty")),
        // Anything may be a password, and what has no text needs no rule.
        Key::Password
        | Key::PasswordFile
        | Key::PasswordCommand
        | Key::Ha1File
        | Key::Credentials
        | Key::Ipv4
        | Key::Ipv6
        | Key::Stateless
        | Key::Json
        | Key::Verbose
        | Key::Quiet => Ok(()),
    }
}

fn one_of<T: ValueEnum>(option: &str, text: &str) -> Result<(), UsageError> {
    if T::from_str(text, true).is_ok() {
        return Ok(());
    }
    let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let known = known.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ");
    Err(UsageError::value(option, text, format_args!("is not one of {known}")))
}
