//! The way there and back: a request with a body goes to the AOR, through the proxy, and comes back to the socket that is
//! bound. What it has become on the way shows who meddles; and large requests show what gets lost.

use std::net::SocketAddr;

use super::bench::{Bench, CALLED, Input, Order};
use super::probe::{Ask, End, Probe, Sighting};
use super::{Experiment, Measured};
use crate::proto::client::outcome::Report;
use crate::proto::ids::{Branch, Random};
use crate::proto::locate::{Found, Transport};
use crate::proto::{RegistrationId, Time};
use crate::sip::{AnyUri, HeaderName, NameAddr, Request, Via};

/// What a large request has more than it needs, in octets: it does not fit into one Ethernet frame any more.
const PADDING: usize = 1300;

/// What came of the way.
#[derive(Debug, Default)]
pub struct Passage {
    /// What is bound while requests are sent to it; `None`: nothing is.
    pub bound: Option<Box<Report>>,
    /// The request to ourselves; `None`: nothing is bound that it could go to.
    pub call: Option<Call>,
    /// What came of large requests; `None`: there was no time, or nobody to send them to.
    pub size: Option<Size>,
}

/// A request for the AOR, and what came of it.
#[derive(Debug)]
pub struct Call {
    /// What was sent, and the answer to it.
    pub sighting: Sighting,
    /// The request as it came to the socket that is bound; `None`: it did not come.
    pub arrival: Option<Box<Arrival>>,
}

/// A request that came to the socket that is bound.
#[derive(Debug)]
pub struct Arrival {
    /// The request, as it came.
    pub request: Request,
    /// Who sent it.
    pub peer: SocketAddr,
    /// When it came.
    pub at: Time,
}

/// What came of requests above 1300 octets.
#[derive(Debug)]
pub struct Size {
    /// The first of them, over the transport of the destination.
    pub first: Sighting,
    /// The same over TCP, where the first went over UDP and got no answer.
    pub stream: Option<Sighting>,
    /// A small one, over UDP again, to tell what is lost from who is gone.
    pub small: Option<Sighting>,
    /// The large one once more, where small ones got lost, too.
    pub again: Option<Sighting>,
}

/// A field that was changed on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name; `body` for what follows the headers.
    pub field: &'static str,
    /// As we sent it.
    pub sent: String,
    /// As it came.
    pub arrived: String,
}

impl Call {
    /// What of the request was changed on the way, that no proxy changes.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let (Some(sent), Some(arrival)) = (&self.sighting.sent, &self.arrival) else { return Vec::new() };
        changes(sent, &arrival.request)
    }
}

fn changes(sent: &Request, arrived: &Request) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |field: &'static str, sent: String, arrived: String| {
        if sent != arrived {
            changes.push(Change { field, sent, arrived });
        }
    };
    let sent_by = |request: &Request| last_via(request).map(|via| sent_by(&via)).unwrap_or_default();
    compare("Via", sent_by(sent), sent_by(arrived));
    let contact = |request: &Request| {
        let contact = request.headers.get(&HeaderName::Contact);
        let contact = contact.and_then(|row| NameAddr::parse(row.value()).ok());
        contact.map(|contact| place(&contact.uri)).unwrap_or_default()
    };
    compare("Contact", contact(sent), contact(arrived));
    let call_id = |request: &Request| request.headers.call_id().unwrap_or_default().to_owned();
    compare("Call-ID", call_id(sent), call_id(arrived));
    let from =
        |request: &Request| request.headers.from().map(|from| from.uri.to_string()).unwrap_or_default();
    compare("From", from(sent), from(arrived));
    let to = |request: &Request| request.headers.to().map(|to| to.uri.to_string()).unwrap_or_default();
    compare("To", to(sent), to(arrived));
    for (sent, arrived) in different_lines(&sent.body, &arrived.body) {
        compare("body", sent, arrived);
    }
    changes
}

/// The lines of two bodies that differ.
fn different_lines(sent: &[u8], arrived: &[u8]) -> Vec<(String, String)> {
    let lines =
        |body: &[u8]| -> Vec<String> { String::from_utf8_lossy(body).lines().map(str::to_owned).collect() };
    let (mut sent, mut arrived) = (lines(sent), lines(arrived));
    let most = sent.len().max(arrived.len());
    sent.resize(most, String::new());
    arrived.resize(most, String::new());
    sent.into_iter().zip(arrived).filter(|(sent, arrived)| sent != arrived).collect()
}

fn last_via(request: &Request) -> Option<Via> {
    request.headers.vias().ok()?.pop()
}

