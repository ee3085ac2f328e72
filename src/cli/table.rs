//! How options stand in a table of the configuration file. A group of options ([`super::options`]) asks a [`Reader`]
//! for each of its keys; whatever nobody asked for is a mistake.
//!
//! The reader goes on after a mistake, and knows two kinds: a wrong form (an unknown key, a value of another type, two
//! where one is meant) and a value that makes no sense. No message repeats a value of another type, which may be a
//! secret that went astray.

use std::borrow::Cow;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::usage::{Invalid, UsageError};
use super::values::{
    AddedHeader, Address, Advertised, AlgorithmName, Aor, Collector, ColorChoice, CommandLine, Contact, Ha1,
    Lifetime, Password, Preference, Proxy, Realm, Registrant, Registrar, Resolve, Span, SpanOrNone,
    TransportName, UserAgent, UserName, VerifiedName, WebSocketPath, choice,
};

/// A field of a group of options, or a group itself: read from the file, and completed by weaker ones.
pub trait Setting: Default {
    /// What the file says behind the key.
    fn read(key: &'static str, table: &mut Reader<'_>) -> Self;

    /// Itself, and where it says nothing what the weaker one says.
    #[must_use]
    fn or(self, weaker: Self) -> Self;

    /// Without what the argument reader sets by itself: a switch that was not typed is off there.
    #[must_use]
    fn typed(self) -> Self;

    /// Adds the keys that say something.
    fn add_keys(&self, key: &'static str, keys: &mut Vec<&'static str>);
}

/// A value that the file may hold.
pub trait FileValue: Sized {
    /// Reads the value of a key.
    ///
    /// # Errors
    /// It has another type, or makes no sense.
    fn read(found: &Spanned<DeValue<'_>>, base: &Base) -> Result<Self, Mistake>;

    /// What to write behind a key, for whoever wrote a value of another type.
    fn form(key: &str) -> String;

    /// Whether it only undoes what a weaker one says.
    fn is_off(&self) -> bool {
        false
    }
}

/// What is wrong in a table.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// The octet of the file at which it stands.
    pub at: usize,
    /// Whether the form is wrong, not only a value.
    pub is_form: bool,
    /// What is wrong, without its place.
    pub error: Box<UsageError>,
}

impl Mistake {
    /// A value of a type that can't stand there.
    #[cold]
    pub fn of_type(found: &Spanned<DeValue<'_>>) -> Mistake {
        let kind = match found.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        Mistake::form(found.span().start, UsageError::new(format!("{kind} can't be used here")))
    }

    /// A wrong form.
    pub fn form(at: usize, error: UsageError) -> Mistake {
        Mistake { at, is_form: true, error: Box::new(error) }
    }

    /// The same about a key, with what to write.
    #[must_use]
    pub fn about(self, key: &str, hint: String) -> Mistake {
        let error = UsageError { option: Some(key.to_owned()), ..self.error.hint(hint) };
        Mistake { error: Box::new(error), ..self }
    }

    #[cold]
    fn value(found: &Spanned<DeValue<'_>>, text: &str, invalid: &Invalid) -> Mistake {
        // Whose value it is, who asked for it knows.
        let error = Box::new(UsageError::invalid("", text, invalid));
        Mistake { at: found.span().start, is_form: false, error }
    }
}

/// From where the files are meant that the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The folder of the configuration.
    pub folder: PathBuf,
    /// The user's home, for `~/`.
    pub home: Option<PathBuf>,
}

impl Base {
    /// The path that is meant.
    pub fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            // Standard input, as on the command line.
            _ if text == "-" => PathBuf::from(text),
            _ => self.folder.join(text),
        }
    }
}

/// A key that was found.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The name of the key.
    pub key: &'static str,
    /// The octet of the file at which the key stands.
    pub key_at: usize,
    /// The octet at which its value stands.
    pub at: usize,
}

