//! What becomes of the orders of a check ([`Check`]): its probes have flows and transactions as registrations have, and its
//! registrations are those of everybody.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Endpoint, Entry, RegistrationId};
use crate::proto::check::{Check, CheckPlan, Order, is_of_check};
use crate::proto::client::outcome::Report;
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::client::registration::{Registration, Step};
use crate::proto::flow::{Flow, PING};
use crate::proto::ids::Random;
use crate::proto::names::Asker;
use crate::proto::timers::{CheckTimer, ClientTimer};
use crate::proto::transaction::{Heard, Outgoing, Owner};
use crate::proto::{Action, Destination, Notice, Question, Time};

impl Endpoint {
    pub(super) fn begin_check(&mut self, plan: CheckPlan, now: Time) {
        self.check = Some(Box::new(Check::new(plan, &mut *self.stack.context.random, now)));
        self.follow_check(now);
    }

    /// Gives an input to the check, if there is one, and does what it orders.
    pub(super) fn on_check(&mut self, now: Time, input: impl FnOnce(&mut Check, &mut dyn Random)) {
        let Some(check) = &mut self.check else { return };
        input(check, &mut *self.stack.context.random);
        self.follow_check(now);
    }

    /// Whether this is a probe of the check.
    pub(super) fn is_probe(&self, id: RegistrationId) -> bool {
        is_of_check(id) && self.check.as_ref().is_some_and(|check| check.has_probe(id))
    }

    fn follow_check(&mut self, now: Time) {
        while let Some(order) = self.check.as_mut().and_then(|check| check.next_order()) {
            self.carry_out(order, now);
        }
        let Some(check) = &self.check else { return };
        if check.is_over() {
            self.check = None;
            self.stack.context.names.leave(|asker| asker == Asker::Check);
        }
        match self.check.as_ref().and_then(|check| check.due()) {
            Some(at) => self.stack.context.timers.set(CheckTimer::Due, at),
            None => self.stack.context.timers.cancel(CheckTimer::Due),
        }
    }

    fn carry_out(&mut self, order: Order, now: Time) {
        match order {
            Order::Open(id, destination) => self.open_probe(id, destination, now),
            Order::Send(id, outgoing) => self.send_probe(id, *outgoing, now),
            Order::Leave(id) => self.leave_destination(id),
            Order::Register(id, plan) => {
                self.stack.context.timers.set(ClientTimer::TryLimit(id), now + plan.try_limit);
                let mut registration = Registration::new(id, plan, &mut *self.stack.context.random);
                let step = registration.start(now);
                self.registrations.insert(id, Entry::new(registration, None));
                self.apply(id, step, now);
            }
            Order::Again(id, purpose) => self.ask_again(id, purpose, now),
            Order::Ping(id) => self.ping_for_check(id),
            Order::Withdraw(id) => self.withdraw(id, now),
            Order::Drop(id) => self.drop_registration(id, now),
            Order::Resolve(questions) => self.resolve_for_check(&questions, now),
            Order::Close => self.on_check(now, |check, _| check.close()),
            Order::Tell(measured) => self.notify(Notice::Check(Box::new(measured))),
        }
    }

    fn open_probe(&mut self, id: RegistrationId, destination: Destination, now: Time) {
        let Some(patience) = self.check.as_ref().map(|check| check.plan().timing.patience()) else { return };
        let flow = self.stack.flows.open(destination, id, false, patience, &mut self.stack.context);
        if let Some(local) = self.stack.flows.get(flow).and_then(|flow| flow.local) {
            self.on_check(now, |check, random| check.on_opened(id, local, random, now));
        }
    }

    fn send_probe(&mut self, id: RegistrationId, outgoing: Outgoing, now: Time) {
        let timing = self.check.as_ref().map(|check| check.plan().timing);
        let found = self.stack.flows.of(id).find_map(|flow| {
            let remote = self.stack.flows.get(flow)?.remote()?;
            Some((flow, remote))
        });
        match (found, timing) {
            (Some(to), Some(timing)) => self.stack.send(Owner::Registration(id), outgoing, to, timing),
            (_, _) => self.on_check(now, |check, random| check.on_lost(id, None, random, now)),
        }
    }

    fn ask_again(&mut self, id: RegistrationId, purpose: Purpose, now: Time) {
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        let step = entry.registration.again_for(purpose, &mut *self.stack.context.random, now);
        self.stack.context.timers.set(ClientTimer::TryLimit(id), now + entry.registration.plan().try_limit);
        self.apply(id, step, now);
    }

