//! A device behind a NAT that is kept bound: would a call arrive? Thousands of NATs by seed, with mappings that end, ports and
//! addresses that change, restarts, and one that writes its own address into messages. `SIPREG_SEED=n` lives one of them again
//! and tells what happens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::client::nat::Keepalive;
use sipreg::proto::client::plan::{Plan, Purpose};
use sipreg::proto::client::schedule::AccountEvent;
use sipreg::proto::stun::{self, Stun};
use sipreg::proto::{Action, Cause, Command, Event, FlowId, Notice, RegistrationId, Transport};
use sipreg::sip::Uri;

use crate::dice::Dice;
use crate::engine::{Engine, Others, Stage};
use crate::hostile;
use crate::keep_world::START;
use crate::world::plan;

const SEEDS: u64 = 300;
const SECOND: u64 = 1000;
const LIFE: u64 = 2 * 3600 * SECOND;

/// How long a datagram takes one way, in milliseconds.
const WAY: u64 = 20;

/// Something that ends the way to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The NAT has forgotten all mappings.
    Restart,
    /// Its own address is another one, and so are all mappings.
    Renumbered,
    /// The device is in another network, and its system says so.
    Moved,
    /// The registrar has closed the connection.
    Closed,
}

/// What one seed is like.
#[derive(Clone, Debug)]
struct Scenario {
    transport: Transport,
    keepalive: Keepalive,
    /// The longest time between two keep-alives, in milliseconds.
    interval: u64,
    /// How long a mapping lives without a packet.
    timeout: u64,
    /// Packets from outside keep a mapping, too.
    inbound_keeps: bool,
    /// It writes its own address over the device's.
    rewrites: bool,
    /// What comes over a connection that it has forgotten is reset, and not just dropped.
    resets: bool,
    /// The registrar answers STUN, or pings.
    answers: bool,
    /// It answers `keep` in Via with so many seconds.
    keep: Option<u64>,
    /// Calls go where the Contact says, not where the request came from.
    by_contact: bool,
    /// Percent of the datagrams that are lost.
    loss: u64,
    lease: u64,
    losses: Vec<(u64, Loss)>,
}

impl Scenario {
    fn new(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 1);
        let transport = dice.pick(&[Transport::Udp, Transport::Udp, Transport::Tcp]);
        let is_udp = transport == Transport::Udp;
        let mut answers = dice.chance(70);
        let usual = if is_udp { 29 } else { 120 };
        let timeout = dice.between(if is_udp { 20 } else { 60 }, 300);
        let often = dice.between(5, 60).min(timeout * 4 / 5);
        let keep = (timeout > 31 && dice.chance(40)).then_some(30);
        let (keepalive, interval) = match keep {
            Some(keep) if dice.chance(60) => (Keepalive::Auto, keep),
            Some(keep) => (Keepalive::Every(Duration::from_secs(often)), often.min(keep)),
            None if usual < timeout && dice.chance(60) => (Keepalive::Auto, usual),
            None => (Keepalive::Every(Duration::from_secs(often)), often),
        };
        // On UDP only those who say so are sent STUN.
        answers &= !is_udp || keep.is_some() || matches!(keepalive, Keepalive::Every(_));
        let mut losses = Vec::new();
        let mut at = dice.between(400, 1500) * SECOND;
        while at < LIFE - 600 * SECOND {
            let kinds = match (is_udp, answers) {
                (true, true) => &[Loss::Restart, Loss::Renumbered, Loss::Moved][..],
                // Nothing shows it that the mapping has changed.
                (true, false) => &[Loss::Moved],
                (false, _) => &[Loss::Restart, Loss::Renumbered, Loss::Moved, Loss::Closed],
            };
            losses.push((at, dice.pick(kinds)));
            at += dice.between(600, 2400) * SECOND;
        }
        Scenario {
            transport,
            keepalive,
            interval: interval * SECOND,
            timeout: timeout * SECOND,
            inbound_keeps: dice.chance(50),
            rewrites: dice.chance(15),
            resets: !answers || dice.chance(50),
            answers,
            keep,
            by_contact: dice.chance(50),
            loss: if answers { dice.pick(&[0, 0, 1, 2]) } else { 0 },
            lease: dice.pick(&[300, 600, 3600]),
            losses,
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            purpose: Purpose::Bind { expires: Some(self.lease.try_into().unwrap()) },
            transport: Some(self.transport),
            keepalive: self.keepalive,
            ..plan()
        }
    }

    /// How long it may take until a call arrives again: until the next keep-alive shows it, and what that and the request take.
    fn patience(&self, loss: Loss) -> u64 {
        let shows = match (loss, self.transport) {
            (Loss::Moved | Loss::Closed, _) => return 3 * SECOND,
            (Loss::Restart | Loss::Renumbered, Transport::Udp) => 3 * SECOND,
            (Loss::Restart | Loss::Renumbered, _) if self.resets => 3 * SECOND,
            (Loss::Restart | Loss::Renumbered, _) => 13 * SECOND,
        };
        self.interval + shows
    }
}

