//! Many devices, the nodes that they register with, and a clock. What a device does is its own matter ([`Device`]); what a node
//! can take is a few times that were measured ([`Costs`]), and what it asks those to whom it says no is the registrar's rule.

use std::collections::BTreeMap;
use std::time::Duration;

use sipreg::proto::Time;
use sipreg::proto::registrar::retry_after::Line;

use crate::dice::Dice;

/// When the world begins.
pub const START: Time = Time::from_millis(1_792_000_000_000);

/// The lease that is granted, in seconds.
pub const LEASE: u32 = 3600;

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The time has come that it asked for.
    Timer,
    /// The connection is closed over which it is bound.
    Cut,
    /// What became of its visit.
    Answer(Answer),
}

/// How a visit of a device to a node ends, unless nobody ever answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Bound,
    /// 503 with Retry-After.
    Refused(u32),
    /// Nobody listens.
    Unreachable,
}

/// What a device does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It goes on with what it does.
    Stay,
    /// It visits that node, by a new connection or over the one that it has. What it did before is over.
    Visit { node: u8, connects: bool },
    /// It does nothing now.
    Rest,
}

pub trait Device: Sized {
    /// A device that begins when it gets its timer, at `first`.
    fn new(first: Time, nodes: usize, dice: Dice) -> Self;

    /// A device that was bound by a node then; and when it wants its timer.
    fn bound(at: Time, home: usize, nodes: usize, dice: Dice) -> (Self, Option<Time>);

    /// What it does, and when it wants its timer.
    fn on(&mut self, input: Input, now: Time) -> (Move, Option<Time>);

    fn bound_until(&self) -> Option<Time>;
}

/// Microseconds that a node takes: measured.
#[derive(Clone, Copy)]
pub struct Costs {
    /// For a connection, handshakes included.
    pub connection: u64,
    /// For a registration, the challenge included, or for refusing one.
    pub registration: u64,
    /// For a change, of a store that does one after the other beside that; 0 where it is no more work than is counted already.
    pub store: u64,
    /// Requests or connections that the system keeps for it. Those beyond are dropped, and their senders repeat them.
    pub room: usize,
}

/// What goes by datagrams is repeated by Timer E (RFC 3261 §17.1.2.2), and a connection that is not taken by TCP: after so many
/// milliseconds in all.
pub const DATAGRAMS: &[u64] = &[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
pub const CONNECTIONS: &[u64] = &[1000, 3000, 7000, 15_000, 31_000];

/// Whether a node can be reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Up,
    /// Its host says that nobody listens.
    Refusing,
    /// Nothing ever comes back.
    Silent,
}

/// What a node says to those that it has no time for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The registrar's.
    Line,
    /// The same to everybody: to compare with.
    Seconds(u32),
}

struct Node {
    health: Health,
    busy_until: u64,
    queue: usize,
    stored_until: u64,
    pending: usize,
    line: Line,
    /// What was seen in each second.
    seconds: Vec<Second>,
}

/// What one node sees in a second.
#[derive(Clone, Copy, Default)]
pub struct Second {
    /// Connections and requests that reach its host, those included that it has no room for, and their copies.
    pub visits: u32,
    pub bound: u32,
    pub refused: u32,
}

impl Node {
    fn second(&mut self, at: u64) -> &mut Second {
        let second = usize::try_from(at / 1_000_000).unwrap();
        self.seconds.resize(self.seconds.len().max(second + 1), Second::default());
        &mut self.seconds[second]
    }
}

struct Slot<D> {
    device: D,
    /// Half a round trip to the nodes, in milliseconds.
    way: u8,
    /// How many visits it has begun or ended: what belongs to an earlier one is of no interest.
    visit: u32,
    connects: bool,
    wake: Option<Time>,
    /// It has to be bound anew.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Wake { device: u32 },
    Cut { device: u32 },
    Knock { device: u32, visit: u32, node: u8, copy: u8 },
    Served { device: u32, visit: u32, node: u8 },
    Stored { device: u32, visit: u32, node: u8 },
    Answer { device: u32, visit: u32, answer: u32 },
}

