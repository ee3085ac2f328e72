//! Accounts that are kept bound: each has a timetable ([`Schedule`]) and a registration that carries it out.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Endpoint, Entry};
use crate::proto::client::nat::{Duty, Keepalives, Need};
use crate::proto::client::outcome::{AttemptResult, Report};
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::client::registration::{Registration, Step};
use crate::proto::client::schedule::{AccountEvent, Departure, Due, Schedule};
use crate::proto::flow::Flow;
use crate::proto::ids::Random;
use crate::proto::stun::Stun;
use crate::proto::timers::{ClientTimer, FlowTimer};
use crate::proto::{Action, Cause, FlowId, Notice, RegistrationId, Time};

/// The time that the removal of a binding may take, challenges included (DES-019).
const LEAVE: Duration = Duration::from_secs(4);

impl Endpoint {
    pub(super) fn begin_keeping(
        &mut self,
        id: RegistrationId,
        mut plan: Box<Plan>,
        delay: Duration,
        probe: Option<Duration>,
        now: Time,
    ) {
        plan.keep = true;
        let first = now + delay;
        let registration = Registration::new(id, plan, &mut *self.stack.context.random);
        self.namesakes.insert((registration.own_user(0), id));
        let keep = Some(Schedule::new(first, probe));
        let before = self.registrations.insert(id, Entry::new(registration, keep));
        if before.is_none_or(|before| before.keep.is_none()) {
            self.pacing.join(now);
        }
        self.stack.context.timers.set(ClientTimer::Keep(id), first);
    }

    /// Until when an account is bound, as far as is known; `None`: it is not, or is none.
    #[must_use]
    pub fn bound_until(&self, id: RegistrationId) -> Option<Time> {
        self.schedule(id)?.bound_until()
    }

    /// The plan by which an account is kept.
    #[must_use]
    pub fn plan(&self, id: RegistrationId) -> Option<&Plan> {
        self.registration(id).map(|registration| registration.plan())
    }

    pub(super) fn refresh(&mut self, which: Option<RegistrationId>, now: Time) {
        for id in self.select(which) {
            let Some((keep, _)) = self.schedule_mut(id) else { continue };
            let next = keep.on_refresh_requested(now);
            self.apply_schedule(id, next, now);
        }
    }

    pub(super) fn stop_keeping(&mut self, which: Option<RegistrationId>, now: Time) {
        for id in self.select(which) {
            let may_be_bound = self.registration(id).is_some_and(Registration::may_be_bound);
            let Some((keep, _)) = self.schedule_mut(id) else { continue };
            if keep.is_leaving() {
                continue;
            }
            let next = keep.on_stop(may_be_bound);
            self.stack.context.timers.set(ClientTimer::Leave(id), now + LEAVE);
            self.apply_schedule(id, next, now);
        }
    }

    fn select(&self, which: Option<RegistrationId>) -> Vec<RegistrationId> {
        match which {
            Some(one) => vec![one],
            None => self.schedules().map(|(id, _)| id).collect(),
        }
    }

    fn schedules(&self) -> impl Iterator<Item = (RegistrationId, &Schedule)> {
        self.registrations.iter().filter_map(|(id, entry)| Some((*id, entry.keep.as_ref()?)))
    }

    fn schedule(&self, id: RegistrationId) -> Option<&Schedule> {
        self.registrations.get(&id)?.keep.as_ref()
    }

    fn schedule_mut(&mut self, id: RegistrationId) -> Option<(&mut Schedule, &mut dyn Random)> {
        let keep = self.registrations.get_mut(&id)?.keep.as_mut()?;
        Some((keep, &mut *self.stack.context.random))
    }

    pub(super) fn keep_due(&mut self, id: RegistrationId, now: Time) {
        let Some(keep) = self.schedule(id) else { return };
        if keep.is_plain_refresh(now) || self.pacing.begins(id, now) {
            return self.begin_try(id, now);
        }
        self.pace();
    }

