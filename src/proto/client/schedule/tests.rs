use super::*;
use crate::proto::client::outcome::Unreachable;
use crate::proto::ids::Counting;

/// Always the same number: 0 is no jitter, 1000 is all of it.
struct Fixed(u64);

impl Random for Fixed {
    fn next(&mut self) -> u64 {
        self.0
    }
}

fn at(seconds: f64) -> Time {
    Time::from_millis((seconds * 1000.0) as u64)
}

fn wait(next: Due) -> f64 {
    match next {
        Due::Wait(at) => at.as_millis() as f64 / 1000.0,
        Due::Bind | Due::Remove | Due::Busy | Due::Resigned | Due::Over => panic!("{next:?}"),
    }
}

fn bound(granted: u32, random: &mut dyn Random) -> (Schedule, f64) {
    let mut keep = Schedule::new(at(0.0), None);
    assert_eq!(keep.on_due(at(0.0)), Due::Bind);
    let due = wait(keep.on_bound(at(0.0), granted, random, at(0.0)));
    (keep, due)
}

/// DES-001 DES-002 DES-004 DES-005 REG-016
#[test]
fn a_refresh_is_due_before_the_lease_ends_and_never_within_a_second() {
    let cases = [
        (1, 1.0, 1.0),
        (3, 1.5, 1.35),
        (20, 10.0, 9.0),
        (60, 30.0, 27.0),
        (74, 37.0, 33.3),
        (75, 38.0, 34.2),
        (300, 263.0, 236.7),
        (370, 333.0, 299.7),
        (3600, 3240.0, 2916.0),
        (86_400, 77_760.0, 69_984.0),
        (u32::MAX, 544_320.0, 489_888.0),
    ];
    for (granted, latest, earliest) in cases {
        assert_eq!(bound(granted, &mut Fixed(0)).1, latest, "{granted}");
        assert_eq!(bound(granted, &mut Fixed(1000)).1, earliest, "{granted}");
    }
}

/// DES-001 DES-004: refreshes of many meet at beats, as far as each is still right: a lease of a second has
/// no choice.
#[test]
fn a_refresh_moves_to_a_beat_within_what_is_right() {
    let origin = Time::from_millis(17);
    for (granted, beat) in [(1, 8), (2, 16), (4, 32), (20, 256), (75, 256), (3600, 256), (u32::MAX, 256)] {
        for chance in 0..=1000 {
            let began = at(5.0) + Duration::from_millis(chance * 7 % 300);
            let mut keep = Schedule::new(began, None);
            keep.on_due(began);
            let from = began + Duration::from_millis(3);
            keep.on_bound(from, granted, &mut Fixed(0), began);
            let latest = wait(keep.next());
            keep.lease = None;
            keep.state = State::Trying(After::Wait);
            let planned = wait(keep.on_bound(from, granted, &mut Fixed(chance), began));
            let aligned = wait(keep.align(origin));
            let lead = (latest - from.as_millis() as f64 / 1000.0) / 10.0;
            assert!(aligned <= latest && aligned >= latest - lead - 0.001, "{granted} {planned} {aligned}");
            assert!(aligned - began.as_millis() as f64 / 1000.0 >= 1.0, "{granted} {aligned}");
            let is_beat = ((aligned * 1000.0).round() as u64 - 17).is_multiple_of(beat);
            assert!(is_beat || (granted < 4 && aligned == planned), "{granted} {planned} {aligned}");
            assert!(keep.is_plain_refresh(at(aligned)));
        }
    }
}

/// DES-003: an answer that was under way for ten seconds makes the lease no longer.
#[test]
fn the_lifetime_counts_from_when_the_request_left() {
    let mut keep = Schedule::new(at(0.0), None);
    keep.on_due(at(0.0));
    assert_eq!(wait(keep.on_bound(at(1.0), 100, &mut Fixed(0), at(11.0))), 64.0);
    assert_eq!(keep.bound_until(), Some(at(101.0)));
}

