//! How a REGISTER changes bindings (RFC 3261 §10.3, steps 6 and 7).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::{Aor, Binding, Change, ContactChange, Effect, Fate, StoreFailure, Texts, WantedContact};
use crate::proto::Time;
use crate::sip::AnyUri;

/// What [`apply`] made of the bindings.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Those that are held afterwards, all live: what was there in its order, then what was added in that of
    /// the request.
    pub bindings: Arc<[Binding]>,
    /// What became of those that had run out, then of the contacts of the request, in the same order.
    pub effects: Vec<Effect>,
}

/// Changes the bindings of one address-of-record as a REGISTER asks (RFC 3261 §10.3 steps 6 and 7).
///
/// - What has run out at `now` does not count.
/// - The contacts are taken in turn. Which binding one means is told by comparing URIs (RFC 3261 §19.1.4); as
///   that is not transitive it can be several: then it is the one spelled the same, or else the first.
/// - A new URI is added, a known one updated, or removed when its lifetime is 0. Removing an unknown one is
///   no failure.
/// - [`ContactChange::Displacing`] removes others for what is new, never what the request names.
/// - A request may name a URI more than once, and the last counts. The order of CSeq is between requests.
///
/// # Errors
/// Nothing is changed then. [`StoreFailure::OutOfOrder`] when a binding that would change was made with the
/// same Call-ID and a CSeq that is not lower. [`StoreFailure::TooMany`] when something is added and
/// afterwards there are more than `change.limit`, or when more than that are new.
pub fn apply(held: &[Binding], change: &Change, now: Time) -> Result<Applied, StoreFailure> {
    let mut effects = expired(&change.aor, held, now);
    let mut slots: Vec<_> = held.iter().filter(|binding| binding.is_live(now)).map(Slot::held).collect();
    match &change.contacts {
        ContactChange::Clear => slots.iter_mut().try_for_each(|slot| slot.wish(Wish::Remove, change))?,
        ContactChange::Contacts(contacts) => place(&mut slots, contacts, change)?,
        ContactChange::Displacing(contacts) => {
            place(&mut slots, contacts, change)?;
            make_room(&mut slots, change.limit);
        }
    }
    let bindings: Arc<[Binding]> = slots.iter().filter_map(|slot| slot.binding(change, now)).collect();
    effects.extend(slots.iter().filter_map(|slot| slot.effect(change)));
    if bindings.len() > change.limit && effects.iter().any(|effect| effect.fate == Fate::Bound) {
        return Err(StoreFailure::TooMany);
    }
    Ok(Applied { bindings, effects })
}

/// The end of each of these bindings of `aor` that has run out.
#[must_use]
pub fn expired(aor: &Aor, held: &[Binding], now: Time) -> Vec<Effect> {
    let lapsed = held.iter().filter(|binding| !binding.is_live(now));
    lapsed
        .map(|binding| Effect { aor: aor.clone(), contact: binding.contact().into(), fate: Fate::Expired })
        .collect()
}

/// Gives each contact, in turn, its place among `slots`.
fn place<'a>(
    slots: &mut Vec<Slot<'a>>,
    contacts: &'a [WantedContact],
    change: &Change,
) -> Result<(), StoreFailure> {
    // Comparing costs the product of what there is and what is asked: it must not grow with the message
    // alone.
    let most = slots.len() + change.limit;
    for wanted in contacts {
        let wish = if wanted.lifetime == 0 { Wish::Remove } else { Wish::Bind(wanted) };
        let spelled = spelled(&wanted.contact);
        let matching = |removed: bool| {
            slots.iter().position(|slot| slot.is_removed() == removed && slot.matches(&wanted.uri))
        };
        let same = slots.iter().position(|slot| slot.spelled == spelled);
        let found = same.or_else(|| matching(false)).or_else(|| matching(true));
        if let Some(slot) = found.and_then(|at| slots.get_mut(at)) {
            slot.wish(wish, change)?;
        } else if wanted.lifetime > 0 {
            if slots.len() == most {
                return Err(StoreFailure::TooMany);
            }
            slots.push(Slot::new(wanted));
        }
    }
    Ok(())
}

