//! The table: what the laboratory does, and what the program must make of it.
//!
//! The label is the case's name in `lab/README.md`; the AOR is `sip:PERSON@LABEL.munich.de`. The two
//! columns hold for UDP and TCP, each over IPv4 and IPv6. `requests` counts new requests, not
//! retransmissions. Lifetimes are seconds; nothing asked means 3600 asked.

use Person::{Each, Is, Other};

use crate::lab;

/// One of the ways to the laboratory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Udp6,
    Tcp6,
    Tls,
    Ws,
    Wss,
    Tls6,
    Ws6,
    Wss6,
}

impl Transport {
    /// Those of plain SIP. They share a laboratory, and those over TLS and WebSocket another one.
    pub const PLAIN: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Udp6, Transport::Tcp6];
    pub const SECURE: [Transport; 6] =
        [Transport::Tls, Transport::Ws, Transport::Wss, Transport::Tls6, Transport::Ws6, Transport::Wss6];

    /// The plain ones that this machine can use: without IPv6 the first two.
    pub fn usable() -> &'static [Transport] {
        if lab::has_ipv6() { &Transport::PLAIN } else { &Transport::PLAIN[..2] }
    }

    /// The same of those over TLS and WebSocket.
    pub fn usable_secure() -> &'static [Transport] {
        if lab::has_ipv6() { &Transport::SECURE } else { &Transport::SECURE[..3] }
    }

    pub fn is_plain(self) -> bool {
        Transport::PLAIN.contains(&self)
    }

    pub fn name(self) -> &'static str {
        ["udp", "tcp", "udp6", "tcp6", "tls", "ws", "wss", "tls6", "ws6", "wss6"][self as usize]
    }

    /// The value of `--transport`.
    pub fn option(self) -> &'static str {
        self.name().trim_end_matches('6')
    }

    /// The laboratory's address as it stands in a URI.
    pub fn host(self) -> &'static str {
        if self.name().ends_with('6') { "[::1]" } else { "127.0.0.1" }
    }

    /// The number of its person.
    fn number(self) -> usize {
        if self.is_plain() { self as usize } else { self as usize - Transport::PLAIN.len() }
    }
}

/// Whose AOR is registered. Each transport of a laboratory has a person of its own, so that no run meets
/// the bindings of another one.
#[derive(Clone, Copy, Debug)]
pub enum Person {
    /// The first people of the laboratory.
    Each,
    /// The other four: for a second row of the same case, over plain transports only.
    Other,
    /// This one; then each transport has a domain of its own.
    Is(&'static str),
}

impl Person {
    /// Name and password.
    pub fn on(self, transport: Transport) -> (&'static str, &'static str) {
        match self {
            Each => PEOPLE[transport.number()],
            Other => PEOPLE[4 + transport.number()],
            Is(name) => (name, PEOPLE.iter().find(|(user, _)| *user == name).map_or("", |(_, word)| word)),
        }
    }
}

/// The people of the laboratory and their passwords.
const PEOPLE: [(&str, &str); 8] = [
    ("heisenberg", "uncertainty"),
    ("schrodinger", "cat"),
    ("bohr", "copenhagen"),
    ("dirac", "positron"),
    ("einstein", "relativity"),
    ("pauli", r#"p:w "ex"cl\usion, 4=4;"#),
    ("meitner", "Kernspaltüng€"),
    ("office", "stapler"),
];

/// Where the program gets the password from.
#[derive(Clone, Copy, Debug)]
pub enum Secret {
    /// `SIPREG_PASSWORD` holds the person's password.
    Right,
    /// `SIPREG_PASSWORD` holds something else.
    Is(&'static str),
    /// `--password-file` holds the person's password in its first line.
    InFile,
    /// No password anywhere.
    None,
}

/// Why a command fails: `error.kind`, and with it the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Refused,
    Credentials,
    Timeout,
    Unreachable,
    Misbehaved,
}

impl Fault {
    pub fn code(self) -> i32 {
        [1, 3, 4, 5, 6][self as usize]
    }

    pub fn kind(self) -> &'static str {
        ["refused", "credentials", "timeout", "unreachable", "misbehaved"][self as usize]
    }
}

/// How a run must end.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// None: registered.
    pub fault: Option<Fault>,
    /// The last final response.
    pub status: Option<u16>,
    /// Seconds granted to our Contact.
    pub expires: Option<u32>,
    pub requests: u32,
}

