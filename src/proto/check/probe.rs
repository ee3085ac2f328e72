//! One look at one destination: a flow of its own, a request or none, and all that came of it.
//!
//! ```text
//!  Probe ─▶ a flow is opened ─▶ the request ─▶ an answer ─────────▶ Sighting
//!                │                  │    └─ 401 407, where the password may be used: once more
//!                │                  └─ none for a while: a second request, if there is one
//!                └─ lost, out of step, or no time left ───────────▶ Sighting
//! ```
//!
//! What a probe sends changes nothing at the registrar: REGISTER without Contact, which asks for the bindings
//! (RFC 3261 §10.2.3), or OPTIONS (§11).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::proto::client::nat::seen_at;
use crate::proto::client::outcome::Unusable;
use crate::proto::client::plan::Plan;
use crate::proto::digest::{ChallengeOutcome, Keyring, Sessions, Trust};
use crate::proto::identity::{LastWords, TlsSession};
use crate::proto::ids::{self, Branch, Random, Tag};
use crate::proto::locate::{Destination, Found, Origin};
use crate::proto::transaction::Outgoing;
use crate::proto::{AnswerFault, Cause, Time};
use crate::sip::{
    FramingError, HeaderName, Host, InjectionError, Message, Method, Request, RequestWriter, Response, Uri,
    Via,
};

/// Most challenges that one probe answers.
const MOST_CHALLENGES: u8 = 2;

/// What came of a look at one destination.
#[derive(Debug)]
pub struct Sighting {
    /// Where it went.
    pub destination: Destination,
    /// Where the address came from; `None`: it stood in a URI.
    pub origin: Option<Arc<Origin>>,
    /// Our address on the flow; `None`: it was never open.
    pub local: Option<SocketAddr>,
    /// From the beginning until the flow was open; `None`: it never was.
    pub opened: Option<Duration>,
    /// How it ended.
    pub end: End,
    /// The final answer, if one came.
    pub answer: Option<Answer>,
    /// The answer to another request than the one that was meant: somebody is there.
    pub aside: Option<Answer>,
    /// The TLS session, as far as that came.
    pub session: Option<Arc<TlsSession>>,
    /// Answers that could not be used.
    pub unusable: Unusable,
    /// What the server of a WebSocket said as it closed it, or in place of opening one.
    pub last_words: Option<LastWords>,
    /// The last request that was sent.
    pub sent: Option<Request>,
    /// Requests that were sent, copies not counted.
    pub requests: u32,
    /// Copies that Timer E has sent.
    pub copies: u32,
    /// From the beginning to the end.
    pub elapsed: Duration,
}

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing was to be sent, and the flow was open.
    Connected,
    /// A final answer came.
    Answered,
    /// Nothing came in time.
    Silent,
    /// The network refused.
    Failed(Cause),
    /// The other side closed the connection.
    Closed,
    /// A stream brought something else than SIP.
    OutOfStep(FramingError),
}

/// A final answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The method that it answers.
    pub method: Method,
    /// The response, as it came.
    pub response: Response,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address that we were seen at, by `received` and `rport` of its Via; `None`: it does not say.
    pub seen: Option<SocketAddr>,
    /// When it came.
    pub at: Time,
    /// How long after the request.
    pub after: Duration,
}

impl Sighting {
    /// A look that has shown nothing yet.
    fn begun(destination: Destination, origin: Option<Arc<Origin>>) -> Sighting {
        Sighting {
            destination,
            origin,
            local: None,
            opened: None,
            end: End::Silent,
            answer: None,
            aside: None,
            session: None,
            unusable: Unusable::default(),
            last_words: None,
            sent: None,
            requests: 0,
            copies: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.response.status)
    }

    /// Whether anything has shown that somebody is there: an answer, an open connection, or octets that can't be used.
    #[must_use]
    pub fn is_somebody_there(&self) -> bool {
        let is_connected = self.destination.transport.is_reliable() && self.opened.is_some();
        let is_heard = self.answer.is_some() || self.aside.is_some() || self.unusable.most().is_some();
        is_connected || is_heard
    }
}

/// What a probe asks.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Nothing: that the flow opens is all.
    Connection,
    /// REGISTER without Contact, with so many octets more than it needs.
    Bindings(usize),
    /// OPTIONS to that URI.
    Options(Uri),
    /// OPTIONS with a body for the AOR, as we would call it ourselves, along this route or by the proxies of the plan.
    Call(Vec<Uri>),
    /// The same without any route, as others call it.
    PlainCall,
}

/// A look at one destination under way.
#[derive(Debug)]
pub(super) struct Probe {
    seen: Sighting,
    ask: Option<Ask>,
    /// What is asked when the first has no answer for a while.
    second: Option<Ask>,
    /// The credentials that it may use.
    keyring: Option<Keyring>,
    sessions: Sessions,
    challenges: u8,
    call_id: String,
    from_tag: Tag,
    cseq: u32,
    began: Time,
    last_sent: Time,
}

