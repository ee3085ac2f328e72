//! The configuration file: options that the user does not want to type again, for all (`[defaults]`) and for each
//! account (`[accounts.NAME]`).
//!
//! [`Configuration::read`] finds all that is wrong with its form: syntax, a key that nobody knows, a value of another
//! type, two where one is meant, an account without an AOR, a password that everybody may read, a program that others
//! may choose. [`Configuration::complete`] adds what it says to what was typed; it complains about values in
//! `[defaults]` and in the account that is used, so that one account does not keep another from working.
//!
//! No message repeats a line of the file, nor a value of a key that holds a secret.

pub mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Environment;
use super::options::{Options, Request};
use super::secret::{ConfiguredSecret, Origin, SecretSource};
use super::table::{Base, Mistake, Place, Reader, Setting, in_order};
use super::text::{escape, shown};
use super::usage::UsageError;
use super::values::{Aor, Ha1, Realm, UserName, is_name};
use file::File;

/// What the file says.
#[derive(Default)]
pub struct Configuration {
    /// The file; `None` where there is none.
    file: Option<File>,
    /// `[defaults]`.
    defaults: Table,
    /// `[accounts.NAME]`, in the order of the file.
    accounts: Vec<(String, Table)>,
    /// The place of each account among them.
    names: BTreeMap<String, usize>,
    /// What is wrong with its form.
    mistake: Option<UsageError>,
}

/// `[defaults]`, an account, or one of its credentials.
#[derive(Default)]
struct Table {
    /// The address as it is written.
    aor: Option<String>,
    options: Options,
    credentials: Vec<(Table, usize)>,
    places: Vec<Place>,
    /// Values that make no sense.
    mistakes: Vec<Mistake>,
}

/// Which table it is, for what may stand in it and for messages.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Defaults,
    Account(&'a str),
    Credential(&'a str),
}

/// Options that make sense only where they are typed. So do those that are a plain `bool`.
const ONLY_TYPED: &[&str] = &["all", "config", "help", "version", "yes"];

/// Keys that only an account has.
const OF_ACCOUNTS: &[&str] = &["aor", "credentials"];

/// Keys whose value is a secret as it stands there.
const PLAIN_SECRETS: &[&str] = &["password", "ha1"];

/// Keys of secrets, of which a table has one.
const SECRETS: &[&str] = &["password_command", "password_file", "password", "no_password", "ha1", "ha1_file"];

impl Kind<'_> {
    fn takes(self, key: &str) -> bool {
        match self {
            Kind::Defaults => !ONLY_TYPED.contains(&key) && !OF_ACCOUNTS.contains(&key),
            Kind::Account(_) => !ONLY_TYPED.contains(&key),
            Kind::Credential(_) => ["realm", "username"].contains(&key) || SECRETS.contains(&key),
        }
    }

    /// The complaint about a key that does not belong there.
    fn stranger(self, name: &str, reader: &Reader<'_>) -> UsageError {
        if reader.only_typed.contains(&name) || ONLY_TYPED.contains(&name) {
            return UsageError::option(name, "belongs on the command line, not in a file");
        }
        if reader.known.contains(&name) {
            let error = UsageError::option(name, format_args!("does not belong in {self}"));
            return match self {
                Kind::Defaults => error.hint("it belongs to one account: [accounts.NAME]"),
                Kind::Account(_) | Kind::Credential(_) => {
                    let secrets = SECRETS.join(", ");
                    error.hint(format!("here are realm, username and one of {secrets}"))
                }
            };
        }
        let error = UsageError::new(format!("there is no key {} for {self}", shown(name)));
        match similar(name, reader.known.iter().copied().filter(|key| self.takes(key))) {
            Some(similar) => error.hint(format!("did you mean {similar}?")),
            None => error.hint("keys are the long options of 'sipreg register --help', with _ for each -"),
        }
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key as TOML wants it.
        let bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        let key = |name: &str| if name.bytes().all(bare) { name.to_owned() } else { shown(name) };
        match self {
            Kind::Defaults => f.write_str("[defaults]"),
            Kind::Account(name) => write!(f, "[accounts.{}]", key(name)),
            Kind::Credential(name) => write!(f, "[[accounts.{}.credentials]]", key(name)),
        }
    }
}

