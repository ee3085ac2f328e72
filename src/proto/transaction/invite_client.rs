//! The INVITE client transaction (RFC 3261 §17.1.1, figure 5, with RFC 6026 §7.2).
//!
//! ```text
//!            start: send, A = T1 (UDP), B = 64·T1
//!                         │
//!                    ┌────▼────┐ A: send again, A = 2A
//!       ┌────────────┤ Calling ├────────────────┐
//!       │ B, error   └──┬────┬─┘ 300-699: ACK   │ 2xx
//!       │           1xx │    └────────┐         │
//!       │          ┌────▼───────┐     │         │
//!       │  error,  │ Proceeding │ 1xx: passed up│
//!       │  B after └──┬──┬────┬─┘     │         │
//!       │  a CANCEL   │  │    └───────┼───────┐ │
//!       ├─────────────┘  │ 300-699:   │   2xx │ │
//!       │                │ ACK        │       │ │
//!       │             ┌──▼────────┐   │   ┌───▼─▼────┐ 2xx: passed up
//!       │             │ Completed │◀──┘   │ Accepted │
//!       │             └──┬────────┘       └────┬─────┘
//!       │   300-699: ACK │ D = 32 s (UDP),     │ M = 64·T1
//!       │          again │ or 0                │
//!       │          ┌─────▼──────┐              │
//!       └──────────▶ Terminated ◀──────────────┘
//!                  └────────────┘
//! ```
//!
//! A CANCEL is held until a 1xx has come (§9.1). From then on the final response has 64·T1 to come, by Timer B once more:
//! a server of RFC 2543 sends none.
//!
//! The machine is pure, as the one of [`client`](super::client), whose effects it shares. [`acknowledge`] and [`cancel`]
//! write the two requests that it sends by itself.

use std::time::Duration;

use bytes::Bytes;

use super::client::{Effect, Tell};
use crate::proto::timers::{Timer, Timing};
use crate::sip::{FieldError, Header, HeaderName, Message, Method, Request, RequestWriter, Response};

/// Timer D over UDP: the other side may repeat its refusal for so long, by its own T1 (§17.1.1.2).
const LINGER: Duration = Duration::from_secs(32);

/// Where the transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing heard.
    Calling {
        /// What Timer A was last set to.
        wait: Duration,
        /// A CANCEL waits for the first 1xx.
        is_cancelled: bool,
    },
    /// A 1xx came.
    Proceeding {
        /// The CANCEL was sent.
        is_cancelled: bool,
    },
    /// The INVITE was refused; each copy of the refusal gets its ACK until Timer D.
    Completed,
    /// A 2xx came; every other one is passed up until Timer M.
    Accepted,
    /// The transaction is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A matching 1xx.
    Provisional,
    /// A matching 2xx.
    Success,
    /// A matching 300-699.
    Failure,
    /// Nobody wants the call any more.
    Cancel,
    /// A timer ran out.
    Fired(Timer),
    /// The flow failed or was closed (§17.1.4).
    TransportError,
}

/// The machine of one transaction.
#[derive(Clone, Debug)]
pub struct InviteClient {
    state: State,
    reliable: bool,
    timing: Timing,
}

impl InviteClient {
    /// Starts in Calling. `reliable` says that the transport retransmits by itself: then there is no Timer A, and Timer D
    /// is 0.
    #[must_use]
    pub fn start(reliable: bool, timing: Timing) -> (InviteClient, Vec<Effect>) {
        let state = State::Calling { wait: timing.t1, is_cancelled: false };
        let mut effects = vec![Effect::Transmit, Effect::Start(Timer::B, timing.patience())];
        if !reliable {
            effects.push(Effect::Start(Timer::A, timing.t1));
        }
        (InviteClient { state, reliable, timing }, effects)
    }

    /// Whether it sends copies of its INVITE now: Timer A does, over unreliable transports, until something is heard.
    #[must_use]
    pub fn sends_copies(&self) -> bool {
        !self.reliable && matches!(self.state, State::Calling { .. })
    }

