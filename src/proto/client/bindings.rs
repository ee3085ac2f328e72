//! The bindings that a 2xx to REGISTER lists: which of them are ours, and for how long (RFC 3261 §10.2.4,
//! DES-020); and the contacts of this device that may be bound, 2xx or not.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use super::contact;
use super::nat::Asked;
use super::outcome::{Granted, Listed, Misbehaviour, Success, Warning};
use super::plan::{Plan, Purpose};
use crate::sip::{AnyUri, FieldError, HeaderName, Host, NameAddr, Reading, Response, Uri};

/// What a 2xx has to say: the request that it answers, and how the other side saw us.
pub(super) struct Expected<'a> {
    pub plan: &'a Plan,
    pub contacts: &'a [NameAddr],
    pub min_expires: Option<u32>,
    pub offered: &'a [&'static str],
    /// Via `received` and `rport` of the response.
    pub seen: Option<SocketAddr>,
    /// Via `keep` of the response.
    pub keep: Option<u32>,
}

/// By which rule two contacts are the same. Each is looser than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ContactMatch {
    /// The same `+sip.instance`, and `reg-id` where it is said (RFC 5626 §6).
    Instance,
    /// Equal by RFC 3261 §19.1.4.
    Equal,
    /// Equal but for a default port and a default transport: [`contact::is_same`].
    Spelling,
    /// At the own address, without the transport that was asked for, or at the address that the registrar saw.
    Place,
}

const CONTACT_MATCHES: [ContactMatch; 4] =
    [ContactMatch::Instance, ContactMatch::Equal, ContactMatch::Spelling, ContactMatch::Place];

/// Judges a 2xx: every contact asked for a lifetime must be live in it, every removed one gone.
pub(super) fn read(
    response: &Response,
    expected: &Expected<'_>,
) -> (Result<Success, Misbehaviour>, Vec<Warning>) {
    let mut warnings = Vec::new();
    unknown_requirements(response, expected, &mut warnings);
    let header = response.headers.expires();
    let mut bindings = listed(response, header, &mut warnings);
    let requested: Vec<RequestedContact<'_>> =
        expected.contacts.iter().map(|contact| RequestedContact::of(contact, expected)).collect();
    let mut contacts = Vec::with_capacity(requested.len());
    let mut verdict = Ok(());
    for (requested, found) in requested.iter().zip(pair(&requested, &mut bindings, expected.seen)) {
        let found = found.map(|(rule, at)| (rule, &mut bindings[at]));
        match (requested.lifetime, found) {
            (Some(0), Some((_, found))) if found.listed.expires > 0 => {
                verdict = Err(Misbehaviour::StillBound)
            }
            (Some(0), _) => contacts.push(Granted::removed(&requested.contact.uri)),
            (asked, Some((rule, found))) if found.listed.expires > 0 => {
                if rule > ContactMatch::Equal && !warnings.contains(&Warning::Rewritten) {
                    warnings.push(Warning::Rewritten);
                }
                settle_lifetime(found, asked, &mut warnings);
                let listed = &found.listed;
                contacts.push(Granted {
                    asked: requested.contact.uri.clone(),
                    uri: listed.contact.uri.clone(),
                    expires: listed.expires,
                });
            }
            (_, _) => verdict = Err(Misbehaviour::NotBound),
        }
    }
    if expected.plan.purpose == Purpose::RemoveAll && bindings.iter().any(|found| found.listed.expires > 0) {
        verdict = Err(Misbehaviour::StillBound);
    }
    if expected.plan.purpose == Purpose::Fetch {
        let remembered: Vec<RequestedContact<'_>> = remembered(expected.plan)
            .map(|contact| RequestedContact { contact, lifetime: None, own: true })
            .collect();
        pair(&remembered, &mut bindings, expected.seen);
    }
    let service_route = routes(response, &HeaderName::ServiceRoute, &mut warnings);
    let path = routes(response, &HeaderName::Path, &mut warnings);
    let asked = if expected.plan.offers_keepalives() {
        keepalives_asked(response, &path, expected.keep)
    } else {
        Asked::default()
    };
    let success = verdict.map(|()| Success {
        contacts,
        // RFC 3261 §10.2.2: what has no time left is not bound.
        bindings: bindings.into_iter().map(|one| one.listed).filter(|one| one.expires > 0).collect(),
        service_route,
        path,
        asked,
    });
    (success, warnings)
}

/// What a 2xx with that Path and that `keep` in its Via says of keep-alives.
fn keepalives_asked(response: &Response, path: &[NameAddr], keep: Option<u32>) -> Asked {
    let requires = response.headers.option_tags(&HeaderName::Require);
    let has_ob = |hop: &NameAddr| hop.uri.sip().is_some_and(|uri| uri.param("ob").is_some());
    Asked {
        flow_timer: response.headers.flow_timer(),
        keep,
        outbound: requires.iter().any(|tag| tag.eq_ignore_ascii_case("outbound")) || path.iter().any(has_ob),
    }
}

