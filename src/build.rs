//! Tells the program what it is built as: for which target and, in a release, from which commit where that is known.
//!
//! Other builds don't know their commit, so that a commit does not have them built anew.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let of_cargo = |name| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=SIPREG_TARGET={}", of_cargo("TARGET"));
    if of_cargo("PROFILE") == "release"
        && let Some(commit) = packaged().or_else(checked_out)
    {
        println!("cargo::rustc-env=SIPREG_COMMIT={commit}");
    }
}

/// The commit that a package was made of: cargo notes it in there.
fn packaged() -> Option<String> {
    let info = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let commit =
        info.split('"').find(|word| word.len() == 40 && word.bytes().all(|c| c.is_ascii_hexdigit()))?;
    Some(commit[..12].to_owned())
}

/// The commit that is checked out, if this folder is the top of a checkout.
fn checked_out() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}
