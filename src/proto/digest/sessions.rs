//! Which challenges are answered, and with what: one session per realm and kind of header.

use super::session::Session;
use super::{Algorithm, Credential, Keyring, Qop, Secret, Variant};
use crate::proto::client::outcome::{Answered, CredentialsFailure, Skipped, WhySkipped};
use crate::proto::ids::{self, Random};
use crate::sip::{Challenge, Header, HeaderName, Headers};

/// Who challenges: decides the header of the answer (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// WWW-Authenticate, answered in Authorization.
    Origin,
    /// Proxy-Authenticate, answered in Proxy-Authorization.
    Proxy,
}

const KINDS: [Kind; 2] = [Kind::Proxy, Kind::Origin];

impl Kind {
    fn challenge(self) -> HeaderName {
        match self {
            Kind::Origin => HeaderName::WwwAuthenticate,
            Kind::Proxy => HeaderName::ProxyAuthenticate,
        }
    }

    fn credentials(self) -> HeaderName {
        match self {
            Kind::Origin => HeaderName::Authorization,
            Kind::Proxy => HeaderName::ProxyAuthorization,
        }
    }

    fn info(self) -> HeaderName {
        match self {
            Kind::Origin => HeaderName::AuthenticationInfo,
            Kind::Proxy => HeaderName::ProxyAuthenticationInfo,
        }
    }
}

/// What [`Sessions::on_challenge`] made of a 401 or 407.
#[derive(Debug, PartialEq, Eq)]
pub enum Challenged {
    /// Send the request again: [`Sessions::authorize`] has the answers.
    Answer,
    /// A challenge could be answered if the user's password were known.
    PasswordWanted {
        /// Whose.
        username: String,
        /// Of which protection domain.
        realm: String,
    },
    /// Give up.
    Fail(CredentialsFailure),
}

/// All sessions of one registration at one server.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Vec<Session>);

impl Sessions {
    /// No nonce known.
    #[must_use]
    pub fn new() -> Sessions {
        Sessions(Vec::new())
    }

    /// Whether no nonce is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the challenges of a 401 or 407 and decides. Of each realm and kind of header the topmost challenge that
    /// can be served is taken (RFC 8760 §2.4); challenges with unknown scheme, algorithm or qop are skipped; Basic
    /// is never answered. A realm that is challenged again after our answer has rejected us (RFC 3261 §22.1), unless
    /// the nonce is stale, or had been accepted before: registrars that change it without saying `stale` do that.
    pub fn on_challenge(
        &mut self,
        headers: &Headers,
        keyring: &Keyring,
        random: &mut dyn Random,
    ) -> Challenged {
        self.note_accepted(|session| {
            let mut again = headers.challenges(&session.kind.challenge()).into_iter();
            !again.any(|challenge| challenge.realm() == Some(&session.realm))
        });
        let mut fresh: Vec<Session> = Vec::new();
        let mut skipped = Vec::new();
        let mut missing = None;
        for kind in KINDS {
            for challenge in headers.challenges(&kind.challenge()) {
                let realm = challenge.realm().unwrap_or_default();
                if fresh.iter().any(|s| s.kind == kind && s.realm == realm) {
                    continue;
                }
                match self.serve(kind, &challenge, keyring, random) {
                    Served::With(session) => fresh.push(session),
                    Served::Rejected(failure) => return Challenged::Fail(failure),
                    Served::Not(why) => skipped.push(skip(&challenge, why)),
                    Served::NoSecret => missing = missing.or(Some(realm.to_owned())),
                }
            }
        }
        if !fresh.is_empty() {
            self.0.retain(|old| !fresh.iter().any(|new| new.kind == old.kind && new.realm == old.realm));
            self.0.extend(fresh);
            return Challenged::Answer;
        }
        match (missing, &keyring.ask) {
            (Some(realm), Some(username)) => Challenged::PasswordWanted { username: username.clone(), realm },
            (Some(realm), None) => Challenged::Fail(CredentialsFailure::Missing { realm }),
            (None, _) if skipped.is_empty() => Challenged::Fail(CredentialsFailure::NoChallenge),
            (None, _) => Challenged::Fail(CredentialsFailure::Unservable { offered: skipped }),
        }
    }

    fn serve(&self, kind: Kind, challenge: &Challenge, keyring: &Keyring, random: &mut dyn Random) -> Served {
        let terms = match Terms::of(challenge, keyring) {
            Ok(terms) => terms,
            Err(why) => return Served::Not(why),
        };
        let answered = self.0.iter().find(|s| s.kind == kind && s.realm == terms.realm && s.sent);
        if let Some(session) = answered.filter(|session| !challenge.stale() && !session.proven) {
            return Served::Rejected(CredentialsFailure::Rejected {
                realm: session.realm.clone(),
                username: session.username.clone(),
            });
        }
        let mut known = keyring
            .credentials
            .iter()
            .filter(|c| c.realm.as_deref().is_none_or(|realm| realm == terms.realm))
            .peekable();
        if known.peek().is_none() {
            return Served::NoSecret;
        }
        let Some(credential) = known.find(|c| c.serves(terms.algorithm)) else {
            return Served::Not(WhySkipped::Ha1Algorithm);
        };
        Served::With(Session::begin(kind, challenge, &terms, credential, ids::cnonce(random)))
    }