/// What a probe does next.
#[derive(Debug)]
pub(super) enum Move {
    /// It waits for an answer, or for its time to be over.
    Wait,
    /// It sends this.
    Send(Box<Outgoing>),
    /// It is over.
    End(Box<Sighting>),
}

impl Probe {
    pub fn new(found: Found, ask: Ask, random: &mut dyn Random, now: Time) -> Probe {
        let Found { destination, origin } = found;
        Probe {
            seen: Sighting::begun(destination, origin),
            ask: Some(ask),
            second: None,
            keyring: None,
            sessions: Sessions::new(),
            challenges: 0,
            call_id: ids::call_id(random),
            from_tag: Tag(random.next()),
            cseq: 0,
            began: now,
            last_sent: now,
        }
    }

    /// The same, with another request for when the first has no answer for a while.
    pub fn or_else(self, second: Ask) -> Probe {
        Probe { second: Some(second), ..self }
    }

    /// The same, with these credentials for whoever asks.
    pub fn with_keyring(self, keyring: Keyring) -> Probe {
        Probe { keyring: Some(keyring), ..self }
    }

    pub fn destination(&self) -> &Destination {
        &self.seen.destination
    }

    /// The flow is open.
    pub fn on_opened(&mut self, local: SocketAddr, plan: &Plan, random: &mut dyn Random, now: Time) -> Move {
        self.seen.local = Some(local);
        self.seen.opened = Some(now.since(self.began));
        match self.ask.clone() {
            None | Some(Ask::Connection) => self.end(End::Connected, now),
            Some(ask) => self.send(&ask, plan, random, now),
        }
    }

    /// No answer has come for a while.
    pub fn on_late(&mut self, plan: &Plan, random: &mut dyn Random, now: Time) -> Move {
        match self.second.take() {
            Some(ask) if self.seen.local.is_some() => self.send(&ask, plan, random, now),
            Some(_) | None => Move::Wait,
        }
    }

    /// A final answer came.
    pub fn on_final(
        &mut self,
        (response, via): (Response, &Via),
        peer: SocketAddr,
        plan: &Plan,
        random: &mut dyn Random,
        now: Time,
    ) -> Move {
        if let (401 | 407, Some(keyring), Some(ask)) = (response.status, &self.keyring, self.ask.clone())
            && self.challenges < MOST_CHALLENGES
        {
            self.challenges += 1;
            let outcome = self.sessions.on_challenge(&response.headers, keyring, Trust::Named, random);
            if outcome == ChallengeOutcome::Answer {
                return self.send(&ask, plan, random, now);
            }
        }
        let seen = self.seen.local.and_then(|local| seen_at(via, local, peer)).map(|(seen, _)| seen);
        let method = response.headers.cseq().map_or(Method::Register, |cseq| cseq.method);
        let after = now.since(self.last_sent);
        let is_meant = match self.ask {
            Some(Ask::Bindings(_)) => method == Method::Register,
            Some(Ask::Connection | Ask::Options(_) | Ask::Call(_) | Ask::PlainCall) | None => true,
        };
        let answer = Some(Answer { method, response, peer, seen, at: now, after });
        if !is_meant {
            self.seen.aside = answer;
            return Move::Wait;
        }
        self.seen.answer = answer;
        self.end(End::Answered, now)
    }

    pub fn on_copy(&mut self) {
        self.seen.copies += 1;
    }

    pub fn on_secured(&mut self, session: Arc<TlsSession>) {
        self.seen.session = Some(session);
    }

    pub fn on_last_words(&mut self, words: LastWords) {
        self.seen.last_words = Some(words);
    }

    pub fn on_unusable(&mut self, peer: SocketAddr, fault: AnswerFault) {
        self.seen.unusable.add(peer, fault);
    }

    pub fn end(&mut self, end: End, now: Time) -> Move {
        let blank = Sighting::begun(self.seen.destination.clone(), None);
        let seen = std::mem::replace(&mut self.seen, blank);
        Move::End(Box::new(Sighting { end, elapsed: now.since(self.began), ..seen }))
    }

