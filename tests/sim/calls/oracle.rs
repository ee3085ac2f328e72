//! What a forking proxy has to do (RFC 3261 §16), told apart from how it does it: who watches both sides of the proxy knows
//! after each event what must leave it, to whom, and in which moment.
//!
//! Of calls and messages everything is foretold. Requests within a dialog only have to go to the other side.
//!
//! The file is long because the rules are one: each event can change all that is expected of a call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sipreg::proto::registrar::service::Fork;
use sipreg::proto::{FlowId, Time};

use super::message::{Msg, host};
use super::scenario::{Manner, Scenario};

/// 64·T1: Timer B, D, L and M, and the time that a CANCEL has.
const PATIENCE: Duration = Duration::from_secs(32);
/// Timer C.
const RINGING: Duration = Duration::from_secs(181);

/// How a device is reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By UDP, or a connection that is open.
    Now,
    /// A connection has to be opened first.
    Opens,
}

/// What is known of the network at the proxy.
pub trait Ways {
    fn way(&self, agent: usize) -> Way;
    /// Whether the connection that a device was registered over is there.
    fn is_bound(&self, device: usize) -> bool;
    /// Whether the connection that the device was registered over is gone.
    fn is_severed(&self, device: usize) -> bool;
    /// The agent at that address.
    fn at(&self, address: &str) -> usize;
    fn is_open(&self, flow: FlowId) -> bool;
    /// Whether the system has been asked how to reach an agent, and has not answered.
    fn is_asked(&self, agent: usize) -> bool;
}

/// The address of ours that is bound beside the devices, if one is: it has no number of theirs.
pub const ALIAS: usize = usize::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent: its address is looked up, or a connection opened.
    Opening,
    Calling,
    Proceeding,
    /// Since then.
    Accepted(Time),
    Refused(Time),
    Over,
}

#[derive(Debug)]
struct Branch {
    device: usize,
    /// By its Via, once it has left.
    id: String,
    flow: FlowId,
    stage: Stage,
    sent: Time,
    rang: Time,
    is_severed: bool,
    is_leaving: bool,
    cancelled: Option<Time>,
    /// The CANCEL was answered.
    is_heard: bool,
    /// It waits to know by which address of ours it leaves.
    asks: bool,
    /// Its Max-Breadth.
    share: u32,
}

impl Branch {
    fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Opening | Stage::Calling | Stage::Proceeding)
    }
}

/// A final response that may go up.
#[derive(Debug)]
struct Candidate {
    status: u16,
    tag: String,
}

#[derive(Debug)]
struct Call {
    id: String,
    invite: Msg,
    caller: usize,
    flow: FlowId,
    is_udp: bool,
    is_invite: bool,
    is_located: bool,
    is_cancelled: bool,
    is_declined: bool,
    answered: Option<u16>,
    is_accepted: bool,
    is_acked: bool,
    /// What went up last, of the kind that copies of the INVITE get again.
    last_up: Option<String>,
    branches: Vec<Branch>,
    /// What is left of the group that is being tried, and those behind it.
    group: VecDeque<usize>,
    rest: VecDeque<Vec<usize>>,
    /// The Max-Breadth that no branch has.
    free: u32,
    known: Vec<usize>,
    candidates: Vec<Candidate>,
    challenges: usize,
    manners: Vec<Manner>,
}

impl Call {
    fn is_closed(&self) -> bool {
        self.is_cancelled || self.is_declined || self.answered.is_some()
    }
}

pub type Tally = BTreeMap<&'static str, u32>;

/// Something that left the proxy.
pub struct Left {
    pub agent: usize,
    pub name: String,
    pub flow: FlowId,
    pub msg: Msg,
    pub bytes: Vec<u8>,
}

