//! The manual pages as man shows them: without a warning, in 80 columns, with all that `--help` has.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn sipreg(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sipreg")).args(args).env_clear().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// All pages, in a directory of their own.
fn pages() -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let printed = sipreg(&["man", root.path().join("man1").to_str().unwrap()]);
    let paths: Vec<PathBuf> = printed.lines().map(PathBuf::from).collect();
    assert!(paths.len() > 1 && paths.iter().all(|path| path.is_file()), "{printed}");
    (root, paths)
}

/// Runs a program of Debian's packages man-db and groff-base.
fn run(program: &str, args: &[&str], page: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(args).arg(page).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").env("MAN_KEEP_FORMATTING", "").env("TERM", "dumb");
    command.output().unwrap_or_else(|error| {
        panic!("{program} can't be run ({error}): apt-get install man-db groff-base (tests/run does it)")
    })
}

/// The text of a page, without bold and italics.
fn shown(page: &Path) -> String {
    let output = run("man", &["--warnings", "-E", "UTF-8", "-P", "cat", "-l"], page);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", page.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn man_shows_every_page_without_a_warning_in_80_columns() {
    let (_root, pages) = pages();
    for page in pages {
        let text = shown(&page);
        assert!(text.lines().count() > 30, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", page.display());
        }
        let groff = run("groff", &["-man", "-ww", "-z"], &page);
        let complaints = String::from_utf8_lossy(&groff.stderr);
        assert!(groff.status.success() && complaints.is_empty(), "{}: {complaints}", page.display());
    }
}

#[test]
fn every_page_has_all_sections() {
    let (_root, pages) = pages();
    for page in pages {
        let text = shown(&page);
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXAMPLES",
            "EXIT STATUS",
            "FILES",
            "ENVIRONMENT",
            "SEE ALSO",
        ] {
            // The demonstration and the explanations read and leave no file.
            let reads_none = ["sipreg-demo.1", "sipreg-explain.1"].iter().any(|name| page.ends_with(name));
            if section == "FILES" && reads_none {
                continue;
            }
            assert!(text.lines().any(|line| line == section), "{}: no {section}", page.display());
        }
    }
}

/// Options, commands and exit codes: whatever begins a line of the help.
#[test]
fn every_page_names_what_the_help_names() {
    let (_root, pages) = pages();
    for page in pages {
        let name = page.file_stem().unwrap().to_str().unwrap();
        let command = name.strip_prefix("sipreg-");
        let help = sipreg(&command.into_iter().chain(["--help"]).collect::<Vec<_>>());
        let text = shown(&page);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        // Deeper lines are text.
        let options =
            help.lines().filter(|line| line.len() - line.trim_start().len() < 10).map(str::trim_start);
        for heading in options.filter(|line| line.starts_with('-')) {
            let heading = heading.split("  ").next().unwrap().trim_end_matches("...");
            assert!(lines.iter().any(|line| line.starts_with(heading)), "{name}: no {heading}");
        }
        let codes = help.lines().skip_while(|line| !line.starts_with("Exit status:")).skip(1);
        for code in codes.filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok()) {
            let begins = |line: &&str| line.split("  ").next() == Some(&code.to_string());
            assert!(lines.iter().any(begins), "{name}: no exit status {code}");
        }
        assert!(!text.contains("'sipreg register'."), "{name} points to a help text");
    }
}

/// `sipreg man | man -l -`
#[test]
fn without_a_directory_the_program_s_page_is_printed() {
    let (_root, pages) = pages();
    let page = pages.iter().find(|page| page.ends_with("sipreg.1")).unwrap();
    assert_eq!(sipreg(&["man"]), std::fs::read_to_string(page).unwrap());
    let text = shown(page);
    for other in pages.iter().filter(|other| *other != page) {
        let name = other.file_stem().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("{name}(1)")), "{name}");
    }
}