    pub(super) fn pace_due(&mut self, now: Time) {
        self.begin_removals(now);
        loop {
            let schedule = |id| self.registrations.get(&id)?.keep.as_ref();
            let Some(id) = self.pacing.next_try(now, |id| schedule(id).is_some_and(|keep| keep.is_due(now)))
            else {
                break;
            };
            self.begin_try(id, now);
        }
        self.pace();
    }

    /// Begins the removals whose turn it is.
    fn begin_removals(&mut self, now: Time) {
        while let Some(id) = self.pacing.next_removal(now) {
            if self.schedule(id).is_some_and(Schedule::is_leaving) {
                self.try_for(id, Purpose::Remove, now);
            }
        }
    }

    fn pace(&mut self) {
        match self.pacing.next_turn() {
            Some(at) => self.stack.context.timers.set(ClientTimer::Pace, at),
            None => self.stack.context.timers.cancel(ClientTimer::Pace),
        }
    }

    fn begin_try(&mut self, id: RegistrationId, now: Time) {
        if let Some((keep, _)) = self.schedule_mut(id) {
            let next = keep.on_due(now);
            self.apply_schedule(id, next, now);
        }
    }

    /// The removal has taken too long.
    pub(super) fn leave_over(&mut self, id: RegistrationId, now: Time) {
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        if let Step::Finish(report) = entry.registration.on_give_up(now)
            && report.purpose == Purpose::Remove
        {
            return self.left(id, report, now);
        }
        self.drop_account(id, Departure::Unconfirmed);
    }

    /// Does what the schedule of an account says.
    fn apply_schedule(&mut self, id: RegistrationId, next: Due, now: Time) {
        match next {
            Due::Wait(at) => self.stack.context.timers.set(ClientTimer::Keep(id), at),
            Due::Bind => {
                let lifetime = self.registration(id).and_then(Registration::lifetime);
                if self.schedule(id).is_some_and(|keep| !keep.is_bound(now)) {
                    self.tell(id, AccountEvent::Registering);
                }
                self.try_for(id, Purpose::Bind { expires: lifetime }, now);
            }
            Due::Remove => {
                self.stack.context.timers.cancel(ClientTimer::Keep(id));
                self.pacing.leave(id);
                self.begin_removals(now);
                self.pace();
            }
            Due::Busy => {}
            Due::Resigned => self.stack.context.timers.cancel(ClientTimer::Keep(id)),
            Due::Over => self.drop_account(id, Departure::Unbound),
        }
    }

    /// Numbers an account that is about to register over flows that namesakes use as well, so that the contacts which they
    /// make for themselves differ.
    pub(super) fn number(&mut self, id: RegistrationId) {
        let makes_its_own = |r: &&Registration| r.next_plan().keep && r.next_plan().contacts.is_empty();
        let Some(registration) = self.registration(id).filter(makes_its_own) else { return };
        let user = registration.own_user(0);
        let shares = |other: &RegistrationId| {
            let mut flows = self.stack.flows.of(*other);
            flows.any(|flow| self.stack.flows.of(id).any(|own| own == flow))
        };
        let others = self.called(&user).filter(|other| *other != id).filter(shares);
        let others = others.filter_map(|other| self.registration(other)).filter(makes_its_own);
        let taken: BTreeSet<u16> = others.map(Registration::namesake).collect();
        // Nor is it the name of another account as it is.
        let is_free = |number: &u16| {
            let is_name = *number > 0 && self.called(&registration.own_user(*number)).next().is_some();
            !is_name && !taken.contains(number)
        };
        let before = registration.namesake();
        let number = Some(before).filter(is_free).or_else(|| (0..u16::MAX).find(is_free));
        if let Some(entry) = self.registrations.get_mut(&id) {
            entry.registration.set_namesake(number.unwrap_or(before));
        }
    }

    /// The accounts whose AOR has this user part.
    fn called<'a>(&'a self, user: &'a [u8]) -> impl Iterator<Item = RegistrationId> + 'a {
        let all = self.namesakes.range((Box::from(user), RegistrationId(0))..);
        all.take_while(move |(of, _)| **of == *user).map(|(_, id)| *id)
    }