const fn bound(expires: u32, requests: u32) -> Want {
    Want { fault: None, status: Some(200), expires: Some(expires), requests }
}

const fn failed(fault: Fault, status: Option<u16>, requests: u32) -> Want {
    Want { fault: Some(fault), status, expires: None, requests }
}

const fn refused(status: u16, requests: u32) -> Want {
    failed(Fault::Refused, Some(status), requests)
}

const fn denied(status: u16, requests: u32) -> Want {
    failed(Fault::Credentials, Some(status), requests)
}

const fn misbehaved(status: u16, requests: u32) -> Want {
    failed(Fault::Misbehaved, Some(status), requests)
}

/// Nothing came, until Timer F.
const fn silent(requests: u32) -> Want {
    failed(Fault::Timeout, None, requests)
}

/// The network said no, without a response.
const fn unreachable(requests: u32) -> Want {
    failed(Fault::Unreachable, None, requests)
}

/// One situation.
#[derive(Debug)]
pub struct Row {
    label: &'static str,
    pub person: Person,
    udp: Want,
    tcp: Want,
    /// Further arguments; `DOMAIN` stands for the AOR's domain.
    pub args: &'static [&'static str],
    pub secret: Secret,
    pub port: crate::lab::Port,
    /// Contacts of other devices, registered beforehand.
    pub others: &'static [&'static str],
    /// More of the JSON of a success: pointer and value.
    pub also: &'static [(&'static str, &'static str)],
}

impl Row {
    /// Over TLS and WebSocket it ends as over TCP.
    pub fn wanted(&self, transport: Transport) -> Want {
        if transport.option() == "udp" { self.udp } else { self.tcp }
    }

    /// Whether there is something to see: the laboratory has its edge, and what it redirects to, on plain ports only.
    pub fn is_over(&self, transport: Transport) -> bool {
        transport.is_plain()
            || !matches!(self.person, Other)
                && matches!(self.port, crate::lab::Port::Sip)
                && !self.label.starts_with("moved")
    }

    /// Whether nobody answers.
    pub fn is_silent(&self, transport: Transport) -> bool {
        self.wanted(transport).fault == Some(Fault::Timeout)
    }

    /// The AOR's domain.
    pub fn domain(&self, transport: Transport) -> String {
        match (self.person, self.label) {
            (_, "") => "munich.de".into(),
            (Each | Other, label) => format!("{label}.munich.de"),
            (Is(_), label) => format!("{label}-{}.munich.de", transport.name()),
        }
    }

    /// For the report.
    pub fn name(&self) -> String {
        format!("{:?} for {:?} {}", self.label, self.person, self.args.join(" "))
    }

    const fn with(self, args: &'static [&'static str]) -> Row {
        Row { args, ..self }
    }

    const fn secret(self, secret: Secret) -> Row {
        Row { secret, ..self }
    }

    const fn to(self, port: crate::lab::Port) -> Row {
        Row { port, ..self }
    }

    const fn after(self, others: &'static [&'static str]) -> Row {
        Row { others, ..self }
    }

    const fn also(self, also: &'static [(&'static str, &'static str)]) -> Row {
        Row { also, ..self }
    }
}

const fn row(label: &'static str, person: Person, udp: Want, tcp: Want) -> Row {
    let port = crate::lab::Port::Sip;
    Row { label, person, udp, tcp, args: &[], secret: Secret::Right, port, others: &[], also: &[] }
}

