//! `--on-event`: a program for each event, one after the other.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::cli::report::events::KeepEvent;

/// Events that may wait for the program to end. Later ones are left out: a program that hangs must not fill
/// the memory.
const WAITING: usize = 1000;

/// Complaints that may wait to be shown.
const COMPLAINTS: usize = 8;

/// Time for the program to handle one event, and all that wait when everything ends.
const LONGEST: Duration = Duration::from_secs(60);
const LAST: Duration = Duration::from_secs(5);

/// The program, and the events that wait for it.
pub(super) struct Hook {
    command: OsString,
    running: Option<(mpsc::Sender<HookEvent>, tokio::task::JoinHandle<()>)>,
    complain: mpsc::Sender<String>,
    complaints: mpsc::Receiver<String>,
}

struct HookEvent {
    name: String,
    aor: String,
    line: String,
}

impl Hook {
    /// Nothing is run before the first event.
    pub(super) fn new(command: OsString) -> Hook {
        let (complain, complaints) = mpsc::channel(COMPLAINTS);
        Hook { command, running: None, complain, complaints }
    }

    /// Queues an event for the program.
    pub(super) fn tell(&mut self, event: &KeepEvent) {
        let (sender, _) = self.running.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING);
            (sender, tokio::spawn(work(self.command.clone(), receiver, self.complain.clone())))
        });
        if sender
            .try_send(HookEvent { name: event.name(), aor: event.aor().to_owned(), line: event.line(0) })
            .is_err()
        {
            let _ = self.complain.try_send("--on-event is too slow: an event is left out".to_owned());
        }
    }

    /// The next complaint about the program. Can be dropped at any time.
    pub(super) async fn complaint(hook: &mut Option<Hook>) -> String {
        match hook {
            Some(hook) => match hook.complaints.recv().await {
                Some(complaint) => complaint,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// Waits for the program to handle the events that wait, for a while.
    pub(super) async fn finish(self) {
        if let Some((sender, task)) = self.running {
            drop(sender);
            let _ = tokio::time::timeout(LAST, task).await;
        }
    }
}

async fn work(command: OsString, mut events: mpsc::Receiver<HookEvent>, complain: mpsc::Sender<String>) {
    while let Some(told) = events.recv().await {
        if let Err(error) = one(&command, &told).await {
            let _ = complain.try_send(format!("--on-event: {error}"));
        }
    }
}

async fn one(command: &OsString, told: &HookEvent) -> std::io::Result<()> {
    let mut child = shell(command)
        .env("SIPREG_EVENT", &told.name)
        .env("SIPREG_AOR", &told.aor)
        .env_remove("SIPREG_PASSWORD")
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let talk = async {
        if let Some(mut stdin) = stdin {
            // A program that reads nothing has not failed.
            let _ = stdin.write_all(told.line.as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(LONGEST, talk).await {
        Ok(ended) => ended.map(drop),
        Err(_) => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "it took longer than a minute and was ended",
        )),
    }
}

#[cfg(unix)]
fn shell(command: &OsString) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(not(unix))]
fn shell(command: &OsString) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}