impl Configuration {
    /// Reads the file that the user named, else the usual one, which need not exist. What is wrong with its form is
    /// told by [`Configuration::complete`].
    ///
    /// # Errors
    /// It can't be read, or is no TOML.
    pub fn read(named: Option<&Path>, environment: &Environment) -> Result<Configuration, UsageError> {
        let Some(file) = File::read(named, environment)? else { return Ok(Configuration::default()) };
        let found = DeTable::parse(file.text()).map_err(|error| {
            // Only what is wrong is said, not the line, which may hold a password.
            let start = error.span().map_or(0, |span| span.start);
            UsageError::new(format!("this is not TOML: {}", escape(error.message()))).at(file.place(start))
        })?;
        let mut configuration = Configuration::default();
        let mut mistakes = configuration.take(found.get_ref(), &file.base(environment));
        if mistakes.is_empty() {
            mistakes.extend(configuration.exposed(&file));
        }
        let first = mistakes.into_iter().min_by_key(|mistake| mistake.at);
        configuration.mistake = first.map(|Mistake { at, error, .. }| error.at(file.place(at)));
        drop(found);
        Ok(Configuration { file: Some(file), ..configuration })
    }

    /// Takes all tables. What is wrong with their form comes back.
    fn take(&mut self, found: &DeTable<'_>, base: &Base) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (name, key_at, found) in in_order(found) {
            match (name, found.get_ref()) {
                ("defaults", DeValue::Table(entries)) => {
                    self.defaults = Table::read(entries, Kind::Defaults, base, &mut mistakes);
                }
                ("accounts", DeValue::Table(accounts)) => {
                    for (name, key_at, found) in in_order(accounts) {
                        let account = account(name, key_at, found, base, &mut mistakes);
                        if let Some(table) = account {
                            self.names.insert(name.to_owned(), self.accounts.len());
                            self.accounts.push((name.to_owned(), table));
                        }
                    }
                }
                ("defaults", _) => mistakes.push(no_table(name, "[defaults]", found)),
                ("accounts", _) => mistakes.push(no_table(name, "[accounts.NAME]", found)),
                _ => mistakes.push(Mistake::form(key_at, no_such_table(name))),
            }
        }
        mistakes
    }

    /// A password in a file that everybody may read, or a program in one that others may write.
    fn exposed(&self, file: &File) -> Option<Mistake> {
        let (access, name) = (file.access(), file.name());
        let first = |keys: &[&str]| {
            let accounts = self.accounts.iter().map(|(_, table)| table);
            let tables = accounts.flat_map(Table::with_credentials).chain([&self.defaults]);
            let places = tables.flat_map(|table| &table.places);
            places.filter(|place| keys.contains(&place.key)).min_by_key(|place| place.key_at).copied()
        };
        let mistake = |place: Place, what: String, hint: String| {
            Some(Mistake::form(place.key_at, UsageError::option(place.key, what).hint(hint)))
        };
        if let (Some(mode), Some(place)) = (access.readable, first(PLAIN_SECRETS)) {
            let hint = format!("chmod 600 {name}; or use password_command or password_file");
            return mistake(place, format!("everybody may read this file (mode {mode:04o})"), hint);
        }
        let place = first(&["password_command"])?;
        if let Some(mode) = access.writable {
            let what =
                format!("other users may write this file (mode {mode:04o}), and so run programs as you");
            return mistake(place, what, format!("chmod go-w {name}"));
        }
        let owner = access.foreign?;
        let what = format!("this file belongs to the user {owner}, who could so run programs as you");
        mistake(place, what, format!("chown it to yourself, or copy it: {name}"))
    }

    /// Adds what the file says to what was typed: the account, if the AOR is the name of one, and `[defaults]`. On an
    /// error what shapes the output is there already, as far as it is known.
    ///
    /// # Errors
    /// The form of the file is wrong, a value that counts makes no sense, or there is no such account.
    pub fn complete(
        &self,
        request: &mut Request,
        environment: &Environment,
    ) -> Result<Additions<'_>, UsageError> {
        let name = request.aor.clone().filter(|aor| is_name(aor));
        let Some(file) = &self.file else {
            return name.map_or_else(|| Ok(Additions::default()), |name| Err(no_file(&name, environment)));
        };
        let account = name.as_deref().map(|name| self.account(name, file)).transpose();
        if let Ok(Some(account)) = &account {
            request.aor = account.aor.clone().or(request.aor.take());
        }
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let tables: Vec<&Table> = account.iter().flatten().copied().chain([&self.defaults]).collect();
        let mut stated = tables.iter().rev().fold(Options::default(), |weaker, table| table.or(weaker));
        let secret = SecretSource::take(&mut stated.identity);
        let username = request.options.identity.username.clone();
        let typed = request.keys();
        request.options = std::mem::take(&mut request.options).or(stated);
        account?;
        for table in &tables {
            if let Some(Mistake { at, error, .. }) = table.mistakes.iter().min_by_key(|mistake| mistake.at) {
                return Err(error.clone().at(file.place(*at)));
            }
        }
        let credentials = tables.iter().flat_map(|table| &table.credentials);
        let mut secrets: Vec<_> =
            credentials.filter_map(|(table, _)| table.secret(username.as_ref(), file)).collect();
        secrets.sort_by_key(|secret| secret.realm.is_none());
        let mut additions = Additions { file: Some(file), tables, typed, secrets };
        if let Some((key, source)) = secret {
            let place = additions.place(key).unwrap_or_default();
            let origin = Origin { key, place };
            additions.secrets.push(ConfiguredSecret { realm: None, username: None, source, origin });
        }
        Ok(additions)
    }

    /// The account of that name.
    fn account(&self, name: &str, file: &File) -> Result<&Table, UsageError> {
        if let Some((_, table)) = self.names.get(name).and_then(|at| self.accounts.get(*at)) {
            return Ok(table);
        }
        let known = || self.accounts.iter().map(|(name, _)| name.as_str());
        let reason = format!("is neither an address nor an account of {}", file.name());
        let error = UsageError::value("AOR", name, reason);
        let form = "an address is sip:user@domain, or user@domain for short";
        Err(match similar(name, known()) {
            Some(similar) => error.hint(format!("did you mean {}?", escape(similar))),
            None if self.accounts.is_empty() => error.hint(format!("there are no accounts; {form}")),
            None => {
                let names = known().map(escape).collect::<Vec<_>>().join(", ");
                error.hint(format!("accounts: {names}; {form}"))
            }
        })
    }
}

