//! One table of the file as a list of [`Entry`]s, each with its place. What is wrong here is wrong whoever is asked
//! for: unknown keys, wrong types, two where one is meant.

use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::file::File;
use super::key::{Group, Key, Shape, TYPED_ONLY, similar};
use crate::cli::secret;
use crate::cli::text::shown;
use crate::cli::usage::UsageError;
use crate::proto::digest::{Hidden, Secret};

/// Which table it is, for what may stand in it and for messages.
#[derive(Clone, Copy, Debug)]
pub enum Table<'a> {
    /// `[defaults]`.
    Defaults,
    /// `[accounts.NAME]`.
    Account(&'a str),
    /// One of `[[accounts.NAME.credentials]]`.
    Credential(&'a str),
}

impl Table<'_> {
    fn takes(self, key: Key) -> bool {
        match self {
            Table::Defaults => !matches!(key, Key::Aor | Key::Credentials),
            Table::Account(_) => true,
            Table::Credential(_) => {
                matches!(key, Key::Realm | Key::Username) || key.group() == Some(Group::Secret)
            }
        }
    }
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Table::Defaults => f.write_str("[defaults]"),
            Table::Account(name) => write!(f, "[accounts.{}]", bare_or_quoted(name)),
            Table::Credential(name) => write!(f, "[[accounts.{}.credentials]]", bare_or_quoted(name)),
        }
    }
}

/// A key as TOML wants it.
fn bare_or_quoted(name: &str) -> String {
    let bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if name.bytes().all(bare) { name.to_owned() } else { shown(name) }
}

/// A key with its value.
#[derive(Debug)]
pub struct Entry {
    /// Which one.
    pub key: Key,
    /// Where the key stands.
    pub key_at: usize,
    /// Where the value stands.
    pub at: usize,
    /// The value.
    pub value: Value,
}

/// The value of a key.
#[derive(Debug)]
pub enum Value {
    /// One text or several, each with its place.
    Texts(Vec<(String, usize)>),
    /// A password or HA1.
    Secret(Hidden),
    /// On or off.
    Switch(bool),
    /// How much.
    Level(u8),
}

impl Entry {
    /// The group it takes for itself. Switched off, it takes none.
    pub fn occupies(&self) -> Option<Group> {
        match self.value {
            Value::Switch(false) | Value::Level(0) => None,
            Value::Texts(_) | Value::Secret(_) | Value::Switch(true) | Value::Level(_) => self.key.group(),
        }
    }

    /// All its texts.
    pub fn texts(&self) -> Vec<String> {
        match &self.value {
            Value::Texts(texts) => texts.iter().map(|(text, _)| text.clone()).collect(),
            Value::Secret(_) | Value::Switch(_) | Value::Level(_) => Vec::new(),
        }
    }

    /// Its one text.
    pub fn text(&self) -> Option<String> {
        self.texts().into_iter().next()
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        matches!(self.value, Value::Switch(true))
    }
}

/// All entries of one table.
#[derive(Debug, Default)]
pub struct Layer {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// The tables under `credentials`, each with its place.
    pub credentials: Vec<(Layer, usize)>,
}

impl Layer {
    /// The entry of a key.
    pub fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entry that takes a group for itself.
    pub fn occupant(&self, group: Group) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.occupies() == Some(group))
    }

    /// The secret for whatever realm asks, here or in credentials without a realm.
    pub fn has_secret(&self) -> bool {
        self.occupant(Group::Secret).is_some()
            || self.credentials.iter().any(|(layer, _)| layer.get(Key::Realm).is_none())
    }

    /// Where the first secret stands that is readable as it is.
    pub fn plain_secret(&self) -> Option<&Entry> {
        self.first(|entry| matches!(entry.value, Value::Secret(_)))
    }

    /// Where the first program stands.
    pub fn program(&self) -> Option<&Entry> {
        self.first(|entry| entry.key == Key::PasswordCommand)
    }

    /// The first one of which this holds, here or in credentials.
    fn first(&self, holds: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let own = self.entries.iter();
        let all = own.chain(self.credentials.iter().flat_map(|(layer, _)| layer.entries.iter()));
        all.filter(|entry| holds(entry)).min_by_key(|entry| entry.key_at)
    }
}

/// The entries of a table in the order of the file.
pub fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t str, usize, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value)).collect();
    entries.sort_by_key(|(_, at, _)| *at);
    entries
}

