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
    /// The Request-URI of another domain: the only target (§16.5), which is reached by a connection, if that is said.
    pub fn only(uri: Uri, source: Option<Source>) -> Targets {
        let target = Target { uri, path: Box::default(), source, is_own: false };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::binding::Texts;
    use crate::proto::{FlowId, NodeId, Transport};

    /// Bound in this order, a second after one another.
    fn bindings(contacts: &[&str]) -> Vec<Binding> {
        let source = Source {
            flow: FlowId(1),
            peer: "192.0.2.7:5060".parse().unwrap(),
            transport: Transport::Udp,
            is_way: false,
            node: NodeId::LOCAL,
        };
        let binding = |(n, contact): (u64, &&str)| {
            let q = NameAddr::parse(contact).unwrap().q();
            let refreshed = Time::from_millis(n * 1000);
            let texts = Texts::new(contact, "c", "");
            Binding { texts, q, cseq: 1, expires: Time::from_millis(100_000), refreshed, source }
        };
        (0..).zip(contacts).map(binding).collect()
    }

    /// The groups in their order, if each fails.
    fn groups(mut targets: Targets) -> Vec<String> {
        let text = |target: &Target| target.uri.to_string().replace("sip:", "");
        std::iter::from_fn(|| Some(targets.next(64, false)).filter(|next| !next.is_empty()))
            .map(|group| group.iter().map(text).collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// FRK-001 PRX-014: equal preference together, of an own time first; none twice; what no SIP reaches is left out.
    #[test]
    fn targets_come_by_falling_preference_and_each_once() {
        let bound =
            ["<sip:a@h>;q=0.5", "<sip:b@h>", "<sip:c@h>;q=0.5", "<tel:1>", "<sip:b@H>", "<sip:d@h>;q=0"];
        let now = Time::from_millis(50_000);
        let of = |fork| groups(Targets::bound(&bindings(&bound), false, fork, now));
        assert_eq!(of(Fork::Parallel), ["b@H", "c@h a@h", "d@h"]);
        assert_eq!(of(Fork::Sequential), ["b@H", "c@h", "a@h", "d@h"]);
        assert!(groups(Targets::bound(&bindings(&bound), true, Fork::Parallel, now)).is_empty());
        let late = Time::from_millis(100_000);
        assert!(groups(Targets::bound(&bindings(&bound), false, Fork::Parallel, late)).is_empty());
    }

    /// LOP-007 LOP-010: those behind wait until the whole group has failed.
    #[test]
    fn a_group_that_is_at_work_keeps_the_next_waiting() {
        let bound = bindings(&["<sip:a@h>", "<sip:b@h>", "<sip:c@h>", "<sip:d@h>;q=0.1"]);
        let mut targets = Targets::bound(&bound, false, Fork::Parallel, Time::from_millis(0));
        let mut next = |room, is_busy| targets.next(room, is_busy).len();
        assert_eq!([next(2, false), next(2, true), next(2, true), next(2, true)], [2, 1, 0, 0]);
        assert_eq!([next(2, false), next(2, false)], [1, 0]);
    }

    /// FRK-014 FRK-015: who is named in place of a target comes before those that are less preferred, and needs TLS if the request
    /// does.
    #[test]
    fn a_redirect_goes_before_what_is_less_preferred() {
        let bound = bindings(&["<sip:a@h>", "<sip:b@h>;q=0.1"]);
        let mut targets = Targets::bound(&bound, false, Fork::Parallel, Time::from_millis(0));
        targets.next(64, false);
        let named = ["<sip:x@h>;q=0.2", "<sip:a@h>", "<sip:y@h>", "<mailto:z@h>"];
        let named = named.map(|text| NameAddr::parse(text).unwrap());
        assert_eq!(targets.redirect(&named, true, Fork::Parallel), 0);
        assert_eq!(targets.redirect(&named, false, Fork::Parallel), 2);
        assert_eq!(groups(targets), ["y@h", "x@h", "b@h"]);
    }

    /// So many, and no more, whatever is bound.
    #[test]
    fn there_is_an_end_to_targets() {
        let many: Vec<String> = (0..200).map(|n| format!("<sip:a{n}@h>")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let targets = Targets::bound(&bindings(&many), false, Fork::Parallel, Time::from_millis(0));
        assert_eq!(targets.known().len(), MOST_TARGETS);
    }
}
