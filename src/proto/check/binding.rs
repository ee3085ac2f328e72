//! What becomes of a binding: a fetch shows it, and a removal removes it. The binding is there already, by the registration
//! that showed whether we are let in.

use super::bench::{Bench, Input, LOGIN, Order};
use super::{Experiment, Measured};
use crate::proto::Time;
use crate::proto::client::outcome::{Failure, Report};
use crate::proto::client::plan::Purpose;
use crate::proto::ids::Random;

/// What became of a binding.
#[derive(Debug)]
pub struct Life {
    /// What the registrar lists.
    pub fetched: Box<Report>,
    /// What came of the removal; `None`: there was no time for it.
    pub removed: Option<Box<Report>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Binding {
    fetched: Option<Box<Report>>,
    is_over: bool,
}

impl Binding {
    fn finish(&mut self, removed: Option<Box<Report>>, bench: &mut Bench) {
        self.is_over = true;
        if let Some(fetched) = self.fetched.take() {
            bench.tell(Measured::Life(Life { fetched, removed }));
        }
    }
}

impl Experiment for Binding {
    fn begin(&mut self, bench: &mut Bench, _random: &mut dyn Random, _now: Time) {
        if bench.known.is_in {
            bench.orders.push_back(Order::Again(LOGIN, Purpose::Fetch));
        } else {
            self.is_over = true;
        }
    }

    fn on(&mut self, input: Input, bench: &mut Bench, _random: &mut dyn Random, _now: Time) {
        let Input::Registered(LOGIN, report) = input else { return };
        if let Some(fetched) = &self.fetched {
            // A password that was refused is shown again for the removal of what it has bound, and for nothing else.
            let was_refused = |report: &Report| matches!(report.result, Err(Failure::Credentials(_)));
            let is_refused = was_refused(&report) || was_refused(fetched) && report.result.is_err();
            bench.known.is_in &= !is_refused;
            bench.orders.push_back(Order::Drop(LOGIN));
            return self.finish(Some(report), bench);
        }
        if let Ok(success) = &report.result {
            bench.known.listed = success.bindings.iter().map(|listed| listed.contact.clone()).collect();
        }
        self.fetched = Some(report);
        bench.orders.push_back(Order::Again(LOGIN, Purpose::Remove));
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        self.finish(None, bench);
    }
}
