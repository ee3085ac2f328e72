use std::fmt::Write;

use super::*;

const INPUTS: [Input; 6] = [
    Input::Provisional,
    Input::Final,
    Input::Fired(Timer::E),
    Input::Fired(Timer::F),
    Input::Fired(Timer::K),
    Input::TransportError,
];

fn brought_to(reliable: bool, inputs: &[Input]) -> Client {
    let (mut client, _) = Client::start(reliable, Timing::default());
    for input in inputs {
        let _ = client.on(*input);
    }
    client
}

fn name(state: State) -> &'static str {
    match state {
        State::Trying { .. } => "Trying",
        State::Proceeding => "Proceeding",
        State::Completed => "Completed",
        State::Terminated => "Terminated",
    }
}

fn matrix(reliable: bool) -> String {
    let ways: [&[Input]; 4] = [&[], &[Input::Provisional], &[Input::Final], &[Input::TransportError]];
    let mut out = String::new();
    for way in ways {
        for input in INPUTS {
            let mut client = brought_to(reliable, way);
            let before = name(client.state());
            let effects = client.on(input);
            let effects: Vec<String> = effects.iter().map(|e| format!("{e:?}")).collect();
            let _ = writeln!(
                out,
                "{before:<10} {:<14} -> {:<10} {}",
                format!("{input:?}"),
                name(client.state()),
                effects.join(" ")
            );
        }
    }
    out
}

/// TXN-001 TXN-002 TXN-004 TXN-005 TXN-006 TXN-007 TXN-008 TXN-009 TXN-014
#[test]
fn every_state_answers_every_input_over_udp() {
    insta::assert_snapshot!(matrix(false), @"
    Trying     Provisional    -> Proceeding Tell(Provisional)
    Trying     Final          -> Completed  Stop(E) Stop(F) Tell(Final) Start(K, 5s)
    Trying     Fired(E)       -> Trying     Transmit Start(E, 1s)
    Trying     Fired(F)       -> Terminated Tell(Timeout) Terminate
    Trying     Fired(K)       -> Trying     
    Trying     TransportError -> Terminated Tell(TransportError) Terminate
    Proceeding Provisional    -> Proceeding Tell(Provisional)
    Proceeding Final          -> Completed  Stop(E) Stop(F) Tell(Final) Start(K, 5s)
    Proceeding Fired(E)       -> Proceeding Transmit Start(E, 4s)
    Proceeding Fired(F)       -> Terminated Tell(Timeout) Terminate
    Proceeding Fired(K)       -> Proceeding 
    Proceeding TransportError -> Terminated Tell(TransportError) Terminate
    Completed  Provisional    -> Completed  
    Completed  Final          -> Completed  
    Completed  Fired(E)       -> Completed  
    Completed  Fired(F)       -> Completed  
    Completed  Fired(K)       -> Terminated Terminate
    Completed  TransportError -> Completed  
    Terminated Provisional    -> Terminated 
    Terminated Final          -> Terminated 
    Terminated Fired(E)       -> Terminated 
    Terminated Fired(F)       -> Terminated 
    Terminated Fired(K)       -> Terminated 
    Terminated TransportError -> Terminated
    ");
}

/// TXN-003 TXN-007 TXN-008 TXN-010
#[test]
fn every_state_answers_every_input_over_a_reliable_transport() {
    insta::assert_snapshot!(matrix(true), @"
    Trying     Provisional    -> Proceeding Tell(Provisional)
    Trying     Final          -> Terminated Stop(E) Stop(F) Tell(Final) Terminate
    Trying     Fired(E)       -> Trying     Transmit Start(E, 1s)
    Trying     Fired(F)       -> Terminated Tell(Timeout) Terminate
    Trying     Fired(K)       -> Trying     
    Trying     TransportError -> Terminated Tell(TransportError) Terminate
    Proceeding Provisional    -> Proceeding Tell(Provisional)
    Proceeding Final          -> Terminated Stop(E) Stop(F) Tell(Final) Terminate
    Proceeding Fired(E)       -> Proceeding Transmit Start(E, 4s)
    Proceeding Fired(F)       -> Terminated Tell(Timeout) Terminate
    Proceeding Fired(K)       -> Proceeding 
    Proceeding TransportError -> Terminated Tell(TransportError) Terminate
    Terminated Provisional    -> Terminated 
    Terminated Final          -> Terminated 
    Terminated Fired(E)       -> Terminated 
    Terminated Fired(F)       -> Terminated 
    Terminated Fired(K)       -> Terminated 
    Terminated TransportError -> Terminated 
    Terminated Provisional    -> Terminated 
    Terminated Final          -> Terminated 
    Terminated Fired(E)       -> Terminated 
    Terminated Fired(F)       -> Terminated 
    Terminated Fired(K)       -> Terminated 
    Terminated TransportError -> Terminated
    ");
}

fn send_times(t1: Duration, provisional_at: Option<Duration>) -> Vec<u128> {
    let timing = Timing::with_t1(t1);
    let (mut client, mut effects) = Client::start(false, timing);
    let mut now = Duration::ZERO;
    let mut next_e = Duration::MAX;
    let mut heard = provisional_at;
    let mut sent = Vec::new();
    for _ in 0..100 {
        for effect in effects {
            match effect {
                Effect::Transmit => sent.push(now.as_millis()),
                Effect::Start(Timer::E, wait) => next_e = now + wait,
                Effect::Terminate => return sent,
                Effect::Start(..)
                | Effect::Stop(_)
                | Effect::Tell(_)
                | Effect::Acknowledge
                | Effect::Cancel => {}
            }
        }
        let input;
        if let Some(at) = heard.filter(|at| *at <= next_e.min(timing.patience())) {
            (now, heard, input) = (at, None, Input::Provisional);
        } else if next_e < timing.patience() {
            (now, input) = (next_e, Input::Fired(Timer::E));
        } else {
            (now, input) = (timing.patience(), Input::Fired(Timer::F));
        }
        effects = client.on(input);
    }
    panic!("the transaction does not end: {sent:?}");
}

/// TXN-001 TXN-002
#[test]
fn a_silent_udp_server_sees_eleven_copies_at_doubling_gaps() {
    assert_eq!(
        send_times(Duration::from_millis(500), None),
        [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]
    );
}

/// TXN-005 TXN-016 COD-001
#[test]
fn after_a_100_the_gaps_are_t2() {
    assert_eq!(
        send_times(Duration::from_millis(500), Some(Duration::from_millis(100))),
        [0, 500, 4500, 8500, 12500, 16500, 20500, 24500, 28500]
    );
}

/// TXN-015
#[test]
fn a_slow_link_raises_t1_and_keeps_the_cap() {
    assert_eq!(send_times(Duration::from_secs(2), None)[..5], [0, 2000, 6000, 10000, 14000]);
    assert_eq!(send_times(Duration::from_secs(6), None)[..3], [0, 6000, 12000]);
}
