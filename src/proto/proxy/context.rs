//! The response context (RFC 3261 §16.6 to §16.10): all that comes of one request that is forwarded, decided in one place.
//!
//! ```text
//!            │ request
//!      ┌─────▼────┐ CANCEL, nobody there
//!      │ Locating ├──────────────────────────────┐
//!      └─────┬────┘                              │
//!            │ targets: fork the first group     │
//!      ┌─────▼────┐ all failed: the next group   │
//!      │ Forking  │ 1xx: passed up               │
//!      └─┬─────┬──┘                              │
//!   2xx, │     │ no targets left:                │
//!   6xx, │     │ the best response goes up       │
//! CANCEL │     │                                 │
//!      ┌─▼─────▼───┐ 2xx: passed up, also late   │
//!      │ Answering │ no new branches; those that │
//!      └─────┬─────┘ are pending get CANCEL once │
//!            │       a 1xx has come              │
//!            │ every branch is over              │
//!      ┌─────▼────┐                              │
//!      │   Done   ◀──────────────────────────────┘
//!      └──────────┘
//! ```
//!
//! The machine is pure. It never sees a message, only what kind came on which branch, and says what to do; the responses
//! themselves wait in [`Best`](super::best::Best).

use super::targets::{Target, Targets};

/// Where a context stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The location service is asked for the targets.
    Locating,
    /// Branches are at work, and more may follow.
    Forking,
    /// No more branches: somebody has accepted or declined for all, the caller has cancelled, or all have failed.
    Answering {
        /// The final response has gone up.
        is_answered: bool,
    },
    /// Nothing is left.
    Done,
}

/// Where a branch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its address is looked up, or a connection opened: nothing was sent.
    Opening,
    /// Sent, nothing heard.
    Calling,
    /// A 1xx came.
    Proceeding,
    /// A 2xx to an INVITE came; more of them may.
    Accepted,
    /// Nothing more comes.
    Over,
}

/// A branch: the request as it was forwarded to one target.
#[derive(Debug)]
struct Branch {
    stage: Stage,
    /// It is cancelled, or will be with its first 1xx (§9.1).
    is_leaving: bool,
    /// Its part of the Max-Breadth (RFC 5393 §5.3.3).
    breadth: u32,
}

impl Branch {
    fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Opening | Stage::Calling | Stage::Proceeding)
    }
}

/// What can happen to a context; on which branch, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The request was sent.
    Sent(u16),
    /// 100 came.
    Trying(u16),
    /// 101 to 199 came.
    Progress(u16),
    /// A 2xx came.
    Success(u16),
    /// 300 to 599 came, or what stands for it: no answer in time, or no way there.
    Refused(u16),
    /// A 6xx came: it speaks for all.
    Declined(u16),
    /// Timer C fired (§16.8).
    TimerC(u16),
    /// The client transaction of a 2xx is over.
    Ended(u16),
    /// The caller cancels (§16.10).
    Cancelled,
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Forward the request on this branch.
    Fork(u16),
    /// Send CANCEL on this branch.
    Cancel(u16),
    /// Forget this branch: nothing was sent, or nobody waits any more.
    Abandon(u16),
    /// Pass the response up that has just come.
    Relay,
    /// Nothing but silence and failures came of this branch: a 408 stands for it.
    Silence,
    /// The best of the final responses goes up.
    Choose,
    /// Timer C begins anew.
    TimerC(u16),
    /// As Timer C, but for the answer to a CANCEL: 64·T1 (§9.1).
    Patience(u16),
    /// Timer C is stopped.
    Stop(u16),
    /// The context is done.
    End,
}

/// The machine of one context.
#[derive(Debug)]
pub(super) struct ResponseContext {
    state: State,
    is_invite: bool,
    targets: Targets,
    branches: Vec<Branch>,
    /// The targets of the branches that were forked and not taken yet.
    forked: Vec<Target>,
    /// The Max-Breadth that no branch has.
    breadth: u32,
}

