//! A terminal: something may move while a step takes its time, and at the end there stands what a pipe gets.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};

use crate::table::{new, usual};
use crate::world::World;

/// What a terminal of 80 columns shows in the end, without colours; lines that are too long are none of ours.
#[derive(Default)]
struct Screen {
    lines: Vec<String>,
    row: usize,
    column: usize,
}

impl Screen {
    fn of(octets: &[u8]) -> Screen {
        let text = String::from_utf8_lossy(octets).into_owned();
        let mut screen = Screen { lines: vec![String::new()], ..Screen::default() };
        let mut rest = text.chars();
        while let Some(one) = rest.next() {
            match one {
                '\r' => screen.column = 0,
                '\n' => screen.row += 1,
                '\u{1b}' => {
                    let sequence: String = rest
                        .by_ref()
                        .skip_while(|one| *one == '[')
                        .take_while(|one| !one.is_ascii_alphabetic())
                        .collect();
                    let end = text[..text.len() - rest.as_str().len()].chars().last().unwrap();
                    screen.control(&sequence, end);
                }
                one => screen.put(one),
            }
            let lines = screen.lines.len().max(screen.row + 1);
            screen.lines.resize(lines, String::new());
        }
        screen
    }

    fn put(&mut self, one: char) {
        let line = &mut self.lines[self.row];
        let mut all: Vec<_> = line.chars().collect();
        let length = all.len().max(self.column + 1);
        all.resize(length, ' ');
        all[self.column] = one;
        *line = all.into_iter().collect();
        self.column += 1;
    }

    /// Moves up and erases; colours, the cursor's sight and the like don't matter.
    fn control(&mut self, sequence: &str, end: char) {
        match end {
            'A' => self.row = self.row.saturating_sub(sequence.parse().unwrap_or(1)),
            'K' if sequence == "2" => self.lines[self.row].clear(),
            'K' => self.lines[self.row] = self.lines[self.row].chars().take(self.column).collect(),
            'J' => {
                self.lines.truncate(self.row + 1);
                self.lines[self.row] = self.lines[self.row].chars().take(self.column).collect();
            }
            _ => {}
        }
    }
}

/// Runs `check` with its output on a terminal: what was written there, and the exit status.
fn on_a_terminal(world: &World) -> (Vec<u8>, Option<i32>) {
    let size = Winsize { ws_row: 50, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = openpty(Some(&size), None).unwrap();
    let (mut shown, terminal) = (File::from(pair.master), File::from(pair.slave));
    let mut command = world.command(&["check"]);
    command
        .env("TERM", "xterm")
        .stdout(Stdio::from(terminal.try_clone().unwrap()))
        .stderr(Stdio::from(terminal));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut octets = Vec::new();
    // The terminal ends with an error when nobody has it open any more.
    let _ = shown.read_to_end(&mut octets);
    (octets, child.wait().unwrap().code())
}

/// The steps: result and name.
fn steps(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty());
    lines.map(|line| line.split_whitespace().take(2).map(str::to_owned).collect()).collect()
}

/// What moved is gone, and every line of the pipe is there.
#[test]
fn a_terminal_shows_in_the_end_what_a_pipe_gets() {
    for world in [|| usual(new().slow(150)), || usual(new().password("certainty").slow(150))] {
        let (octets, code) = on_a_terminal(&world());
        let piped = world().run(&["check"]);
        assert_eq!(code, piped.code, "{}", piped.all());
        let shown = Screen::of(&octets).lines.join("\n");
        assert_eq!(steps(&shown), steps(&piped.stdout), "{shown}\n{}", piped.stdout);
        assert!(octets.windows(2).any(|two| two == b"\x1b["), "no colours: {shown}");
    }
}
