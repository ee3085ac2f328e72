//! Whether a call would arrive. The way there has shown it; with patience it is looked at again after a time without
//! traffic, when what stands between may have forgotten us. If it has, that time passes once more, with keep-alives.
//!
//! ```text
//!  no traffic ─▶ a call ─▶ arrives: over
//!                     └──▶ does not: bound anew ─▶ keep-alives ─▶ a call ─▶ over
//! ```

use std::time::Duration;

use super::bench::{Bench, CALLED, Input, Order};
use super::way::{Call, Caller, may_be_lost};
use super::{Experiment, Measured};
use crate::proto::Time;
use crate::proto::ids::Random;

/// The longest pause between two keep-alives that is tried: NATs remember datagrams for half a minute at least (RFC 4787 says
/// two, many do less), and 'sipreg keep' sends one as often.
const LONGEST: Duration = Duration::from_secs(25);

/// The shortest: nobody keeps a way open with more of them.
const SHORTEST: Duration = Duration::from_secs(1);

/// What came of a request for the AOR after a time without traffic.
#[derive(Debug)]
pub struct Later {
    /// The request.
    pub call: Call,
    /// Where that did not arrive: another one after as long a time with keep-alives, and the pause between those; `None`: that
    /// was not tried.
    pub kept: Option<(Duration, Call)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reach {
    caller: Caller,
    waits_until: Option<Time>,
    has_called_again: bool,
    missed: Option<Call>,
    is_binding: bool,
    is_over: bool,
}

impl Reach {
    fn finish(&mut self, later: Option<Later>, bench: &mut Bench) {
        if !std::mem::replace(&mut self.is_over, true) {
            bench.tell(Measured::Reached(later.map(Box::new)));
        }
    }

    fn call(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match bench.known.home.clone() {
            Some(through) => self.caller.call(&through, bench, random, now),
            None => self.finish(None, bench),
        }
    }

    fn on_called(&mut self, call: Call, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        if may_be_lost(&call) && !std::mem::replace(&mut self.has_called_again, true) {
            return self.call(bench, random, now);
        }
        match self.missed.take() {
            Some(missed) => {
                let kept = Some((interval(bench), call));
                self.finish(Some(Later { call: missed, kept }), bench);
            }
            None if call.arrival.is_some() || !is_worth_a_try(bench) => {
                self.finish(Some(Later { call, kept: None }), bench);
            }
            None => {
                (self.missed, self.is_binding, self.has_called_again) = (Some(call), true, false);
                bench.orders.push_back(Order::Again(CALLED, bench.plan.purpose));
            }
        }
    }

    fn on_due(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match self.waits_until {
            Some(until) if until <= now => {
                self.waits_until = None;
                self.call(bench, random, now);
            }
            Some(until) if self.missed.is_some() => {
                bench.orders.push_back(Order::Ping(CALLED));
                bench.wake(until.min(now + interval(bench)));
            }
            Some(_) | None => {}
        }
    }
}

/// The pause between two keep-alives.
fn interval(bench: &Bench) -> Duration {
    (bench.pause.unwrap_or_default() / 2).clamp(SHORTEST, LONGEST)
}

/// Whether a keep-alive comes before the time is over, and requests are left for what follows it.
fn is_worth_a_try(bench: &Bench) -> bool {
    bench.pause.is_some_and(|pause| pause >= SHORTEST * 2) && bench.has_left(4, 4)
}

impl Experiment for Reach {
    fn begin(&mut self, bench: &mut Bench, _random: &mut dyn Random, now: Time) {
        match bench.pause.filter(|_| bench.known.is_reached) {
            Some(pause) => {
                self.waits_until = Some(now + pause);
                bench.wake(now + pause);
            }
            None => self.finish(None, bench),
        }
    }

    fn on(&mut self, input: Input, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match self.caller.on(input, bench, now) {
            Ok(call) => self.on_called(call, bench, random, now),
            Err(Some(Input::Due)) => self.on_due(bench, random, now),
            Err(Some(Input::Registered(CALLED, report))) if std::mem::take(&mut self.is_binding) => {
                if report.result.is_err() {
                    return self.cut(bench);
                }
                self.waits_until = Some(now + bench.pause.unwrap_or_default());
                bench.wake(now + interval(bench));
            }
            Err(_) => {}
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        let later = self.missed.take().map(|call| Later { call, kept: None });
        self.finish(later, bench);
    }
}
