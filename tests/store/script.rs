//! Operations in short, and their answers as text.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use sipreg::proto::binding::{
    Aor, Change, ContactChange, Effect, Fate, Operation, Source, StoreFailure, Stored, WantedContact,
};
use sipreg::proto::{AskId, FlowId, NodeId, Time, Transport};
use sipreg::sip::{AnyUri, Uri};
use sipreg::store::{Answer, Store, StoreEvent};

pub const ALICE: &str = "sip:alice@example.com";
pub const BOB: &str = "sip:bob@example.com";

/// So many milliseconds after the test began.
pub fn at(ms: u64) -> Time {
    Time::from_millis(1_700_000_000_000) + Duration::from_millis(ms)
}

pub fn aor(uri: &str) -> Aor {
    Aor::of(&Uri::parse(uri).unwrap())
}

/// `contact lifetime`.
pub fn wanted(text: &str) -> WantedContact {
    let (contact, lifetime) = text.rsplit_once(' ').unwrap();
    let uri = contact.split(['<', '>']).nth(1).unwrap();
    let source = Source {
        flow: FlowId(1),
        peer: "192.0.2.1:5060".parse().unwrap(),
        transport: Transport::Udp,
        is_way: false,
        node: NodeId::LOCAL,
    };
    WantedContact {
        uri: AnyUri::parse(uri).unwrap(),
        contact: contact.into(),
        q: None,
        lifetime: lifetime.parse().unwrap(),
        path: "".into(),
        source,
    }
}

/// A REGISTER: `*`, or contacts as [`wanted`] has them. `request` is Call-ID and CSeq.
pub fn register(uri: &str, request: &str, contacts: &[&str]) -> Change {
    let (call_id, cseq) = request.split_once(' ').unwrap();
    let contacts = match contacts {
        ["*"] => ContactChange::Clear,
        contacts => ContactChange::Contacts(contacts.iter().map(|text| wanted(text)).collect()),
    };
    Change { aor: aor(uri), call_id: call_id.into(), cseq: cseq.parse().unwrap(), contacts, limit: 10 }
}

/// What a store said, as it is compared: `contact left Call-ID CSeq` of each binding, and the effects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub bindings: Vec<String>,
    pub effects: Vec<(Fate, String)>,
}

impl Said {
    pub fn of(stored: &Stored, now: Time) -> Said {
        let bindings = stored
            .bindings
            .iter()
            .map(|held| format!("{} {} {} {}", held.contact(), held.left(now), held.call_id(), held.cseq));
        Said { bindings: bindings.collect(), effects: stored.effects.iter().map(fate).collect() }
    }
}

/// What [`Said`] should be.
pub fn said(bindings: &[&str], effects: &[(Fate, &str)]) -> Said {
    Said {
        bindings: bindings.iter().map(|&text| text.into()).collect(),
        effects: effects.iter().map(|&(fate, contact)| (fate, contact.into())).collect(),
    }
}

fn fate(effect: &Effect) -> (Fate, String) {
    (effect.fate, effect.contact.to_string())
}

/// Ends the rest of a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// What comes from a store next. One that says nothing for a minute has failed.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "whoever polls may be woken for nothing, any number of times")]
pub fn next_event(store: &mut dyn Store) -> StoreEvent {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        if let Poll::Ready(event) = store.poll(&mut Context::from_waker(&waker)) {
            return event;
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    panic!("no answer comes");
}

/// One operation, with its answer.
#[track_caller]
pub fn perform(store: &mut dyn Store, operation: Operation, now: Time) -> Answer {
    if let Some(answer) = store.submit(AskId(1), operation, now) {
        return answer;
    }
    match next_event(store) {
        StoreEvent::Answered { ask: AskId(1), answer } => answer,
        other @ (StoreEvent::Answered { .. }
        | StoreEvent::Failed { .. }
        | StoreEvent::Back
        | StoreEvent::Node { .. }) => {
            panic!("no answer to this: {other:?}")
        }
    }
}

pub fn change(store: &mut dyn Store, change: Change, now: Time) -> Result<Said, StoreFailure> {
    perform(store, Operation::Change(change), now).map(|stored| Said::of(&stored, now))
}

pub fn fetch(store: &mut dyn Store, uri: &str, now: Time) -> Said {
    Said::of(&perform(store, Operation::Fetch(aor(uri)), now).unwrap(), now)
}

/// What ran out, and when to come next.
pub fn expire(store: &mut dyn Store, now: Time) -> (Vec<(Fate, String)>, Option<Time>) {
    let stored = perform(store, Operation::Expire, now).unwrap();
    assert!(stored.bindings.is_empty());
    (stored.effects.iter().map(fate).collect(), stored.next_expiry)
}

/// Nothing is left when all time is over, and nobody has to come again.
#[track_caller]
pub fn assert_ends_empty(store: &mut dyn Store) {
    let end = at(u64::from(u32::MAX) * 1001);
    while expire(store, end).1.is_some() {}
    assert_eq!(store.len(), 0);
    assert!(store.is_empty());
    assert_eq!(fetch(store, ALICE, end), Said::default());
}
