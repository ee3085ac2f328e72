//! The program that runs while everything is bound: `keep AOR... -- COMMAND`. It has a process group of its own, so that
//! whatever it starts ends with it, unless it needs our terminal; and it never outlives us.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Sleep, sleep};

use crate::cli::exit::Exit;
use crate::cli::secret::owns_terminal;
use crate::cli::signals::Stop;
use crate::cli::text::shown;

/// Time for the program to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(3);

/// A program that is not yet started, running, or over.
pub(super) struct Child {
    command: Vec<OsString>,
    running: Option<Running>,
}

struct Running {
    child: tokio::process::Child,
    /// Its process id, and its group's; `None` where the system's are no numbers of that size.
    id: Option<i32>,
    group: Group,
    request: Request,
}

/// What was done to have a program end.
enum Request {
    Nothing,
    /// It was asked, and has that long.
    Asked(Pin<Box<Sleep>>),
    Killed,
}

/// Which processes are sent a signal that is for the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    /// All of its process group.
    Own,
    /// It alone: it shares our group and with it the terminal, which sends a Ctrl-C to both.
    Ours,
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

    /// Whether it was started and has not ended.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the program, once.
    ///
    /// # Errors
    /// How the process is to end when it can't be started, as shells do: 127 when it is not there, 126 when
    /// it may not be run.
    pub(super) fn start(&mut self, aor: &str, contact: &str) -> Result<(), (Exit, String)> {
        let command = std::mem::take(&mut self.command);
        let Some((program, arguments)) = command.split_first() else { return Ok(()) };
        let group = if owns_terminal() { Group::Ours } else { Group::Own };
        let mut command = launch::command(program, arguments);
        command.env("SIPREG_AOR", aor).env("SIPREG_CONTACT", contact).env_remove("SIPREG_PASSWORD");
        #[cfg(unix)]
        if group == Group::Own {
            command.process_group(0);
        }
        match command.spawn() {
            Ok(child) => {
                let id = child.id().and_then(|id| i32::try_from(id).ok());
                self.running = Some(Running { child, id, group, request: Request::Nothing });
                Ok(())
            }
            Err(error) => {
                let (code, message) = launch::failure(program, &error);
                Err((Exit::OfCommand(code), message))
            }
        }
    }

    /// The exit status of the program when it ends; never ends while none runs. A program that was asked to end and does
    /// not is ended meanwhile. Can be dropped at any time.
    pub(super) async fn ended(&mut self) -> Exit {
        loop {
            let Some(Running { child, id, group, request }) = &mut self.running else {
                return std::future::pending().await;
            };
            tokio::select! {
                status = child.wait() => {
                    // What it has left running was asked to end, too.
                    match request {
                        Request::Nothing => {}
                        Request::Asked(_) | Request::Killed => signal::end_rest(*id, *group),
                    }
                    self.running = None;
                    return Exit::OfCommand(status.map_or(1, |status| code(&status)));
                }
                () = due(request) => {
                    *request = Request::Killed;
                    signal::kill(child, *group);
                }
            }
        }
    }

    /// Asks the program to end, by that signal, SIGTERM if there was none. Whether one runs, whose end is to be
    /// waited for.
    pub(super) fn stop(&mut self, stop: Option<Stop>) -> bool {
        self.command.clear();
        let Some(Running { child, group, request, .. }) = &mut self.running else { return false };
        // A terminal has sent it already.
        if stop != Some(Stop::Interrupt) || *group == Group::Own {
            signal::ask(child, *group, stop.unwrap_or(Stop::Terminate));
        }
        *request = Request::Asked(Box::pin(sleep(PATIENCE)));
        true
    }

    /// Ends the program at once, if it runs.
    pub(super) fn kill(&mut self) {
        if let Some(Running { child, group, .. }) = &mut self.running {
            signal::kill(child, *group);
        }
    }
}

/// Ends a program that has its group for itself, with all that it has started.
pub(super) fn end_group(child: &tokio::process::Child) {
    #[cfg(unix)]
    signal::kill(child, Group::Own);
    // Elsewhere there are no groups: dropping it ends it.
    #[cfg(not(unix))]
    let _ = child;
}

