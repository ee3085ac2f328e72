//! What was typed comes first, then the account, then `[defaults]`.

use clap::ValueEnum;

use super::file::File;
use super::key::{Group, Key};
use super::table::{Entry, Layer, Value};
use crate::cli::Environment;
use crate::cli::options::{Typed, Wish};
use crate::cli::secret::{self, ConfiguredSecret, Kind, Origin, Program, SecretSource, Source};
use crate::cli::usage::UsageError;
use crate::cli::values::{self, ColorChoice, TransportName};

/// The entries that count among the layers, of which the first is the strongest.
pub fn strongest<'a>(layers: &[&'a Layer]) -> Vec<&'a Entry> {
    let mut counting: Vec<&Entry> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for layer in layers {
        let (before, taken) = (counting.len(), groups.len());
        for entry in &layer.entries {
            let is_set = counting.iter().take(before).any(|stronger| stronger.key == entry.key);
            let excluded =
                entry.key.group().is_some_and(|group| groups.iter().take(taken).any(|g| *g == group));
            if !is_set && !excluded {
                counting.push(entry);
            }
        }
        groups.extend(layer.entries.iter().filter_map(Entry::occupies));
        if layer.has_secret() {
            groups.push(Group::Secret);
        }
    }
    counting
}

/// Adds an entry to what was typed, unless that says something else. Whether it was of use.
pub fn put(args: &mut Typed, entry: &Entry, file: &File, environment: &Environment) -> bool {
    let Typed { target, identity, request, network, output, wish, .. } = args;
    let path = || entry.text().map(|text| file.beside(&text, environment));
    match entry.key {
        Key::Registrar => fill(&mut target.registrar, entry.text()),
        Key::Proxy => fill_all(&mut target.proxy, entry),
        Key::Transport => fill(&mut target.transport, choice::<TransportName>(entry)),
        Key::Username => fill(&mut identity.username, entry.text()),
        Key::Realm => fill(&mut identity.realm, entry.text()),
        Key::MinAlgorithm => fill(&mut identity.min_algorithm, entry.text()),
        Key::From => fill(&mut identity.from, entry.text()),
        Key::Contact => match wish {
            Wish::Register(binding) => fill_all(&mut binding.contact, entry),
            Wish::Unregister(removal) if !removal.all => fill_all(&mut removal.contact, entry),
            // There it would be a condition, and nobody set one.
            Wish::Unregister(_) | Wish::List(_) => false,
        },
        Key::Expires => match wish {
            Wish::Register(binding) => fill(&mut binding.expires, entry.text()),
            Wish::Unregister(_) | Wish::List(_) => false,
        },
        Key::Q => match wish {
            Wish::Register(binding) => fill(&mut binding.q, entry.text()),
            Wish::Unregister(_) | Wish::List(_) => false,
        },
        Key::Header => fill_all(&mut request.headers, entry),
        Key::UserAgent => fill(&mut request.user_agent, entry.text()),
        Key::Bind => fill(&mut network.bind, entry.text()),
        Key::Advertise => fill(&mut network.advertise, entry.text()),
        Key::Nameserver => fill_all(&mut network.nameserver, entry),
        Key::Ipv4 => switch(&mut network.ipv4, entry, !network.ipv6),
        Key::Ipv6 => switch(&mut network.ipv6, entry, !network.ipv4),
        Key::Timeout => fill(&mut network.timeout, entry.text()),
        Key::T1 => fill(&mut network.t1, entry.text()),
        Key::RetryFor => fill(&mut args.retry_for, entry.text()),
        Key::StateDir => !network.stateless && fill(&mut network.state_dir, path()),
        Key::Stateless => switch(&mut network.stateless, entry, network.state_dir.is_none()),
        Key::Json => switch(&mut output.json, entry, !output.dry_run),
        Key::Quiet => switch(&mut output.quiet, entry, output.verbose == 0),
        Key::Verbose => match entry.value {
            Value::Level(level) if !output.quiet && output.verbose == 0 => {
                output.verbose = level;
                true
            }
            Value::Level(_) | Value::Texts(_) | Value::Secret(_) | Value::Switch(_) => false,
        },
        Key::Color => fill(&mut output.color, choice::<ColorChoice>(entry)),
        // They go elsewhere: `consult`, `locked`.
        Key::Aor
        | Key::Credentials
        | Key::PasswordFile
        | Key::PasswordCommand
        | Key::Password
        | Key::Ha1
        | Key::Ha1File => false,
    }
}

fn fill<T>(typed: &mut Option<T>, found: Option<T>) -> bool {
    let is_free = typed.is_none();
    if is_free {
        *typed = found;
    }
    is_free
}

fn fill_all(typed: &mut Vec<String>, entry: &Entry) -> bool {
    let is_free = typed.is_empty();
    if is_free {
        *typed = entry.texts();
    }
    is_free
}

fn switch(typed: &mut bool, entry: &Entry, is_free: bool) -> bool {
    *typed |= is_free && entry.is_on();
    is_free
}

