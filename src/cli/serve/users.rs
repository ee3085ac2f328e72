//! The users file: read, summary, and written by `--add-user`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::options;
use crate::cli::Environment;
use crate::cli::exposure::{Right, others_may};
use crate::cli::options::Access;
use crate::cli::prompt;
use crate::cli::secret::{self, Kind, Source};
use crate::cli::state::file;
use crate::cli::text::{decode, shown};
use crate::cli::thread::regular;
use crate::cli::usage::UsageError;
use crate::proto::digest::{Hidden, Secret, User, Users};
use crate::sip::escape_user;

/// The largest file of users: whoever names a larger one has made a mistake.
const LARGEST: u64 = 1 << 30;

/// Reads the users.
///
/// # Errors
/// The file can't be read, or the first line that makes no sense.
pub(super) fn read(path: &Path) -> Result<Users, UsageError> {
    let text = content(path)?;
    Users::parse(&text).map_err(|error| {
        UsageError::option("--users", format_args!("{}:{}: {}", path.display(), error.line, error.what))
            .hint("a line is user:realm:HA1:[SHA-256]:[SHA-512-256]:[may-register]; --add-user writes it")
    })
}

/// Reads the users of a server that runs.
///
/// # Errors
/// As [`read`]; or there is none any more, which is hardly meant.
pub(super) fn read_again(path: &Path) -> Result<Users, UsageError> {
    regular(path)?;
    let users = read(path)?;
    if users.is_empty() {
        let what = format!("{} has no user any more", shown(&path.to_string_lossy()));
        return Err(UsageError::option("--users", what));
    }
    Ok(users)
}

fn content(path: &Path) -> Result<Zeroizing<String>, UsageError> {
    let unreadable = |error: std::io::Error| {
        let reason = format!("{} can't be read: {error}", shown(&path.to_string_lossy()));
        let error = UsageError::option("--users", reason);
        error.hint("'sipreg serve --add-user alice --users FILE' makes it")
    };
    let file = File::open(path).map_err(unreadable)?;
    // As long as it is, so that no copy is left behind by growing.
    let length = file.metadata().map_err(unreadable)?.len().min(LARGEST);
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(LARGEST + 1).read_to_end(&mut octets).map_err(unreadable)?;
    if octets.len() as u64 > LARGEST {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    match decode(&octets) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            Err(UsageError::option("--users", format_args!("{} {error}", shown(&path.to_string_lossy()))))
        }
    }
}

/// A warning for a file that others than its owner may write or read: an HA1 is as good as the password.
pub(super) fn exposure(path: &Path) -> Option<String> {
    let name = path.display();
    if others_may(Right::Write, path) {
        return Some(format!("--users: others may write {name}, and so sign in as anybody: chmod 600 it"));
    }
    let warning = || {
        format!("--users: others may read {name}, and a hash in it is as good as the password: chmod 600 it")
    };
    others_may(Right::Read, path).then(warning)
}

/// The number of users who may register, for the banner.
pub(super) fn summary(users: &Users, path: Option<&Path>) -> String {
    let file = path.map(|path| path.display().to_string()).unwrap_or_default();
    match users.len() {
        1 => format!("1 user of {file} may register"),
        number => format!("{number} users of {file} may register"),
    }
}

/// The address of a user, to try it with.
pub(super) fn example(users: &Users) -> Option<String> {
    users.first().map(|user| format!("{}@{}", escape_user(user.own_part()), user.realm))
}

/// Adds a user, or changes the password. Returns the text to print.
pub(super) fn add_user(args: &Access, environment: &Environment) -> Result<String, UsageError> {
    let wanted = args.add_user.as_deref().unwrap_or_default();
    let (name, realm) = match wanted.rsplit_once('@') {
        Some((name, realm)) => (name, realm.to_owned()),
        None => (wanted, options::domains(args).first().map(ToString::to_string).unwrap_or_default()),
    };
    let bad = |what: String| UsageError::value("--add-user", wanted, what).hint("write alice@example.com");
    let old = match args.users.as_deref() {
        Some(path) if path.exists() => content(path)?,
        Some(_) | None => Zeroizing::default(),
    };
    // Mistakes in the name or the file are reported before anybody types a password.
    User::line(name, &realm, &Hidden::new("any".to_owned())).map_err(|fault| bad(fault.to_string()))?;
    if let Some(path) = args.users.as_deref().filter(|_| !old.is_empty()) {
        read(path)?;
    }
    let password = password(args, environment, &format!("{name}@{realm}"))?;
    let Some(path) = args.users.as_deref() else {
        let line = User::line(name, &realm, &password).map_err(|fault| bad(fault.to_string()))?;
        return Ok(format!("{}\n", line.reveal()));
    };
    let unwritable = |error: std::io::Error| {
        let name = shown(&path.to_string_lossy());
        UsageError::option("--users", format_args!("{name} can't be written: {error}"))
    };
    // Whoever else adds a user at this moment waits, and finds this one.
    let _lock = file::lock(path).map_err(unwritable)?;
    let old = content(path)?;
    let text = Users::put(&old, name, &realm, &password).map_err(|fault| bad(fault.to_string()))?;
    file::replace(path, text.reveal().as_bytes()).map_err(unwritable)?;
    Ok(format!("{name}@{realm} is in {} now\n", path.display()))
}

fn password(args: &Access, environment: &Environment, who: &str) -> Result<Hidden, UsageError> {
    let secret = match (&args.password_file, secret::of_environment(environment)) {
        (Some(path), _) => Source::at(path, Kind::Password).read()?,
        (None, known) => match known? {
            Some(password) => password,
            None => Secret::Password(prompt::new_password(who)?),
        },
    };
    match secret {
        Secret::Password(password) if !password.reveal().is_empty() => Ok(password),
        Secret::Password(_) | Secret::Ha1 { .. } => {
            Err(UsageError::option("--add-user", "the password is empty"))
        }
    }
}