/// Reads one table.
pub struct Reader<'a> {
    table: &'a DeTable<'a>,
    base: &'a Base,
    /// Whether a key may stand in this table, whoever asks for it.
    takes: &'a dyn Fn(&str) -> bool,
    /// The keys that were asked for, and may stand in a table.
    pub known: Vec<&'static str>,
    /// The keys that were asked for, and are only for the command line.
    pub only_typed: Vec<&'static str>,
    /// Those that were found.
    pub places: Vec<Place>,
    /// What is wrong.
    pub mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// Begins to read a table.
    pub fn new(table: &'a DeTable<'a>, base: &'a Base, takes: &'a dyn Fn(&str) -> bool) -> Reader<'a> {
        let (known, only_typed, places, mistakes) = Default::default();
        Reader { table, base, takes, known, only_typed, places, mistakes }
    }

    /// The value of a key.
    pub fn take<T: FileValue>(&mut self, key: &'static str) -> Option<T> {
        let found = self.ask(key)?;
        T::read(found, self.base).map_err(|mistake| self.complain(key, mistake, T::form)).ok()
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        let (place, found) = self.find(key).filter(|_| (self.takes)(key))?;
        self.places.push(place);
        Some(found)
    }

    #[cold]
    fn complain(&mut self, key: &'static str, mistake: Mistake, form: fn(&str) -> String) {
        let Mistake { at, is_form, error } = mistake;
        let hint = error.hint.or_else(|| is_form.then(|| form(key)));
        let error = Box::new(UsageError { option: Some(key.to_owned()), hint, ..*error });
        self.mistakes.push(Mistake { at, is_form, error });
    }

    /// The place and the value of a key.
    pub fn find(&self, key: &'static str) -> Option<(Place, &'a Spanned<DeValue<'a>>)> {
        let (name, found) = self.table.get_key_value(key)?;
        Some((Place { key, key_at: name.span().start, at: found.span().start }, found))
    }

    /// Where a key stands, if it does.
    pub fn place(&self, key: &str) -> Option<Place> {
        self.places.iter().find(|place| place.key == key).copied()
    }

    /// Complains if more than one of these keys stands there; what is switched off doesn't count.
    pub fn exclude(&mut self, keys: &[(&'static str, bool)], hint: &str) {
        let on = keys.iter().filter(|(_, is_off)| !is_off);
        let mut found: Vec<Place> = on.filter_map(|(key, _)| self.place(key)).collect();
        found.sort_by_key(|place| place.key_at);
        if let [first, second, ..] = found.as_slice() {
            let error = UsageError::option(second.key, format_args!("can't be used with {}", first.key));
            self.mistakes.push(Mistake::form(second.key_at, error.hint(hint)));
        }
    }
}

/// The entries of a table in the order of the file, each with the place of its key.
pub fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t str, usize, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value)).collect();
    entries.sort_by_key(|(_, at, _)| *at);
    entries
}

/// Whether an exclusive option holds.
pub fn is_on<T: FileValue>(option: &Option<T>) -> bool {
    option.as_ref().is_some_and(|value| !value.is_off())
}

/// Whether it is switched off, which keeps no other one out.
pub fn is_off<T: FileValue>(option: &Option<T>) -> bool {
    option.as_ref().is_some_and(FileValue::is_off)
}

impl<T: FileValue> Setting for Option<T> {
    fn read(key: &'static str, table: &mut Reader<'_>) -> Option<T> {
        table.take(key)
    }

    fn or(self, weaker: Option<T>) -> Option<T> {
        self.or(weaker)
    }

    fn typed(self) -> Option<T> {
        self.filter(|value| !value.is_off())
    }

    fn add_keys(&self, key: &'static str, keys: &mut Vec<&'static str>) {
        if self.is_some() {
            keys.push(key);
        }
    }
}

/// A switch of the command line alone.
impl Setting for bool {
    fn read(key: &'static str, table: &mut Reader<'_>) -> bool {
        table.only_typed.push(key);
        false
    }

    fn or(self, _weaker: bool) -> bool {
        self
    }

    fn typed(self) -> bool {
        self
    }

    fn add_keys(&self, _key: &'static str, _keys: &mut Vec<&'static str>) {}
}

/// Types that are read from one text: what may hold it, what to write there, and who reads it.
macro_rules! from_text {
    ($($text:ident, $form:literal, $read:path: $($type:ty)*;)*) => {$($(
        impl FileValue for $type {
            fn read(found: &Spanned<DeValue<'_>>, _base: &Base) -> Result<$type, Mistake> {
                let text = $text(found)?;
                $read(&text).map_err(|invalid| Mistake::value(found, &text, &invalid))
            }

            fn form(key: &str) -> String {
                format!(concat!($form, ": {} = \"...\""), key)
            }
        }
    )*)*};
}