/// [`Event::Answer`] in a word: the seconds of a Retry-After, or one of these.
const BOUND: u32 = u32::MAX;
const UNREACHABLE: u32 = u32::MAX - 1;

/// What is to happen, by milliseconds. There are tens of millions: those of this second have a list for each millisecond, and
/// those of later ones one for each second.
#[derive(Default)]
struct Agenda {
    second: u64,
    now: Vec<Vec<Event>>,
    /// Where it stands in this second, and in the list of that millisecond.
    at: (usize, usize),
    later: BTreeMap<u64, Vec<(u16, Event)>>,
}

impl Agenda {
    fn put(&mut self, ms: u64, event: Event) {
        let (second, rest) = (ms / 1000, ms % 1000);
        if second == self.second && self.at.0 < self.now.len() {
            let at = self.at.0.max(usize::try_from(rest).unwrap());
            self.now[at].push(event);
        } else {
            self.later
                .entry(second.max(self.second))
                .or_default()
                .push((u16::try_from(rest).unwrap(), event));
        }
    }

    /// The next that happens within so many milliseconds, and when.
    fn next(&mut self, until: u64) -> Option<(u64, Event)> {
        loop {
            while self.at.0 < self.now.len() {
                let ms = self.second * 1000 + u64::try_from(self.at.0).unwrap();
                if ms > until {
                    return None;
                }
                if let Some(event) = self.now[self.at.0].get(self.at.1) {
                    self.at.1 += 1;
                    return Some((ms, *event));
                }
                self.now[self.at.0].clear();
                self.at = (self.at.0 + 1, 0);
            }
            let first = self.later.first_entry().filter(|first| *first.key() * 1000 <= until)?;
            self.second = *first.key();
            let events = first.remove();
            self.now.resize(1000, Vec::new());
            self.at = (0, 0);
            for (ms, event) in events {
                self.now[usize::from(ms)].push(event);
            }
        }
    }
}

pub struct World<D> {
    slots: Vec<Slot<D>>,
    nodes: Vec<Node>,
    costs: Costs,
    rule: Rule,
    /// Microseconds since [`START`] between which the store is away.
    away: std::ops::Range<u64>,
    copies: &'static [u64],
    agenda: Agenda,
    /// Microseconds since [`START`].
    now: u64,
    dice: Dice,
    pending: usize,
    lost: usize,
    /// When those who were lost were bound again, in milliseconds.
    back: Vec<u64>,
    /// Those of them whose lease had run out by then.
    lapsed: usize,
    visits: u64,
}

impl<D: Device> World<D> {
    pub fn new(nodes: usize, costs: Costs, copies: &'static [u64], seed: u64) -> World<D> {
        let node = || Node {
            health: Health::Up,
            busy_until: 0,
            queue: 0,
            stored_until: 0,
            pending: 0,
            line: Line::default(),
            seconds: Vec::new(),
        };
        World {
            slots: Vec::new(),
            nodes: std::iter::repeat_with(node).take(nodes).collect(),
            costs,
            rule: Rule::Line,
            away: 0..0,
            copies,
            agenda: Agenda::default(),
            now: 0,
            dice: Dice::new(seed, 1),
            pending: 0,
            lost: 0,
            back: Vec::new(),
            lapsed: 0,
            visits: 0,
        }
    }

    /// With another rule, and room for so many requests that wait for the store.
    pub fn with_rule(self, rule: Rule, pending: usize) -> World<D> {
        World { rule, pending, ..self }
    }

    /// Another device, which wants its timer then.
    pub fn add(&mut self, device: D, first: Option<Time>) {
        let number = u32::try_from(self.slots.len()).unwrap();
        let way = u8::try_from(self.dice.between(5, 50)).unwrap();
        self.slots.push(Slot { device, way, visit: 0, connects: false, wake: None, is_lost: false });
        self.wake(number, first);
    }

