//! Digest, the client's side: which challenges are answered, and with what. There is one session, a nonce in
//! use, for each realm and kind of header.

use unicode_normalization::UnicodeNormalization;

use super::hash::{self, Exchange, Protection};
use super::{Algorithm, Credential, Hidden, Keyring, Qop, Secret, Variant};
use crate::proto::ids::{self, Random};
use crate::sip::{AuthenticationInfo, Challenge, Credentials, Header, HeaderName, Headers, Host};

/// Who challenges: decides the header of the answer (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Challenger {
    /// WWW-Authenticate, answered in Authorization.
    Origin,
    /// Proxy-Authenticate, answered in Proxy-Authorization.
    Proxy,
}

const CHALLENGERS: [Challenger; 2] = [Challenger::Proxy, Challenger::Origin];

impl Challenger {
    fn challenge(self) -> HeaderName {
        match self {
            Challenger::Origin => HeaderName::WwwAuthenticate,
            Challenger::Proxy => HeaderName::ProxyAuthenticate,
        }
    }

    fn credentials(self) -> HeaderName {
        match self {
            Challenger::Origin => HeaderName::Authorization,
            Challenger::Proxy => HeaderName::ProxyAuthorization,
        }
    }

    fn info(self) -> HeaderName {
        match self {
            Challenger::Origin => HeaderName::AuthenticationInfo,
            Challenger::Proxy => HeaderName::ProxyAuthenticationInfo,
        }
    }
}

/// How [`Sessions::on_challenge`] takes a 401 or 407.
#[derive(Debug, PartialEq, Eq)]
pub enum ChallengeOutcome {
    /// Send the request again: [`Sessions::authorize`] has the answers.
    Answer,
    /// A challenge could be answered if the user's password were known.
    PasswordWanted {
        /// The user whose password is missing.
        username: String,
        /// The protection domain it is for.
        realm: String,
    },
    /// A realm is asked for that is not answered here: [`Trust::Strange`].
    Strange {
        /// The realm of the challenge.
        realm: String,
    },
    /// No request with other credentials will do better.
    Fail(CredentialsFailure),
}

/// What the one who asks may be answered.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The user named the host: any realm.
    Named,
    /// Only a redirect named it, and whoever sent that may have been anybody: the realm has to be the domain of the
    /// address, one that a named host asked for and was answered, or one that a secret is bound to.
    Strange {
        /// The domain of the address.
        domain: &'a str,
        /// Realms of named hosts.
        proven: &'a [String],
    },
}

impl Trust<'_> {
    fn covers(self, realm: &str, keyring: &Keyring) -> bool {
        match self {
            Trust::Named => true,
            Trust::Strange { domain, proven } => {
                let mut bound =
                    keyring.credentials.iter().filter_map(|credential| credential.realm.as_deref());
                realm.eq_ignore_ascii_case(domain)
                    || proven.iter().any(|proven| proven == realm)
                    || keyring.realm.as_deref() == Some(realm)
                    || bound.any(|bound| bound == realm)
            }
        }
    }
}

/// A challenge that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Always "Digest".
    pub scheme: &'static str,
    /// As sent: `MD5`, `SHA-256-sess` ...
    pub algorithm: String,
    /// `auth`, `auth-int`, or none (RFC 2069 style).
    pub qop: Option<&'static str>,
    /// The protection domain.
    pub realm: String,
}

/// Why credentials did not lead to a 2xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsFailure {
    /// A challenge came and there is no password or HA1 for its realm.
    Missing {
        /// The realm of the challenge.
        realm: String,
        /// There is one for another realm.
        has_others: bool,
    },
    /// Challenged again after our answer, not because of a stale nonce.
    Rejected {
        /// The realm of both challenges.
        realm: String,
        /// The user name that we answered with.
        username: String,
    },
    /// A 403 came after our answer.
    Forbidden {
        /// The user name that we answered with.
        username: String,
    },
    /// A host that only a redirect named asks for a realm that nothing ties to the account.
    Strange {
        /// The realm of the challenge.
        realm: String,
        /// Who asks.
        host: Host,
        /// The host that the user named.
        named: Host,
    },
    /// No challenge that we can or may serve.
    Unservable {
        /// Each challenge offered and why it was skipped.
        offered: Vec<Skipped>,
    },
    /// 401 or 407 without any challenge in it that can be read; [`unreadable`] has those that can't.
    NoChallenge,
    /// More challenges than the limit allows.
    Endless,
}