/// The inside of a NAT's table.
struct Mapping {
    outside: SocketAddr,
    last: u64,
}

struct Bound {
    contact: String,
    until: u64,
    source: SocketAddr,
}

/// What happens by itself.
enum Incident {
    /// A look whether a call would arrive.
    Look,
    Loss(Loss),
}

/// The NAT, the registrar, and what is seen of both.
struct World {
    scenario: Scenario,
    dice: Dice,
    inside: u8,
    outside: u8,
    port: u16,
    mappings: BTreeMap<SocketAddr, Mapping>,
    /// The device's end of each flow; of a connection also its end outside.
    ends: BTreeMap<FlowId, (SocketAddr, Option<SocketAddr>)>,
    bindings: Vec<Bound>,
    /// Seconds in which a call would arrive, and in which one could, at best.
    arrived: u64,
    possible: u64,
    /// The loss that is not made good, and since when.
    lost: Option<(u64, Loss)>,
    /// How long each took to be made good, and how long it might.
    repairs: Vec<(Loss, u64, u64)>,
    registers: u32,
    loud: bool,
}

impl World {
    fn note(&self, at: u64, text: std::fmt::Arguments<'_>) {
        if self.loud {
            println!("{:>9.3}  {text}", at as f64 / 1000.0);
        }
    }

    /// Where a packet of the device comes out, which keeps the mapping or makes one.
    fn out(&mut self, inside: SocketAddr, at: u64) -> SocketAddr {
        let alive =
            self.mappings.get(&inside).is_some_and(|mapping| at < mapping.last + self.scenario.timeout);
        if !alive {
            self.port += 1;
            let outside = SocketAddr::new([203, 0, 113, self.outside].into(), self.port);
            self.mappings.insert(inside, Mapping { outside, last: at });
        }
        let mapping = self.mappings.get_mut(&inside).unwrap();
        mapping.last = at;
        mapping.outside
    }

    /// Whom a packet to that address reaches, and whether that keeps the mapping.
    fn into(&mut self, outside: SocketAddr, at: u64) -> Option<SocketAddr> {
        let Scenario { timeout, inbound_keeps, .. } = self.scenario;
        let (inside, mapping) = self.mappings.iter_mut().find(|(_, mapping)| mapping.outside == outside)?;
        if at >= mapping.last + timeout {
            return None;
        }
        if inbound_keeps {
            mapping.last = at;
        }
        Some(*inside)
    }

    /// Whether a call would arrive now.
    fn arrives(&self, stage: &Stage<Incident>) -> bool {
        let at = stage.at();
        self.bindings.iter().any(|bound| {
            let target = match self.scenario.by_contact {
                true => place(&bound.contact),
                false => bound.source,
            };
            let mapping = self.mappings.iter().find(|(_, mapping)| mapping.outside == target);
            at < bound.until
                && mapping.is_some_and(|(inside, mapping)| {
                    let is_open = |(flow, (end, outside)): (&FlowId, &(SocketAddr, Option<SocketAddr>))| {
                        end == inside
                            && outside.is_none_or(|outside| outside == target)
                            && stage.flows.contains_key(flow)
                    };
                    at < mapping.last + self.scenario.timeout && self.ends.iter().any(is_open)
                })
        })
    }

    fn look(&mut self, stage: &Stage<Incident>) {
        let (at, arrives) = (stage.at(), self.arrives(stage));
        match self.lost {
            Some((since, loss)) if arrives => {
                self.repairs.push((loss, at - since, self.scenario.patience(loss)));
                self.note(at, format_args!("reached again after {} s", (at - since) / SECOND));
                self.lost = None;
            }
            Some((since, loss)) if at - since <= self.scenario.patience(loss) => return,
            Some(_) | None => {}
        }
        self.possible += 1;
        self.arrived += u64::from(arrives);
        if !arrives {
            self.note(at, format_args!("no call would arrive"));
        }
    }