/// What came from the file, and from where in it.
#[derive(Default)]
pub struct Additions<'a> {
    file: Option<&'a File>,
    /// The account and `[defaults]`, the stronger one first.
    tables: Vec<&'a Table>,
    /// The keys that what was typed decides.
    typed: Vec<&'static str>,
    /// The secrets that the file names, those of one realm before those of any, as the core wants them.
    pub secrets: Vec<ConfiguredSecret>,
}

impl Additions<'_> {
    /// Says a complaint about an option as one about the key that gave its value, if one did.
    pub fn complain(&self, error: UsageError) -> UsageError {
        let key = error.key().filter(|key| !self.typed.contains(&key.as_str()));
        match key.and_then(|key| self.place(&key)) {
            Some(place) => error.at(place),
            None => error,
        }
    }

    /// Where the value of a key stands.
    fn place(&self, key: &str) -> Option<String> {
        let place = self.tables.iter().find_map(|table| table.place(key))?;
        Some(self.file?.place(place.at))
    }
}

impl Table {
    /// Reads one. What is wrong with its form goes to the mistakes.
    fn read(found: &DeTable<'_>, kind: Kind<'_>, base: &Base, mistakes: &mut Vec<Mistake>) -> Table {
        let takes = |key: &str| kind.takes(key);
        let mut reader = Reader::new(found, base, &takes);
        let options = Options::read("", &mut reader);
        // It is read again with what was typed.
        let _: Option<Aor> = reader.take("aor");
        let aor = found.get("aor").and_then(|aor| aor.get_ref().as_str()).map(str::to_owned);
        let credentials = match (kind, found.get("credentials")) {
            (Kind::Account(name), Some(found)) => credentials(name, found, base, mistakes),
            _ => Vec::new(),
        };
        reader.known.push("credentials");
        let is_stranger =
            |name: &str| reader.place(name).is_none() && !(name == "credentials" && kind.takes(name));
        let strangers = in_order(found).into_iter().filter(|(name, ..)| is_stranger(name));
        mistakes.extend(strangers.map(|(name, at, _)| Mistake::form(at, kind.stranger(name, &reader))));
        let Reader { places, mistakes: found, .. } = reader;
        let (forms, values) = found.into_iter().partition(|mistake| mistake.is_form);
        mistakes.extend::<Vec<_>>(forms);
        let mut table = Table { aor, options, credentials, places, mistakes: values };
        mistakes.extend(table.second_secret());
        for (credential, _) in &mut table.credentials {
            table.mistakes.append(&mut credential.mistakes);
        }
        table
    }

