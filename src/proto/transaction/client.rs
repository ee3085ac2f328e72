//! The non-INVITE client transaction (RFC 3261 §17.1.2, figure 6; RFC 4320 §4.1).
//!
//! ```text
//!            start: send, E = T1 (UDP), F = 64·T1
//!                      │
//!                 ┌────▼────┐ E: send again, E = min(2E, T2)
//!        F, error │ Trying  │──────────────┐ 1xx
//!      ┌──────────┤         │              │
//!      │          └────┬────┘     ┌────────▼────┐ E: send again, E = T2
//!      │           2xx-│6xx       │ Proceeding  │ 1xx: passed up
//!      │               │  2xx-6xx └──┬───────┬──┘
//!      │          ┌────▼──────┐◀─────┘       │ F, error
//!      │          │ Completed │ K = T4 (UDP) or 0; absorbs copies
//!      │          └────┬──────┘              │
//!      │             K │                     │
//!      │        ┌──────▼─────┐               │
//!      └────────▶ Terminated ◀───────────────┘
//!               └────────────┘
//! ```
//!
//! The machine is pure: [`Client::start`] and [`Client::on`] return [`Effect`]s, and the endpoint carries them out. It
//! never sees a message, only which kind came.

use std::time::Duration;

use crate::proto::timers::{Timer, Timing};

/// Where the transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing heard. `wait` is the gap before the next copy.
    Trying {
        /// What Timer E was last set to.
        wait: Duration,
    },
    /// A 1xx came.
    Proceeding,
    /// A final response came; copies of it are absorbed until Timer K.
    Completed,
    /// The transaction is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A matching 1xx.
    Provisional,
    /// A matching 2xx-6xx.
    Final,
    /// A timer ran out.
    Fired(Timer),
    /// The flow failed or was closed (§17.1.4).
    TransportError,
}

/// What the transaction user hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// The 1xx just given.
    Provisional,
    /// The final response just given: the only one, unless it is a 2xx to an INVITE.
    Final,
    /// Timer F, or B: as if a 408 had come (§8.1.3.1).
    Timeout,
    /// As if a 503 had come (§8.1.3.1).
    TransportError,
    /// Timer M: no further 2xx to an INVITE comes up.
    Over,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the request's octets (again).
    Transmit,
    /// Start a timer, or set it anew.
    Start(Timer, Duration),
    /// Stop a timer.
    Stop(Timer),
    /// Tell the transaction user.
    Tell(Tell),
    /// Send the ACK for the refusal just given, of an INVITE (§17.1.1.3).
    Acknowledge,
    /// Send the CANCEL of an INVITE (§9.1).
    Cancel,
    /// Destroy the transaction at once, with all its timers (§17.1.2.2).
    Terminate,
}

/// The machine of one transaction.
#[derive(Clone, Debug)]
pub struct Client {
    state: State,
    reliable: bool,
    timing: Timing,
}

impl Client {
    /// Starts in Trying. `reliable` says that the transport retransmits by itself: then there is no Timer E, and
    /// Timer K is 0.
    #[must_use]
    pub fn start(reliable: bool, timing: Timing) -> (Client, Vec<Effect>) {
        let client = Client { state: State::Trying { wait: timing.t1 }, reliable, timing };
        let mut effects = vec![Effect::Transmit, Effect::Start(Timer::F, timing.patience())];
        if !reliable {
            effects.push(Effect::Start(Timer::E, timing.t1));
        }
        (client, effects)
    }

    /// Whether it sends copies of its request until it is answered: Timer E does, over unreliable transports.
    #[must_use]
    pub fn sends_copies(&self) -> bool {
        !self.reliable
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// One input, all its effects. What a state has no arrow for is absorbed without effect.
    pub fn on(&mut self, input: Input) -> Vec<Effect> {
        match (self.state, input) {
            (State::Trying { wait }, Input::Fired(Timer::E)) => {
                let wait = wait.saturating_mul(2).min(self.timing.t2());
                self.state = State::Trying { wait };
                vec![Effect::Transmit, Effect::Start(Timer::E, wait)]
            }
            (State::Proceeding, Input::Fired(Timer::E)) => {
                vec![Effect::Transmit, Effect::Start(Timer::E, self.timing.t2())]
            }
            // Timer E goes on as it was set; only when it fires it is set to T2.
            (State::Trying { .. }, Input::Provisional) => {
                self.state = State::Proceeding;
                vec![Effect::Tell(Tell::Provisional)]
            }
            (State::Proceeding, Input::Provisional) => vec![Effect::Tell(Tell::Provisional)],
            (State::Trying { .. } | State::Proceeding, Input::Final) => self.complete(),
            (State::Trying { .. } | State::Proceeding, Input::Fired(Timer::F)) => self.fail(Tell::Timeout),
            (State::Trying { .. } | State::Proceeding, Input::TransportError) => {
                self.fail(Tell::TransportError)
            }
            (State::Completed, Input::Fired(Timer::K)) => {
                self.state = State::Terminated;
                vec![Effect::Terminate]
            }
            (State::Trying { .. } | State::Proceeding, Input::Fired(Timer::K))
            | (
                State::Trying { .. } | State::Proceeding | State::Completed,
                Input::Fired(Timer::A | Timer::B | Timer::D | Timer::M),
            )
            | (
                State::Completed,
                Input::Provisional | Input::Final | Input::TransportError | Input::Fired(Timer::E | Timer::F),
            )
            | (State::Terminated, _) => Vec::new(),
        }
    }

    fn complete(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::Stop(Timer::E), Effect::Stop(Timer::F), Effect::Tell(Tell::Final)];
        if self.reliable {
            self.state = State::Terminated;
            effects.push(Effect::Terminate);
        } else {
            self.state = State::Completed;
            effects.push(Effect::Start(Timer::K, self.timing.t4()));
        }
        effects
    }

    fn fail(&mut self, tell: Tell) -> Vec<Effect> {
        self.state = State::Terminated;
        vec![Effect::Tell(tell), Effect::Terminate]
    }
}

#[cfg(test)]
mod tests;