    /// Sends CRLFCRLF (RFC 5626 §4.4.1), as `keep` does.
    fn ping_for_check(&mut self, id: RegistrationId) {
        for flow in self.stack.flows.of(id).collect::<Vec<_>>() {
            if let Some(peer) = self.stack.flows.get(flow).and_then(Flow::remote) {
                let bytes = Bytes::from_static(PING);
                self.stack.context.push(Action::Transmit { flow, peer, bytes });
            }
        }
    }

    /// Ends what a registration has under way. What it may have bound is removed; without any it is gone.
    fn withdraw(&mut self, id: RegistrationId, now: Time) {
        let Some(entry) = self.registrations.get_mut(&id) else {
            return self.on_check(now, |check, _| check.on_withdrawn(id));
        };
        let was_under_way = !entry.registration.rests();
        let so_far = entry.registration.on_give_up(now);
        let may_be_bound = entry.registration.may_be_bound();
        if was_under_way {
            self.leave_destination(id);
            self.ask_no_more(id);
        }
        self.given_up(id, so_far, now);
        if may_be_bound {
            return self.ask_again(id, Purpose::Remove, now);
        }
        self.drop_registration(id, now);
        self.on_check(now, |check, _| check.on_withdrawn(id));
    }

    /// What a registration of the check has come to that was ended in the middle.
    fn given_up(&mut self, id: RegistrationId, step: Step, now: Time) {
        if let Step::Finish(report) = step {
            self.on_check(now, |check, _| check.on_given_up(id, report));
        }
    }

    fn drop_registration(&mut self, id: RegistrationId, now: Time) {
        if let Some(entry) = self.registrations.get_mut(&id) {
            let so_far = entry.registration.on_give_up(now);
            self.given_up(id, so_far, now);
        }
        self.leave_destination(id);
        self.ask_no_more(id);
        for key in super::limits(id) {
            self.stack.context.timers.cancel(key);
            self.stopped.remove(&key);
        }
        self.registrations.remove(&id);
    }

    /// A registration of the check is over, for now.
    pub(super) fn registered_for_check(&mut self, id: RegistrationId, report: Box<Report>, now: Time) {
        let plan: Option<Plan> = match &report.result {
            Ok(_) => self.registration(id).map(|registration| registration.plan().clone()),
            Err(_) => None,
        };
        self.on_check(now, |check, random| {
            if let Some(plan) = plan {
                check.on_let_in(&plan);
            }
            check.on_registered(id, report, random, now);
        });
    }

    fn resolve_for_check(&mut self, questions: &[Question], now: Time) {
        let mut known = Vec::new();
        for question in questions {
            if let Some(answer) = self.stack.context.resolve(question, Asker::Check, Time::default()) {
                known.push((question, answer));
            }
        }
        for (question, (answer, ttl)) in known {
            self.on_check(now, |check, random| check.on_resolved(question, answer, ttl, random, now));
        }
    }

    /// What came of a request of a probe.
    pub(super) fn probe_heard(&mut self, id: RegistrationId, heard: Heard, now: Time) {
        self.on_check(now, |check, random| match heard {
            Heard::Copy => check.on_copy(id),
            Heard::Final(response, via, peer) => check.on_final(id, (response, &via), peer, random, now),
            Heard::Timeout => check.on_silence(id, random, now),
            Heard::Undeliverable(cause) => check.on_lost(id, Some(cause), random, now),
            // Branches of the proxy alone hear them.
            Heard::Provisional(_) | Heard::Over => {}
        });
    }

    /// A request came to a flow of these registrations: one of the check's hears of it.
    pub(super) fn called_for_check(
        &mut self,
        users: &[RegistrationId],
        request: &crate::sip::Request,
        peer: SocketAddr,
        now: Time,
    ) {
        if users.iter().any(|user| is_of_check(*user)) {
            let request = request.clone();
            self.on_check(now, |check, random| check.on_called(request, peer, random, now));
        }
    }

    /// The time of a user's thought counts towards no limit of the check either.
    pub(super) fn extend_check(&mut self, id: RegistrationId, thought: std::time::Duration, now: Time) {
        if is_of_check(id) {
            self.on_check(now, |check, _| check.extend(thought));
        }
    }

    /// Whether somebody is being asked for a password for the check.
    pub(super) fn is_check_asking(&self) -> bool {
        let of_check = self.registrations.range(RegistrationId(0)..).rev();
        let mut of_check = of_check.take_while(|(id, _)| is_of_check(**id));
        of_check.any(|(_, entry)| entry.registration.asking_since().is_some())
    }

    /// Tells the check whatever is due, unless a user thinks.
    pub(super) fn check_due(&mut self, now: Time) {
        if self.is_check_asking() {
            let later = now + std::time::Duration::from_secs(1);
            return self.stack.context.timers.set(CheckTimer::Due, later);
        }
        self.on_check(now, |check, random| check.on_due(random, now));
    }
}
