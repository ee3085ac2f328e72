//! Completion: the scripts that teach a shell to ask, and the answers.
//!
//! A script of `completions/` calls `COMPLETE=bash sipreg -- sipreg regi…`, with the words typed so far after
//! `--`. This is the protocol of clap_complete's `CompleteEnv`, and its engine answers. `CompleteEnv` itself
//! is not used, since it writes to stdout and ends the process by itself; [`answer`] returns the candidates.

mod shells;
mod words;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::{Arg, CommandFactory, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter};

use super::Environment;
use super::config::account_names;
use super::options::Args;
use super::values::Shell;
use crate::proto::digest::Algorithm;

/// The variable that says which shell asks. Without it nothing of this module runs.
pub const VARIABLE: &str = "COMPLETE";

/// The shell that asks this process for candidates. A value that names none was meant for another program.
#[must_use]
pub fn asking() -> Option<Shell> {
    let value = std::env::var_os(VARIABLE)?;
    Shell::from_str(value.to_str()?, false).ok()
}

/// The script for a shell. It calls `sipreg` by name.
#[must_use]
pub fn script(shell: Shell) -> String {
    // Writing to memory can't fail.
    let script = shells::script(shell, VARIABLE).unwrap_or_default();
    format!("{}\n", script.trim())
}

/// The candidates for what is being typed, as the shell's script reads them; the script itself where no words
/// follow. `arguments` are the process's, its name first.
///
/// # Errors
/// The words make no sense.
pub fn answer(shell: Shell, arguments: &[OsString], environment: &Environment) -> io::Result<String> {
    let escape = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let words = arguments.get(escape + 1..).unwrap_or_default();
    if words.is_empty() {
        return Ok(script(shell));
    }
    let words = words::plain(shell, words);
    let mut command = command(environment, words::value_of(&words, "--config").map(PathBuf::from));
    shells::candidates(shell, &mut command, words)
}

/// The command line, with what is known about values.
fn command(environment: &Environment, config: Option<PathBuf>) -> clap::Command {
    let environment = Environment { password: None, ..environment.clone() };
    let accounts = ArgValueCandidates::new(move || {
        let names = account_names(&environment, config.as_deref()).into_iter();
        names.map(|name| CompletionCandidate::new(name).help(Some("account".into()))).collect()
    });
    let mut program = Args::command();
    // The options of the commands are there only when it is built.
    program.build();
    program.mut_subcommands(|command| command.mut_args(|argument| known(argument, &accounts)))
}

/// The kind of a value follows from the name that `--help` gives it. Closed lists complete themselves;
/// nothing is offered for free text and secrets.
fn known(argument: Arg, accounts: &ArgValueCandidates) -> Arg {
    let value = argument.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    match (value, argument.get_id().as_str()) {
        ("AOR", _) => argument.add(accounts.clone()),
        ("DIR", _) => argument.add(ArgValueCompleter::new(PathCompleter::dir())),
        ("FILE", "password_file" | "ha1_file") => {
            argument.add(ArgValueCompleter::new(PathCompleter::file().stdio()))
        }
        ("FILE", _) => argument.add(ArgValueCompleter::new(PathCompleter::file())),
        (_, "min_algorithm") => argument.add(ArgValueCandidates::new(algorithms)),
        _ => argument,
    }
}

fn algorithms() -> Vec<CompletionCandidate> {
    let names = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256].map(Algorithm::as_str);
    names.into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests;
