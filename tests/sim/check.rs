//! A check in the simulated world, against our own server: what it measures and finds, whatever the weather; and that
//! nothing is left of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sipreg::cli::check::judge::{Intent, Judge};
use sipreg::cli::finding::{Finding, Verdict};
use sipreg::proto::binding::{Aor, Operation};
use sipreg::proto::check::{CheckPlan, Ending, Measured};
use sipreg::proto::client::plan::{Plan, Timing};
use sipreg::proto::digest::{Algorithm, Hidden, User, Users, Verifier};
use sipreg::proto::registrar::service::{Fork, Limits, Listen, Nodes, Policy, Service};
use sipreg::proto::{Action, Cause, Command, Endpoint, Event, FlowId, Notice, Time, Transport};
use sipreg::sip::Host;
use sipreg::store::Memory;

use crate::dice::Dice;
use crate::world;

const START: Time = Time::from_millis(1_792_000_000_000);
const SERVER: &str = "192.0.2.1:5060";
const PASSWORD: &str = "uncertainty";

/// What goes wrong in a world.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// Datagrams of a hundred that get lost, each way.
    loss: u64,
    /// Datagrams above this many octets get lost.
    largest: Option<usize>,
    /// The password of the server is another.
    is_wrong: bool,
    /// The server is gone from then on.
    dies_after: Option<Duration>,
    /// The user stops it then.
    stopped_after: Option<Duration>,
}

/// Whom an event is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Device,
    Server,
}

struct World {
    trouble: Trouble,
    device: Endpoint,
    server: Endpoint,
    store: Memory,
    dice: Dice,
    now: Time,
    order: u64,
    agenda: BTreeMap<(Time, u64), (Side, Event)>,
    listener: FlowId,
    ports: BTreeMap<FlowId, SocketAddr>,
    judge: Judge,
    findings: Vec<Finding>,
    ending: Option<Ending>,
    /// Requests that left the device with a proof of the password.
    proofs: u32,
}

fn service(password: &str) -> Service {
    let line = User::line("werner", "munich.de", &Hidden::new(password.to_owned())).unwrap();
    let users = Users::parse(&format!("{}\n", line.reveal().trim_end_matches(':'))).unwrap();
    let verifier = Verifier::new(users, &Algorithm::OFFERED, &mut Dice::new(1, 9));
    Service {
        listen: vec![Listen { transport: Transport::Udp, address: SERVER.parse().unwrap() }],
        domains: vec![Host::parse("munich.de").unwrap()],
        policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 3600, max_contacts: 10 },
        verifier: Some(verifier),
        fork: Fork::default(),
        auth_calls: false,
        limits: Limits { rate: u32::MAX, login_failures: u32::MAX, ..Limits::default() },
        timing: Timing::default(),
        pinned: Vec::new(),
        nodes: Nodes::default(),
        tell_messages: false,
    }
}

fn plan() -> Plan {
    let mut plan = world::plan();
    plan.aor = world::uri("sip:werner~munich.de");
    plan.registrar = world::uri("sip:munich.de").into();
    plan.route = vec![world::uri("sip:192.0.2.1;lr")];
    plan.keyring = world::keyring(PASSWORD);
    for credential in &mut plan.keyring.credentials {
        "werner".clone_into(&mut credential.username);
    }
    plan
}

impl World {
    fn new(seed: u64, trouble: Trouble) -> World {
        let mut world = World {
            trouble,
            device: Endpoint::new(Box::new(Dice::new(seed, 1))),
            server: Endpoint::new(Box::new(Dice::new(seed, 2))),
            store: Memory::default(),
            dice: Dice::new(seed, 3),
            now: START,
            order: 0,
            agenda: BTreeMap::new(),
            listener: FlowId(0),
            ports: BTreeMap::new(),
            judge: Judge::new(Intent { lifetime: 60, ..Intent::default() }),
            findings: Vec::new(),
            ending: None,
            proofs: 0,
        };
        let password = if trouble.is_wrong { "relativity" } else { PASSWORD };
        let serve = Command::Serve(Box::new(service(password)));
        world.later(0, Side::Server, Event::Command(serve));
        let check = CheckPlan { plan: plan(), limit: Duration::from_secs(60), patience: None };
        world.later(10, Side::Device, Event::Command(Command::Check(Box::new(check))));
        if let Some(after) = trouble.stopped_after {
            let after = u64::try_from(after.as_millis()).unwrap();
            world.later(after, Side::Device, Event::Command(Command::StopCheck));
        }
        world
    }

