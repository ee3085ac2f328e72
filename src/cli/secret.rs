//! Where the secret comes from: the command line, a file, standard input, the environment. Nothing here prints or
//! repeats what was read, not even when it makes no sense.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::Environment;
use super::exposure::{Right, others_may};
use super::options::Identity;
use super::prompt::Restore;
use super::text::{decode, shown};
use super::thread::beside;
use super::usage::UsageError;
use super::values::{CommandLine, Ha1};
use crate::proto::digest::{Credential, Hidden, Secret};

/// A first line longer than this is no password but the wrong file.
pub const LONGEST_LINE: u64 = 64 * 1024;

const LONGEST: usize = LONGEST_LINE as usize;

/// For how long a program may think, or wait for somebody to unlock its store.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long what an ended program has printed is looked for, if somebody else still holds its output.
const GRACE: Duration = Duration::from_millis(100);

/// How much of a program's output is read at once.
const PIECE: usize = 1024;

/// Which kind of secret a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The password in clear.
    Password,
    /// `[ALGORITHM:]HEX`.
    Ha1,
    /// What servers know that share a store.
    Nodes,
}

impl Kind {
    fn option(self) -> &'static str {
        match self {
            Kind::Password => "--password-file",
            Kind::Ha1 => "--ha1-file",
            Kind::Nodes => "--peer-secret-file",
        }
    }
}

/// A secret that was given, or the place to read it from.
#[derive(Debug)]
pub enum Source {
    /// The secret itself, as it was given.
    Known(Secret),
    /// The first line of a file.
    File(PathBuf, Kind),
    /// The first line of standard input.
    Stdin(Kind),
}

/// Secrets of files that have been read.
#[derive(Default)]
pub struct Secrets(BTreeMap<(PathBuf, Kind), Secret>);

/// The password of the environment.
///
/// # Errors
/// It is not UTF-8.
pub fn of_environment(environment: &Environment) -> Result<Option<Secret>, UsageError> {
    let Some(password) = environment.password.as_ref().filter(|password| !password.is_empty()) else {
        return Ok(None);
    };
    match password.to_str() {
        Some(password) => Ok(Some(Secret::Password(Hidden::new(password.to_owned())))),
        None => Err(UsageError::new("the password in SIPREG_PASSWORD is not UTF-8")),
    }
}

impl Source {
    /// The first line of a file; `-` is standard input.
    #[must_use]
    pub fn at(path: &Path, kind: Kind) -> Source {
        match path.to_str() {
            Some("-") => Source::Stdin(kind),
            Some(_) | None => Source::File(path.to_owned(), kind),
        }
    }

    /// Reads it, beside the event loop where that may take time.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub async fn fetch(self) -> Result<Secret, UsageError> {
        if !self.may_wait() {
            return self.read();
        }
        // Nobody waits for the thread when a signal ends the command.
        let read = beside(move || self.read()).await;
        read.unwrap_or_else(|| Err(UsageError::new("the password could not be read")))
    }

    /// Reads it if it is in a file that nobody has to be waited for, and has not been read yet.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn load(&mut self, read: &mut Secrets) -> Result<(), UsageError> {
        let Source::File(path, kind) = &*self else { return Ok(()) };
        if self.may_wait() {
            return Ok(());
        }
        let key = (path.clone(), *kind);
        let secret = match read.0.get(&key) {
            Some(secret) => secret.clone(),
            None => of_file(path, *kind)?,
        };
        read.0.insert(key, secret.clone());
        *self = Source::Known(secret);
        Ok(())
    }

    /// Where it comes from, in words.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Source::Known(Secret::Password(_)) => "password given".to_owned(),
            Source::Known(Secret::Ha1 { .. }) => "HA1 given".to_owned(),
            Source::File(path, Kind::Password) => format!("password in {}", shown(&path.to_string_lossy())),
            Source::File(path, Kind::Ha1) => format!("HA1 in {}", shown(&path.to_string_lossy())),
            Source::File(path, Kind::Nodes) => format!("secret in {}", shown(&path.to_string_lossy())),
            Source::Stdin(_) => "password on standard input".to_owned(),
        }
    }

    /// A warning for a file that others than its owner may read.
    #[must_use]
    pub fn exposure(&self) -> Option<String> {
        match self {
            Source::File(path, kind) if others_may(Right::Read, path) => {
                let (option, name) = (kind.option(), shown(&path.to_string_lossy()));
                Some(format!("{option}: others may read {name}: chmod 600 it"))
            }
            Source::File(..) | Source::Known(_) | Source::Stdin(_) => None,
        }
    }

    /// Whether reading may wait for somebody: a terminal, a pipe.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match self {
            Source::Known(_) => false,
            Source::Stdin(_) => true,
            Source::File(path, _) => std::fs::metadata(path).is_ok_and(|found| !found.is_file()),
        }
    }

    /// Reads it. Blocks if [`Source::may_wait`] says so.
    ///
    /// # Errors
    /// There is no file, nothing in it, or no secret.
    pub fn read(self) -> Result<Secret, UsageError> {
        match self {
            Source::Known(secret) => Ok(secret),
            Source::Stdin(kind) => meant(first_line(std::io::stdin().lock(), kind, "standard input")?, kind),
            Source::File(path, kind) => of_file(&path, kind),
        }
    }
}

