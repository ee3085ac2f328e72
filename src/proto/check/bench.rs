//! What every experiment stands on: the plan, what the experiments before it have found, the time and the requests that
//! are left, and the orders to whoever carries them out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::probe::{End, Move, Probe, Sighting};
use super::{Arrival, Dated, Measured};
use crate::proto::client::outcome::Report;
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::digest::Keyring;
use crate::proto::locate::{Destination, Found, Transport};
use crate::proto::transaction::Outgoing;
use crate::proto::{DnsAnswer, Question, RegistrationId, Time};
use crate::sip::{AnyUri, NameAddr, Uri};

/// Most requests of one check, copies not counted.
const MOST_REQUESTS: u32 = 40;

/// The numbers of a check's registrations and probes: no account has one of these.
const FIRST: u64 = 1 << 62;

/// The registration that shows whether the account can sign in, and what becomes of a binding.
pub(super) const LOGIN: RegistrationId = RegistrationId(FIRST);
/// The registration that is bound while requests are sent to it.
pub(super) const CALLED: RegistrationId = RegistrationId(FIRST + 1);

/// Whether this is the number of a registration or a probe of a check.
pub(in crate::proto) fn is_of_check(id: RegistrationId) -> bool {
    id.0 >= FIRST
}

/// Something to be done for the check.
#[derive(Debug)]
pub(in crate::proto) enum Order {
    /// Open a flow for a probe.
    Open(RegistrationId, Destination),
    /// Send a request of a probe.
    Send(RegistrationId, Box<Outgoing>),
    /// A probe is over: its flow is needed no more.
    Leave(RegistrationId),
    /// Begin a registration.
    Register(RegistrationId, Box<Plan>),
    /// Have a registration ask for something else, over its flow.
    Again(RegistrationId, Purpose),
    /// Send a keep-alive over the flow of a registration.
    Ping(RegistrationId),
    /// End what a registration has under way, and remove what it may have bound.
    Withdraw(RegistrationId),
    /// A registration is needed no more.
    Drop(RegistrationId),
    /// Ask the name service.
    Resolve(Vec<Question>),
    /// Tell what was found.
    Tell(Measured),
    /// Everything is done: tell how it ended.
    Close,
}

/// What an experiment hears of what it has ordered.
#[derive(Debug)]
pub(super) enum Input {
    /// The name service answered.
    Resolved(Question, DnsAnswer, u32),
    /// A probe is over.
    Probed(RegistrationId, Box<Sighting>),
    /// A registration is over, for now.
    Registered(RegistrationId, Box<Report>),
    /// A request came to the socket that is bound.
    Called(Box<Arrival>),
    /// The time has come that it asked to be woken at.
    Due,
}

/// What is due at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// The experiment asked to be woken.
    Experiment,
    /// A probe has had no answer for a while.
    Late(RegistrationId),
    /// A probe has had its time.
    End(RegistrationId),
}

/// What experiments have found that others go on with.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Every destination of the name.
    pub found: Vec<Found>,
    /// The one whose registrar has let us in: a redirect may have led there.
    pub home: Option<Found>,
    /// The one that is registered at, with what it answered to a REGISTER without Contact.
    pub chosen: Option<Found>,
    pub status: Option<u16>,
    /// Other destinations that answered, each with its status.
    pub others: Vec<(Found, u16)>,
    /// What came of the registration that shows whether we are let in was told.
    pub is_login_told: bool,
    /// A registrar let us in.
    pub is_in: bool,
    /// What was bound to see that, and our address on the way.
    pub login: Option<AnyUri>,
    pub local: Option<SocketAddr>,
    /// The credentials that it let us in with.
    pub keyring: Option<Keyring>,
    /// The route for what we send (RFC 3608).
    pub service_route: Vec<Uri>,
    /// The contacts of others that the registrar lists.
    pub listed: Vec<NameAddr>,
    /// What is bound while requests are sent to it, and over which destination.
    pub bound: Option<(NameAddr, Found)>,
    /// Requests for the AOR go without a route.
    pub calls_plainly: bool,
    /// Whether a request for the AOR has arrived where it is bound.
    pub is_reached: bool,
    /// What the answers say of the time.
    pub dates: Vec<Dated>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Bench {
    pub plan: Plan,
    /// How long the way is looked at again after, without traffic.
    pub pause: Option<Duration>,
    pub known: Known,
    pub orders: VecDeque<Order>,
    pub alarms: BTreeSet<(Time, Alarm)>,
    pub probes: BTreeMap<RegistrationId, Probe>,
    /// Probes that are over, and what came of them.
    pub over: VecDeque<(RegistrationId, Box<Sighting>)>,
    pub requests: u32,
    /// Copies that Timer E has sent of them.
    pub copies: u32,
    /// How long a probe waits for its answer.
    patience: Duration,
    last: u64,
}

