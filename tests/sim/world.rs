//! One endpoint, one registration, and whatever the test says that the others do.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::client::nat::Keepalive;
use sipreg::proto::client::outcome::Report;
use sipreg::proto::client::plan::{Plan, Purpose, Timing};
use sipreg::proto::digest::{Algorithm, Credential, Hidden, Keyring, Secret};
use sipreg::proto::identity::{Certificate, TlsSession};
use sipreg::proto::ids::Counting;
use sipreg::proto::locate::{Destination, Families, Transport};
use sipreg::proto::{
    Action, Cause, Command, DnsAnswer, Dropped, Event, FlowId, Notice, Profile, Question, Record, Time,
};
use sipreg::sip::{HeaderName, Message, NameAddr, Request, Uri};

use crate::engine::{ID, Others, Stage, run};
use crate::hostile;

/// What a peer does some time after a request came.
pub enum Reaction {
    /// Sends octets from the address that was asked, or from another.
    Send(Bytes),
    SendFrom(SocketAddr, Bytes),
    /// The network reports the request as undeliverable.
    Fail(Cause),
    /// Closes the connection.
    Close,
    /// Not the peer but the user: gives the whole thing up.
    GiveUp,
}

/// One request as it left.
pub struct Sent {
    /// Milliseconds since the command.
    pub at: u64,
    pub to: Destination,
    pub text: String,
    pub request: Request,
}

impl Sent {
    pub fn header(&self, name: &str) -> Option<String> {
        let name = HeaderName::parse(name.as_bytes()).unwrap();
        self.request.headers.get(&name).map(|row| row.text().unwrap().to_owned())
    }

    pub fn headers(&self, name: &str) -> Vec<String> {
        let name = HeaderName::parse(name.as_bytes()).unwrap();
        self.request.headers.all(&name).map(|row| row.text().unwrap().to_owned()).collect()
    }
}

/// How it ended, and all that happened before.
pub struct Course {
    pub report: Report,
    seen: Seen,
}

#[derive(Default)]
pub struct Seen {
    pub sent: Vec<Sent>,
    pub opened: Vec<String>,
    pub asked: Vec<Question>,
    pub dropped: Vec<Dropped>,
    pub prompts: Vec<String>,
    /// Call-ID, CSeq and contacts that were to be kept, each before its request left.
    pub remembered: Vec<String>,
    /// Milliseconds that each pause between two tries took.
    pub pauses: Vec<u64>,
    /// Copies of the last request until a time long after the end: none.
    pub copies: Vec<u64>,
}

impl Deref for Course {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Course {
    /// When each request (copies aside) left, and where to.
    pub fn way(&self) -> String {
        let steps: Vec<String> =
            self.sent.iter().map(|s| format!("{} {} {}", s.at, s.to.transport, s.to.address)).collect();
        steps.join(", ")
    }

    pub fn request_uris(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.request.uri.as_str()).collect()
    }

    pub fn attempts(&self) -> String {
        let all: Vec<String> = self.report.attempts.iter().map(|a| format!("{:?}", a.result)).collect();
        all.join(", ")
    }
}

type Peer<'a> = Box<dyn FnMut(&Request, usize, Destination) -> Vec<(u64, Reaction)> + 'a>;
type Opener<'a> = Box<dyn FnMut(Destination) -> Result<(u64, SocketAddr), Cause> + 'a>;
type Names<'a> = Box<dyn FnMut(&Question) -> Option<DnsAnswer> + 'a>;

pub struct World<'a> {
    pub peer: Peer<'a>,
    pub open: Opener<'a>,
    pub names: Names<'a>,
    pub password: Option<&'a str>,
}

