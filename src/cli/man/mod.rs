//! Manual pages: one for the program, one for each command.
//!
//! Most of a page is what `--help` says, so that there is one text: clap_mangen sets name, synopsis,
//! description and options; everything else is what help is made of ([`super::help`]), with files and
//! variables, which it leaves out.

mod typeset;

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help::{self, Help};
use super::options::Args;
use super::replace::replace;
use super::text::{escape, shown};
use super::usage::UsageError;

/// When the pages last changed in a way that readers notice: roff wants a date in the head.
const DATE: &str = "2026-11-22";

/// The page of the program itself.
#[must_use]
pub fn first_page() -> String {
    let program = program();
    page(&program, &program)
}

/// Writes all pages into a directory, which is made if need be; returns their paths, a line for each. Each
/// page is replaced as a whole.
///
/// # Errors
/// The directory can't be made or written.
pub fn write_to(dir: &Path) -> Result<String, UsageError> {
    let wrong = |what: &str, error: &io::Error| {
        UsageError::option("DIR", format_args!("{what} {}: {error}", shown(&dir.to_string_lossy())))
    };
    fs::create_dir_all(dir).map_err(|error| wrong("can't make", &error))?;
    let mut written = String::new();
    for (name, page) in pages() {
        let path = dir.join(&name);
        replace(dir, &name, page.as_bytes())
            .map_err(|error| wrong(&format!("can't write {name} into"), &error))?;
        written += &escape(&path.to_string_lossy());
        written.push('\n');
    }
    Ok(written)
}

/// File names and contents.
fn pages() -> Vec<(String, String)> {
    let program = program();
    let commands = std::iter::once(&program).chain(program.get_subcommands());
    commands.map(|command| (format!("{}.1", title(command)), page(command, &program))).collect()
}

fn program() -> Command {
    let mut program = Args::command();
    program.build();
    program
}

/// The title of a page: `sipreg-register`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, program: &Command) -> String {
    let whole = command.has_subcommands();
    let mut page = Roff::new();
    let version = format!("sipreg {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", [&title(command).to_uppercase(), "1", DATE, &version, "User Commands"]);
    // Paths and options must not be taken apart at the end of a line.
    page.control("nh", []).control("ad", ["l"]);
    let mut page = page.render();
    page += &typeset::sections_of(&Man::new(command.clone()), command);

    let help = Help::of(command.get_name());
    let mut rest = Roff::new();
    if whole {
        commands(&mut rest, command);
    }
    for note in [help.note, help.remark] {
        typeset::note(&mut rest, note);
    }
    typeset::examples(&mut rest, help.examples);
    exit_status(&mut rest, help);
    typeset::entries(&mut rest, "FILES", &help::files(command));
    typeset::entries(&mut rest, "ENVIRONMENT", &help::environment(command));
    see_also(&mut rest, command, program);
    page += &typeset::finished(&rest.to_roff());
    page
}

/// "COMMANDS" of the program's page.
fn commands(page: &mut Roff, program: &Command) {
    page.control("SH", ["COMMANDS"]);
    for command in program.get_subcommands() {
        let aliases: String = command.get_visible_aliases().map(|alias| format!(", {alias}")).collect();
        page.control("TP", []);
        page.text([bold(command.get_name()), roman(aliases)]);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.text([roman(format!("{about}: see ")), bold(title(command)), roman("(1).")]);
    }
}

fn exit_status(page: &mut Roff, help: &Help) {
    page.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in help.all_exit_statuses() {
        page.control("TP", ["6"]);
        page.text([bold(code.to_string())]);
        page.text([roman(meaning)]);
    }
    if !help.exit_note.is_empty() {
        page.control("PP", []);
        page.text([roman(help.exit_note.replace('\n', " "))]);
    }
}

fn see_also(page: &mut Roff, command: &Command, program: &Command) {
    page.control("SH", ["SEE ALSO"]);
    let others = std::iter::once(program).chain(program.get_subcommands()).map(title);
    let others: Vec<&str> = others.filter(|other| *other != title(command)).collect();
    for other in &others {
        page.text([bold(*other), roman("(1),")]);
    }
    page.text([roman("RFC 3261, section 10")]);
}

#[cfg(test)]
mod tests;