impl Bench {
    pub fn new(plan: Plan, pause: Option<Duration>, patience: Duration) -> Bench {
        Bench {
            plan,
            pause,
            known: Known::default(),
            orders: VecDeque::new(),
            alarms: BTreeSet::new(),
            probes: BTreeMap::new(),
            over: VecDeque::new(),
            requests: 0,
            copies: 0,
            patience,
            last: CALLED.0,
        }
    }

    pub fn tell(&mut self, measured: Measured) {
        self.orders.push_back(Order::Tell(measured));
    }

    /// Whether so many requests are left beside those that have to be made to the end.
    pub fn has_left(&self, requests: u32, reserve: u32) -> bool {
        self.requests + requests + reserve <= MOST_REQUESTS
    }

    /// Begins a probe.
    pub fn begin(&mut self, probe: Probe, now: Time) -> RegistrationId {
        self.begin_within(probe, self.patience, now)
    }

    /// Begins a probe that waits no longer than that.
    pub fn begin_within(&mut self, probe: Probe, patience: Duration, now: Time) -> RegistrationId {
        self.last += 1;
        let id = RegistrationId(self.last);
        let patience = patience.min(self.patience);
        self.alarms.insert((now + self.late().min(patience), Alarm::Late(id)));
        self.alarms.insert((now + patience, Alarm::End(id)));
        self.orders.push_back(Order::Open(id, probe.destination().clone()));
        self.probes.insert(id, probe);
        id
    }

    /// When an answer is late: 4·T1.
    pub fn late(&self) -> Duration {
        self.plan.timing.t1.saturating_mul(4)
    }

    /// Has the experiment woken then.
    pub fn wake(&mut self, at: Time) {
        self.alarms.insert((at, Alarm::Experiment));
    }

    /// Does what a probe says.
    pub fn apply(&mut self, id: RegistrationId, next: Move) {
        match next {
            Move::Wait => {}
            Move::Send(outgoing) => {
                self.requests += 1;
                self.orders.push_back(Order::Send(id, outgoing));
            }
            Move::End(sighting) => {
                self.probes.remove(&id);
                self.alarms.retain(|(_, alarm)| *alarm != Alarm::Late(id) && *alarm != Alarm::End(id));
                self.orders.push_back(Order::Leave(id));
                self.copies += sighting.copies;
                if let Some(answer) = &sighting.answer
                    && let Ok(Some(date)) = answer.response.headers.date()
                {
                    let at = answer.at.as_millis() / 1000;
                    let server = sighting.destination.address;
                    self.known.dates.push(Dated { server, at, date: date.epoch() });
                }
                self.over.push_back((id, sighting));
            }
        }
    }

    /// The time is over: what probes have come to by now.
    pub fn end_probes(&mut self, now: Time) {
        for (id, mut probe) in std::mem::take(&mut self.probes) {
            let next = probe.end(End::Silent, now);
            self.apply(id, next);
        }
    }

    /// Stops all probes, and tells nobody.
    pub fn abandon(&mut self) {
        let ids: Vec<_> = self.probes.keys().copied().collect();
        self.orders.extend(ids.into_iter().map(Order::Leave));
        self.probes.clear();
        self.alarms.clear();
        self.over.clear();
    }

    /// The plan of one registration at one destination.
    pub fn plan_at(&self, found: &Found) -> Box<Plan> {
        let mut plan = self.plan.clone();
        plan.destination = Some(Box::new(found.clone()));
        plan.keep = true;
        if let Some(keyring) = &self.known.keyring {
            plan.keyring = keyring.clone();
        }
        Box::new(plan)
    }

    /// The same address by another transport.
    pub fn by(found: &Found, transport: Transport) -> Found {
        Found {
            destination: Destination::new(transport, found.destination.address),
            origin: found.origin.as_ref().map(Arc::clone),
        }
    }
}