    fn try_for(&mut self, id: RegistrationId, purpose: Purpose, now: Time) {
        if purpose != Purpose::Remove {
            self.number(id);
        }
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        let step = entry.registration.again_for(purpose, &mut *self.stack.context.random, now);
        // Not before: this try may have another plan.
        self.stack.context.timers.set(ClientTimer::TryLimit(id), now + entry.registration.plan().try_limit);
        self.apply(id, step, now);
    }

    /// A try of an account has ended.
    pub(super) fn ended(&mut self, id: RegistrationId, report: Box<Report>, now: Time) {
        let is_elsewhere =
            self.registrations.get_mut(&id).is_some_and(|entry| entry.registration.takes_correction());
        let Some(registration) = self.registration(id) else { return };
        let may_be_bound = registration.may_be_bound();
        // A connection over which something failed is not for others; a socket for datagrams is as good as
        // ever. A connection on which a refusal came is too, or one that says that the server has no time (RFC 5626 §4.2.2): what is
        // bound over it is called over it, still.
        let last = report.attempts.last().map(|attempt| attempt.result);
        let is_refused = matches!(last, Some(AttemptResult::Status(400..=499 | 503 | 600..)));
        let is_good = is_refused && self.schedule(id).is_some_and(|keep| keep.is_bound(now));
        if !registration.rests_on_a_flow() && !is_good {
            let is_stream = |flow: &Flow| flow.transport.is_reliable();
            let flows: Vec<_> = self.stack.flows.of(id).collect();
            if flows.iter().any(|flow| self.stack.flows.get(*flow).is_some_and(is_stream)) {
                flows.into_iter().for_each(|flow| self.stack.flows.retire(flow));
                self.leave_destination(id);
            }
        }
        let origin = self.pacing.origin();
        let Some((keep, random)) = self.schedule_mut(id) else { return };
        if report.purpose == Purpose::Remove {
            return self.left(id, report, now);
        }
        let was_bound = keep.is_bound(now);
        let next = match &report.result {
            Ok(success) => {
                let granted =
                    success.contacts.iter().map(|granted| granted.expires).filter(|seconds| *seconds > 0);
                let next = keep.on_bound(report.sent.unwrap_or(now), granted.min().unwrap_or(0), random, now);
                if matches!(next, Due::Wait(_)) { keep.align(origin) } else { next }
            }
            Err(failure) => keep.on_failed(failure, may_be_bound, random, now),
        };
        let next = match next {
            // NAT-005: what is bound is not where we are.
            Due::Wait(_) if is_elsewhere => keep.on_refresh_requested(now),
            Due::Wait(_) | Due::Bind | Due::Remove | Due::Busy | Due::Resigned | Due::Over => next,
        };
        let until = keep.bound_until();
        let due = match next {
            Due::Wait(at) => Some(at),
            Due::Bind | Due::Remove | Due::Busy | Due::Resigned | Due::Over => None,
        };
        let what = match (report.result.is_ok(), until) {
            (true, Some(until)) => {
                let next = due.unwrap_or(now);
                if was_bound {
                    AccountEvent::Refreshed { report, until, next }
                } else {
                    AccountEvent::Registered { report, until, next }
                }
            }
            (true, None) | (false, _) => {
                AccountEvent::Failed { report, until: until.filter(|until| now < *until), next: due }
            }
        };
        let nat = self.need_keepalives(id, &what, now);
        self.tell(id, what);
        if let Some(what) = nat {
            self.tell(id, what);
        }
        self.apply_schedule(id, next, now);
    }

    /// The removal of the binding of an account has ended.
    fn left(&mut self, id: RegistrationId, report: Box<Report>, now: Time) {
        let until = self.bound_until(id).filter(|until| now < *until);
        if let Some((keep, _)) = self.schedule_mut(id) {
            keep.on_left();
        }
        if report.result.is_ok() {
            self.tell(id, AccountEvent::Unregistered(report));
            return self.drop_account(id, Departure::Removed);
        }
        self.tell(id, AccountEvent::Failed { report, until, next: None });
        self.drop_account(id, Departure::Unconfirmed);
    }