    fn later(&mut self, after: u64, side: Side, event: Event) {
        self.order += 1;
        self.agenda.insert((self.now + Duration::from_millis(after), self.order), (side, event));
    }

    /// Runs to the end, and for as long as a copy may still be on its way.
    fn run(mut self) -> World {
        loop {
            let due =
                [self.device.next_timeout(), self.server.next_timeout()].map(|next| next.map(|(at, _)| at));
            let first = self.agenda.keys().next().map(|(at, _)| *at);
            let Some(at) = due.into_iter().flatten().chain(first).min() else { break };
            if at > START + Duration::from_secs(200) {
                break;
            }
            self.now = self.now.max(at);
            if first == Some(at) {
                let (_, (side, event)) = self.agenda.pop_first().unwrap();
                self.handle(side, event);
            } else if due[0] == Some(at) {
                self.handle(Side::Device, Event::Timeout);
            } else {
                self.handle(Side::Server, Event::Timeout);
            }
        }
        self
    }

    fn handle(&mut self, side: Side, event: Event) {
        let endpoint = if side == Side::Device { &mut self.device } else { &mut self.server };
        let actions: Vec<Action> = endpoint.handle(event, self.now).collect();
        for action in actions {
            self.perform(side, action);
        }
    }

    fn perform(&mut self, side: Side, action: Action) {
        match action {
            Action::Listen { flow, address, .. } => {
                self.listener = flow;
                self.later(0, side, Event::Opened { flow, local: address });
            }
            Action::Open { flow, destination } if destination.transport == Transport::Udp => {
                let local = SocketAddr::from(([192, 0, 2, 77], 40_000 + self.ports.len() as u16));
                self.ports.insert(flow, local);
                self.later(0, side, Event::Opened { flow, local });
            }
            Action::Open { flow, destination } => {
                let refused = Event::Failed { flow, peer: destination.address, cause: Cause::Refused };
                self.later(5, side, refused);
            }
            Action::Transmit { flow, peer, bytes } => self.transmit(side, flow, peer, bytes),
            Action::Store { ask, operation } => {
                let answer = self.store.perform(operation, self.now);
                self.later(0, side, Event::Stored { ask, answer });
            }
            Action::FindSource { peer } => {
                let local = Some("192.0.2.1".parse().unwrap());
                self.later(0, side, Event::SourceFound { peer, local });
            }
            Action::Notify(Notice::Check(measured)) => {
                if let Measured::End(ending) = &*measured {
                    self.ending = Some(*ending);
                }
                self.findings.extend(self.judge.on(*measured, self.now));
            }
            Action::Close { .. } | Action::Checkpoint(_) | Action::Notify(_) => {}
            action @ (Action::Authorize { .. } | Action::Present(_) | Action::Resolve { .. }) => {
                panic!("nobody asks for that: {action:?}")
            }
        }
    }

    fn transmit(&mut self, side: Side, flow: FlowId, peer: SocketAddr, bytes: Bytes) {
        if side == Side::Device && bytes.windows(15).any(|part| part == b"\r\nAuthorization") {
            self.proofs += 1;
        }
        let is_dead = self.trouble.dies_after.is_some_and(|after| START + after <= self.now);
        let is_large = self.trouble.largest.is_some_and(|largest| bytes.len() > largest);
        if is_dead || is_large || self.dice.chance(self.trouble.loss) {
            return;
        }
        let after = self.dice.between(5, 40);
        let from = self.ports.get(&flow).copied().filter(|_| side == Side::Device);
        let (to, event) = match from {
            Some(from) => (Side::Server, Event::Received { flow: self.listener, peer: from, bytes }),
            None => {
                let Some((flow, _)) = self.ports.iter().find(|(_, local)| **local == peer) else { return };
                (Side::Device, Event::Received { flow: *flow, peer: SERVER.parse().unwrap(), bytes })
            }
        };
        self.later(after, to, event);
    }