    /// What it says, completed by what a weaker one says.
    fn or(&self, mut weaker: Options) -> Options {
        // A secret for whatever realm asks keeps out another one.
        if self.credentials.iter().any(|(credential, _)| credential.options.identity.realm.is_none()) {
            let _ = SecretSource::take(&mut weaker.identity);
        }
        self.options.clone().or(weaker)
    }

    fn with_credentials(&self) -> impl Iterator<Item = &Table> {
        self.credentials.iter().map(|(credential, _)| credential).chain([self])
    }

    fn place(&self, key: &str) -> Option<Place> {
        self.places.iter().find(|place| place.key == key).copied()
    }

    /// The secret of credentials. Who was typed is meant wherever a name goes.
    fn secret(&self, typed: Option<&UserName>, file: &File) -> Option<ConfiguredSecret> {
        let mut identity = self.options.identity.clone();
        let (key, source) = SecretSource::take(&mut identity)?;
        let username = typed.cloned().or(identity.username).map(|UserName(name)| name);
        let place = self.place(key).map(|place| file.place(place.at)).unwrap_or_default();
        let realm = identity.realm.map(|Realm(realm)| realm);
        Some(ConfiguredSecret { realm, username, source, origin: Origin { key, place } })
    }

    fn has_secret(&self) -> bool {
        self.places.iter().any(|place| SECRETS.contains(&place.key))
    }

    /// The first of the credentials that is for what another secret is for already.
    fn second_secret(&self) -> Option<Mistake> {
        let realm = |table: &Table| table.options.identity.realm.clone();
        let (_, (second, at)) = self.credentials.iter().enumerate().find(|(n, (credential, _))| {
            let others = self.credentials.iter().take(*n).map(|(other, _)| other);
            let mut others = others.filter(|other| realm(other) == realm(credential));
            self.has_secret() && realm(credential).is_none()
                || others.any(|other| !stand_together(other, credential))
        })?;
        let error = |what: &str| UsageError::option("credentials", what);
        let error = match realm(second) {
            Some(realm) => error(&format!("this is a second secret for the realm {}", shown(&realm.0)))
                .hint("keep one of them; only HA1s of different algorithms go together"),
            None => error("this is a second secret for whatever realm asks").hint("give all but one a realm"),
        };
        Some(Mistake::form(*at, error))
    }
}

/// Whether both are hashes, which is one for each algorithm. What a file holds is not known yet.
fn stand_together(one: &Table, other: &Table) -> bool {
    let is_hash = |table: &Table| table.place("ha1").or_else(|| table.place("ha1_file")).is_some();
    let algorithm =
        |table: &Table| table.options.identity.ha1.as_ref().map(|Ha1 { algorithm, .. }| *algorithm);
    is_hash(one) && is_hash(other) && (algorithm(one).is_none() || algorithm(one) != algorithm(other))
}

