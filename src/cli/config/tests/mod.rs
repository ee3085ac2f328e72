//! Files and what comes of them. Every message is shown as it is, with `FILE` for the file's name.

mod any;
mod complaints;
mod effect;
mod precedence;
mod secrets;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::cli::account::Account;
use crate::cli::options::{Args, Command};
use crate::cli::report::Settings;

/// A folder with a configuration file that only its owner may read.
struct Home {
    dir: TempDir,
    environment: Environment,
}

impl Home {
    fn with(text: impl AsRef<[u8]>) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let home = Home { environment: Environment::default(), dir };
        fs::write(home.file(), text).unwrap();
        home.mode(0o600);
        home
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    fn mode(&self, mode: u32) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.file(), fs::Permissions::from_mode(mode)).unwrap();
        }
        let _ = mode;
    }

    fn account(&self, arguments: &[&str]) -> Result<Account, UsageError> {
        self.resolved(arguments).map_err(|refused| refused.1)
    }

    fn resolved(&self, arguments: &[&str]) -> Result<Account, Box<(Settings, UsageError)>> {
        let mut line: Vec<OsString> = ["sipreg"].iter().chain(arguments).map(OsString::from).collect();
        line.extend(["--config".into(), self.file().into()]);
        let request: Request = match Args::try_parse_from(line).unwrap().command {
            Command::Register(args) => (*args.0).into(),
            Command::List(args) => (*args.0).into(),
            Command::Unregister(args) => (*args.0).into(),
            Command::Check(args) => args.0.request().0,
            Command::Keep(_)
            | Command::Serve(_)
            | Command::Demo(_)
            | Command::Explain(_)
            | Command::Completions(_)
            | Command::Man(_) => {
                unreachable!()
            }
        };
        Account::resolve(request, &self.environment)
    }

    /// What is complained about, or `taken`.
    fn complaint(&self, arguments: &[&str]) -> String {
        let said = match self.account(arguments) {
            Ok(_) => return "taken\n".to_owned(),
            Err(error) => error,
        };
        let hint = said.hint.as_ref().map(|hint| format!("\n  ({hint})")).unwrap_or_default();
        format!("{}{hint}\n", said.message()).replace(self.file().to_str().unwrap(), "FILE")
    }
}

/// The account of a file that is right.
fn account(text: &str, arguments: &[&str]) -> Account {
    match Home::with(text).account(arguments) {
        Ok(account) => account,
        Err(error) => panic!("{text}\n{arguments:?}: {error:?}"),
    }
}

#[test]
fn names_for_completion() {
    for (text, names) in [
        ("", &[][..]),
        ("[accounts.work]\naor = 1\n[accounts.home]", &["home", "work"]),
        ("[accounts.\"a@b\"]\n[accounts.\"\"]\n[accounts.\"sip:x\"]\n[accounts.x]", &["x"]),
        ("[accounts]\nwork = 1", &["work"]),
        ("accounts = 1", &[]),
        ("[accounts.work", &[]),
        ("\u{0}", &[]),
        ("[accounts.\"a\\u001bx\"]\n[accounts.\"b\\nc\"]\n[accounts.\"d\\u009bx\"]\n[accounts.x]", &["x"]),
    ] {
        let home = Home::with(text);
        assert_eq!(account_names(&home.environment, Some(&home.file())), names, "{text}");
    }
    assert!(account_names(&Environment::default(), None).is_empty());
    assert!(account_names(&Environment::default(), Some(Path::new("/does/not/exist"))).is_empty());
    assert!(account_names(&Environment::default(), Some(Path::new("/"))).is_empty());
}

/// The usual file is below `$XDG_CONFIG_HOME`, else below `~/.config`.
#[test]
fn where_the_file_is() {
    for (xdg, home, path) in [
        (Some("/x"), Some("/h"), Some("/x/sipreg/config.toml")),
        (None, Some("/h"), Some("/h/.config/sipreg/config.toml")),
        (None, None, None),
    ] {
        let environment = Environment {
            xdg_config_home: xdg.map(PathBuf::from),
            home: home.map(PathBuf::from),
            ..Environment::default()
        };
        assert_eq!(file::default_path(&environment), path.map(PathBuf::from));
    }
}

/// A named file has to be there; the usual one need not.
#[test]
fn files_that_are_not_there() {
    let home = Home::with("");
    let environment = Environment { home: Some(home.dir.path().to_owned()), ..Environment::default() };
    assert!(File::read(None, &environment).unwrap().is_none());
    assert!(File::read(None, &Environment::default()).unwrap().is_none());
    let below_a_file = Environment { home: Some(home.file()), ..Environment::default() };
    assert!(File::read(None, &below_a_file).unwrap().is_none());
    for missing in ["/does/not/exist", "", "/"] {
        let error = File::read(Some(Path::new(missing)), &environment).err().unwrap();
        assert!(error.message().contains("can't be read"), "{}", error.message());
    }
    assert_eq!(File::read(Some(Path::new("/dev/null")), &environment).unwrap().unwrap().text(), "");
}