    fn lose(&mut self, loss: Loss, stage: &mut Stage<Incident>) {
        let at = stage.at();
        self.note(at, format_args!("{loss:?}"));
        self.lost = Some((at, loss));
        match loss {
            Loss::Restart => self.mappings.clear(),
            Loss::Renumbered => {
                self.outside += 1;
                self.mappings.clear();
            }
            Loss::Moved => {
                self.inside += 1;
                self.outside += 1;
                self.mappings.clear();
                let moved = stage.flows.keys().copied().collect();
                stage.event(0, Event::NetworkChanged { moved });
            }
            Loss::Closed => {
                for flow in stage.flows.keys().copied().collect::<Vec<_>>() {
                    stage.event(WAY, Event::Closed { flow });
                }
            }
        }
    }

    fn transmit(&mut self, flow: FlowId, peer: SocketAddr, bytes: &Bytes, stage: &mut Stage<Incident>) {
        let at = stage.at();
        let (inside, connected) = self.ends[&flow];
        let is_udp = connected.is_none();
        let is_keepalive = stun::is_stun(bytes) || &**bytes == b"\r\n\r\n";
        if let Some(outside) = connected {
            let mapping = self.mappings.get(&inside);
            let alive = mapping.is_some_and(|mapping| {
                mapping.outside == outside && at < mapping.last + self.scenario.timeout
            });
            if !alive {
                self.note(at, format_args!("a segment into nowhere"));
                if self.scenario.resets {
                    stage.event(2 * WAY, Event::Failed { flow, peer, cause: Cause::Reset });
                }
                return;
            }
        }
        let source = self.out(inside, at);
        if is_udp && self.dice.chance(self.scenario.loss) {
            return;
        }
        let answer = match (stun::is_stun(bytes), is_keepalive) {
            (true, _) if self.scenario.answers => match stun::read(bytes) {
                Some(Stun::Request { id, .. }) => stun::answer(id, source, &[]),
                other => panic!("{other:?}"),
            },
            (false, true) if self.scenario.answers && !is_udp => Bytes::from_static(b"\r\n"),
            (true, _) | (_, true) => return,
            (false, false) => self.register(std::str::from_utf8(bytes).unwrap(), (inside, source), at).into(),
        };
        if (is_udp && self.dice.chance(self.scenario.loss)) || self.into(source, at) != Some(inside) {
            return;
        }
        stage.event(2 * WAY, Event::Received { flow, peer, bytes: answer });
    }

    /// What the registrar makes of a request that came out there.
    fn register(&mut self, text: &str, (inside, source): (SocketAddr, SocketAddr), at: u64) -> String {
        self.registers += 1;
        let [here, there] = [inside.to_string(), source.to_string()];
        let text = if self.scenario.rewrites { text.replace(&here, &there) } else { text.to_owned() };
        let row = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let lasts = |seconds: u64| at + seconds * SECOND;
        let whole = row("Expires: ").parse().unwrap_or(0);
        for contact in text.lines().filter_map(|line| line.strip_prefix("Contact: ")) {
            let (uri, rest) = contact[1..].split_once('>').unwrap();
            let seconds = rest.strip_prefix(";expires=").map_or(whole, |seconds| seconds.parse().unwrap());
            self.bindings.retain(|bound| bound.contact != uri);
            if seconds > 0 {
                let (contact, until) = (uri.to_owned(), lasts(seconds.min(self.scenario.lease)));
                self.bindings.push(Bound { contact, until, source });
            }
        }
        self.bindings.retain(|bound| at < bound.until);
        // What the NAT wrote there before, the device does not know.
        let most = if self.scenario.rewrites { usize::MAX } else { 1 };
        assert!(self.bindings.len() <= most, "an old contact is left: {text}");
        self.note(
            at,
            format_args!(
                "REGISTER from {source}: {}",
                text.lines().filter(|line| line.starts_with("Contact")).collect::<Vec<_>>().join(" ")
            ),
        );
        let mut via = format!("{};received={}", row("Via: "), source.ip());
        via = via.replace(";rport", &format!(";rport={}", source.port()));
        if let Some(keep) = self.scenario.keep {
            via = via.replace(";keep", &format!(";keep={keep}"));
        }
        let bound = self.bindings.iter().map(|bound| {
            format!("|Contact: <{}>;expires={}", bound.contact.replace('@', "~"), (bound.until - at) / SECOND)
        });
        let answer = hostile::answer(&text, &format!("200 OK|Via: {via}{}", bound.collect::<String>()));
        if self.scenario.rewrites { answer.replace(&there, &here) } else { answer }
    }
}

