//! The end of a command's help, taken apart: examples, exit status, notes.

use clap::Command;

/// What ends a help text.
#[derive(Debug, Default)]
pub struct Ending {
    /// What stands under "Examples:".
    pub examples: Block,
    /// The rows under "Exit status:".
    pub statuses: Vec<Status>,
    /// The command whose exit status counts besides.
    pub exit_as: Option<String>,
    /// What else stands under "Exit status:".
    pub exit_note: String,
    /// Paragraphs without a title.
    pub notes: Vec<Block>,
}

/// Indented lines are commands where something less indented introduces them.
pub type Block = Vec<String>;

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Status {
    /// The number.
    pub code: u8,
    /// What it says.
    pub meaning: String,
}

/// How a help text points to another command's exit status.
const AS_FOR: &str = "as for 'sipreg ";

impl Ending {
    /// Reads the long help of a command.
    pub fn of(command: &Command) -> Ending {
        let text = command.get_after_long_help().or_else(|| command.get_after_help());
        let text = text.map(ToString::to_string).unwrap_or_default();
        let mut ending = Ending::default();
        let mut lines = text.lines().peekable();
        while let Some(first) = lines.next() {
            let mut block: Block = Vec::new();
            while let Some(line) =
                lines.next_if(|line| line.is_empty() || !begins(line) || !block_ends(&block))
            {
                block.push(line.to_owned());
            }
            ending.take(first, block);
        }
        ending
    }

    fn take(&mut self, first: &str, mut block: Block) {
        if let Some(rest) = first.strip_prefix("Exit status:") {
            block.insert(0, rest.trim().to_owned());
            self.take_exit(&block);
        } else if first == "Examples:" {
            self.examples = block;
        } else {
            block.insert(0, first.to_owned());
            self.notes.push(block);
        }
    }

    fn take_exit(&mut self, block: &[String]) {
        let mut prose = Vec::new();
        for line in block {
            match status(line) {
                Some(status) => self.statuses.push(status),
                None => prose.push(line.trim()),
            }
        }
        let prose = prose.join(" ");
        let prose = prose.trim();
        self.exit_note = match prose.strip_prefix(AS_FOR).and_then(|rest| rest.split_once('\'')) {
            Some((command, rest)) => {
                self.exit_as = Some(command.to_owned());
                rest.trim_start_matches([',', '.', ' ']).trim_start_matches("and").to_owned()
            }
            None => prose.to_owned(),
        };
    }
}

/// Blocks begin at the margin, after an empty line.
fn begins(line: &str) -> bool {
    !line.starts_with(' ')
}

fn block_ends(block: &Block) -> bool {
    block.last().is_some_and(String::is_empty)
}

/// `    0  done`.
fn status(line: &str) -> Option<Status> {
    let (code, meaning) = line.strip_prefix(' ')?.trim_start().split_once("  ")?;
    Some(Status { code: code.parse().ok()?, meaning: meaning.trim().to_owned() })
}