/// Who we said to be in answer to a challenge, and what it was proven with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The protection domain that was asked for.
    pub realm: String,
    /// The user name that we answered with.
    pub username: String,
    /// The kind of secret.
    pub proof: Proof,
}

/// The kind of secret that an answer was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A password, which fits any user and realm.
    Password,
    /// An HA1, made for one user and one realm.
    Ha1,
}

/// A challenge that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// As the peer names it: scheme, or algorithm of Digest.
    pub offer: String,
    /// Its realm, if it says one.
    pub realm: Option<String>,
    /// The reason it was not answered.
    pub why: WhySkipped,
}

/// Why a challenge was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhySkipped {
    /// Not Digest (Basic is never answered, RFC 8760 §2.6).
    Scheme,
    /// An algorithm that we don't know.
    Algorithm,
    /// Weaker than [`Keyring::minimum`] allows.
    TooWeak,
    /// No qop that we know.
    Qop,
    /// Not the realm that the user allows.
    Realm,
    /// The HA1 is of another algorithm.
    Ha1Algorithm,
    /// No realm or no nonce.
    Incomplete,
}

/// All sessions of one registration at one server.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Vec<Session>);

/// Realms of one response that are answered: each costs a digest and a row of the next request.
const MOST_REALMS: usize = 16;

impl Sessions {
    /// Sessions without any nonce.
    #[must_use]
    pub fn new() -> Sessions {
        Sessions(Vec::new())
    }

    /// Whether no nonce is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the challenges of a 401 or 407 and decides. Of each realm and kind of header, 16 at most, the topmost
    /// challenge that can be served is taken (RFC 8760 §2.4); challenges with unknown scheme, algorithm or
    /// qop are skipped; Basic is never answered. A realm that is challenged again after our answer has
    /// rejected us (RFC 3261 §22.1), unless the nonce is stale, or had been accepted before: registrars that
    /// change it without saying `stale` do that. A realm that who asks is not trusted with is not answered, nor is
    /// anybody asked for its password.
    pub fn on_challenge(
        &mut self,
        headers: &Headers,
        keyring: &Keyring,
        trust: Trust<'_>,
        random: &mut dyn Random,
    ) -> ChallengeOutcome {
        self.note_accepted(|session| {
            let mut again = headers.challenges(&session.challenger.challenge()).into_iter();
            !again.any(|challenge| challenge.realm() == Some(&session.realm))
        });
        let mut fresh: Vec<Session> = Vec::new();
        let mut skipped = Vec::new();
        let mut strange = None;
        let mut missing = None;
        for challenger in CHALLENGERS {
            for challenge in headers.challenges(&challenger.challenge()) {
                let realm = challenge.realm().unwrap_or_default();
                if fresh.len() >= MOST_REALMS
                    || fresh.iter().any(|s| s.challenger == challenger && s.realm == realm)
                {
                    continue;
                }
                if challenge.realm().is_some() && !trust.covers(realm, keyring) {
                    strange.get_or_insert_with(|| realm.to_owned());
                    continue;
                }
                match self.serve(challenger, &challenge, keyring, random) {
                    Selection::Session(session) => fresh.push(session),
                    Selection::Rejected(failure) => return ChallengeOutcome::Fail(failure),
                    Selection::Skip(why) => skipped.push(skip(&challenge, why)),
                    Selection::NoSecret => missing = missing.or(Some(realm.to_owned())),
                }
            }
        }
        self.0.iter_mut().for_each(|old| old.is_worn = false);
        for new in &mut fresh {
            let is_it = |old: &&Session| old.challenger == new.challenger && old.realm == new.realm;
            let is_worn = |old: &&Session| old.sent && old.known && old.nonce == new.nonce;
            if let Some(old) = self.0.iter().filter(is_it).find(is_worn) {
                // The next refusal will be about the nonce, too.
                (new.is_worn, new.proven) = (true, old.proven);
            }
        }
        if !fresh.is_empty() {
            self.0.retain(|old| {
                !fresh.iter().any(|new| new.challenger == old.challenger && new.realm == old.realm)
            });
            self.0.extend(fresh);
            return ChallengeOutcome::Answer;
        }
        if let Some(realm) = strange {
            return ChallengeOutcome::Strange { realm };
        }
        match (missing, &keyring.ask) {
            (Some(realm), Some(username)) => {
                ChallengeOutcome::PasswordWanted { username: username.clone(), realm }
            }
            (Some(realm), None) => {
                let has_others = !keyring.credentials.is_empty();
                ChallengeOutcome::Fail(CredentialsFailure::Missing { realm, has_others })
            }
            (None, _) if skipped.is_empty() => ChallengeOutcome::Fail(CredentialsFailure::NoChallenge),
            (None, _) => ChallengeOutcome::Fail(CredentialsFailure::Unservable { offered: skipped }),
        }
    }