/// The address in a contact.
fn place(contact: &str) -> SocketAddr {
    let place = contact.rsplit('@').next().unwrap();
    place.split(';').next().unwrap().parse().unwrap()
}

impl Others for World {
    type Incident = Incident;

    fn act(&mut self, action: Action, stage: &mut Stage<Incident>) {
        let at = stage.at();
        match action {
            Action::Open { flow, destination } => {
                self.port += 1;
                let inside = SocketAddr::new([10, 0, 0, self.inside].into(), self.port);
                let connected = (destination.transport != Transport::Udp).then(|| self.out(inside, at));
                self.ends.insert(flow, (inside, connected));
                let way = if connected.is_some() { 2 * WAY } else { 0 };
                stage.event(way, Event::Opened { flow, local: inside });
            }
            Action::Transmit { flow, peer, bytes } => self.transmit(flow, peer, &bytes, stage),
            Action::Notify(Notice::Account { what, .. }) => {
                if !matches!(
                    what,
                    AccountEvent::Registering
                        | AccountEvent::Registered { .. }
                        | AccountEvent::Refreshed { .. }
                ) {
                    self.note(at, format_args!("{what:?}"));
                }
            }
            Action::Notify(_) | Action::Checkpoint(_) | Action::Close { .. } => {}
            Action::Resolve { .. }
            | Action::Authorize { .. }
            | Action::Listen { .. }
            | Action::FindSource { .. }
            | Action::Present(_)
            | Action::Store { .. } => panic!("the registrar is named by its address, and nobody serves"),
        }
    }

    fn happen(&mut self, incident: Incident, stage: &mut Stage<Incident>) {
        match incident {
            Incident::Look => self.look(stage),
            Incident::Loss(loss) => self.lose(loss, stage),
        }
    }
}

/// Lives two hours behind one NAT.
fn live(seed: u64, loud: bool) -> World {
    let scenario = Scenario::new(seed);
    if loud {
        println!("{scenario:#?}");
    }
    let mut engine = Engine::new(Box::new(Dice::new(seed, 3)), START);
    for at in (5 * SECOND..LIFE).step_by(1000) {
        engine.stage.incident(at, Incident::Look);
    }
    for (at, loss) in &scenario.losses {
        engine.stage.incident(*at, Incident::Loss(*loss));
    }
    let registration = RegistrationId(1);
    let (plan, delay) = (Box::new(scenario.plan()), Duration::ZERO);
    let mut world = World {
        scenario,
        dice: Dice::new(seed, 2),
        inside: 2,
        outside: 9,
        port: 20_000,
        mappings: BTreeMap::new(),
        ends: BTreeMap::new(),
        bindings: Vec::new(),
        arrived: 0,
        possible: 0,
        lost: None,
        repairs: Vec::new(),
        registers: 0,
        loud,
    };
    engine.handle(Event::Command(Command::Keep { registration, plan, delay, probe: None }), &mut world);
    while engine.step(START + Duration::from_millis(LIFE), &mut world) {}
    engine.handle(Event::Command(Command::StopKeeping(None)), &mut world);
    while engine.step(START + Duration::from_millis(LIFE + 60 * SECOND), &mut world) {}
    engine.assert_over("the account");
    world
}

