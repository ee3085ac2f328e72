//! Where a request goes (RFC 3261 §16.5, §16.6): targets in groups of falling preference, each target once.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::Fork;
use crate::proto::Time;
use crate::proto::binding::{Binding, Source};
use crate::sip::{AnyUri, NameAddr, Q, Scheme, Uri};

/// Targets of one request, those that it was redirected to included; more are left out.
pub(super) const MOST_TARGETS: usize = 64;

/// A place where a request may be forwarded to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The contact, or the Request-URI of another domain.
    pub uri: Uri,
    /// The Path of the binding (RFC 3327 §5.4); empty without.
    pub path: Box<str>,
    /// Where the binding was registered from, where it was.
    pub source: Option<Source>,
    /// It stands for one of our users, and may redirect (RFC 3261 §16.5: nothing is added for a foreign domain).
    pub is_own: bool,
}

/// What is left of the target set of one request.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Each is tried when all those before have failed; in one, all at once.
    groups: VecDeque<VecDeque<Target>>,
    /// Every URI that was ever added: none is tried twice (§16.5).
    known: Vec<Uri>,
}

impl Targets {
    /// The Request-URI of another domain: the only target (§16.5).
    pub fn only(uri: Uri) -> Targets {
        let target = Target { uri, path: Box::default(), source: None, is_own: false };
        Targets { known: vec![target.uri.clone()], groups: [[target].into()].into() }
    }

    /// What is bound: by falling q, where none says 1 (§16.6). A `sips` request goes to `sips` contacts only (RFC 5630
    /// §5.3).
    pub fn bound(bindings: &[Binding], is_secure: bool, fork: Fork, now: Time) -> Targets {
        let mut targets = Targets::default();
        targets.add(reachable(bindings, is_secure, now), fork);
        targets
    }

    /// What is bound at an address of ours that was a target itself: it comes before all that is less preferred. How many are
    /// new.
    pub fn replace(&mut self, bindings: &[Binding], is_secure: bool, fork: Fork, now: Time) -> usize {
        self.insert(reachable(bindings, is_secure, now), fork)
    }

    /// Contacts that a target has named in its place (§16.7 step 4): they come before all that is less preferred. How many
    /// are new.
    pub fn redirect(&mut self, contacts: &[NameAddr], is_secure: bool, fork: Fork) -> usize {
        let mut found: Vec<(Q, Target)> = contacts
            .iter()
            .filter_map(|contact| {
                let uri = contact.uri.sip()?.clone();
                let target = Target { uri, path: Box::default(), source: None, is_own: true };
                Some((contact.q().unwrap_or(Q::ONE), target))
            })
            .filter(|(_, target)| !is_secure || target.uri.scheme == Scheme::Sips)
            .collect();
        found.sort_by_key(|(q, _)| Reverse(*q));
        self.insert(found, fork)
    }

    fn insert(&mut self, found: Vec<(Q, Target)>, fork: Fork) -> usize {
        let mut others = std::mem::take(&mut self.groups);
        // Those at work go on, and what is left of their group goes with them.
        self.groups.extend(others.pop_front());
        let before = self.known.len();
        self.add(found, fork);
        self.groups.append(&mut others);
        self.known.len() - before
    }

    /// Adds targets that come in the order of their preference behind all others.
    fn add(&mut self, found: Vec<(Q, Target)>, fork: Fork) {
        let mut last = None;
        for (q, target) in found {
            if self.known.len() >= MOST_TARGETS || self.known.iter().any(|known| known.matches(&target.uri)) {
                continue;
            }
            self.known.push(target.uri.clone());
            match self.groups.back_mut() {
                Some(group) if last == Some(q) && fork == Fork::Parallel => group.push_back(target),
                Some(_) | None => self.groups.push_back([target].into()),
            }
            last = Some(q);
        }
    }

    /// The next targets, `room` at most. While others are at work (`is_busy`) only those of their own group.
    pub fn next(&mut self, room: usize, is_busy: bool) -> Vec<Target> {
        if !is_busy {
            while self.groups.pop_front_if(|group| group.is_empty()).is_some() {}
        }
        let Some(group) = self.groups.front_mut() else { return Vec::new() };
        // A group that is empty stays in front, so that those behind it wait.
        group.drain(..room.min(group.len())).collect()
    }

    /// All that are left are given up.
    pub fn clear(&mut self) {
        self.groups.clear();
    }

    /// Every URI of the target set so far.
    pub fn known(&self) -> &[Uri] {
        &self.known
    }
}

/// The bindings that a request can be forwarded to, by falling q, where none says 1; of the same q those first that were
/// refreshed last.
fn reachable(bindings: &[Binding], is_secure: bool, now: Time) -> Vec<(Q, Target)> {
    let live = bindings.iter().filter(|binding| binding.is_live(now));
    let mut found: Vec<(Q, Time, Target)> = live
        .filter_map(|binding| {
            let AnyUri::Sip(uri) = NameAddr::parse(binding.contact()).ok()?.uri else { return None };
            let (path, source) = (binding.path().into(), Some(binding.source));
            let target = Target { uri, path, source, is_own: true };
            Some((binding.q.unwrap_or(Q::ONE), binding.refreshed, target))
        })
        .filter(|(_, _, target)| !is_secure || target.uri.scheme == Scheme::Sips)
        .collect();
    found.sort_by_key(|(q, refreshed, _)| (Reverse(*q), Reverse(*refreshed)));
    found.into_iter().map(|(q, _, target)| (q, target)).collect()
}
