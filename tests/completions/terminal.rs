//! A shell at a terminal, and somebody who types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};

/// Longer than any shell needs to answer.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Terminal {
    keyboard: File,
    child: Child,
}

impl Terminal {
    /// Starts a shell and has it carry out `setup`.
    pub fn start(shell: &Command, setup: &str) -> Terminal {
        let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let terminal = File::from(pair.slave);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(shell.get_program()).args(shell.get_args()).env_clear();
        command.current_dir(shell.get_current_dir().unwrap());
        command.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::from(terminal.try_clone().unwrap()));
        command.stdout(Stdio::from(terminal.try_clone().unwrap())).stderr(Stdio::from(terminal));
        let mut started = Terminal { keyboard: File::from(pair.master), child: command.spawn().unwrap() };
        // The mark is not readable in the echo of the line that prints it.
        started.types(&format!("{setup}; printf 're%s\\n' ady\r"));
        started.until("ready");
        started
    }

    /// Types and presses Tab; returns the screen once it shows `expected`, and clears the line.
    pub fn tab(&mut self, typed: &str, expected: &str) -> String {
        self.types(typed);
        self.types("\t");
        let shown = self.until(expected);
        self.types("\x15");
        // Its answer says that the shell listens again.
        self.types("printf 'ne%s\\n' xt\r");
        self.until("next");
        shown
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn until(&mut self, expected: &str) -> String {
        let mut shown = String::new();
        while !plain(&shown).contains(expected) {
            let mut ready = [PollFd::new(self.keyboard.as_fd(), PollFlags::POLLIN)];
            let waited = poll(&mut ready, PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
            assert!(waited > 0, "{expected:?} never came, but {:?}", plain(&shown));
            let mut buffer = [0; 4096];
            let length = self.keyboard.read(&mut buffer).unwrap();
            shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        plain(&shown)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is left of a screen without bells, and with backspaces carried out.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    for c in shown.chars() {
        match c {
            '\u{8}' => drop(text.pop()),
            '\u{7}' => {}
            _ => text.push(c),
        }
    }
    text
}
