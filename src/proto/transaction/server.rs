//! The non-INVITE server transaction (RFC 3261 §17.2.2, figure 8; RFC 4320 §4.1).
//!
//! ```text
//!                    │ request
//!               ┌────▼────┐ copy: absorbed
//!     error ┌───┤ Trying  ├───────────────┐ 3.5 s: 100 is sent
//!           │   └────┬────┘        ┌──────▼──────┐ copy: 100 again
//!           │        │ 200-699     │ Proceeding  │
//!           │        │             └──┬───────┬──┘
//!           │   ┌────▼──────┐ 200-699 │       │ error
//!           │   │ Completed │◀────────┘       │ copy: the answer again
//!           │   └────┬──────┘                 │
//!           │        │ J = 64·T1 (UDP) or 0   │
//!           │   ┌────▼───────┐                │
//!           └───▶ Terminated ◀────────────────┘
//!               └────────────┘
//! ```
//!
//! The machine is pure and never sees a message: [`Server::on`] says what to do with the answer. The only provisional
//! answer is the 100 of RFC 4320, and it comes by the machine's own timer.

use std::time::Duration;

use crate::proto::timers::Timing;

/// Where the transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing answered yet.
    Trying,
    /// 100 was sent.
    Proceeding,
    /// The answer was sent; copies of the request get it again until Timer J.
    Completed,
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The request came again.
    Copy,
    /// Nothing was answered for [`Server::patience`].
    Slow,
    /// The transaction user answers: 200 to 699.
    Final,
    /// Timer J ran out.
    Over,
    /// The answer could not be sent.
    TransportError,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Absorb,
    /// Send 100, and keep it.
    Trying,
    /// Send the last answer once more.
    Repeat,
    /// Send the answer and keep it for so long: Timer J.
    Keep(Duration),
    /// Send the answer, and forget the transaction.
    Finish,
    /// Forget the transaction.
    Terminate,
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    state: State,
    reliable: bool,
    timing: Timing,
}

impl Server {
    /// Starts in Trying. `reliable` says that the transport retransmits by itself: then Timer J is 0.
    #[must_use]
    pub fn start(reliable: bool, timing: Timing) -> Server {
        Server { state: State::Trying, reliable, timing }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When 100 is due, if nothing else was answered: once the client's Timer E has reached T2, 3.5 s with the usual
    /// T1. Earlier it must not come over UDP, later it must (RFC 4320 §4.1).
    #[must_use]
    pub fn patience(timing: Timing) -> Duration {
        let (mut sum, mut gap) = (Duration::ZERO, timing.t1);
        while gap < timing.t2() && !gap.is_zero() {
            sum += gap;
            gap *= 2;
        }
        sum
    }

    /// One input, its effect.
    pub fn on(&mut self, input: Input) -> Effect {
        match (self.state, input) {
            (State::Trying, Input::Slow) => {
                self.state = State::Proceeding;
                Effect::Trying
            }
            (State::Proceeding | State::Completed, Input::Copy) => Effect::Repeat,
            (State::Trying | State::Proceeding, Input::Final) if self.reliable => {
                self.state = State::Terminated;
                Effect::Finish
            }
            (State::Trying | State::Proceeding, Input::Final) => {
                self.state = State::Completed;
                Effect::Keep(self.timing.patience())
            }
            (State::Completed, Input::Over)
            | (State::Trying | State::Proceeding | State::Completed, Input::TransportError) => {
                self.state = State::Terminated;
                Effect::Terminate
            }
            (State::Trying, Input::Copy | Input::Over)
            | (State::Proceeding, Input::Slow | Input::Over)
            | (State::Completed, Input::Slow | Input::Final)
            | (State::Terminated, _) => Effect::Absorb,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn matrix(reliable: bool) -> String {
        let ways: [&[Input]; 4] = [&[], &[Input::Slow], &[Input::Final], &[Input::TransportError]];
        let inputs = [Input::Copy, Input::Slow, Input::Final, Input::Over, Input::TransportError];
        let mut out = String::new();
        for way in ways {
            for input in inputs {
                let mut server = Server::start(reliable, Timing::default());
                for before in way {
                    server.on(*before);
                }
                let before = server.state();
                let effect = server.on(input);
                let (before, after) = (format!("{before:?}"), format!("{:?}", server.state()));
                let _ = writeln!(out, "{before:<10} {:<14} -> {after:<10} {effect:?}", format!("{input:?}"));
            }
        }
        out
    }

    /// STX-003..007 STX-020
    #[test]
    fn every_state_answers_every_input_over_udp() {
        insta::assert_snapshot!(matrix(false), @r"
        Trying     Copy           -> Trying     Absorb
        Trying     Slow           -> Proceeding Trying
        Trying     Final          -> Completed  Keep(32s)
        Trying     Over           -> Trying     Absorb
        Trying     TransportError -> Terminated Terminate
        Proceeding Copy           -> Proceeding Repeat
        Proceeding Slow           -> Proceeding Absorb
        Proceeding Final          -> Completed  Keep(32s)
        Proceeding Over           -> Proceeding Absorb
        Proceeding TransportError -> Terminated Terminate
        Completed  Copy           -> Completed  Repeat
        Completed  Slow           -> Completed  Absorb
        Completed  Final          -> Completed  Absorb
        Completed  Over           -> Terminated Terminate
        Completed  TransportError -> Terminated Terminate
        Terminated Copy           -> Terminated Absorb
        Terminated Slow           -> Terminated Absorb
        Terminated Final          -> Terminated Absorb
        Terminated Over           -> Terminated Absorb
        Terminated TransportError -> Terminated Absorb
        ");
    }

    /// STX-006
    #[test]
    fn over_a_connection_nothing_is_kept() {
        insta::assert_snapshot!(matrix(true), @r"
        Trying     Copy           -> Trying     Absorb
        Trying     Slow           -> Proceeding Trying
        Trying     Final          -> Terminated Finish
        Trying     Over           -> Trying     Absorb
        Trying     TransportError -> Terminated Terminate
        Proceeding Copy           -> Proceeding Repeat
        Proceeding Slow           -> Proceeding Absorb
        Proceeding Final          -> Terminated Finish
        Proceeding Over           -> Proceeding Absorb
        Proceeding TransportError -> Terminated Terminate
        Terminated Copy           -> Terminated Absorb
        Terminated Slow           -> Terminated Absorb
        Terminated Final          -> Terminated Absorb
        Terminated Over           -> Terminated Absorb
        Terminated TransportError -> Terminated Absorb
        Terminated Copy           -> Terminated Absorb
        Terminated Slow           -> Terminated Absorb
        Terminated Final          -> Terminated Absorb
        Terminated Over           -> Terminated Absorb
        Terminated TransportError -> Terminated Absorb
        ");
    }

    /// STX-019
    #[test]
    fn a_100_is_due_when_the_clients_retransmissions_have_slowed_down() {
        assert_eq!(Server::patience(Timing::default()), Duration::from_millis(3500));
        assert_eq!(
            Server::patience(Timing::with_t1(Duration::from_millis(100))),
            Duration::from_millis(6300)
        );
        assert_eq!(Server::patience(Timing::with_t1(Duration::ZERO)), Duration::ZERO);
    }
}
