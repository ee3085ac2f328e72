//! A store against the simplest thing that does the same.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sipreg::proto::Time;
use sipreg::proto::binding::{Change, Fate, Operation, StoreFailure};
use sipreg::store::Store;

use crate::script::{Said, aor, assert_ends_empty, at, perform, register};

/// One binding, in one flat list of all.
#[derive(Clone)]
struct Row {
    user: usize,
    /// Which of [`CONTACTS`].
    place: usize,
    contact: String,
    call_id: String,
    cseq: u32,
    expires: Time,
}

/// How each of the contacts can be spelled.
const CONTACTS: [&[&str]; 5] = [
    &["<sip:u@a>", "<sip:u@A>;x", "<sip:%75@a;y=1>"],
    &["<sip:u@a:5060>", "<SIP:u@a:5060>"],
    &["<sip:u@a;transport=tcp>", "<sip:u@a;Transport=TCP>"],
    &["<sips:u@a>"],
    &["<tel:+1>", "<tel:+1>;x"],
];

const USERS: [&str; 4] =
    ["sip:a@example.com", "sips:b@example.com", "sip:%00@example.com", "sip:example.com"];

/// A random request: what it is for the store, and for the model.
struct Request {
    change: Change,
    user: usize,
    call_id: String,
    cseq: u32,
    /// Contact, its place, lifetime; `None` for `*`.
    contacts: Option<Vec<(String, usize, u32)>>,
}

impl Request {
    fn random(random: &mut StdRng) -> Request {
        let user = random.random_range(0..USERS.len());
        let call_id = ["one", "two"][random.random_range(0..2)].to_owned();
        let cseq = random.random_range(0..12);
        let contacts: Vec<_> = (0..random.random_range(1..4))
            .map(|_| {
                let place = random.random_range(0..CONTACTS.len());
                let spelled = CONTACTS[place][random.random_range(0..CONTACTS[place].len())];
                (spelled.to_owned(), place, [0, 1, 5, 60][random.random_range(0..4)])
            })
            .collect();
        let star = random.random_ratio(1, 20);
        let texts: Vec<_> =
            contacts.iter().map(|(spelled, _, lifetime)| format!("{spelled} {lifetime}")).collect();
        let texts = if star { vec!["*"] } else { texts.iter().map(String::as_str).collect() };
        let limit = random.random_range(2..=CONTACTS.len());
        let change = Change { limit, ..register(USERS[user], &format!("{call_id} {cseq}"), &texts) };
        Request { change, user, call_id, cseq, contacts: (!star).then_some(contacts) }
    }
}

#[derive(Clone, Default)]
struct Model(Vec<Row>);

impl Model {
    /// Takes away what has run out, of `user` or of all.
    fn sweep(&mut self, user: Option<usize>, now: Time) -> Vec<(Fate, String)> {
        let over = |row: &mut Row| row.expires <= now && user.is_none_or(|user| user == row.user);
        self.0.extract_if(.., over).map(|row| (Fate::Expired, row.contact)).collect()
    }

    fn list(&self, user: usize, now: Time) -> Vec<String> {
        let left = |row: &Row| (row.expires - now).as_millis().div_ceil(1000);
        let rows = self.0.iter().filter(|row| row.user == user);
        rows.map(|row| format!("{} {} {} {}", row.contact, left(row), row.call_id, row.cseq)).collect()
    }

