//! What holds for every request of every seed, whatever the others do, and how a seed may end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use sipreg::proto::client::outcome::Report;
use sipreg::proto::client::plan::{Plan, Purpose};
use sipreg::proto::locate::Destination;
use sipreg::proto::{Checkpoint, FlowId};

use crate::internet::START;
use crate::registrar::{DESK, PASSWORD, Registrar, SPARE, branch, cseq, row};
use crate::scenario::Scenario;
use crate::script::Ending;

/// One request and its copies.
struct Request {
    command: u32,
    flow: FlowId,
    text: String,
    sent: Vec<u64>,
}

/// Watches what one device sends, over several commands.
#[derive(Default)]
pub struct Laws {
    command: u32,
    t1: u64,
    longest: Duration,
    requests: BTreeMap<String, Request>,
    /// Call-ID and CSeq of the last request, and the From of this command's.
    dialogue: Option<(String, u32)>,
    from: Option<String>,
    renewals: u32,
    count: u32,
    copies: u32,
    remembers: bool,
    kept: Option<(String, u32)>,
    finished: bool,
    this_try: Try,
}

#[derive(Default)]
struct Try {
    requests: u32,
    each: BTreeMap<SocketAddr, u32>,
    opened: BTreeSet<SocketAddr>,
    uris: BTreeSet<String>,
}

impl Laws {
    pub fn begin(&mut self, plan: &Plan) {
        let dialogue = plan.resume.as_ref().and_then(|memory| memory.dialogue.clone());
        // The last pause may be up to half as long again as there was time for.
        let retrying = if plan.retry_for.is_zero() { Duration::ZERO } else { Duration::from_secs(30) };
        *self = Laws {
            command: self.command + 1,
            t1: plan.timing.t1.as_millis() as u64,
            longest: plan.try_limit + plan.retry_for + retrying,
            requests: std::mem::take(&mut self.requests),
            remembers: plan.resume.is_some(),
            dialogue,
            ..Laws::default()
        };
    }

    pub fn opened(&mut self, to: &Destination) {
        self.this_try.opened.insert(to.address);
        assert!(self.this_try.opened.len() <= 16, "more than 16 destinations");
    }

    pub fn remembered(&mut self, what: &Checkpoint) {
        assert!(self.remembers, "nothing was to be kept");
        self.kept = Some((what.call_id.clone(), what.cseq));
    }

    pub fn another_try(&mut self) {
        self.this_try = Try::default();
    }

    /// Something leaves: a new request, or a copy at its time.
    pub fn sent(&mut self, at: u64, flow: FlowId, to: &Destination, text: &str) {
        assert!(!self.finished, "sent after the end");
        assert!(!text.contains(PASSWORD), "the password is on the wire");
        let branch = branch(text).unwrap();
        let Some(request) = self.requests.get_mut(branch) else {
            self.new_request(at, flow, to, branch, text);
            return;
        };
        assert!(request.text == text, "a branch is used for two requests");
        assert_eq!((request.command, request.flow), (self.command, flow), "a copy goes another way");
        assert!(!to.transport.is_reliable(), "a copy over a transport that is reliable");
        // RFC 3261 §17.1.2.2: after T1, 2·T1, 4·T1 ... T2; after T2 once a 1xx has come.
        let gap = at - request.sent.last().unwrap();
        let usual = (self.t1 << (request.sent.len() - 1)).min(4000);
        assert!(gap == usual || gap == 4000, "a copy after {gap} ms instead of {usual}");
        request.sent.push(at);
        assert!(at - request.sent[0] < 64 * self.t1, "a copy after 64·T1");
        let most = if self.t1 == 500 { 11 } else { 18 };
        assert!(request.sent.len() <= most, "more than {most} copies");
        self.copies += 1;
    }

    fn new_request(&mut self, at: u64, flow: FlowId, to: &Destination, branch: &str, text: &str) {
        let (call_id, number) = (row(text, "Call-ID").unwrap().to_owned(), cseq(text).unwrap());
        match &self.dialogue {
            Some((known, last)) if *known == call_id => assert_eq!(number, last + 1, "CSeq"),
            Some(_) => {
                self.renewals += 1;
                assert!(self.remembers && self.renewals == 1, "another Call-ID");
                assert_eq!(number, 1, "CSeq of a new Call-ID");
            }
            None => assert_eq!(number, 1, "the first CSeq"),
        }
        let from = row(text, "From").unwrap();
        assert_eq!(self.from.get_or_insert(from.to_owned()), from, "From changes");
        let dialogue = (call_id, number);
        if self.remembers {
            assert_eq!(self.kept.take().as_ref(), Some(&dialogue), "not kept before it was sent");
        }
        self.dialogue = Some(dialogue);
        self.count += 1;
        let counted = &mut self.this_try;
        counted.requests += 1;
        assert!(counted.requests <= 40, "more than 40 requests");
        let each = counted.each.entry(to.address).or_default();
        *each += 1;
        assert!(*each <= 8, "more than 8 requests to {}", to.address);
        counted.uris.insert(text.split(' ').nth(1).unwrap().to_owned());
        assert!(counted.uris.len() <= 6, "more than 5 redirects");
        let request = Request { command: self.command, flow, text: text.to_owned(), sent: vec![at] };
        self.requests.insert(branch.to_owned(), request);
    }

    /// What is told is what was.
    pub fn finished(&mut self, report: &Report, at: u64) {
        self.finished = true;
        assert_eq!(report.requests, self.count, "requests");
        assert_eq!(report.retransmissions, self.copies, "retransmissions");
        assert_eq!(report.elapsed, Duration::from_millis(at), "elapsed");
        assert!(report.elapsed <= self.longest, "longer than {:?}", self.longest);
        if let (Some((call_id, number)), true) = (&self.dialogue, self.count > 0) {
            assert_eq!((&*report.call_id, report.cseq), (call_id.as_str(), *number));
        }
    }
}

/// At the end of a command: it is an end that the script allows, and the registrar knows of it.
pub fn judge(scenario: &Scenario, report: &Report, registrar: &Registrar) {
    let (ending, allowed) = (Ending::of(report), scenario.allowed(report.purpose));
    assert!(allowed.contains(&ending), "{ending:?} is none of {allowed:?}");
    let Ok(success) = &report.result else { return };
    if scenario.weather.damaged > 0 {
        return;
    }
    let sent = report.sent.unwrap().since(START).as_millis() as u64;
    for granted in &success.contacts {
        let uri = granted.uri.to_string();
        match (registrar.bound(&uri), granted.expires) {
            (None, 0) => {}
            (Some(binding), seconds) => {
                assert_eq!(binding.granted, seconds, "lifetime of {uri}");
                assert!(sent + u64::from(seconds) * 1000 <= binding.until, "{uri} ends before it is said to");
            }
            (None, _) => panic!("{uri} is not in the table"),
        }
    }
    if report.purpose == Purpose::RemoveAll {
        assert!(registrar.bindings.is_empty(), "not all are removed");
        return;
    }
    assert!(registrar.bound(DESK).is_some(), "another device's binding is gone");
    if scenario.remembers || scenario.wishes.len() == 1 {
        let is_ours = |uri: &str| uri != DESK && uri != SPARE;
        let ours = registrar.bindings.iter().filter(|binding| is_ours(&binding.uri));
        let live = success.contacts.iter().filter(|granted| granted.expires > 0);
        assert_eq!(ours.count(), live.count(), "bindings of this device are left behind");
    }
}