/// The secret in the first line of a file.
fn of_file(path: &Path, kind: Kind) -> Result<Secret, UsageError> {
    let name = shown(&path.to_string_lossy());
    let file = File::open(path).map_err(|error| unreadable(kind, &name, &error))?;
    meant(first_line(BufReader::new(file), kind, &name)?, kind)
}

/// What servers know that share a store: the first line of a file.
///
/// # Errors
/// It can't be read, or has nothing in its first line.
pub fn between_nodes(path: &Path) -> Result<Hidden, UsageError> {
    let name = shown(&path.to_string_lossy());
    let file = File::open(path).map_err(|error| unreadable(Kind::Nodes, &name, &error))?;
    first_line(BufReader::new(file), Kind::Nodes, &name)
}

/// The secret that a line is.
fn meant(line: Hidden, kind: Kind) -> Result<Secret, UsageError> {
    match kind {
        Kind::Password | Kind::Nodes => Ok(Secret::Password(line)),
        Kind::Ha1 => match line.reveal().trim().parse::<Ha1>() {
            Ok(ha1) => Ok(ha1.into()),
            Err(invalid) => Err(UsageError::invalid(kind.option(), "", &invalid)),
        },
    }
}

fn unreadable(kind: Kind, name: &str, error: &std::io::Error) -> UsageError {
    UsageError::option(kind.option(), format_args!("{name} can't be read: {error}"))
        .hint("it takes the name of a file; '-' is standard input")
}

/// The first line without its line end.
///
/// # Errors
/// It is too long or not UTF-8, or there is nothing: of a password only where there is no line at all.
pub fn first_line(input: impl BufRead, kind: Kind, name: &str) -> Result<Hidden, UsageError> {
    let wrong = |what: &str| UsageError::option(kind.option(), format_args!("{name} {what}"));
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    input.take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|error| unreadable(kind, name, &error))?;
    if line.len() as u64 == LONGEST_LINE {
        return Err(wrong("has a first line that is too long for a secret"));
    }
    let text = decode(&line).map_err(|error| wrong(&error.to_string()))?;
    // A line that is there and has nothing in it is a password; a file that was emptied by mistake has no line.
    let is_empty_password = kind == Kind::Password && !text.is_empty();
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() && !is_empty_password {
        return Err(wrong("has nothing in its first line").hint("the first line is the secret"));
    }
    Ok(Hidden::new(secret.to_owned()))
}

/// A secret of the file, for one realm or for any.
#[derive(Debug)]
pub struct ConfiguredSecret {
    /// The realm it is for; `None`: any.
    pub realm: Option<String>,
    /// Whose it is, if not the account's.
    pub username: Option<String>,
    /// Where it is to be had.
    pub source: SecretSource,
    /// Where in the file that stands.
    pub origin: Origin,
}