/// DES-006 OUT-036 OUT-040: bounds of each step, without and with a lease that still lives.
#[test]
fn failures_are_answered_with_growing_patience() {
    for (random, expected) in [
        (0, [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0]),
        (1000, [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1800.0, 1800.0]),
    ] {
        let mut keep = Schedule::new(at(0.0), None);
        let mut now = 0.0;
        for wanted in expected {
            assert_eq!(keep.on_due(at(now)), Due::Bind);
            let due = wait(keep.on_failed(&Failure::Timeout, false, &mut Fixed(random), at(now)));
            assert_eq!(due - now, wanted);
            now = due;
        }
    }
    let (mut keep, due) = bound(3600, &mut Fixed(0));
    keep.on_due(at(due));
    let soon = wait(keep.on_failed(&Failure::Timeout, true, &mut Fixed(1000), at(due + 32.0)));
    assert_eq!(soon, due + 34.0);
    keep.on_due(at(soon));
    assert_eq!(wait(keep.on_failed(&Failure::Timeout, true, &mut Fixed(1000), at(soon))), soon + 30.0);
}

/// DES-001: with a server that says nothing, a second try leaves before the end.
#[test]
fn a_silent_server_is_asked_twice_before_the_lease_ends() {
    for granted in [75, 100, 300, 3600] {
        for random in [0, 1000] {
            let (mut keep, due) = bound(granted, &mut Fixed(random));
            keep.on_due(at(due));
            let second = wait(keep.on_failed(&Failure::Timeout, true, &mut Fixed(random), at(due + 32.0)));
            assert!(second < f64::from(granted), "{granted}: {second}");
        }
    }
}

/// DES-007 DES-018 OUT-037: one loss of what worked is tried at once; of what breaks down at once it is not.
#[test]
fn a_server_that_drops_every_connection_makes_no_fast_cycle() {
    let mut keep = Schedule::new(at(0.0), None);
    let mut random = Counting::default();
    let (mut now, mut tries) = (0.0, 0);
    while now < 3600.0 {
        assert_eq!(keep.on_due(at(now)), Due::Bind);
        tries += 1;
        keep.on_bound(at(now), 3600, &mut random, at(now));
        now = wait(keep.on_flow_lost(&mut random, at(now + 1.0)));
    }
    assert!(tries < 12, "{tries}");
    // A lease that has lived is another matter.
    let (mut keep, _) = bound(3600, &mut Fixed(0));
    for start in [2000.0, 4000.0, 6000.0] {
        let lost = wait(keep.on_flow_lost(&mut Fixed(1000), at(start)));
        assert_eq!(lost, start + 2.0);
        keep.on_due(at(lost));
        keep.on_bound(at(lost), 3600, &mut Fixed(0), at(lost));
    }
}

/// OUT-038: but for a keep-alive that was answered since it was bound, a flow that is lost again and again is no good one.
#[test]
fn what_keep_alives_have_proven_of_a_flow_counts_when_it_is_lost() {
    for (proves, wanted) in [(true, [2.0; 4]), (false, [2.0, 30.0, 60.0, 120.0])] {
        let (mut keep, _) = bound(3600, &mut Fixed(0));
        let mut now = 0.0;
        for most in wanted {
            now += 60.0;
            if proves {
                keep.on_flow_proven(at(now - 1.0));
            }
            let next = wait(keep.on_flow_lost(&mut Fixed(1000), at(now)));
            assert_eq!(next - now, most, "{proves}");
            now = next;
            keep.on_due(at(now));
            keep.on_bound(at(now), 3600, &mut Fixed(0), at(now + 0.1));
        }
    }
    // What was proven before it was bound says nothing.
    let (mut keep, _) = bound(3600, &mut Fixed(0));
    let next = wait(keep.on_flow_lost(&mut Fixed(1000), at(60.0)));
    keep.on_due(at(next));
    keep.on_bound(at(next), 3600, &mut Fixed(0), at(next));
    keep.on_flow_proven(at(50.0));
    assert_eq!(wait(keep.on_flow_lost(&mut Fixed(1000), at(100.0))), 130.0);
}

