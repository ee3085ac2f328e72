//! Setting text in roff's man macros.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::help::Entry;

/// Columns that a command line may have: 80 without the indentation and man's margin.
const COLUMNS: usize = 66;

/// A part of a page that clap_mangen writes.
type Part = fn(&Man, &mut dyn Write) -> io::Result<()>;

/// Name, synopsis, description and options, as clap_mangen sets them.
pub fn sections_of(man: &Man, command: &Command) -> String {
    let parts: [Part; 4] = [
        |man, to| man.render_name_section(to),
        |man, to| man.render_synopsis_section(to),
        |man, to| man.render_description_section(to),
        |man, to| man.render_options_section(to),
    ];
    let mut buffer = Vec::new();
    for part in parts {
        // Writing to a Vec can't fail.
        let _ = part(man, &mut buffer);
    }
    let preamble = Roff::new().render();
    let text = String::from_utf8_lossy(&buffer).replace(&preamble, "");
    finished(&as_subsections(&text, command))
}

/// The groups of options as parts of one section, in the words of `--help`.
fn as_subsections(text: &str, command: &Command) -> String {
    let mut headings: Vec<&str> =
        command.get_arguments().filter_map(|argument| argument.get_help_heading()).collect();
    headings.dedup();
    let mut text = text.to_owned();
    for heading in headings {
        for quote in ["\"", ""] {
            let section = format!(".SH {quote}{}{quote}\n", heading.to_uppercase());
            text = text.replace(&section, &format!(".SS \"{heading}\"\n"));
        }
    }
    text
}

/// Roff without what its checkers complain about (empty lines, long lines, blanks at the end), and with `~`
/// and `^` as they are typed.
pub fn finished(roff: &str) -> String {
    let mut text = String::with_capacity(roff.len());
    let mut filled = true;
    for line in roff.lines() {
        filled = line == ".fi" || (filled && line != ".nf");
        let line = line.trim_end().replace('~', r"\(ti").replace('^', r"\(ha");
        match line.as_str() {
            "" => text.push_str(".IP"),
            _ if filled && !line.starts_with('.') => wrap(&line, &mut text),
            _ => text.push_str(&line),
        }
        text.push('\n');
    }
    text
}

/// Breaks a line where the next does not begin like a request.
fn wrap(line: &str, text: &mut String) {
    const LONGEST: usize = 79;
    let mut length = 0;
    for (at, word) in line.split(' ').enumerate() {
        let fits =
            length + 1 + word.len() <= LONGEST || word.starts_with(['.', '\'']) || word.starts_with("\\*");
        if at > 0 {
            text.push(if fits { ' ' } else { '\n' });
        }
        length = if fits { length + 1 + word.len() } else { word.len() };
        text.push_str(word);
    }
}

/// A paragraph of "NOTES".
pub fn note(page: &mut Roff, note: &str) {
    if !note.is_empty() {
        page.control("SH", ["NOTES"]);
        note.lines().for_each(|line| {
            page.text([roman(line)]);
        });
    }
}

/// What the examples are for, and their lines.
pub fn examples(page: &mut Roff, examples: &[(&str, &[&str])]) {
    page.control("SH", ["EXAMPLES"]);
    for (number, (title, lines)) in examples.iter().enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        if !title.is_empty() {
            page.text([roman(*title)]).control("PP", []);
        }
        page.control("RS", ["4"]).control("nf", []);
        for part in lines.iter().flat_map(|line| broken(line)) {
            page.text([bold(part)]);
        }
        page.control("fi", []).control("RE", []);
    }
}

/// A command line that is too long goes on in the next, as shells allow it.
fn broken(line: &str) -> Vec<String> {
    match line.get(..COLUMNS).filter(|_| line.len() > COLUMNS).and_then(|start| start.rfind(" --")) {
        Some(at) => {
            let (start, rest) = line.split_at(at);
            vec![format!("{start} \\"), format!(" {rest}")]
        }
        None => vec![line.to_owned()],
    }
}

/// A list of names and what they are.
pub fn entries(page: &mut Roff, title: &str, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    page.control("SH", [title]);
    for (name, text) in entries {
        page.control("TP", []);
        page.text([bold(*name)]);
        page.text([roman(*text)]);
    }
}
