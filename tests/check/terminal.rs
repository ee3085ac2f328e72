//! A terminal: something may move while a step takes its time, and at the end there stands what a pipe gets.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};

use crate::leaving::interrupt;
use crate::registrar::PASSWORD;
use crate::table::{new, usual};
use crate::world::{Host, Udp, World};

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

/// A run of the program with a terminal of 80 columns.
struct Terminal {
    child: Child,
    shown: File,
    octets: Vec<u8>,
}

impl Terminal {
    /// Begins with its output there, and its input, too, so that it may ask for a password.
    fn begin(mut command: Command) -> Terminal {
        let size = Winsize { ws_row: 50, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let (shown, terminal) = (File::from(pair.master), File::from(pair.slave));
        command.stdin(Stdio::from(terminal.try_clone().unwrap()));
        command.stdout(Stdio::from(terminal.try_clone().unwrap())).stderr(Stdio::from(terminal));
        let child = command.spawn().unwrap();
        Terminal { child, shown, octets: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets).into_owned()
    }

    /// Reads until this was written.
    fn wait_for(&mut self, what: &str) {
        let mut buffer = [0; 4096];
        while !self.text().contains(what) {
            let length = self.shown.read(&mut buffer).unwrap_or(0);
            assert!(length > 0, "waited in vain for {what}: {}", self.text());
            self.octets.extend(&buffer[..length]);
        }
    }

    /// Reads to the end: what was written, and the exit status.
    fn end(mut self) -> (Vec<u8>, Option<i32>) {
        // The terminal ends with an error when nobody has it open any more.
        let _ = self.shown.read_to_end(&mut self.octets);
        (self.octets, self.child.wait().unwrap().code())
    }
}

/// `check` with these options, for a terminal that can do all that ours can.
fn check(world: &World, options: &[&str]) -> Command {
    let mut command = world.command(&[&["check"], options].concat());
    command.env("TERM", "xterm");
    command
}

/// The same with the terminal as its own, where it may ask for a password.
fn check_that_asks(world: &World) -> Command {
    let plain = check(world, &[]);
    let mut command = Command::new(plain.get_program());
    command.arg("--ctty").args(plain.get_args()).env_clear();
    command.envs(variables(&plain));
    command
}

/// What a command has in its environment.
fn variables(command: &Command) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    command.get_envs().filter_map(|(name, value)| Some((name, value?)))
}

/// The steps: result and name.
fn steps(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty());
    lines.map(|line| line.split_whitespace().take(2).map(str::to_owned).collect()).collect()
}

/// A registrar that takes its time, so that there is something to wait for.
fn slow() -> World {
    usual(new().slow(250))
}

/// What the spinner says of a step that takes its time.
const WAITING: &str = "        network       waiting for every destination to answer";

/// What moved is gone, and every line of the pipe is there.
#[test]
fn a_terminal_shows_in_the_end_what_a_pipe_gets() {
    for world in [|| usual(new().slow(150)), || usual(new().password("certainty").slow(150))] {
        let here = world();
        let (octets, code) = Terminal::begin(check(&here, &[])).end();
        let piped = world().run(&["check"]);
        assert_eq!(code, piped.code, "{}", piped.all());
        let shown = Screen::of(&octets).lines.join("\n");
        assert_eq!(steps(&shown), steps(&piped.stdout), "{shown}\n{}", piped.stdout);
        assert!(octets.windows(2).any(|two| two == b"\x1b["), "no colours: {shown}");
    }
}

/// A line says which step is under way, with a letter that turns; without colours it does so, too.
#[test]
fn a_spinner_says_what_is_waited_for() {
    for (variable, has_colours) in [("LANG", true), ("NO_COLOR", false)] {
        let world = slow();
        let mut command = check(&world, &[]);
        command.env(variable, "1");
        let (octets, code) = Terminal::begin(command).end();
        let text = String::from_utf8(octets.clone()).unwrap();
        let letters: BTreeSet<_> = ["|", "/", "-", "\\"].into_iter().collect();
        let turned = letters.iter().filter(|letter| text.contains(&format!("{letter}{WAITING}")));
        assert!(code == Some(0) && turned.count() > 1, "{text}");
        assert!(!Screen::of(&octets).lines.join("\n").contains("waiting"), "{text}");
        assert_eq!(text.contains("\u{1b}[0m"), has_colours, "{text:?}");
    }
}

/// Nothing moves where something else was asked for, where messages stand between the steps, on a terminal that can't, and
/// where one of both streams is none.
#[test]
fn nothing_moves_where_it_would_disturb() {
    let cases = [
        ("-q", "xterm", ""),
        ("--json", "xterm", ""),
        ("--nagios", "xterm", ""),
        ("-v", "xterm", ""),
        ("--strict", "dumb", ""),
        ("--strict", "xterm", ">/dev/null"),
        ("--strict", "xterm", "2>/dev/null"),
    ];
    std::thread::scope(|scope| {
        for case @ (option, terminal, redirection) in cases {
            scope.spawn(move || {
                let world = slow();
                let plain = check(&world, &[option]);
                let mut command = Command::new("sh");
                command.args(["-c", &format!("exec \"$@\" {redirection}"), "sh"]).arg(plain.get_program());
                command.args(plain.get_args()).env_clear().envs(variables(&plain)).env("TERM", terminal);
                let (octets, code) = Terminal::begin(command).end();
                let text = String::from_utf8(octets).unwrap();
                let moves = ["waiting", "\u{1b}[J", "\u{1b}[?7l"].iter().any(|sign| text.contains(sign));
                assert!(code == Some(0) && !moves, "{case:?}: {text:?}");
            });
        }
    });
}

/// Ctrl-C while it turns: the line is gone, and the last one says what happened.
#[test]
fn an_interruption_leaves_no_spinner() {
    let silent = World::new().silent(Host(1), &[Udp]).srv(&[Udp], 1).t1("500ms");
    let mut terminal = Terminal::begin(check(&silent, &[]));
    terminal.wait_for(WAITING);
    interrupt(&terminal.child, "-INT");
    let (octets, code) = terminal.end();
    let shown = Screen::of(&octets).lines.join("\n");
    let first: Vec<_> = steps(&shown).into_iter().map(|words| words[0].clone()).collect();
    assert_eq!((code, first), (Some(130), ["ok", "ok", "error:"].map(str::to_owned).to_vec()), "{shown}");
}

/// A question for the password has the terminal for itself, however long somebody thinks; then it goes on.
#[test]
fn a_question_is_not_drawn_over() {
    let world = slow().without_password();
    let mut terminal = Terminal::begin(check_that_asks(&world));
    terminal.wait_for("Password");
    let before = terminal.octets.len();
    std::thread::sleep(std::time::Duration::from_millis(500));
    (&terminal.shown).write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    terminal.wait_for("Digest SHA-256");
    let asked = String::from_utf8(terminal.octets[before..].to_vec()).unwrap();
    let (answered, _) = asked.split_once('\n').unwrap();
    assert!(!answered.contains('\u{1b}'), "{asked:?}");
    let (octets, code) = terminal.end();
    let shown = Screen::of(&octets).lines.join("\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("registering"), "{shown}");
}