    /// The flow broke over which an account is bound.
    pub(super) fn stranded(&mut self, id: RegistrationId, cause: Option<Cause>, now: Time) {
        let Some((keep, random)) = self.schedule_mut(id) else { return };
        let next = keep.on_flow_lost(random, now);
        let words = self.registrations.get_mut(&id).and_then(|entry| entry.registration.take_last_words());
        if let Due::Wait(at) = next {
            self.tell(id, AccountEvent::FlowFailed { cause, words, next: at });
        }
        self.apply_schedule(id, next, now);
    }

    /// Accounts that are bound where nobody finds us any more are bound anew, and those that fail are tried
    /// again: the old contact is removed by the request that brings the new one (DES-016, DES-017).
    pub(super) fn network_changed(&mut self, moved: Vec<FlowId>, now: Time) {
        let mut stranded = Vec::new();
        for flow in moved {
            let users = self.stack.flows.users(flow);
            if self.stack.flows.has(flow) {
                self.close(flow);
            }
            for id in users {
                // Before the try under way fails of it: that failure is the network's.
                self.follow_network(id, now);
                self.on_registration(id, now, |r, random| r.on_moved(random, now));
                stranded.push(id);
            }
        }
        let known: BTreeSet<_> = stranded.iter().copied().collect();
        let failing = self.schedules().filter(|(_, keep)| keep.is_failing()).map(|(id, _)| id);
        let others: Vec<_> = failing.filter(|id| !known.contains(id)).collect();
        for id in stranded {
            self.tell(id, AccountEvent::NetworkChanged);
        }
        for id in others {
            self.follow_network(id, now);
        }
    }

    fn follow_network(&mut self, id: RegistrationId, now: Time) {
        if let Some(entry) = self.registrations.get_mut(&id) {
            entry.registration.forget_failures();
        }
        let Some((keep, random)) = self.schedule_mut(id) else { return };
        let next = keep.on_network_changed(random, now);
        self.apply_schedule(id, next, now);
    }

    fn drop_account(&mut self, id: RegistrationId, left: Departure) {
        if self.schedule(id).is_none() {
            return;
        }
        self.leave_destination(id);
        for key in [
            ClientTimer::TryLimit(id),
            ClientTimer::CommandLimit(id),
            ClientTimer::Keep(id),
            ClientTimer::Leave(id),
        ] {
            self.stack.context.timers.cancel(key);
        }
        self.ask_no_more(id);
        if let Some(entry) = self.registrations.remove(&id) {
            self.namesakes.remove(&(entry.registration.own_user(0), id));
        }
        self.pacing.part();
        if self.pacing.is_empty() {
            self.pace();
        }
        self.tell(id, AccountEvent::Stopped(left));
    }

    fn tell(&mut self, registration: RegistrationId, what: AccountEvent) {
        self.notify(Notice::Account { registration, what });
    }
}

/// Keep-alives of the flows that accounts are bound over.
impl Endpoint {
    /// An account has what it needs once it is bound, by the 2xx that has bound it (RFC 6223 §4.2.2). What is new of the NAT that
    /// it is behind.
    fn need_keepalives(
        &mut self,
        id: RegistrationId,
        what: &AccountEvent,
        now: Time,
    ) -> Option<AccountEvent> {
        let (AccountEvent::Registered { report, .. } | AccountEvent::Refreshed { report, .. }) = what else {
            return None;
        };
        let (Ok(success), Some(hop)) = (&report.result, report.hop) else { return None };
        let entry = self.registrations.get(&id)?;
        let need = Need::of(
            entry.registration.plan().keepalive,
            hop.transport,
            success.asked,
            report.received.is_some(),
        );
        let is_over = |flow: &FlowId| {
            let flow = self.stack.flows.get(*flow);
            flow.is_some_and(|flow| (flow.transport, flow.local) == (hop.transport, Some(hop.local)))
        };
        let flow = self.stack.flows.of(id).find(is_over)?;
        let before = entry.need;
        if let Some((other, _)) = before.filter(|(before, _)| *before != flow) {
            self.need_no_keepalives(id, other);
        }
        self.set_need(id, flow, need, now);
        let nat = report.received.map(|seen| (seen, need.map(|need| need.longest)));
        let entry = self.registrations.get_mut(&id)?;
        if entry.nat.as_deref() == nat.as_ref() {
            return None;
        }
        entry.nat = nat.map(Box::new);
        let interval = need.map(|need| need.longest);
        Some(AccountEvent::Nat { seen: report.received, interval })
    }

