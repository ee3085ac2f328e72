//! What the endpoint has done, held against what it may do.

use bytes::Bytes;
use sipreg::cli::diagnose::diagnose;
use sipreg::proto::client::outcome::Report;
use sipreg::proto::client::plan::Plan;
use sipreg::proto::{Checkpoint, Time, Transport};
use sipreg::sip::{Message, Method, Request};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most requests and destinations of one try (DES-027).
const MOST_REQUESTS: usize = 40;
const MOST_DESTINATIONS: usize = 16;

struct Sent {
    request: Request,
    bytes: Bytes,
    branch: String,
    copies: u32,
}

pub struct Ledger {
    start: Time,
    /// The longest it may take, thinking of the user left out.
    limit: Duration,
    /// The most copies of one request: Timer E doubles up to T2 and ends with Timer F (RFC 3261 §17.1.2.2).
    most_copies: u32,
    remembers: bool,
    /// Call-ID and CSeq that were to be kept last.
    remembered: Option<(String, u32)>,
    sent: Vec<Sent>,
    numbers: BTreeSet<(String, u32)>,
    of_try: usize,
    opened: usize,
    over: bool,
    pub thought: Duration,
}

impl Ledger {
    pub fn new(plan: &Plan, start: Time) -> Ledger {
        // The last try begins when the time for tries is over, and a random part of its pause later.
        let later = (plan.retry_for / 5).max(Duration::from_secs(15));
        let tries = if plan.retry_for.is_zero() { Duration::ZERO } else { plan.retry_for + later };
        let limit = tries + plan.try_limit;
        let most_copies = plan.timing.patience().div_duration_f32(plan.timing.t2()) as u32 + 8;
        Ledger {
            start,
            most_copies,
            limit: plan.command_limit.map_or(limit, |whole| whole.min(limit)),
            remembers: plan.resume.is_some(),
            remembered: None,
            sent: Vec::new(),
            numbers: BTreeSet::new(),
            of_try: 0,
            opened: 0,
            over: false,
            thought: Duration::ZERO,
        }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The last request, or one of those before.
    pub fn request(&self, back: usize) -> Option<&Request> {
        self.sent.iter().rev().nth(back).map(|sent| &sent.request)
    }

    pub fn names_a_branch(&self, octets: &[u8]) -> bool {
        self.sent
            .iter()
            .any(|sent| octets.windows(sent.branch.len()).any(|part| part == sent.branch.as_bytes()))
    }

    pub fn opens(&mut self) {
        self.opened += 1;
        // Each may need a second one for TCP, and again when a password was waited for.
        assert!(self.opened <= 2 * (MOST_DESTINATIONS + 1), "too many flows");
    }

    pub fn begins_another_try(&mut self) {
        (self.of_try, self.opened) = (0, 0);
    }

    pub fn remembers(&mut self, what: &Checkpoint) {
        assert!(self.remembers, "nobody wants it kept");
        self.remembered = Some((what.call_id.clone(), what.cseq));
    }

    /// Whether it is a request that was not sent before.
    pub fn transmits(&mut self, transport: Transport, bytes: Bytes) -> bool {
        assert!(!self.over, "sent after the end");
        if let Some(sent) = self.sent.iter_mut().find(|sent| sent.bytes == bytes) {
            assert_eq!(transport, Transport::Udp, "TCP repeats for itself");
            sent.copies += 1;
            assert!(sent.copies <= self.most_copies, "too many copies");
            return false;
        }
        let Ok(Message::Request(request)) = Message::parse_framed(bytes.clone()) else {
            panic!("no request: {bytes:?}");
        };
        let headers = &request.headers;
        let (via, cseq) = (headers.top_via().unwrap(), headers.cseq().unwrap());
        let branch = via.branch().expect("a branch").to_owned();
        assert!(self.sent.iter().all(|sent| sent.branch != branch), "a branch is used twice");
        let number = (headers.call_id().unwrap().to_owned(), cseq.number);
        assert!(self.numbers.range(number.clone()..).all(|(id, _)| *id != number.0), "CSeq does not rise");
        if self.remembers {
            assert_eq!(self.remembered.as_ref(), Some(&number), "kept before it is sent");
        }
        assert_eq!((&request.method, cseq.method), (&Method::Register, Method::Register));
        assert!(headers.from().unwrap().tag().is_some() && headers.to().unwrap().tag().is_none());
        assert!(headers.contacts().is_ok());
        self.numbers.insert(number);
        self.sent.push(Sent { request, bytes, branch, copies: 0 });
        self.of_try += 1;
        assert!(self.of_try <= MOST_REQUESTS, "too many requests");
        true
    }

    pub fn finishes(&mut self, report: &Report, now: Time) {
        assert!(!self.over, "finished twice");
        self.over = true;
        let spent = now.since(self.start).saturating_sub(self.thought);
        assert!(spent <= self.limit, "{spent:?} of {:?}", self.limit);
        assert_eq!(report.requests as usize, self.sent.len());
        assert_eq!(report.retransmissions, self.sent.iter().map(|sent| sent.copies).sum::<u32>());
        match (&report.result, &report.response) {
            (Ok(_), response) => {
                assert!(response.as_ref().is_some_and(|(status, _)| (200..300).contains(status)))
            }
            (Err(failure), _) => assert!(!diagnose(failure, report).message.is_empty()),
        }
    }
}
