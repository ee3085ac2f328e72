//! What a registration has seen so far and still has before it, and the verdict when nothing is left to try.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::targets::Targets;
use crate::proto::Time;
use crate::proto::client::outcome::{Attempt, Failure, Hop, Misbehaviour, Unreachable, Warning};
use crate::proto::locate::Destination;
use crate::sip::{NameAddr, Response, Via};

/// Counted over all destinations.
#[derive(Debug)]
pub(super) struct Tally {
    pub started: Time,
    /// Tries that are over.
    pub tries: u32,
    /// Of this try: where it may still go, and at this target.
    pub targets: Targets,
    pub destinations: VecDeque<Destination>,
    /// What the last request asked for.
    pub contacts: Vec<NameAddr>,
    /// Destinations and requests of this try.
    pub visits: usize,
    pub requests_of_try: u32,
    /// Requests to the current destination.
    pub requests_of_visit: u32,
    pub requests: u32,
    pub retransmissions: u32,
    /// Of this try: one per destination.
    pub attempts: Vec<Attempt>,
    pub hop: Option<Hop>,
    pub sent: Option<Time>,
    pub round_trip: Option<Duration>,
    pub response: Option<(u16, String)>,
    /// Our address as the other side saw it.
    pub seen: Option<SocketAddr>,
    pub warnings: Vec<Warning>,
    /// The last final answer that was not acted upon.
    pub held: Option<Failure>,
    pub misbehaved: Option<Misbehaviour>,
    /// A destination gave no final answer in time.
    pub silent: bool,
    pub unreachable: Option<Unreachable>,
}

/// A tally that takes no room before there is something to count: ten thousand accounts rest most of the time.
#[derive(Debug, Default)]
pub(super) struct Slip(Option<Box<Tally>>);

static EMPTY: Tally = Tally::new(Time::from_millis(0));

impl Slip {
    pub fn begun(now: Time) -> Slip {
        Slip(Some(Box::new(Tally::new(now))))
    }

    /// What was counted. Nothing is left.
    pub fn take(&mut self) -> Tally {
        self.0.take().map_or(Tally::new(Time::from_millis(0)), |tally| *tally)
    }
}

impl Deref for Slip {
    type Target = Tally;

    fn deref(&self) -> &Tally {
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl DerefMut for Slip {
    fn deref_mut(&mut self) -> &mut Tally {
        self.0.get_or_insert_with(|| Box::new(Tally::new(Time::from_millis(0))))
    }
}

impl Tally {
    const fn new(now: Time) -> Tally {
        Tally {
            started: now,
            tries: 0,
            targets: Targets::new(),
            destinations: VecDeque::new(),
            contacts: Vec::new(),
            visits: 0,
            requests_of_try: 0,
            requests_of_visit: 0,
            requests: 0,
            retransmissions: 0,
            attempts: Vec::new(),
            hop: None,
            sent: None,
            round_trip: None,
            response: None,
            seen: None,
            warnings: Vec::new(),
            held: None,
            misbehaved: None,
            silent: false,
            unreachable: None,
        }
    }

    /// Counts and findings of one try don't speak for the next.
    pub fn begin_try(&mut self) {
        self.tries += 1;
        self.targets = Targets::new();
        (self.visits, self.requests_of_try) = (0, 0);
        (self.held, self.misbehaved, self.silent, self.unreachable) = (None, None, false, None);
        self.attempts.clear();
    }

    pub fn begin_visit(&mut self) {
        self.visits += 1;
        self.requests_of_visit = 0;
    }

    pub fn sent(&mut self, hop: Hop, now: Time) {
        self.requests += 1;
        self.requests_of_try += 1;
        self.requests_of_visit += 1;
        self.hop = Some(hop);
        self.sent = Some(now);
        self.round_trip = None;
    }

    /// Notes a final response, and from its Via the address that we were seen at (RFC 3581 §4): without
    /// `received` the source address was what Via says, without `rport` the port was not looked at.
    pub fn answered(
        &mut self,
        response: &Response,
        via: &Via,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        now: Time,
    ) {
        self.response = Some((response.status, response.reason.clone()));
        self.round_trip = self.sent.map(|sent| now.since(sent));
        let Some(local) = local else { return };
        let ip = via.received().map(|ip| ip.to_canonical()).filter(|ip| ip.is_ipv4() == remote.is_ipv4());
        let port = via.rport().flatten();
        if ip.is_some() || port.is_some() {
            let sent_by = via.host.ip().filter(|host| host.is_ipv4() == remote.is_ipv4());
            let ip = ip.or(sent_by).unwrap_or(local.ip());
            self.seen = Some(SocketAddr::new(ip, port.unwrap_or(local.port())));
        }
    }

    /// The last final answer that was not acted upon decides; without one misbehaviour, then silence, then what the
    /// network said.
    pub fn verdict(&mut self) -> Failure {
        if let Some(failure) = self.held.take() {
            return failure;
        }
        match (self.misbehaved, self.silent, self.unreachable.take()) {
            (Some(how), _, _) => Failure::Misbehaved(how),
            (None, true, _) | (None, false, None) => Failure::Timeout,
            (None, false, Some(why)) => Failure::Unreachable(why),
        }
    }
}