/// Reads `[accounts.NAME]`.
fn account(
    name: &str,
    key_at: usize,
    found: &Spanned<DeValue<'_>>,
    base: &Base,
    mistakes: &mut Vec<Mistake>,
) -> Option<Table> {
    if !is_name(name) {
        let reason = format!("{} is no name for an account", shown(name));
        let error = UsageError::option("accounts", reason);
        let hint = "a name is neither empty nor an address; the address goes into aor";
        mistakes.push(Mistake::form(key_at, error.hint(hint)));
        return None;
    }
    let DeValue::Table(entries) = found.get_ref() else {
        let hint = if keys().contains(&name) {
            format!("{name} goes into the table of one account: [accounts.NAME]")
        } else {
            format!("write {}, and the account below it", Kind::Account(name))
        };
        mistakes.push(Mistake::of_type(found).about("accounts", hint));
        return None;
    };
    let before = mistakes.len();
    let table = Table::read(entries, Kind::Account(name), base, mistakes);
    if mistakes.len() == before && !entries.contains_key("aor") {
        let error = UsageError::new(format!("the account {} has no aor", shown(name)))
            .hint("the address that people call: aor = \"sip:you@example.com\"");
        mistakes.push(Mistake::form(key_at, error));
    }
    Some(table)
}

/// Reads `[[accounts.NAME.credentials]]`, each with its place.
fn credentials(
    name: &str,
    found: &Spanned<DeValue<'_>>,
    base: &Base,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(Table, usize)> {
    let kind = Kind::Credential(name);
    let wrong = |found: &Spanned<DeValue<'_>>| {
        let hint = format!("write {kind}, and below it realm, username and a secret");
        Mistake::of_type(found).about("credentials", hint)
    };
    let DeValue::Array(all) = found.get_ref() else {
        mistakes.push(wrong(found));
        return Vec::new();
    };
    let mut tables = Vec::with_capacity(all.len());
    for found in all.iter() {
        let DeValue::Table(entries) = found.get_ref() else {
            mistakes.push(wrong(found));
            continue;
        };
        let (at, before) = (found.span().start, mistakes.len());
        let table = Table::read(entries, kind, base, mistakes);
        if mistakes.len() == before && !table.has_secret() {
            let error = UsageError::option("credentials", "there is no secret")
                .hint("add password_command, password_file, password, ha1 or ha1_file");
            mistakes.push(Mistake::form(at, error));
        }
        tables.push((table, at));
    }
    tables
}

/// Something else in the place of a table.
fn no_table(name: &str, form: &str, found: &Spanned<DeValue<'_>>) -> Mistake {
    Mistake::of_type(found).about(name, format!("write {form}, and the keys below it"))
}

/// What stands at the top and is neither of the tables.
fn no_such_table(name: &str) -> UsageError {
    if keys().contains(&name) {
        return UsageError::option(name, "stands in no table")
            .hint("put it below [defaults] or [accounts.NAME]");
    }
    let error = UsageError::new(format!("there is no table or key {}", shown(name)));
    match similar(name, ["defaults", "accounts"]) {
        Some(similar) => error.hint(format!("did you mean {similar}?")),
        None => error.hint("a file has [defaults] and [accounts.NAME]"),
    }
}

/// The keys that the file may hold, and a few that it may not ([`ONLY_TYPED`]).
fn keys() -> Vec<&'static str> {
    let (nothing, base) = (DeTable::new(), Base::default());
    let mut reader = Reader::new(&nothing, &base, &|_| false);
    let _ = Options::read("", &mut reader);
    reader.known.iter().chain(OF_ACCOUNTS).copied().collect()
}

/// The known word that is most like this one, if any is: clap's own measure.
fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::jaro(&word, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(one, _), (two, _)| one.total_cmp(two))
        .map(|(_, known)| known)
}

fn no_file(name: &str, environment: &Environment) -> UsageError {
    let error = UsageError::value("AOR", name, "is not an address: it has no @");
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
    names.filter(|name| is_name(name) && !name.contains(char::is_control)).collect()
}

#[cfg(test)]
mod tests;
