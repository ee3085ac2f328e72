//! The name service: every destination of the next hop, not only the first (RFC 3263).

use super::bench::{Bench, Input};
use super::{Experiment, Measured};
use crate::proto::ids::Random;
use crate::proto::locate::{Found, Locate, LocateError, Next};
use crate::proto::{DnsAnswer, Question, ResolveError, Time, in_zone};

/// What the name service says.
#[derive(Debug, Default)]
pub struct Names {
    /// The name that was looked up; empty: the next hop is an address.
    pub name: String,
    /// Every question, with its answer: as a tree, since each follows from one before.
    pub answers: Vec<(Question, DnsAnswer)>,
    /// Every destination, in the order in which they are tried.
    pub found: Vec<Found>,
    /// Names of servers that have no address.
    pub unresolved: Vec<(String, Option<ResolveError>)>,
    /// The domain says that it does not offer the service (RFC 2782).
    pub is_not_offered: bool,
    /// The domain names services, and none that can be used; with whether one would do, were it over TLS.
    pub no_service: Option<bool>,
    /// The URI can't be located at all.
    pub unlocatable: Option<LocateError>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Dns {
    locate: Option<Locate>,
    names: Names,
    is_over: bool,
}

impl Dns {
    fn go_on(&mut self, bench: &mut Bench, now: Time) {
        let Some(locate) = &mut self.locate else { return };
        loop {
            match locate.next(now) {
                Next::Found(mut found) => {
                    found.destination.address = in_zone(found.destination.address, bench.plan.zone);
                    self.names.found.push(found);
                }
                Next::Unresolved { name, error } => self.names.unresolved.push((name, error)),
                Next::NotOffered { .. } => self.names.is_not_offered = true,
                Next::NoService { lacks_tls, .. } => self.names.no_service = Some(lacks_tls),
                Next::Wait { questions, until } => {
                    bench.wake(until);
                    if !questions.is_empty() {
                        bench.orders.push_back(super::bench::Order::Resolve(questions));
                    }
                    return;
                }
                Next::Over => break,
            }
        }
        self.finish(bench);
    }

    fn finish(&mut self, bench: &mut Bench) {
        if !std::mem::replace(&mut self.is_over, true) {
            bench.known.found = self.names.found.clone();
            bench.tell(Measured::Names(std::mem::take(&mut self.names)));
        }
    }
}

impl Experiment for Dns {
    fn begin(&mut self, bench: &mut Bench, _random: &mut dyn Random, now: Time) {
        match bench.plan.locate() {
            Ok(locate) => {
                self.names.name = locate.name().to_owned();
                self.locate = Some(locate);
                self.go_on(bench, now);
            }
            Err(error) => {
                self.names.unlocatable = Some(error);
                self.finish(bench);
            }
        }
    }

    fn on(&mut self, input: Input, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match input {
            Input::Resolved(question, answer, ttl) => {
                self.names.answers.push((question.clone(), answer.clone()));
                if let Some(locate) = &mut self.locate {
                    locate.answer(&question, answer, ttl, random, now);
                }
            }
            Input::Due | Input::Probed(..) | Input::Registered(..) | Input::Called(_) => {}
        }
        if !self.is_over {
            self.go_on(bench, now);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        if self.names.found.is_empty() && !self.is_over {
            self.names.unresolved.push((self.names.name.clone(), Some(ResolveError::TimedOut)));
        }
        self.finish(bench);
    }
}
