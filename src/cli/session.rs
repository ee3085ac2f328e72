//! One run of a command that uses the network: a clock, randomness, a runtime, the driver, signals, questions
//! on the terminal, metrics, and panics, for every command alike.
//!
//! [`run`] makes what a command needs before anything is sent; with [`Setup::begin`] the network begins, and
//! [`Session::next`] says what happens from then on. What only one command waits for, such as the program of
//! `keep`, it waits for beside that.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use super::crash;
use super::exit::Fault;
use super::metrics::{Metrics, Reader};
use super::prompt::{Answer, Prompt};
use super::report::Reporter;
use super::report::ladder::Passage;
use super::signals::{Listens, Signal, Signals, Stop};
use super::trace::{Copies, Trace};
use crate::net::{self, Clock, Config, Driver, SystemRandom};
use crate::proto::{Command, Endpoint, Notice, RegistrationId};

/// The means of a command before its network begins.
pub struct Setup {
    /// The one clock.
    pub clock: Clock,
    /// Randomness, which goes on to the core.
    pub random: SystemRandom,
    /// The signals that the command listens to.
    pub signals: Signals,
}

/// A command whose network has begun.
pub struct Session {
    /// The core and its sockets.
    pub driver: Driver,
    /// The one clock.
    pub clock: Clock,
    signals: Signals,
    metrics: Option<Metrics>,
    trace: Option<Trace>,
    questions: VecDeque<Question>,
    prompt: Option<Prompt>,
    /// Nothing is sent: the first request comes as a notice, and is all.
    pub rehearses: bool,
}

/// A question of the core for a password.
struct Question {
    registration: RegistrationId,
    username: String,
    realm: String,
    host: String,
}

/// Something that happened, for the command to act upon.
pub enum Input {
    /// The core says something.
    Notice(Notice),
    /// A signal came, or Ctrl-C was typed at a question.
    Signal(Signal),
    /// Somebody wants to read the metrics.
    Reader(Reader),
    /// Nobody reads stdout any more.
    Unread,
}

/// Runs a command to its end: its clock starts now.
///
/// # Errors
/// What the command says, or that the system has no randomness, runtime or signals to give.
pub fn run<T>(listens: Listens, command: impl AsyncFnOnce(Setup) -> Result<T, Fault>) -> Result<T, Fault> {
    let clock = Clock::start();
    let random = randomness()?;
    reserve()?;
    net::runtime()?.block_on(async {
        let signals = Signals::new(listens)?;
        command(Setup { clock, random, signals }).await
    })
}

/// Makes sure of the descriptors that the event loop needs, since its library panics without them.
#[cfg(unix)]
fn reserve() -> io::Result<()> {
    use std::os::unix::net::UnixStream;
    let _descriptors = [UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?];
    Ok(())
}

/// Makes sure of what the event loop needs: here nothing is known to be wanting.
#[cfg(not(unix))]
fn reserve() -> io::Result<()> {
    Ok(())
}

/// A generator of random numbers.
///
/// # Errors
/// The system has none to give.
pub fn randomness() -> Result<SystemRandom, Fault> {
    Ok(SystemRandom::new()?)
}

impl Setup {
    /// Begins with the network, and with metrics where they are wanted.
    ///
    /// # Errors
    /// The metrics can't be served there.
    pub fn begin(self, config: Config, metrics: Option<SocketAddr>) -> Result<Session, Fault> {
        let Setup { clock, random, signals } = self;
        Ok(Session {
            rehearses: config.dry_run,
            driver: Driver::new(config, Endpoint::new(Box::new(random)), clock),
            clock,
            signals,
            metrics: metrics.map(Metrics::listen).transpose()?,
            trace: None,
            questions: VecDeque::new(),
            prompt: None,
        })
    }
}

impl Session {
    /// Has copies made of the messages from now on. Warns of a trace that others may read.
    pub fn copy(&mut self, copies: Copies, reporter: &mut Reporter<'_, '_>) {
        if let Some(capture) = copies.capture {
            self.driver.capture_with(capture);
        }
        self.trace = copies.trace;
        if let Some(warning) = self.trace.as_ref().and_then(Trace::exposure) {
            reporter.warning(&warning);
        }
    }

