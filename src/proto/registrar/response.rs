//! What a client is told of what the location service did (RFC 3261 §10.3 step 8).

use std::fmt::Write;

use crate::proto::Time;
use crate::proto::binding::{Binding, StoreFailure, Stored};
use crate::proto::uas::Reply;
use crate::sip::{Date, HeaderName, Request};

/// How long a client is asked to wait where bindings have to end first, in seconds.
const RETRY_AFTER_FULL: &str = "60";

/// How long a client is asked to wait whose request alone binds more than is allowed, in seconds.
const NEVER_FREE: u32 = 3600;

/// The 200: every binding that is live now, each with the time it has left, and the time of day.
#[must_use]
pub fn granted(request: &Request, stored: &Stored, dater: &mut Dater, now: Time) -> Reply {
    let mut answer = Reply::new(200);
    answer.rows.reserve(stored.bindings.len() + 3);
    for binding in stored.bindings.iter() {
        answer = answer.with(HeaderName::Contact, listed(binding, now));
    }
    // RFC 3327 §5.3: a Path that was taken is in the answer as it came.
    if stored.bindings.iter().any(|binding| !binding.path().is_empty()) {
        for row in request.headers.all(&HeaderName::Path) {
            answer.rows.push(row.clone());
        }
    }
    answer.with(HeaderName::Date, dater.date(now))
}

fn listed(binding: &Binding, now: Time) -> String {
    let mut text = String::with_capacity(binding.contact().len() + 24);
    text.push_str(binding.contact());
    // Writing to a String cannot fail.
    let _ = match binding.q {
        Some(q) => write!(text, ";q={q};expires={}", binding.left(now)),
        None => write!(text, ";expires={}", binding.left(now)),
    };
    text
}

/// The answer when nothing was changed, or it is not known whether something was. `wait` says after how many seconds it may
/// be tried again where the location service is away, and is asked then only.
#[must_use]
pub fn failed(failure: StoreFailure, wait: impl FnOnce() -> u32) -> Reply {
    match failure {
        StoreFailure::OutOfOrder => Reply::because(500, "CSeq is not higher than before"),
        StoreFailure::TooMany => full(&[], Time::default()),
        StoreFailure::Full => {
            Reply::because(503, "the location service is full").with(HeaderName::RetryAfter, RETRY_AFTER_FULL)
        }
        StoreFailure::Unavailable => busy(wait()),
        StoreFailure::Failed => Reply::new(500),
    }
}

/// The answer for lack of time: it may be tried again after so many seconds.
#[must_use]
pub fn busy(seconds: u32) -> Reply {
    Reply::new(503).with(HeaderName::RetryAfter, seconds.to_string())
}

/// The answer to one binding too many while these are held: not now, but when the first of them has ended. (403 would
/// make clients give up for good, or ask again and again.)
#[must_use]
pub fn full(held: &[Binding], now: Time) -> Reply {
    let first = held.iter().map(|binding| binding.left(now)).min().unwrap_or(NEVER_FREE);
    Reply::because(503, "too many bindings").with(HeaderName::RetryAfter, first.max(1).to_string())
}

/// Writes the Date row, once a second.
#[derive(Debug, Default)]
pub struct Dater {
    second: u64,
    text: String,
}

impl Dater {
    /// The date as RFC 3261 §20.17 wants it.
    pub fn date(&mut self, now: Time) -> String {
        let second = now.as_millis() / 1000;
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = Date::from_epoch(second).to_string();
        }
        self.text.clone()
    }
}
