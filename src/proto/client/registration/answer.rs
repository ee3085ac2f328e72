//! Reading a 2xx to REGISTER: which of its Contacts are ours, and for how long (RFC 3261 §10.2.4, DES-020).

use std::net::SocketAddr;

use super::request::asked_lifetime;
use crate::proto::client::outcome::{Granted, Listed, Misbehaviour, Success, Warning};
use crate::proto::client::plan::{Plan, Purpose};
use crate::sip::{AnyUri, HeaderName, Host, NameAddr, Response, Uri};

/// What was asked, and how the other side saw us.
pub(super) struct Asked<'a> {
    pub plan: &'a Plan,
    pub contacts: &'a [NameAddr],
    pub floor: Option<u32>,
    pub offered: &'a [&'static str],
    /// Via `received` and `rport` of the response.
    pub seen: Option<SocketAddr>,
}

/// How far one has to look away to see two contacts as the same. Each is looser than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// The same `+sip.instance`, and `reg-id` where it is said (RFC 5626 §6).
    Instance,
    /// RFC 3261 §19.1.4.
    Equal,
    /// `transport` and the default port aside.
    Loose,
    /// Loosely equal to our contact at the address that the registrar saw.
    Seen,
}

const LIKENESSES: [Likeness; 4] = [Likeness::Instance, Likeness::Equal, Likeness::Loose, Likeness::Seen];

/// Judges a 2xx: every contact asked for a lifetime must be live in it, every removed one gone.
pub(super) fn read(response: &Response, asked: &Asked<'_>) -> (Result<Success, Misbehaviour>, Vec<Warning>) {
    let mut warnings = Vec::new();
    unknown_requirements(response, asked, &mut warnings);
    let header = response.headers.expires();
    let mut bindings = listed(response, header, &mut warnings);
    let wanted: Vec<Wanted<'_>> = asked.contacts.iter().map(|contact| Wanted::of(contact, asked)).collect();
    let mut contacts = Vec::with_capacity(wanted.len());
    let mut verdict = Ok(());
    for (wanted, found) in wanted.iter().zip(pair(&wanted, &mut bindings, asked.seen)) {
        let found = found.map(|(likeness, at)| (likeness, &mut bindings[at]));
        match (wanted.lifetime, found) {
            (Some(0), Some((_, found))) if found.listed.expires > 0 => {
                verdict = Err(Misbehaviour::StillBound)
            }
            (Some(0), _) => contacts.push(Granted { uri: wanted.contact.uri.clone(), expires: 0 }),
            (asked, Some((likeness, found))) if found.listed.expires > 0 => {
                if likeness > Likeness::Equal && !warnings.contains(&Warning::Rewritten) {
                    warnings.push(Warning::Rewritten);
                }
                settle_lifetime(found, asked, &mut warnings);
                let listed = &found.listed;
                contacts.push(Granted { uri: listed.contact.uri.clone(), expires: listed.expires });
            }
            (_, _) => verdict = Err(Misbehaviour::NotBound),
        }
    }
    if asked.plan.purpose == Purpose::RemoveAll && bindings.iter().any(|found| found.listed.expires > 0) {
        verdict = Err(Misbehaviour::StillBound);
    }
    if asked.plan.purpose == Purpose::Fetch {
        let remembered: Vec<Wanted<'_>> =
            remembered(asked.plan).map(|contact| Wanted { contact, lifetime: None, own: true }).collect();
        pair(&remembered, &mut bindings, asked.seen);
    }
    let routes = |name| response.headers.name_addrs(&name).unwrap_or_default();
    let success = verdict.map(|()| Success {
        contacts,
        bindings: bindings.into_iter().map(|binding| binding.listed).collect(),
        service_route: routes(HeaderName::ServiceRoute),
        path: routes(HeaderName::Path),
    });
    (success, warnings)
}

/// A binding of the response, and whether it says how long it lives.
struct Found {
    listed: Listed,
    says_lifetime: bool,
}

/// One asked contact.
struct Wanted<'a> {
    contact: &'a NameAddr,
    /// Seconds asked for; 0 removes it.
    lifetime: Option<u32>,
    /// Made by this device for itself: whatever the registrar made of its address, it is ours.
    own: bool,
}

impl<'a> Wanted<'a> {
    fn of(contact: &'a NameAddr, asked: &Asked<'_>) -> Wanted<'a> {
        let lifetime = asked_lifetime(asked.plan, contact, asked.floor);
        let own =
            asked.plan.contacts.is_empty() || remembered(asked.plan).any(|old| old.uri.matches(&contact.uri));
        Wanted { contact, lifetime, own }
    }

    fn is_removed(&self) -> bool {
        self.lifetime == Some(0)
    }

    /// A contact that the user named is removed or not as it stands; only our own may have been rewritten beyond
    /// recognition.
    fn may_be(&self, likeness: Likeness) -> bool {
        match likeness {
            Likeness::Instance | Likeness::Equal => true,
            Likeness::Loose => self.own || !self.is_removed(),
            Likeness::Seen => self.own,
        }
    }
}

