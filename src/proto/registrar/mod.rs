//! The registrar: from a REGISTER to what the location service is asked to do, and from what that did to the
//! answer (RFC 3261 §10.3).
//!
//! The machine is pure. [`Registrar::on_register`] takes the request through the steps of §10.3 in their
//! order and ends with an [`Operation`], or with the [`Refusal`] that the client gets instead; [`granted`]
//! and [`failed`] make the answer of what the store says. Transactions and the store itself are
//! [`super::endpoint`]'s.

mod contacts;
mod handshakes;
mod location;
mod response;
pub mod retry_after;
pub mod service;
mod sources;
mod unanswered;

use std::net::IpAddr;
use std::sync::Arc;

use sources::Logins;

use super::binding::{Aor, Change, ContactChange, Operation, Source};
use super::digest::{Algorithm, Presented, User, Verdict, Verifier};
use super::ids::Random;
use super::transaction::Keys;
use super::{Time, digest};
use crate::proto::registrar::service::{AuthFailure, Full, Policy};
use crate::proto::uas::{Domains, Head, Reply, refuse_extensions};
use crate::sip::{AnyUri, HeaderName, Host, Request, Uri};

pub use response::{Dater, busy, failed, full, granted};

/// The option-tags that a request may require.
pub const SUPPORTED: [&str; 1] = ["path"];

/// Decides about REGISTER requests for the domains it is responsible for.
#[derive(Debug)]
pub struct Registrar {
    domains: Domains,
    policy: Policy,
    full: Full,
    verifier: Option<Verifier>,
    logins: Option<Logins>,
}

/// What is known of who gets a [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Anybody could have sent that request.
    Unproven,
    /// The request has right credentials.
    Proven,
    /// Too many logins have failed there, so that this one was not looked at.
    Limited,
}

/// Who asks for credentials (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The server that a request is for: 401.
    Registrar,
    /// A server on its way: 407.
    Proxy,
}

impl Asker {
    /// The status, the header of the challenge, and that of the answer.
    fn words(self) -> (u16, HeaderName, HeaderName) {
        match self {
            Asker::Registrar => (401, HeaderName::WwwAuthenticate, HeaderName::Authorization),
            Asker::Proxy => (407, HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        }
    }
}

/// What a client gets whose REGISTER changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The response to send.
    pub answer: Reply,
    /// Credentials that were refused, for the log: as whom, and why.
    pub auth: Option<(Arc<str>, AuthFailure)>,
    /// What is known of its sender.
    pub standing: Standing,
}

impl Refusal {
    /// Credentials that were refused: as whom, and why.
    fn of(answer: Reply, username: Arc<str>, why: AuthFailure) -> Refusal {
        Refusal { auth: Some((username, why)), ..Refusal::from(answer) }
    }

    fn proven(self) -> Refusal {
        Refusal { standing: Standing::Proven, ..self }
    }
}

impl From<Reply> for Refusal {
    fn from(answer: Reply) -> Refusal {
        Refusal { answer, auth: None, standing: Standing::Unproven }
    }
}

impl Registrar {
    /// A registrar for these domains; `verifier` says who may register, without it everybody may.
    #[must_use]
    pub fn new(domains: Vec<Host>, policy: Policy, verifier: Option<Verifier>) -> Registrar {
        Registrar { domains: domains.into(), policy, full: Full::Refuse, verifier, logins: None }
    }

    /// Bears so many failed logins a minute from one source; without this any number. Those beyond get 503.
    #[must_use]
    pub fn with_login_failures(self, most: u32, keys: Keys) -> Registrar {
        Registrar { logins: Some(Logins::new(most, keys)), ..self }
    }

    /// What it does about one binding more than [`Policy::max_contacts`]; without this it refuses.
    #[must_use]
    pub fn when_full(self, full: Full) -> Registrar {
        Registrar { full, ..self }
    }

    /// The domains that it is responsible for.
    #[must_use]
    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The same, to add to them.
    pub fn domains_mut(&mut self) -> &mut Domains {
        &mut self.domains
    }

    /// Whether it is responsible for a domain.
    #[must_use]
    pub fn serves(&self, domain: &Host) -> bool {
        self.domains.serves(domain)
    }