/// Transport, host, port and branch of a Via; what proxies add to it is none of ours.
fn sent_by(via: &Via) -> String {
    let port = via.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("SIP/2.0/{} {}{port};branch={}", via.transport, via.host, via.branch().unwrap_or_default())
}

/// User, host and port of a contact: proxies may add parameters.
fn place(uri: &AnyUri) -> String {
    let Some(uri) = uri.sip() else { return uri.to_string() };
    let user = uri.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = uri.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}:{user}{}{port}", uri.scheme.as_str(), uri.host)
}

/// Whether a request that came is the one that we sent: by whatever of it was left as it was.
pub(super) fn is_ours(sent: &Request, arrived: &Request) -> bool {
    let branch = |request: &Request| Branch::parse(last_via(request)?.branch()?).map(|Branch(number)| number);
    let tag = |request: &Request| request.headers.tag(&HeaderName::From);
    let is_same = |one: Option<u64>, two: Option<u64>| one.is_some() && one == two;
    sent.method == arrived.method
        && (is_same(branch(sent), branch(arrived))
            || tag(sent).is_some() && tag(sent) == tag(arrived)
            || sent
                .headers
                .call_id()
                .is_ok_and(|id| arrived.headers.call_id().is_ok_and(|other| other == id)))
}

/// Sends a request for the AOR, and waits for it where it is bound.
#[derive(Debug, Default)]
pub(super) struct Caller {
    probe: Option<RegistrationId>,
    arrivals: Vec<Arrival>,
    /// Somebody else has answered, and until then the request may still come here, too: a proxy that forks sends it
    /// everywhere, and hands on the first 2xx (RFC 3261 §16.7).
    taken: Option<(Time, Box<Sighting>)>,
}

impl Caller {
    pub fn call(&mut self, through: &Found, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        let ask = if bench.known.calls_plainly {
            Ask::PlainCall
        } else {
            Ask::Call(bench.known.service_route.clone())
        };
        self.arrivals.clear();
        self.taken = None;
        let mut probe = Probe::new(through.clone(), ask, random, now);
        let is_known = bench.known.bound.as_ref().is_some_and(|(_, found)| found == through);
        if let (true, Some(keyring)) = (is_known, &bench.known.keyring) {
            probe = probe.with_keyring(keyring.clone());
        }
        self.probe = Some(bench.begin(probe, now));
    }

    pub fn is_calling(&self) -> bool {
        self.probe.is_some() || self.taken.is_some()
    }

    /// What came of it, once that is known; else the input was for somebody else, or is not all.
    pub fn on(&mut self, input: Input, bench: &mut Bench, now: Time) -> Result<Call, Option<Input>> {
        match input {
            Input::Called(arrival) => {
                self.arrivals.push(*arrival);
                match self.taken.take() {
                    Some((until, sighting)) => self.answered(sighting, Some(until), bench).map_err(|()| None),
                    None => Err(None),
                }
            }
            Input::Probed(id, sighting) if self.probe == Some(id) => {
                self.probe = None;
                let until = matches!(sighting.status(), Some(200..=299)).then(|| now + bench.plan.timing.t1);
                self.answered(sighting, until, bench).map_err(|()| None)
            }
            Input::Due if self.taken.as_ref().is_some_and(|(until, _)| *until <= now) => {
                let taken = self.taken.take().ok_or(None)?;
                self.answered(taken.1, None, bench).map_err(|()| None)
            }
            input @ (Input::Resolved(..) | Input::Probed(..) | Input::Registered(..) | Input::Due) => {
                Err(Some(input))
            }
        }
    }

    /// The request was answered: it is known what came of it when it has come here, or there is nothing to wait for.
    fn answered(
        &mut self,
        sighting: Box<Sighting>,
        until: Option<Time>,
        bench: &mut Bench,
    ) -> Result<Call, ()> {
        let is_it =
            |arrival: &Arrival| sighting.sent.as_ref().is_some_and(|sent| is_ours(sent, &arrival.request));
        let arrival = self.arrivals.drain(..).find(is_it).map(Box::new);
        if let (None, Some(until)) = (&arrival, until) {
            bench.wake(until);
            self.taken = Some((until, sighting));
            return Err(());
        }
        Ok(Call { sighting: *sighting, arrival })
    }
}