/// Reads one table.
///
/// # Errors
/// The first key that is not known or does not belong here, the first value of a wrong type, the first entry that
/// excludes another.
pub fn read(file: &File, table: Table<'_>, found: &DeTable<'_>) -> Result<Layer, UsageError> {
    let mut layer = Layer::default();
    for (name, key_at, found) in in_order(found) {
        let key = key(table, name).map_err(|error| at(file, key_at, &error))?;
        let start = found.span().start;
        if key.shape() == Shape::Tables {
            layer.credentials = credentials(file, table, found)?;
            continue;
        }
        let value = value(file, key, found)?;
        let entry = Entry { key, key_at, at: start, value };
        if let Some(group) = entry.occupies()
            && let Some(other) = layer.occupant(group)
        {
            return Err(at(file, key_at, &clash(group, &entry, other)));
        }
        layer.entries.push(entry);
    }
    if let Some((credential, second)) = second_secret(&layer) {
        let error = match credential.get(Key::Realm).and_then(Entry::text) {
            Some(realm) => UsageError::new(format!(
                "credentials: this is a second secret for the realm {}",
                shown(&realm)
            ))
            .hint("keep one of them; only HA1s of different algorithms go together"),
            None => UsageError::new("credentials: this is a second secret for whatever realm asks")
                .hint("give all but one a realm"),
        };
        return Err(at(file, second, &error));
    }
    Ok(layer)
}

/// `FILE:LINE:COLUMN: ` before the message.
pub fn at(file: &File, offset: usize, error: &UsageError) -> UsageError {
    UsageError { message: format!("{}: {}", file.place(offset), error.message), ..error.clone() }
}

fn key(table: Table<'_>, name: &str) -> Result<Key, UsageError> {
    if let Some(key) = Key::named(name) {
        if table.takes(key) {
            return Ok(key);
        }
        let error = UsageError::new(format!("{name} does not belong in {table}"));
        return Err(match table {
            Table::Defaults => error.hint("it belongs to one account: [accounts.NAME]"),
            Table::Account(_) | Table::Credential(_) => {
                error.hint("here are realm, username and one of password_command, password_file, password, ha1, ha1_file")
            }
        });
    }
    if TYPED_ONLY.contains(&name) {
        return Err(UsageError::new(format!("{name} belongs on the command line, not in a file")));
    }
    let error = UsageError::new(format!("there is no key {} for {table}", shown(name)));
    let known = Key::ALL.iter().filter(|key| table.takes(**key)).map(|key| key.name());
    Err(match similar(name, known) {
        Some(similar) => error.hint(format!("did you mean {similar}?")),
        None => error.hint("keys are the long options of 'sipreg register --help', with _ for each -"),
    })
}

fn clash(group: Group, entry: &Entry, other: &Entry) -> UsageError {
    let (name, other) = (entry.key.name(), other.key.name());
    match group {
        Group::Secret => UsageError::new(format!("{name} is a second secret beside {other}"))
            .hint("keep one; those of other realms go into [[accounts.NAME.credentials]], with realm"),
        Group::Family | Group::Memory | Group::Volume => {
            UsageError::new(format!("{name} can't be used with {other}")).hint("keep one of them")
        }
    }
}

/// The first of the credentials that is for what another secret is for already.
fn second_secret(layer: &Layer) -> Option<(&Layer, usize)> {
    let own = layer.occupant(Group::Secret).is_some();
    let realm = |layer: &Layer| layer.get(Key::Realm).and_then(Entry::text);
    let mut before = layer.credentials.iter().enumerate();
    before.find_map(|(n, (credential, at))| {
        let realm_of_it = realm(credential);
        let mut others = layer.credentials.iter().take(n).filter(|(other, _)| realm(other) == realm_of_it);
        let is_second =
            own && realm_of_it.is_none() || others.any(|(other, _)| !stand_together(other, credential));
        is_second.then_some((credential, *at))
    })
}

/// Whether both are hashes, which is one for each algorithm. What a file holds is not known yet.
fn stand_together(one: &Layer, other: &Layer) -> bool {
    let is_hash = |layer: &Layer| layer.get(Key::Ha1).or_else(|| layer.get(Key::Ha1File)).is_some();
    let algorithm = |layer: &Layer| match layer.get(Key::Ha1).map(|entry| &entry.value) {
        Some(Value::Secret(text)) => match secret::ha1("--ha1", text.reveal()) {
            Ok(Secret::Ha1 { algorithm, .. }) => Some(algorithm),
            Ok(Secret::Password(_)) | Err(_) => None,
        },
        _ => None,
    };
    is_hash(one) && is_hash(other) && (algorithm(one).is_none() || algorithm(one) != algorithm(other))
}