    fn change(&mut self, request: &Request, now: Time) -> Result<Said, StoreFailure> {
        let user = request.user;
        let mut effects = self.sweep(Some(user), now);
        let before = self.0.clone();
        let is_old = |row: &Row| row.call_id == request.call_id && row.cseq >= request.cseq;
        let clear = before.iter().filter(|row| row.user == user);
        let clear = clear.map(|row| (row.contact.clone(), row.place, 0)).collect();
        for (contact, place, lifetime) in request.contacts.as_ref().unwrap_or(&clear) {
            let is_it = |row: &Row| row.user == user && row.place == *place;
            if before.iter().any(|row| is_it(row) && is_old(row)) {
                return Err(StoreFailure::OutOfOrder);
            }
            let new = Row {
                user,
                place: *place,
                contact: contact.clone(),
                call_id: request.call_id.clone(),
                cseq: request.cseq,
                expires: now + std::time::Duration::from_secs((*lifetime).into()),
            };
            match self.0.iter_mut().find(|row| is_it(row)) {
                Some(row) => *row = new,
                None if *lifetime > 0 => self.0.push(new),
                None => {}
            }
        }
        // Only now, so that a place that is removed and taken again stays where it was.
        self.0.retain(|row| row.expires > now || row.user != user);
        let is_in = |rows: &[Row], row: &Row| {
            rows.iter().any(|other| (other.user, other.place) == (row.user, row.place))
        };
        let named =
            |row: &&Row| row.user == user && row.cseq == request.cseq && row.call_id == request.call_id;
        for row in self.0.iter().filter(named) {
            let asked = request.contacts.iter().flatten().any(|(_, place, _)| *place == row.place);
            let fate = if is_in(&before, row) { Fate::Refreshed } else { Fate::Bound };
            effects.extend(asked.then(|| (fate, row.contact.clone())));
        }
        let gone = before.iter().filter(|row| !is_in(&self.0, row));
        effects.extend(gone.map(|row| (Fate::Removed, row.contact.clone())));
        let count = self.0.iter().filter(|row| row.user == user).count();
        if count > request.change.limit && effects.iter().any(|(fate, _)| *fate == Fate::Bound) {
            return Err(StoreFailure::TooMany);
        }
        Ok(Said { bindings: self.list(user, now), effects })
    }
}

/// RGR-007, RGR-022, RGR-028..032, RGR-043..045.
pub fn ten_thousand_random_operations_are_answered_as_the_naive_model_does(store: &mut dyn Store) {
    let mut random = StdRng::seed_from_u64(3261);
    let mut model = Model::default();
    let mut ms = 0;
    let mut answers = [0; 6];
    for step in 0..10_000 {
        ms += [0, 0, 1, 500, 1000, 3000][random.random_range(0..6)];
        let now = at(ms);
        let (kind, operation, expected) = match random.random_range(0..10) {
            0 => (0, Operation::Expire, Ok(Said { effects: model.sweep(None, now), bindings: vec![] })),
            1 | 2 => {
                let user = random.random_range(0..USERS.len());
                let effects = model.sweep(Some(user), now);
                let expected = Said { effects, bindings: model.list(user, now) };
                (1, Operation::Fetch(aor(USERS[user])), Ok(expected))
            }
            _ => {
                let request = Request::random(&mut random);
                let mut changed = model.clone();
                let expected = changed.change(&request, now);
                let kind = match &expected {
                    Ok(said) if said.effects.is_empty() => 2,
                    Ok(_) => 3,
                    Err(StoreFailure::OutOfOrder) => 4,
                    Err(_) => 5,
                };
                if expected.is_ok() {
                    model = changed;
                }
                (kind, Operation::Change(request.change), expected)
            }
        };
        answers[kind] += 1;
        let shown = format!("step {step}: {operation:?}");
        let stored = perform(store, operation, now);
        let next = stored.as_ref().ok().map(|stored| stored.next_expiry);
        let sorted = |mut said: Said| {
            said.effects.sort_by_key(|(fate, contact)| (format!("{fate:?}"), contact.clone()));
            said
        };
        assert_eq!(stored.map(|stored| sorted(Said::of(&stored, now))), expected.map(sorted), "{shown}");
        assert_eq!(store.len(), model.0.len(), "{shown}");
        let first = model.0.iter().map(|row| row.expires.max(now)).min();
        if let Some(next) = next {
            assert_eq!(next.is_some(), first.is_some(), "{shown}");
            assert!(next <= first, "{shown}: {next:?} is later than {first:?}");
        }
    }
    assert!(answers.iter().all(|&count| count > 100), "some answers hardly came: {answers:?}");
    assert_ends_empty(store);
}
