//! Client transactions that have their final response, in the order in which they end.
//!
//! Each of Timers K, D and M takes the same time for all, so that they fire in the order they were set in, and a queue
//! does for each of them: there may be a thousand a second. They only let go of what is over, and do so at full seconds,
//! so that nothing is woken for each.

use std::collections::VecDeque;

use super::ClientKey;
use crate::proto::Time;
use crate::proto::timers::Timer;

/// The transactions by the timer that they wait for.
#[derive(Debug)]
pub(super) struct Absorbing([(Timer, VecDeque<(Time, ClientKey)>); 3]);

impl Default for Absorbing {
    fn default() -> Absorbing {
        Absorbing([Timer::K, Timer::D, Timer::M].map(|timer| (timer, VecDeque::new())))
    }
}

impl Absorbing {
    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, queue)| queue.is_empty())
    }

    /// One of the three timers begins, and fires at `at` or up to a second later.
    pub(super) fn push(&mut self, timer: Timer, at: Time, key: ClientKey) {
        let Some((_, queue)) = self.0.iter_mut().find(|(of, _)| *of == timer) else { return };
        let second = at.full_second();
        let at = queue.back().map_or(second, |(last, _)| second.max(*last));
        queue.push_back((at, key));
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().filter_map(|(_, queue)| queue.front()).map(|(at, _)| *at).min()
    }

    /// One that is due.
    pub(super) fn pop(&mut self, now: Time) -> Option<(Timer, ClientKey)> {
        let mut queues = self.0.iter_mut();
        queues.find_map(|(timer, queue)| Some((*timer, queue.pop_front_if(|(at, _)| *at <= now)?.1)))
    }

    /// Lets those go at the front that are no more.
    pub(super) fn prune(&mut self, is_gone: impl Fn(ClientKey) -> bool) {
        for (_, queue) in &mut self.0 {
            while queue.pop_front_if(|(_, key)| is_gone(*key)).is_some() {}
        }
    }

    /// Gives back the memory that many have needed once.
    pub(super) fn give_back(&mut self) {
        self.0.iter_mut().for_each(|(_, queue)| queue.shrink_to(0));
    }
}