/// Whether a request for the AOR that did not arrive may have been lost, so that another one may do better.
pub(super) fn may_be_lost(call: &Call) -> bool {
    let is_in_doubt = matches!(call.sighting.status(), None | Some(408 | 500 | 503 | 504));
    call.arrival.is_none() && is_in_doubt
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Way {
    passage: Passage,
    caller: Caller,
    has_called_again: bool,
    is_binding: bool,
    large: Large,
    is_over: bool,
}

/// Large requests under way.
#[derive(Debug, Default)]
struct Large {
    first: Option<RegistrationId>,
    stream: Option<RegistrationId>,
    small: Option<RegistrationId>,
    again: Option<RegistrationId>,
}

impl Way {
    fn go_on(&mut self, bench: &mut Bench) {
        let Large { first, stream, small, again } = &self.large;
        let is_measuring = [first, stream, small, again].into_iter().any(Option::is_some);
        if !self.is_binding && !self.caller.is_calling() && !is_measuring {
            self.finish(bench);
        }
    }

    fn finish(&mut self, bench: &mut Bench) {
        if !std::mem::replace(&mut self.is_over, true) {
            bench.known.is_reached = self.passage.call.as_ref().is_some_and(|call| call.arrival.is_some());
            bench.tell(Measured::Passage(Box::new(std::mem::take(&mut self.passage))));
        }
    }

    fn on_bound(&mut self, report: Box<Report>, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        self.is_binding = false;
        let contact = report.result.as_ref().ok().and_then(|success| success.contacts.first());
        let contact = contact.map(|granted| NameAddr::new(granted.uri.clone()));
        if let (Some(contact), Some(found)) = (contact, bench.known.home.clone()) {
            bench.known.bound = Some((contact, found.clone()));
            self.caller.call(&found, bench, random, now);
        }
        self.passage.bound = Some(report);
    }

    fn on_called(&mut self, call: Call, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        let is_again = std::mem::replace(&mut self.has_called_again, true);
        let through = bench.known.home.clone();
        // A proxy may not know itself by the name that we call it by: others call without a route.
        let has_route = !bench.plan.route.is_empty() || !bench.known.service_route.is_empty();
        if let (false, None, Some(through)) = (is_again, &call.arrival, through)
            && (has_route || may_be_lost(&call))
        {
            bench.known.calls_plainly = has_route;
            self.caller.call(&through, bench, random, now);
        }
        self.passage.call = Some(call);
    }

    fn on_measured(
        &mut self,
        id: RegistrationId,
        sighting: Sighting,
        bench: &mut Bench,
        random: &mut dyn Random,
        now: Time,
    ) {
        let Large { first, stream, small, again } = &mut self.large;
        let Some(chosen) = bench.known.chosen.clone() else { return };
        if *first == Some(id) {
            *first = None;
            let is_lost = matches!(sighting.end, End::Silent | End::Failed(_));
            if is_lost && chosen.destination.transport == Transport::Udp {
                let tcp = Bench::by(&chosen, Transport::Tcp);
                *stream = Some(bench.begin(Probe::new(tcp, Ask::Bindings(PADDING), random, now), now));
                *small = Some(bench.begin(Probe::new(chosen, Ask::Bindings(0), random, now), now));
            }
            self.passage.size = Some(Size { first: sighting, stream: None, small: None, again: None });
            return;
        }
        let Some(size) = &mut self.passage.size else { return };
        if *stream == Some(id) {
            *stream = None;
            size.stream = Some(sighting);
        } else if *small == Some(id) {
            *small = None;
            if sighting.copies > 0 && sighting.answer.is_some() {
                *again = Some(bench.begin(Probe::new(chosen, Ask::Bindings(PADDING), random, now), now));
            }
            size.small = Some(sighting);
        } else if *again == Some(id) {
            *again = None;
            size.again = Some(sighting);
        }
    }
}

impl Experiment for Way {
    fn begin(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        if let Some(chosen) = bench.known.chosen.clone() {
            if bench.known.is_in {
                bench.orders.push_back(Order::Register(CALLED, bench.plan_at(&chosen)));
                self.is_binding = true;
            }
            if bench.has_left(1, 8) {
                let probe = Probe::new(chosen, Ask::Bindings(PADDING), random, now);
                self.large.first = Some(bench.begin(probe, now));
            }
        }
        self.go_on(bench);
    }

    fn on(&mut self, input: Input, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match self.caller.on(input, bench, now) {
            Ok(call) => self.on_called(call, bench, random, now),
            Err(Some(Input::Registered(CALLED, report))) => self.on_bound(report, bench, random, now),
            Err(Some(Input::Probed(id, sighting))) => self.on_measured(id, *sighting, bench, random, now),
            Err(_) => {}
        }
        self.go_on(bench);
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        self.finish(bench);
    }
}
