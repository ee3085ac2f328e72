//! The program that runs while everything is bound: `keep AOR... -- COMMAND`.

use std::ffi::OsString;
use std::io;

use crate::cli::exit::Exit;
use crate::cli::text::shown;

/// A program that is not yet started, running, or over.
pub(super) struct Child {
    command: Vec<OsString>,
    running: Option<tokio::process::Child>,
}

impl Child {
    /// An empty command stands for no program.
    pub(super) fn new(command: Vec<OsString>) -> Child {
        Child { command, running: None }
    }

    /// Whether a program is still to be started.
    pub(super) fn waits(&self) -> bool {
        !self.command.is_empty()
    }

    /// Starts the program, once.
    ///
    /// # Errors
    /// How the process is to end when it can't be started, as shells do: 127 when it is not there, 126 when
    /// it may not be run.
    pub(super) fn start(&mut self, aor: &str, contact: &str) -> Result<(), (Exit, String)> {
        let command = std::mem::take(&mut self.command);
        let Some((program, arguments)) = command.split_first() else { return Ok(()) };
        let started = tokio::process::Command::new(program)
            .args(arguments)
            .env("SIPREG_AOR", aor)
            .env("SIPREG_CONTACT", contact)
            .env_remove("SIPREG_PASSWORD")
            .spawn();
        match started {
            Ok(child) => {
                self.running = Some(child);
                Ok(())
            }
            Err(error) => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                let message = format!("{} can't be run: {error}", shown(&program.to_string_lossy()));
                Err((Exit::OfCommand(if is_missing { 127 } else { 126 }), message))
            }
        }
    }

    /// The exit status of the program when it ends; never ends while none runs. Can be dropped at any time.
    pub(super) async fn ended(&mut self) -> Exit {
        let Some(child) = &mut self.running else { return std::future::pending().await };
        let status = child.wait().await;
        self.running = None;
        Exit::OfCommand(status.map_or(1, |status| code(&status)))
    }

    /// Asks the program to end, by SIGTERM.
    pub(super) fn stop(&mut self) {
        self.command.clear();
        #[cfg(unix)]
        if let Some(id) = self.running.as_ref().and_then(tokio::process::Child::id)
            && let Ok(id) = i32::try_from(id)
        {
            use nix::sys::signal::{Signal, kill};
            use nix::unistd::Pid;
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        #[cfg(not(unix))]
        if let Some(child) = &mut self.running {
            let _ = child.start_kill();
        }
    }
}

/// The exit status as a shell has it: 128 and the signal for a program that a signal ended.
fn code(status: &std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(status).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let signal = None;
    status.code().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
