//! Words as a shell hands them over, and as it wants them back.

use std::ffi::{OsStr, OsString};

use crate::cli::values::Shell;

/// The words without quotes and escapes, where the shell hands them over as they were typed: bash and zsh all
/// of them, fish the last one.
pub fn plain(shell: Shell, typed: &[OsString]) -> Vec<OsString> {
    let last = typed.len().saturating_sub(1);
    let raw = |index| match shell {
        Shell::Bash | Shell::Zsh => true,
        Shell::Fish => index == last,
        Shell::Powershell | Shell::Elvish => false,
    };
    let unquoted = |(index, word): (usize, &OsString)| match word.to_str() {
        Some(text) if raw(index) => unquoted(text).into(),
        Some(_) | None => word.clone(),
    };
    typed.iter().enumerate().map(unquoted).collect()
}

/// A word without its quotes and escapes, by the rules that the shells share. A quote may still be open.
fn unquoted(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut open = None;
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, open) {
            ('\\', None) => plain.extend(rest.next()),
            ('\\', Some('"')) => {
                plain.push(rest.next_if(|next| matches!(next, '"' | '\\' | '$' | '`')).unwrap_or('\\'));
            }
            ('\'' | '"', None) => open = Some(c),
            _ if open == Some(c) => open = None,
            _ => plain.push(c),
        }
    }
    plain
}

/// The words without the `=` that bash makes a word of its own in `--option=value`, and the place of the word
/// that `index` meant.
pub fn without_signs(typed: Vec<OsString>, index: usize) -> (Vec<OsString>, usize) {
    let mut kept: Vec<OsString> = Vec::with_capacity(typed.len());
    let mut target = index;
    for (at, word) in typed.into_iter().enumerate() {
        let after_option =
            kept.last().is_some_and(|last| last.to_str().is_some_and(|text| text.starts_with("--")));
        if word == "=" && after_option && at != index {
            target -= usize::from(at < index);
        } else {
            kept.push(word);
        }
    }
    (kept, target)
}

/// A candidate as bash has to read it behind the quote that is open, if one is. A leading `~` keeps its
/// meaning.
pub fn quoted(candidate: &str, open: Option<char>) -> String {
    let special = |c: char| match open {
        Some('\'') => false,
        Some('"') => "\\\"`$".contains(c),
        Some(_) | None => c.is_ascii_whitespace() || "\\'\"`$&|;<>()*?[]{}!#".contains(c),
    };
    let mut text = String::with_capacity(candidate.len());
    for c in candidate.chars() {
        if special(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The value of an option among the words, `--option value` or `--option=value`, with its `~` resolved.
pub fn value_of(words: &[OsString], option: &str) -> Option<OsString> {
    let text = |word: &OsString| word.to_str().map(str::to_owned);
    let joined = format!("{option}=");
    let attached = words.iter().find_map(|word| Some(text(word)?.strip_prefix(&joined)?.to_owned().into()));
    let value: OsString = attached.or_else(|| {
        let at = words.iter().position(|word| word == option)?;
        words.get(at + 1..)?.iter().find(|word| *word != "=").cloned()
    })?;
    match value.to_str().and_then(|text| text.strip_prefix("~/")) {
        Some(rest) => Some(std::env::home_dir()?.join(OsStr::new(rest)).into()),
        None => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn words_are_read_as_shells_do() {
        for (typed, plain) in [
            ("--transport", "--transport"),
            (r"a\ b", "a b"),
            ("'a b", "a b"),
            (r#""a \" \n b"c\ d"#, r#"a " \n bc d"#),
            (r"'\'", r"\"),
            ("\\", ""),
        ] {
            assert_eq!(unquoted(typed), plain, "{typed}");
        }
    }

    #[test]
    fn fish_and_powershell_have_read_theirs() {
        let typed = words(&[r"a\ b", r"c\ d"]);
        assert_eq!(plain(Shell::Zsh, &typed), words(&["a b", "c d"]));
        assert_eq!(plain(Shell::Fish, &typed), words(&[r"a\ b", "c d"]));
        assert_eq!(plain(Shell::Powershell, &typed), typed);
    }

    #[test]
    fn an_option_that_bash_took_apart_is_whole_again() {
        for (typed, index, kept, target) in [
            (&["sipreg", "list", "--color", "=", "a"][..], 4, &["sipreg", "list", "--color", "a"][..], 3),
            (&["sipreg", "list", "--color", ""], 3, &["sipreg", "list", "--color", ""], 3),
            (&["sipreg", "list", "x", "=", "y"], 4, &["sipreg", "list", "x", "=", "y"], 4),
            (&["sipreg", "--color", "=", "a", "--q", "b"], 1, &["sipreg", "--color", "a", "--q", "b"], 1),
        ] {
            assert_eq!(without_signs(words(typed), index), (words(kept), target), "{typed:?}");
        }
    }

    #[test]
    fn bash_gets_words_that_it_reads_as_one() {
        for (open, word) in [
            (None, r"~/my\ phone\'s\ \$key"),
            (Some('~'), r"~/my\ phone\'s\ \$key"),
            (Some('"'), r"~/my phone's \$key"),
            (Some('\''), "~/my phone's $key"),
        ] {
            assert_eq!(quoted("~/my phone's $key", open), word);
        }
        assert_eq!(quoted("--transport", None), "--transport");
    }

    #[test]
    fn the_value_of_an_option_is_found_however_it_is_written() {
        for typed in [&["--config", "x"][..], &["a", "--config=x", "b"], &["--config", "=", "x"]] {
            assert_eq!(value_of(&words(typed), "--config"), Some("x".into()), "{typed:?}");
        }
        assert_eq!(value_of(&words(&["--config"]), "--config"), None);
    }
}