/// Where a secret is to be had.
#[derive(Debug)]
pub enum SecretSource {
    /// In the file, in another one, or on standard input.
    Source(Source),
    /// In the first line that a program prints.
    Program(Program),
}

/// Where in the configuration file a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The key that holds it.
    pub key: &'static str,
    /// `FILE:LINE:COLUMN` of its value.
    pub place: String,
}

impl Origin {
    /// The same complaint as one about the key.
    fn complain(&self, error: UsageError) -> UsageError {
        UsageError { option: Some(self.key.to_owned()), ..error.at(self.place.clone()) }
    }
}

impl SecretSource {
    /// Takes the one secret out of the options, with its key.
    pub fn take(identity: &mut Identity) -> Option<(&'static str, SecretSource)> {
        let known = |secret| SecretSource::Source(Source::Known(secret));
        let file = |path: PathBuf, kind| SecretSource::Source(Source::at(&path, kind));
        let Identity { password, no_password, ha1, password_file, ha1_file, password_command, .. } = identity;
        let empty = || Secret::Password(Hidden::new(String::new()));
        None.or_else(|| Some(("password", known(Secret::Password(password.take()?.0)))))
            .or_else(|| no_password.take()?.then(|| ("no_password", known(empty()))))
            .or_else(|| Some(("ha1", known(ha1.take()?.into()))))
            .or_else(|| Some(("password_file", file(password_file.take()?, Kind::Password))))
            .or_else(|| Some(("ha1_file", file(ha1_file.take()?, Kind::Ha1))))
            .or_else(|| Some(("password_command", SecretSource::Program(Program(password_command.take()?)))))
    }
}

impl ConfiguredSecret {
    /// Where it is to be read from, if that is no program.
    #[must_use]
    pub fn file(&self) -> Option<&Source> {
        match &self.source {
            SecretSource::Source(source) => Some(source),
            SecretSource::Program(_) => None,
        }
    }

    /// Reads it if it is in a file that nobody has to be waited for.
    ///
    /// # Errors
    /// As [`Source::load`], with its place.
    pub fn load(&mut self, read: &mut Secrets) -> Result<(), UsageError> {
        match &mut self.source {
            SecretSource::Source(source) => source.load(read).map_err(|error| self.origin.complain(error)),
            SecretSource::Program(_) => Ok(()),
        }
    }

    /// Fetches the secret, for this user unless it has one of its own. In a rehearsal no program runs, since nothing
    /// is going to be proved; `None` then.
    ///
    /// # Errors
    /// There is none where the file says that it is.
    pub async fn open(self, username: &str, rehearsal: bool) -> Result<Option<Credential>, UsageError> {
        let read = match self.source {
            SecretSource::Source(source) => source.fetch().await,
            SecretSource::Program(_) if rehearsal => return Ok(None),
            SecretSource::Program(program) => program.ask(PATIENCE).await.map(Secret::Password),
        };
        let secret = read.map_err(|error| self.origin.complain(error))?;
        let username = self.username.unwrap_or_else(|| username.to_owned());
        Ok(Some(Credential { realm: self.realm, username, secret }))
    }
}

/// A program that tells a secret; its arguments may be secret, too.
pub struct Program(pub CommandLine);

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

impl Program {
    /// Runs it and takes the first line of its output. It can't read from us, and its stderr is ours. Dropping the
    /// future ends it, as does the end of its time.
    ///
    /// # Errors
    /// It could not be started, failed, took too long, or said nothing.
    pub async fn ask(self, patience: Duration) -> Result<Hidden, UsageError> {
        let CommandLine { program, arguments } = self.0;
        let name = shown(&program.to_string_lossy());
        let failed = |what: fmt::Arguments<'_>| {
            UsageError::new(format!("{name} {what}"))
                .hint("the first line that it prints is the password; try it by hand")
        };
        // Declared before the program, so that it is dropped after it: who is killed leaves the echo off.
        let _terminal = owns_terminal().then(Restore::remember);
        let mut command = Command::new(&program);
        command.args(&arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
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
                () = read_line(&mut stdout, &mut line) => {}
                ended = child.wait() => {
                    // Who inherited its output may hold it open for ever.
                    let _ = tokio::time::timeout(GRACE, read_line(&mut stdout, &mut line)).await;
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
            Ok(status) if status.success() && line.starts_with(b"\n") => {
                Err(failed(format_args!("printed an empty first line")))
            }
            Ok(status) if status.success() => self::first_line(&line[..], Kind::Password, &name),
            Ok(status) => Err(failed(format_args!("failed: {status}"))),
            Err(error) => Err(failed(format_args!("can't be waited for: {error}"))),
        }
    }
}

