//! `--contact`: a bare URI, or a Contact value as on the wire.

use crate::cli::usage::UsageError;
use crate::sip::{NameAddr, Q};

use super::address::quoted;

const OPTION: &str = "--contact";

/// Reads all of them.
///
/// # Errors
/// The first that is no URI, has a parameter out of range, or is there already.
pub fn contacts(texts: &[String]) -> Result<Vec<NameAddr>, UsageError> {
    let mut contacts: Vec<NameAddr> = Vec::with_capacity(texts.len());
    for text in texts {
        let contact = contact(text)?;
        if contacts.iter().any(|other| other.uri.matches(&contact.uri)) {
            return Err(UsageError::new(format!("{OPTION} {} is given twice", quoted(&contact.uri)))
                .hint("one binding has one lifetime and one preference: give it once"));
        }
        contacts.push(contact);
    }
    Ok(contacts)
}

/// Whether this contact says itself that it wants to stay, whatever `--expires` says.
pub fn is_kept(contact: &NameAddr) -> bool {
    contact.params.token("expires").is_some_and(|seconds| seconds != "0")
}

/// Whether these may be bound. What is to be removed may be as odd as somebody else made it.
///
/// # Errors
/// The first with a URI parameter that no Contact has (RFC 3261 §19.1.1, table 1).
pub fn bindable(contacts: &[NameAddr]) -> Result<(), UsageError> {
    for contact in contacts {
        let has = |name: &str| contact.uri.sip().is_some_and(|uri| uri.param(name).is_some());
        if let Some(name) = ["lr", "method"].into_iter().find(|name| has(name)) {
            let what = format_args!("has the {name} parameter, which no Contact may have");
            return Err(UsageError::value(OPTION, &contact.uri.to_string(), what));
        }
    }
    Ok(())
}

fn contact(text: &str) -> Result<NameAddr, UsageError> {
    if text.trim() == "*" {
        return Err(UsageError::value(
            OPTION,
            text,
            "means the bindings of every device of the AOR, and names none",
        )
        .hint("'sipreg unregister AOR --all' removes every one, 'sipreg list AOR' shows them"));
    }
    if text.contains(char::is_control) {
        return Err(UsageError::value(OPTION, text, "holds a control character"));
    }
    // A bare URI goes in brackets, so that its parameters stay its own (RFC 3261 §20.10).
    let spelled = if text.contains('<') { text.to_owned() } else { format!("<{text}>") };
    let contact = NameAddr::parse(&spelled).map_err(|problem| {
        UsageError::value(OPTION, text, format_args!("is not a contact: it {problem}"))
            .hint("write sip:you@192.0.2.7:5060, or '<sip:you@192.0.2.7:5060>;q=0.5' with Contact parameters")
    })?;
    if let Some(value) = contact.params.get("expires")
        && !value.is_some_and(is_lifetime)
    {
        return Err(UsageError::value(
            OPTION,
            text,
            "has an expires that is not whole seconds up to 4294967295",
        ));
    }
    if let Some(value) = contact.params.get("q")
        && value.and_then(Q::parse).is_none()
    {
        return Err(UsageError::value(OPTION, text, "has a q that is not a number from 0 to 1"));
    }
    Ok(contact)
}

fn is_lifetime(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<u32>().is_ok()
}
