//! The transcript of a world, which shows itself when the test fails.

use std::fmt::Write;

/// Everything that happened, in order, every octet included. Printed when a test panics while it lives.
pub struct Ladder {
    seed: u64,
    /// What lives this seed once more.
    test: &'static str,
    text: String,
    /// All of it, or the lines without the messages.
    pub whole: bool,
}

impl Ladder {
    pub fn new(seed: u64, test: &'static str) -> Ladder {
        Ladder { seed, test, text: String::with_capacity(16_384), whole: false }
    }

    /// One line, at so many milliseconds.
    pub fn note(&mut self, at: u64, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{:>7}.{:03} {what}", at / 1000, at % 1000);
    }

    /// A line with the octets that it speaks of.
    pub fn octets(&mut self, at: u64, what: std::fmt::Arguments<'_>, octets: &[u8]) {
        let text = String::from_utf8_lossy(octets);
        let first = text.lines().next().unwrap_or_default();
        let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("?");
        self.note(at, format_args!("{what} {first} (CSeq {cseq})"));
        for line in text.split_inclusive('\n') {
            let _ = writeln!(self.text, "            | {}", line.trim_end());
        }
    }

    /// Every octet, to be compared.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn print(&self) {
        let shown = |line: &&str| self.whole || !line.starts_with("            | ");
        let lines: Vec<&str> = self.text.lines().filter(shown).collect();
        eprintln!("seed {}:\n{}", self.seed, lines.join("\n"));
    }
}

impl Drop for Ladder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print();
            eprintln!(
                "once more, with all messages: SIPREG_SEED={} cargo test --test sim {}",
                self.seed, self.test
            );
        }
    }
}
