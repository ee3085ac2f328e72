//! The environment variables that matter to every command.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variables of an environment, read. The default is an empty environment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The value of `SIPREG_PASSWORD`.
    pub password: Option<OsString>,
    /// The value of `SIPREG_STORE_PASSWORD`.
    pub store_password: Option<OsString>,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor 0.
    pub clicolor_force: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// The zone of times for people.
    pub zone: ZoneName,
    /// `HOME`, or the user's profile on Windows.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, if it is an absolute path.
    pub xdg_state_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, if it is an absolute path.
    pub xdg_config_home: Option<PathBuf>,
}

/// A zone that times are said in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ZoneName {
    /// UTC.
    #[default]
    Utc,
    /// The zone that the system is set to.
    System,
    /// The value of `TZ`.
    Named(String),
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Environment {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // The XDG specification ignores relative paths: they would mean another folder wherever one stands.
        let folder = |name| set(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Environment {
            password: set("SIPREG_PASSWORD"),
            store_password: set("SIPREG_STORE_PASSWORD"),
            no_color: set("NO_COLOR").is_some(),
            clicolor_force: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb_terminal: set("TERM").is_some_and(|value| value == "dumb"),
            zone: match std::env::var("TZ") {
                Ok(name) => ZoneName::Named(name),
                Err(_) => ZoneName::System,
            },
            home: folder(if cfg!(windows) { "USERPROFILE" } else { "HOME" }),
            xdg_state_home: folder("XDG_STATE_HOME"),
            xdg_config_home: folder("XDG_CONFIG_HOME"),
        }
    }

    /// The folder for the configuration; `None` where there is no home.
    #[must_use]
    pub fn config_home(&self) -> Option<PathBuf> {
        let base = self.xdg_config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(base.join("sipreg"))
    }

    /// The folder for what is remembered between runs; `None` where there is no home.
    #[must_use]
    pub fn state_home(&self) -> Option<PathBuf> {
        let base = self.xdg_state_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/state")))?;
        Some(base.join("sipreg"))
    }
}
