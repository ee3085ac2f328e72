//! Secrets that the file names, and the program that tells one. They are fetched before the first request, each once.

use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::key::Key;
use crate::cli::prompt::Restore;
use crate::cli::secret::{self, Kind, LONGEST_LINE, Source};
use crate::cli::text::shown;
use crate::cli::usage::UsageError;
use crate::proto::digest::{Credential, Hidden, Secret};

/// For how long a program may think, or wait for somebody to unlock its store.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long what an ended program has printed is looked for, if somebody else still holds its output.
const GRACE: Duration = Duration::from_millis(100);

const LONGEST: usize = LONGEST_LINE as usize;

/// How much is read at once.
const PIECE: usize = 1024;

/// A secret of the file, for one realm or for any.
#[derive(Debug)]
pub struct Locked {
    /// The realm it is for; `None`: any.
    pub realm: Option<String>,
    /// Whose it is, if not the account's.
    pub username: Option<String>,
    /// Where it is to be had.
    pub lock: Lock,
    /// Where in the file that stands.
    pub origin: Origin,
}

/// Where a secret is to be had.
#[derive(Debug)]
pub enum Lock {
    /// In the file, in another one, or on standard input.
    Source(Source),
    /// In the first line that a program prints.
    Program(Program),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its key.
    pub key: Key,
    /// `FILE:LINE:COLUMN`.
    pub place: String,
}

impl Origin {
    /// Says a complaint about an option of the command line as one about the key.
    pub fn complain(&self, error: UsageError) -> UsageError {
        let (place, key) = (&self.place, self.key.name());
        let (option, rest) = split(&error.message);
        let message = match option {
            Some(_) => format!("{place}: {key}{rest}"),
            None => format!("{place}: {key}: {}", error.message),
        };
        UsageError { message, ..error }
    }
}

/// The option that a message begins with, as the name of a key; and the rest.
pub fn split(message: &str) -> (Option<String>, &str) {
    let end = message.find([':', ' ']).unwrap_or(message.len());
    let (word, rest) = message.split_at(end);
    match word.strip_prefix("--") {
        Some(name) => (Some(name.replace('-', "_")), rest),
        None if word == "AOR" => (Some("aor".to_owned()), rest),
        None => (None, message),
    }
}

impl Locked {
    /// Fetches the secret, for this user unless it has one of its own. In a rehearsal no program runs, since nothing
    /// is going to be proved; `None` then.
    ///
    /// # Errors
    /// There is none where the file says that it is.
    pub async fn open(self, username: &str, rehearsal: bool) -> Result<Option<Credential>, UsageError> {
        let read = match self.lock {
            Lock::Source(source) => source.fetch().await,
            Lock::Program(_) if rehearsal => return Ok(None),
            Lock::Program(program) => program.ask(PATIENCE).await.map(Secret::Password),
        };
        let secret = read.map_err(|error| self.origin.complain(error))?;
        let username = self.username.unwrap_or_else(|| username.to_owned());
        Ok(Some(Credential { realm: self.realm, username, secret }))
    }
}

/// A program with its arguments, which may be secret.
pub struct Program {
    program: OsString,
    arguments: Vec<String>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

impl Program {
    /// A program that is found, and what it is given.
    pub fn new(program: OsString, arguments: Vec<String>) -> Program {
        Program { program, arguments }
    }

    /// Runs it and takes the first line of its output. It can't read from us, and its stderr is ours. Dropping the
    /// future ends it, as does the end of its time.
    ///
    /// # Errors
    /// It could not be started, failed, took too long, or said nothing.
    pub async fn ask(self, patience: Duration) -> Result<Hidden, UsageError> {
        let name = shown(&self.program.to_string_lossy());
        let failed = |what: fmt::Arguments<'_>| {
            UsageError::new(format!("{name} {what}"))
                .hint("the first line that it prints is the password; try it by hand")
        };
        // Declared before the program, so that it is dropped after it: who is killed leaves the echo off.
        let _terminal = owns_terminal().then(Restore::remember);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            failed(format_args!("can't be started: {error}")).hint(
                "it runs without a shell: variables are not expanded, nor is ~ but in ~/ before the program",
            )
        })?;
        let Some(mut stdout) = child.stdout.take() else {
            return Err(failed(format_args!("can't be listened to")));
        };
        // As long as it may get, so that no copy is left behind by growing.
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + PIECE));
        let told = async {
            tokio::select! {
                biased;
                () = first_line(&mut stdout, &mut line) => {}
                ended = child.wait() => {
                    // Who inherited its output may hold it open for ever.
                    let _ = tokio::time::timeout(GRACE, first_line(&mut stdout, &mut line)).await;
                    return ended;
                }
            }
            // It may have more to say, and must not fail for want of somebody who listens.
            tokio::select! {
                biased;
                ended = child.wait() => ended,
                () = drain(&mut stdout) => child.wait().await,
            }
        };
        let Ok(ended) = tokio::time::timeout(patience, told).await else {
            let patience = humantime::format_duration(patience);
            return Err(failed(format_args!("was ended: it told nothing within {patience}")));
        };
        match ended {
            Ok(status) if status.success() && line.is_empty() => Err(failed(format_args!("printed nothing"))),
            Ok(status) if status.success() => secret::first_line(&line[..], Kind::Password, &name),
            Ok(status) => Err(failed(format_args!("failed: {status}"))),
            Err(error) => Err(failed(format_args!("can't be waited for: {error}"))),
        }
    }
}

/// Whether the terminal is ours to set. From the background that would stop us, and take it from who has it.
#[cfg(target_os = "linux")]
fn owns_terminal() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: state, parent, group, session, terminal, the terminal's group.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(2);
    let (group, foreground) = (fields.next(), fields.nth(2));
    group.is_some() && group == foreground
}

#[cfg(not(target_os = "linux"))]
fn owns_terminal() -> bool {
    true
}

/// Adds all up to the first line end, within reason. What was read is there when this is dropped.
async fn first_line(output: &mut (impl AsyncRead + Unpin), line: &mut Vec<u8>) {
    let mut piece = Zeroizing::new([0; PIECE]);
    while line.len() < LONGEST && !line.contains(&b'\n') {
        match output.read(&mut piece[..]).await {
            Ok(0) | Err(_) => break,
            Ok(length) => line.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
}

async fn drain(output: &mut (impl AsyncRead + Unpin)) {
    let mut piece = Zeroizing::new([0; PIECE]);
    while matches!(output.read(&mut piece[..]).await, Ok(1..)) {}
}
