//! The INVITE server transaction of somebody who takes no calls (RFC 3261 §17.2.1, figure 7): every INVITE is refused,
//! with 300 to 699, so that there is no 2xx and no Accepted state (RFC 6026).
//!
//! ```text
//!                  │ INVITE: 100, then the refusal
//!            ┌─────▼─────┐ copy, or Timer G: the refusal again
//!            │ Completed │ G = T1, doubling up to T2; over a connection none
//!            └──┬─────┬──┘
//!           ACK │     │ Timer H = 64·T1: nobody acknowledged
//!         ┌─────▼─────┐
//!         │ Confirmed │ copies, and further ACKs: absorbed
//!         └─────┬─────┘
//!               │ Timer I = T4 (UDP) or 0
//!         ┌─────▼──────┐
//!         │ Terminated │
//!         └────────────┘
//! ```

use std::time::Duration;

use crate::proto::Time;
use crate::proto::timers::Timing;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Refused; `gap` is that of Timer G, which is due `again`.
    Completed { again: Option<Time>, gap: Duration, over: Time },
    /// The refusal has arrived.
    Confirmed { over: Time },
    /// Nothing is kept any more.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The INVITE came again.
    Copy,
    /// The ACK came.
    Ack,
    /// Its time ([`InviteServer::due`]) has come.
    Due,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Absorb,
    /// Send the refusal once more.
    Repeat,
    /// Forget the transaction.
    Terminate,
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub struct InviteServer {
    state: State,
    reliable: bool,
    timing: Timing,
}

impl InviteServer {
    /// The INVITE has just been refused. `reliable` says that the transport retransmits by itself.
    #[must_use]
    pub fn refused(reliable: bool, timing: Timing, now: Time) -> InviteServer {
        let again = (!reliable).then(|| now + timing.t1);
        let state = State::Completed { again, gap: timing.t1, over: now + timing.patience() };
        InviteServer { state, reliable, timing }
    }

    /// When [`Input::Due`] is to come.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        match self.state {
            State::Completed { again, over, .. } => Some(again.map_or(over, |again| again.min(over))),
            State::Confirmed { over } => Some(over),
            State::Terminated => None,
        }
    }

    /// One input, its effect.
    pub fn on(&mut self, input: Input, now: Time) -> Effect {
        match (self.state, input) {
            (State::Completed { .. }, Input::Copy) => Effect::Repeat,
            (State::Completed { .. }, Input::Ack) if self.reliable => self.end(),
            (State::Completed { .. }, Input::Ack) => {
                self.state = State::Confirmed { over: now + self.timing.t4() };
                Effect::Absorb
            }
            (State::Completed { over, .. } | State::Confirmed { over }, Input::Due) if over <= now => {
                self.end()
            }
            (State::Completed { again: Some(again), gap, over }, Input::Due) if again <= now => {
                let gap = gap.saturating_mul(2).min(self.timing.t2());
                self.state = State::Completed { again: Some(now + gap), gap, over };
                Effect::Repeat
            }
            (State::Completed { .. } | State::Confirmed { .. }, Input::Due)
            | (State::Confirmed { .. } | State::Terminated, Input::Copy | Input::Ack)
            | (State::Terminated, Input::Due) => Effect::Absorb,
        }
    }

    fn end(&mut self) -> Effect {
        self.state = State::Terminated;
        Effect::Terminate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    /// STX-009 STX-010: Timer G doubles up to T2, and H ends it.
    #[test]
    fn without_an_ack_the_refusal_is_repeated_for_32_seconds() {
        let mut invited = InviteServer::refused(false, Timing::default(), at(0));
        let mut sent = Vec::new();
        while let Some(due) = invited.due() {
            match invited.on(Input::Due, due) {
                Effect::Repeat => sent.push(due.as_millis()),
                Effect::Terminate => assert_eq!(due, at(32_000)),
                Effect::Absorb => panic!("nothing was due"),
            }
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    }

    /// STX-011
    #[test]
    fn an_ack_ends_the_repetition_and_copies_are_absorbed_for_timer_i() {
        let mut invited = InviteServer::refused(false, Timing::default(), at(0));
        assert_eq!(invited.on(Input::Copy, at(100)), Effect::Repeat);
        assert_eq!(invited.on(Input::Ack, at(200)), Effect::Absorb);
        assert_eq!(invited.on(Input::Copy, at(300)), Effect::Absorb);
        assert_eq!(invited.on(Input::Ack, at(300)), Effect::Absorb);
        assert_eq!(invited.on(Input::Due, at(300)), Effect::Absorb);
        assert_eq!(invited.due(), Some(at(5200)));
        assert_eq!(invited.on(Input::Due, at(5200)), Effect::Terminate);
        assert_eq!((invited.due(), invited.on(Input::Due, at(6000))), (None, Effect::Absorb));
    }

    /// STX-009 STX-011
    #[test]
    fn over_a_connection_nothing_is_repeated_and_the_ack_ends_it() {
        let mut invited = InviteServer::refused(true, Timing::default(), at(0));
        assert_eq!(invited.due(), Some(at(32_000)));
        assert_eq!(invited.on(Input::Ack, at(10)), Effect::Terminate);
    }
}