/// NAT-002 NAT-004 NAT-005 NAT-007 OUT-027 OUT-033 OUT-034
#[test]
fn calls_arrive_at_a_device_behind_any_nat_nearly_all_of_the_time() {
    if let Some(seed) = std::env::var("SIPREG_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let world = live(seed, true);
        println!("{} of {} seconds, {:?}", world.arrived, world.possible, world.repairs);
        return;
    }
    let seeds = std::env::var("SIPREG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut shares: BTreeMap<(String, bool), (u64, u64)> = BTreeMap::new();
    let (mut on_time, mut late, mut worst) = (0, Vec::new(), (1.0, 0));
    for seed in 1..=seeds {
        let world = live(seed, false);
        let share = world.arrived as f64 / world.possible as f64;
        if share < worst.0 {
            worst = (share, seed);
        }
        let key = (world.scenario.transport.to_string(), world.scenario.by_contact);
        let sum = shares.entry(key).or_default();
        *sum = (sum.0 + world.arrived, sum.1 + world.possible);
        for (loss, took, patience) in world.repairs {
            if took <= patience {
                on_time += 1;
            } else {
                late.push((seed, loss, took));
            }
        }
        // Each change costs two requests, and a lease is refreshed once in its time.
        let refreshes = LIFE / (world.scenario.lease * SECOND * 8 / 10) + 4;
        let most = refreshes + 8 * world.scenario.losses.len() as u64;
        assert!(u64::from(world.registers) <= most * 2, "seed {seed}: {} requests", world.registers);
    }
    println!("worst: {} %, seed {}", worst.0 * 100.0, worst.1);
    for ((transport, by_contact), (arrived, possible)) in shares {
        let share = arrived as f64 * 100.0 / possible as f64;
        println!("{transport}, called at the contact: {by_contact}: {share:.3} % of what is possible");
        assert!(share >= 99.5, "{transport} {by_contact}: {share}");
    }
    println!("{on_time} losses were made good in time, late were {late:?}");
    assert!(late.len() * 100 <= on_time + late.len(), "{late:?}");
}

/// A registrar that answers `keep` and STUN, and counts.
#[derive(Default)]
struct Crowd {
    registers: u32,
    keepalives: u32,
}

impl Others for Crowd {
    type Incident = std::convert::Infallible;

    fn act(&mut self, action: Action, stage: &mut Stage<Self::Incident>) {
        let local = "192.0.2.99:5070".parse().unwrap();
        match action {
            Action::Open { flow, .. } => stage.event(0, Event::Opened { flow, local }),
            Action::Transmit { flow, peer, bytes } => {
                let bytes = match stun::read(&bytes) {
                    Some(Stun::Request { id, .. }) => {
                        self.keepalives += 1;
                        stun::answer(id, local, &[])
                    }
                    _ => {
                        self.registers += 1;
                        let text = std::str::from_utf8(&bytes).unwrap();
                        let via = text.lines().find_map(|line| line.strip_prefix("Via: ")).unwrap();
                        let via = via.replace(";keep", ";keep=25");
                        hostile::answer(text, &format!("200 OK|Via: {via}|Contact: <@>;expires=3600")).into()
                    }
                };
                stage.event(2 * WAY, Event::Received { flow, peer, bytes });
            }
            Action::Notify(_) | Action::Checkpoint(_) | Action::Close { .. } => {}
            Action::Resolve { .. }
            | Action::Authorize { .. }
            | Action::Listen { .. }
            | Action::FindSource { .. }
            | Action::Present(_)
            | Action::Store { .. } => panic!("the registrar is named by its address, and nobody serves"),
        }
    }

    fn happen(&mut self, incident: Self::Incident, _: &mut Stage<Self::Incident>) {
        match incident {}
    }
}

/// NAT-006 NAT-007 NAT-008: all accounts of one flow share its keep-alives, which one timer sends.
#[test]
fn keep_alives_of_ten_thousand_accounts_over_one_flow_are_those_of_one() {
    const ACCOUNTS: u64 = 10_000;
    let mut engine = Engine::new(Box::new(Dice::new(1, 1)), START);
    let mut crowd = Crowd::default();
    for number in 0..ACCOUNTS {
        let aor = Uri { user: Some(format!("u{number}")), ..plan().aor };
        let plan = Box::new(Plan { aor, keepalive: Keepalive::Auto, ..plan() });
        let keep =
            Command::Keep { registration: RegistrationId(number), plan, delay: Duration::ZERO, probe: None };
        engine.handle(Event::Command(keep), &mut crowd);
    }
    let until = |seconds| START + Duration::from_secs(seconds);
    while engine.step(until(1200), &mut crowd) {}
    assert_eq!(u64::from(crowd.registers), ACCOUNTS);
    let before = crowd.keepalives;
    let mut wakes = 0;
    while engine.step(until(1300), &mut crowd) {
        wakes += 1;
    }
    // At most 25 seconds apart and at least 20; each is a timer and an answer.
    assert!((4..=5).contains(&(crowd.keepalives - before)), "{}", crowd.keepalives - before);
    assert!(wakes <= 10, "{wakes}");
    engine.handle(Event::Command(Command::StopKeeping(None)), &mut crowd);
    while engine.step(until(2000), &mut crowd) {}
    engine.assert_over("ten thousand accounts");
}
