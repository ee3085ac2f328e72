//! What a seed makes of the world: hosts, names, weather, and the user's wishes.

use std::net::IpAddr;
use std::time::Duration;

use sipreg::proto::Transport;
use sipreg::proto::client::plan::{Plan, Purpose, Timing};
use sipreg::sip::{Header, HeaderName};

use crate::dice::Dice;
use crate::links::Weather;
use crate::registrar::PASSWORD;
use crate::script::{Ending, SCRIPTS, Script};
use crate::world;

pub const LOSSES: [u64; 4] = [0, 10, 30, 60];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Up,
    /// Says that nobody listens there.
    Refusing,
    /// Says nothing at all.
    Dead,
}

#[derive(Clone, Copy, Debug)]
pub struct Host {
    pub ip: IpAddr,
    pub reach: Reach,
}

/// How the name service answers, if it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The registrar is given by its address.
    Unneeded,
    Good,
    /// Up to so many milliseconds late.
    Late(u64),
    /// A family without addresses is a failure of the name server.
    HalfBroken,
    NoSuchName,
    Never,
}

#[derive(Debug)]
pub struct Scenario {
    pub script: &'static Script,
    pub weather: Weather,
    /// IPv6 first, as they are tried.
    pub hosts: Vec<Host>,
    pub names: Names,
    pub transport: Transport,
    /// Too large for a datagram.
    pub large: bool,
    /// The hosts don't listen on TCP.
    pub no_tcp: bool,
    /// Milliseconds.
    pub t1: u64,
    pub retry_for: Duration,
    /// One command after the other, as different processes.
    pub wishes: &'static [Purpose],
    /// Whether a process knows what the one before did.
    pub remembers: bool,
    /// What it knows is one request old.
    pub outdated: bool,
    /// All flows leave from one port.
    pub same_port: bool,
}

const BIND: Purpose = Purpose::Bind { expires: Some(3600) };
const LIVES: [&[Purpose]; 5] = [
    &[BIND],
    &[BIND, Purpose::Remove],
    &[BIND, BIND, Purpose::Remove],
    &[BIND, Purpose::RemoveAll],
    &[Purpose::Remove],
];

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        // Every script meets every loss equally often.
        let script = &SCRIPTS[(seed % SCRIPTS.len() as u64) as usize];
        let loss = LOSSES[(seed / SCRIPTS.len() as u64 % LOSSES.len() as u64) as usize];
        let mut dice = Dice::new(seed, 1);
        // Half of them over datagrams, which have most to go through.
        let transport = if dice.chance(50) { Transport::Udp } else { dice.pick(&Transport::ALL) };
        let names = name_service(&mut dice);
        let large = transport == Transport::Udp && dice.chance(10);
        let patient = script.busy == 20_000 || dice.chance(20);
        Scenario {
            script,
            weather: weather(&mut dice, loss),
            hosts: hosts(&mut dice, names),
            names,
            transport,
            large,
            no_tcp: large && dice.chance(40),
            t1: dice.pick(&[500, 500, 500, 1000]),
            retry_for: Duration::from_secs(if patient { 300 } else { 0 }),
            wishes: dice.pick(&LIVES),
            remembers: dice.chance(75),
            outdated: dice.chance(10),
            same_port: dice.chance(50),
        }
    }

    /// The plan of one wish, without memory and contacts.
    pub fn plan(&self, purpose: Purpose) -> Plan {
        let mut plan = world::plan();
        plan.purpose = purpose;
        plan.registrar = match self.names {
            Names::Unneeded => world::uri(&match self.hosts[0].ip {
                IpAddr::V4(ip) => format!("sip:{ip}"),
                IpAddr::V6(ip) => format!("sip:[{ip}]"),
            })
            .into(),
            Names::Good | Names::Late(_) | Names::HalfBroken | Names::NoSuchName | Names::Never => {
                world::uri("sip:munich.de").into()
            }
        };
        plan.transport = Some(self.transport);
        plan.keyring = world::keyring(if self.script.mistyped { "relativity" } else { PASSWORD });
        plan.timing = Timing::with_t1(Duration::from_millis(self.t1));
        plan.try_limit = plan.timing.patience() * 4;
        plan.retry_for = self.retry_for;
        if self.large {
            let name = HeaderName::parse(b"X-Pad").unwrap();
            plan.headers.push(Header::new(name, "x".repeat(1300)).unwrap());
        }
        plan
    }

    /// Whether the weather can change how it ends.
    pub fn is_calm(&self) -> bool {
        self.weather.loss == 0 && self.weather.breaking == 0 && self.weather.damaged == 0
    }

    /// How it may end: in calm weather there is one way.
    pub fn allowed(&self, purpose: Purpose) -> Vec<Ending> {
        if matches!(self.names, Names::NoSuchName | Names::Never) {
            return vec![Ending::Unreachable];
        }
        if self.weather.damaged > 0 {
            return Ending::ALL.to_vec();
        }
        let is = |reach: Reach| self.hosts.iter().any(|host| host.reach == reach);
        if !is(Reach::Up) {
            // A refusal may get lost, silence may not.
            let refused = if is(Reach::Dead) { Ending::Timeout } else { Ending::Unreachable };
            return if self.weather.loss > 0 { vec![refused, Ending::Timeout] } else { vec![refused] };
        }
        let mut allowed = vec![self.script.ending(purpose)];
        if !self.is_calm() {
            allowed.push(Ending::Timeout);
        }
        if self.weather.breaking > 0 {
            allowed.push(Ending::Unreachable);
        }
        if !self.is_calm() && self.script.busy > 0 {
            allowed.push(Ending::Refused);
        }
        allowed
    }
}

fn name_service(dice: &mut Dice) -> Names {
    match dice.between(0, 19) {
        0..=4 => Names::Unneeded,
        5..=12 => Names::Good,
        13..=15 => Names::Late(6_000),
        16 | 17 => Names::HalfBroken,
        18 => Names::NoSuchName,
        _ => Names::Never,
    }
}

fn weather(dice: &mut Dice, loss: u64) -> Weather {
    let shortest = dice.pick(&[1, 1, 20, 150]);
    Weather {
        loss,
        doubled: dice.pick(&[0, 0, 5, 30]),
        held: dice.pick(&[0, 0, 5, 30]),
        damaged: if dice.chance(10) { dice.between(1, 20) } else { 0 },
        delay: (shortest, shortest + dice.pick(&[0, 10, 100, 1000])),
        breaking: if dice.chance(20) { dice.between(10, 60) } else { 0 },
    }
}

fn hosts(dice: &mut Dice, names: Names) -> Vec<Host> {
    let many = dice.chance(3);
    let count = match names {
        Names::Unneeded => 1,
        _ if many => 20,
        Names::Good | Names::Late(_) | Names::HalfBroken | Names::NoSuchName | Names::Never => {
            dice.between(1, 3)
        }
    };
    let sixes = dice.pick(&[0, 0, 1, count]);
    let host = |n: u64| {
        let up = many || dice.chance(75);
        Host {
            ip: if n < sixes { format!("2001:db8::{n}") } else { format!("192.0.2.{}", n + 1) }
                .parse()
                .unwrap(),
            reach: if up { Reach::Up } else { dice.pick(&[Reach::Refusing, Reach::Dead]) },
        }
    };
    (0..count).map(host).collect()
}