/// Where something is new and there are more than `limit`, removes what the request does not name: first what was
/// refreshed longest ago, and of equals what was there first.
fn make_room(slots: &mut [Slot<'_>], limit: usize) {
    let is_new = |slot: &Slot<'_>| slot.held.is_none() && !slot.is_removed();
    let count = slots.iter().filter(|slot| !slot.is_removed()).count();
    let Some(surplus) = count.checked_sub(limit).filter(|_| slots.iter().any(is_new)) else { return };
    let mut others: Vec<(Time, &mut Slot<'_>)> = slots
        .iter_mut()
        .filter(|slot| matches!(slot.wish, Wish::Leave))
        .filter_map(|slot| Some((slot.held?.refreshed, slot)))
        .collect();
    others.sort_by_key(|(refreshed, _)| *refreshed);
    for (_, slot) in others.into_iter().take(surplus) {
        slot.wish = Wish::Remove;
    }
}

/// The place of one binding: what it was, and what the request makes of it.
struct Slot<'a> {
    held: Option<&'a Binding>,
    /// What the request asks for; the last one counts.
    wish: Wish<'a>,
    /// Its URI as text.
    spelled: &'a str,
    /// The URI, read when it is first needed.
    uri: OnceCell<Option<Cow<'a, AnyUri>>>,
}

/// What a request says of one binding.
#[derive(Clone, Copy)]
enum Wish<'a> {
    /// It is not among the contacts of the request.
    Leave,
    Bind(&'a WantedContact),
    Remove,
}

impl<'a> Slot<'a> {
    fn held(binding: &'a Binding) -> Slot<'a> {
        let spelled = spelled(binding.contact());
        Slot { held: Some(binding), wish: Wish::Leave, spelled, uri: OnceCell::new() }
    }

    fn new(wanted: &'a WantedContact) -> Slot<'a> {
        let uri = OnceCell::from(Some(Cow::Borrowed(&wanted.uri)));
        Slot { held: None, wish: Wish::Bind(wanted), spelled: spelled(&wanted.contact), uri }
    }

    fn is_removed(&self) -> bool {
        matches!(self.wish, Wish::Remove)
    }

    fn matches(&self, other: &AnyUri) -> bool {
        let own = self.uri.get_or_init(|| AnyUri::parse(self.spelled).ok().map(Cow::Owned));
        own.as_ref().is_some_and(|own| own.matches(other))
    }

    fn wish(&mut self, wish: Wish<'a>, change: &Change) -> Result<(), StoreFailure> {
        if let (Wish::Leave, Some(held)) = (self.wish, self.held)
            && *held.call_id() == *change.call_id
            && held.cseq >= change.cseq
        {
            return Err(StoreFailure::OutOfOrder);
        }
        self.wish = wish;
        Ok(())
    }

    /// What is held afterwards.
    fn binding(&self, change: &Change, now: Time) -> Option<Binding> {
        match self.wish {
            Wish::Leave => self.held.cloned(),
            Wish::Bind(wanted) => Some(bind(self.held, wanted, change, now)),
            Wish::Remove => None,
        }
    }

    fn effect(&self, change: &Change) -> Option<Effect> {
        let (fate, contact) = match (self.wish, self.held) {
            (Wish::Bind(wanted), None) => (Fate::Bound, wanted.contact.clone()),
            (Wish::Bind(wanted), Some(_)) => (Fate::Refreshed, wanted.contact.clone()),
            (Wish::Remove, Some(held)) => (Fate::Removed, held.contact().into()),
            (Wish::Leave, _) | (Wish::Remove, None) => return None,
        };
        Some(Effect { aor: change.aor.clone(), contact, fate })
    }
}

/// The texts that are held are kept when they stay the same.
fn bind(held: Option<&Binding>, wanted: &WantedContact, change: &Change, now: Time) -> Binding {
    let (contact, call_id, path) = (&*wanted.contact, &*change.call_id, &*wanted.path);
    let same = held.filter(|held| (held.contact(), held.call_id(), held.path()) == (contact, call_id, path));
    Binding {
        texts: same.map_or_else(|| Texts::new(contact, call_id, path), |held| held.texts.clone()),
        q: wanted.q,
        cseq: change.cseq,
        expires: now + Duration::from_secs(wanted.lifetime.into()),
        refreshed: now,
        source: wanted.source,
    }
}

/// What stands between the angle brackets.
fn spelled(contact: &str) -> &str {
    let contact = contact.strip_prefix('<').unwrap_or(contact);
    let end = contact.bytes().position(|octet| octet == b'>');
    end.and_then(|end| contact.get(..end)).unwrap_or(contact)
}
