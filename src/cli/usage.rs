//! What is wrong with a command line, said the same way whoever found it: the argument reader or the account.
//!
//! No value of an option that may hold a secret is repeated, and nothing that nobody expected is: somebody may have
//! put a password in the wrong place.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::text::shown;

/// A command line that can't be carried out. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong: the option, the value, the reason.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl UsageError {
    /// An error without a hint.
    pub fn new(message: impl Into<String>) -> UsageError {
        UsageError { message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> UsageError {
        UsageError { hint: Some(hint.into()), ..self }
    }

    /// `option: "value" reason`.
    pub fn value(option: &str, value: &str, reason: impl std::fmt::Display) -> UsageError {
        UsageError::new(format!("{option}: {} {reason}", shown(value)))
    }
}

/// Says what the argument reader complains about, without its layout and without values that may be secret.
pub fn from_clap(error: &clap::Error) -> UsageError {
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
            .hint(what_is_taken(error));
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
            (Some(value), Some(ContextValue::Strings(valid))) if !value.is_empty() => {
                let option = argument.split(' ').next().unwrap_or_default().trim_matches(['<', '>']);
                UsageError::value(option, value, format_args!("is not one of {}", valid.join(", ")))
            }
            _ => UsageError::new(format!("{argument} needs a value")).hint(see),
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
            .hint("sipreg register sip:you@example.com");
    }
    if kind == ErrorKind::MissingSubcommand {
        return UsageError::new("the command is missing").hint("sipreg register sip:you@example.com");
    }
    if kind == ErrorKind::InvalidUtf8 {
        return UsageError::new("an argument is not UTF-8");
    }
    first_sentence(error).hint(see)
}

/// For whoever gave one argument too many.
fn what_is_taken(error: &clap::Error) -> &'static str {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        Some(_) | None => String::new(),
    };
    if usage.contains("sipreg man") {
        "'man' takes one DIR. Quote values that hold spaces"
    } else if usage.contains("sipreg completions") {
        "'completions' takes one SHELL"
    } else {
        "a command takes one AOR; everything else is an option. Quote values that hold spaces"
    }
}

fn missing(error: &clap::Error, argument: &str) -> bool {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.iter().any(|name| name == argument),
        Some(_) | None => false,
    }
}

/// Complaints about options that exclude each other or come twice, which name options only.
fn first_sentence(error: &clap::Error) -> UsageError {
    let rendered = error.render().to_string();
    let paragraph: Vec<&str> =
        rendered.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let sentence = paragraph.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    // Options that may be repeated are shown with dots.
    UsageError::new(sentence.replace("...'", "'"))
}