fn remembered(plan: &Plan) -> impl Iterator<Item = &NameAddr> {
    plan.resume.iter().flat_map(|memory| &memory.own)
}

/// Finds for each contact the binding that it has become, and marks it. All are looked for by the closest likeness
/// before any is by a looser one, and those that shall live before those that shall go, which may look much like the
/// ones that take their place. Of several alike the longest lived one counts.
fn pair(
    wanted: &[Wanted<'_>],
    bindings: &mut [Found],
    seen: Option<SocketAddr>,
) -> Vec<Option<(Likeness, usize)>> {
    let mut pairs = vec![None; wanted.len()];
    for removed in [false, true] {
        for likeness in LIKENESSES {
            for (wanted, pair) in wanted.iter().zip(&mut pairs) {
                if pair.is_some() || wanted.is_removed() != removed || !wanted.may_be(likeness) {
                    continue;
                }
                let best = (0..bindings.len())
                    .filter(|at| alike(wanted.contact, &bindings[*at].listed.contact, likeness, seen))
                    // Two contacts that are equal by the RFC may be one binding.
                    .filter(|at| !bindings[*at].listed.own || likeness == Likeness::Equal && !removed)
                    .max_by_key(|at| (!bindings[*at].listed.own, bindings[*at].listed.expires));
                if let Some(at) = best {
                    bindings[at].listed.own = true;
                    *pair = Some((likeness, at));
                }
            }
        }
    }
    pairs
}

fn listed(response: &Response, header: Option<u32>, warnings: &mut Vec<Warning>) -> Vec<Found> {
    let values = response.headers.contact_values();
    let mut unreadable = 0;
    let mut found = Vec::with_capacity(values.len());
    for value in values {
        let Ok(contact) = value else {
            unreadable += 1;
            continue;
        };
        let lifetime = contact.expires().or(header);
        let listed = Listed { expires: lifetime.unwrap_or(DEFAULT), q: contact.q(), own: false, contact };
        found.push(Found { listed, says_lifetime: lifetime.is_some() });
    }
    if unreadable > 0 {
        warnings.push(Warning::UnreadableContacts(unreadable));
    }
    found
}

/// RFC 3261 §10.2: what a lifetime that can't be known counts as.
const DEFAULT: u32 = 3600;

fn alike(asked: &NameAddr, listed: &NameAddr, likeness: Likeness, seen: Option<SocketAddr>) -> bool {
    if likeness == Likeness::Instance {
        let same = |name| asked.params.get(name) == listed.params.get(name);
        return asked.params.has("+sip.instance") && same("+sip.instance") && same("reg-id");
    }
    match (&asked.uri, &listed.uri) {
        (AnyUri::Other(asked), AnyUri::Other(listed)) => asked == listed,
        (AnyUri::Sip(_), AnyUri::Other(_)) | (AnyUri::Other(_), AnyUri::Sip(_)) => false,
        (AnyUri::Sip(asked), AnyUri::Sip(listed)) => match (likeness, seen) {
            (Likeness::Instance, _) => false,
            (Likeness::Equal, _) => asked.matches(listed),
            (Likeness::Loose, _) => loose(asked).matches(&loose(listed)),
            (Likeness::Seen, Some(seen)) => loose(&moved(asked, seen)).matches(&loose(listed)),
            (Likeness::Seen, None) => false,
        },
    }
}

fn loose(uri: &Uri) -> Uri {
    let mut uri = uri.clone();
    uri.params.remove("transport");
    uri.port = Some(uri.port.unwrap_or(5060));
    uri
}

fn moved(uri: &Uri, to: SocketAddr) -> Uri {
    Uri { host: Host::from(to.ip()), port: Some(to.port()), ..uri.clone() }
}

/// A binding that says no lifetime has the one that was asked for; one that lives longer is told of.
fn settle_lifetime(found: &mut Found, asked: Option<u32>, warnings: &mut Vec<Warning>) {
    let Some(asked) = asked else { return };
    let granted = found.listed.expires;
    if !found.says_lifetime {
        found.listed.expires = asked;
        warnings.push(Warning::NoLifetime);
    } else if granted > asked {
        warnings.push(Warning::Lengthened { asked, granted });
    }
}

fn unknown_requirements(response: &Response, asked: &Asked<'_>, warnings: &mut Vec<Warning>) {
    for tag in response.headers.option_tags(&HeaderName::Require) {
        if !asked.offered.iter().any(|offered| offered.eq_ignore_ascii_case(&tag)) {
            warnings.push(Warning::UnknownRequire(tag));
        }
    }
}