    /// A final response came that asks for no credentials: the answers were good.
    pub fn on_accepted(&mut self) {
        self.note_accepted(|_| true);
    }

    fn note_accepted(&mut self, passed: impl Fn(&Session) -> bool) {
        for session in self.0.iter_mut().filter(|session| session.sent) {
            session.proven |= passed(session);
        }
    }

    /// The header rows that answer all challenges so far, for a request that is about to be sent: proxies first.
    /// Counts a use of every nonce (RFC 7616 §3.4). `uri` is the Request-URI as on the wire.
    pub fn authorize(&mut self, method: &str, uri: &str, body: &[u8]) -> Vec<Header> {
        let mut rows = Vec::with_capacity(self.0.len());
        for kind in KINDS {
            for session in self.0.iter_mut().filter(|s| s.kind == kind) {
                session.nc = session.nc.saturating_add(1);
                session.sent = true;
                let value = session.credentials(method, uri, body).to_string();
                // Texts of a challenge can't hold line ends: the scanner refuses them.
                if let Ok(row) = Header::new(kind.credentials(), value) {
                    rows.push(row);
                }
            }
        }
        rows
    }

    /// Reads Authentication-Info and Proxy-Authentication-Info of a 2xx: takes over `nextnonce`
    /// (RFC 7616 §3.5).
    ///
    /// # Errors
    ///
    /// A `rspauth` that the server could not have made from our password: it is not who it claims to be.
    pub fn on_success(&mut self, headers: &Headers, uri: &str, body: &[u8]) -> Result<(), FalseRspauth> {
        for session in &mut self.0 {
            let Some(info) = headers.authentication_info(&session.kind.info()) else { continue };
            if !session.proves(&info, uri, body) {
                return Err(FalseRspauth);
            }
            if let Some(nonce) = info.nextnonce {
                session.nonce = nonce;
                session.nc = 0;
            }
        }
        Ok(())
    }

    /// What was answered in the last request, in the order of its headers.
    #[must_use]
    pub fn answered(&self) -> Vec<Answered> {
        let of = |kind| self.0.iter().filter(move |s: &&Session| s.kind == kind && s.sent);
        KINDS.iter().flat_map(|kind| of(*kind)).map(Session::answered).collect()
    }

    /// Who we said we are, if we said so.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.0.iter().find(|s| s.sent).map(|s| s.username.as_str())
    }
}

/// `rspauth` is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseRspauth;

enum Served {
    With(Session),
    Rejected(CredentialsFailure),
    Not(WhySkipped),
    NoSecret,
}

/// The parts of a challenge that decide whether it can be served.
pub(super) struct Terms<'a> {
    pub realm: &'a str,
    pub nonce: &'a str,
    pub algorithm: Algorithm,
    pub variant: Variant,
    pub qop: Option<Qop>,
}

impl<'a> Terms<'a> {
    fn of(challenge: &'a Challenge, keyring: &Keyring) -> Result<Terms<'a>, WhySkipped> {
        if !challenge.is_digest() {
            return Err(WhySkipped::Scheme);
        }
        let (Some(realm), Some(nonce)) = (challenge.realm(), challenge.nonce()) else {
            return Err(WhySkipped::Incomplete);
        };
        let (algorithm, variant) =
            Algorithm::parse(challenge.algorithm().unwrap_or("MD5")).ok_or(WhySkipped::Algorithm)?;
        if algorithm < keyring.minimum {
            return Err(WhySkipped::TooWeak);
        }
        if keyring.realm.as_deref().is_some_and(|wanted| wanted != realm) {
            return Err(WhySkipped::Realm);
        }
        let qop = match challenge.qops() {
            None => None,
            Some(offered) if offered.iter().any(|q| q.eq_ignore_ascii_case("auth")) => Some(Qop::Auth),
            Some(offered) if offered.iter().any(|q| q.eq_ignore_ascii_case("auth-int")) => Some(Qop::AuthInt),
            Some(_) => return Err(WhySkipped::Qop),
        };
        Ok(Terms { realm, nonce, algorithm, variant, qop })
    }
}

fn skip(challenge: &Challenge, why: WhySkipped) -> Skipped {
    let offer = if challenge.is_digest() {
        challenge.algorithm().unwrap_or("MD5").to_owned()
    } else {
        challenge.scheme().to_owned()
    };
    Skipped { offer, realm: challenge.realm().map(str::to_owned), why }
}

impl Credential {
    fn serves(&self, wanted: Algorithm) -> bool {
        match &self.secret {
            Secret::Password(_) => true,
            Secret::Ha1 { algorithm, .. } => *algorithm == wanted,
        }
    }
}
