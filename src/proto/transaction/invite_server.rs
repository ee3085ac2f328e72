//! The INVITE server transaction (RFC 3261 §17.2.1, figure 7, with RFC 6026 §7.1).
//!
//! ```text
//!                        │ INVITE
//!                 ┌──────▼─────┐ 1xx: sent
//!                 │ Proceeding │ copy: the last 1xx again
//!                 └──┬──────┬──┘
//!      300-699: sent │      │ 2xx: sent
//!              ┌─────▼─────┐└────────────────┐
//!              │ Completed │ copy, Timer G:  │
//!              └──┬─────┬──┘ the refusal     │
//!             ACK │     │ H  again           │
//!           ┌─────▼─────┐│            ┌──────▼───┐ copy: absorbed
//!   absorbs │ Confirmed ││            │ Accepted │ 2xx: sent
//!           └─────┬─────┘│            └──────┬───┘ ACK: passed up
//!                 │ I    │                   │ L = 64·T1
//!              ┌──▼──────▼──┐                │
//!              │ Terminated ◀────────────────┘
//!              └────────────┘
//! ```
//!
//! Over UDP, G is T1, doubling up to T2, and I is T4; over a connection there is no G, and I is 0. H is 64·T1: nobody
//! acknowledged. Whoever takes no calls starts in Completed.
//!
//! An answer that can't be sent ends nothing (RFC 6026 §7.1): the client repeats its INVITE.

use std::time::Duration;

use crate::proto::Time;
use crate::proto::timers::Timing;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final answer yet.
    Proceeding,
    /// It was refused.
    Completed {
        /// When Timer G is due; `None`: over a connection, never.
        again: Option<Time>,
        /// What Timer G was last set to.
        gap: Duration,
        /// When Timer H is due.
        over: Time,
    },
    /// The refusal has arrived.
    Confirmed {
        /// When Timer I is due.
        over: Time,
    },
    /// It was accepted.
    Accepted {
        /// When Timer L is due.
        over: Time,
    },
    /// Nothing is kept any more.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The INVITE came again.
    Copy,
    /// The transaction user answers with a 1xx.
    Provisional,
    /// The transaction user answers with a 2xx.
    Success,
    /// The transaction user answers with 300 to 699.
    Failure,
    /// The ACK came.
    Ack,
    /// Its time ([`InviteServer::due`]) has come.
    Due,
    /// An answer could not be sent.
    TransportError,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// There is nothing to do.
    Absorb,
    /// Send the answer just given. A 1xx and a refusal are kept for copies of the INVITE, a 2xx is not.
    Send,
    /// Send the last answer once more.
    Repeat,
    /// The ACK of a 2xx is for the transaction user.
    Pass,
    /// Forget the transaction.
    Terminate,
}

/// The machine of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct InviteServer {
    state: State,
    reliable: bool,
    timing: Timing,
}

impl InviteServer {
    /// Starts in Proceeding. `reliable` says that the transport retransmits by itself.
    #[must_use]
    pub fn start(reliable: bool, timing: Timing) -> InviteServer {
        InviteServer { state: State::Proceeding, reliable, timing }
    }