impl<'a> World<'a> {
    /// A peer that reacts to the n-th request (from 0; copies are not shown to it), everything reachable.
    pub fn new(peer: impl FnMut(&Request, usize, Destination) -> Vec<(u64, Reaction)> + 'a) -> World<'a> {
        World {
            peer: Box::new(peer),
            open: Box::new(|to| {
                let ip = if to.address.is_ipv4() { "192.0.2.99" } else { "2001:db8::99" };
                Ok((0, SocketAddr::new(ip.parse().unwrap(), 5070)))
            }),
            names: Box::new(|_| Some(Ok(vec![]))),
            password: None,
        }
    }

    /// Answers the n-th request with the n-th text after 10 ms, and the last for ever.
    pub fn answering(answers: &'a [&'a str]) -> World<'a> {
        World::new(move |request, n, _| {
            let text = answers.get(n).or(answers.last()).unwrap();
            vec![(10, Reaction::Send(answer(request, text)))]
        })
    }

    /// Runs the plan to its end.
    pub fn run(self, plan: Plan) -> Course {
        let mut scripted = Scripted { world: self, report: None, seen: Seen::default() };
        run(plan, Box::new(Counting::default()), Time::from_millis(1_792_000_000_000), &mut scripted);
        Course { report: scripted.report.expect("it finished"), seen: scripted.seen }
    }
}

struct Scripted<'a> {
    world: World<'a>,
    report: Option<Report>,
    seen: Seen,
}

impl Others for Scripted<'_> {
    type Incident = Infallible;

    fn act(&mut self, action: Action, stage: &mut Stage<Infallible>) {
        let seen = &mut self.seen;
        match action {
            Action::Open { flow, destination } => {
                seen.opened.push(format!("{} {}", destination.transport, destination.address));
                let opened = (self.world.open)(destination.clone());
                if destination.transport.is_secure() && !matches!(opened, Err(Cause::Refused)) {
                    stage.event(0, Event::Secured { flow, session: session(&destination, opened.is_ok()) });
                }
                match opened {
                    Ok((after, local)) => stage.event(after, Event::Opened { flow, local }),
                    Err(cause) => stage.event(5, Event::Failed { flow, peer: destination.address, cause }),
                }
            }
            Action::Close { .. } => {}
            Action::Transmit { flow, peer, bytes } => self.transmit(flow, peer, bytes, stage),
            Action::Resolve { query, question } => {
                if let Some(answer) = (self.world.names)(&question) {
                    stage.event(3, Event::Resolved { query, answer, ttl: 60 });
                }
                seen.asked.push(question);
            }
            Action::Checkpoint(what) => {
                assert_eq!(seen.remembered.len(), seen.sent.len(), "kept before it is sent");
                let contacts: Vec<String> = what.contacts.iter().map(|c| c.uri.to_string()).collect();
                seen.remembered.push(format!("{} {} {}", what.call_id, what.cseq, contacts.join(" ")));
            }
            Action::Notify(Notice::Retrying { wait, .. }) => seen.pauses.push(wait.as_millis() as u64),
            Action::Notify(Notice::Finished(done)) => self.report = Some(*done),
            Action::Notify(Notice::Dropped { reason, .. }) => seen.dropped.push(reason),
            Action::Notify(Notice::PasswordWanted { registration, username, realm, .. }) => {
                seen.prompts.push(format!("{username} at {realm}"));
                let password = self.world.password.map(|text| Hidden::new(text.to_owned()));
                // The user takes ten minutes to find it.
                stage.event(600_000, Event::Command(Command::Password { registration, password }));
            }
            Action::Authorize { .. } | Action::Notify(Notice::Message { .. } | Notice::Lookup(_)) => {}
            Action::Listen { .. }
            | Action::FindSource { .. }
            | Action::Present(_)
            | Action::Store { .. }
            | Action::Notify(Notice::Server(_) | Notice::Check(_) | Notice::Account { .. }) => {
                unreachable!("the engine has seen to it")
            }
        }
    }

    fn happen(&mut self, incident: Infallible, _: &mut Stage<Infallible>) {
        match incident {}
    }
}