fn credentials(
    file: &File,
    table: Table<'_>,
    found: &Spanned<DeValue<'_>>,
) -> Result<Vec<(Layer, usize)>, UsageError> {
    let name = match table {
        Table::Account(name) | Table::Credential(name) => name,
        Table::Defaults => "NAME",
    };
    let table = Table::Credential(name);
    let wrong = |start: usize, found: &DeValue<'_>| {
        let error = UsageError::new(format!("credentials: {} can't be used here", kind(found)));
        Err(at(file, start, &error.hint(format!("write {table}, and below it realm, username and a secret"))))
    };
    let DeValue::Array(tables) = found.get_ref() else { return wrong(found.span().start, found.get_ref()) };
    let mut layers = Vec::with_capacity(tables.len());
    for found in tables.iter() {
        let start = found.span().start;
        let DeValue::Table(entries) = found.get_ref() else { return wrong(start, found.get_ref()) };
        let layer = read(file, table, entries)?;
        if layer.occupant(Group::Secret).is_none() {
            let error = UsageError::new("credentials: there is no secret")
                .hint("add password_command, password_file, password, ha1 or ha1_file");
            return Err(at(file, start, &error));
        }
        layers.push((layer, start));
    }
    Ok(layers)
}

/// What a value is, for who expected something else.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn form(key: Key) -> String {
    let name = key.name();
    match key.shape() {
        Shape::Text => format!("write a string: {name} = \"...\""),
        Shape::Number => format!("write a string or a number: {name} = \"...\""),
        Shape::Texts => format!("write a string, or several: {name} = [\"...\", \"...\"]"),
        Shape::Words => format!("write program and arguments: {name} = [\"pass\", \"show\", \"sip\"]"),
        Shape::Secret => format!("write it as a string: {name} = \"...\""),
        Shape::Switch => format!("write {name} = true or {name} = false"),
        Shape::Level => format!("write {name} = 0, {name} = 1 or {name} = 2"),
        Shape::Tables => format!("write [[accounts.NAME.{name}]]"),
    }
}

fn value(file: &File, key: Key, found: &Spanned<DeValue<'_>>) -> Result<Value, UsageError> {
    let start = found.span().start;
    let wrong = |start: usize, found: &DeValue<'_>| {
        let error = UsageError::new(format!("{}: {} can't be used here", key.name(), kind(found)));
        at(file, start, &error.hint(form(key)))
    };
    let one = |text: String| Ok(Value::Texts(vec![(text, start)]));
    match (key.shape(), found.get_ref()) {
        (Shape::Text | Shape::Number | Shape::Texts, DeValue::String(text)) => one(text.to_string()),
        (Shape::Number, DeValue::Integer(number)) => one(decimal(number)),
        (Shape::Number, DeValue::Float(number)) => one(number.as_str().to_owned()),
        (Shape::Secret, DeValue::String(text)) => Ok(Value::Secret(Hidden::new(text.to_string()))),
        (Shape::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
        (Shape::Level, DeValue::Integer(number)) => match decimal(number).parse() {
            Ok(level @ 0..=2) => Ok(Value::Level(level)),
            Ok(_) | Err(_) => Err(wrong(start, found.get_ref())),
        },
        (Shape::Texts | Shape::Words, DeValue::Array(array)) => {
            let mut texts = Vec::with_capacity(array.len());
            for found in array.iter() {
                let DeValue::String(text) = found.get_ref() else {
                    return Err(wrong(found.span().start, found.get_ref()));
                };
                texts.push((text.to_string(), found.span().start));
            }
            if key.shape() == Shape::Words && texts.first().is_none_or(|(program, _)| program.is_empty()) {
                let error = UsageError::new(format!("{}: there is no program", key.name()));
                return Err(at(file, start, &error.hint(form(key))));
            }
            Ok(Value::Texts(texts))
        }
        (_, other) => Err(wrong(start, other)),
    }
}

/// An integer in decimal digits, whatever its base; as it is, if it is too long for that.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string())
}
