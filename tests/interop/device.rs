//! A device of a person: its state directory, and the program run with it, each time as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Lab, Port};
use crate::run::{self, Ran};
use crate::table::Transport;

const USER: &str = "heisenberg";
const PASSWORD: &str = "uncertainty";

/// One device of Heisenberg at one domain of the laboratory, which no other test uses.
pub struct Device {
    lab: &'static Lab,
    /// Ends with the last device that uses it.
    served: Option<Arc<ServerEvent>>,
    home: TempDir,
    aor: String,
    registrar: String,
    transport: Transport,
}

impl Device {
    pub fn at(domain: &str) -> Device {
        Device::over(Transport::Udp, domain)
    }

    /// One at the laboratory and one at a `sipreg serve` of its own.
    pub fn everywhere(domain: &str) -> [Device; 2] {
        let at_lab = Device::at(domain);
        let served = ServerEvent::start(&at_lab.aor);
        let home = tempfile::tempdir().unwrap();
        let registrar = format!("sip:{}", served.at);
        let at_own =
            Device { served: Some(served.into()), home, registrar, aor: at_lab.aor.clone(), ..at_lab };
        [at_lab, at_own]
    }

    pub fn over(transport: Transport, domain: &str) -> Device {
        let (lab, port) = match transport.option() {
            "tls" => (Lab::secure(), Port::Tls),
            "ws" => (Lab::secure(), Port::Ws),
            "wss" => (Lab::secure(), Port::Sws),
            _ => (Lab::shared(), Port::Sip),
        };
        let registrar = format!("sip:{}:{}", transport.host(), lab.port(port));
        let home = tempfile::tempdir().unwrap();
        Device {
            lab,
            served: None,
            home,
            aor: format!("sip:{USER}@{domain}.munich.de"),
            registrar,
            transport,
        }
    }

    /// The same device, asking at another port of the laboratory.
    pub fn towards(mut self, port: Port) -> Device {
        self.go_to(port);
        self
    }

    pub fn go_to(&mut self, port: Port) {
        self.registrar = format!("sip:{}:{}", self.transport.host(), self.lab.port(port));
    }

    pub fn switch_to(&mut self, transport: Transport) {
        self.transport = transport;
    }

    /// Another device of the same person.
    pub fn sibling(&self) -> Device {
        Device {
            lab: self.lab,
            served: self.served.clone(),
            home: tempfile::tempdir().unwrap(),
            aor: self.aor.clone(),
            registrar: self.registrar.clone(),
            transport: self.transport,
        }
    }

    fn arguments(&self, command: &[&str]) -> Vec<String> {
        let (verb, options) = command.split_first().unwrap();
        let ca = self.lab.file("ca.pem");
        let mut all = vec![*verb, self.aor.as_str()];
        // One that the command names comes instead.
        if !options.contains(&"--registrar") {
            all.extend(["--registrar", &self.registrar, "--transport", self.transport.option()]);
            all.extend(["--tls-ca", &ca].iter().filter(|_| !self.transport.is_plain()));
        }
        all.iter().chain(options).map(|text| (*text).to_owned()).collect()
    }

    /// Runs a command, such as `["list", "--contact", "sip:x@y"]`, with whatever streams say.
    pub fn run(&self, command: &[&str]) -> Ran {
        self.run_with(command, Some(PASSWORD))
    }

    pub fn run_with(&self, command: &[&str], password: Option<&str>) -> Ran {
        run::execute(&self.arguments(command), password, self.home.path())
    }

    /// Runs a command that must end so, and reads its JSON.
    pub fn ends(&self, code: i32, command: &[&str]) -> Value {
        let ran = self.run(&[command, &["--json"]].concat());
        assert_eq!(ran.code, Some(code), "{command:?}\n{}", ran.all());
        ran.json()
    }

    /// As [`Device::ends`] with 0.
    pub fn does(&self, command: &[&str]) -> Value {
        self.ends(0, command)
    }

    /// Starts a command with `-v`.
    pub fn start(&self, command: &[&str]) -> Running {
        let args = self.arguments(&[command, &["-v", "--json"]].concat());
        let mut child = run::command(&args, Some(PASSWORD), self.home.path()).spawn().unwrap();
        let ladder = BufReader::new(child.stderr.take().unwrap());
        Running { child, ladder }
    }

    /// URIs of the bindings that the registrar holds, asked with a state of nobody's.
    pub fn bound(&self) -> Vec<String> {
        uris(&self.does(&["list", "--stateless"]))
    }

    pub fn aor(&self) -> &str {
        &self.aor
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state/sipreg")
    }

    /// The files in the state directory that end so.
    pub fn files(&self, extension: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.state().join("registrations")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }

    /// The only file that ends so.
    pub fn file(&self, extension: &str) -> PathBuf {
        let files = self.files(extension);
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// What is remembered.
    pub fn record(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.file("json")).unwrap()).unwrap()
    }
}

/// `sipreg serve` with one user.
struct ServerEvent {
    child: Child,
    /// Where it listens, over UDP.
    at: String,
}

impl ServerEvent {
    fn start(aor: &str) -> ServerEvent {
        let (user, domain) = aor.strip_prefix("sip:").unwrap().split_once('@').unwrap();
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users").to_str().unwrap().to_owned();
        let add = ["serve", "--add-user", &format!("{user}@{domain}"), "--users", &users].map(String::from);
        assert_eq!(run::execute(&add, Some(PASSWORD), folder.path()).code, Some(0));
        let listen =
            ["serve", "--json", "--listen", "udp:127.0.0.1:0", "--domain", domain, "--users", &users];
        let mut child = run::command(&listen.map(String::from), None, folder.path()).spawn().unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        // What else it tells is read and forgotten: a full pipe would stop it.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        let event: Value = serde_json::from_str(&line).unwrap();
        ServerEvent { child, at: event["address"].as_str().unwrap().to_owned() }
    }
}

impl Drop for ServerEvent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command under way.
pub struct Running {
    child: Child,
    ladder: BufReader<ChildStderr>,
}

impl Running {
    /// Reads the ladder until it has shown this many requests.
    pub fn sends(&mut self, requests: usize) {
        let mut sent = 0;
        while sent < requests {
            let mut line = String::new();
            assert!(self.ladder.read_line(&mut line).unwrap() > 0, "it ended before that");
            sent += usize::from(line.contains("--> REGISTER"));
        }
    }

    /// Until it has opened a file that ends so.
    pub fn opens(&self, extension: &str) {
        let folder = format!("/proc/{}/fd", self.child.id());
        let is_open = || {
            let entries = std::fs::read_dir(&folder).unwrap();
            entries
                .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
                .any(|path| path.extension().is_some_and(|found| found == extension))
        };
        for _ in 0..20_000 {
            if is_open() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it opens no file that ends in .{extension}");
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn finish(mut self) -> Ran {
        self.child.stderr = None;
        run::finish(self.child)
    }
}

/// The URIs of `bindings`.
pub fn uris(json: &Value) -> Vec<String> {
    let bindings = json["bindings"].as_array().unwrap();
    bindings.iter().map(|binding| binding["uri"].as_str().unwrap().to_owned()).collect()
}
