//! A home with a configuration file, a folder with files, and `sipreg` in PATH.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub struct Home {
    root: TempDir,
}

/// Where the shells are.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

impl Home {
    pub fn new() -> Home {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["bin", "home", "config/sipreg", "work/passdir"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_sipreg"), at("bin/sipreg")).unwrap();
        for file in ["work/password", "work/pass word", "home/secret"] {
            fs::write(at(file), "").unwrap();
        }
        let accounts =
            "[accounts.office]\naor = \"sip:you@example.com\"\n\n[accounts.travel]\naor = \"a@b.example\"\n";
        fs::write(at("config/sipreg/config.toml"), accounts).unwrap();
        fs::write(at("work/other.toml"), "[accounts.spare]\naor = \"sip:you@example.com\"\n").unwrap();
        Home { root }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A shell in the folder `work`, with nothing else in its environment.
    pub fn command(&self, shell: &str) -> Command {
        let found = PATH.split(':').map(|folder| Path::new(folder).join(shell)).find(|path| path.exists());
        let Some(found) = found else {
            panic!("{shell} is not installed: apt-get install {shell} (tests/run does it)");
        };
        let mut command = Command::new(found);
        command.env_clear().current_dir(self.path("work"));
        command.env("PATH", format!("{}:{PATH}", self.path("bin").display()));
        command.env("HOME", self.path("home")).env("XDG_CONFIG_HOME", self.path("config"));
        command.env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
        command
    }
}