    /// The end: closes all connections, and sees to it that the trace is written; warns of what is missing there.
    pub async fn end(self, reporter: &mut Reporter<'_, '_>) {
        self.driver.close().await;
        if let Some(warning) = self.trace.as_ref().and_then(Trace::finish) {
            reporter.warning(&warning);
        }
    }

    /// The next thing that happens. Can be dropped at any time and called again: nothing is lost. Questions
    /// for a password are asked on the way, one at a time, and their answers go to the core; every question
    /// gets one.
    ///
    /// # Errors
    /// A thread or task has panicked.
    pub async fn next(&mut self, reporter: &mut Reporter<'_, '_>) -> Result<Input, Fault> {
        loop {
            if self.prompt.is_none()
                && let Some(Question { username, realm, host, .. }) = self.questions.front()
            {
                reporter.settle();
                self.prompt = Some(Prompt::ask(username, host, realm));
            }
            let input = tokio::select! {
                biased;
                // The most frequent branch comes first; the driver lets the others have their turn.
                notice = self.driver.next() => self.sift(notice).map(Input::Notice),
                signal = self.signals.next() => Some(Input::Signal(signal)),
                () = reporter.unread() => Some(Input::Unread),
                () = crash::happened() => return Err(Fault::internal(crash::last_words())),
                answer = answer(&mut self.prompt) => self.pass_on(answer).map(Input::Signal),
                warning = Trace::failed(self.trace.as_ref()) => {
                    reporter.warning(&warning);
                    None
                }
                reader = Metrics::next(self.metrics.as_mut()) => Some(Input::Reader(reader)),
            };
            if let Some(input) = input {
                return Ok(input);
            }
        }
    }

    /// A notice that the core has given already, without waiting for more.
    pub fn at_hand(&mut self) -> Option<Notice> {
        while let Some(notice) = self.driver.try_next() {
            if let Some(notice) = self.sift(notice) {
                return Some(notice);
            }
        }
        None
    }

    /// The next signal that ends the command, when nothing else is waited for any more. Can be dropped at any time.
    pub async fn stop(&mut self) -> Stop {
        self.signals.stop().await
    }

    /// Whether a question for a password is open.
    pub fn is_asking(&self) -> bool {
        !self.questions.is_empty()
    }

    /// The address of the metrics.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(Metrics::address)
    }

    /// Shows a message that passes, or one that was not used.
    pub fn show(&self, notice: &Notice, reporter: &mut Reporter<'_, '_>) {
        let at = self.clock.elapsed();
        match notice {
            Notice::Message { direction, transport, remote, bytes, .. } => reporter.message(&Passage {
                at,
                direction: *direction,
                transport: *transport,
                remote: *remote,
                bytes,
            }),
            Notice::Lookup(lookup) => reporter.lookup(at, lookup),
            Notice::Dropped { peer, reason } => reporter.dropped(at, *peer, *reason),
            Notice::PasswordWanted { .. }
            | Notice::Retrying { .. }
            | Notice::Finished(_)
            | Notice::Server(_)
            | Notice::Check(_)
            | Notice::Account { .. } => {}
        }
    }

    /// Takes questions for a password out; everything else is for the command.
    fn sift(&mut self, notice: Notice) -> Option<Notice> {
        match notice {
            Notice::PasswordWanted { registration, username, realm, host } => {
                self.questions.push_back(Question { registration, username, realm, host });
                None
            }
            notice @ (Notice::Message { .. }
            | Notice::Lookup(_)
            | Notice::Dropped { .. }
            | Notice::Retrying { .. }
            | Notice::Finished(_)
            | Notice::Server(_)
            | Notice::Check(_)
            | Notice::Account { .. }) => Some(notice),
        }
    }

    /// Answers the core. Ctrl-C is no password, and a signal besides.
    fn pass_on(&mut self, answer: Answer) -> Option<Signal> {
        self.prompt = None;
        let (password, signal) = match answer {
            Answer::Password(password) => (Some(password), None),
            Answer::Nothing => (None, None),
            Answer::Interrupted => (None, Some(Signal::Stop(Stop::Interrupt))),
        };
        if let Some(Question { registration, .. }) = self.questions.pop_front() {
            self.driver.command(Command::Password { registration, password });
        }
        signal
    }
}

/// The answer to the question on the terminal; never ends if there is none.
async fn answer(prompt: &mut Option<Prompt>) -> Answer {
    match prompt {
        Some(prompt) => prompt.answer().await,
        None => std::future::pending().await,
    }
}