/// DES-008 COD-007 COD-018 OUT-039: with a lease that lives, one that has ended, and none.
#[test]
fn retry_after_is_believed_and_is_capped() {
    for (seconds, random, wanted) in [
        (0, 0, 1.0),
        (5, 0, 5.0),
        (5, 1000, 6.0),
        (100, 0, 100.0),
        (100, 1000, 120.0),
        (1_000_000_000, 0, 3600.0),
        (u32::MAX, 1000, 4320.0),
    ] {
        for status in [404, 413, 480, 486, 500, 503, 600, 603] {
            let failure = Failure::Refused(Refusal::RetryAfter { status, seconds });
            for (lease, at_s) in [(None, 0.0), (Some(3600), 3000.0), (Some(3600), 9000.0)] {
                let mut keep = match lease {
                    Some(lease) => bound(lease, &mut Fixed(0)).0,
                    None => Schedule::new(at(0.0), None),
                };
                keep.on_refresh_requested(at(at_s));
                keep.on_due(at(at_s));
                let due = wait(keep.on_failed(&failure, lease.is_some(), &mut Fixed(random), at(at_s)));
                assert_eq!(due - at_s, wanted, "{status} {seconds} {lease:?} {at_s}");
            }
        }
    }
}

/// The waits after these failures, each with the longest and the shortest jitter, beginning at 0.
fn waits(keep: &mut Schedule, random: u64, failures: &[Failure]) -> Vec<f64> {
    let mut now = wait(keep.on_refresh_requested(at(0.0)));
    let mut waits = Vec::new();
    for failure in failures {
        assert_eq!(keep.on_due(at(now)), Due::Bind);
        let due = wait(keep.on_failed(failure, true, &mut Fixed(random), at(now)));
        waits.push(due - now);
        now = due;
    }
    waits
}

/// DES-008 DES-006: five times in a row it is as the registrar says, then the longer of both counts. Something else in between,
/// or a success, begins a new row.
#[test]
fn a_registrar_that_asks_for_the_same_short_time_again_and_again_meets_the_backoff() {
    let busy = |seconds| Failure::Refused(Refusal::RetryAfter { status: 503, seconds });
    let fresh = || Schedule::new(at(0.0), None);
    let seven = vec![busy(5); 7];
    assert_eq!(waits(&mut fresh(), 0, &seven), [5.0, 5.0, 5.0, 5.0, 5.0, 480.0, 900.0]);
    assert_eq!(waits(&mut fresh(), 1000, &seven), [6.0, 6.0, 6.0, 6.0, 6.0, 960.0, 1800.0]);
    let long = vec![busy(3000); 7];
    assert_eq!(waits(&mut fresh(), 1000, &long), [3600.0; 7]);
    let mixed: Vec<_> = [vec![busy(5); 4], vec![Failure::Timeout], vec![busy(5); 6]].concat();
    let waited = waits(&mut fresh(), 0, &mixed);
    assert!(waited[5..10].iter().all(|wait| *wait == 5.0) && waited[10] > 100.0, "{waited:?}");
    let mut keep = fresh();
    waits(&mut keep, 0, &seven[..5]);
    keep.on_due(at(1000.0));
    keep.on_bound(at(1000.0), 60, &mut Fixed(0), at(1000.0));
    keep.on_due(at(1030.0));
    assert_eq!(wait(keep.on_failed(&busy(5), true, &mut Fixed(0), at(1030.0))), 1035.0);
}

