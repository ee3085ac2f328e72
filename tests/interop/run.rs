//! Runs the program for one row and compares what it says with what the row expects.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Port};
use crate::table::{Fault, Row, Secret, Transport, Want};

/// No row takes that long; a program that does is ended and counts as failed.
const BOUND: Duration = Duration::from_secs(100);

/// What a run of the program left behind.
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

/// Runs one row over one transport. `Err` says what was expected, what came, and the whole output.
pub fn check(lab: &Lab, row: &Row, transport: Transport) -> Result<(), String> {
    let (user, password) = row.person.on(transport);
    let aor = format!("sip:{user}@{}", row.domain(transport));
    let home = tempfile::tempdir().expect("a temporary directory");
    for (n, contact) in row.others.iter().enumerate() {
        let mut args = arguments(lab, row, transport, &aor);
        args.extend(["--contact", contact].map(String::from));
        let ran = execute(&args, Some(password), home.path());
        if ran.code != Some(0) {
            return Err(format!("run {} before: expected exit 0\n{}", n + 1, show(&args, &ran)));
        }
    }

    let mut args = arguments(lab, row, transport, &aor);
    let mut environment = None;
    match row.secret {
        Secret::Right => environment = Some(password),
        Secret::Is(other) => environment = Some(other),
        Secret::None => {}
        Secret::InFile => {
            let file = home.path().join("password");
            std::fs::write(&file, format!("{password}\nnot this line\n")).expect("write the password");
            args.push("--password-file".into());
            args.push(file.to_str().expect("a path in UTF-8").into());
        }
    }
    let want = row.wanted(transport);
    if row.is_silent(transport) {
        // Silent by design: Timer F after 64 * 40 ms.
        args.extend(["--t1", "40ms"].map(String::from));
    }
    let ran = execute(&args, environment, home.path());
    let mut wrong = differences(want, &aor, row, &ran);
    if let Some(secret) = environment
        && secret.len() > 6
        && (ran.stdout.contains(secret) || ran.stderr.contains(secret))
    {
        wrong.push("the password is in the output".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{}", wrong.join("\n"), show(&args, &ran))) }
}

fn arguments(lab: &Lab, row: &Row, transport: Transport, aor: &str) -> Vec<String> {
    let port = match transport.option() {
        "tls" => Port::Tls,
        "ws" => Port::Ws,
        "wss" => Port::Sws,
        _ => row.port,
    };
    let registrar = format!("sip:{}:{}", transport.host(), lab.port(port));
    let mut args: Vec<String> =
        ["register", "-vv", aor, "--registrar", &registrar, "--transport", transport.option()]
            .into_iter()
            .chain(["--json", "--stateless"])
            .map(String::from)
            .collect();
    if !transport.is_plain() {
        args.extend(["--tls-ca".to_owned(), lab.file("ca.pem")]);
    }
    let domain = aor.split_once('@').map_or("", |(_, domain)| domain);
    args.extend(row.args.iter().map(|arg| arg.replace("DOMAIN", domain)));
    args
}

/// The program with nothing in its environment but what is given here, nothing to read, and no terminal: in a session
/// of its own, which it leads itself, for `setsid` becomes the program.
pub fn command(args: &[String], password: Option<&str>, home: &Path) -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["--wait", env!("CARGO_BIN_EXE_sipreg")])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(password) = password {
        command.env("SIPREG_PASSWORD", password);
    }
    command
}

/// Runs it to its end.
pub fn execute(args: &[String], password: Option<&str>, home: &Path) -> Ran {
    finish(command(args, password, home).spawn().expect("the program starts"))
}

/// Reads all it says, and ends it when it takes too long.
pub fn finish(mut child: Child) -> Ran {
    let mut out = child.stdout.take().expect("piped");
    let err = child.stderr.take();
    let reader = std::thread::spawn(move || err.map(|mut err| read_all(&mut err)).unwrap_or_default());
    let (ended, end) = channel();
    let writer = std::thread::spawn(move || {
        let text = read_all(&mut out);
        let _ = ended.send(());
        text
    });
    let hung = end.recv_timeout(BOUND) == Err(RecvTimeoutError::Timeout);
    if hung {
        let _ = child.kill();
    }
    let status = child.wait().expect("the program ends");
    let stdout = writer.join().expect("the reader of stdout");
    let mut stderr = reader.join().expect("the reader of stderr");
    if hung {
        stderr.push_str(&format!("\n(ended by the test after {} s)", BOUND.as_secs()));
    }
    Ran { code: status.code(), stdout, stderr }
}

fn read_all(from: &mut impl Read) -> String {
    let mut octets = Vec::new();
    let _ = from.read_to_end(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

/// Every way in which the run is not what was wanted, one line each.
fn differences(want: Want, aor: &str, row: &Row, ran: &Ran) -> Vec<String> {
    let code = want.fault.map_or(0, Fault::code);
    let mut wrong = Vec::new();
    if ran.code != Some(code) {
        wrong.push(format!("exit status: expected {code}, got {:?}", ran.code));
    }
    let parsed = serde_json::from_str::<Value>(&ran.stdout);
    let json = match parsed {
        Ok(json) if json.is_object() && ran.stdout.trim_end_matches('\n').lines().count() == 1 => json,
        Ok(_) => return with(wrong, "stdout: expected one JSON object on one line"),
        Err(e) => return with(wrong, &format!("stdout: expected JSON, got {e}")),
    };
    let null = || Value::Null;
    let ok = want.fault.is_none();
    let mut fields = vec![
        ("/schema", Value::from(1)),
        ("/command", "register".into()),
        ("/ok", ok.into()),
        ("/outcome", if ok { "registered" } else { "failed" }.into()),
        ("/aor", aor.into()),
        ("/status", want.status.map_or_else(null, Value::from)),
        ("/expires", want.expires.map_or_else(null, Value::from)),
        ("/requests", want.requests.into()),
    ];
    match want.fault {
        Some(fault) => fields.push(("/error/kind", fault.kind().into())),
        None => fields.push(("/error", Value::Null)),
    }
    if ok {
        let parse = |text: &&'static str| serde_json::from_str(text).expect("JSON in the table");
        fields.extend(row.also.iter().map(|(pointer, text)| (*pointer, parse(text))));
    }
    for (pointer, expected) in fields {
        // Absent values are null, never left out: a missing field is wrong even where null is meant.
        let got = json.pointer(pointer);
        if got != Some(&expected) {
            let got = got.map_or_else(|| "nothing".into(), Value::to_string);
            wrong.push(format!("{}: expected {expected}, got {got}", &pointer[1..].replace('/', ".")));
        }
    }
    wrong
}

fn with(mut wrong: Vec<String>, one: &str) -> Vec<String> {
    wrong.push(one.into());
    wrong
}

fn show(args: &[String], ran: &Ran) -> String {
    let (out, err) = (ran.stdout.trim_end(), ran.stderr.trim_end());
    format!("  $ sipreg {}\n  stdout: {out}\n  stderr: {err}", args.join(" "))
}