/// Ends when the time is over that a program was given.
async fn due(request: &mut Request) {
    match request {
        Request::Asked(time) => time.await,
        Request::Nothing | Request::Killed => std::future::pending().await,
    }
}

#[cfg(unix)]
mod signal {
    use nix::sys::signal::{Signal, kill as send, killpg};
    use nix::unistd::Pid;
    use tokio::process::Child;

    use super::{Group, Stop};

    pub(super) fn ask(child: &Child, group: Group, stop: Stop) {
        let signal = match stop {
            Stop::Interrupt => Signal::SIGINT,
            Stop::Terminate => Signal::SIGTERM,
        };
        to(child, group, signal);
    }

    pub(super) fn kill(child: &Child, group: Group) {
        to(child, group, Signal::SIGKILL);
    }

    /// Ends what is left of the group of a program that has just ended.
    pub(super) fn end_rest(id: Option<i32>, group: Group) {
        if let (Some(id), Group::Own) = (id, group) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }

    /// The id is the program's as long as nobody has waited for its end, and then there is none.
    fn to(child: &Child, group: Group, signal: Signal) {
        let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // Who has gone needs no signal.
        let _ = match group {
            Group::Own => killpg(Pid::from_raw(id), signal),
            Group::Ours => send(Pid::from_raw(id), signal),
        };
    }
}

#[cfg(not(unix))]
mod signal {
    use tokio::process::Child;

    use super::{Group, Stop};

    /// There is no way to ask.
    pub(super) fn ask(child: &mut Child, group: Group, _stop: Stop) {
        kill(child, group);
    }

    pub(super) fn kill(child: &mut Child, _group: Group) {
        let _ = child.start_kill();
    }

    /// There are no groups.
    pub(super) fn end_rest(_id: Option<i32>, _group: Group) {}
}

/// How a program is started. On Linux it is by way of ourselves: the system ends a process when the one that started it
/// ends only if the process itself has asked for that.
pub(in crate::cli) mod launch {
    use super::{Command, OsString, io, shown};

    /// The name that the way goes by, which nobody types.
    #[cfg(target_os = "linux")]
    const NAME: &str = "sipreg-launch";

    /// The command that starts that program, to be ended with us.
    #[cfg(target_os = "linux")]
    pub(in crate::cli) fn command(program: &OsString, arguments: &[OsString]) -> Command {
        // It is there even if the file has been replaced.
        let mut command = Command::new("/proc/self/exe");
        command.arg0(NAME).arg(std::process::id().to_string()).arg(program).args(arguments);
        command
    }

    /// The command that starts that program.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::cli) fn command(program: &OsString, arguments: &[OsString]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// Becomes the program, if this process was started to do that. The exit status if it can't.
    #[cfg(target_os = "linux")]
    pub(in crate::cli) fn become_program() -> Option<u8> {
        use std::os::unix::process::CommandExt;

        use nix::sys::{prctl, signal::Signal};

        let mut arguments = std::env::args_os();
        if arguments.next()? != NAME {
            return None;
        }
        let parent = arguments.next()?.to_str()?.parse::<u32>().ok()?;
        let program = arguments.next()?;
        let bound = prctl::set_pdeathsig(Signal::SIGKILL);
        // It may have ended before that was asked for.
        if bound.is_ok() && std::os::unix::process::parent_id() != parent {
            return Some(1);
        }
        let error = std::process::Command::new(&program).args(arguments).exec();
        let (code, message) = failure(&program, &error);
        eprintln!("warning: {message}");
        Some(code)
    }

    /// No process is started for that here.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::cli) fn become_program() -> Option<u8> {
        None
    }

    /// The exit status and the message for a program that can't be run, as shells have them.
    pub(super) fn failure(program: &OsString, error: &io::Error) -> (u8, String) {
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        (code, format!("{} can't be run: {error}", shown(&program.to_string_lossy())))
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