from_text! {
    string, "write a string", str::parse:
        AddedHeader Address Advertised AlgorithmName Aor Collector Contact Proxy Realm Registrant Registrar Resolve UserAgent
        UserName VerifiedName WebSocketPath;
    string, "write a string", choice: ColorChoice TransportName;
    string, "write it as a string", str::parse: Ha1 Password;
    number, "write a string or a number", str::parse: Lifetime Preference Span SpanOrNone;
}

fn string<'f>(found: &'f Spanned<DeValue<'_>>) -> Result<Cow<'f, str>, Mistake> {
    found.get_ref().as_str().map(Cow::Borrowed).ok_or_else(|| Mistake::of_type(found))
}

fn number<'f>(found: &'f Spanned<DeValue<'_>>) -> Result<Cow<'f, str>, Mistake> {
    match found.get_ref() {
        DeValue::Integer(number) => Ok(decimal(number).into()),
        DeValue::Float(number) => Ok(number.as_str().into()),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => string(found),
    }
}

/// An integer in decimal digits, whatever its base; as it is, if it is too long for that.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string())
}

impl FileValue for PathBuf {
    fn read(found: &Spanned<DeValue<'_>>, base: &Base) -> Result<PathBuf, Mistake> {
        let text = string(found)?;
        if text.is_empty() {
            return Err(Mistake::value(found, &text, &Invalid::new("names no file or folder")));
        }
        Ok(base.path(&text))
    }

    fn form(key: &str) -> String {
        format!("write a string: {key} = \"...\"")
    }
}

impl FileValue for bool {
    fn read(found: &Spanned<DeValue<'_>>, _base: &Base) -> Result<bool, Mistake> {
        found.get_ref().as_bool().ok_or_else(|| Mistake::of_type(found))
    }

    fn form(key: &str) -> String {
        format!("write {key} = true or {key} = false")
    }

    fn is_off(&self) -> bool {
        !self
    }
}

/// How much is shown.
impl FileValue for u8 {
    fn read(found: &Spanned<DeValue<'_>>, _base: &Base) -> Result<u8, Mistake> {
        let level = found.get_ref().as_integer().and_then(|number| decimal(number).parse().ok());
        level.filter(|level| *level <= 2).ok_or_else(|| Mistake::of_type(found))
    }

    fn form(key: &str) -> String {
        format!("write {key} = 0, {key} = 1 or {key} = 2")
    }

    fn is_off(&self) -> bool {
        *self == 0
    }
}

/// One, or an array of them; an empty one undoes what a weaker one says.
impl<T: FileValue> FileValue for Vec<T> {
    fn read(found: &Spanned<DeValue<'_>>, base: &Base) -> Result<Vec<T>, Mistake> {
        match found.get_ref().as_array() {
            Some(all) => all.iter().map(|found| T::read(found, base)).collect(),
            None => T::read(found, base).map(|one| vec![one]),
        }
    }

    fn form(key: &str) -> String {
        format!("write a string, or several: {key} = [\"...\", \"...\"]")
    }
}

impl FileValue for CommandLine {
    fn read(found: &Spanned<DeValue<'_>>, base: &Base) -> Result<CommandLine, Mistake> {
        let DeValue::Array(all) = found.get_ref() else { return Err(Mistake::of_type(found)) };
        let words = all.iter().map(|word| string(word).map(Cow::into_owned));
        let mut words = words.collect::<Result<Vec<_>, _>>()?.into_iter();
        let Some(program) = words.next().filter(|program| !program.is_empty()) else {
            return Err(Mistake::form(found.span().start, UsageError::new("there is no program")));
        };
        // The others are found in the PATH, or where we are.
        let is_path = ["~/", "./", "../"].iter().any(|start| program.starts_with(start));
        let program = if is_path { base.path(&program).into() } else { program.into() };
        Ok(CommandLine { program, arguments: words.collect() })
    }

    fn form(key: &str) -> String {
        format!("write program and arguments: {key} = [\"pass\", \"show\", \"sip\"]")
    }
}