    /// The INVITE has just been refused.
    #[must_use]
    pub fn refused(reliable: bool, timing: Timing, now: Time) -> InviteServer {
        let mut refused = InviteServer::start(reliable, timing);
        let _ = refused.on(Input::Failure, now);
        refused
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When [`Input::Due`] is to come.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        match self.state {
            State::Completed { again, over, .. } => Some(again.map_or(over, |again| again.min(over))),
            State::Confirmed { over } | State::Accepted { over } => Some(over),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// One input, its effect.
    pub fn on(&mut self, input: Input, now: Time) -> Effect {
        match (self.state, input) {
            (State::Proceeding | State::Completed { .. }, Input::Copy) => Effect::Repeat,
            (State::Proceeding, Input::Provisional) | (State::Accepted { .. }, Input::Success) => {
                Effect::Send
            }
            (State::Proceeding, Input::Success) => {
                self.state = State::Accepted { over: now + self.timing.patience() };
                Effect::Send
            }
            (State::Proceeding, Input::Failure) => {
                let (again, gap) = ((!self.reliable).then(|| now + self.timing.t1), self.timing.t1);
                self.state = State::Completed { again, gap, over: now + self.timing.patience() };
                Effect::Send
            }
            (State::Completed { .. }, Input::Ack) if self.reliable => self.end(),
            (State::Completed { .. }, Input::Ack) => {
                self.state = State::Confirmed { over: now + self.timing.t4() };
                Effect::Absorb
            }
            (State::Accepted { .. }, Input::Ack) => Effect::Pass,
            (
                State::Completed { over, .. } | State::Confirmed { over } | State::Accepted { over },
                Input::Due,
            ) if over <= now => self.end(),
            (State::Completed { again: Some(again), gap, over }, Input::Due) if again <= now => {
                let gap = gap.saturating_mul(2).min(self.timing.t2());
                self.state = State::Completed { again: Some(now + gap), gap, over };
                Effect::Repeat
            }
            (State::Proceeding, Input::Ack)
            | (
                State::Completed { .. } | State::Confirmed { .. },
                Input::Provisional | Input::Success | Input::Failure,
            )
            | (State::Confirmed { .. }, Input::Copy | Input::Ack)
            | (State::Accepted { .. }, Input::Copy | Input::Provisional | Input::Failure)
            | (
                State::Proceeding
                | State::Completed { .. }
                | State::Confirmed { .. }
                | State::Accepted { .. },
                Input::Due | Input::TransportError,
            )
            | (State::Terminated, _) => Effect::Absorb,
        }
    }

    fn end(&mut self) -> Effect {
        self.state = State::Terminated;
        Effect::Terminate
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn name(state: State) -> &'static str {
        match state {
            State::Proceeding => "Proceeding",
            State::Completed { .. } => "Completed",
            State::Confirmed { .. } => "Confirmed",
            State::Accepted { .. } => "Accepted",
            State::Terminated => "Terminated",
        }
    }

    /// Each input comes 100 ms after the one before; what is due comes when it is.
    fn matrix(reliable: bool) -> String {
        let ways: [&[Input]; 5] = [
            &[],
            &[Input::Failure],
            &[Input::Failure, Input::Ack],
            &[Input::Success],
            &[Input::Success, Input::Due],
        ];
        let inputs = [
            Input::Copy,
            Input::Provisional,
            Input::Success,
            Input::Failure,
            Input::Ack,
            Input::Due,
            Input::TransportError,
        ];
        let mut out = String::new();
        for way in ways {
            for input in inputs {
                let mut invited = InviteServer::start(reliable, Timing::default());
                let mut now = at(0);
                let mut give = |invited: &mut InviteServer, input: Input| {
                    let later = now + Duration::from_millis(100);
                    now = invited.due().filter(|_| input == Input::Due).unwrap_or(later);
                    invited.on(input, now)
                };
                for before in way {
                    give(&mut invited, *before);
                }
                let before = name(invited.state());
                let effect = give(&mut invited, input);
                let due = invited.due().map(|due| format!(", due at {due}")).unwrap_or_default();
                let (input, after) = (format!("{input:?}"), name(invited.state()));
                let _ = writeln!(out, "{before:<10} {input:<14} -> {after:<10} {effect:?}{due}");
            }
        }
        out
    }

    /// STX-009..014
    #[test]
    fn every_state_answers_every_input_over_udp() {
        insta::assert_snapshot!(matrix(false), @r"
    Proceeding Copy           -> Proceeding Repeat
    Proceeding Provisional    -> Proceeding Send
    Proceeding Success        -> Accepted   Send, due at 32.100
    Proceeding Failure        -> Completed  Send, due at 0.600
    Proceeding Ack            -> Proceeding Absorb
    Proceeding Due            -> Proceeding Absorb
    Proceeding TransportError -> Proceeding Absorb
    Completed  Copy           -> Completed  Repeat, due at 0.600
    Completed  Provisional    -> Completed  Absorb, due at 0.600
    Completed  Success        -> Completed  Absorb, due at 0.600
    Completed  Failure        -> Completed  Absorb, due at 0.600
    Completed  Ack            -> Confirmed  Absorb, due at 5.200
    Completed  Due            -> Completed  Repeat, due at 1.600
    Completed  TransportError -> Completed  Absorb, due at 0.600
    Confirmed  Copy           -> Confirmed  Absorb, due at 5.200
    Confirmed  Provisional    -> Confirmed  Absorb, due at 5.200
    Confirmed  Success        -> Confirmed  Absorb, due at 5.200
    Confirmed  Failure        -> Confirmed  Absorb, due at 5.200
    Confirmed  Ack            -> Confirmed  Absorb, due at 5.200
    Confirmed  Due            -> Terminated Terminate
    Confirmed  TransportError -> Confirmed  Absorb, due at 5.200
    Accepted   Copy           -> Accepted   Absorb, due at 32.100
    Accepted   Provisional    -> Accepted   Absorb, due at 32.100
    Accepted   Success        -> Accepted   Send, due at 32.100
    Accepted   Failure        -> Accepted   Absorb, due at 32.100
    Accepted   Ack            -> Accepted   Pass, due at 32.100
    Accepted   Due            -> Terminated Terminate
    Accepted   TransportError -> Accepted   Absorb, due at 32.100
    Terminated Copy           -> Terminated Absorb
    Terminated Provisional    -> Terminated Absorb
    Terminated Success        -> Terminated Absorb
    Terminated Failure        -> Terminated Absorb
    Terminated Ack            -> Terminated Absorb
    Terminated Due            -> Terminated Absorb
    Terminated TransportError -> Terminated Absorb
    ");
    }

    /// STX-011..014
    #[test]
    fn every_state_answers_every_input_over_a_connection() {
        insta::assert_snapshot!(matrix(true), @r"
    Proceeding Copy           -> Proceeding Repeat
    Proceeding Provisional    -> Proceeding Send
    Proceeding Success        -> Accepted   Send, due at 32.100
    Proceeding Failure        -> Completed  Send, due at 32.100
    Proceeding Ack            -> Proceeding Absorb
    Proceeding Due            -> Proceeding Absorb
    Proceeding TransportError -> Proceeding Absorb
    Completed  Copy           -> Completed  Repeat, due at 32.100
    Completed  Provisional    -> Completed  Absorb, due at 32.100
    Completed  Success        -> Completed  Absorb, due at 32.100
    Completed  Failure        -> Completed  Absorb, due at 32.100
    Completed  Ack            -> Terminated Terminate
    Completed  Due            -> Terminated Terminate
    Completed  TransportError -> Completed  Absorb, due at 32.100
    Terminated Copy           -> Terminated Absorb
    Terminated Provisional    -> Terminated Absorb
    Terminated Success        -> Terminated Absorb
    Terminated Failure        -> Terminated Absorb
    Terminated Ack            -> Terminated Absorb
    Terminated Due            -> Terminated Absorb
    Terminated TransportError -> Terminated Absorb
    Accepted   Copy           -> Accepted   Absorb, due at 32.100
    Accepted   Provisional    -> Accepted   Absorb, due at 32.100
    Accepted   Success        -> Accepted   Send, due at 32.100
    Accepted   Failure        -> Accepted   Absorb, due at 32.100
    Accepted   Ack            -> Accepted   Pass, due at 32.100
    Accepted   Due            -> Terminated Terminate
    Accepted   TransportError -> Accepted   Absorb, due at 32.100
    Terminated Copy           -> Terminated Absorb
    Terminated Provisional    -> Terminated Absorb
    Terminated Success        -> Terminated Absorb
    Terminated Failure        -> Terminated Absorb
    Terminated Ack            -> Terminated Absorb
    Terminated Due            -> Terminated Absorb
    Terminated TransportError -> Terminated Absorb
    ");
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
                other @ (Effect::Absorb | Effect::Send | Effect::Pass) => panic!("{other:?}"),
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
