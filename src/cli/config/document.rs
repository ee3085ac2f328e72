//! The whole file: `[defaults]` and the accounts.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::File;
use super::key::{Key, similar};
use super::table::{self, Entry, Layer, Table, at, in_order, kind};
use crate::cli::text::{escape, shown};
use crate::cli::usage::UsageError;
use crate::cli::values;

/// A file whose form is right. What its values say is not known yet.
#[derive(Debug, Default)]
pub struct Document {
    /// `[defaults]`.
    pub defaults: Layer,
    /// In the order of the file.
    pub accounts: Vec<Named>,
}

/// `[accounts.NAME]`.
#[derive(Debug)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it says.
    pub layer: Layer,
}

const TABLES: [&str; 2] = ["defaults", "accounts"];

impl Document {
    /// Reads it.
    ///
    /// # Errors
    /// The syntax, or the first key or value whose form is wrong; a secret that everybody may read,
    /// a program that others may choose.
    pub fn read(file: &File) -> Result<Document, UsageError> {
        let found = DeTable::parse(file.text()).map_err(|error| {
            // Only what is wrong is said, not the line, which may hold a password.
            let start = error.span().map_or(0, |span| span.start);
            at(file, start, &UsageError::new(format!("this is not TOML: {}", escape(error.message()))))
        })?;
        let mut document = Document::default();
        for (name, key_at, found) in in_order(found.get_ref()) {
            match name {
                "defaults" => {
                    let entries = entries(file, name, found)?;
                    document.defaults = table::read(file, Table::Defaults, entries)?;
                }
                "accounts" => document.accounts = accounts(file, entries(file, name, found)?)?,
                _ => return Err(at(file, key_at, &stray(name))),
            }
        }
        document.hold_close(file)?;
        Ok(document)
    }

    /// The account of that name.
    ///
    /// # Errors
    /// There is none, with the names that there are.
    pub fn account(&self, name: &str, file: &File) -> Result<&Named, UsageError> {
        let known = || self.accounts.iter().map(|account| account.name.as_str());
        let error = || {
            UsageError::new(format!(
                "AOR: {} is neither an address nor an account of {}",
                shown(name),
                file.name()
            ))
        };
        self.accounts.iter().find(|account| account.name == name).ok_or_else(|| {
            match similar(name, known()) {
                Some(similar) => error().hint(format!("did you mean {}?", escape(similar))),
                None if self.accounts.is_empty() => error()
                    .hint("there are no accounts; an address is sip:user@domain, or user@domain for short"),
                None => {
                    let names = known().map(escape).collect::<Vec<_>>().join(", ");
                    error().hint(format!(
                        "accounts: {names}; an address is sip:user@domain, or user@domain for short"
                    ))
                }
            }
        })
    }

    /// Refuses passwords in a file that everybody may read, and programs in one that others may write.
    fn hold_close(&self, file: &File) -> Result<(), UsageError> {
        let layers = || self.accounts.iter().map(|account| &account.layer).chain([&self.defaults]);
        let (access, name) = (file.access(), file.name());
        let refuse = |entry: &Entry, what: &str, hint: String| {
            let error = UsageError::new(format!("{}: {what}", entry.key.name())).hint(hint);
            Err(at(file, entry.key_at, &error))
        };
        if let Some(mode) = access.readable
            && let Some(entry) = layers().filter_map(Layer::plain_secret).min_by_key(|entry| entry.key_at)
        {
            let what = format!("everybody may read this file (mode {mode:04o})");
            return refuse(
                entry,
                &what,
                format!("chmod 600 {name}; or use password_command or password_file"),
            );
        }
        let Some(entry) = layers().filter_map(Layer::program).min_by_key(|entry| entry.key_at) else {
            return Ok(());
        };
        if let Some(mode) = access.writable {
            let what =
                format!("other users may write this file (mode {mode:04o}), and so run programs as you");
            return refuse(entry, &what, format!("chmod go-w {name}"));
        }
        if let Some(owner) = access.foreign {
            let what = format!("this file belongs to the user {owner}, who could so run programs as you");
            return refuse(entry, &what, format!("chown it to yourself, or copy it: {name}"));
        }
        Ok(())
    }
}

/// The AOR of an account as it is written, whatever else is wrong with the file.
pub fn rough_aor(file: &File, name: &str) -> Option<String> {
    let document = DeTable::parse(file.text()).ok()?;
    let accounts = document.get_ref().get("accounts")?.get_ref();
    let aor = accounts.get(name)?.get_ref().get("aor")?.get_ref();
    aor.as_str().map(str::to_owned)
}

fn accounts(file: &File, found: &DeTable<'_>) -> Result<Vec<Named>, UsageError> {
    let mut accounts = Vec::with_capacity(found.len());
    for (name, key_at, found) in in_order(found) {
        if !values::is_name(name) {
            let error = UsageError::new(format!("accounts: {} is no name for an account", shown(name)))
                .hint("a name is neither empty nor an address; the address goes into aor");
            return Err(at(file, key_at, &error));
        }
        let DeValue::Table(entries) = found.get_ref() else {
            let error = UsageError::new(format!("accounts: {} can't be used here", kind(found.get_ref())));
            let hint = match Key::named(name) {
                Some(_) => format!("{name} goes into the table of one account: [accounts.NAME]"),
                None => format!("write {}, and the account below it", Table::Account(name)),
            };
            return Err(at(file, found.span().start, &error.hint(hint)));
        };
        let layer = table::read(file, Table::Account(name), entries)?;
        if layer.get(Key::Aor).is_none() {
            let error = UsageError::new(format!("the account {} has no aor", shown(name)))
                .hint("the address that people call: aor = \"sip:you@example.com\"");
            return Err(at(file, key_at, &error));
        }
        accounts.push(Named { name: name.to_owned(), layer });
    }
    Ok(accounts)
}

fn entries<'t, 'i>(
    file: &File,
    name: &str,
    found: &'t Spanned<DeValue<'i>>,
) -> Result<&'t DeTable<'i>, UsageError> {
    let DeValue::Table(entries) = found.get_ref() else {
        let form = if name == "accounts" { "[accounts.NAME]" } else { "[defaults]" };
        let error = UsageError::new(format!("{name}: {} can't be used here", kind(found.get_ref())));
        return Err(at(
            file,
            found.span().start,
            &error.hint(format!("write {form}, and the keys below it")),
        ));
    };
    Ok(entries)
}

/// What stands at the top and is neither of the tables.
fn stray(name: &str) -> UsageError {
    if Key::named(name).is_some() {
        return UsageError::new(format!("{name} stands in no table"))
            .hint("put it below [defaults] or [accounts.NAME]");
    }
    let error = UsageError::new(format!("there is no table or key {}", shown(name)));
    match similar(name, TABLES) {
        Some(similar) => error.hint(format!("did you mean {similar}?")),
        None => error.hint("a file has [defaults] and [accounts.NAME]"),
    }
}