    /// Whether it wants to know who somebody is.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.verifier.is_some()
    }

    /// Other users from now on. Without effect where everybody may register.
    pub fn replace_users(&mut self, users: digest::Users) {
        if let Some(verifier) = &mut self.verifier {
            verifier.replace_users(users);
        }
    }

    /// The algorithms that a challenge for that domain offers, in its order.
    #[must_use]
    pub fn offers(&self, domain: &str) -> Vec<Algorithm> {
        self.verifier.iter().flat_map(|verifier| verifier.offers(domain)).collect()
    }

    /// Takes a REGISTER through RFC 3261 §10.3, up to the location service. `proven` are the users that its sender is
    /// without a password, by a certificate.
    ///
    /// # Errors
    /// What the client gets instead. Nothing has changed then.
    pub fn on_register(
        &mut self,
        request: &Request,
        head: &Head,
        source: Source,
        proven: &[Aor],
        random: &mut dyn Random,
        now: Time,
    ) -> Result<Operation, Refusal> {
        // Step 1: is it for a domain of ours? (One hop less could not be taken: §16.3 step 3.)
        if !head.uri.sip().is_some_and(|uri| self.serves(&uri.host)) {
            let status = if head.max_forwards == Some(0) { 483 } else { 404 };
            return Err(Reply::new(status).into());
        }
        // Step 2.
        if let Some(answer) = refuse_extensions(request, &SUPPORTED) {
            return Err(answer.into());
        }
        // Step 5, as far as the realm needs it. RFC 4475 §3.3.4: another scheme in To is 400.
        let Some(to) = head.to.uri.sip() else {
            return Err(Reply::bad("To", "is neither a sip nor a sips URI").into());
        };
        if !self.serves(&to.host) {
            return Err(Reply::new(404).into());
        }
        let is_guarded = self.is_guarded();
        let aor = Aor::of(to);
        if !proven.contains(&aor) {
            self.authorise(request, to, source.peer.ip(), random, now)?;
        }
        let operation = match head.uri.sip() {
            Some(uri) => self.operation(request, head, uri, to, aor, source),
            None => Err(Reply::new(416).into()),
        };
        operation.map_err(|refusal| if is_guarded { refusal.proven() } else { refusal })
    }

    /// Steps 3 to 5: who is it, may they, and is there such an address?
    fn authorise(
        &mut self,
        request: &Request,
        to: &Uri,
        source: IpAddr,
        random: &mut dyn Random,
        now: Time,
    ) -> Result<(), Refusal> {
        let realm = to.host.to_string().to_ascii_lowercase();
        let Some(user) = self.authenticate(request, &realm, Asker::Registrar, source, random, now)? else {
            return Ok(());
        };
        let name = to.user_decoded().unwrap_or_default();
        if !user.may(&name, &realm) {
            let name = user.name.as_str().into();
            return Err(Refusal::of(Reply::new(403), name, AuthFailure::NotAllowed).proven());
        }
        if user.owns(&name, &realm) || self.has_user(&realm, &name) {
            Ok(())
        } else {
            Err(Refusal::from(Reply::new(404)).proven())
        }
    }

    fn has_user(&self, realm: &str, name: &str) -> bool {
        self.verifier.as_ref().is_some_and(|verifier| verifier.users().has(realm, name))
    }

    /// What is answered to who asks for an address where nobody is bound (RFC 3261 §16.5): 404 where it is known that there is no
    /// such user, else 480.
    #[must_use]
    pub fn unbound(&self, uri: &Uri) -> u16 {
        let realm = uri.host.to_string().to_ascii_lowercase();
        let name = uri.user_decoded().unwrap_or_default();
        if self.is_guarded() && !self.has_user(&realm, &name) { 404 } else { 480 }
    }

    /// Who has sent a request; `None` where nobody has to say so.
    ///
    /// # Errors
    /// Nobody has proven that: the answer with a challenge for that realm.
    pub fn authenticate(
        &mut self,
        request: &Request,
        realm: &str,
        asker: Asker,
        source: IpAddr,
        random: &mut dyn Random,
        now: Time,
    ) -> Result<Option<Arc<User>>, Refusal> {
        let Some(verifier) = &mut self.verifier else { return Ok(None) };
        let (status, asks, answers) = asker.words();
        let credentials = request.headers.credentials(&answers);
        let presented = Presented {
            realm,
            method: &request.method,
            uri: &request.uri,
            body: &request.body,
            credentials: &credentials,
        };
        let verdict = verifier.check(presented, now);
        limit(self.logins.as_mut(), &verdict, source, now)?;
        let mut challenge = |stale: bool| {
            let rows = verifier.challenges(realm, stale, random, now);
            rows.into_iter().fold(Reply::new(status), |answer, row| answer.with(asks.clone(), row))
        };
        match verdict {
            Verdict::Proven(user) => Ok(Some(user)),
            Verdict::Unproven => Err(challenge(false).into()),
            Verdict::Stale(_) => Err(challenge(true).into()),
            // The password is right; with a new nonce the client can go on by itself.
            Verdict::Refused { username, why: why @ AuthFailure::Replayed } => {
                Err(Refusal::of(challenge(true), username, why))
            }
            Verdict::Refused { username, why } => Err(Refusal::of(challenge(false), username, why)),
            Verdict::Malformed(what) => Err(Reply::bad(answers, what).into()),
        }
    }

    /// Steps 6 and 7, up to what only the store knows.
    fn operation(
        &self,
        request: &Request,
        head: &Head,
        uri: &Uri,
        to: &Uri,
        aor: Aor,
        source: Source,
    ) -> Result<Operation, Refusal> {
        let wishes = contacts::Wishes { request, uri, policy: &self.policy, full: self.full, source };
        let Some(contacts) = wishes.read()? else { return Ok(Operation::Fetch(aor)) };
        if let ContactChange::Contacts(wanted) | ContactChange::Displacing(wanted) = &contacts {
            for contact in wanted.iter().filter(|contact| contact.lifetime > 0) {
                self.refuse_loop(&contact.uri, to)?;
            }
        }
        let call_id = request.headers.call_id().map_err(Reply::from)?.into();
        Ok(Operation::Change(Change {
            aor,
            call_id,
            cseq: head.cseq.number,
            contacts,
            limit: self.policy.max_contacts,
        }))
    }

    /// A contact that is the address-of-record itself would call itself for ever (RFC 5627 §5.1, RFC 3261
    /// §16.3).
    fn refuse_loop(&self, contact: &AnyUri, to: &Uri) -> Result<(), Reply> {
        let Some(uri) = contact.sip() else { return Ok(()) };
        let is_aor = uri.port.is_none()
            && uri.headers.is_empty()
            && matches!(uri.host, Host::Name(_))
            && self.serves(&uri.host)
            && uri.user_octets() == to.user_octets();
        if is_aor { Err(Reply::because(403, "a Contact is the address-of-record itself")) } else { Ok(()) }
    }
}