    /// Changes whether a node can be reached.
    pub fn set(&mut self, node: usize, health: Health) {
        self.nodes[node].health = health;
    }

    /// The store of all nodes is away for that time, in seconds since the start.
    pub fn store_away(&mut self, seconds: std::ops::Range<u64>) {
        self.away = seconds.start * 1_000_000..seconds.end * 1_000_000;
    }

    /// A device is not bound any more, and notices after so many milliseconds, if ever by itself.
    pub fn lose(&mut self, device: usize, notices: Option<u64>) {
        self.slots[device].is_lost = true;
        self.lost += 1;
        if let Some(after) = notices {
            self.put(self.now + after * 1000, Event::Cut { device: u32::try_from(device).unwrap() });
        }
    }

    /// A device whose timer comes by then is late if it is not bound anew at once.
    pub fn watch(&mut self, device: usize, until: Time) {
        if self.slots[device].wake.is_some_and(|wake| wake < until) {
            self.lose(device, None);
        }
    }

    /// Lets the clock run until so many milliseconds after the start, or until nobody is lost.
    pub fn run(&mut self, until: u64, stops: bool) {
        while !(stops && self.back.len() == self.lost)
            && let Some((at, event)) = self.agenda.next(until)
        {
            self.now = self.now.max(at * 1000);
            self.happen(event);
        }
        if !stops {
            self.now = until * 1000;
        }
    }

    fn time(&self) -> Time {
        START + Duration::from_millis(self.now / 1000)
    }

    /// It happens so many microseconds after the start, in the next whole millisecond.
    fn put(&mut self, at: u64, event: Event) {
        self.agenda.put(at.div_ceil(1000), event);
    }

    fn wake(&mut self, device: u32, at: Option<Time>) {
        let slot = &mut self.slots[device as usize];
        if slot.wake != at {
            slot.wake = at;
            if let Some(at) = at {
                let at = u64::try_from(at.since(START).as_micros()).unwrap();
                self.put(at.max(self.now), Event::Wake { device });
            }
        }
    }

    fn input(&mut self, device: u32, input: Input) {
        let now = self.time();
        let slot = &mut self.slots[device as usize];
        let (next, wake) = slot.device.on(input, now);
        match next {
            Move::Stay => {}
            Move::Rest => slot.visit += 1,
            Move::Visit { node, connects } => {
                slot.visit += 1;
                slot.connects = connects;
                let (visit, way) = (slot.visit, u64::from(slot.way));
                self.visits += 1;
                self.put(self.now + way * 1000, Event::Knock { device, visit, node, copy: 0 });
            }
        }
        self.wake(device, wake);
    }

