//! Asking for the password: on the terminal itself, whatever stdin and stdout are, without echo.

use std::io;

use tokio::sync::oneshot;

use super::report::text::escape;
use crate::proto::digest::Hidden;

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// A password.
    Password(Hidden),
    /// Enter alone, end of file, or no terminal any more.
    Nothing,
    /// Ctrl-C.
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
    /// For its drop.
    _terminal: Restore,
}

impl Prompt {
    /// Asks for the password of `username`; the realm tells what for (RFC 3261 §22.1).
    #[must_use]
    pub fn ask(username: &str, realm: &str) -> Prompt {
        let question = question(username, realm);
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
    pub async fn answer(&mut self) -> Typed {
        match (&mut self.typed).await {
            Ok(Ok(password)) if password.is_empty() => Typed::Nothing,
            Ok(Ok(password)) => Typed::Password(Hidden::new(password)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => Typed::Interrupted,
            Ok(Err(_)) | Err(_) => Typed::Nothing,
        }
    }
}

fn question(username: &str, realm: &str) -> String {
    format!("Password for {} at realm \"{}\": ", escape(username), escape(realm))
}

/// The terminal's settings before anybody changed them.
#[cfg(target_os = "linux")]
struct Restore(Option<(std::fs::File, nix::sys::termios::Termios)>);

#[cfg(target_os = "linux")]
impl Restore {
    fn remember() -> Restore {
        let terminal = terminal().ok();
        Restore(
            terminal
                .and_then(|file| Some((nix::sys::termios::tcgetattr(&file).ok()?, file)))
                .map(|(a, f)| (f, a)),
        )
    }
}

#[cfg(target_os = "linux")]
impl Drop for Restore {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        if let Some((terminal, settings)) = &self.0 {
            // A terminal that is gone needs no echo.
            let _ = tcsetattr(terminal, SetArg::TCSANOW, settings);
        }
    }
}

#[cfg(not(target_os = "linux"))]
struct Restore;

#[cfg(not(target_os = "linux"))]
impl Restore {
    fn remember() -> Restore {
        Restore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUT-049: the realm is in the question, and it can't command the terminal.
    #[test]
    fn the_question_names_user_and_realm() {
        assert_eq!(question("bob", "munich.de"), "Password for bob at realm \"munich.de\": ");
        assert!(!question("bob", "\u{1b}[2J").contains('\u{1b}'));
    }
}