/// DES-009 COD-022: what can't pass stops it, or is probed slowly.
#[test]
fn what_failed_for_good_is_not_hammered() {
    let wrong = || {
        Failure::Credentials(CredentialsFailure::Rejected { realm: "r".to_owned(), username: "u".to_owned() })
    };
    for failure in [
        refused(400),
        refused(403),
        refused(404),
        refused(405),
        refused(410),
        refused(600),
        refused(603),
        wrong(),
    ] {
        let mut keep = Schedule::new(at(0.0), None);
        keep.on_due(at(0.0));
        assert_eq!(keep.on_failed(&failure, false, &mut Fixed(0), at(0.0)), Due::Resigned, "{failure:?}");
        assert_eq!(keep.on_due(at(1e6)), Due::Resigned);
        // The user may know better.
        assert_eq!(wait(keep.on_refresh_requested(at(2e6))), 2e6);
        let mut keep = Schedule::new(at(0.0), Some(Duration::from_secs(600)));
        keep.on_due(at(0.0));
        assert_eq!(wait(keep.on_failed(&failure, false, &mut Fixed(0), at(1.0))), 601.0);
    }
    for failure in [
        refused(408),
        refused(480),
        refused(500),
        refused(502),
        refused(503),
        refused(504),
        Failure::Unreachable(Unreachable::Closed),
    ] {
        let mut keep = Schedule::new(at(0.0), None);
        keep.on_due(at(0.0));
        assert_eq!(wait(keep.on_failed(&failure, false, &mut Fixed(0), at(0.0))), 15.0, "{failure:?}");
    }
}

fn refused(status: u16) -> Failure {
    Failure::Refused(Refusal::Status(status))
}

/// RSP-023 COD-004 COD-006 COD-007 COD-008 COD-011 COD-012 COD-015 COD-024 DES-006 DES-009: an account that was bound before is
/// good, whatever the registrar says for a moment. The first retry is soon, the others at the usual distance.
#[test]
fn a_good_account_is_given_up_only_after_three_tries_over_two_minutes() {
    let statuses = [400, 403, 404, 405, 406, 410, 416, 430, 481, 482, 499, 501, 505, 600, 603, 604, 606, 699];
    let forbidden = Failure::Credentials(CredentialsFailure::Forbidden { username: "u".to_owned() });
    let unasked = Failure::Credentials(CredentialsFailure::NoChallenge);
    for failure in statuses.map(refused).into_iter().chain([forbidden, unasked]) {
        for (random, expected) in
            [(0, vec![1.0, 15.0, 30.0, 60.0, 120.0]), (1000, vec![2.0, 30.0, 60.0, 120.0])]
        {
            let (mut keep, _) = bound(3600, &mut Fixed(0));
            let mut waited = Vec::new();
            let mut now = wait(keep.on_refresh_requested(at(2000.0)));
            let end = loop {
                assert_eq!(keep.on_due(at(now)), Due::Bind);
                let next = keep.on_failed(&failure, true, &mut Fixed(random), at(now));
                let Due::Wait(_) = next else { break next };
                waited.push(wait(next) - now);
                now = wait(next);
            };
            assert_eq!(end, Due::Resigned, "{failure:?}");
            assert_eq!(waited, expected, "{failure:?}");
            assert!(waited.len() >= 3 && waited.iter().sum::<f64>() >= 120.0);
            assert!(keep.bound_until().is_some(), "what it holds is not forgotten");
        }
    }
}

