//! Asking for the password: on the terminal itself, whatever stdin and stdout are, without echo.

use std::io::{self, BufRead, BufReader, Write};

use tokio::sync::oneshot;

use super::text::escape;
use super::usage::UsageError;
use crate::proto::digest::Hidden;

/// The answer to a question for a password.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The password that was typed.
    Password(Hidden),
    /// Enter alone, end of file, or no terminal any more.
    Nothing,
    /// Ctrl-C was typed.
    Interrupted,
}

/// Whether there is a terminal to ask on.
#[must_use]
pub fn is_possible() -> bool {
    terminal().is_ok()
}

#[cfg(unix)]
fn terminal() -> io::Result<std::fs::File> {
    std::fs::File::options().read(true).write(true).open("/dev/tty")
}

#[cfg(not(unix))]
fn terminal() -> io::Result<()> {
    use std::io::IsTerminal;
    if io::stdin().is_terminal() { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// A question that stands on the terminal. Dropping it gives the terminal back as it was, answered or not.
pub struct Prompt {
    typed: oneshot::Receiver<io::Result<String>>,
    /// Dropped to restore the terminal.
    _terminal: Restore,
}

impl Prompt {
    /// Asks for the password of `username`; the host tells who wants it, the realm what for (RFC 3261 §22.1).
    #[must_use]
    pub fn ask(username: &str, host: &str, realm: &str) -> Prompt {
        let question = question(username, host, realm);
        let restore = Restore::remember();
        let (answer, typed) = oneshot::channel();
        // Not on the runtime's pool: a runtime waits for its pool when it ends, and nobody may ever type.
        std::thread::spawn(move || {
            // Nobody waits for the answer any more when the command was interrupted.
            let _ = answer.send(rpassword::prompt_password(question));
        });
        Prompt { typed, _terminal: restore }
    }

    /// Waits for the answer. May be dropped and called again.
    pub async fn answer(&mut self) -> Answer {
        match (&mut self.typed).await {
            Ok(Ok(password)) if password.is_empty() => Answer::Nothing,
            Ok(Ok(password)) => Answer::Password(Hidden::new(password)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Answer::Interrupted,
            Ok(Err(_)) | Err(_) => Answer::Nothing,
        }
    }
}

/// Asks for a new password, twice. Blocks.
///
/// # Errors
/// There is no terminal, or the two differ.
pub fn new_password(who: &str) -> Result<Hidden, UsageError> {
    let _restore = Restore::remember();
    let ask = |question: String| {
        rpassword::prompt_password(question).map(Hidden::new).map_err(|_| {
            UsageError::new("there is no terminal to ask for the password on")
                .hint("SIPREG_PASSWORD or --password-file gives it")
        })
    };
    let first = ask(format!("New password for {}: ", escape(who)))?;
    let second = ask("The same again: ".to_owned())?;
    if first == second {
        Ok(first)
    } else {
        Err(UsageError::new("the two passwords differ: nothing was written"))
    }
}

/// The answer to a yes-or-no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// `y` or `yes`, in any case.
    Yes,
    /// Anything else, or nothing.
    No,
}

/// Asks a yes-or-no question on the terminal. Dropping the future leaves the question unanswered.
pub async fn confirm(question: &str) -> Confirmation {
    let question = format!("{} [y/N] ", escape(question));
    let (answer, said) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = answer.send(ask_line(&question));
    });
    match said.await {
        Ok(Ok(line)) if ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()) => {
            Confirmation::Yes
        }
        Ok(Ok(_) | Err(_)) | Err(_) => Confirmation::No,
    }
}

#[cfg(unix)]
fn ask_line(question: &str) -> io::Result<String> {
    let mut terminal = terminal()?;
    terminal.write_all(question.as_bytes())?;
    read_line(terminal)
}

#[cfg(not(unix))]
fn ask_line(question: &str) -> io::Result<String> {
    io::stderr().write_all(question.as_bytes())?;
    read_line(io::stdin())
}

fn read_line(input: impl io::Read) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(input.take(1000)).read_line(&mut line)?;
    Ok(line)
}

/// The question, which is one line: what others wrote is cut.
fn question(username: &str, host: &str, realm: &str) -> String {
    let cut = |text: &str, most: usize| {
        let text = escape(text).into_owned();
        match text.char_indices().nth(most) {
            Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
            None => text,
        }
    };
    let (host, realm) = (cut(host, 60), cut(realm, 40));
    format!("Password for {} at realm \"{realm}\" (asked by {host}): ", cut(username, 40))
}

/// The terminal's settings before they were changed. Dropping it restores them.
#[cfg(unix)]
pub struct Restore(Option<(std::fs::File, nix::sys::termios::Termios)>);

#[cfg(unix)]
impl Restore {
    /// Takes the settings as they are now.
    pub fn remember() -> Restore {
        let terminal = terminal().ok();
        Restore(
            terminal
                .and_then(|file| Some((nix::sys::termios::tcgetattr(&file).ok()?, file)))
                .map(|(a, f)| (f, a)),
        )
    }
}

#[cfg(unix)]
impl Drop for Restore {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        if let Some((terminal, settings)) = &self.0 {
            // A terminal that is gone needs no echo.
            let _ = tcsetattr(terminal, SetArg::TCSANOW, settings);
        }
    }
}

/// Nothing: this system has no settings to restore.
#[cfg(not(unix))]
pub struct Restore;

#[cfg(not(unix))]
impl Restore {
    /// There is nothing to remember.
    pub fn remember() -> Restore {
        Restore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUT-049: the realm is in the question, and it can't command the terminal.
    #[test]
    fn the_question_names_user_and_realm() {
        assert_eq!(
            question("bob", "192.0.2.1", "munich.de"),
            "Password for bob at realm \"munich.de\" (asked by 192.0.2.1): "
        );
        assert!(!question("bob", "munich.de", "\u{1b}[2J").contains('\u{1b}'));
        let long = question(&"u".repeat(500), &"h".repeat(500), &"é".repeat(500));
        assert!(long.chars().count() < 200 && !long.contains('\n'), "{long}");
    }
}
