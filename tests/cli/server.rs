//! `sipreg serve` as a process: its listeners, what it tells, and its end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command};

use serde_json::Value;

use crate::run::command;

/// A server, and what it tells. It is ended when it is dropped.
pub struct Server {
    pub child: Option<Child>,
    pub told: BufReader<ChildStdout>,
    /// `host:port` of each listener.
    pub at: Vec<String>,
}

impl Server {
    /// Starts `sipreg serve --json` with these options; the first `wanted` events are its listeners.
    pub fn start(options: &[&str], wanted: usize) -> Server {
        let mut arguments = vec!["serve", "--json"];
        arguments.extend(options);
        Server::started(command(&arguments), wanted)
    }

    /// The same, from a command that becomes it.
    pub fn started(mut command: Command, wanted: usize) -> Server {
        let mut child = command.spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server { child: Some(child), told, at: Vec::new() };
        for _ in 0..wanted {
            let event = server.next();
            assert_eq!(event["event"], "listening", "{event}");
            server.at.push(event["address"].as_str().unwrap().to_owned());
        }
        server
    }

    /// The next event.
    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        match serde_json::from_str(&line) {
            Ok(event) => event,
            Err(error) => {
                let mut stderr = String::new();
                let _ = self.child.as_mut().unwrap().stderr.take().unwrap().read_to_string(&mut stderr);
                panic!("{error}: {line:?}; {stderr}")
            }
        }
    }

    /// The next event of that name; others are left out.
    pub fn until(&mut self, wanted: &str) -> Value {
        loop {
            let event = self.next();
            if name(&event) == wanted {
                return event;
            }
        }
    }

    /// Its process: the program's own, not that of `setsid`.
    pub fn pid(&self) -> String {
        let pid = self.child.as_ref().unwrap().id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let own = std::fs::read_to_string(children).unwrap_or_default();
        own.split_whitespace().next().map_or(pid.to_string(), str::to_owned)
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it, and gives what it told to the end.
    pub fn stop(mut self) -> (Vec<Value>, Option<i32>) {
        self.signal("-TERM");
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        let events = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let code = self.child.take().unwrap().wait().unwrap().code();
        (events, code)
    }
}

impl Server {
    /// Ends it, and gives what it said on stderr.
    pub fn stop_with_stderr(mut self) -> (String, Option<i32>) {
        self.signal("-TERM");
        let mut child = self.child.take().unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (stderr, child.wait().unwrap().code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal("-KILL");
            let _ = self.child.as_mut().map(Child::wait);
        }
    }
}

pub fn name(event: &Value) -> &str {
    event["event"].as_str().unwrap()
}
