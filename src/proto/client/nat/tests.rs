use super::*;
use crate::proto::ids::Counting;

const NOW: Time = Time::from_millis(1_000_000);

fn at(ms: u64) -> Time {
    NOW + Duration::from_millis(ms)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn need(keepalive: Keepalive, transport: Transport, asked: Asked, is_behind_nat: bool) -> Option<Need> {
    Need::of(keepalive, transport, asked, is_behind_nat)
}

/// The gaps that a need leads to, the shortest and the longest of them, whether STUN may be sent, and whether a pong is owed.
fn shown(need: Option<Need>) -> String {
    let Some(Need { longest, shortest, stun, is_owed }) = need else { return "none".to_owned() };
    format!("{}-{} stun {stun} owed {is_owed}", shortest.as_secs_f32(), longest.as_secs_f32())
}

/// NAT-007 NAT-009 NAT-010 OUT-012 OUT-022 OUT-023 OUT-028 OUT-029 OUT-030
#[test]
fn keep_alives_are_needed_where_a_nat_is_seen_or_somebody_asks_for_them() {
    use Keepalive::{Auto, Every, Off};
    let nothing = Asked::default();
    let keep = |seconds| Asked { keep: Some(seconds), ..nothing };
    let timer = |seconds| Asked { flow_timer: Some(seconds), ..nothing };
    let outbound = Asked { outbound: true, ..nothing };
    let both = Asked { flow_timer: Some(40), keep: Some(60), outbound: true };
    for (keepalive, transport, asked, is_behind_nat, expected) in [
        (Auto, Transport::Udp, nothing, false, "none"),
        (Auto, Transport::Udp, nothing, true, "24-29 stun false owed false"),
        (Auto, Transport::Tcp, nothing, true, "96-120 stun false owed false"),
        (Auto, Transport::Wss, nothing, true, "96-120 stun false owed false"),
        (Auto, Transport::Udp, keep(30), false, "24-30 stun true owed false"),
        (Auto, Transport::Udp, keep(0), false, "24-29 stun true owed false"),
        (Auto, Transport::Tls, keep(0), true, "96-120 stun true owed false"),
        (Auto, Transport::Tcp, timer(120), false, "96-120 stun false owed false"),
        (Auto, Transport::Udp, outbound, false, "24-29 stun true owed true"),
        (Auto, Transport::Tcp, both, true, "32-40 stun true owed true"),
        (Auto, Transport::Udp, keep(u32::MAX), false, "69120-86400 stun true owed false"),
        (Every(secs(25)), Transport::Udp, nothing, false, "20-25 stun true owed false"),
        (Every(secs(25)), Transport::Tcp, keep(10), false, "8-10 stun true owed false"),
        (Every(secs(25)), Transport::Tcp, timer(100), false, "20-25 stun true owed false"),
        (Off, Transport::Udp, both, true, "none"),
    ] {
        let found = shown(need(keepalive, transport, asked, is_behind_nat));
        assert_eq!(found, expected, "{keepalive:?} {transport} {asked:?} {is_behind_nat}");
    }
}

/// A flow with the keep-alives that one account needs, and what was sent when.
struct World {
    keepalives: Keepalives,
    random: Counting,
    now: Time,
}

/// How a stretch of time ended.
type Ended = Result<(), (u64, KeepaliveFault)>;

impl World {
    fn new(transport: Transport, keepalive: Keepalive, asked: Asked) -> World {
        let mut world =
            World { keepalives: Keepalives::new(transport), random: Counting::default(), now: NOW };
        let need = need(keepalive, transport, asked, true);
        world.keepalives.change(None, need, &mut world.random, NOW);
        world
    }

    /// Lets time pass; `answer` says what becomes of each datagram. When each left, in milliseconds.
    fn run(
        &mut self,
        until: u64,
        mut answer: impl FnMut(&mut Keepalives, &[u8], Time) -> Result<(), KeepaliveFault>,
    ) -> (Vec<u64>, Ended) {
        let mut sent = Vec::new();
        while let Some(due) = self.keepalives.due().filter(|due| *due <= at(until)) {
            self.now = self.now.max(due);
            let ms = self.now.since(NOW).as_millis().try_into().unwrap();
            match self.keepalives.on_due(&mut self.random, self.now) {
                Duty::Send(bytes) => {
                    sent.push(ms);
                    if let Err(fault) = answer(&mut self.keepalives, &bytes, self.now) {
                        return (sent, Err((ms, fault)));
                    }
                }
                Duty::Wait => {}
                Duty::Lost(fault) => return (sent, Err((ms, fault))),
            }
        }
        self.now = at(until);
        (sent, Ok(()))
    }
}

fn silent(_: &mut Keepalives, _: &[u8], _: Time) -> Result<(), KeepaliveFault> {
    Ok(())
}

fn mapped(port: u16) -> impl FnMut(&mut Keepalives, &[u8], Time) -> Result<(), KeepaliveFault> {
    move |keepalives, bytes, now| {
        let Some(Stun::Request { id, .. }) = stun::read(bytes) else { panic!("{bytes:?}") };
        keepalives.on_stun(&Stun::Mapped(id, ([203, 0, 113, 9], port).into()), now)
    }
}

fn pong(keepalives: &mut Keepalives, bytes: &[u8], now: Time) -> Result<(), KeepaliveFault> {
    assert_eq!(bytes, PING);
    keepalives.on_pong(false, now);
    Ok(())
}

fn gaps(times: &[u64]) -> Vec<u64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// OUT-024 NAT-010
#[test]
fn gaps_are_drawn_between_four_fifths_and_all_of_what_is_asked() {
    let mut world = World::new(Transport::Udp, Keepalive::Auto, Asked::default());
    let (sent, ended) = world.run(29_000 * 300, |_, bytes, _| {
        assert_eq!(bytes, PING);
        Ok(())
    });
    assert_eq!(ended, Ok(()));
    assert!(sent.len() >= 300, "{}", sent.len());
    let gaps = gaps(&sent);
    assert!(gaps.iter().all(|gap| (24_000..=29_000).contains(gap)), "{gaps:?}");
    let distinct: std::collections::BTreeSet<_> = gaps.iter().collect();
    assert!(distinct.len() > 100);
}

/// OUT-032: 39.5 s after the first of seven, with RFC 5389's times.
#[test]
fn stun_that_was_answered_once_and_is_silent_seven_times_is_a_lost_flow() {
    let mut world = World::new(Transport::Udp, Keepalive::Every(secs(25)), Asked::default());
    let (sent, ended) = world.run(30_000, mapped(62_011));
    assert_eq!((sent.len(), ended), (2, Ok(())));
    assert_eq!(sent[0], 0, "at once, so that there is something to compare with");
    let mut copies = Vec::new();
    let (sent, ended) = world.run(200_000, |_, bytes, now| {
        if stun::is_stun(bytes) {
            copies.push(u64::try_from(now.since(NOW).as_millis()).unwrap());
        }
        Ok(())
    });
    // Meanwhile the mapping is kept open.
    assert!(gaps(&sent).iter().all(|gap| *gap <= 25_000) && sent.len() > copies.len(), "{sent:?}");
    let first = copies[0];
    let after: Vec<u64> = copies.iter().map(|ms| ms - first).collect();
    assert_eq!(after, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(ended, Err((first + 39_500, KeepaliveFault::Unanswered)));
}

#[test]
fn stun_that_was_never_answered_becomes_datagrams_of_line_ends() {
    let mut world = World::new(Transport::Udp, Keepalive::Every(secs(25)), Asked::default());
    let mut kinds = Vec::new();
    let (sent, ended) = world.run(200_000, |_, bytes, _| {
        kinds.push(stun::is_stun(bytes));
        Ok(())
    });
    assert_eq!(ended, Ok(()), "silence proves nothing");
    assert_eq!(kinds.iter().filter(|is_stun| **is_stun).count(), 7);
    assert_eq!(kinds[..6], [true; 6]);
    let last = kinds.iter().rposition(|is_stun| *is_stun).unwrap();
    assert_eq!((sent[last], sent[last + 1..].contains(&39_500)), (31_500, true));
    assert!(gaps(&sent).iter().all(|gap| *gap <= 25_000), "{sent:?}");
    assert!(gaps(&sent[last + 2..]).iter().all(|gap| (20_000..=25_000).contains(gap)), "{sent:?}");

    // Nor does a refusal.
    let mut world = World::new(Transport::Udp, Keepalive::Every(secs(25)), Asked::default());
    let refuse = |keepalives: &mut Keepalives, bytes: &[u8], now| match stun::read(bytes) {
        Some(Stun::Request { id, .. }) => keepalives.on_stun(&Stun::Refused(id), now),
        _ => Ok(()),
    };
    let (sent, ended) = world.run(100_000, refuse);
    assert_eq!((sent.len() >= 5, ended), (true, Ok(())));
}

/// OUT-033
#[test]
fn another_mapped_address_is_a_lost_flow_and_strange_answers_are_none() {
    let mut world = World::new(Transport::Udp, Keepalive::Every(secs(25)), Asked::default());
    assert_eq!(world.run(60_000, mapped(62_011)).1, Ok(()));
    assert!(world.keepalives.proven().is_some());
    let strange = |keepalives: &mut Keepalives, bytes: &[u8], now| {
        let Some(Stun::Request { id, .. }) = stun::read(bytes) else { panic!() };
        let other = StunId([7; 12]);
        keepalives.on_stun(&Stun::Mapped(other, ([192, 0, 2, 7], 1).into()), now)?;
        keepalives.on_stun(&Stun::Request { id, unknown: Vec::new() }, now)?;
        keepalives.on_stun(&Stun::Mapped(id, ([203, 0, 113, 9], 62_011).into()), now)?;
        // A copy of an answer is late, whatever it says.
        keepalives.on_stun(&Stun::Mapped(id, ([203, 0, 113, 9], 1).into()), now)
    };
    assert_eq!(world.run(90_000, strange).1, Ok(()));
    let (sent, ended) = world.run(200_000, mapped(62_012));
    assert_eq!(ended, Err((sent[0], KeepaliveFault::Remapped)));
}

/// OUT-025 OUT-026 OUT-027 NAT-011
#[test]
fn a_pong_is_missed_only_where_one_may_be_expected() {
    // Nothing is owed, and nothing ever came.
    let mut world = World::new(Transport::Tcp, Keepalive::Every(secs(30)), Asked::default());
    let (sent, ended) = world.run(300_000, silent);
    assert_eq!((sent.len() >= 10, ended), (true, Ok(())));
    // The server's own pings are none of ours.
    world.keepalives.on_pong(true, world.now);
    assert_eq!(world.run(400_000, silent).1, Ok(()));
    // It has answered once.
    assert_eq!(world.run(500_000, pong).1, Ok(()));
    let (sent, ended) = world.run(600_000, silent);
    assert_eq!(ended, Err((sent[0] + 10_000, KeepaliveFault::Unanswered)));

    // Outbound was agreed on.
    let outbound = Asked { outbound: true, ..Asked::default() };
    let mut world = World::new(Transport::Tls, Keepalive::Auto, outbound);
    let (sent, ended) = world.run(200_000, silent);
    assert!((96_000..=120_000).contains(&sent[0]));
    assert_eq!(ended, Err((sent[0] + 10_000, KeepaliveFault::Unanswered)));

    // More often than pongs may take: the first one that is missing counts. Two that come together count for both.
    let mut world = World::new(Transport::Tcp, Keepalive::Every(secs(4)), outbound);
    let mut pings = 0;
    let (_, ended) = world.run(60_000, |keepalives, _, now| {
        pings += 1;
        if pings % 2 == 0 {
            keepalives.on_pong(true, now);
        }
        Ok(())
    });
    assert_eq!(ended, Ok(()));
    let (sent, ended) = world.run(120_000, silent);
    let (lost, fault) = ended.unwrap_err();
    assert_eq!((sent.len() >= 3, fault), (true, KeepaliveFault::Unanswered));
    assert!(lost <= sent[0] + 14_000);
}

#[test]
fn a_device_that_slept_asks_once_more_before_it_gives_up() {
    let outbound = Asked { outbound: true, ..Asked::default() };
    for (transport, asked) in [(Transport::Tcp, outbound), (Transport::Udp, Asked::default())] {
        let mut world = World::new(transport, Keepalive::Every(secs(25)), asked);
        let answer: fn(&mut Keepalives, &[u8], Time) -> _ = match transport {
            Transport::Udp => |keepalives, bytes, now| mapped(1)(keepalives, bytes, now),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => pong,
        };
        assert_eq!(world.run(60_000, answer).1, Ok(()));
        while world.keepalives.open.is_none() {
            world.now = world.keepalives.due().unwrap();
            world.keepalives.on_due(&mut world.random, world.now);
        }
        world.now = world.now + secs(3600);
        let mut asked = 0;
        let (_, ended) = world.run(3_800_000, |keepalives, bytes, now| {
            asked += 1;
            answer(keepalives, bytes, now)
        });
        assert_eq!((asked > 0, ended), (true, Ok(())), "{transport}");
    }
}

#[test]
fn of_many_accounts_the_most_demanding_one_decides_and_the_last_one_ends_it() {
    let mut world = World::new(Transport::Udp, Keepalive::Every(secs(100)), Asked::default());
    assert_eq!(world.run(1, mapped(1)).1, Ok(()));
    let slow = need(Keepalive::Every(secs(100)), Transport::Udp, Asked::default(), true);
    let fast = need(Keepalive::Every(secs(10)), Transport::Udp, Asked::default(), true);
    let change = |world: &mut World, before, after| {
        world.keepalives.change(before, after, &mut world.random, world.now);
    };
    change(&mut world, None, fast);
    assert!(world.keepalives.due().unwrap() <= world.now + secs(10));
    change(&mut world, None, fast);
    change(&mut world, fast, None);
    let (sent, _) = world.run(100_000, mapped(1));
    assert!(gaps(&sent).iter().all(|gap| (8000..=10_000).contains(gap)), "{sent:?}");
    change(&mut world, fast, slow);
    let (sent, _) = world.run(1_000_000, mapped(1));
    assert!(gaps(&sent).iter().all(|gap| (80_000..=100_000).contains(gap)), "{sent:?}");
    // A refresh that asks for the same changes nothing.
    let due = world.keepalives.due();
    change(&mut world, slow, slow);
    assert_eq!(world.keepalives.due(), due);
    change(&mut world, slow, None);
    change(&mut world, slow, None);
    assert_eq!(world.keepalives.due(), None);
    assert_eq!(world.keepalives.on_due(&mut world.random, at(9_000_000)), Duty::Wait);
}

const LOCAL: &str = "10.0.0.2:5060";

/// What becomes of the contact when each answer has seen a request from one of these ports; `0`: from the local address. The
/// port it says then, and whether another request is to bind it.
fn corrections(ports: &[u16]) -> Vec<(u16, bool)> {
    let local: SocketAddr = LOCAL.parse().unwrap();
    let ends = (local, "192.0.2.1:5060".parse().unwrap());
    let mut sight = None;
    let mut told = Vec::new();
    for port in ports {
        let seen = if *port == 0 { local } else { ([203, 0, 113, 9], *port).into() };
        let (next, is_due) = Sight::after(sight, ends, seen);
        sight = next;
        let says = sight.and_then(|sight| sight.at(ends.0, ends.1));
        told.push((says.map_or(0, |says| says.port()), is_due));
    }
    told
}

/// NAT-004 NAT-005
#[test]
fn the_contact_follows_what_is_seen_once_per_change_and_never_in_a_loop() {
    let (yes, no) = (true, false);
    for (ports, expected) in [
        (&[0, 0][..], &[(0, no), (0, no)][..]),
        (&[1, 1, 1], &[(1, yes), (1, no), (1, no)]),
        (&[0, 1, 1, 2, 2, 2], &[(0, no), (1, yes), (1, no), (2, yes), (2, no), (2, no)]),
        // The NAT is gone.
        (&[1, 1, 0, 0], &[(1, yes), (1, no), (5060, yes), (5060, no)]),
        // Two servers behind one name.
        (&[1, 2, 1, 2, 1, 2, 1], &[(1, yes), (1, no), (1, no), (1, no), (1, no), (1, no), (1, no)]),
        // Another one for every request.
        (&[1, 2, 3, 4, 5, 6], &[(1, yes), (1, no), (1, no), (1, no), (1, no), (1, no)]),
        // It was one that lasts, after all.
        (&[1, 2, 2, 2, 2, 2], &[(1, yes), (1, no), (1, no), (2, yes), (2, no), (2, no)]),
    ] {
        assert_eq!(corrections(ports), expected, "{ports:?}");
    }
    // Whatever is seen, requests are bounded: of a hundred answers no more than every other one is followed by one.
    for seed in 1..200_u32 {
        let mut state = seed;
        let ports: Vec<u16> = (0..100)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                u16::try_from(state >> 24).unwrap() % (1 + u16::try_from(seed % 5).unwrap())
            })
            .collect();
        let due = corrections(&ports);
        assert!(due.windows(2).all(|pair| !(pair[0].1 && pair[1].1)), "{ports:?} {due:?}");
    }
}

#[test]
fn what_was_seen_on_one_flow_says_nothing_of_another() {
    let remote = "192.0.2.1:5060".parse().unwrap();
    let (local, other) = (LOCAL.parse().unwrap(), "10.0.0.2:5062".parse().unwrap());
    let (sight, is_due) = Sight::after(None, (local, remote), "203.0.113.9:1".parse().unwrap());
    assert!(is_due && sight.unwrap().at(local, remote).is_some());
    assert_eq!(sight.unwrap().at(other, remote), None);
    let (sight, is_due) = Sight::after(sight, (other, remote), "203.0.113.9:2".parse().unwrap());
    assert_eq!((sight.unwrap().at(other, remote), is_due), (Some("203.0.113.9:2".parse().unwrap()), true));
}