    fn serve(
        &self,
        challenger: Challenger,
        challenge: &Challenge,
        keyring: &Keyring,
        random: &mut dyn Random,
    ) -> Selection {
        let offer = match Offer::of(challenge, keyring) {
            Ok(offer) => offer,
            Err(why) => return Selection::Skip(why),
        };
        let answered = self.0.iter().find(|s| s.challenger == challenger && s.realm == offer.realm && s.sent);
        if let Some(session) = answered.filter(|session| !challenge.stale() && !session.proven) {
            return Selection::Rejected(CredentialsFailure::Rejected {
                realm: session.realm.clone(),
                username: session.username.clone(),
            });
        }
        let mut known = keyring
            .credentials
            .iter()
            .filter(|c| c.realm.as_deref().is_none_or(|realm| realm == offer.realm))
            .peekable();
        if known.peek().is_none() {
            return Selection::NoSecret;
        }
        let Some(credential) = known.find(|c| c.serves(offer.algorithm)) else {
            return Selection::Skip(WhySkipped::Ha1Algorithm);
        };
        Selection::Session(Session::begin(challenger, challenge, &offer, credential, ids::cnonce(random)))
    }

    /// The realms that are going to be answered.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|session| &*session.realm)
    }

    /// The realms that the last request was answered for.
    pub fn realms(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|session| session.sent).map(|session| &*session.realm)
    }

    /// Whether the challenge that is going to be answered refuses a nonce that has served an earlier request, and offers it
    /// again: one that holds for a single request, and is made of the time, is the same until that goes on.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.0.iter().any(|session| session.is_worn)
    }

    /// A final response came that asks for no credentials: the answers were good.
    pub fn on_accepted(&mut self) {
        self.note_accepted(|_| true);
        self.0.iter_mut().filter(|session| session.sent).for_each(|session| session.known = true);
    }

    /// Whether the last request was sent ahead with a nonce that had served an earlier one. A registrar that
    /// refuses that may have forgotten the nonce, and not the user.
    #[must_use]
    pub fn used_known_nonce(&self) -> bool {
        self.0.iter().any(|session| session.sent && session.known)
    }

    fn note_accepted(&mut self, passed: impl Fn(&Session) -> bool) {
        for session in self.0.iter_mut().filter(|session| session.sent) {
            session.proven |= passed(session);
        }
    }

    /// The header rows that answer all challenges so far, for a request that is about to be sent: proxies
    /// first. Counts a use of every nonce (RFC 7616 §3.4). `uri` is the Request-URI as on the wire.
    pub fn authorize(&mut self, method: &str, uri: &str, body: &[u8]) -> Vec<Header> {
        let mut rows = Vec::with_capacity(self.0.len());
        for challenger in CHALLENGERS {
            for session in self.0.iter_mut().filter(|s| s.challenger == challenger) {
                session.nc = session.nc.saturating_add(1);
                session.sent = true;
                let value = session.credentials(method, uri, body).to_string();
                // Texts of a challenge can't hold line ends: the scanner refuses them.
                if let Ok(row) = Header::new(challenger.credentials(), value) {
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
            let Some(info) = headers.authentication_info(&session.challenger.info()) else { continue };
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
        let of = |challenger| self.0.iter().filter(move |s: &&Session| s.challenger == challenger && s.sent);
        CHALLENGERS.iter().flat_map(|challenger| of(*challenger)).map(Session::answered).collect()
    }

    /// The user name that we have answered with, if we have.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.0.iter().find(|s| s.sent).map(|s| s.username.as_str())
    }

    /// Who we have said to be.
    #[must_use]
    pub fn claimants(&self) -> Vec<Claimant> {
        self.0.iter().filter(|s| s.sent).map(Session::claimant).collect()
    }
}

/// The `rspauth` of a 2xx is not made with our password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseRspauth;

/// Whether a challenge is answered.
enum Selection {
    Session(Session),
    Rejected(CredentialsFailure),
    Skip(WhySkipped),
    NoSecret,
}

/// The parts of a challenge that decide whether it can be served.
struct Offer<'a> {
    realm: &'a str,
    nonce: &'a str,
    algorithm: Algorithm,
    variant: Variant,
    qop: Option<Qop>,
}