fn choice<T: ValueEnum>(entry: &Entry) -> Option<T> {
    T::from_str(&entry.text()?, true).ok()
}

/// Checks what the values of a table say, each by the rule of its option.
///
/// # Errors
/// The first one that makes no sense, with its place.
pub fn check(file: &File, layer: &Layer) -> Result<(), UsageError> {
    for entry in &layer.entries {
        let verdict = |text: &str, at: usize| {
            let origin = || Origin { key: entry.key.name(), place: file.place(at) };
            check_value(entry.key, text).map_err(|error| origin().complain(error))
        };
        match &entry.value {
            Value::Texts(_) if entry.key.shape() == super::key::Shape::Words => {}
            Value::Texts(texts) => texts.iter().try_for_each(|(text, at)| verdict(text, *at))?,
            Value::Secret(secret) => verdict(secret.reveal(), entry.at)?,
            Value::Switch(_) | Value::Level(_) => {}
        }
    }
    layer.credentials.iter().try_for_each(|(credential, _)| check(file, credential))
}

/// The secrets that count, those of one realm before those of any, as the core wants them.
///
/// # Errors
/// An HA1 that is none.
pub fn locked(
    file: &File,
    layers: &[&Layer],
    username: Option<&str>,
    environment: &Environment,
) -> Result<Vec<ConfiguredSecret>, UsageError> {
    let mut found = Vec::new();
    for (credential, _) in layers.iter().flat_map(|layer| &layer.credentials) {
        let text = |key| credential.get(key).and_then(Entry::text);
        // Who was typed is meant wherever a name goes.
        let username = username.map(str::to_owned).or_else(|| text(Key::Username));
        for entry in &credential.entries {
            found.extend(lock(file, entry, text(Key::Realm), username.clone(), environment)?);
        }
    }
    found.sort_by_key(|locked| locked.realm.is_none());
    for entry in strongest(layers) {
        found.extend(lock(file, entry, None, None, environment)?);
    }
    Ok(found)
}

fn lock(
    file: &File,
    entry: &Entry,
    realm: Option<String>,
    username: Option<String>,
    environment: &Environment,
) -> Result<Option<ConfiguredSecret>, UsageError> {
    let origin = Origin { key: entry.key.name(), place: file.place(entry.at) };
    let beside = |kind| {
        let path = file.beside(&entry.text().unwrap_or_default(), environment);
        Source::at(&path, kind)
    };
    let source = match (entry.key, &entry.value) {
        (Key::Password, Value::Secret(password)) => {
            SecretSource::Source(Source::Known(crate::proto::digest::Secret::Password(password.clone())))
        }
        (Key::Ha1, Value::Secret(text)) => {
            let ha1 = secret::ha1("--ha1", text.reveal()).map_err(|error| origin.complain(error))?;
            SecretSource::Source(Source::Known(ha1))
        }
        (Key::PasswordFile, _) => SecretSource::Source(beside(Kind::Password)),
        (Key::Ha1File, _) => SecretSource::Source(beside(Kind::Ha1)),
        (Key::PasswordCommand, _) => {
            let mut words = entry.texts().into_iter();
            let program = words.next().unwrap_or_default();
            // The others are found in the PATH, or where we are.
            let is_path = ["~/", "./", "../"].iter().any(|start| program.starts_with(start));
            let program = if is_path { file.beside(&program, environment).into() } else { program.into() };
            SecretSource::Program(Program::new(program, words.collect()))
        }
        _ => return Ok(None),
    };
    Ok(Some(ConfiguredSecret { realm, username, source, origin }))
}

/// Checks a value that stands for itself.
///
/// # Errors
/// What the option of that name would say.
fn check_value(key: Key, text: &str) -> Result<(), UsageError> {
    match key {
        Key::Aor => values::aor(text).map(drop),
        Key::Registrar => values::registrar(text).map(drop),
        Key::Proxy => values::proxy(text).map(drop),
        Key::From => values::from(text).map(drop),
        Key::Transport => one_of::<TransportName>("--transport", text),
        Key::Color => one_of::<ColorChoice>("--color", text),
        Key::Username => values::plain_username(text),
        Key::Realm => values::plain_realm(text),
        Key::MinAlgorithm => values::minimum(text).map(drop),
        Key::Ha1 => secret::ha1("--ha1", text).map(drop),
        Key::Contact => values::contacts(&[text.to_owned()]).map(drop),
        Key::Expires => values::lifetime("--expires", text).map(drop),
        Key::Q => values::preference(text).map(drop),
        Key::Header => values::headers(&[text.to_owned()]).map(drop),
        Key::UserAgent => values::user_agent(Some(text.to_owned())).map(drop),
        Key::Bind => values::address("--bind", text).map(drop),
        Key::Nameserver => values::address("--nameserver", text).map(drop),
        Key::Advertise => values::advertise(text).map(drop),
        Key::Timeout => values::positive("--timeout", text).map(drop),
        Key::T1 => values::positive("--t1", text).map(drop),
        Key::RetryFor => values::or_none("--retry-for", text).map(drop),
        Key::StateDir => values::plain_dir(text.is_empty()),
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
