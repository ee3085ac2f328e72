//! The timetable of a kept account, whatever becomes of its tries: each wait is bounded, and a good account is not given up.

use super::input::Input;
use sipreg::proto::Time;
use sipreg::proto::client::outcome::{CredentialsFailure, Failure, Refusal};
use sipreg::proto::client::schedule::{Due, Schedule};
use sipreg::proto::ids::Counting;
use std::time::Duration;

const STATUSES: [u16; 12] = [302, 400, 403, 404, 408, 423, 480, 481, 500, 501, 503, 603];

/// The longest wait: a lease of a week, less the margin; after a failure Retry-After's hour and a fifth.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
const LONGEST_AFTER_FAILURE: Duration = Duration::from_secs(3600 * 6 / 5);

/// What was seen so far, kept apart from the timetable.
struct Seen {
    was_bound: bool,
    /// When the refusals in a row began, and how many there were.
    refused: Option<(Time, u32)>,
}

/// Tries that end in every way, with everything that can happen in between.
pub fn gives_up_nobody_good(octets: &[u8]) {
    let mut input = Input::new(octets);
    let mut random = Counting::default();
    let mut now = Time::from_millis(1_792_000_000_000);
    let mut keep = Schedule::new(now, None);
    let mut seen = Seen { was_bound: false, refused: None };
    while !input.is_empty() {
        now = now + Duration::from_millis(u64::from(input.number()) * 10);
        let next = match input.below(8) {
            0 => keep.on_network_changed(&mut random, now),
            1 => keep.on_flow_lost(&mut random, now),
            2 => keep.on_refresh_requested(now),
            _ => tried(&mut input, &mut keep, &mut seen, &mut now, &mut random),
        };
        if let Due::Wait(at) = next {
            assert!(at.since(now) <= LONGEST, "{at:?} from {now:?}");
        }
    }
}

/// Waits until a try is due, and has it end.
fn tried(
    input: &mut Input<'_>,
    keep: &mut Schedule,
    seen: &mut Seen,
    now: &mut Time,
    random: &mut Counting,
) -> Due {
    let began = match keep.on_due(*now) {
        Due::Wait(at) => {
            *now = at;
            at
        }
        Due::Bind | Due::Remove | Due::Busy | Due::Resigned | Due::Over => *now,
    };
    let due = keep.on_due(began);
    if !matches!(due, Due::Busy | Due::Bind) {
        return due;
    }
    *now = *now + Duration::from_millis(u64::from(input.number()));
    if input.below(3) == 0 {
        seen.was_bound = true;
        seen.refused = None;
        return keep.on_bound(began, u32::from(input.number()), random, *now);
    }
    let (failure, is_refusal, is_hopeless) = failure(input);
    let next = keep.on_failed(&failure, seen.was_bound, random, *now);
    if is_refusal {
        let (since, before) = seen.refused.unwrap_or((*now, 0));
        seen.refused = Some((since, before + 1));
    } else if !is_hopeless {
        seen.refused = None;
    }
    match next {
        Due::Wait(at) => {
            assert!(at.since(*now) <= LONGEST_AFTER_FAILURE, "{failure:?}: {:?}", at.since(*now));
            assert!(at.since(began) >= Duration::from_secs(1), "{failure:?}: a fast cycle");
        }
        Due::Resigned => {
            let has_stood = seen
                .refused
                .is_some_and(|(since, tries)| tries >= 3 && now.since(since) >= Duration::from_secs(120));
            assert!(is_hopeless || (is_refusal && (!seen.was_bound || has_stood)), "{failure:?}");
        }
        Due::Bind | Due::Remove | Due::Busy | Due::Over => panic!("{next:?} after {failure:?}"),
    }
    next
}

/// A failure; whether it is a refusal that may be a mistake, and whether trying again makes it worse.
fn failure(input: &mut Input<'_>) -> (Failure, bool, bool) {
    let status = input.one(&STATUSES);
    let username = "u".to_owned();
    match input.below(8) {
        0 => (Failure::Timeout, false, false),
        1 => {
            let seconds = u32::from(input.number()) << input.below(17);
            (Failure::Refused(Refusal::RetryAfter { status, seconds }), false, false)
        }
        2 => (Failure::Credentials(CredentialsFailure::Forbidden { username }), true, false),
        3 => (Failure::Credentials(CredentialsFailure::NoChallenge), true, false),
        4 => {
            let realm = "r".to_owned();
            (Failure::Credentials(CredentialsFailure::Rejected { realm, username }), false, true)
        }
        5 => (Failure::Refused(Refusal::TooBrief { min_expires: None }), false, true),
        _ => {
            let may_stand = !matches!(status, 302 | 408 | 480 | 500 | 503);
            (Failure::Refused(Refusal::Status(status)), may_stand, false)
        }
    }
}
