//! Whether a call would arrive. The way there has shown it; with patience it is looked at again after a time without
//! traffic, when what stands between may have forgotten us.

use super::bench::{Bench, Input};
use super::way::{Call, Caller, may_be_lost};
use super::{Experiment, Measured};
use crate::proto::Time;
use crate::proto::ids::Random;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reach {
    caller: Caller,
    waits_until: Option<Time>,
    has_called_again: bool,
    is_over: bool,
}

impl Reach {
    fn finish(&mut self, call: Option<Call>, bench: &mut Bench) {
        if !std::mem::replace(&mut self.is_over, true) {
            bench.tell(Measured::Reached(call.map(Box::new)));
        }
    }

    fn call(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match bench.known.home.clone() {
            Some(through) => self.caller.call(&through, bench, random, now),
            None => self.finish(None, bench),
        }
    }
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
        match self.caller.on(input) {
            Ok(call) if may_be_lost(&call) && !self.has_called_again => {
                self.has_called_again = true;
                self.call(bench, random, now);
            }
            Ok(call) => self.finish(Some(call), bench),
            Err(Some(Input::Due)) if self.waits_until.is_some_and(|until| until <= now) => {
                self.waits_until = None;
                self.call(bench, random, now);
            }
            Err(_) => {}
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        self.finish(None, bench);
    }
}