/// A binding of the response, and whether it says how long it lives.
struct ListedContact {
    listed: Listed,
    says_lifetime: bool,
}

/// A contact of the request.
struct RequestedContact<'a> {
    contact: &'a NameAddr,
    /// Seconds asked for; 0 removes it.
    lifetime: Option<u32>,
    /// Made by this device for itself: whatever the registrar made of its address, it is ours.
    own: bool,
}

impl<'a> RequestedContact<'a> {
    fn of(contact: &'a NameAddr, expected: &Expected<'_>) -> RequestedContact<'a> {
        let lifetime = expected.plan.lifetime_of(contact, expected.min_expires);
        let own = expected.plan.is_own(contact)
            || remembered(expected.plan).any(|old| contact::is_same(&old.uri, &contact.uri));
        RequestedContact { contact, lifetime, own }
    }

    fn is_removed(&self) -> bool {
        self.lifetime == Some(0)
    }

    /// Only our own contact may have been moved.
    fn may_be(&self, rule: ContactMatch) -> bool {
        match rule {
            ContactMatch::Instance | ContactMatch::Equal | ContactMatch::Spelling => true,
            ContactMatch::Place => self.own,
        }
    }
}

fn remembered(plan: &Plan) -> impl Iterator<Item = &NameAddr> {
    plan.resume.iter().flat_map(|memory| &memory.own)
}

