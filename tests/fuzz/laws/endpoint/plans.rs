//! Which plan the octets choose.

use super::super::input::Input;
use sipreg::proto::Transport;
use sipreg::proto::client::nat::Keepalive;
use sipreg::proto::client::plan::{Plan, Purpose, Resume, Timing};
use sipreg::proto::digest::{Algorithm, Credential, Hidden, Keyring, Secret};
use sipreg::proto::locate::Families;
use sipreg::sip::{NameAddr, Uri};
use std::time::Duration;

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect("a good URI")
}

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).expect("a good address")
}

pub fn plan(input: &mut Input<'_>) -> Plan {
    let registrar =
        ["sip:192.0.2.1", "sip:munich.de", "sip:[2001:db8::1]:5070;transport=tcp", "sip:munich.de"];
    let contacts = match input.below(4) {
        3 => vec![address("<sip:a@192.0.2.20>;expires=60"), address("<tel:+49891234>;q=0.2")],
        _ => Vec::new(),
    };
    let purposes = [
        Purpose::Bind { expires: Some(3600) },
        Purpose::Bind { expires: None },
        Purpose::Remove,
        Purpose::RemoveAll,
        Purpose::Fetch,
    ];
    Plan {
        purpose: input.one(&purposes),
        registrar: uri(input.one(&registrar)).into(),
        route: if input.below(8) == 7 { vec![uri("sip:192.0.2.70;lr")] } else { Vec::new() },
        transport: input.one(&[None, None, Some(Transport::Tcp), Some(Transport::Udp)]),
        destination: None,
        families: input.one(&[Families::Both, Families::V4, Families::V6]),
        contacts,
        keyring: keyring(input),
        timing: Timing::with_t1(Duration::from_millis(input.one(&[500, 20, 5000]))),
        try_limit: Duration::from_secs(input.one(&[128, 5])),
        command_limit: input.one(&[None, Some(Duration::from_secs(60))]),
        retry_for: Duration::from_secs(input.one(&[0, 100])),
        keepalive: input.one(&[Keepalive::Off, Keepalive::Auto, Keepalive::Every(Duration::from_secs(25))]),
        resume: input.chance().then(|| memory(input).into()),
        ..Plan::new(uri("sip:werner.heisenberg@munich.de"))
    }
}

fn keyring(input: &mut Input<'_>) -> Keyring {
    let secret = Secret::Password(Hidden::new("uncertainty".to_owned()));
    let known = Credential { realm: None, username: "heisenberg".to_owned(), secret };
    Keyring {
        credentials: if input.below(4) == 3 { Vec::new() } else { vec![known] },
        ask: input.chance().then(|| "heisenberg".to_owned()),
        realm: None,
        minimum: Algorithm::Md5,
    }
}

fn memory(input: &mut Input<'_>) -> Resume {
    let own = [address("<sip:werner.heisenberg@192.0.2.98:5070>"), address("<sip:192.0.2.99:5070>")];
    Resume {
        dialogue: input
            .one(&[None, Some(7), Some((1 << 31) - 10_001)])
            .map(|cseq| ("before".to_owned(), cseq)),
        own: own[..input.below(3)].to_vec(),
    }
}
