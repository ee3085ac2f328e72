use std::fmt::Write;

use super::*;

const INPUTS: [Input; 9] = [
    Input::Provisional,
    Input::Success,
    Input::Failure,
    Input::Cancel,
    Input::Fired(Timer::A),
    Input::Fired(Timer::B),
    Input::Fired(Timer::D),
    Input::Fired(Timer::M),
    Input::TransportError,
];

fn name(state: State) -> &'static str {
    match state {
        State::Calling { is_cancelled: false, .. } => "Calling",
        State::Calling { is_cancelled: true, .. } => "Calling, cancelled",
        State::Proceeding { is_cancelled: false } => "Proceeding",
        State::Proceeding { is_cancelled: true } => "Proceeding, cancelled",
        State::Completed => "Completed",
        State::Accepted => "Accepted",
        State::Terminated => "Terminated",
    }
}

fn matrix(reliable: bool) -> String {
    let ways: [&[Input]; 7] = [
        &[],
        &[Input::Cancel],
        &[Input::Provisional],
        &[Input::Provisional, Input::Cancel],
        &[Input::Failure],
        &[Input::Success],
        &[Input::TransportError],
    ];
    let mut out = String::new();
    for way in ways {
        for input in INPUTS {
            let (mut client, _) = InviteClient::start(reliable, Timing::default());
            for before in way {
                let _ = client.on(*before);
            }
            let before = name(client.state());
            let effects: Vec<String> =
                client.on(input).iter().map(|effect| format!("{effect:?}").replace("Fired", "")).collect();
            let input = format!("{input:?}").replace("TransportError", "Error");
            let row =
                format!("{before:<21} {input:<11} -> {:<21} {}", name(client.state()), effects.join(" "));
            let _ = writeln!(out, "{}", row.trim_end());
        }
    }
    out
}

