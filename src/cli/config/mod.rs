//! The configuration file: options that the user does not want to type again, for all (`[defaults]`) and for each
//! account (`[accounts.NAME]`).
//!
//! It goes this way: [`file::File`] reads it, `Document` makes tables of it, and [`consult`] adds those of their
//! entries that count to what was typed. From then on a value is a value, wherever it came from; [`Origins`] remembers
//! where, for complaints.
//!
//! What is wrong with the form is wrong wherever it stands: syntax, a key that nobody knows, a value of the wrong
//! type, two secrets where one is meant, an account without an AOR, a password that everybody may read, a program that
//! others may choose. What a value says is looked at in `[defaults]` and in the account that is used, so that one
//! account does not keep another from working.
//!
//! No message repeats a line of the file, nor a value of a key that holds a secret.

mod document;
pub mod file;
pub mod key;
mod merge;
mod table;

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Environment;
use super::options::Typed;
use super::secret::{self, Origin};
use super::text::shown;
use super::usage::UsageError;
use super::values;
use document::Document;
use file::File;
use key::Key;

/// Where the values stand that the file gave.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Says a complaint about an option as one about the key that gave its value, if one did.
    #[must_use]
    pub fn complain(&self, error: UsageError) -> UsageError {
        let (option, _) = secret::split(&error.message);
        match self.0.iter().find(|origin| Some(origin.key) == option.as_deref()) {
            Some(origin) => origin.complain(error),
            None => error,
        }
    }
}

/// Adds what the configuration file says to what was typed: the account, if the AOR is the name of one, and
/// `[defaults]`. On an error, what shapes the output is there already.
///
/// # Errors
/// The file can't be used, or there is no such account.
pub fn consult(args: &mut Typed, environment: &Environment) -> Result<Origins, UsageError> {
    let name = args.aor.clone().filter(|aor| values::is_name(aor));
    let Some(file) = File::read(args.network.config.as_deref(), environment)? else {
        return name.map_or_else(|| Ok(Origins::default()), |name| Err(no_file(&name, environment)));
    };
    let document = match Document::read(&file) {
        Ok(document) => document,
        Err(error) => {
            // What is reported names the address all the same.
            args.aor = name.and_then(|name| document::rough_aor(&file, &name)).or(args.aor.take());
            return Err(error);
        }
    };
    let mut layers = vec![&document.defaults];
    let unknown = match name.map(|name| document.account(&name, &file)) {
        Some(Ok(account)) => {
            layers.insert(0, &account.layer);
            None
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    let typed_name = args.identity.username.clone();
    let mut origins = Origins::default();
    for entry in merge::strongest(&layers) {
        let used = merge::put(args, entry, &file, environment);
        if entry.key == Key::Aor {
            args.aor = entry.text();
        }
        if used || entry.key == Key::Aor {
            origins.0.push(Origin { key: entry.key.name(), place: file.place(entry.at) });
        }
    }
    if let Some(error) = unknown {
        return Err(error);
    }
    layers.iter().try_for_each(|layer| merge::check(&file, layer))?;
    args.locked = merge::locked(&file, &layers, typed_name.as_deref(), environment)?;
    Ok(origins)
}

fn no_file(name: &str, environment: &Environment) -> UsageError {
    let error = UsageError::new(format!("AOR: {} is not an address: it has no @", shown(name)));
    let form = "write it as sip:user@domain, or user@domain for short";
    match file::default_path(environment) {
        Some(path) => error
            .hint(format!("{form}; accounts are looked up in {}, which is not there", file::shown(&path))),
        None => error.hint(format!("{form}; accounts are looked up in a configuration file: --config FILE")),
    }
}

/// The names of the accounts, for completion: none, if there is anything wrong with the file or it is none. A name
/// that could command the terminal is left out.
#[must_use]
pub fn account_names(environment: &Environment, config: Option<&Path>) -> Vec<String> {
    let Some(path) = config.map(Path::to_owned).or_else(|| file::default_path(environment)) else {
        return Vec::new();
    };
    // Opening a pipe would wait for whoever writes, and somebody has pressed Tab.
    if !std::fs::metadata(&path).is_ok_and(|found| found.is_file()) {
        return Vec::new();
    }
    let Ok(Some(file)) = File::read(Some(&path), environment) else { return Vec::new() };
    let Ok(document) = DeTable::parse(file.text()) else { return Vec::new() };
    let accounts = document.get_ref().get("accounts").map(|accounts| accounts.get_ref());
    let Some(DeValue::Table(accounts)) = accounts else { return Vec::new() };
    let names = accounts.keys().map(|name| name.get_ref().to_string());
    names.filter(|name| values::is_name(name) && !name.contains(char::is_control)).collect()
}

#[cfg(test)]
mod tests;
