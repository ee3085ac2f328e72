//! Reading a 2xx to REGISTER: which of its Contacts are ours, and for how long (RFC 3261 §10.2.4, DES-020).

use std::net::SocketAddr;

use super::request::asked_lifetime;
use crate::proto::outcome::{Granted, Listed, Misbehaviour, Success, Warning};
use crate::proto::plan::{Plan, Purpose};
use crate::sip::{AnyUri, Contacts, HeaderName, Host, NameAddr, Response, Uri};

/// What was asked, and how the other side saw us.
pub(super) struct Asked<'a> {
    pub plan: &'a Plan,
    pub contacts: &'a [NameAddr],
    pub floor: Option<u32>,
    pub offered: &'a [String],
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
    let mut contacts = Vec::with_capacity(asked.contacts.len());
    let mut verdict = Ok(());
    for contact in asked.contacts {
        let wanted = asked_lifetime(asked.plan, contact, asked.floor);
        // A contact left behind may look much like the one that takes its place.
        let claimed = if wanted == Some(0) { Claimed::Skip } else { Claimed::Count };
        let found = own(contact, &mut bindings, asked.seen, claimed);
        match (wanted, found) {
            (Some(0), Some((_, granted))) if granted.seconds > 0 => verdict = Err(Misbehaviour::StillBound),
            (Some(0), _) => contacts.push(Granted { uri: contact.uri.clone(), expires: 0 }),
            (_, Some((likeness, granted))) if granted.seconds > 0 => {
                if likeness > Likeness::Equal && !warnings.contains(&Warning::Rewritten) {
                    warnings.push(Warning::Rewritten);
                }
                let expires = lifetime(&granted, wanted, &mut warnings);
                contacts.push(Granted { uri: granted.uri, expires });
            }
            (_, _) => verdict = Err(Misbehaviour::NotBound),
        }
    }
    if asked.plan.purpose == Purpose::RemoveAll && bindings.iter().any(|found| found.listed.expires > 0) {
        verdict = Err(Misbehaviour::StillBound);
    }
    if asked.plan.purpose == Purpose::Fetch {
        for remembered in asked.plan.memory.iter().flat_map(|memory| &memory.own) {
            own(remembered, &mut bindings, asked.seen, Claimed::Count);
        }
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

struct Lease {
    uri: AnyUri,
    seconds: u32,
    said: bool,
}

fn listed(response: &Response, header: Option<u32>, warnings: &mut Vec<Warning>) -> Vec<Found> {
    let values = match response.headers.contacts() {
        Ok(Contacts::List(values)) => values,
        Ok(Contacts::Star) | Err(_) => {
            warnings.push(Warning::UnreadableContacts(1));
            Vec::new()
        }
    };
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

/// Whether bindings count that another asked contact was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimed {
    Count,
    Skip,
}

/// Finds the asked contact and marks it. Of several that are alike equally the longest lived one counts.
fn own(
    asked: &NameAddr,
    bindings: &mut [Found],
    seen: Option<SocketAddr>,
    claimed: Claimed,
) -> Option<(Likeness, Lease)> {
    for likeness in LIKENESSES {
        let best = bindings
            .iter_mut()
            .filter(|found| claimed == Claimed::Count || !found.listed.own)
            .filter(|found| alike(asked, &found.listed.contact, likeness, seen))
            .max_by_key(|found| found.listed.expires);
        if let Some(found) = best {
            found.listed.own = true;
            let lease = Lease {
                uri: found.listed.contact.uri.clone(),
                seconds: found.listed.expires,
                said: found.says_lifetime,
            };
            return Some((likeness, lease));
        }
    }
    None
}

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

fn lifetime(granted: &Lease, asked: Option<u32>, warnings: &mut Vec<Warning>) -> u32 {
    match asked {
        Some(asked) if !granted.said => {
            warnings.push(Warning::NoLifetime);
            asked
        }
        Some(asked) if granted.seconds > asked => {
            warnings.push(Warning::Lengthened { asked, granted: granted.seconds });
            granted.seconds
        }
        Some(_) | None => granted.seconds,
    }
}

fn unknown_requirements(response: &Response, asked: &Asked<'_>, warnings: &mut Vec<Warning>) {
    for tag in response.headers.option_tags(&HeaderName::Require) {
        if !asked.offered.iter().any(|offered| offered.eq_ignore_ascii_case(&tag)) {
            warnings.push(Warning::UnknownRequire(tag));
        }
    }
}