    /// The times that it keeps to.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// One input, all its effects. What a state has no arrow for is absorbed without effect.
    pub fn on(&mut self, input: Input) -> Vec<Effect> {
        match (self.state, input) {
            (State::Calling { wait, is_cancelled }, Input::Fired(Timer::A)) => {
                let wait = wait.saturating_mul(2);
                self.state = State::Calling { wait, is_cancelled };
                vec![Effect::Transmit, Effect::Start(Timer::A, wait)]
            }
            (State::Calling { wait, .. }, Input::Cancel) => {
                self.state = State::Calling { wait, is_cancelled: true };
                Vec::new()
            }
            (State::Calling { is_cancelled, .. }, Input::Provisional) => {
                self.state = State::Proceeding { is_cancelled: false };
                let mut effects = self.stop();
                effects.push(Effect::Tell(Tell::Provisional));
                if is_cancelled {
                    effects.extend(self.on(Input::Cancel));
                }
                effects
            }
            (State::Proceeding { .. }, Input::Provisional) => vec![Effect::Tell(Tell::Provisional)],
            (State::Proceeding { is_cancelled: false }, Input::Cancel) => {
                self.state = State::Proceeding { is_cancelled: true };
                vec![Effect::Cancel, Effect::Start(Timer::B, self.timing.patience())]
            }
            (State::Calling { .. } | State::Proceeding { .. }, Input::Success) => self.accept(),
            (State::Calling { .. } | State::Proceeding { .. }, Input::Failure) => self.complete(),
            (State::Calling { .. } | State::Proceeding { .. }, Input::Fired(Timer::B)) => {
                self.fail(Tell::Timeout)
            }
            (State::Calling { .. } | State::Proceeding { .. }, Input::TransportError) => {
                self.fail(Tell::TransportError)
            }
            (State::Completed, Input::Failure) => vec![Effect::Acknowledge],
            (State::Accepted, Input::Success) => vec![Effect::Tell(Tell::Final)],
            (State::Completed, Input::Fired(Timer::D)) => {
                self.state = State::Terminated;
                vec![Effect::Terminate]
            }
            (State::Accepted, Input::Fired(Timer::M)) => self.fail(Tell::Over),
            (State::Proceeding { .. }, Input::Cancel)
            | (
                State::Completed,
                Input::Provisional | Input::Success | Input::Cancel | Input::TransportError,
            )
            | (
                State::Accepted,
                Input::Provisional | Input::Failure | Input::Cancel | Input::TransportError,
            )
            | (
                State::Calling { .. } | State::Proceeding { .. } | State::Completed | State::Accepted,
                Input::Fired(Timer::A | Timer::B | Timer::D | Timer::E | Timer::F | Timer::K | Timer::M),
            )
            | (State::Terminated, _) => Vec::new(),
        }
    }

    /// Stops what waits for a response.
    fn stop(&self) -> Vec<Effect> {
        vec![Effect::Stop(Timer::A), Effect::Stop(Timer::B)]
    }

    fn accept(&mut self) -> Vec<Effect> {
        self.state = State::Accepted;
        let mut effects = self.stop();
        effects.extend([Effect::Tell(Tell::Final), Effect::Start(Timer::M, self.timing.patience())]);
        effects
    }

    fn complete(&mut self) -> Vec<Effect> {
        let mut effects = self.stop();
        effects.extend([Effect::Acknowledge, Effect::Tell(Tell::Final)]);
        if self.reliable {
            self.state = State::Terminated;
            effects.push(Effect::Terminate);
        } else {
            self.state = State::Completed;
            effects.push(Effect::Start(Timer::D, LINGER));
        }
        effects
    }

    fn fail(&mut self, tell: Tell) -> Vec<Effect> {
        self.state = State::Terminated;
        vec![Effect::Tell(tell), Effect::Terminate]
    }
}

/// The ACK for a refusal of this INVITE (§17.1.1.3): To, with its tag, is that of the response. `None`: the INVITE, which
/// is one of ours, lacks what every request has.
#[must_use]
pub fn acknowledge(invite: &Bytes, response: &Response) -> Option<Bytes> {
    let to = response.headers.get(&HeaderName::To)?;
    write(&Method::Ack, &read(invite)?, to, None).ok()
}

/// The CANCEL of this INVITE (§9.1), as alike to it as an ACK is, with that Reason (RFC 3326). `None`: as [`acknowledge`].
#[must_use]
pub fn cancel(invite: &Bytes, reason: Option<&Bytes>) -> Option<Bytes> {
    let invite = read(invite)?;
    let to = invite.headers.get(&HeaderName::To)?;
    write(&Method::Cancel, &invite, to, reason).ok()
}

fn read(invite: &Bytes) -> Option<Request> {
    match Message::parse_datagram(invite.clone()).ok()? {
        Message::Request(request) => Some(request),
        Message::Response(_) => None,
    }
}

/// A request that takes the way of an INVITE up to the next hop and no further: it has the topmost Via alone, with the
/// same branch, and the same Route.
fn write(
    method: &Method,
    invite: &Request,
    to: &Header,
    reason: Option<&Bytes>,
) -> Result<Bytes, FieldError> {
    let headers = &invite.headers;
    let mut out = RequestWriter::new(method, &invite.uri);
    let via = headers.top_via()?;
    let _ = out.row(HeaderName::Via, via);
    headers.all(&HeaderName::Route).for_each(|row| out.copy(row));
    out.copy(headers.required(&HeaderName::From)?);
    out.copy(to);
    out.copy(headers.required(&HeaderName::CallId)?);
    let number = headers.cseq()?.number;
    let _ = out.row(HeaderName::CSeq, format_args!("{number} {}", method.as_str()));
    let _ = out.row(HeaderName::MaxForwards, 70);
    if let Some(reason) = reason.and_then(|reason| Header::new(HeaderName::Reason, reason.clone()).ok()) {
        out.copy(&reason);
    }
    Ok(out.finish())
}

#[cfg(test)]
mod tests;
