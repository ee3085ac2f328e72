//! What the name service says, whatever it says: locating ends, within its bounds.

use super::input::Input;
use sipreg::proto::ids::Counting;
use sipreg::proto::locate::{Families, Locate, Next, Pinned};
use sipreg::proto::{DnsAnswer, Naptr, Profile, Question, Record, ResolveError, Srv, Time, Transport};
use sipreg::sip::{Scheme, Uri};
use std::collections::BTreeSet;
use std::time::Duration;

const NAMES: [&str; 6] = ["munich.de", "a.munich.de", "A.Munich.DE.", "_sip._udp.munich.de", "", "."];

/// Answers late, never, twice and wrong, to one name after the other.
pub fn ends_within_its_bounds(octets: &[u8]) {
    let mut input = Input::new(octets);
    let uris = [
        "sip:munich.de",
        "sip:munich.de;transport=tcp",
        "sip:munich.de:5070",
        "sip:192.0.2.1",
        "sips:munich.de",
        "sip:munich.de;transport=ws",
    ];
    let uri = Uri::parse(input.one(&uris)).unwrap();
    let forced = input.one(&[None, None, Some(Transport::Tcp), Some(Transport::Wss)]);
    let families = input.one(&[Families::Both, Families::V4, Families::V6]);
    let pin = Pinned { host: "a.munich.de".to_owned(), port: 5060, address: "192.0.2.7".parse().unwrap() };
    let pinned = if input.chance() { vec![pin] } else { Vec::new() };
    let Ok(mut locate) = Locate::start(&uri, forced, families, &pinned, Profile(1)) else { return };
    let mut random = Counting::default();
    let mut now = Time::from_millis(1_792_000_000_000);
    let (mut open, mut asked, mut seen) = (Vec::new(), BTreeSet::new(), Vec::new());
    for _ in 0..400 {
        match locate.next(now) {
            Next::Found(found) => {
                let destination = &found.destination;
                assert!(!seen.contains(destination), "the same destination twice");
                let is_safe = destination.transport.is_secure() || uri.scheme == Scheme::Sip;
                assert!(is_safe, "sips without TLS");
                let names = ["munich.de", "192.0.2.1"];
                assert!(destination.name.as_deref().is_none_or(|name| names.contains(&name)), "another name");
                seen.push(found.destination);
                assert!(seen.len() <= 16, "too many destinations");
                assert!(locate.left() <= 16 - seen.len(), "more are left than may be tried");
            }
            Next::Unresolved { .. } | Next::NotOffered { .. } | Next::NoService { .. } => {}
            Next::Wait { questions, until } => {
                assert!(now < until && until.since(now) <= Duration::from_secs(14), "a bad time to wait for");
                for question in questions {
                    assert!(asked.insert(question.clone()), "{question:?} is asked twice");
                    assert!(asked.len() <= 64, "too many questions");
                    open.push(question);
                }
                if open.is_empty() || input.below(4) == 3 {
                    now = until;
                    continue;
                }
                let question: Question = open[input.below(open.len())].clone();
                now = now + Duration::from_millis(u64::from(input.octet()) / 2);
                if now < until {
                    let answer = answer(&mut input);
                    if input.below(4) < 3 {
                        open.retain(|other| *other != question);
                    }
                    locate.answer(&question, answer, input.number().into(), &mut random, now);
                }
            }
            Next::Over => {
                assert_eq!(locate.next(now), Next::Over, "something comes after the end");
                return;
            }
        }
    }
    panic!("it does not end");
}

fn answer(input: &mut Input<'_>) -> DnsAnswer {
    let errors = [ResolveError::NoSuchName, ResolveError::ServerFailed, ResolveError::TimedOut];
    if input.below(4) == 3 {
        return Err(input.one(&errors));
    }
    let many = input.one(&[1, 0, 2, 3, 40, 300]);
    Ok((0..many).map(|n| record(input, n)).collect())
}

fn record(input: &mut Input<'_>, n: u16) -> Record {
    match input.below(4) {
        0 => Record::A([192, 0, 2, input.octet()].into()),
        1 => Record::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into()),
        2 => {
            let of_many = format!("s{n}.munich.de");
            let target = if input.chance() { of_many } else { input.one(&NAMES).to_owned() };
            Record::Srv(Srv { priority: n % 3, weight: input.number(), port: 5060 + n % 2, target })
        }
        _ => Record::Naptr(Naptr {
            order: n,
            preference: input.octet().into(),
            flags: input.one(&["s", "S", "a", "u", ""]).to_owned(),
            service: input
                .one(&["SIP+D2U", "sip+d2t", "SIPS+D2T", "SIP+D2S", "SIPS+D2W", "E2U+sip", "é+D"])
                .to_owned(),
            replacement: input.one(&NAMES).to_owned(),
        }),
    }
}