pub struct Oracle {
    now: Time,
    fork: Fork,
    /// The devices that are bound, in the order in which they are tried, with their q in tenths.
    bound: Vec<(usize, u32)>,
    /// Those that are bound at the address that stands beside them.
    born: Vec<usize>,
    calls: BTreeMap<String, Call>,
    /// The calls for which that address is looked up next.
    pub asks: VecDeque<String>,
    names: Vec<String>,
    /// What has to leave now.
    expected: Vec<String>,
    /// What may.
    allowed: Vec<String>,
    seen: BTreeSet<(usize, Vec<u8>)>,
    /// How often what happened, of that which has to happen now and then.
    pub tally: Tally,
    /// What has left in this step.
    has_left: Vec<String>,
    /// Final statuses that callers were answered with.
    pub statuses: Vec<u16>,
    /// Those of calls and messages.
    pub finals: Vec<u16>,
}

impl Oracle {
    pub fn new(scenario: &Scenario, names: Vec<String>) -> Oracle {
        let tenths = |q: Option<&str>| q.map_or(10, |q| (q.parse::<f32>().unwrap() * 10.0) as u32);
        let last = scenario.devices.len() - 1;
        let is_born = |device: &usize| scenario.born.contains(device);
        let own = (0..last).filter(|device| !is_born(device));
        let mut bound: Vec<(usize, u32)> =
            own.map(|device| (device, tenths(scenario.devices[device].q))).collect();
        bound.extend(scenario.alias.map(|q| (ALIAS, tenths(q))));
        // Who was bound last comes first.
        bound.reverse();
        bound.sort_by_key(|(_, q)| 10 - q);
        let born = (0..last).rev().filter(is_born).collect();
        Oracle {
            now: Time::from_millis(0),
            fork: scenario.fork,
            bound,
            born,
            calls: BTreeMap::new(),
            asks: VecDeque::new(),
            names,
            expected: Vec::new(),
            allowed: Vec::new(),
            seen: BTreeSet::new(),
            tally: Tally::new(),
            has_left: Vec::new(),
            statuses: Vec::new(),
            finals: Vec::new(),
        }
    }

    /// A step begins: one event.
    pub fn begin(&mut self, now: Time) {
        self.now = now;
        self.expected.clear();
        self.allowed.clear();
    }