    /// An account has left a flow.
    pub(super) fn need_no_keepalives(&mut self, id: RegistrationId, flow: FlowId) {
        let now = self.stack.context.now;
        if self.registrations.get(&id).and_then(|entry| entry.need).is_some_and(|(of, _)| of == flow) {
            self.set_need(id, flow, None, now);
        }
    }

    fn set_need(&mut self, id: RegistrationId, flow: FlowId, need: Option<Need>, now: Time) {
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        let before = entry.need.take().filter(|(of, _)| *of == flow).map(|(_, need)| need);
        entry.need = need.map(|need| (flow, need));
        let Some(transport) = self.stack.flows.get(flow).map(|flow| flow.transport) else { return };
        if (before, need) == (None, None) {
            return;
        }
        let keepalives = self.keepalives.entry(flow).or_insert_with(|| Keepalives::new(transport));
        keepalives.change(before, need, &mut *self.stack.context.random, now);
        self.await_keepalive(flow);
    }

    fn await_keepalive(&mut self, flow: FlowId) {
        let key = FlowTimer::Keepalive(flow);
        match self.keepalives.get(&flow).and_then(Keepalives::due) {
            Some(at) if self.stack.context.timers.due(key) == Some(at) => {}
            Some(at) => self.stack.context.timers.set(key, at),
            None => {
                self.keepalives.remove(&flow);
                self.stack.context.timers.cancel(key);
            }
        }
    }

    /// Something about the keep-alives of a flow is due.
    pub(super) fn keepalive_due(&mut self, flow: FlowId, now: Time) {
        let Some(keepalives) = self.keepalives.get_mut(&flow) else { return };
        match keepalives.on_due(&mut *self.stack.context.random, now) {
            Duty::Send(bytes) => {
                if let Some(peer) = self.stack.flows.get(flow).and_then(Flow::remote) {
                    self.stack.context.push(Action::Transmit { flow, peer, bytes });
                }
            }
            Duty::Wait => {}
            Duty::Lost(fault) => return self.lost(flow, Some(Cause::Keepalive(fault)), now),
        }
        self.await_keepalive(flow);
    }

    /// A ping was answered.
    pub(super) fn ponged(&mut self, flow: FlowId, is_double: bool) {
        if let Some(keepalives) = self.keepalives.get_mut(&flow) {
            keepalives.on_pong(is_double, self.stack.context.now);
            self.await_keepalive(flow);
        }
    }

    /// STUN has come: from the server, it answers a keep-alive.
    pub(super) fn stun_received(&mut self, flow: FlowId, peer: SocketAddr, message: &Stun, now: Time) {
        if self.stack.flows.get(flow).and_then(Flow::remote) != Some(peer) {
            return;
        }
        let Some(keepalives) = self.keepalives.get_mut(&flow) else { return };
        match keepalives.on_stun(message, now) {
            Ok(()) => self.await_keepalive(flow),
            Err(fault) => self.lost(flow, Some(Cause::Keepalive(fault)), now),
        }
    }

    /// What keep-alives have shown of a flow counts for those who lose it.
    pub(super) fn prove(&mut self, flow: FlowId) {
        let Some(at) = self.keepalives.get(&flow).and_then(Keepalives::proven) else { return };
        for id in self.stack.flows.users(flow) {
            if let Some((keep, _)) = self.schedule_mut(id) {
                keep.on_flow_proven(at);
            }
        }
    }
}
