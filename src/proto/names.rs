//! Answers of the name service, kept for as long as they are good (RFC 2308 for those that say no): many accounts of one
//! domain ask once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ContextId, DnsAnswer, QueryId, Question, RegistrationId, ResolveError, Time};

/// Most answers that are kept.
const MOST_ANSWERS: usize = 1024;
/// The longest that one is kept (RFC 8767 §4 recommends days; a client wants to notice a move).
const LONGEST: Duration = Duration::from_secs(3600);

/// Who wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A registration.
    Registration(RegistrationId),
    /// A branch of the proxy, by its number.
    Branch(ContextId, u16),
    /// The check.
    Check,
}

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The answer is known, and good for so many seconds.
    Known(DnsAnswer, u32),
    /// It has to be asked under this id.
    New(QueryId),
    /// Somebody has asked: the answer is for all of them.
    Under,
}

#[derive(Debug)]
struct Answer {
    answer: DnsAnswer,
    from: Time,
    until: Time,
}

/// Questions that are open, and answers that are good.
#[derive(Debug, Default)]
pub(super) struct Names {
    open: BTreeMap<Question, (QueryId, Vec<Asker>)>,
    queries: BTreeMap<QueryId, Question>,
    answers: BTreeMap<Question, Answer>,
}

impl Names {
    /// Somebody wants to know something, and not from before `since`. `id` is used if it has to be asked.
    pub fn ask(&mut self, question: &Question, asker: Asker, since: Time, id: QueryId, now: Time) -> Asked {
        if let Some(known) = self.answers.get(question)
            && now < known.until
            && since <= known.from
        {
            let left = known.until.since(now).as_secs();
            return Asked::Known(known.answer.clone(), u32::try_from(left).unwrap_or(u32::MAX));
        }
        if let Some((_, askers)) = self.open.get_mut(question) {
            askers.push(asker);
            return Asked::Under;
        }
        self.open.insert(question.clone(), (id, vec![asker]));
        self.queries.insert(id, question.clone());
        Asked::New(id)
    }

    /// The answer has come. What was asked, and who wants it; `None`: nobody does.
    pub fn answered(
        &mut self,
        query: QueryId,
        answer: &DnsAnswer,
        ttl: u32,
        now: Time,
    ) -> Option<(Question, Vec<Asker>)> {
        let question = self.queries.remove(&query)?;
        let (_, askers) = self.open.remove(&question)?;
        let is_answer = !matches!(answer, Err(ResolveError::ServerFailed | ResolveError::TimedOut));
        if is_answer && ttl > 0 {
            self.make_room(now);
            let until = now + Duration::from_secs(ttl.into()).min(LONGEST);
            self.answers.insert(question.clone(), Answer { answer: answer.clone(), from: now, until });
        }
        Some((question, askers))
    }

    /// Whoever this is wants nothing more. A question that nobody wants to have answered is forgotten.
    pub fn leave(&mut self, is_meant: impl Fn(Asker) -> bool) {
        self.open.retain(|_, (query, askers)| {
            askers.retain(|asker| !is_meant(*asker));
            if askers.is_empty() {
                self.queries.remove(query);
            }
            !askers.is_empty()
        });
    }

    /// Whether no question is open.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn make_room(&mut self, now: Time) {
        if self.answers.len() < MOST_ANSWERS {
            return;
        }
        self.answers.retain(|_, known| now < known.until);
        if self.answers.len() == MOST_ANSWERS {
            let first = self.answers.iter().min_by_key(|(_, known)| known.until);
            if let Some(first) = first.map(|(question, _)| question.clone()) {
                self.answers.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(n: usize) -> Question {
        Question::Srv(format!("_sip._udp.{n}.example"))
    }

    /// LOC-025: many ask once, for as long as the answer is good; a failure is not kept.
    #[test]
    fn an_answer_serves_all_who_ask_until_it_runs_out() {
        let mut names = Names::default();
        let at = Time::from_millis;
        let asker = |n| Asker::Registration(RegistrationId(n));
        let ask = |names: &mut Names, n, since, now| {
            names.ask(&question(1), asker(n), at(since), QueryId(now), at(now))
        };
        let none: DnsAnswer = Err(ResolveError::NoSuchName);
        assert_eq!(ask(&mut names, 1, 0, 10), Asked::New(QueryId(10)));
        assert_eq!(ask(&mut names, 2, 0, 11), Asked::Under);
        let wanted = Some((question(1), vec![asker(1), asker(2)]));
        assert_eq!(names.answered(QueryId(10), &none, 5, at(1000)), wanted);
        assert_eq!(names.answered(QueryId(10), &none, 5, at(1000)), None);
        assert_eq!(ask(&mut names, 3, 0, 3500), Asked::Known(none, 2));
        // Who has reason to doubt it asks anew.
        assert_eq!(ask(&mut names, 3, 2000, 3501), Asked::New(QueryId(3501)));
        let silent = Err(ResolveError::TimedOut);
        assert!(names.answered(QueryId(3501), &silent, 60, at(4000)).is_some());
        assert_eq!(ask(&mut names, 3, 0, 6000), Asked::New(QueryId(6000)));
        assert!(!names.is_idle());
        names.leave(|other| other == asker(3));
        assert!(names.is_idle() && names.queries.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut names = Names::default();
        let now = Time::from_millis(1);
        for n in 0..2 * MOST_ANSWERS {
            let id = QueryId(n as u64);
            names.ask(&question(n), Asker::Branch(ContextId(1), 1), now, id, now);
            names.answered(id, &Ok(Vec::new()), 60, now);
        }
        assert_eq!(names.answers.len(), MOST_ANSWERS);
    }
}
