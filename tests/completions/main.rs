//! Completion in the shells themselves: the committed scripts, loaded as people load them, and Tab pressed where a
//! terminal is. Debian packages bash, zsh and fish; a shell that is missing is a failure that says so.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

mod bash;
mod fish;
mod home;
mod terminal;
mod zsh;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Shells, and the names that their packagers expect.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", "sipreg.bash"),
    ("zsh", "_sipreg"),
    ("fish", "sipreg.fish"),
    ("powershell", "_sipreg.ps1"),
    ("elvish", "sipreg.elv"),
];

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name)
}

/// To write them anew: `sipreg completions SHELL > completions/FILE`.
#[test]
fn the_committed_scripts_are_what_the_command_prints() {
    for (shell, name) in SCRIPTS {
        let printed =
            Command::new(env!("CARGO_BIN_EXE_sipreg")).args(["completions", shell]).output().unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
        let committed = std::fs::read_to_string(script(name)).unwrap_or_default();
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert!(committed == printed, "cargo run -q -- completions {shell} > completions/{name}");
    }
    let held = std::fs::read_dir(script("")).unwrap().count();
    assert_eq!(held, SCRIPTS.len(), "completions/ holds something else");
}

/// The machine that built it must not matter.
#[test]
fn the_scripts_call_sipreg_by_name() {
    for (shell, name) in SCRIPTS {
        let text = std::fs::read_to_string(script(name)).unwrap();
        assert!(!text.contains("/sipreg"), "a path in the script for {shell}");
        assert!(
            text.contains("sipreg\" -- ") || text.contains("sipreg -- "),
            "no call in the script for {shell}"
        );
    }
}

/// Somebody else's variable of this name changes nothing; `CompleteEnv`'s way to ask for a script works.
#[test]
fn the_variable_counts_only_if_it_names_a_shell() {
    let run = |value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sipreg"));
        String::from_utf8(command.arg("--version").env("COMPLETE", value).output().unwrap().stdout).unwrap()
    };
    for value in ["", "0", "1", "nushell"] {
        assert!(run(value).starts_with("sipreg "), "COMPLETE={value}");
    }
    assert!(run("fish").starts_with("complete "));
}