const SHA_256: &[(&str, &str)] = &[("/auth/0/algorithm", "\"SHA-256\"")];
const AUTH_INT: &[(&str, &str)] = &[("/auth/0/qop", "\"auth-int\"")];
const NO_QOP: &[(&str, &str)] = &[("/auth/0/qop", "null")];
const NO_AUTH: &[(&str, &str)] = &[("/auth", "[]")];

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    // Silence, delay and loss. First, because they take longest.
    // Half of the datagrams are lost: with T1 at 1 s there are 18 of them, 4 s on the average.
    row("flaky",      Each,  bound(3600, 2),    bound(3600, 2)).with(&["--t1", "1s"]),
    row("early600",   Each,  bound(3600, 2),    bound(3600, 2)),
    row("slow500",    Each,  bound(3600, 2),    bound(3600, 2)),
    row("mute",       Each,  silent(1),         silent(1)),
    row("drop100",    Each,  silent(1),         bound(3600, 2)),
    row("hangup",     Each,  bound(3600, 2),    unreachable(1)),
    row("hangafter",  Each,  bound(3600, 2),    bound(3600, 2)),
    // Over UDP the request leaves and ICMP comes back; over TCP there is no connection to send it on.
    row("dead",       Each,  unreachable(1),    unreachable(0)).to(crate::lab::Port::Dead),

    // Plain.
    row("",           Each,  bound(3600, 2),    bound(3600, 2)),
    row("open",       Each,  bound(3600, 1),    bound(3600, 1)).also(NO_AUTH),
    row("open",       Other, bound(3600, 1),    bound(3600, 1)).secret(Secret::None),
    row("many",       Each,  bound(3600, 2),    bound(3600, 2)),
    row("svc",        Each,  bound(3600, 2),    bound(3600, 2)),
    row("nocontact",  Each,  misbehaved(200, 2), misbehaved(200, 2)),

    // Digest.
    row("noqop",      Each,  bound(3600, 2),    bound(3600, 2)).also(NO_QOP),
    row("authint",    Each,  bound(3600, 2),    bound(3600, 2)).also(AUTH_INT),
    row("qops",       Each,  bound(3600, 2),    bound(3600, 2)),
    row("sha256",     Each,  bound(3600, 2),    bound(3600, 2)).also(SHA_256),
    row("both",       Each,  bound(3600, 2),    bound(3600, 2)).also(SHA_256),
    row("both",       Other, bound(3600, 2),    bound(3600, 2)).also(SHA_256).with(&["--min-algorithm", "SHA-256"]),
    row("weak",       Each,  denied(401, 1),    denied(401, 1)).with(&["--min-algorithm", "SHA-256"]),
    row("unknownalg", Each,  denied(401, 1),    denied(401, 1)),
    row("basic",      Each,  denied(401, 1),    denied(401, 1)),
    row("proxyauth",  Each,  bound(3600, 2),    bound(3600, 2)),
    row("proxyplus",  Each,  bound(3600, 3),    bound(3600, 3)),
    row("stale",      Each,  denied(401, 4),    denied(401, 4)),
    row("stale1",     Each,  bound(3600, 3),    bound(3600, 3)),
    row("once",       Each,  bound(3600, 2),    bound(3600, 2)),
    row("nextnonce",  Each,  bound(3600, 2),    bound(3600, 2)),
    row("wrongrealm", Each,  denied(401, 2),    denied(401, 2)),
    row("wrongrealm", Other, denied(401, 1),    denied(401, 1)).with(&["--realm", "munich.de"]),
    row("forbid",     Each,  denied(403, 2),    denied(403, 2)),

    // Lifetimes and limits.
    row("longest",    Each,  bound(7200, 2),    bound(7200, 2)).with(&["-e", "1d"]),
    row("grant60",    Each,  bound(60, 2),      bound(60, 2)),
    row("min120",     Each,  bound(120, 3),     bound(120, 3)).with(&["-e", "60"]),
    row("min90000",   Each,  refused(423, 2),   refused(423, 2)),
    row("max2",       Each,  refused(503, 2),   refused(503, 2)).after(&["sip:a@127.0.0.1:9001", "sip:b@127.0.0.1:9002"]),

    // Outages and refusals.
    row("retry30",    Each,  refused(503, 1),   refused(503, 1)),
    row("busy1",      Each,  refused(503, 1),   refused(503, 1)),
    row("e404",       Each,  refused(404, 1),   refused(404, 1)),
    row("e500",       Each,  refused(500, 1),   refused(500, 1)),
    row("e606",       Each,  refused(606, 1),   refused(606, 1)),

    // Redirections. The best target of `movedq` is dead; `movedtcp` moves only what comes over UDP.
    row("moved",      Each,  bound(3600, 3),    bound(3600, 3)),
    row("movedq",     Each,  bound(3600, 3),    bound(3600, 3)),
    row("movedtcp",   Each,  bound(3600, 3),    bound(3600, 2)).also(&[("/registrar/transport", "\"tcp\"")]),
    row("loop",       Each,  misbehaved(302, 1), misbehaved(302, 1)),

    // Extensions.
    row("needpath",   Each,  bound(3600, 2),    bound(3600, 2)),
    row("badext",     Each,  refused(420, 2),   refused(420, 2)),

    // Through the edge proxy.
    row("edge",       Each,  bound(3600, 2),    bound(3600, 2)).to(crate::lab::Port::Edge),
    row("edge407",    Each,  bound(3600, 3),    bound(3600, 3)).to(crate::lab::Port::Edge),
    row("forcepath",  Each,  bound(3600, 2),    bound(3600, 2)).to(crate::lab::Port::Edge),

    // Everybody, with the password from the environment and from a file.
    row("env",  Is("heisenberg"),  bound(3600, 2), bound(3600, 2)),
    row("env",  Is("schrodinger"), bound(3600, 2), bound(3600, 2)),
    row("env",  Is("bohr"),        bound(3600, 2), bound(3600, 2)),
    row("env",  Is("dirac"),       bound(3600, 2), bound(3600, 2)),
    row("env",  Is("einstein"),    bound(3600, 2), bound(3600, 2)),
    row("env",  Is("pauli"),       bound(3600, 2), bound(3600, 2)),
    row("env",  Is("meitner"),     bound(3600, 2), bound(3600, 2)),
    row("env",  Is("office"),      bound(3600, 2), bound(3600, 2)),
    row("file", Is("heisenberg"),  bound(3600, 2), bound(3600, 2)).secret(Secret::InFile),
    row("file", Is("pauli"),       bound(3600, 2), bound(3600, 2)).secret(Secret::InFile),
    row("file", Is("meitner"),     bound(3600, 2), bound(3600, 2)).secret(Secret::InFile),
    row("wrong",   Each,           denied(401, 2), denied(401, 2)).secret(Secret::Is("certainty")),
    row("wrong",   Is("pauli"),    denied(401, 2), denied(401, 2)).secret(Secret::Is("p:w")),
    row("without", Each,           denied(401, 1), denied(401, 1)).secret(Secret::None),

    // One person registers another one: `office` may, others may not.
    row("third",  Is("bohr"),   bound(3600, 2),  bound(3600, 2)).secret(Secret::Is("stapler")).with(&["--from", "sip:office@DOMAIN"]),
    row("third",  Is("nobody"), refused(404, 2), refused(404, 2)).secret(Secret::Is("stapler")).with(&["--from", "sip:office@DOMAIN"]),
    row("third",  Is("dirac"),  denied(403, 2),  denied(403, 2)).secret(Secret::Is("uncertainty")).with(&["--from", "sip:heisenberg@DOMAIN"]),
    row("named",  Is("bohr"),   bound(3600, 2),  bound(3600, 2)).secret(Secret::Is("stapler")).with(&["--username", "office"]),
];