/// STX-015 STX-016 STX-017 STX-018 FRK-019: the CANCEL waits for a 1xx.
#[test]
fn every_state_answers_every_input_over_udp() {
    insta::assert_snapshot!(matrix(false), @r"
    Calling               Provisional -> Proceeding            Stop(A) Stop(B) Tell(Provisional)
    Calling               Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Calling               Failure     -> Completed             Stop(A) Stop(B) Acknowledge Tell(Final) Start(D, 32s)
    Calling               Cancel      -> Calling, cancelled
    Calling               Fired(A)    -> Calling               Transmit Start(A, 1s)
    Calling               Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Calling               Fired(D)    -> Calling
    Calling               Fired(M)    -> Calling
    Calling               Error       -> Terminated            Tell(TransportError) Terminate
    Calling, cancelled    Provisional -> Proceeding, cancelled Stop(A) Stop(B) Tell(Provisional) Cancel Start(B, 32s)
    Calling, cancelled    Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Calling, cancelled    Failure     -> Completed             Stop(A) Stop(B) Acknowledge Tell(Final) Start(D, 32s)
    Calling, cancelled    Cancel      -> Calling, cancelled
    Calling, cancelled    Fired(A)    -> Calling, cancelled    Transmit Start(A, 1s)
    Calling, cancelled    Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Calling, cancelled    Fired(D)    -> Calling, cancelled
    Calling, cancelled    Fired(M)    -> Calling, cancelled
    Calling, cancelled    Error       -> Terminated            Tell(TransportError) Terminate
    Proceeding            Provisional -> Proceeding            Tell(Provisional)
    Proceeding            Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Proceeding            Failure     -> Completed             Stop(A) Stop(B) Acknowledge Tell(Final) Start(D, 32s)
    Proceeding            Cancel      -> Proceeding, cancelled Cancel Start(B, 32s)
    Proceeding            Fired(A)    -> Proceeding
    Proceeding            Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Proceeding            Fired(D)    -> Proceeding
    Proceeding            Fired(M)    -> Proceeding
    Proceeding            Error       -> Terminated            Tell(TransportError) Terminate
    Proceeding, cancelled Provisional -> Proceeding, cancelled Tell(Provisional)
    Proceeding, cancelled Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Proceeding, cancelled Failure     -> Completed             Stop(A) Stop(B) Acknowledge Tell(Final) Start(D, 32s)
    Proceeding, cancelled Cancel      -> Proceeding, cancelled
    Proceeding, cancelled Fired(A)    -> Proceeding, cancelled
    Proceeding, cancelled Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Proceeding, cancelled Fired(D)    -> Proceeding, cancelled
    Proceeding, cancelled Fired(M)    -> Proceeding, cancelled
    Proceeding, cancelled Error       -> Terminated            Tell(TransportError) Terminate
    Completed             Provisional -> Completed
    Completed             Success     -> Completed
    Completed             Failure     -> Completed             Acknowledge
    Completed             Cancel      -> Completed
    Completed             Fired(A)    -> Completed
    Completed             Fired(B)    -> Completed
    Completed             Fired(D)    -> Terminated            Terminate
    Completed             Fired(M)    -> Completed
    Completed             Error       -> Completed
    Accepted              Provisional -> Accepted
    Accepted              Success     -> Accepted              Tell(Final)
    Accepted              Failure     -> Accepted
    Accepted              Cancel      -> Accepted
    Accepted              Fired(A)    -> Accepted
    Accepted              Fired(B)    -> Accepted
    Accepted              Fired(D)    -> Accepted
    Accepted              Fired(M)    -> Terminated            Tell(Over) Terminate
    Accepted              Error       -> Accepted
    Terminated            Provisional -> Terminated
    Terminated            Success     -> Terminated
    Terminated            Failure     -> Terminated
    Terminated            Cancel      -> Terminated
    Terminated            Fired(A)    -> Terminated
    Terminated            Fired(B)    -> Terminated
    Terminated            Fired(D)    -> Terminated
    Terminated            Fired(M)    -> Terminated
    Terminated            Error       -> Terminated
    ");
}

/// STX-015 STX-017 STX-018
#[test]
fn every_state_answers_every_input_over_a_reliable_transport() {
    insta::assert_snapshot!(matrix(true), @r"
    Calling               Provisional -> Proceeding            Stop(A) Stop(B) Tell(Provisional)
    Calling               Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Calling               Failure     -> Terminated            Stop(A) Stop(B) Acknowledge Tell(Final) Terminate
    Calling               Cancel      -> Calling, cancelled
    Calling               Fired(A)    -> Calling               Transmit Start(A, 1s)
    Calling               Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Calling               Fired(D)    -> Calling
    Calling               Fired(M)    -> Calling
    Calling               Error       -> Terminated            Tell(TransportError) Terminate
    Calling, cancelled    Provisional -> Proceeding, cancelled Stop(A) Stop(B) Tell(Provisional) Cancel Start(B, 32s)
    Calling, cancelled    Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Calling, cancelled    Failure     -> Terminated            Stop(A) Stop(B) Acknowledge Tell(Final) Terminate
    Calling, cancelled    Cancel      -> Calling, cancelled
    Calling, cancelled    Fired(A)    -> Calling, cancelled    Transmit Start(A, 1s)
    Calling, cancelled    Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Calling, cancelled    Fired(D)    -> Calling, cancelled
    Calling, cancelled    Fired(M)    -> Calling, cancelled
    Calling, cancelled    Error       -> Terminated            Tell(TransportError) Terminate
    Proceeding            Provisional -> Proceeding            Tell(Provisional)
    Proceeding            Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Proceeding            Failure     -> Terminated            Stop(A) Stop(B) Acknowledge Tell(Final) Terminate
    Proceeding            Cancel      -> Proceeding, cancelled Cancel Start(B, 32s)
    Proceeding            Fired(A)    -> Proceeding
    Proceeding            Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Proceeding            Fired(D)    -> Proceeding
    Proceeding            Fired(M)    -> Proceeding
    Proceeding            Error       -> Terminated            Tell(TransportError) Terminate
    Proceeding, cancelled Provisional -> Proceeding, cancelled Tell(Provisional)
    Proceeding, cancelled Success     -> Accepted              Stop(A) Stop(B) Tell(Final) Start(M, 32s)
    Proceeding, cancelled Failure     -> Terminated            Stop(A) Stop(B) Acknowledge Tell(Final) Terminate
    Proceeding, cancelled Cancel      -> Proceeding, cancelled
    Proceeding, cancelled Fired(A)    -> Proceeding, cancelled
    Proceeding, cancelled Fired(B)    -> Terminated            Tell(Timeout) Terminate
    Proceeding, cancelled Fired(D)    -> Proceeding, cancelled
    Proceeding, cancelled Fired(M)    -> Proceeding, cancelled
    Proceeding, cancelled Error       -> Terminated            Tell(TransportError) Terminate
    Terminated            Provisional -> Terminated
    Terminated            Success     -> Terminated
    Terminated            Failure     -> Terminated
    Terminated            Cancel      -> Terminated
    Terminated            Fired(A)    -> Terminated
    Terminated            Fired(B)    -> Terminated
    Terminated            Fired(D)    -> Terminated
    Terminated            Fired(M)    -> Terminated
    Terminated            Error       -> Terminated
    Accepted              Provisional -> Accepted
    Accepted              Success     -> Accepted              Tell(Final)
    Accepted              Failure     -> Accepted
    Accepted              Cancel      -> Accepted
    Accepted              Fired(A)    -> Accepted
    Accepted              Fired(B)    -> Accepted
    Accepted              Fired(D)    -> Accepted
    Accepted              Fired(M)    -> Terminated            Tell(Over) Terminate
    Accepted              Error       -> Accepted
    Terminated            Provisional -> Terminated
    Terminated            Success     -> Terminated
    Terminated            Failure     -> Terminated
    Terminated            Cancel      -> Terminated
    Terminated            Fired(A)    -> Terminated
    Terminated            Fired(B)    -> Terminated
    Terminated            Fired(D)    -> Terminated
    Terminated            Fired(M)    -> Terminated
    Terminated            Error       -> Terminated
    ");
}