/// Finds for each contact the binding that it has become, and marks it. All are looked for by the closest
/// rule before any is by a looser one, and those that shall live before those that shall go, which may look
/// much like the ones that take their place. Of several alike the longest lived one counts.
fn pair(
    requested: &[RequestedContact<'_>],
    bindings: &mut [ListedContact],
    seen: Option<SocketAddr>,
) -> Vec<Option<(ContactMatch, usize)>> {
    let mut pairs = vec![None; requested.len()];
    for removed in [false, true] {
        for rule in CONTACT_MATCHES {
            for (requested, pair) in requested.iter().zip(&mut pairs) {
                if pair.is_some() || requested.is_removed() != removed || !requested.may_be(rule) {
                    continue;
                }
                let best = (0..bindings.len())
                    .filter(|at| alike(requested.contact, &bindings[*at].listed.contact, rule, seen))
                    // Two contacts that are equal by the RFC may be one binding.
                    .filter(|at| !bindings[*at].listed.own || rule == ContactMatch::Equal && !removed)
                    .max_by_key(|at| (!bindings[*at].listed.own, bindings[*at].listed.expires));
                if let Some(at) = best {
                    bindings[at].listed.own = true;
                    *pair = Some((rule, at));
                }
            }
        }
    }
    pairs
}

fn listed(response: &Response, header: Option<u32>, warnings: &mut Vec<Warning>) -> Vec<ListedContact> {
    let values = response.headers.listed(&HeaderName::Contact);
    let mut unreadable = 0;
    let mut found = Vec::with_capacity(values.len());
    for value in values {
        let Ok(Reading { address: contact, blemish }) = value else {
            unreadable += 1;
            continue;
        };
        if let Some(problem) = blemish {
            warn_of(FieldError { header: HeaderName::Contact, problem }, warnings);
        }
        let lifetime = contact.expires().or(header);
        let listed = Listed { expires: lifetime.unwrap_or(DEFAULT), q: contact.q(), own: false, contact };
        found.push(ListedContact { listed, says_lifetime: lifetime.is_some() });
    }
    if unreadable > 0 {
        warnings.push(Warning::UnreadableContacts(unreadable));
    }
    found
}

/// The entries of a Service-Route or Path that can be read; one that can't, and every blemish, is told of.
fn routes(response: &Response, name: &HeaderName, warnings: &mut Vec<Warning>) -> Vec<NameAddr> {
    let mut routes = Vec::new();
    for value in response.headers.listed(name) {
        match value {
            Ok(Reading { address, blemish }) => {
                if let Some(problem) = blemish {
                    warn_of(FieldError { header: name.clone(), problem }, warnings);
                }
                routes.push(address);
            }
            Err(error) => warn_once(Warning::LeftOut(error), warnings),
        }
    }
    routes
}

fn warn_of(blemish: FieldError, warnings: &mut Vec<Warning>) {
    warn_once(Warning::Blemish(blemish), warnings);
}

/// A warning that says nothing new is none: of five thousand contacts each may have the same blemish.
pub(super) fn warn_once(warning: Warning, warnings: &mut Vec<Warning>) {
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// RFC 3261 §10.2: what a lifetime that can't be known counts as.
const DEFAULT: u32 = 3600;

fn alike(asked: &NameAddr, listed: &NameAddr, rule: ContactMatch, seen: Option<SocketAddr>) -> bool {
    if rule == ContactMatch::Instance {
        let same = |name| asked.params.get(name) == listed.params.get(name);
        return asked.params.has("+sip.instance") && same("+sip.instance") && same("reg-id");
    }
    match (&asked.uri, &listed.uri) {
        (AnyUri::Other(asked), AnyUri::Other(listed)) => asked == listed,
        (AnyUri::Sip(_), AnyUri::Other(_)) | (AnyUri::Other(_), AnyUri::Sip(_)) => false,
        (AnyUri::Sip(asked), AnyUri::Sip(listed)) => match (rule, seen) {
            (ContactMatch::Instance, _) => false,
            (ContactMatch::Equal, _) => asked.matches(listed),
            (ContactMatch::Spelling, _) => contact::spelled_out(asked).matches(&contact::spelled_out(listed)),
            (ContactMatch::Place, seen) => {
                let places = [Some(asked.clone()), seen.map(|seen| moved(asked, seen))];
                let is_there = |place: Uri| {
                    let listed = contact::spelled_out(listed);
                    [plain(&place), contact::spelled_out(&place)].iter().any(|place| place.matches(&listed))
                };
                places.into_iter().flatten().any(is_there)
            }
        },
    }
}

/// Without the transport: some registrars keep no URI parameters.
fn plain(uri: &Uri) -> Uri {
    let mut uri = contact::spelled_out(uri);
    uri.params.remove("transport");
    uri
}

fn moved(uri: &Uri, to: SocketAddr) -> Uri {
    Uri { host: Host::from(to.ip()), port: Some(to.port()), ..uri.clone() }
}

/// A binding that says no lifetime has the one that was asked for; one that lives longer is told of.
fn settle_lifetime(found: &mut ListedContact, asked: Option<u32>, warnings: &mut Vec<Warning>) {
    let Some(asked) = asked else { return };
    let granted = found.listed.expires;
    if !found.says_lifetime {
        found.listed.expires = asked;
        warnings.push(Warning::NoLifetime);
    } else if granted > asked {
        warnings.push(Warning::Lengthened { asked, granted });
    }
}

fn unknown_requirements(response: &Response, expected: &Expected<'_>, warnings: &mut Vec<Warning>) {
    for tag in response.headers.option_tags(&HeaderName::Require) {
        if !expected.offered.iter().any(|offered| offered.eq_ignore_ascii_case(&tag)) {
            warnings.push(Warning::UnknownRequire(tag));
        }
    }
}

/// Contacts that may be bound and are remembered at a time: all of them are removed by one request.
const MOST: usize = 16;

/// The contacts of this device that may be bound, each as a text: ten thousand accounts rest most of the
/// time, and a text takes a fifth of the room.
#[derive(Debug, Default)]
pub(super) struct OwnContacts(Vec<Box<str>>);

impl OwnContacts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads every one.
    pub fn contacts(&self) -> Vec<NameAddr> {
        self.0.iter().filter_map(|text| parse(text)).collect()
    }

    /// Those that are not among the `others`.
    pub fn beside(&self, others: &[NameAddr]) -> Vec<NameAddr> {
        let strange = self.0.iter().filter(|text| !others.iter().any(|other| spells(text, other)));
        let strange = strange.filter_map(|text| parse(text));
        strange.filter(|own| !others.iter().any(|other| contact::is_same(&other.uri, &own.uri))).collect()
    }

    /// Forgets what was, and takes these instead.
    pub fn replace<'a>(&mut self, contacts: impl Iterator<Item = &'a NameAddr>) {
        let mut count = 0;
        for contact in contacts {
            match self.0.get_mut(count) {
                Some(text) if spells(text, contact) => {}
                Some(text) => *text = contact.to_string().into(),
                None => {
                    self.0.reserve_exact(1);
                    self.0.push(contact.to_string().into());
                }
            }
            count += 1;
        }
        self.0.truncate(count);
    }

    /// Forgets those at that address.
    pub fn forget(&mut self, address: SocketAddr) {
        let is_there = |contact: NameAddr| {
            let uri = contact.uri.sip();
            uri.is_some_and(|uri| (uri.host.ip(), uri.port) == (Some(address.ip()), Some(address.port())))
        };
        self.0.retain(|text| !parse(text).is_some_and(is_there));
    }

    /// Adds a contact, if it is new. Beyond [`MOST`] the oldest goes.
    pub fn add(&mut self, contact: &NameAddr) {
        let is_known = |known: &NameAddr| contact::is_same(&known.uri, &contact.uri);
        if self.0.iter().any(|text| spells(text, contact)) || self.contacts().iter().any(is_known) {
            return;
        }
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(contact.to_string().into());
    }
}

impl FromIterator<NameAddr> for OwnContacts {
    fn from_iter<T: IntoIterator<Item = NameAddr>>(contacts: T) -> OwnContacts {
        OwnContacts(contacts.into_iter().map(|contact| contact.to_string().into()).collect())
    }
}

/// Reads a contact that [`Display`](fmt::Display) has written.
fn parse(text: &str) -> Option<NameAddr> {
    NameAddr::parse(text).ok()
}

/// Whether the text is of that very contact, without making another one of it.
fn spells(text: &str, contact: &NameAddr) -> bool {
    let mut rest = Rest(text);
    write!(rest, "{contact}").is_ok() && rest.0.is_empty()
}

/// The part of a text that has not been written again.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
        Ok(())
    }
}
