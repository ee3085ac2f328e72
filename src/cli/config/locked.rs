//! Secrets that the file names, and the program that tells one. They are fetched before the first request, each once.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::key::Key;
use crate::cli::report::text::shown;
use crate::cli::secret::{self, Kind, LONGEST_LINE, Source};
use crate::cli::usage::UsageError;
use crate::proto::digest::{Credential, Hidden, Secret};

/// For how long a program may think, or wait for somebody to unlock its store.
const PATIENCE: Duration = Duration::from_secs(60);

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
pub struct Program(Vec<String>);

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

impl Program {
    /// Program first.
    pub fn new(words: Vec<String>) -> Program {
        Program(words)
    }

    /// Runs it and takes the first line of its output. It can't read from us, and its stderr is ours. Dropping the
    /// future ends it, as does the end of its time.
    ///
    /// # Errors
    /// It could not be started, failed, took too long, or said nothing.
    pub async fn ask(self, patience: Duration) -> Result<Hidden, UsageError> {
        let (program, arguments) = self.0.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let name = shown(program);
        let failed = |what: fmt::Arguments<'_>| {
            UsageError::new(format!("{name} {what}"))
                .hint("the first line that it prints is the password; try it by hand")
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(format_args!("can't be started: {error}")))?;
        let stdout = child.stdout.take();
        let told = async {
            let line = match stdout {
                Some(mut stdout) => {
                    let line = first_line(&mut stdout).await;
                    // It may have more to say, and must not fail for want of somebody who listens.
                    tokio::select! {
                        biased;
                        _ = child.wait() => {}
                        () = drain(&mut stdout) => {}
                    }
                    line
                }
                None => Zeroizing::new(Vec::new()),
            };
            (line, child.wait().await)
        };
        let Ok((line, ended)) = tokio::time::timeout(patience, told).await else {
            let patience = humantime::format_duration(patience);
            return Err(failed(format_args!("was ended: it told nothing within {patience}")));
        };
        match ended {
            Ok(status) if status.success() => secret::first_line(&line[..], Kind::Password, &name),
            Ok(status) => Err(failed(format_args!("failed: {status}"))),
            Err(error) => Err(failed(format_args!("can't be waited for: {error}"))),
        }
    }
}

/// All up to the first line end, within reason.
async fn first_line(output: &mut (impl AsyncRead + Unpin)) -> Zeroizing<Vec<u8>> {
    // As long as it may get, so that no copy is left behind by growing.
    let longest = usize::try_from(LONGEST_LINE).unwrap_or(usize::MAX);
    let mut line = Zeroizing::new(Vec::with_capacity(longest + 1024));
    let mut piece = Zeroizing::new([0; 1024]);
    while line.len() < longest && !line.contains(&b'\n') {
        match output.read(&mut piece[..]).await {
            Ok(0) | Err(_) => break,
            Ok(length) => line.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
    line
}

async fn drain(output: &mut (impl AsyncRead + Unpin)) {
    let mut piece = Zeroizing::new([0; 1024]);
    while matches!(output.read(&mut piece[..]).await, Ok(1..)) {}
}