impl<'a> Offer<'a> {
    fn of(challenge: &'a Challenge, keyring: &Keyring) -> Result<Offer<'a>, WhySkipped> {
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
        Ok(Offer { realm, nonce, algorithm, variant, qop })
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

/// The challenges of a response of which nothing can be made out, or no realm and nonce: as they came, cut short, and
/// not all of many.
#[must_use]
pub fn unreadable(headers: &Headers) -> Vec<String> {
    const MOST: usize = 4;
    const LONGEST: usize = 80;
    let is_sound = |challenge: &Challenge| {
        !challenge.is_digest() || challenge.realm().is_some() && challenge.nonce().is_some()
    };
    let rows =
        CHALLENGERS.iter().flat_map(|challenger| headers.all(&challenger.challenge()).collect::<Vec<_>>());
    let broken = rows.filter(|row| !Challenge::parse_all(row.value()).iter().any(is_sound));
    let text = |row: &Header| String::from_utf8_lossy(row.value()).chars().take(LONGEST).collect();
    broken.take(MOST).map(text).collect()
}

impl Credential {
    fn serves(&self, wanted: Algorithm) -> bool {
        match &self.secret {
            Secret::Password(_) => true,
            Secret::Ha1 { algorithm, .. } => *algorithm == wanted,
        }
    }
}

/// A nonce in use.
#[derive(Clone, Debug)]
struct Session {
    challenger: Challenger,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As the challenge spelled it; `None`: it had none, and the answer has none (RFC 7616 §3.3).
    algorithm_token: Option<String>,
    variant: Variant,
    qop: Option<Qop>,
    name: NameForm,
    username: String,
    ha1: Hidden,
    proof: Proof,
    /// One cnonce for the life of a nonce: servers that compute A1 of -sess once and servers that compute it
    /// for every request then agree.
    cnonce: String,
    nc: u32,
    /// The last request carried this session's answer.
    sent: bool,
    /// The answer was accepted at least once: another challenge is about the nonce, not about the user.
    proven: bool,
    /// A request with the answer came to an end without another challenge: the next is sent ahead with it.
    known: bool,
    /// Its nonce has served before, and was refused just now.
    is_worn: bool,
}

/// How the user name goes into the header (RFC 7616 §3.4, §3.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameForm {
    /// `username="..."`.
    Quoted,
    /// `username*=UTF-8''...` (RFC 5987), for names beyond ASCII when the challenge says UTF-8.
    Extended,
    /// `username` hashed, and `userhash=true`.
    Hashed,
}

impl Session {
    fn begin(
        challenger: Challenger,
        challenge: &Challenge,
        offer: &Offer<'_>,
        credential: &Credential,
        cnonce: String,
    ) -> Session {
        let utf8 = challenge.charset().is_some_and(|charset| charset.eq_ignore_ascii_case("UTF-8"));
        let normal = |text: &str| if utf8 { text.nfc().collect() } else { text.to_owned() };
        let username = normal(&credential.username);
        let (ha1, proof) = match &credential.secret {
            Secret::Password(password) => {
                let password = Hidden::new(normal(password.reveal()));
                let octets = password.reveal().as_bytes();
                (Hidden::new(hash::ha1(offer.algorithm, &username, offer.realm, octets)), Proof::Password)
            }
            Secret::Ha1 { hex, .. } => (hex.clone(), Proof::Ha1),
        };
        let name = if challenge.userhash() {
            NameForm::Hashed
        } else if utf8 && !username.is_ascii() {
            NameForm::Extended
        } else {
            NameForm::Quoted
        };
        Session {
            challenger,
            realm: offer.realm.to_owned(),
            nonce: offer.nonce.to_owned(),
            opaque: challenge.opaque().map(str::to_owned),
            algorithm: offer.algorithm,
            algorithm_token: challenge.algorithm().map(str::to_owned),
            variant: offer.variant,
            qop: offer.qop,
            name,
            username,
            ha1,
            proof,
            cnonce,
            nc: 0,
            sent: false,
            proven: false,
            known: false,
            is_worn: false,
        }
    }

    fn with_exchange<T>(&self, uri: &str, body: &[u8], f: impl FnOnce(&Exchange<'_>) -> T) -> T {
        let nc = format!("{:08x}", self.nc);
        f(&Exchange {
            algorithm: self.algorithm,
            variant: self.variant,
            nonce: &self.nonce,
            session_cnonce: &self.cnonce,
            protection: self.qop.map(|qop| Protection { qop, nc: &nc, cnonce: &self.cnonce }),
            uri,
            body,
        })
    }

    fn credentials(&self, method: &str, uri: &str, body: &[u8]) -> Credentials {
        let response = self.with_exchange(uri, body, |e| e.response(self.ha1.reveal(), method));
        let out = Credentials::new("Digest");
        let mut out = match self.name {
            NameForm::Quoted => out.quoted("username", &self.username),
            NameForm::Extended => out.token("username*", &extended(&self.username)),
            NameForm::Hashed => {
                out.quoted("username", &hash::userhash(self.algorithm, &self.username, &self.realm))
            }
        };
        out = out.quoted("realm", &self.realm).quoted("nonce", &self.nonce);
        out = out.quoted("uri", uri).quoted("response", &response);
        if let Some(token) = &self.algorithm_token {
            out = out.token("algorithm", token);
        }
        // -sess needs the cnonce for A1 even in the form without qop.
        if self.qop.is_some() || self.variant == Variant::Session {
            out = out.quoted("cnonce", &self.cnonce);
        }
        if let Some(opaque) = &self.opaque {
            out = out.quoted("opaque", opaque);
        }
        if let Some(qop) = self.qop {
            out = out.token("qop", qop.as_str()).token("nc", &format!("{:08x}", self.nc));
        }
        if self.name == NameForm::Hashed {
            out = out.token("userhash", "true");
        }
        out
    }

    /// Whether a `rspauth`, if there is one, was made with our password for our request.
    fn proves(&self, info: &AuthenticationInfo, uri: &str, body: &[u8]) -> bool {
        let Some(rspauth) = &info.rspauth else { return true };
        let expected = self.with_exchange(uri, body, |e| e.rspauth(self.ha1.reveal()));
        rspauth.eq_ignore_ascii_case(&expected)
    }

    fn claimant(&self) -> Claimant {
        Claimant { realm: self.realm.clone(), username: self.username.clone(), proof: self.proof }
    }

    fn answered(&self) -> Answered {
        let algorithm = match self.variant {
            Variant::Plain => self.algorithm.as_str().to_owned(),
            Variant::Session => format!("{}-sess", self.algorithm.as_str()),
        };
        Answered { scheme: "Digest", algorithm, qop: self.qop.map(Qop::as_str), realm: self.realm.clone() }
    }
}

/// RFC 5987 ext-value in UTF-8.
fn extended(name: &str) -> String {
    let mut out = String::from("UTF-8''");
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}
