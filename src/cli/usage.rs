//! What is wrong with a command line or the configuration file, said the same way whoever found it: the argument
//! reader, the configuration or the account.
//!
//! No value of an option that may hold a secret is repeated, and nothing that nobody expected is: somebody may have
//! put a password in the wrong place.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::help::Help;
use super::text::shown;

/// A command line that can't be carried out. Nothing was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageError {
    /// `FILE:LINE:COLUMN` of the configuration file, if it stands there.
    pub place: Option<String>,
    /// The option that it is about, as it is typed: `--expires`, `AOR`.
    pub option: Option<String>,
    /// Its value, unless that may be a secret.
    pub value: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl UsageError {
    /// An error that is about no single option.
    pub fn new(reason: impl Into<String>) -> UsageError {
        UsageError { reason: reason.into(), ..UsageError::default() }
    }

    /// An error of an option as a whole, or one whose value is not to be repeated.
    pub fn option(option: &str, reason: impl fmt::Display) -> UsageError {
        UsageError { option: Some(option.to_owned()), ..UsageError::new(reason.to_string()) }
    }

    /// An error of the value of an option.
    pub fn value(option: &str, value: &str, reason: impl fmt::Display) -> UsageError {
        UsageError { value: Some(value.to_owned()), ..UsageError::option(option, reason) }
    }

    /// An error of a value that can't be read.
    #[cold]
    pub fn invalid(option: &str, value: &str, invalid: &Invalid) -> UsageError {
        UsageError {
            value: (!invalid.is_secret).then(|| value.to_owned()),
            hint: invalid.hint.as_deref().map(str::to_owned),
            ..UsageError::option(option, &invalid.reason)
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> UsageError {
        UsageError { hint: Some(hint.into()), ..self }
    }

    /// The same about a value of the configuration file, which stands at `FILE:LINE:COLUMN`.
    #[must_use]
    pub fn at(self, place: String) -> UsageError {
        UsageError { place: Some(place), ..self }
    }

    /// The key of the option in the configuration file, whether or not one has it.
    pub fn key(&self) -> Option<String> {
        let option = self.option.as_deref()?;
        Some(option.trim_start_matches("--").replace('-', "_").replace("AOR", "aor"))
    }

    /// All of it but the hint: `--expires: "soon" is not a duration`.
    pub fn message(&self) -> String {
        let place = self.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let option = if self.place.is_some() { self.key() } else { self.option.clone() };
        let option = option.map(|option| format!("{option}: ")).unwrap_or_default();
        let value = self.value.as_ref().map(|value| format!("{} ", shown(value))).unwrap_or_default();
        format!("{place}{option}{value}{}", self.reason)
    }
}

/// A text that is no value of its kind. Who reads it knows which option it was meant for.
#[derive(Clone, Debug)]
pub struct Invalid {
    reason: String,
    hint: Option<Cow<'static, str>>,
    is_secret: bool,
}

impl Invalid {
    /// What is wrong with it, in words that follow the value: `is not a duration`.
    pub fn new(reason: impl fmt::Display) -> Invalid {
        Invalid { reason: reason.to_string(), hint: None, is_secret: false }
    }

    /// The same of a value that no message repeats, in words that stand for themselves.
    pub fn secret(reason: impl fmt::Display) -> Invalid {
        Invalid { is_secret: true, ..Invalid::new(reason) }
    }

    /// The same with a word on what to write.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Invalid {
        Invalid { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for Invalid {}

/// Says what the argument reader complains about, without its layout and without values that may be secret.
/// `command` is the word that was typed first.
pub fn from_clap(error: &clap::Error, command: Option<&str>) -> UsageError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(_) | None => None,
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let see = "'--help' after the command lists what there is";
    let kind = error.kind();
    if kind == ErrorKind::UnknownArgument {
        let name = argument.split('=').next().unwrap_or_default();
        if !name.starts_with('-') {
            return UsageError::new(
                "there is one argument too many (it is not shown, since it may be a secret)",
            )
            .hint(Help::of(command.unwrap_or_default()).takes);
        }
        let error = UsageError::new(format!("there is no option {}", shown(name)));
        return match text(ContextKind::SuggestedArg) {
            Some(similar) => error.hint(format!("did you mean {similar}?")),
            None => error.hint(see),
        };
    }
    if kind == ErrorKind::InvalidSubcommand {
        let name = text(ContextKind::InvalidSubcommand).unwrap_or_default();
        let hint = match error.get(ContextKind::SuggestedSubcommand) {
            // The last one is the most similar.
            Some(ContextValue::Strings(similar)) => similar.last().cloned(),
            Some(_) | None => None,
        };
        let hint = match hint {
            Some(similar) => format!("did you mean {similar}? 'sipreg --help' lists the commands"),
            None => "'sipreg --help' lists the commands".to_owned(),
        };
        return UsageError::new(format!("there is no command {}", shown(name))).hint(hint);
    }
    if kind == ErrorKind::InvalidValue {
        return match (text(ContextKind::InvalidValue), error.get(ContextKind::ValidValue)) {
            (Some(value), Some(ContextValue::Strings(valid))) if !value.is_empty() => UsageError::value(
                name_of(argument),
                value,
                format_args!("is not one of {}", valid.join(", ")),
            ),
            _ => UsageError::new(format!("{argument} needs a value")).hint(see),
        };
    }
    if kind == ErrorKind::ValueValidation {
        let value = text(ContextKind::InvalidValue).unwrap_or_default();
        let source = error.source();
        return match source.and_then(|source| source.downcast_ref::<Invalid>()) {
            Some(invalid) => UsageError::invalid(name_of(argument), value, invalid),
            None => {
                let reason = source.map(ToString::to_string).unwrap_or_default();
                UsageError::value(name_of(argument), value, format_args!("can't be used: {reason}")).hint(see)
            }
        };
    }
    if kind == ErrorKind::TooManyValues {
        return UsageError::new(format!("{argument} takes no value")).hint(see);
    }
    if kind == ErrorKind::MissingRequiredArgument && missing(error, "<SHELL>") {
        return UsageError::new("the SHELL is missing: which one is to complete?")
            .hint("sipreg completions bash; or zsh, fish, powershell, elvish");
    }
    if kind == ErrorKind::MissingRequiredArgument {
        let missing = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => missing.as_slice(),
            Some(_) | None => &[],
        };
        if missing.iter().any(|argument| argument.starts_with("--all")) {
            return UsageError::new("--yes goes with --all only").hint("it says that you need not be asked");
        }
        return UsageError::new("the AOR is missing: which address is it about?")
            .hint(format!("sipreg {} sip:you@example.com", command.unwrap_or("register")));
    }
    if kind == ErrorKind::MissingSubcommand {
        return UsageError::new("the command is missing").hint("sipreg register sip:you@example.com");
    }
    if kind == ErrorKind::InvalidUtf8 {
        return UsageError::new("an argument is not UTF-8");
    }
    let option = name_of(argument);
    match (kind, error.get(ContextKind::PriorArg)) {
        (ErrorKind::ArgumentConflict, Some(ContextValue::String(other))) if name_of(other) == option => {
            UsageError::option(option, "is given twice")
        }
        (ErrorKind::ArgumentConflict, Some(ContextValue::String(other))) => {
            UsageError::option(option, format_args!("can't be used with {}", name_of(other)))
        }
        (ErrorKind::ArgumentConflict, Some(ContextValue::Strings(others))) => {
            let others: Vec<&str> = others.iter().map(|other| name_of(other)).collect();
            UsageError::option(option, format_args!("can't be used with {}", others.join(", ")))
        }
        _ => UsageError::new(kind.as_str().unwrap_or("the command line can't be read")),
    }
    .hint(see)
}

/// The name in an argument as the argument reader shows it: `--expires <DURATION>`, `<SHELL>`.
fn name_of(argument: &str) -> &str {
    argument.split(' ').next().unwrap_or_default().trim_matches(['<', '>', '[', ']', '.'])
}

fn missing(error: &clap::Error, argument: &str) -> bool {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.iter().any(|name| name == argument),
        Some(_) | None => false,
    }
}