    fn answer(&mut self, device: u32, visit: u32, answer: u32) {
        let way = u64::from(self.slots[device as usize].way);
        self.put(self.now + way * 1000, Event::Answer { device, visit, answer });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { device } => {
                if self.slots[device as usize].wake == Some(self.time()) {
                    self.slots[device as usize].wake = None;
                    self.input(device, Input::Timer);
                }
            }
            Event::Cut { device } => self.input(device, Input::Cut),
            Event::Knock { device, visit, node, copy } => self.knock(device, visit, node, copy),
            Event::Served { device, visit, node } => self.served(device, visit, node),
            Event::Stored { device, visit, node } => {
                self.nodes[usize::from(node)].pending -= 1;
                self.bound(device, visit, node);
            }
            Event::Answer { device, visit, answer } => {
                let now = self.time();
                let slot = &mut self.slots[device as usize];
                if slot.visit != visit {
                    return;
                }
                let answer = match answer {
                    BOUND => Answer::Bound,
                    UNREACHABLE => Answer::Unreachable,
                    seconds => Answer::Refused(seconds),
                };
                if answer == Answer::Bound && std::mem::take(&mut slot.is_lost) {
                    self.back.push(self.now / 1000);
                    let is_held = slot.device.bound_until().is_some_and(|until| now < until);
                    self.lapsed += usize::from(!is_held);
                }
                self.input(device, Input::Answer(answer));
            }
        }
    }

    /// A visit reaches the host of a node.
    fn knock(&mut self, device: u32, visit: u32, node: u8, copy: u8) {
        let slot = &self.slots[device as usize];
        if slot.visit != visit {
            return;
        }
        let Costs { connection, registration, room, .. } = self.costs;
        let cost = registration + if slot.connects { connection } else { 0 };
        let (now, at) = (self.now, &mut self.nodes[usize::from(node)]);
        match at.health {
            Health::Up => {}
            Health::Refusing => return self.answer(device, visit, UNREACHABLE),
            Health::Silent => return,
        }
        at.second(now).visits += 1;
        if at.queue >= room {
            return self.repeat(device, visit, node, copy);
        }
        at.queue += 1;
        at.busy_until = at.busy_until.max(now) + cost;
        let until = at.busy_until;
        self.put(until, Event::Served { device, visit, node });
    }

    fn repeat(&mut self, device: u32, visit: u32, node: u8, copy: u8) {
        let before = copy.checked_sub(1).map_or(0, |last| self.copies[usize::from(last)]);
        if let Some(after) = self.copies.get(usize::from(copy)) {
            let at = self.now + (after - before) * 1000;
            self.put(at, Event::Knock { device, visit, node, copy: copy + 1 });
        }
    }

    /// A node has seen to a visit, but for the store.
    fn served(&mut self, device: u32, visit: u32, node: u8) {
        let (now, time, limit) = (self.now, self.time(), self.pending);
        let at = &mut self.nodes[usize::from(node)];
        at.queue -= 1;
        if at.health != Health::Up {
            return;
        }
        if self.away.contains(&now) || at.pending >= limit {
            at.second(now).refused += 1;
            let seconds = match self.rule {
                Rule::Line => at.line.turn(&mut self.dice, time),
                Rule::Seconds(seconds) => seconds,
            };
            return self.answer(device, visit, seconds);
        }
        if self.costs.store == 0 {
            return self.bound(device, visit, node);
        }
        at.pending += 1;
        at.stored_until = at.stored_until.max(now) + self.costs.store;
        let until = at.stored_until;
        self.put(until, Event::Stored { device, visit, node });
    }

    fn bound(&mut self, device: u32, visit: u32, node: u8) {
        let (now, time) = (self.now, self.time());
        let at = &mut self.nodes[usize::from(node)];
        at.line.served(time);
        at.second(now).bound += 1;
        self.answer(device, visit, BOUND);
    }

    /// What has come of it, from so many milliseconds after the start on.
    pub fn outcome(&self, since: u64) -> Outcome {
        let mut back: Vec<u64> = self.back.iter().map(|at| at - since).collect();
        back.sort_unstable();
        let from = usize::try_from(since / 1000).unwrap();
        let seconds = self.nodes.iter().flat_map(|node| node.seconds.iter().skip(from)).copied();
        let peak = |of: fn(&Second) -> u32| seconds.clone().map(|second| of(&second)).max().unwrap_or(0);
        Outcome {
            lost: self.lost,
            visits: self.visits,
            lapsed: self.lapsed,
            most: Second {
                visits: peak(|second| second.visits),
                bound: peak(|second| second.bound),
                refused: peak(|second| second.refused),
            },
            back,
        }
    }
}

/// How a herd has fared.
pub struct Outcome {
    /// How many had to be bound anew.
    pub lost: usize,
    /// Milliseconds until they were, in order.
    pub back: Vec<u64>,
    /// Those whose lease had run out by then.
    pub lapsed: usize,
    /// Visits of all devices, copies aside.
    pub visits: u64,
    /// The most that a node saw in a second.
    pub most: Second,
}

impl Outcome {
    /// Milliseconds until so many percent of them were bound; `None`: they never were.
    pub fn until(&self, percent: usize) -> Option<u64> {
        let count = (self.lost * percent).div_ceil(100);
        self.back.get(count.checked_sub(1)?).copied()
    }
}
