//! The best response (RFC 3261 §16.7 steps 6 and 7): what a caller hears of the final responses of all branches.
//!
//! Life of a [`Best`]: each final response of a branch is added when it comes, and when all are there one is chosen.
//! Kept are the best one so far and the challenges of the others, not all responses.

use bytes::Bytes;

use crate::proto::uas::Reply;
use crate::sip::{Header, HeaderName, Response};

/// Octets of challenges that are kept of all responses but the best: a response has to fit into a datagram.
const CHALLENGES: usize = 16 << 10;

/// How a branch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Final {
    /// With this response, our Via taken off.
    Received(Response),
    /// Without one: what counts instead (408 after silence, 503 for a target that can't be reached).
    Made(Reply),
}

impl Final {
    fn status(&self) -> u16 {
        match self {
            Final::Received(response) => response.status,
            Final::Made(reply) => reply.status,
        }
    }

    /// What it is worth to the caller; less is better. What a device has said tells more than that one can't be reached.
    fn rank(&self) -> (u8, u8) {
        match (self, rank(self.status())) {
            (Final::Made(_), (class, _)) => (class, 2),
            (Final::Received(_), rank) => rank,
        }
    }
}

/// The best of the final responses so far.
#[derive(Clone, Debug, Default)]
pub struct Best {
    best: Option<Final>,
    /// WWW-Authenticate and Proxy-Authenticate of the other 401 and 407, in the order they came.
    challenges: Vec<Header>,
    /// How long they are together, in octets.
    octets: usize,
}

impl Best {
    /// Takes in how one more branch ended. Of equals the first one stays.
    pub fn add(&mut self, one: Final) {
        match &self.best {
            Some(best) if best.rank() <= one.rank() => self.collect(&one),
            Some(_) | None => self.best = Some(one),
        }
    }

    /// The response to pass on: a 6xx, else one of the lowest class, there rather one that tells the caller what to
    /// change. A 401 or 407 has the challenges of all. A 503 would say that nobody is reachable through this proxy, and
    /// becomes a 500 of its own.
    #[must_use]
    pub fn choose(self) -> Option<Final> {
        let best = self.best?;
        match best.status() {
            503 => Some(Final::Made(Reply::new(500))),
            401 | 407 => Some(with_challenges(best, self.challenges)),
            _ => Some(best),
        }
    }

    /// Keeps the challenges of a response that is not the best.
    fn collect(&mut self, one: &Final) {
        let Final::Received(response) = one else { return };
        if !is_challenge(response.status) {
            return;
        }
        for row in &response.headers {
            let is_one = matches!(row.name(), HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
            let octets = self.octets + row.name().as_str().len() + row.value().len();
            if is_one && octets <= CHALLENGES {
                // A copy: the row would hold on to the whole datagram.
                self.challenges.extend(Header::new(row.name().clone(), Bytes::copy_from_slice(row.value())));
                self.octets = octets;
            }
        }
    }
}

fn is_challenge(status: u16) -> bool {
    matches!(status, 401 | 407)
}

/// What a response is worth to the caller; less is better.
fn rank(status: u16) -> (u8, u8) {
    match status {
        // A 2xx does not wait for the others; where it has, nothing is better.
        200..=299 => (0, 0),
        600.. => (1, 0),
        // They tell what to change in the request.
        401 | 407 | 415 | 420 | 484 => (status_class(status), 0),
        // They only say that a branch was given up, or was too long silent.
        408 | 487 => (status_class(status), 2),
        503 => (status_class(status), 2),
        _ => (status_class(status), 1),
    }
}

/// The first digit, behind 2xx and 6xx.
fn status_class(status: u16) -> u8 {
    u8::try_from(status / 100).unwrap_or(u8::MAX)
}

fn with_challenges(best: Final, challenges: Vec<Header>) -> Final {
    match best {
        Final::Received(mut response) => {
            response.headers.extend(challenges);
            Final::Received(response)
        }
        Final::Made(mut reply) => {
            reply.rows.extend(challenges);
            Final::Made(reply)
        }
    }
}

#[cfg(test)]
mod tests;