    fn send(&mut self, ask: &Ask, plan: &Plan, random: &mut dyn Random, now: Time) -> Move {
        let Some(local) = self.seen.local else { return Move::Wait };
        let branch = Branch(random.next());
        self.cseq += 1;
        let (host, port) = self.sent_by(plan, local);
        let call_id = match ask {
            // An application layer gateway that changes addresses changes this one, too.
            Ask::Call(_) | Ask::PlainCall => format!("{}@{}", self.call_id, local.ip()),
            Ask::Connection | Ask::Bindings(_) | Ask::Options(_) => self.call_id.clone(),
        };
        let (method, uri) = match ask {
            Ask::Connection | Ask::Bindings(_) => (Method::Register, plan.registrar.to_string()),
            Ask::Options(uri) => (Method::Options, uri.to_string()),
            Ask::Call(_) | Ask::PlainCall => (Method::Options, plan.aor.to_string()),
        };
        let written = self.write(ask, plan, (&method, &uri), (&host, port), (branch, &call_id));
        let Ok(bytes) = written else {
            // The plan's texts were checked when it was made: Header refuses the rest.
            return self.end(End::Failed(Cause::Other(std::io::ErrorKind::InvalidInput)), now);
        };
        self.seen.sent = match Message::parse_datagram(bytes.clone()) {
            Ok(Message::Request(request)) => Some(request),
            Ok(Message::Response(_)) | Err(_) => None,
        };
        self.seen.requests += 1;
        self.last_sent = now;
        Move::Send(Box::new(Outgoing {
            bytes,
            method,
            branch,
            sent_by: (host, port),
            from_tag: Some(self.from_tag),
            call_id: call_id.into(),
            cseq: self.cseq,
        }))
    }

    /// Host and port that Via says.
    fn sent_by(&self, plan: &Plan, local: SocketAddr) -> (Host, Option<u16>) {
        if self.seen.destination.transport.is_websocket() {
            return (Host::Name(format!("{}.invalid", self.call_id)), None);
        }
        match &plan.advertise {
            Some(said) => (said.0.clone(), said.1.or(Some(local.port()))),
            None => (Host::from(local.ip()), Some(local.port())),
        }
    }

    fn write(
        &mut self,
        ask: &Ask,
        plan: &Plan,
        (method, uri): (&Method, &str),
        (host, port): (&Host, Option<u16>),
        (branch, call_id): (Branch, &str),
    ) -> Result<Bytes, InjectionError> {
        let mut out = RequestWriter::new(method, uri);
        let via = self.seen.destination.transport.as_via();
        let at = port.map(|port| format!(":{port}")).unwrap_or_default();
        out.row(HeaderName::Via, format_args!("SIP/2.0/{via} {host}{at};branch={branch};rport"))?;
        let route = plan.route();
        let route = match ask {
            Ask::Call(route) if !route.is_empty() => route.as_slice(),
            Ask::PlainCall => &[],
            Ask::Connection | Ask::Bindings(_) | Ask::Options(_) | Ask::Call(_) => &route,
        };
        for hop in route {
            out.row(HeaderName::Route, format_args!("<{hop}>"))?;
        }
        out.row(HeaderName::MaxForwards, "70")?;
        let from = plan.from.as_deref().unwrap_or(&plan.aor);
        out.row(HeaderName::From, format_args!("<{from}>;tag={}", self.from_tag))?;
        let to = match ask {
            Ask::Options(uri) => uri,
            Ask::Connection | Ask::Bindings(_) | Ask::Call(_) | Ask::PlainCall => &plan.aor,
        };
        out.row(HeaderName::To, format_args!("<{to}>"))?;
        out.row(HeaderName::CallId, call_id)?;
        out.row(HeaderName::CSeq, format_args!("{} {}", self.cseq, method.as_str()))?;
        if let Some(text) = &plan.user_agent {
            out.row(HeaderName::UserAgent, text)?;
        }
        plan.headers.iter().for_each(|row| out.copy(row));
        let mut body = String::new();
        match ask {
            Ask::Connection | Ask::Options(_) => out.row(HeaderName::Accept, "application/sdp")?,
            Ask::Bindings(0) => {}
            Ask::Bindings(padding) => {
                if let Ok(name) = HeaderName::parse(b"X-Padding") {
                    out.row(name, "x".repeat(*padding))?;
                }
            }
            Ask::Call(_) | Ask::PlainCall => {
                let user = plan.aor.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
                out.row(HeaderName::Contact, format_args!("<sip:{user}{host}{at}>"))?;
                out.row(HeaderName::Accept, "application/sdp")?;
                out.row(HeaderName::ContentType, "application/sdp")?;
                body = description(self.seen.local, self.from_tag);
            }
        }
        for row in self.sessions.authorize(method.as_str(), uri, body.as_bytes()) {
            out.copy(&row);
        }
        Ok(out.finish_with(body.as_bytes(), false))
    }
}

/// A description of a session (RFC 8866) that names our address where those of calls do.
fn description(local: Option<SocketAddr>, id: Tag) -> String {
    let Some(local) = local else { return String::new() };
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (local.ip(), local.port().wrapping_add(2).max(1024));
    let id = id.0 >> 16;
    format!(
        "v=0\r\no=- {id} 1 IN {family} {ip}\r\ns=sipreg check\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=inactive\r\n"
    )
}
