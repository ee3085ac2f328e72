//! Registrars that are odd but legal, or wrong: what each says, and how a registration with it ends. One table, run in
//! the simulated world (`tests/sim/hostility.rs`) and over loopback sockets by the program (`tests/cli/hostility.rs`).

mod answers;
mod bindings;
mod challenges;
mod endless;
mod redirects;
mod spellings;
mod streams;

use std::net::SocketAddr;

/// One hostile registrar. Everybody who asks it is `heisenberg`, whose password is `uncertainty`, for 600 s.
pub struct Case {
    pub name: String,
    pub over: Over,
    /// How many addresses it has; the first one is asked.
    pub servers: usize,
    /// Ends by the client's patience alone: T1 is short.
    pub silent: bool,
    pub script: Script,
    /// `ok` and the granted seconds, or the [`sipreg::proto::client::outcome::Failure`] as `Debug` has it.
    pub end: &'static str,
    /// The result of each destination, as JSON has it.
    pub attempts: String,
    pub requests: u32,
}

pub type Script = Box<dyn Fn(&Asked<'_>) -> Vec<Piece> + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Both,
    Datagrams,
    Streams,
}

/// One thing that it does: on a stream a piece of it, else a datagram.
#[derive(Clone)]
pub enum Piece {
    Octets(Vec<u8>),
    /// From another address, if it is a datagram.
    Elsewhere(Vec<u8>),
    Close,
}

/// One request, copies aside.
pub struct Asked<'a> {
    pub text: &'a str,
    /// Its number, from 0 on.
    pub n: usize,
    /// Which of the servers was asked.
    pub at: usize,
    pub servers: &'a [SocketAddr],
}

impl Asked<'_> {
    /// As [`answer`]; `$0`, `$1` ... stand for the addresses of the servers.
    pub fn answer(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (n, server) in self.servers.iter().enumerate() {
            text = text.replace(&format!("${n}"), &server.to_string());
        }
        answer(self.text, &text)
    }
}

/// A response to the request `asked`: its first line and headers, then To with a tag, then what `text` adds (lines
/// joined by `|`; `@` stands for the request's Contact without brackets, `~` for an at sign).
pub fn answer(asked: &str, text: &str) -> String {
    let row = |name: &str| {
        let mut rows = asked.lines().filter_map(|line| line.split_once(": "));
        rows.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    };
    let contact = row("Contact").split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let uri = contact.map_or("", |(uri, _)| uri);
    let mut lines = text.split('|');
    let mut out = format!("SIP/2.0 {}\r\n", lines.next().unwrap());
    let rest: Vec<&str> = lines.collect();
    if !rest.iter().any(|line| line.starts_with("Via:")) {
        out += &format!("Via: {}\r\n", row("Via"));
    }
    out += &format!("From: {}\r\nTo: {};tag=t\r\n", row("From"), row("To"));
    out += &format!("Call-ID: {}\r\nCSeq: {}\r\n", row("Call-ID"), row("CSeq"));
    for line in rest {
        out += &format!("{}\r\n", line.replace('@', uri).replace('~', "@"));
    }
    out + "Content-Length: 0\r\n\r\n"
}

/// Bound as asked, for a minute.
pub const OK: &str = "200 OK|Contact: <@>;expires=60";
pub const BOUND: &str = "ok 60";
pub const REALM: &str = "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\"";
pub const REJECTED: &str = "Credentials(Rejected { realm: \"munich.de\", username: \"heisenberg\" })";

impl Case {
    /// How it ends is said by `end`, `attempts` and `requests`, what it says by `script`.
    pub fn new(
        name: &str,
        (end, attempts, requests): (&'static str, &str, u32),
        script: impl Fn(&Asked<'_>) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Case {
        Case {
            name: name.to_owned(),
            over: Over::Both,
            servers: 1,
            silent: false,
            script: Box::new(script),
            end,
            attempts: attempts.to_owned(),
            requests,
        }
    }

    /// Answers the n-th request with the n-th text, and the last for ever.
    pub fn saying(name: &str, end: (&'static str, &str, u32), answers: &[&str]) -> Case {
        let answers: Vec<String> = answers.iter().map(|text| (*text).to_owned()).collect();
        Case::answering(name, end, move |n| answers.get(n).or(answers.last()).unwrap().clone())
    }

    /// Answers the n-th request with one text.
    pub fn answering(
        name: &str,
        end: (&'static str, &str, u32),
        text: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Case {
        Case::new(name, end, move |asked| vec![whole(asked.answer(&text(asked.n)))])
    }

    pub fn datagrams(self) -> Case {
        Case { over: Over::Datagrams, ..self }
    }

    pub fn streams(self) -> Case {
        Case { over: Over::Streams, ..self }
    }

    pub fn silent(self) -> Case {
        Case { silent: true, ..self }
    }

    pub fn servers(self, servers: usize) -> Case {
        Case { servers, ..self }
    }
}

pub fn whole(text: impl Into<Vec<u8>>) -> Piece {
    Piece::Octets(text.into())
}

/// The whole table.
pub fn all() -> Vec<Case> {
    [
        spellings::all(),
        answers::all(),
        bindings::all(),
        endless::all(),
        redirects::all(),
        challenges::all(),
        streams::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