impl Scripted<'_> {
    fn transmit(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes, stage: &mut Stage<Infallible>) {
        let (to, at) = (stage.flows[&flow].clone(), stage.at());
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if let Some(last) = self.seen.sent.last().filter(|last| last.text == text) {
            assert_eq!(last.to, to, "a copy goes where its request went");
            self.seen.copies.push(at);
            return;
        }
        let Ok(Message::Request(request)) = Message::parse_datagram(bytes) else {
            panic!("not a request: {text:.1000}");
        };
        for (after, reaction) in (self.world.peer)(&request, self.seen.sent.len(), to.clone()) {
            let event = match reaction {
                Reaction::Send(bytes) => Event::Received { flow, peer, bytes },
                Reaction::SendFrom(peer, bytes) => Event::Received { flow, peer, bytes },
                Reaction::Fail(cause) => Event::Failed { flow, peer, cause },
                Reaction::Close => Event::Closed { flow },
                Reaction::GiveUp => Event::Command(Command::GiveUp { registration: ID }),
            };
            stage.event(after, event);
        }
        self.seen.sent.push(Sent { at, to, text, request });
    }
}

/// What the other end shows, be it the right one or not.
pub fn session(destination: &Destination, verified: bool) -> Arc<TlsSession> {
    let day = Time::from_millis(1_792_000_000_000);
    let certificate = Certificate {
        subject: format!("CN={}", destination.address),
        issuer: "CN=LMU".to_owned(),
        not_before: day,
        not_after: day,
        uris: Vec::new(),
        hosts: Vec::new(),
        addresses: Vec::new(),
        has_alternatives: false,
        common_name: None,
    };
    Arc::new(TlsSession {
        version: Some("1.3"),
        cipher: None,
        certificate: Some(certificate),
        name: destination.name.clone().filter(|_| verified),
        verified,
    })
}

/// A response to `request`, spelled as for [`hostile::answer`].
pub fn answer(request: &Request, text: &str) -> Bytes {
    let asked = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    Bytes::from(hostile::answer(&asked, text))
}

/// The person of every test, with her password.
pub fn plan() -> Plan {
    Plan {
        purpose: Purpose::Bind { expires: Some(3600) },
        aor: uri("sip:werner.heisenberg~munich.de"),
        from: None,
        registrar: uri("sip:192.0.2.1").into(),
        route: Vec::new(),
        transport: None,
        profile: Profile::default(),
        zone: None,
        pinned: Vec::new(),
        destination: None,
        families: Families::Both,
        contacts: Vec::new(),
        q: None,
        advertise: None,
        user_agent: Some("sipreg/test".into()),
        headers: Vec::new(),
        keyring: keyring("uncertainty"),
        timing: Timing::default(),
        try_limit: Duration::from_secs(128),
        command_limit: None,
        retry_for: Duration::ZERO,
        keep: false,
        keepalive: Keepalive::Off,
        resume: None,
    }
}

pub fn keyring(password: &str) -> Keyring {
    Keyring {
        credentials: vec![Credential {
            realm: None,
            username: "heisenberg".to_owned(),
            secret: Secret::Password(Hidden::new(password.to_owned())),
        }],
        ask: None,
        realm: None,
        minimum: Algorithm::Md5,
    }
}

/// A record of the name service that holds an address.
pub fn record(address: &str) -> Record {
    address.parse::<IpAddr>().unwrap().into()
}

/// Addresses are written with `~` for the at sign, as in [`answer`].
pub fn uri(text: &str) -> Uri {
    Uri::parse(text.replace('~', "@")).unwrap()
}

pub fn contact(text: &str) -> NameAddr {
    NameAddr::parse(text.replace('~', "@")).unwrap()
}

pub fn tcp(mut plan: Plan) -> Plan {
    plan.transport = Some(Transport::Tcp);
    plan
}

/// Bound as asked.
pub const OK: &str = "200 OK|Contact: <@>;expires=3600";
/// The usual challenge.
pub const MD5: &str = "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

/// Outcome of a report in one line.
pub fn verdict(course: &Course) -> String {
    match &course.report.result {
        Ok(success) => {
            let all: Vec<String> =
                success.contacts.iter().map(|c| format!("{} for {}", c.uri, c.expires)).collect();
            format!("ok: {}", all.join(", "))
        }
        Err(failure) => format!("{failure:?}"),
    }
}
