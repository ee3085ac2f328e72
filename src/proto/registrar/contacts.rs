//! What the Contact, Expires and Path rows of a REGISTER wish for, judged by the registrar's policy (RFC 3261
//! §10.3 steps 6 and 7, RFC 3327 §5.3).

use std::fmt::Write;
use std::sync::Arc;

use crate::proto::binding::{ContactChange, Source, WantedContact};
use crate::proto::nat::Sender;
use crate::proto::registrar::service::{Full, Policy};
use crate::proto::uas::{Reply, is_secure};
use crate::sip::{Contacts, HeaderName, NameAddr, Request, Scheme, Uri};

/// A wish for this long is never called too brief (§10.3 step 7).
const HOUR: u32 = 3600;

/// A REGISTER with what its wishes are judged by.
pub(super) struct Wishes<'a> {
    pub(super) request: &'a Request,
    /// The Request-URI of it.
    pub(super) uri: &'a Uri,
    pub(super) policy: &'a Policy,
    pub(super) full: Full,
    pub(super) source: Source,
}

impl Wishes<'_> {
    /// What is to change; `None` when there is no Contact, which only asks for the list.
    pub(super) fn read(&self) -> Result<Option<ContactChange>, Reply> {
        let headers = &self.request.headers;
        let list = match headers.contacts()? {
            Contacts::Star if headers.expires() == Some(0) => return Ok(Some(ContactChange::Clear)),
            Contacts::Star => {
                return Err(Reply::bad("Contact", "`*` goes with Expires: 0 only"));
            }
            Contacts::List(list) => list,
        };
        if list.is_empty() {
            return Ok(None);
        }
        let path = self.path()?;
        let expires = headers.expires();
        let via = headers.top_via()?;
        let Source { peer, transport, .. } = self.source;
        let sender = Sender::of(self.request, &via, peer, transport);
        let mut wanted = Vec::with_capacity(list.len());
        for contact in list {
            let contact = contact?;
            let is_own = |uri: &Uri| path.is_empty() && sender.is_way_to(uri);
            let is_way = contact.uri.sip().is_some_and(is_own);
            wanted.push(self.wanted(contact, expires, &path, is_way)?);
        }
        Ok(Some(match self.full {
            Full::Refuse => ContactChange::Contacts(wanted),
            Full::ReplaceOldest => ContactChange::Displacing(wanted),
        }))
    }

    fn wanted(
        &self,
        contact: NameAddr,
        expires: Option<u32>,
        path: &Arc<str>,
        is_way: bool,
    ) -> Result<WantedContact, Reply> {
        // RFC 5630 §5.2: what is reached without TLS must not promise it.
        if is_secure(&contact.uri) && self.uri.scheme != Scheme::Sips {
            return Err(Reply::because(400, "a sips Contact needs a sips Request-URI"));
        }
        Ok(WantedContact {
            lifetime: self.lifetime(contact.expires().or(expires))?,
            contact: as_listed(&contact),
            q: contact.q(),
            uri: contact.uri,
            path: path.clone(),
            source: Source { is_way, ..self.source },
        })
    }

    /// The lifetime that is granted for one that is asked for, in seconds.
    fn lifetime(&self, asked: Option<u32>) -> Result<u32, Reply> {
        let Policy { min_expires, max_expires, default_expires, .. } = *self.policy;
        let Some(asked) = asked else { return Ok(default_expires) };
        if asked > 0 && asked < HOUR && asked < min_expires {
            return Err(Reply::new(423).with(HeaderName::MinExpires, min_expires.to_string()));
        }
        Ok(asked.min(max_expires))
    }

    /// The Path, if the client knows what that is.
    fn path(&self) -> Result<Arc<str>, Reply> {
        let headers = &self.request.headers;
        let path = headers.name_addrs(&HeaderName::Path)?;
        if path.is_empty() {
            return Ok("".into());
        }
        // RFC 3327 §5.3: it would not find its Path in the answer, and could not tell that somebody added it.
        let tags = headers.option_tags(&HeaderName::Supported);
        if !tags.iter().any(|tag| tag.eq_ignore_ascii_case("path")) {
            return Err(Reply::new(420).with(HeaderName::Unsupported, "path"));
        }
        let all: Vec<String> = path.iter().map(ToString::to_string).collect();
        Ok(all.join(", ").into())
    }
}

/// How the contact is listed in answers: URI and parameters as they came, but for those that the list makes
/// anew.
fn as_listed(contact: &NameAddr) -> Arc<str> {
    let mut text = String::with_capacity(128);
    // Writing to a String cannot fail.
    let _ = write!(text, "<{}>", contact.uri);
    for param in contact.params.rows() {
        if param.name.eq_ignore_ascii_case("expires") || param.name.eq_ignore_ascii_case("q") {
            continue;
        }
        let _ = match &param.value {
            Some(value) => write!(text, ";{}={value}", param.name),
            None => write!(text, ";{}", param.name),
        };
    }
    text.into()
}
