//! By what a request is known again (RFC 3261 §17.2.3), and the tag that all its responses share (§8.2.7).

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::sip::{FieldError, Header, HeaderName, Host, Method, Request, Via};

/// What a transaction is found by: a keyed hash of what RFC 3261 §17.2.3 compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionKey(pub(super) u64);

/// Makes keys, such that nobody outside can tell which requests would share one.
#[derive(Clone, Copy, Debug)]
pub struct Keys(u64);

impl Keys {
    /// Keys of their own; `secret` is random.
    #[must_use]
    pub fn new(secret: u64) -> Keys {
        Keys(secret)
    }

    /// The key of a request: branch, sent-by and method; for a client of RFC 2543, whose branch says nothing, all that
    /// its copies have in common (§17.2.3).
    ///
    /// # Errors
    /// A header that is needed for it and cannot be read.
    pub fn of(&self, request: &Request, via: &Via) -> Result<TransactionKey, FieldError> {
        self.of_method(&request.method, request, via)
    }

    /// The key of the INVITE that an ACK or a CANCEL is about (§17.2.3, §9.2): all but the method is the same.
    ///
    /// # Errors
    /// As [`Keys::of`].
    pub fn of_invite(&self, request: &Request, via: &Via) -> Result<TransactionKey, FieldError> {
        self.of_method(&Method::Invite, request, via)
    }

    fn of_method(&self, method: &Method, request: &Request, via: &Via) -> Result<TransactionKey, FieldError> {
        let mut hasher = self.hasher();
        method.hash(&mut hasher);
        sent_by(via, &mut hasher);
        match via.branch() {
            // The cookie alone names nothing (RFC 4475 §3.3.1).
            Some(branch) if branch.len() > MAGIC.len() && branch.starts_with(MAGIC) => {
                branch.hash(&mut hasher)
            }
            Some(_) | None => {
                let headers = &request.headers;
                request.uri.hash(&mut hasher);
                headers.to()?.tag().hash(&mut hasher);
                headers.from()?.tag().hash(&mut hasher);
                headers.call_id()?.hash(&mut hasher);
                headers.cseq()?.number.hash(&mut hasher);
                via.branch().hash(&mut hasher);
            }
        }
        Ok(TransactionKey(hasher.finish()))
    }

    /// What two requests share that reached us on two ways (§8.2.2.2).
    #[must_use]
    pub fn of_merged(&self, from_tag: Option<&str>, call_id: &str, cseq: u32, method: &Method) -> u64 {
        let mut hasher = self.hasher();
        (from_tag, call_id, cseq, method).hash(&mut hasher);
        hasher.finish()
    }

    /// A hash of anything else that is to be known again.
    #[must_use]
    pub fn of_any(&self, what: impl Hash) -> u64 {
        let mut hasher = self.hasher();
        what.hash(&mut hasher);
        hasher.finish()
    }

    /// A To tag that is the same for every copy of a request, with nothing kept (§8.2.7).
    #[must_use]
    pub fn tag(&self, request: &Request) -> String {
        let mut hasher = self.hasher();
        for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
            request.headers.get(&name).map(Header::value).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }

    fn hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher
    }
}

/// Begins every branch since RFC 3261 (§8.1.1.7).
const MAGIC: &str = "z9hG4bK";

fn sent_by(via: &Via, hasher: &mut DefaultHasher) {
    match &via.host {
        Host::Name(name) => name.bytes().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase())),
        Host::V4(address) => address.hash(hasher),
        Host::V6(address) => address.hash(hasher),
    }
    via.port.hash(hasher);
}