/// Whether the terminal is ours to set. From the background that would stop us, and take it from who has it.
#[cfg(target_os = "linux")]
pub(super) fn owns_terminal() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: state, parent, group, session, terminal, the terminal's group.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(2);
    let (group, foreground) = (fields.next(), fields.nth(2));
    group.is_some() && group == foreground
}

#[cfg(not(target_os = "linux"))]
pub(super) fn owns_terminal() -> bool {
    true
}

/// Adds all up to the first line end, within reason. What was read is there when this is dropped.
async fn read_line(output: &mut (impl AsyncRead + Unpin), line: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::digest::Algorithm;

    const HEX32: &str = "939E7578ED9E3C518A452ACEE763BCE9";

    /// HA1 by length and by name; what is wrong is said without the value (AUT-047).
    #[test]
    fn an_ha1_names_its_algorithm_or_has_it_by_length() {
        let hex64 = HEX32.repeat(2);
        let table = [
            (HEX32.to_owned(), Some(Algorithm::Md5)),
            (hex64.clone(), Some(Algorithm::Sha256)),
            (format!("md5:{HEX32}"), Some(Algorithm::Md5)),
            (format!("Sha-256:{hex64}"), Some(Algorithm::Sha256)),
            (format!("SHA-512-256:{hex64}"), Some(Algorithm::Sha512_256)),
            (format!("MD5:{hex64}"), None),
            (format!("SHA-256:{HEX32}"), None),
            (format!("SHA-1:{HEX32}"), None),
            (format!("bob:munich.de:{HEX32}"), None),
            ("hunter2".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in table {
            match (text.parse::<Ha1>(), expected) {
                (Ok(Ha1 { algorithm, hex }), Some(expected)) => {
                    assert_eq!(algorithm, expected);
                    assert_eq!(hex.reveal(), hex.reveal().to_ascii_lowercase());
                }
                (Err(error), None) => {
                    let said = format!("{error:?}");
                    assert!(text.is_empty() || !said.contains(&text), "{said}");
                }
                (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
            }
        }
    }

    /// The first line is the secret, whatever follows and however it ends.
    #[test]
    fn the_first_line_of_a_file_is_the_secret() {
        for (file, expected) in [
            (&b"uncertainty\n"[..], Some("uncertainty")),
            (b"uncertainty", Some("uncertainty")),
            (b"uncertainty\r\nsecond\n", Some("uncertainty")),
            (b" with spaces \n", Some(" with spaces ")),
            ("Kernspaltüng€\n".as_bytes(), Some("Kernspaltüng€")),
            (b"", None),
            (b"\nsecond", Some("")),
            (b"\r\n", Some("")),
            (b"\xff\n", None),
            (b"\xef\xbb\xbfuncertainty\r\n", Some("uncertainty")),
            (b"\xef\xbb\xbf\n", Some("")),
            (b"\xef\xbb\xbf", None),
            (b"\xff\xfeb\0o\0b\0\n\0", None),
            (b"b\0o\0b\0\n\0", None),
            (b"\0b\0o\0b\0\n", None),
        ] {
            let read = first_line(file, Kind::Password, "\"f\"").ok();
            assert_eq!(read.as_ref().map(Hidden::reveal), expected, "{file:?}");
        }
        let endless = std::io::repeat(b'x');
        assert!(first_line(BufReader::new(endless), Kind::Password, "\"f\"").is_err());
    }
}