impl ResponseContext {
    /// A request that may have so many branches at a time; the targets are being looked up.
    pub fn new(is_invite: bool, breadth: u32) -> ResponseContext {
        let (branches, forked) = (Vec::new(), Vec::new());
        let (state, targets) = (State::Locating, Targets::default());
        ResponseContext { state, is_invite, targets, branches, forked, breadth }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the final response has gone up.
    pub fn is_answered(&self) -> bool {
        matches!(self.state, State::Answering { is_answered: true } | State::Done)
    }

    /// The targets, to add some that a target has named in its place.
    pub fn targets(&mut self) -> &mut Targets {
        &mut self.targets
    }

    /// The target of a branch that was just forked.
    pub fn take_target(&mut self) -> Option<Target> {
        (!self.forked.is_empty()).then(|| self.forked.remove(0))
    }

    /// The Max-Breadth of a branch (RFC 5393 §5.3.3).
    pub fn breadth(&self, branch: u16) -> u32 {
        self.branches.get(usize::from(branch)).map_or(1, |branch| branch.breadth)
    }

    /// Whether a branch that has failed may go to another address of its target: then it begins anew.
    pub fn reopen(&mut self, branch: u16) -> bool {
        let may = self.state == State::Forking;
        match self.branches.get_mut(usize::from(branch)) {
            Some(branch) if may && !branch.is_leaving && branch.is_pending() => {
                branch.stage = Stage::Opening;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether nothing was sent yet on a branch, and still may be.
    pub fn is_opening(&self, branch: u16) -> bool {
        self.branches.get(usize::from(branch)).is_some_and(|branch| branch.stage == Stage::Opening)
    }

    /// The targets are known.
    pub fn located(&mut self, targets: Targets) -> Vec<Effect> {
        if self.state != State::Locating {
            return Vec::new();
        }
        self.state = State::Forking;
        self.targets = targets;
        self.proceed()
    }

    /// One input, all its effects. What comes on a branch that is over has none.
    pub fn on(&mut self, input: Input) -> Vec<Effect> {
        match (self.state, input) {
            (State::Done, _) => Vec::new(),
            (State::Locating, Input::Cancelled) => {
                self.state = State::Done;
                vec![Effect::Choose, Effect::End]
            }
            (State::Forking, Input::Cancelled) => {
                self.state = State::Answering { is_answered: false };
                let mut effects = self.withdraw();
                effects.extend(self.settle());
                effects
            }
            (State::Answering { .. }, Input::Cancelled) => Vec::new(),
            (_, Input::Sent(n)) => self.sent(n),
            (_, Input::Trying(n)) => self.provisional(n, false),
            (_, Input::Progress(n)) => self.provisional(n, true),
            (_, Input::Success(n)) => self.success(n),
            (_, Input::Refused(n)) => self.failure(n, false),
            (_, Input::Declined(n)) => self.failure(n, true),
            (_, Input::TimerC(n)) => self.timer_c(n),
            (_, Input::Ended(n)) => {
                self.end(n);
                self.settle()
            }
        }
    }

    fn branch(&mut self, n: u16) -> Option<&mut Branch> {
        self.branches.get_mut(usize::from(n)).filter(|branch| branch.stage != Stage::Over)
    }

    fn sent(&mut self, n: u16) -> Vec<Effect> {
        let is_invite = self.is_invite;
        match self.branch(n) {
            Some(branch) if branch.stage == Stage::Opening => {
                branch.stage = Stage::Calling;
                if is_invite { vec![Effect::TimerC(n)] } else { Vec::new() }
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// §16.7 step 5: all but a 100 goes up, until a final response has. To other methods there is none but 100 (RFC 4320 §4.1).
    fn provisional(&mut self, n: u16, is_progress: bool) -> Vec<Effect> {
        let (is_invite, is_answered) = (self.is_invite, self.is_answered());
        let Some(branch) = self.branch(n) else { return Vec::new() };
        let mut effects = Vec::new();
        match branch.stage {
            Stage::Calling => {
                branch.stage = Stage::Proceeding;
                if branch.is_leaving {
                    effects.extend([Effect::Cancel(n), Effect::Patience(n)]);
                }
            }
            Stage::Proceeding => {}
            Stage::Opening | Stage::Accepted | Stage::Over => return Vec::new(),
        }
        if is_invite && is_progress {
            if !branch.is_leaving {
                effects.push(Effect::TimerC(n));
            }
            if !is_answered {
                effects.push(Effect::Relay);
            }
        }
        effects
    }

    /// §16.7 steps 5 and 10: it goes up at once, whatever went before, and the others are cancelled. Who asked something else than
    /// INVITE hears one answer only.
    fn success(&mut self, n: u16) -> Vec<Effect> {
        let (is_invite, was_answered) = (self.is_invite, self.is_answered());
        let Some(branch) = self.branch(n) else { return Vec::new() };
        let mut effects = Vec::new();
        if branch.stage != Stage::Accepted && is_invite {
            effects.push(Effect::Stop(n));
        }
        if is_invite {
            branch.stage = Stage::Accepted;
            effects.push(Effect::Relay);
        } else {
            self.end(n);
            if !was_answered {
                effects.push(Effect::Relay);
            }
        }
        if !was_answered {
            self.state = State::Answering { is_answered: true };
            effects.extend(self.withdraw());
        }
        effects.extend(self.settle());
        effects
    }

    fn failure(&mut self, n: u16, is_decline: bool) -> Vec<Effect> {
        if self.branch(n).is_none() {
            return Vec::new();
        }
        let mut effects = if self.is_invite { vec![Effect::Stop(n)] } else { Vec::new() };
        self.end(n);
        match self.state {
            State::Forking if is_decline => {
                self.state = State::Answering { is_answered: false };
                effects.extend(if self.is_invite { self.withdraw() } else { self.close() });
                effects.extend(self.settle());
            }
            State::Forking => effects.extend(self.proceed()),
            State::Answering { .. } => effects.extend(self.settle()),
            State::Locating | State::Done => {}
        }
        effects
    }

    /// §16.8: who rings for ever is cancelled, and has 64·T1 to say so; who was never heard of is given up.
    fn timer_c(&mut self, n: u16) -> Vec<Effect> {
        let Some(branch) = self.branch(n) else { return Vec::new() };
        match branch.stage {
            Stage::Proceeding if !branch.is_leaving => {
                branch.is_leaving = true;
                vec![Effect::Cancel(n), Effect::Patience(n)]
            }
            Stage::Calling | Stage::Proceeding => {
                let mut effects = vec![Effect::Abandon(n), Effect::Silence];
                effects.extend(self.failure(n, false));
                effects
            }
            Stage::Opening | Stage::Accepted | Stage::Over => Vec::new(),
        }
    }

    fn end(&mut self, n: u16) {
        if let Some(branch) = self.branches.get_mut(usize::from(n)) {
            branch.stage = Stage::Over;
            self.breadth += std::mem::take(&mut branch.breadth);
        }
    }

    /// Sends nothing more; what was sent can't be cancelled, and is waited for.
    fn close(&mut self) -> Vec<Effect> {
        self.targets.clear();
        let opening = (0..).zip(&mut self.branches).filter(|(_, branch)| branch.stage == Stage::Opening);
        opening
            .map(|(n, branch)| {
                branch.stage = Stage::Over;
                Effect::Abandon(n)
            })
            .collect()
    }

    /// Lets go of every branch that is pending, and of the targets that are left.
    fn withdraw(&mut self) -> Vec<Effect> {
        self.targets.clear();
        let mut effects = Vec::new();
        for (n, branch) in (0..).zip(&mut self.branches) {
            match branch.stage {
                Stage::Proceeding if self.is_invite && !branch.is_leaving => {
                    branch.is_leaving = true;
                    effects.extend([Effect::Cancel(n), Effect::Patience(n)]);
                }
                // §9.1: CANCEL waits for a 1xx.
                Stage::Calling if self.is_invite => branch.is_leaving = true,
                Stage::Proceeding if self.is_invite => {}
                Stage::Opening | Stage::Calling | Stage::Proceeding => {
                    branch.stage = Stage::Over;
                    effects.push(Effect::Abandon(n));
                }
                Stage::Accepted | Stage::Over => {}
            }
        }
        effects
    }

    /// Goes on with the next targets. When there are none, and nobody is at work, the best response goes up.
    fn proceed(&mut self) -> Vec<Effect> {
        let is_busy = self.branches.iter().any(Branch::is_pending);
        let room = usize::try_from(self.breadth).unwrap_or(usize::MAX);
        let next = self.targets.next(room, is_busy);
        if next.is_empty() {
            if is_busy {
                return Vec::new();
            }
            self.state = State::Answering { is_answered: false };
            return self.settle();
        }
        let count = u32::try_from(next.len()).unwrap_or(u32::MAX);
        let (each, rest) = (self.breadth / count, self.breadth % count);
        let mut effects = Vec::with_capacity(next.len());
        for (at, target) in (0..).zip(next) {
            let Ok(n) = u16::try_from(self.branches.len()) else { break };
            let breadth = each + u32::from(at < rest);
            self.breadth -= breadth;
            self.branches.push(Branch { stage: Stage::Opening, is_leaving: false, breadth });
            self.forked.push(target);
            effects.push(Effect::Fork(n));
        }
        effects
    }

    /// Whether it can be answered now, and whether it is done.
    fn settle(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.state == (State::Answering { is_answered: false })
            && !self.branches.iter().any(Branch::is_pending)
        {
            self.state = State::Answering { is_answered: true };
            effects.push(Effect::Choose);
        }
        let is_over = self.branches.iter().all(|branch| branch.stage == Stage::Over);
        if self.state == (State::Answering { is_answered: true }) && is_over {
            self.state = State::Done;
            effects.push(Effect::End);
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::proto::proxy::Fork;
    use crate::sip::NameAddr;

    /// Two targets of the same preference and a third of a lower one.
    fn targets() -> Targets {
        let contacts =
            ["<sip:a@h>", "<sip:b@h>", "<sip:c@h>;q=0.1"].map(|text| NameAddr::parse(text).unwrap());
        let mut targets = Targets::default();
        targets.redirect(&contacts, false, Fork::Parallel);
        targets
    }

    fn context(is_invite: bool, way: &[Input]) -> ResponseContext {
        let mut context = ResponseContext::new(is_invite, 60);
        context.located(targets());
        for input in way {
            context.on(*input);
        }
        context
    }

    fn matrix(is_invite: bool) -> String {
        let both = [Input::Sent(0), Input::Sent(1)];
        let ways: [(&str, &[Input]); 5] = [
            ("calling", &[]),
            ("ringing", &[Input::Progress(0)]),
            ("cancelled", &[Input::Progress(0), Input::Cancelled]),
            ("declined", &[Input::Progress(0), Input::Declined(1)]),
            ("accepted", &[Input::Progress(0), Input::Success(1)]),
        ];
        let inputs = [
            Input::Trying(0),
            Input::Progress(0),
            Input::Success(0),
            Input::Refused(0),
            Input::Declined(0),
            Input::TimerC(0),
            Input::Ended(0),
            Input::Cancelled,
        ];
        let mut out = String::new();
        for (name, way) in ways {
            for input in inputs {
                let way: Vec<Input> = both.iter().chain(way).copied().collect();
                let mut context = context(is_invite, &way);
                let effects: Vec<String> =
                    context.on(input).iter().map(|effect| format!("{effect:?}")).collect();
                let (input, state) = (format!("{input:?}"), format!("{:?}", context.state()));
                let state = state.replace("Answering { is_answered: true }", "Answered");
                let state = state.replace("Answering { is_answered: false }", "Answering");
                let line = format!("{name:<9} {input:<11} -> {state:<9} {}", effects.join(" "));
                let _ = writeln!(out, "{}", line.trim_end());
            }
        }
        out
    }

    /// FRK-001 FRK-004 FRK-005 FRK-006 FRK-007 FRK-018 FRK-019 FRK-020 FRK-023 FRK-024 FRK-025: two branches were sent, a third
    /// target waits; what comes on the first.
    #[test]
    fn every_state_of_a_call_has_an_answer_to_every_input() {
        insta::assert_snapshot!(matrix(true), @r"
        calling   Trying(0)   -> Forking
        calling   Progress(0) -> Forking   TimerC(0) Relay
        calling   Success(0)  -> Answered  Stop(0) Relay
        calling   Refused(0)  -> Forking   Stop(0)
        calling   Declined(0) -> Answering Stop(0)
        calling   TimerC(0)   -> Forking   Abandon(0) Silence Stop(0)
        calling   Ended(0)    -> Forking
        calling   Cancelled   -> Answering
        ringing   Trying(0)   -> Forking
        ringing   Progress(0) -> Forking   TimerC(0) Relay
        ringing   Success(0)  -> Answered  Stop(0) Relay
        ringing   Refused(0)  -> Forking   Stop(0)
        ringing   Declined(0) -> Answering Stop(0)
        ringing   TimerC(0)   -> Forking   Cancel(0) Patience(0)
        ringing   Ended(0)    -> Forking
        ringing   Cancelled   -> Answering Cancel(0) Patience(0)
        cancelled Trying(0)   -> Answering
        cancelled Progress(0) -> Answering Relay
        cancelled Success(0)  -> Answered  Stop(0) Relay
        cancelled Refused(0)  -> Answering Stop(0)
        cancelled Declined(0) -> Answering Stop(0)
        cancelled TimerC(0)   -> Answering Abandon(0) Silence Stop(0)
        cancelled Ended(0)    -> Answering
        cancelled Cancelled   -> Answering
        declined  Trying(0)   -> Answering
        declined  Progress(0) -> Answering Relay
        declined  Success(0)  -> Answered  Stop(0) Relay
        declined  Refused(0)  -> Done      Stop(0) Choose End
        declined  Declined(0) -> Done      Stop(0) Choose End
        declined  TimerC(0)   -> Done      Abandon(0) Silence Stop(0) Choose End
        declined  Ended(0)    -> Done      Choose End
        declined  Cancelled   -> Answering
        accepted  Trying(0)   -> Answered
        accepted  Progress(0) -> Answered
        accepted  Success(0)  -> Answered  Stop(0) Relay
        accepted  Refused(0)  -> Answered  Stop(0)
        accepted  Declined(0) -> Answered  Stop(0)
        accepted  TimerC(0)   -> Answered  Abandon(0) Silence Stop(0)
        accepted  Ended(0)    -> Answered
        accepted  Cancelled   -> Answered
        ");
    }

    /// FRK-017
    #[test]
    fn other_methods_hear_one_answer_and_cancel_nothing() {
        insta::assert_snapshot!(matrix(false), @r"
        calling   Trying(0)   -> Forking
        calling   Progress(0) -> Forking
        calling   Success(0)  -> Done      Relay Abandon(1) End
        calling   Refused(0)  -> Forking
        calling   Declined(0) -> Answering
        calling   TimerC(0)   -> Forking   Abandon(0) Silence
        calling   Ended(0)    -> Forking
        calling   Cancelled   -> Done      Abandon(0) Abandon(1) Choose End
        ringing   Trying(0)   -> Forking
        ringing   Progress(0) -> Forking
        ringing   Success(0)  -> Done      Relay Abandon(1) End
        ringing   Refused(0)  -> Forking
        ringing   Declined(0) -> Answering
        ringing   TimerC(0)   -> Forking   Cancel(0) Patience(0)
        ringing   Ended(0)    -> Forking
        ringing   Cancelled   -> Done      Abandon(0) Abandon(1) Choose End
        cancelled Trying(0)   -> Done
        cancelled Progress(0) -> Done
        cancelled Success(0)  -> Done
        cancelled Refused(0)  -> Done
        cancelled Declined(0) -> Done
        cancelled TimerC(0)   -> Done
        cancelled Ended(0)    -> Done
        cancelled Cancelled   -> Done
        declined  Trying(0)   -> Answering
        declined  Progress(0) -> Answering
        declined  Success(0)  -> Done      Relay End
        declined  Refused(0)  -> Done      Choose End
        declined  Declined(0) -> Done      Choose End
        declined  TimerC(0)   -> Answering Cancel(0) Patience(0)
        declined  Ended(0)    -> Done      Choose End
        declined  Cancelled   -> Answering
        accepted  Trying(0)   -> Done
        accepted  Progress(0) -> Done
        accepted  Success(0)  -> Done
        accepted  Refused(0)  -> Done
        accepted  Declined(0) -> Done
        accepted  TimerC(0)   -> Done
        accepted  Ended(0)    -> Done
        accepted  Cancelled   -> Done
        ");
    }
}