/// DES-009: three tries are needed however long they take, and the answer must have stood: what may pass in between, or a
/// success, begins anew.
#[test]
fn a_refusal_that_does_not_stand_gives_nobody_up() {
    let (mut keep, _) = bound(60, &mut Fixed(0));
    // The lease has ended long ago, and so has the silence that came before.
    let silence = vec![Failure::Timeout; 8];
    waits(&mut keep, 0, &silence);
    let mut now = 10_000.0;
    for failure in [
        refused(404),
        refused(404),
        Failure::Timeout,
        refused(404),
        refused(404),
        Failure::Refused(Refusal::RetryAfter { status: 404, seconds: 3600 }),
        refused(404),
        refused(404),
    ] {
        keep.on_refresh_requested(at(now));
        keep.on_due(at(now));
        assert!(matches!(keep.on_failed(&failure, true, &mut Fixed(0), at(now)), Due::Wait(_)), "{now}");
        now += 1000.0;
    }
    keep.on_refresh_requested(at(now));
    keep.on_due(at(now));
    keep.on_bound(at(now), 60, &mut Fixed(0), at(now));
    for _ in 0..2 {
        now += 1000.0;
        keep.on_due(at(now));
        assert!(matches!(keep.on_failed(&refused(403), true, &mut Fixed(0), at(now)), Due::Wait(_)));
    }
    now += 1000.0;
    keep.on_due(at(now));
    assert_eq!(keep.on_failed(&refused(403), true, &mut Fixed(0), at(now)), Due::Resigned);
}

/// DES-009: a wrong password may lock the account, and an extension or a lifetime won't be another in a minute.
#[test]
fn what_trying_again_makes_worse_ends_at_once_also_for_a_good_account() {
    for failure in [
        Failure::Credentials(CredentialsFailure::Rejected {
            realm: "r".to_owned(),
            username: "u".to_owned(),
        }),
        Failure::Refused(Refusal::TooBrief { min_expires: None }),
        Failure::Refused(Refusal::Extension { status: 420, tags: vec![] }),
        Failure::Refused(Refusal::Extension { status: 421, tags: vec![] }),
    ] {
        let (mut keep, due) = bound(3600, &mut Fixed(0));
        keep.on_due(at(due));
        assert_eq!(keep.on_failed(&failure, true, &mut Fixed(0), at(due)), Due::Resigned, "{failure:?}");
    }
}

/// DES-006 DES-007: a registrar that was away at the start, and fails at every second refresh, twice in a row or once.
#[test]
fn short_leases_forgive_too() {
    for granted in [1, 2, 4, 20, 60, 74, 75, 100, 3600] {
        for random in [0, 500, 1000] {
            let mut keep = Schedule::new(at(0.0), None);
            let away = vec![Failure::Timeout; 6];
            waits(&mut keep, random, &away);
            let mut now = 5000.0;
            keep.on_due(at(now));
            now = wait(keep.on_bound(at(now), granted, &mut Fixed(random), at(now)));
            for cycle in 0..5 {
                keep.on_due(at(now));
                let soon = wait(keep.on_failed(&refused(500), true, &mut Fixed(random), at(now)));
                assert!((1.0..=2.0).contains(&(soon - now)), "{granted} {cycle}: {}", soon - now);
                now = soon;
                if cycle == 4 {
                    keep.on_due(at(now));
                    let later = wait(keep.on_failed(&refused(500), true, &mut Fixed(random), at(now)));
                    assert!((15.0..=30.0).contains(&(later - now)), "{granted}: {}", later - now);
                }
                keep.on_due(at(now));
                now = wait(keep.on_bound(at(now), granted, &mut Fixed(random), at(now)));
            }
        }
    }
}

/// DES-006 DES-007: the first failure of a live lease is excused whatever was before it; only the second meets what it has
/// come to. A refresh that succeeds before its time forgives as well.
#[test]
fn the_first_retry_with_a_live_lease_is_soon_however_long_the_failures_before_it() {
    let away = vec![Failure::Timeout; 4];
    let mut keep = Schedule::new(at(0.0), None);
    waits(&mut keep, 0, &away);
    keep.on_due(at(1000.0));
    keep.on_bound(at(1000.0), 3600, &mut Fixed(0), at(1000.0));
    for (now, least, most) in [(1010.0, 1.0, 2.0), (1020.0, 240.0, 480.0)] {
        keep.on_refresh_requested(at(now));
        keep.on_due(at(now));
        let waited = wait(keep.on_failed(&Failure::Timeout, true, &mut Fixed(1000), at(now))) - now;
        assert!((least..=most).contains(&waited), "{waited}");
    }
    let mut keep = Schedule::new(at(0.0), None);
    waits(&mut keep, 0, &away);
    for now in [1000.0, 1010.0] {
        keep.on_refresh_requested(at(now));
        keep.on_due(at(now));
        keep.on_bound(at(now), 3600, &mut Fixed(0), at(now));
    }
    assert_eq!(wait(keep.on_flow_lost(&mut Fixed(1000), at(1011.0))), 1013.0);
}