    /// What was found, in words.
    fn found(&self) -> Vec<String> {
        let is_bad = |finding: &&Finding| finding.verdict >= Verdict::Warning;
        let words = |finding: &Finding| {
            let cause = finding.cause.map(|cause| cause.word()).unwrap_or_default();
            format!("{} {} {cause}", finding.step.name(), finding.verdict.word())
        };
        self.findings.iter().filter(is_bad).map(words).collect()
    }

    /// How many contacts are bound.
    fn bound(&mut self) -> usize {
        let aor = Aor::of(&world::uri("sip:werner~munich.de"));
        match self.store.perform(Operation::Fetch(aor), self.now) {
            Ok(stored) => stored.bindings.iter().filter(|binding| binding.is_live(self.now)).count(),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// It has ended, with a bound on everything, and nothing is left.
    fn is_over_with(&self) -> Ending {
        let ending = self.ending.expect("it ends");
        assert!(ending.requests <= 40, "{ending:?}");
        assert!(self.device.is_idle(), "something is left: {:?}", self.device.next_timeout());
        ending
    }
}

/// In calm weather everything holds, and nothing is left of it, at the registrar neither.
#[test]
fn a_healthy_world_is_found_to_be_healthy() {
    for seed in 0..20 {
        let mut world = World::new(seed, Trouble::default()).run();
        let ending = world.is_over_with();
        assert_eq!(world.found(), [""; 0], "{seed}");
        assert!(ending.is_removed && !ending.is_cut_short && ending.copies == 0, "{seed}: {ending:?}");
        assert_eq!(world.bound(), 0, "{seed}");
    }
}

/// Loss makes up no cause: whatever is lost is sent again, and a second experiment tells loss from a fault.
#[test]
fn loss_makes_up_no_cause() {
    for loss in [5, 10, 20] {
        for seed in 0..150 {
            let world = World::new(seed, Trouble { loss, ..Trouble::default() }).run();
            let ending = world.is_over_with();
            assert_eq!(world.found(), [""; 0], "{loss} % in {seed}: {ending:?}");
        }
    }
}

/// A wrong password is answered once, and what else is wrong is found all the same.
#[test]
fn a_wrong_password_is_used_once() {
    for seed in 0..20 {
        let trouble = Trouble { is_wrong: true, largest: Some(1300), ..Trouble::default() };
        let world = World::new(seed, trouble).run();
        world.is_over_with();
        assert_eq!(world.found(), ["credentials failed password_wrong", "way failed size_lost"], "{seed}");
        assert_eq!(world.proofs, 1, "{seed}");
    }
}

/// Large requests that get lost are told as that, in lossy weather too.
#[test]
fn what_is_lost_for_its_size_is_told_from_other_losses() {
    for loss in [0, 10] {
        for seed in 0..40 {
            let trouble = Trouble { largest: Some(1300), loss, ..Trouble::default() };
            let world = World::new(seed, trouble).run();
            world.is_over_with();
            assert_eq!(world.found(), ["way failed size_lost"], "{loss} % in {seed}");
        }
    }
}

/// Whenever the user stops it, what was bound is removed within four seconds, and nothing is left.
#[test]
fn whatever_ends_it_removes_what_was_bound() {
    for after in (0..900).step_by(7) {
        let stopped_after = Some(Duration::from_millis(after));
        let mut world = World::new(after, Trouble { stopped_after, ..Trouble::default() }).run();
        let ending = world.is_over_with();
        assert!(ending.is_removed, "{after}: {ending:?}");
        assert_eq!(world.bound(), 0, "{after}");
    }
}

/// A server that goes away in the middle ends nothing with a binding that is thought to be removed.
#[test]
fn a_server_that_dies_is_told_as_silent_and_bounds_hold() {
    for after in (0..600).step_by(23) {
        let dies_after = Some(Duration::from_millis(after));
        let world = World::new(after, Trouble { dies_after, ..Trouble::default() }).run();
        world.is_over_with();
        assert!(world.now <= START + Duration::from_secs(200), "{after}");
        let took = world.findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
        assert!(took > 0 || world.found().is_empty(), "{after}: {:?}", world.found());
    }
}
