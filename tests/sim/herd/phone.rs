//! The smallest device: the client's own timetable, and the nodes in the order of RFC 3263 §4.3.

use sipreg::proto::Time;
use sipreg::proto::client::AWAY;
use sipreg::proto::client::outcome::{Failure, Refusal, Unreachable};
use sipreg::proto::client::plan::Timing;
use sipreg::proto::client::schedule::{Due, Schedule};

use crate::dice::Dice;
use crate::herd::world::{Answer, Device, Input, LEASE, Move};

pub struct Phone {
    schedule: Schedule,
    dice: Dice,
    nodes: u8,
    /// The node that it has a connection to.
    connection: Option<u8>,
    /// The node that it is bound by, over a connection that is still there.
    home: Option<u8>,
    /// The visit under way: where, since when.
    visit: Option<(u8, Time)>,
    /// The nodes that were visited in this try.
    visited: u16,
    /// What the last of them that refused has said; and whether one was silent.
    refusal: Option<u32>,
    is_silent: bool,
    /// Nodes that have failed, and until when others come before them.
    aside: Vec<(u8, Time)>,
}

impl Phone {
    fn go_on(&mut self, due: Due, now: Time) -> (Move, Option<Time>) {
        match due {
            Due::Wait(at) => (Move::Rest, Some(at)),
            Due::Bind => {
                (self.visited, self.refusal, self.is_silent) = (0, None, false);
                match self.home.take() {
                    Some(home) => self.go_to(home, now),
                    None => self.go(now),
                }
            }
            Due::Busy => (Move::Stay, self.patience()),
            Due::Remove | Due::Resigned | Due::Over => panic!("{due:?}: it stays bound"),
        }
    }

    /// To the next node; one that failed not long ago comes after all others.
    fn go(&mut self, now: Time) -> (Move, Option<Time>) {
        let is_aside = |node: u8| self.aside.iter().any(|(aside, until)| *aside == node && now < *until);
        let left = (0..self.nodes).filter(|node| self.visited & (1 << node) == 0);
        let (last, first): (Vec<u8>, Vec<u8>) = left.partition(|node| is_aside(*node));
        let nodes = if first.is_empty() { last } else { first };
        if !nodes.is_empty() {
            let node = self.dice.pick(&nodes);
            return self.go_to(node, now);
        }
        self.visit = None;
        let failure = match (self.refusal, self.is_silent) {
            (Some(seconds), _) => Failure::Refused(Refusal::RetryAfter { status: 503, seconds }),
            (None, true) => Failure::Timeout,
            (None, false) => Failure::Unreachable(Unreachable::Closed),
        };
        let due = self.schedule.on_failed(&failure, true, &mut self.dice, now);
        self.go_on(due, now)
    }

    fn go_to(&mut self, node: u8, now: Time) -> (Move, Option<Time>) {
        let connects = self.connection != Some(node);
        self.visit = Some((node, now));
        self.visited |= 1 << node;
        self.connection = Some(node);
        (Move::Visit { node, connects }, self.patience())
    }

    fn patience(&self) -> Option<Time> {
        self.visit.map(|(_, since)| since + Timing::default().patience())
    }

    fn fail(&mut self, node: u8, now: Time) -> (Move, Option<Time>) {
        self.aside.retain(|(aside, until)| *aside != node && now < *until);
        self.aside.push((node, now + AWAY));
        self.go(now)
    }
}

impl Device for Phone {
    fn new(first: Time, nodes: usize, dice: Dice) -> Phone {
        Phone {
            schedule: Schedule::new(first, None),
            dice,
            nodes: u8::try_from(nodes).unwrap(),
            connection: None,
            home: None,
            visit: None,
            visited: 0,
            refusal: None,
            is_silent: false,
            aside: Vec::new(),
        }
    }

    fn bound(at: Time, node: usize, nodes: usize, dice: Dice) -> (Phone, Option<Time>) {
        let mut phone = Phone::new(at, nodes, dice);
        assert_eq!(phone.schedule.on_due(at), Due::Bind);
        phone.visit = Some((u8::try_from(node).unwrap(), at));
        let (_, due) = phone.on(Input::Answer(Answer::Bound), at);
        (phone, due)
    }

    fn on(&mut self, input: Input, now: Time) -> (Move, Option<Time>) {
        match (input, self.visit) {
            (Input::Timer, Some((node, _))) => {
                (self.is_silent, self.connection) = (true, None);
                self.fail(node, now)
            }
            (Input::Timer, None) => {
                let due = self.schedule.on_due(now);
                self.go_on(due, now)
            }
            (Input::Cut, visit) => {
                (self.connection, self.home) = (None, None);
                match visit {
                    Some((node, _)) => self.fail(node, now),
                    None => {
                        let due = self.schedule.on_flow_lost(&mut self.dice, now);
                        self.go_on(due, now)
                    }
                }
            }
            (Input::Answer(Answer::Bound), Some((node, since))) => {
                self.visit = None;
                (self.home, self.connection) = (Some(node), Some(node));
                self.aside.retain(|(aside, _)| *aside != node);
                self.aside.shrink_to_fit();
                let due = self.schedule.on_bound(since, LEASE, &mut self.dice, now);
                self.go_on(due, now)
            }
            (Input::Answer(Answer::Refused(seconds)), Some((node, _))) => {
                self.refusal = Some(seconds);
                self.fail(node, now)
            }
            (Input::Answer(Answer::Unreachable), Some((node, _))) => {
                self.connection = None;
                self.fail(node, now)
            }
            (Input::Answer(answer), None) => panic!("{answer:?}, and nobody was asked"),
        }
    }

    fn bound_until(&self) -> Option<Time> {
        self.schedule.bound_until()
    }
}
