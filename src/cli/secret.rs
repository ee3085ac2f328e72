//! Where the secret comes from: the command line, a file, standard input, the environment. Nothing here prints or
//! repeats what was read, not even when it makes no sense.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Environment;
use super::args::Identity;
use super::text::shown;
use super::usage::UsageError;
use crate::proto::digest::{Algorithm, Hidden, Secret};

/// A first line longer than this is no password but the wrong file.
pub const LONGEST_LINE: u64 = 64 * 1024;

/// Which kind of secret a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The password.
    Password,
    /// `[ALGORITHM:]HEX`.
    Ha1,
}

impl Kind {
    fn option(self) -> &'static str {
        match self {
            Kind::Password => "--password-file",
            Kind::Ha1 => "--ha1-file",
        }
    }
}

/// A secret that was given, or the place to read it from.
#[derive(Debug)]
pub enum Source {
    /// Already here.
    Known(Secret),
    /// The first line of a file.
    File(PathBuf, Kind),
    /// The first line of standard input.
    Stdin(Kind),
}

/// Finds out which secret counts: the command line's, else the environment's. (Two on the command line never get here.)
///
/// # Errors
/// `--ha1` that is no HA1, or a variable that is not UTF-8.
pub fn locate(args: &Identity, environment: &Environment) -> Result<Option<Source>, UsageError> {
    if let Some(password) = &args.password {
        return Ok(Some(Source::Known(Secret::Password(password.clone()))));
    }
    if let Some(ha1) = &args.ha1 {
        return Ok(Some(Source::Known(self::ha1("--ha1", ha1.reveal())?)));
    }
    if let Some(path) = &args.password_file {
        return Ok(Some(Source::at(path, Kind::Password)));
    }
    if let Some(path) = &args.ha1_file {
        return Ok(Some(Source::at(path, Kind::Ha1)));
    }
    match environment.password.as_ref().filter(|password| !password.is_empty()) {
        None => Ok(None),
        Some(password) => match password.to_str() {
            Some(password) => Ok(Some(Source::Known(Secret::Password(Hidden::new(password.to_owned()))))),
            None => Err(UsageError::new("the password in SIPREG_PASSWORD is not UTF-8")),
        },
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
        let (done, read) = oneshot::channel();
        // A thread of its own, which nobody waits for when a signal ends the command.
        std::thread::spawn(move || {
            let _ = done.send(self.read());
        });
        read.await.unwrap_or_else(|_| Err(UsageError::new("the password could not be read")))
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
        let (line, kind) = match self {
            Source::Known(secret) => return Ok(secret),
            Source::Stdin(kind) => (first_line(std::io::stdin().lock(), kind, "standard input")?, kind),
            Source::File(path, kind) => {
                let name = shown(&path.to_string_lossy());
                let file = File::open(&path).map_err(|error| unreadable(kind, &name, &error))?;
                (first_line(BufReader::new(file), kind, &name)?, kind)
            }
        };
        match kind {
            Kind::Password => Ok(Secret::Password(line)),
            Kind::Ha1 => ha1(kind.option(), line.reveal().trim()),
        }
    }
}

fn unreadable(kind: Kind, name: &str, error: &std::io::Error) -> UsageError {
    UsageError::new(format!("{}: {name} can't be read: {error}", kind.option()))
        .hint("it takes the name of a file; '-' is standard input")
}

/// The first line without its line end.
///
/// # Errors
/// It is empty, too long or not UTF-8.
pub fn first_line(input: impl BufRead, kind: Kind, name: &str) -> Result<Hidden, UsageError> {
    let wrong = |what: &str| UsageError::new(format!("{}: {name} {what}", kind.option()));
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    input.take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|error| unreadable(kind, name, &error))?;
    if line.len() as u64 == LONGEST_LINE {
        return Err(wrong("has a first line that is too long for a secret"));
    }
    while line.last().is_some_and(|octet| matches!(octet, b'\r' | b'\n')) {
        line.pop();
    }
    if line.is_empty() {
        return Err(wrong("has nothing in its first line").hint("the first line is the secret"));
    }
    match std::str::from_utf8(&line) {
        Ok(text) => Ok(Hidden::new(text.to_owned())),
        Err(_) => Err(wrong("is not UTF-8")),
    }
}

/// Reads the name of a digest algorithm in any case.
#[must_use]
pub fn algorithm(name: &str) -> Option<Algorithm> {
    [("MD5", Algorithm::Md5), ("SHA-256", Algorithm::Sha256), ("SHA-512-256", Algorithm::Sha512_256)]
        .into_iter()
        .find_map(|(known, algorithm)| known.eq_ignore_ascii_case(name).then_some(algorithm))
}

/// Reads `[ALGORITHM:]HEX`.
///
/// # Errors
/// No hash, or not one of that algorithm.
pub fn ha1(option: &str, text: &str) -> Result<Secret, UsageError> {
    const FORM: &str = "write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of \
        user:realm:password";
    let wrong = |what: &str| Err(UsageError::new(format!("{option}: {what}")).hint(FORM));
    let (named, hex) = match text.rsplit_once(':') {
        Some((name, hex)) => match algorithm(name) {
            Some(algorithm) => (Some(algorithm), hex),
            None => return wrong("what stands before the colon is not one of MD5, SHA-256, SHA-512-256"),
        },
        None => (None, text),
    };
    if !hex.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return wrong("that is not a hash: it holds something else than hex digits");
    }
    let algorithm = match (named, hex.len()) {
        (Some(Algorithm::Md5) | None, 32) => Algorithm::Md5,
        (Some(Algorithm::Sha512_256), 64) => Algorithm::Sha512_256,
        (Some(Algorithm::Sha256) | None, 64) => Algorithm::Sha256,
        _ => return wrong("the number of hex digits does not fit the algorithm"),
    };
    Ok(Secret::Ha1 { algorithm, hex: Hidden::new(hex.to_ascii_lowercase()) })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            match (ha1("--ha1", &text), expected) {
                (Ok(Secret::Ha1 { algorithm, hex }), Some(expected)) => {
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
            (b"\nsecond", None),
            (b"\xff\n", None),
        ] {
            let read = first_line(file, Kind::Password, "\"f\"").ok();
            assert_eq!(read.as_ref().map(Hidden::reveal), expected, "{file:?}");
        }
        let endless = std::io::repeat(b'x');
        assert!(first_line(BufReader::new(endless), Kind::Password, "\"f\"").is_err());
    }
}
