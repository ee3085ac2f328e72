//! The hostile registrars in the simulated world.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use sipreg::proto::Cause;
use sipreg::proto::client::outcome::{AttemptResult, Failure, Misbehaviour};
use sipreg::proto::client::plan::{Purpose, Timing};
use sipreg::proto::locate::Transport;

use crate::hostile::{self, Asked, Case, Over, Piece};
use crate::world::*;

#[test]
fn every_hostile_registrar_has_a_name_of_its_own() {
    let all = hostile::all();
    let names: BTreeSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn every_hostile_registrar_ends_as_the_table_says_over_udp() {
    all(Transport::Udp, Over::Streams);
}

/// TRN-001
#[test]
fn every_hostile_registrar_ends_as_the_table_says_over_tcp() {
    all(Transport::Tcp, Over::Datagrams);
}

fn all(transport: Transport, without: Over) {
    let mut wrong = Vec::new();
    for case in hostile::all().iter().filter(|case| case.over != without) {
        let course = run(case, transport);
        let end = match &course.report.result {
            Ok(success) => format!("ok {}", success.contacts[0].expires),
            // How the messages could not be told apart is for the framer's own tests.
            Err(Failure::Misbehaved(Misbehaviour::Framing(_))) => "Misbehaved(Framing)".to_owned(),
            Err(failure) => format!("{failure:?}"),
        };
        let attempts: Vec<String> = course.report.attempts.iter().map(|a| result(a.result)).collect();
        let got = (end, attempts.join(" "), course.report.requests);
        let expected = (case.end.to_owned(), case.attempts.clone(), case.requests);
        if got != expected {
            wrong
                .push(format!("{}:\n  {got:?}\n  not {expected:?}; dropped {:?}", case.name, course.dropped));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(case: &Case, transport: Transport) -> Course {
    let servers: Vec<SocketAddr> =
        (1..=case.servers).map(|n| format!("192.0.2.{n}:5060").parse().unwrap()).collect();
    let mut plan = plan();
    plan.purpose = Purpose::Bind { expires: Some(600) };
    plan.registrar = uri("sip:192.0.2.1:5060").into();
    plan.transport = Some(transport);
    if case.silent {
        plan.timing = Timing::with_t1(Duration::from_millis(40));
    }
    let mut world = World::new(|request, n, to| {
        let text = String::from_utf8(request.to_bytes().to_vec()).unwrap();
        let at = servers.iter().position(|server| *server == to.address).unwrap();
        let pieces = (case.script)(&Asked { text: &text, n, at, servers: &servers });
        let reaction = |piece| match piece {
            Piece::Octets(octets) => Reaction::Send(octets.into()),
            Piece::Elsewhere(octets) if transport == Transport::Udp => {
                Reaction::SendFrom("192.0.2.77:7".parse().unwrap(), octets.into())
            }
            Piece::Elsewhere(octets) => Reaction::Send(octets.into()),
            Piece::Close => Reaction::Close,
        };
        pieces.into_iter().zip(10..).map(|(piece, at)| (at, reaction(piece))).collect()
    });
    // Nobody listens but where it was asked.
    world.open = Box::new(move |to| match to.transport == transport {
        true => Ok((0, "192.0.2.99:5070".parse().unwrap())),
        false => Err(Cause::Refused),
    });
    world.run(plan)
}

fn result(result: AttemptResult) -> String {
    match result {
        AttemptResult::Status(status) => status.to_string(),
        AttemptResult::Timeout => "timeout".to_owned(),
        AttemptResult::Closed => "closed".to_owned(),
        AttemptResult::Failed(cause) => format!("{cause:?}"),
        AttemptResult::Dns(error) => format!("{error:?}"),
    }
}