    fn expect(&mut self, agent: usize, what: &str) {
        let line = format!("{} {what}", self.names[agent]);
        self.expected.push(line);
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn allow(&mut self, agent: usize, what: &str) {
        let line = format!("{} {what}", self.names[agent]);
        self.allowed.push(line);
    }

    /// With the call taken out of the table, so that it and what is expected can both be changed.
    fn with(&mut self, id: &str, work: impl FnOnce(&mut Oracle, &mut Call)) {
        let Some(mut call) = self.calls.remove(id) else { return };
        work(self, &mut call);
        self.calls.insert(id.to_owned(), call);
    }

    fn with_all(&mut self, mut work: impl FnMut(&mut Oracle, &mut Call)) {
        let all: Vec<String> = self.calls.keys().cloned().collect();
        for id in all {
            self.with(&id, &mut work);
        }
    }

    /// A message has come.
    pub fn arrives(
        &mut self,
        from: usize,
        flow: FlowId,
        is_udp: bool,
        msg: &Msg,
        manners: &[Manner],
        ways: &dyn Ways,
    ) {
        match (msg.status(), msg.method()) {
            (None, "INVITE" | "MESSAGE") => self.invite(from, flow, is_udp, msg, manners),
            (None, "CANCEL") if !self.calls.contains_key(msg.call_id()) => {
                self.count("a CANCEL before its INVITE");
                self.expect(from, "481 CANCEL");
            }
            (None, "CANCEL") => self.with(msg.call_id(), |oracle, call| oracle.cancel(call, ways)),
            (None, "ACK") => self.ack(msg, ways),
            (Some(status), "MESSAGE") => {
                self.with(msg.call_id(), |oracle, call| oracle.message_response(call, msg, status, ways));
            }
            (Some(status), "INVITE") => {
                self.with(msg.call_id(), |oracle, call| oracle.response(call, msg, status, is_udp, ways));
            }
            (Some(200..), "CANCEL") => self.with(msg.call_id(), |_, call| {
                let branch = call.branches.iter_mut().find(|branch| branch.id == msg.branch());
                branch.into_iter().for_each(|branch| branch.is_heard = true);
            }),
            (_, _) => {}
        }
    }

    fn invite(&mut self, from: usize, flow: FlowId, is_udp: bool, msg: &Msg, manners: &[Manner]) {
        if self.calls.contains_key(msg.call_id()) {
            return self.with(msg.call_id(), |oracle, call| {
                oracle.count("a copy of a request");
                let is_over = call.is_acked || call.answered.is_some_and(|status| status < 300);
                let is_over = is_over && call.is_invite;
                if let Some(last) = call.last_up.clone().filter(|_| !is_over) {
                    oracle.expect(call.caller, &last);
                }
            });
        }
        let call = Call {
            id: msg.call_id().to_owned(),
            free: msg.row("Max-Breadth").parse().unwrap_or(60),
            invite: msg.clone(),
            caller: from,
            flow,
            is_udp,
            is_invite: msg.method() == "INVITE",
            is_located: false,
            is_cancelled: false,
            is_declined: false,
            answered: None,
            is_accepted: false,
            is_acked: false,
            last_up: None,
            branches: Vec::new(),
            group: VecDeque::new(),
            rest: VecDeque::new(),
            known: Vec::new(),
            candidates: Vec::new(),
            challenges: 0,
            manners: manners.to_vec(),
        };
        self.calls.insert(msg.call_id().to_owned(), call);
    }

    /// The location service has answered.
    pub fn located(&mut self, call_id: &str, ways: &dyn Ways) {
        self.with(call_id, |oracle, call| {
            if call.is_closed() || std::mem::replace(&mut call.is_located, true) {
                return;
            }
            if call.is_invite {
                oracle.up(call, "100 -");
            }
            let mut last = None;
            for (device, q) in oracle.bound.clone() {
                call.known.push(device);
                match call.rest.back_mut() {
                    Some(group) if last == Some(q) && oracle.fork == Fork::Parallel => group.push(device),
                    _ => call.rest.push_back(vec![device]),
                }
                last = Some(q);
            }
            oracle.proceed(call, ways);
        });
    }

    /// A response goes to the caller.
    fn up(&mut self, call: &mut Call, what: &str) {
        self.expect(call.caller, what);
        call.last_up = Some(what.to_owned());
    }

    /// The address beside the devices was looked up: those who are bound there come in its place.
    pub fn relocated(&mut self, call_id: &str, ways: &dyn Ways) {
        self.with(call_id, |oracle, call| {
            let is_it = |branch: &Branch| branch.device == ALIAS && branch.stage == Stage::Opening;
            let Some(at) = call.branches.iter().position(is_it) else { return };
            let new: Vec<usize> =
                oracle.born.iter().copied().filter(|device| !call.known.contains(device)).collect();
            oracle.count("another address of ours");
            if new.is_empty() {
                call.candidates.push(Candidate { status: 480, tag: "-".to_owned() });
            }
            oracle.insert(call, new);
            oracle.ends(call, at, Stage::Over);
            oracle.proceed(call, ways);
        });
    }

    /// Targets in place of one: as preferred as that was.
    fn insert(&mut self, call: &mut Call, new: Vec<usize>) {
        call.known.extend(&new);
        let groups: Vec<Vec<usize>> = match self.fork {
            Fork::Parallel => vec![new],
            Fork::Sequential => new.into_iter().map(|device| vec![device]).collect(),
        };
        groups.into_iter().rev().for_each(|group| call.rest.push_front(group));
    }

    fn ends(&mut self, call: &mut Call, at: usize, stage: Stage) {
        let branch = &mut call.branches[at];
        branch.stage = stage;
        call.free += std::mem::take(&mut branch.share);
    }

    /// Those of the group for whom there is room; the next group, when nobody is at work; the best response, when there is
    /// none.
    fn proceed(&mut self, call: &mut Call, ways: &dyn Ways) {
        let is_busy = call.branches.iter().any(Branch::is_pending);
        if call.answered.is_some() || call.is_closed() && is_busy {
            return;
        }
        while call.group.is_empty() && !is_busy {
            match call.rest.pop_front() {
                Some(group) => call.group.extend(group),
                None => return self.answer(call),
            }
        }
        let (free, count) = (call.free, call.free.min(call.group.len() as u32));
        if (count as usize) < call.group.len() {
            self.count("a device waits for Max-Breadth");
        }
        for nth in 0..count {
            let device = call.group.pop_front().expect("it is counted");
            let share = free / count + u32::from(nth < free % count);
            call.free -= share;
            self.fork_to(call, device, share, ways);
        }
    }

    fn fork_to(&mut self, call: &mut Call, device: usize, share: u32, ways: &dyn Ways) {
        let is_device = device != ALIAS;
        let is_now = is_device && (ways.is_bound(device) || ways.way(device) == Way::Now);
        if is_now {
            self.expect(device, call.invite.method());
        } else if !is_device {
            self.asks.push_back(call.id.clone());
        }
        call.branches.push(Branch {
            device,
            id: String::new(),
            flow: FlowId(0),
            stage: if is_now { Stage::Calling } else { Stage::Opening },
            sent: self.now,
            rang: self.now,
            is_severed: is_device && ways.is_severed(device),
            is_leaving: false,
            cancelled: None,
            is_heard: false,
            asks: false,
            share,
        });
    }

    /// §16.7 step 6.
    fn answer(&mut self, call: &mut Call) {
        let worth = |one: &&Candidate| match one.status {
            600.. => (0, 0),
            status @ (401 | 407 | 415 | 420 | 484) => (status / 100, 0),
            // What a device has said tells more than that one can't be reached.
            status @ (408 | 487 | 503) => (status / 100, 2),
            status if one.tag == "-" => (status / 100, 2),
            status => (status / 100, 1),
        };
        let best = call.candidates.iter().min_by_key(worth);
        let is_of_many = call.candidates.len() > 1;
        let (status, tag) = match best {
            Some(Candidate { status: 503, .. }) => (500, "-"),
            Some(Candidate { status, tag }) => (*status, tag.as_str()),
            None => (480, "-"),
        };
        let what = format!("{status} {tag}");
        call.answered = Some(status);
        self.finals.push(status);
        if !call.is_invite && status == 408 {
            // Who asked hears nothing (RFC 4320 §4.2), and that is told.
            call.last_up = None;
            return self.count("a MESSAGE that nobody answers");
        }
        if call.is_invite {
            self.statuses.push(status);
        }
        if is_of_many {
            self.count("the best of several");
        }
        self.up(call, &what);
    }

    /// The caller hangs up.
    fn cancel(&mut self, call: &mut Call, ways: &dyn Ways) {
        if call.answered.is_some() {
            // Its transaction may be over by now.
            self.count("a CANCEL after the final response");
            self.allow(call.caller, "200 CANCEL");
            self.allow(call.caller, "481 CANCEL");
            return;
        }
        self.expect(call.caller, "200 CANCEL");
        self.count(if call.is_located { "a CANCEL" } else { "a CANCEL before the devices are known" });
        // Whatever devices have said, or say yet.
        call.candidates = vec![Candidate { status: 487, tag: "-".to_owned() }];
        if !std::mem::replace(&mut call.is_cancelled, true) {
            self.withdraw(call);
            self.proceed(call, ways);
        }
    }

    /// All that pend are cancelled, as soon as they have said something.
    fn withdraw(&mut self, call: &mut Call) {
        call.rest.clear();
        call.group.clear();
        for branch in &mut call.branches {
            match branch.stage {
                // What can't be cancelled is waited for, unless somebody has said yes.
                Stage::Calling | Stage::Proceeding if !call.is_invite => {
                    if call.answered.is_some() {
                        branch.stage = Stage::Over;
                    }
                }
                Stage::Opening => branch.stage = Stage::Over,
                Stage::Calling => branch.is_leaving = true,
                Stage::Proceeding if branch.cancelled.is_none() => {
                    branch.is_leaving = true;
                    branch.cancelled = Some(self.now);
                    self.expected.push(format!("{} CANCEL", self.names[branch.device]));
                }
                Stage::Proceeding | Stage::Accepted(_) | Stage::Refused(_) | Stage::Over => {}
            }
        }
    }

    fn ack(&mut self, msg: &Msg, ways: &dyn Ways) {
        let Some(call) = self.calls.get_mut(msg.call_id()) else { return };
        if msg.branch() == call.invite.branch() && call.answered.is_some_and(|status| status >= 300) {
            call.is_acked = true;
            return;
        }
        let device = ways.at(host(msg.uri()));
        match ways.way(device) {
            Way::Now => self.expect(device, "ACK"),
            Way::Opens => {}
        }
    }

    fn response(&mut self, call: &mut Call, msg: &Msg, status: u16, is_udp: bool, ways: &dyn Ways) {
        let Some(at) = call.branches.iter().position(|branch| branch.id == msg.branch()) else { return };
        let (now, is_answered) = (self.now, call.answered.is_some());
        let branch = &mut call.branches[at];
        let device = branch.device;
        match (branch.stage, status) {
            (Stage::Calling | Stage::Proceeding, ..200) => {
                branch.stage = Stage::Proceeding;
                if branch.is_leaving && branch.cancelled.is_none() {
                    branch.cancelled = Some(now);
                    self.expect(device, "CANCEL");
                    self.count("a CANCEL that was held back");
                }
                if status > 100 {
                    if !branch.is_leaving {
                        branch.rang = now;
                    }
                    if !is_answered {
                        self.up(call, &msg.said());
                    }
                }
            }
            (Stage::Calling | Stage::Proceeding, 200..300) => {
                branch.stage = Stage::Accepted(now);
                self.expect(call.caller, &msg.said());
                let is_first = !std::mem::replace(&mut call.is_accepted, true);
                match (call.is_cancelled, call.is_declined) {
                    _ if !is_first => self.count("a second device accepts"),
                    (true, _) => self.count("a 2xx crosses the CANCEL of the caller"),
                    (false, true) => self.count("a 2xx after a 6xx"),
                    (false, false) => self.count("a 2xx"),
                }
                if !is_answered {
                    call.answered = Some(status);
                    self.statuses.push(status);
                    self.finals.push(status);
                    self.withdraw(call);
                }
            }
            (Stage::Accepted(since), 200..300) if now - since < PATIENCE => {
                self.expect(call.caller, &msg.said())
            }
            (Stage::Accepted(_), 200..300) => self.allow(call.caller, &msg.said()),
            (Stage::Calling | Stage::Proceeding, _) => {
                self.ends(call, at, if is_udp { Stage::Refused(now) } else { Stage::Over });
                self.expect(device, "ACK");
                self.refused(call, device, msg, status, ways);
            }
            (Stage::Refused(since), 300..) if now - since < PATIENCE => {
                self.count("a copy of a refusal");
                self.expect(device, "ACK");
            }
            (Stage::Refused(_), 300..) => self.allow(device, "ACK"),
            (Stage::Opening | Stage::Accepted(_) | Stage::Refused(_) | Stage::Over, _) => {
                self.count("a response too late to matter");
            }
        }
    }

    fn message_response(&mut self, call: &mut Call, msg: &Msg, status: u16, ways: &dyn Ways) {
        let is_it = |branch: &Branch| branch.id == msg.branch() && branch.is_pending();
        let Some(at) = call.branches.iter().position(is_it).filter(|_| status >= 200) else { return };
        self.ends(call, at, Stage::Over);
        if status >= 300 {
            return self.refused(call, call.branches[at].device, msg, status, ways);
        }
        self.count("a MESSAGE that is accepted");
        call.answered = Some(status);
        self.finals.push(status);
        self.up(call, &msg.said());
        self.withdraw(call);
    }

    fn refused(&mut self, call: &mut Call, device: usize, msg: &Msg, status: u16, ways: &dyn Ways) {
        if matches!(status, 401 | 407) {
            call.challenges += 1;
        }
        let manner = &call.manners[device];
        let new: Vec<usize> =
            manner.named.iter().copied().filter(|device| !call.known.contains(device)).collect();
        // Contacts that were tried, or will be, are none for the caller.
        let is_heeded = status == 302 && !call.is_closed() && !manner.named.is_empty();
        let follows = is_heeded && !new.is_empty();
        if (!is_heeded || manner.names_others) && !call.is_cancelled {
            call.candidates.push(Candidate { status, tag: msg.tag("To").to_owned() });
        }
        if follows {
            self.count("a redirect that is followed");
            self.insert(call, new);
        }
        if status >= 600 && !call.is_closed() {
            self.count("a 6xx");
            call.is_declined = true;
            self.withdraw(call);
        }
        self.proceed(call, ways);
    }

    /// A branch has failed without a response.
    fn fail(&mut self, call: &mut Call, at: usize, status: u16, ways: &dyn Ways) {
        self.count(match (call.branches[at].stage, status) {
            (Stage::Opening, _) => "a connection that can't be opened",
            (Stage::Calling, 408) => "silence until Timer B",
            (_, 408) => "a CANCEL that nobody heeds",
            (Stage::Calling, _) => "a device that is gone",
            (_, _) => "a device that is gone while it rings",
        });
        self.ends(call, at, Stage::Over);
        let status = if call.branches[at].is_severed { 480 } else { status };
        if !call.is_cancelled {
            call.candidates.push(Candidate { status, tag: "-".to_owned() });
        }
        self.proceed(call, ways);
    }

    fn fail_all(&mut self, status: u16, ways: &dyn Ways, is_meant: impl Fn(&Branch) -> bool) {
        self.with_all(|oracle, call| {
            for at in 0..call.branches.len() {
                if call.branches[at].is_pending() && is_meant(&call.branches[at]) {
                    oracle.fail(call, at, status, ways);
                }
            }
        });
    }

    /// ICMP: a datagram did not reach the agent. It was no INVITE where something was heard already, but may be a CANCEL.
    pub fn undeliverable(&mut self, udp: FlowId, agent: usize, ways: &dyn Ways) {
        self.fail_all(503, ways, |branch| {
            let waits = branch.stage == Stage::Calling || branch.cancelled.is_some() && !branch.is_heard;
            branch.device == agent && branch.flow == udp && waits
        });
    }

    /// A connection is gone. If it was just being opened, `to` is who it was to reach.
    pub fn lost(&mut self, flow: FlowId, to: Option<usize>, ways: &dyn Ways) {
        self.fail_all(503, ways, |branch| match branch.stage {
            Stage::Opening => to == Some(branch.device),
            Stage::Calling | Stage::Proceeding | Stage::Accepted(_) | Stage::Refused(_) | Stage::Over => {
                branch.flow == flow
            }
        });
    }

    /// A connection to the agent is open.
    pub fn opened(&mut self, agent: usize) {
        self.with_all(|oracle, call| {
            for branch in &mut call.branches {
                if branch.device == agent && branch.stage == Stage::Opening {
                    branch.stage = Stage::Calling;
                    (branch.sent, branch.rang) = (oracle.now, oracle.now);
                    oracle.expected.push(format!("{} {}", oracle.names[agent], call.invite.method()));
                }
            }
        });
        self.allow(agent, "ACK");
    }

    /// It is known by which address of ours an agent is reached.
    pub fn found(&mut self, agent: usize, ways: &dyn Ways) {
        self.with_all(|oracle, call| {
            let is_caller = agent == call.caller;
            for branch in call.branches.iter_mut().filter(|branch| branch.asks) {
                if branch.stage == Stage::Opening && (branch.device == agent || is_caller) {
                    branch.asks = false;
                    branch.is_severed |= ways.is_severed(branch.device);
                    if ways.is_bound(branch.device) || ways.way(branch.device) == Way::Now {
                        branch.stage = Stage::Calling;
                        (branch.sent, branch.rang) = (oracle.now, oracle.now);
                        let (name, method) = (&oracle.names[branch.device], call.invite.method());
                        oracle.expected.push(format!("{name} {method}"));
                    }
                }
            }
        });
        self.allow(agent, "ACK");
    }

    /// What leaves as soon as the system has said by which address is expected no more.
    fn wait(&mut self, ways: &dyn Ways) {
        let mut expected = std::mem::take(&mut self.expected);
        let mut give_up = |line: String| {
            expected.iter().position(|expected| *expected == line).map(|at| expected.remove(at)).is_some()
        };
        for call in self.calls.values_mut() {
            for branch in &mut call.branches {
                let is_asked =
                    branch.device != ALIAS && (ways.is_asked(branch.device) || ways.is_asked(call.caller));
                if branch.stage == Stage::Calling && branch.id.is_empty() && is_asked {
                    assert!(give_up(format!("{} {}", self.names[branch.device], call.invite.method())));
                    (branch.stage, branch.asks) = (Stage::Opening, true);
                    *self.tally.entry("a branch that waits for our address").or_default() += 1;
                }
            }
        }
        for (agent, name) in self.names.iter().enumerate() {
            let line = format!("{name} ACK");
            if ways.is_asked(agent) && !self.has_left.contains(&line) {
                while give_up(line.clone()) {}
            }
        }
        self.expected = expected;
    }

    /// Time has passed.
    pub fn timeout(&mut self, ways: &dyn Ways) {
        self.with_all(|oracle, call| {
            if !call.is_invite && call.answered.is_none() {
                oracle.allow(call.caller, "100 -");
            }
            for at in 0..call.branches.len() {
                let branch = &mut call.branches[at];
                let now = oracle.now;
                match (branch.stage, branch.cancelled) {
                    (Stage::Calling, _) if now - branch.sent >= PATIENCE && now > branch.sent => {
                        oracle.fail(call, at, 408, ways);
                    }
                    (Stage::Proceeding, Some(since)) if now - since >= PATIENCE => {
                        oracle.fail(call, at, 408, ways);
                    }
                    (Stage::Proceeding, None) if now - branch.rang >= RINGING => {
                        branch.is_leaving = true;
                        branch.cancelled = Some(now);
                        let device = branch.device;
                        oracle.expect(device, "CANCEL");
                        oracle.count("Timer C");
                    }
                    _ => {}
                }
            }
        });
    }

    /// The step is over: this is what left. Everything that had to leave is among it, and nothing that must not.
    pub fn check(&mut self, left: Vec<Left>, is_timeout: bool, ways: &dyn Ways) {
        let mut found = Vec::new();
        for Left { agent, name, flow, msg, bytes } in left {
            let is_new = self.seen.insert((agent, bytes));
            let line = match (msg.status(), msg.method()) {
                (Some(_), "INVITE" | "MESSAGE") => format!("{name} {}", msg.said()),
                (Some(status), method) => format!("{name} {status} {method}"),
                (None, method) => format!("{name} {method}"),
            };
            if is_timeout && !is_new {
                self.repeats(agent, &msg, &line);
                continue;
            }
            match (msg.status(), msg.method()) {
                (None, "INVITE" | "MESSAGE") => self.left(agent, flow, &msg),
                (Some(100), "MESSAGE") => self.tried(&msg),
                (_, "BYE") => {
                    self.within(agent, &msg);
                    continue;
                }
                (Some(401 | 407), "INVITE") => self.challenged(&msg),
                _ => {}
            }
            found.push(line);
        }
        self.has_left.clone_from(&found);
        self.wait(ways);
        // Whose connection is gone hears by a new one, at some other time.
        let is_deaf = |line: &String| {
            self.calls.values().any(|call| {
                !ways.is_open(call.flow) && line.starts_with(&format!("{} ", self.names[call.caller]))
            })
        };
        found.retain(|line| !is_deaf(line));
        self.expected.retain(|line| !is_deaf(line));
        for line in &self.allowed {
            found.retain(|found| found != line);
        }
        found.sort();
        self.expected.sort();
        let (now, expected) = (self.now, &self.expected);
        assert!(found == *expected, "left: {found:?}\nexpected: {expected:?} at {now}");
    }

    /// A new branch has left.
    fn left(&mut self, device: usize, flow: FlowId, msg: &Msg) {
        let Some(call) = self.calls.get_mut(msg.call_id()) else { panic!("{msg:?} is of no call") };
        let is_it = |branch: &&mut Branch| branch.device == device && branch.id.is_empty();
        let branch = call.branches.iter_mut().find(is_it).expect("a branch is to begin");
        branch.id = msg.branch().to_owned();
        branch.flow = flow;
        assert_eq!(msg.row("Max-Breadth"), branch.share.to_string());
        assert_eq!(msg.row("Max-Forwards"), "69");
        assert_eq!(msg.rows("Via").count(), 2);
    }

    /// A MESSAGE has taken so long that its sender was told.
    fn tried(&mut self, msg: &Msg) {
        if let Some(call) = self.calls.get_mut(msg.call_id()) {
            call.last_up = Some("100 -".to_owned());
        }
    }

    /// Something leaves once more: only over UDP, and only as long as it has to.
    fn repeats(&self, agent: usize, msg: &Msg, line: &str) {
        let Some(call) = self.calls.get(msg.call_id()) else { panic!("{line} is repeated, of no call") };
        let branch = call.branches.iter().find(|branch| branch.id == msg.branch());
        let is_right = match (msg.status(), msg.method()) {
            (None, "INVITE" | "MESSAGE") => branch.is_some_and(|branch| branch.stage == Stage::Calling),
            (None, "CANCEL") => branch.is_some_and(|branch| branch.cancelled.is_some()),
            (None, "BYE") | (Some(_), "BYE") => true,
            (Some(300..), "INVITE") => call.is_udp && !call.is_acked && agent == call.caller,
            _ => false,
        };
        assert!(is_right, "{line} is repeated: {branch:?}");
    }

    /// BYE, and what it is answered with, goes to one of the two who talk.
    fn within(&self, agent: usize, msg: &Msg) {
        let Some(call) = self.calls.get(msg.call_id()) else { panic!("{msg:?} is of no call") };
        let is_device = call.branches.iter().any(|branch| branch.device == agent);
        assert!(is_device || agent == call.caller, "{msg:?} goes to {agent}");
        let vias = if msg.status().is_some() { 1 } else { 2 };
        assert_eq!(msg.rows("Via").count(), vias, "{msg:?}");
    }

    fn challenged(&self, msg: &Msg) {
        let call = &self.calls[msg.call_id()];
        let count = msg.rows("WWW-Authenticate").count() + msg.rows("Proxy-Authenticate").count();
        assert_eq!(count, call.challenges, "challenges: {msg:?}");
    }

    /// After all: every call was answered, and nothing pends.
    pub fn assert_over(&self) {
        for (id, call) in &self.calls {
            assert!(call.answered.is_some(), "{id} was never answered: {:?}", call.branches);
            assert!(!call.branches.iter().any(Branch::is_pending), "{id} pends: {:?}", call.branches);
        }
    }

    /// How a call was answered, if it came here.
    pub fn answered(&self, call_id: &str) -> Option<u16> {
        self.calls.get(call_id)?.answered
    }
}
