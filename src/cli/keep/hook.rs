//! `--on-event`: a program for each event, one after the other.
//!
//! Events of an account itself wait in a queue of their own and are never left out; what strangers cause has another, which
//! is bounded and comes second.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc};

use super::child::{end_group, launch};
use crate::cli::report::events::KeepEvent;

/// What strangers cause may wait for the program so many times. More is left out: a program that hangs must not fill the
/// memory.
const STRANGERS: usize = 100;

/// So many events of the accounts may wait before the program is called too slow. How many there can be is bounded by the
/// pace at which accounts are registered.
const MANY: usize = 1000;

/// Complaints that may wait to be shown.
const COMPLAINTS: usize = 8;

/// Time for the program to handle one event, and all that wait when everything ends.
const LONGEST: Duration = Duration::from_secs(60);
const LAST: Duration = Duration::from_secs(5);

/// Of the latter, the time for an event of strangers: those of the accounts are still to come.
const LAST_OF_STRANGERS: Duration = Duration::from_secs(1);

/// The program, and the events that wait for it.
pub(super) struct Hook {
    command: OsString,
    running: Option<Running>,
    /// Events that wait or are handled.
    waiting: Arc<AtomicUsize>,
    /// Events that were left out since the last that was not.
    left_out: u64,
    /// It was said that the program is too slow, and nothing has changed since.
    is_slow: bool,
    complain: mpsc::Sender<String>,
    complaints: mpsc::Receiver<String>,
}

struct Running {
    own: mpsc::UnboundedSender<HookEvent>,
    strangers: mpsc::Sender<HookEvent>,
    /// Notified at the end: what strangers caused is handled in a second then, so that the own events get through.
    ending: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
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
        let waiting = Arc::default();
        Hook { command, running: None, waiting, left_out: 0, is_slow: false, complain, complaints }
    }

    /// Queues an event for the program.
    pub(super) fn tell(&mut self, event: &KeepEvent) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        // A stretch of slowness is over when nothing waits any more.
        self.is_slow &= waiting > 0;
        let line = event.line(self.left_out);
        let told = HookEvent { name: event.name(), aor: event.aor().to_owned(), line };
        let is_of_strangers = event.is_of_strangers();
        let Running { own, strangers, .. } = self.running();
        let taken = if is_of_strangers { strangers.try_send(told).is_ok() } else { own.send(told).is_ok() };
        if taken {
            self.left_out = 0;
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            self.left_out += 1;
        }
        if (!taken || waiting >= MANY) && !self.is_slow {
            self.is_slow = true;
            let what = if taken { "many events wait" } else { "requests of others are left out" };
            let _ = self.complain.try_send(format!("--on-event is too slow: {what}"));
        }
    }

    fn running(&mut self) -> &mut Running {
        let Hook { command, running, waiting, complain, .. } = self;
        running.get_or_insert_with(|| {
            let (own, of_accounts) = mpsc::unbounded_channel();
            let (strangers, of_strangers) = mpsc::channel(STRANGERS);
            let ending = Arc::<Notify>::default();
            let waiting = Arc::clone(waiting);
            let queues = Queues { of_accounts, of_strangers, ending: Arc::clone(&ending), waiting };
            let task = tokio::spawn(work(command.clone(), queues, complain.clone()));
            Running { own, strangers, ending, task }
        })
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

    /// Waits for the program to handle the events that wait, for a while, and ends it then.
    pub(super) async fn finish(self) {
        if let Some(Running { own, strangers, ending, mut task }) = self.running {
            ending.notify_one();
            drop((own, strangers));
            if tokio::time::timeout(LAST, &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
    }
}

struct Queues {
    of_accounts: mpsc::UnboundedReceiver<HookEvent>,
    of_strangers: mpsc::Receiver<HookEvent>,
    ending: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
}

impl Queues {
    /// The next event, those of the accounts first, and whether it is one of strangers; `None` when there will be no more.
    async fn next(&mut self) -> Option<(HookEvent, bool)> {
        tokio::select! {
            biased;
            Some(event) = self.of_accounts.recv() => Some((event, false)),
            Some(event) = self.of_strangers.recv() => Some((event, true)),
            else => None,
        }
    }

    /// Ends when the time is over that the program has for an event.
    async fn over(&self, is_of_strangers: bool) {
        if !is_of_strangers {
            return tokio::time::sleep(LONGEST).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LONGEST) => {}
            () = async {
                self.ending.notified().await;
                tokio::time::sleep(LAST_OF_STRANGERS).await;
            } => {}
        }
    }
}

async fn work(command: OsString, mut queues: Queues, complain: mpsc::Sender<String>) {
    let mut fails = false;
    while let Some((told, is_of_strangers)) = queues.next().await {
        let ended = tokio::select! {
            ended = one(&command, &told) => ended,
            () = queues.over(is_of_strangers) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long and was ended"))
            }
        };
        queues.waiting.fetch_sub(1, Ordering::Relaxed);
        // One complaint until it works again.
        if let Err(error) = &ended
            && !fails
        {
            let _ = complain.try_send(format!("--on-event: {error}"));
        }
        fails = ended.is_err();
    }
}

/// A run of the program, which ends with all that it has started when nobody waits for it any more.
struct Run {
    child: Child,
    has_ended: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.has_ended {
            end_group(&self.child);
        }
    }
}

async fn one(command: &OsString, told: &HookEvent) -> io::Result<()> {
    let child = shell(command)
        .env("SIPREG_EVENT", &told.name)
        .env("SIPREG_AOR", &told.aor)
        .env_remove("SIPREG_PASSWORD")
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut run = Run { child, has_ended: false };
    let stdin = run.child.stdin.take();
    let talk = async {
        if let Some(mut stdin) = stdin {
            // A program that reads nothing has not failed.
            let _ = stdin.write_all(told.line.as_bytes()).await;
        }
        run.child.wait().await
    };
    let ended = talk.await;
    run.has_ended = true;
    ended.map(drop)
}

/// The program in a process group of its own.
#[cfg(unix)]
fn shell(command: &OsString) -> Command {
    let mut shell = launch::command(&"sh".into(), &["-c".into(), command.clone()]);
    shell.process_group(0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &OsString) -> Command {
    launch::command(&"cmd".into(), &["/C".into(), command.clone()])
}
