//! Runs the program with nothing in its environment but what a test gives.

use std::io::Write;
use std::process::{Child, Command, Stdio};

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
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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

pub fn finish(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