/// DES-016 DES-017: news of the network that lead to a failure again and again, also while a try is under way.
#[test]
fn tries_that_the_network_caused_do_not_raise_the_backoff() {
    for is_bound in [false, true] {
        let mut keep = if is_bound { bound(3600, &mut Fixed(0)).0 } else { Schedule::new(at(0.0), None) };
        let before = waits(&mut keep, 1000, &[Failure::Timeout, Failure::Timeout]);
        let level = *before.last().unwrap();
        let mut now = before.iter().sum::<f64>() - 20.0;
        for _ in 0..9 {
            assert!(keep.is_failing());
            assert_eq!(wait(keep.on_network_changed(&mut Fixed(1000), at(now))), now + 1.0);
            now += 1.0;
            keep.on_due(at(now));
            let due = wait(keep.on_failed(&Failure::Timeout, is_bound, &mut Fixed(1000), at(now)));
            assert_eq!(due - now, level, "{is_bound}");
            now += 6.0;
        }
        // One under way when the news come is disturbed by them, and the next caused by them.
        keep.on_refresh_requested(at(now));
        keep.on_due(at(now));
        assert_eq!(keep.on_network_changed(&mut Fixed(0), at(now + 3.0)), Due::Busy);
        let again = wait(keep.on_failed(&Failure::Timeout, is_bound, &mut Fixed(1000), at(now + 5.0)));
        assert_eq!(again, now + 5.0);
        keep.on_due(at(again));
        let due = wait(keep.on_failed(&Failure::Timeout, is_bound, &mut Fixed(1000), at(again)));
        assert_eq!(due - again, level);
        // The next is the timetable's, and counts.
        keep.on_due(at(due));
        let later = wait(keep.on_failed(&Failure::Timeout, is_bound, &mut Fixed(1000), at(due)));
        assert_eq!(later - due, level * 2.0);
    }
}

/// DES-016: an account that is bound again is not among those that fail.
#[test]
fn what_failed_before_a_success_is_no_failure_any_more() {
    let mut keep = Schedule::new(at(0.0), None);
    assert!(!keep.is_failing());
    waits(&mut keep, 0, &[Failure::Timeout, Failure::Timeout]);
    assert!(keep.is_failing());
    keep.on_due(at(1000.0));
    keep.on_bound(at(1000.0), 60, &mut Fixed(0), at(1000.0));
    assert!(!keep.is_failing());
    keep.on_flow_lost(&mut Fixed(0), at(1001.0));
    assert!(keep.is_failing());
}

/// DES-011 DES-013 REG-018: ten triggers while one is under way make one more, a second after it began.
#[test]
fn triggers_are_merged_and_not_lost() {
    let mut keep = Schedule::new(at(0.0), None);
    assert_eq!(keep.on_due(at(0.0)), Due::Bind);
    for _ in 0..10 {
        assert_eq!(keep.on_refresh_requested(at(0.1)), Due::Busy);
        assert_eq!(keep.on_due(at(0.1)), Due::Busy);
    }
    assert_eq!(wait(keep.on_bound(at(0.0), 3600, &mut Fixed(0), at(0.2))), 1.0);
    assert_eq!(keep.on_due(at(1.0)), Due::Bind);
    assert_eq!(wait(keep.on_bound(at(1.0), 3600, &mut Fixed(0), at(1.2))), 3241.0);
}

