//! Runs the program with nothing in its environment but what a test gives.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

/// What a run left behind.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The one object on the one line of stdout.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.matches('\n').count(), 1, "{}", self.all());
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }

    pub fn all(&self) -> String {
        format!("exit {:?}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr)
    }
}

/// The program, with no terminal to ask on, even where the tests have one: `setsid` gives it a session of its own and
/// becomes the program.
pub fn command(args: &[&str]) -> Command {
    let mut command = if cfg!(target_os = "linux") {
        let mut setsid = Command::new("setsid");
        setsid.args(["--wait", env!("CARGO_BIN_EXE_sipreg")]);
        setsid
    } else {
        Command::new(env!("CARGO_BIN_EXE_sipreg"))
    };
    command.args(args).env_clear().env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn sipreg(args: &[&str]) -> Ran {
    finish(command(args).spawn().unwrap())
}

pub fn with_environment(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    finish(command(args).envs(variables.iter().copied()).spawn().unwrap())
}

pub fn with_stdin(args: &[&str], input: &[u8]) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input is no fault of the writer.
    let _ = child.stdin.take().unwrap().write_all(input);
    finish(child)
}

/// Reads all it says. No command here takes that long.
pub fn finish(child: Child) -> Ran {
    let id = child.id();
    let (ended, end) = channel();
    std::thread::spawn(move || drop(ended.send(child.wait_with_output())));
    let output = end.recv_timeout(Duration::from_secs(120));
    let output = output.unwrap_or_else(|_| panic!("process {id} does not end")).unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits until something is so, for some 20 s; `what` says what that is.
#[cfg(unix)]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain until {what}");
}