/// Refuses a login where too many have failed, whatever came of it: else who guesses would still hear when the guess is
/// right. Notes what came of the others.
fn limit(logins: Option<&mut Logins>, verdict: &Verdict, source: IpAddr, now: Time) -> Result<(), Refusal> {
    let Some(logins) = logins else { return Ok(()) };
    let name: &str = match verdict {
        Verdict::Proven(user) | Verdict::Stale(user) => &user.name,
        Verdict::Refused { username, .. } => username,
        Verdict::Unproven | Verdict::Malformed(_) => return Ok(()),
    };
    if let Some(wait) = logins.wait(source, name, now) {
        let seconds = wait.as_millis().div_ceil(1000);
        let answer = Reply::because(503, "too many failed logins");
        let answer = answer.with(HeaderName::RetryAfter, seconds.to_string());
        return Err(Refusal { standing: Standing::Limited, ..Refusal::from(answer) });
    }
    match verdict {
        Verdict::Refused { why: AuthFailure::Wrong, .. } => logins.fail(source, name, now),
        Verdict::Proven(_) => logins.succeed(source, name, now),
        Verdict::Refused { why: AuthFailure::Replayed | AuthFailure::NotAllowed, .. }
        | Verdict::Stale(_)
        | Verdict::Unproven
        | Verdict::Malformed(_) => {}
    }
    Ok(())
}