/// DES-012: a try that could not even be sent frees the place.
#[test]
fn a_try_that_came_to_nothing_is_followed_by_another() {
    let (mut keep, due) = bound(60, &mut Fixed(0));
    keep.on_due(at(due));
    let failure = Failure::Unreachable(Unreachable::Closed);
    let again = wait(keep.on_failed(&failure, true, &mut Fixed(0), at(due)));
    assert_eq!(again, due + 1.0);
    assert_eq!(keep.on_due(at(again)), Due::Bind);
}

/// DES-019 as far as the order goes: what is bound, or may be, is removed; what is under way is waited for.
#[test]
fn leaving_removes_what_may_be_bound_and_nothing_else() {
    let mut idle = Schedule::new(at(0.0), None);
    assert_eq!(idle.on_stop(false), Due::Over);
    assert_eq!(idle.on_stop(false), Due::Over);

    let (mut keep, _) = bound(60, &mut Fixed(0));
    assert_eq!(keep.on_stop(true), Due::Remove);
    assert_eq!(keep.on_refresh_requested(at(1.0)), Due::Busy);
    assert_eq!((keep.on_left(), keep.bound_until()), (Due::Over, None));

    for (may_be_bound, then) in [(true, Due::Remove), (false, Due::Over)] {
        let mut keep = Schedule::new(at(0.0), None);
        keep.on_due(at(0.0));
        assert_eq!((keep.on_stop(false), keep.is_leaving()), (Due::Busy, true));
        assert_eq!(keep.on_failed(&Failure::Timeout, may_be_bound, &mut Fixed(0), at(1.0)), then);
    }
    let mut keep = Schedule::new(at(0.0), None);
    keep.on_due(at(0.0));
    keep.on_stop(false);
    assert_eq!(keep.on_bound(at(0.0), 60, &mut Fixed(0), at(1.0)), Due::Remove);
}

/// DES-002: those that start together do not come back together.
#[test]
fn a_thousand_that_started_together_spread() {
    let mut random = Counting::default();
    let mut due: Vec<u64> = (0..1000).map(|_| (bound(3600, &mut random).1 * 1000.0) as u64).collect();
    due.sort_unstable();
    assert!(due[999] - due[0] > 300_000);
    assert!(due.windows(50).all(|part| part[49] - part[0] > 10_000));
}

/// DES-010: whatever may make many accounts try at once is no routine.
#[test]
fn a_refresh_in_its_time_is_plain_refresh_and_nothing_else_is() {
    let mut random = Fixed(0);
    assert!(!Schedule::new(at(0.0), None).is_plain_refresh(at(0.0)), "the first try");
    let (keep, due) = bound(600, &mut random);
    assert!(keep.is_plain_refresh(at(due)) && keep.is_plain_refresh(at(due + 0.9)));
    assert!(!keep.is_plain_refresh(at(due + 1.0)), "slept over");
    let (keep, due) = bound(1, &mut random);
    assert!(!keep.is_plain_refresh(at(due)), "the lease has ended");
    let (mut keep, _) = bound(600, &mut random);
    keep.on_refresh_requested(at(100.0));
    assert!(keep.is_due(at(100.0)) && !keep.is_plain_refresh(at(100.0)), "asked for");
    let (mut keep, _) = bound(600, &mut random);
    let soon = wait(keep.on_flow_lost(&mut random, at(100.0)));
    assert!(!keep.is_plain_refresh(at(soon)), "a lost flow");
    let (mut keep, _) = bound(600, &mut random);
    let soon = wait(keep.on_network_changed(&mut random, at(100.0)));
    assert!(!keep.is_plain_refresh(at(soon)), "a changed network");
    let (mut keep, due) = bound(600, &mut random);
    keep.on_due(at(due));
    let again = wait(keep.on_failed(&Failure::Timeout, true, &mut random, at(due + 5.0)));
    assert!(!keep.is_plain_refresh(at(again)), "a failure");
}
