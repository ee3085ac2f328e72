//! What a status code, an exit status or an `error.kind` means for a registration, what usually causes it and what to
//! try: the texts of `sipreg explain`, of the hints that a failure ends with, and of the README's troubleshooting.
//! Most of the file is that table, which is one because a text that is looked for may stand under any word.

use super::usage::UsageError;
use crate::sip::reason_phrase;

/// One thing that can go wrong, as it is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The words of the message that it is known by; what may change in it is left out.
    pub seen: &'static str,
    /// What to do about it: the message's hint; what may change in it is left out, too.
    pub hint: &'static str,
}

impl Case {
    /// The hint with these words where `...` stands, in order.
    #[must_use]
    pub fn hint_about(&self, words: &[&str]) -> String {
        let mut parts = self.hint.split("...");
        let mut hint = parts.next().unwrap_or_default().to_owned();
        for (part, word) in parts.zip(words.iter().chain(std::iter::repeat(&"..."))) {
            hint.push_str(word);
            hint.push_str(part);
        }
        hint
    }
}

/// What one word, or a group of words that mean the same, stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is asked for by: `403`, `exit 3`, `credentials`.
    pub words: &'static [&'static str],
    /// What it means for a registration: one sentence without full stop.
    pub meaning: &'static str,
    /// What it means to commands that do something else than register: each line begins with the command.
    pub elsewhere: &'static [&'static str],
    /// What usually causes it.
    pub causes: &'static [&'static str],
    /// What to try, in this order.
    pub remedies: &'static [&'static str],
    /// What not to bother with, to follow "don't".
    pub vain: &'static [&'static str],
    /// How it is met, with what to do in each case.
    pub cases: &'static [Case],
}

const NONE: Entry =
    Entry { words: &[], meaning: "", elsewhere: &[], causes: &[], remedies: &[], vain: &[], cases: &[] };

impl Entry {
    /// What to do first, if anything is known to help.
    #[must_use]
    pub fn first_remedy(&self) -> Option<&'static str> {
        self.remedies.first().copied().or_else(|| self.cases.first().map(|case| case.hint))
    }
}

/// The word that a cause is explained by: two of them are names of exit statuses, too.
#[must_use]
pub fn cause_word(cause: &str) -> String {
    match cause {
        "refused" | "unreachable" => format!("network {cause}"),
        _ => cause.to_owned(),
    }
}

/// What is known by that very word.
#[must_use]
pub fn of_word(word: &str) -> Option<&'static Entry> {
    find(word)
}

// --- what keeps a server from its store ----------------------------------------------------------

/// Nobody answers there, or not in time.
#[cfg(feature = "redis")]
pub const STORE_UNREACHABLE: Case = Case {
    seen: "--store: ... can't be reached",
    hint: "does a Redis or Valkey run there, and may this host connect to it? 'redis-cli -u URL ping' shows it",
};
/// The same over TLS.
#[cfg(feature = "redis")]
pub const STORE_TLS: Case = Case {
    seen: "--store: rediss://... can't be reached",
    hint: "does it speak TLS at that port, with a certificate for that name? --tls-ca FILE trusts its authority",
};
/// It wants another password, or allows too little.
#[cfg(feature = "redis")]
pub const STORE_DENIED: Case = Case {
    seen: "--store: ... refuses this server",
    hint: "SIPREG_STORE_PASSWORD or the URL has its password; a user of its own needs ~sipreg:* &sipreg:* and the commands of \
           hashes and scripts, INFO, TIME, COMMAND and WAIT",
};
/// It follows another server.
#[cfg(feature = "redis")]
pub const STORE_REPLICA: Case = Case {
    seen: "--store: ... it is a replica",
    hint: "name the server that it follows, or a name that always leads to the one that takes changes",
};
/// It is there and can't be used.
#[cfg(feature = "redis")]
pub const STORE_UNUSABLE: Case = Case {
    seen: "--store: ... can't be used",
    hint: "it has to be a Redis from 7.0 on or a Valkey, and to have read its data; 'redis-cli -u URL info' says more",
};
/// It is part of a cluster.
#[cfg(feature = "redis")]
pub const STORE_CLUSTER: Case = Case {
    seen: "--store: ... it is a node of a cluster",
    hint: "redis+cluster://HOST,HOST... names a cluster",
};
/// It is part of none.
#[cfg(feature = "redis")]
pub const STORE_NO_CLUSTER: Case =
    Case { seen: "--store: ... it is no node of a cluster", hint: "redis://HOST names a single server" };

// --- the cases of each kind of failure -----------------------------------------------------------

/// The registrar wants a password, and none was given.
pub const PASSWORD_MISSING: Case = Case {
    seen: "a password is needed",
    hint: "give it with SIPREG_PASSWORD or --password-file; --username names another user",
};
/// The registrar did not accept the answer to its challenge.
pub const PASSWORD_WRONG: Case = Case {
    seen: "user name or password is wrong",
    hint: "check the password, and --username if the digest user differs from the AOR's; \
           many registrars answer unknown users in the same way",
};
/// The registrar did not accept what was made of the HA1.
pub const HA1_WRONG: Case = Case {
    seen: "user name or HA1 is wrong",
    hint: "an HA1 belongs to one realm and one user: was it made for user \"...\" and realm \"...\"? --username names \
           another user; the password itself fits any realm",
};
/// 403 after an answer to a challenge.
pub const FORBIDDEN: Case = Case {
    seen: "refused user ...",
    hint: "check the password, which some registrars refuse in this way, then the user name (--username); if both are \
           right, the user may not register this AOR: --from names somebody who may",
};
/// 403 after an answer that was made of an HA1.
pub const FORBIDDEN_HA1: Case = Case {
    seen: "refused user ..., with an HA1",
    hint: "check the HA1, which belongs to one realm and one user, here user \"...\" and realm \"...\", then the user \
           name (--username); if both are right, the user may not register this AOR: --from names somebody who may",
};
/// 403 that nothing was asked before.
pub const NOT_ASKED: Case = Case {
    seen: "refused: 403, without asking for a password",
    hint: "it asked for no password: perhaps it lets nobody register from this address, or not this AOR",
};
/// A challenge of which nothing, or not enough, can be made out.
pub const UNREADABLE: Case = Case {
    seen: "challenge ... is unreadable",
    hint: "the server is broken, or a proxy on the way spoils the challenge: a Digest challenge has a realm and a nonce, \
           -vv shows what came",
};
/// 401 or 407 that asks for nothing.
pub const NO_CHALLENGE: Case = Case {
    seen: "without a challenge",
    hint: "the server is broken, or a proxy on the way removes the challenge",
};
/// A fresh challenge follows each answer.
pub const ENDLESS: Case = Case {
    seen: "asks for credentials again and again",
    hint: "its nonces are stale at once: is its clock right, and do all its nodes share their nonces?",
};
/// Only Basic, or something else than Digest.
pub const NO_DIGEST: Case = Case {
    seen: "no challenge that can be answered: scheme ... is not Digest",
    hint: "only Digest is answered: have the server offer it; Basic would show the password to everybody on the way",
};
/// Only algorithms below `--min-algorithm`.
pub const TOO_WEAK: Case =
    Case { seen: "... is weaker than --min-algorithm", hint: "a lower --min-algorithm lets sipreg answer" };
/// Only other realms than that of `--realm`.
pub const OTHER_REALM: Case = Case {
    seen: "... is not the one of --realm",
    hint: "leave --realm out, or name the realm that the registrar uses",
};
/// A realm that is not answered where only a redirect led.
pub const STRANGE: Case = Case {
    seen: "..., which only a redirect named, asks for the password of realm ...",
    hint: "... led to ..., and nothing ties that to this account: if it is right, --registrar ... asks it directly, or --realm '...' allows the realm",
};
/// Only algorithms that the HA1 is not for.
pub const OTHER_HA1: Case = Case {
    seen: "... is not that of the HA1",
    hint: "an HA1 serves one algorithm only: give the password instead, or the HA1 of that algorithm",
};
/// Only algorithms or forms that nobody here knows.
pub const UNKNOWN_ALGORITHM: Case = Case {
    seen: "algorithm ... is unknown",
    hint: "sipreg answers MD5, SHA-256 and SHA-512-256, each with -sess, qop auth, auth-int or none",
};

/// Only qualities of protection that nobody here knows.
pub const UNKNOWN_QOP: Case = Case { seen: "... without a qop that is known", hint: UNKNOWN_ALGORITHM.hint };
/// The registrar says that there are too many bindings already.
pub const TOO_MANY_BINDINGS: Case = Case {
    seen: "too many bindings",
    hint: "the registrar allows no more: 'sipreg list' shows what is bound, 'sipreg unregister --contact' removes one; \
           others end by themselves",
};

/// 403 or 404 to a request whose Request-URI has an address where the domain would stand.
pub const ADDRESSED: Case = Case {
    seen: "403 or 404, and --registrar is an address",
    hint: "the request names an address, and some servers know only their domain: --proxy with that address, in place \
           of --registrar, keeps the domain in the request",
};
/// The hint of [`ADDRESSED`] for a request that binds.
pub const ADDRESSED_OR_WRONG: [&str; 2] = [ADDRESSED.hint, "else check the AOR"];
/// 404 to a request that only asks what is bound, or removes it.
pub const NOTHING_LISTED: Case = Case {
    seen: "404 to 'sipreg list' or 'unregister'",
    hint: "some registrars say this when nothing is bound; or there is no such user or domain: check \
           the AOR, and name the registrar with --registrar",
};

/// A contact that is looked for and is not in a list that shows all.
pub const COMPLETE_LIST: Case = Case {
    seen: "... is not bound",
    hint: "the list is complete: whatever was bound there has run out or was removed",
};
/// A contact that is looked for in a list of which not all can be read.
pub const UNREADABLE_LIST: Case = Case {
    seen: "... is not bound, and bindings can't be read",
    hint: "not every binding in the answer could be read: -vv shows them",
};
/// A contact that sipreg has bound and that should be in the list.
pub const UNLISTED: Case = Case {
    seen: "sipreg bound ... here, and it is not listed",
    hint: "either something else has removed it, or the registrar does not show every binding",
};

/// The sentence about a contact of [`UNLISTED`].
#[must_use]
pub fn unlisted(contact: &str) -> String {
    let (head, tail) = UNLISTED.seen.split_once("...").unwrap_or_default();
    format!("{head}{contact}{tail}: {}", UNLISTED.hint)
}

/// `unregister` that knows of nothing.
pub const NOTHING_REMEMBERED: Case = Case {
    seen: "no binding of ... is remembered",
    hint: "--contact names the one to remove, --all removes every one; 'sipreg list' shows them",
};

/// Silence over UDP.
pub const SILENT_UDP: Case = Case {
    seen: "no answer from ... over UDP",
    hint: "is a registrar there at all? Firewalls drop silently; --transport tcp may tell more, -v shows what \
           was sent",
};
/// Silence on a connection.
pub const SILENT_TCP: Case = Case {
    seen: "no answer from ... over TCP",
    hint: "the connection stands, but nothing comes back: is it a SIP port? -v shows what was sent",
};
/// Silence by every transport that could tell more.
pub const SILENT_ALTOGETHER: Case = Case {
    seen: "check: no answer from ..., by any transport that was tried",
    hint: "is a registrar there at all? Check host and port; a firewall, here or there, drops silently; -v shows what was sent",
};
/// Silence to REGISTER alone.
pub const SILENT_TO_REGISTER: Case = Case {
    seen: "check: no answer to REGISTER, where OPTIONS is answered",
    hint: "it answers OPTIONS, and says nothing to REGISTER: perhaps it is no registrar, or takes nobody from here; its log tells \
           more",
};
/// Silence to a REGISTER that binds something.
pub const SILENT_TO_BINDING: Case = Case {
    seen: "check: no answer to a REGISTER that binds, where one that doesn't is answered",
    hint: "it answers a REGISTER that binds nothing, and is silent to one that does: its log tells why",
};
/// A connection that is closed where a port for TLS may be.
pub const CLOSED_AT_TLS_PORT: Case = Case {
    seen: "check: closes the connection without an answer, at port 5061",
    hint: "it may be a port for TLS: --transport tls tells; else it may not serve this domain, or not over this transport",
};
/// Answers that can't be used, and then silence.
pub const UNUSABLE: Case = Case {
    seen: "answers came from ..., none usable",
    hint: "what answers there, or a router on the way, spoils SIP: -vv shows what came; another --transport may get \
           through untouched",
};
/// Answers to what a gateway has made of a request.
pub const SPOILT: Case = Case {
    seen: "check: answers came from ..., none usable, and a gateway has changed them",
    hint: "an application layer gateway on the way spoils them: --transport tls keeps it out, or switch the SIP ALG of the \
           router off",
};
/// Silence where a TLS handshake was begun.
pub const SILENT_TLS: Case = Case {
    seen: "no answer from ... over TLS",
    hint: "nobody answers the TLS handshake: is it a port for TLS? One of plain SIP waits for a request and says nothing; \
           a sip: address with --transport tcp may tell more",
};
/// Silence where a WebSocket was asked for.
pub const SILENT_WEBSOCKET: Case = Case {
    seen: "no answer from ... over WS",
    hint: "nobody answers the WebSocket handshake: check the port; ws is plain, and wss goes over TLS",
};
/// A connection that does not come about.
pub const NOT_CONNECTED: Case = Case {
    seen: "no answer from ... (0 requests sent)",
    hint: "a firewall may drop the connection; check host and port, or raise --timeout",
};
/// The lock of the state that is never free.
pub const BUSY: Case = Case {
    seen: "another sipreg has been busy",
    hint: "a longer --timeout waits longer; --stateless does not wait",
};
/// A server that answers at first.
pub const FELL_SILENT: Case = Case {
    seen: "answered once, then fell silent",
    hint: "a server that dies or hangs in the middle: its log tells more, -v shows how far it got",
};

/// NXDOMAIN.
pub const NAME_UNKNOWN: Case = Case {
    seen: "the name ... does not exist",
    hint: "check its spelling, or name the server with --registrar or --proxy",
};
/// A name server that fails, or none that answers.
pub const NAME_SERVER_FAILED: Case = Case {
    seen: "the name ... could not be looked up",
    hint: "--nameserver asks another one; --registrar and --proxy also take an IP address",
};
/// A name without A or AAAA that may be used.
pub const NO_ADDRESS: Case = Case {
    seen: "has no address that may be used",
    hint: "check -4 and -6, or name the server with --proxy",
};
/// A name without an address, asked for with a port.
pub const PORT_NAMED: Case = Case {
    seen: "has no address, and a port was given",
    hint: "a port means that only addresses are asked for: leave it out, and the SRV records of the domain count, should \
           it have any",
};
/// An SRV record with the target ".".
pub const NOT_OFFERED: Case = Case {
    seen: "says that it offers no SIP",
    hint: "an SRV record with the target \".\" says so on purpose: is it the right domain? --registrar or --proxy names \
           another server",
};
/// NAPTR records without TLS, and a `sips` address.
pub const NO_TLS_SERVICE: Case = Case {
    seen: "offers SIP, but not over TLS",
    hint: "the NAPTR records of the domain name no service over TLS: a sip: address goes without it; --registrar or --proxy names \
           a server that has it",
};
/// NAPTR records of other transports only.
pub const NO_KNOWN_SERVICE: Case = Case {
    seen: "offers SIP, but by no transport that sipreg has",
    hint: "the NAPTR records of the domain name other services only, -v shows them: --registrar or --proxy names a server",
};
/// TCP RST on connecting, or ICMP port unreachable.
pub const CONNECTION_REFUSED: Case =
    Case { seen: "connection refused", hint: "nobody listens there: check host, port and --transport" };
/// ICMP host or network unreachable, or no route.
pub const NETWORK_UNREACHABLE: Case = Case {
    seen: "network unreachable",
    hint: "there is no way to that address: check the network, --bind, -4 and -6",
};
/// ICMP protocol unreachable.
pub const TRANSPORT_UNSUPPORTED: Case = Case {
    seen: "transport not supported there",
    hint: "that host does not speak this transport: try another --transport",
};
/// The system gave up connecting.
pub const CONNECTING_TIMED_OUT: Case = Case {
    seen: "connecting timed out",
    hint: "the host does not react: check the address; a firewall may be in between",
};
/// A connection that is reset.
pub const CONNECTION_RESET: Case =
    Case { seen: "connection reset", hint: "it speaks TCP there, but perhaps no SIP: check the port" };
/// EMSGSIZE.
pub const TOO_LARGE: Case = Case {
    seen: "message too large for a datagram",
    hint: "the request is too large for UDP: use --transport tcp, or fewer headers",
};
/// An address of `--bind` that is not here, or taken.
pub const LOCAL_ADDRESS: Case = Case {
    seen: "local address not available",
    hint: "--bind must name an address of this machine and a port that is free",
};
/// EPERM, EACCES.
pub const NOT_PERMITTED: Case = Case {
    seen: "not permitted",
    hint: "the operating system forbids it: a firewall rule, or a port that needs root",
};
/// EMFILE, ENFILE, ENOMEM.
pub const EXHAUSTED: Case = Case {
    seen: "too many open files, or no memory for a socket",
    hint: "'ulimit -n' says how many files a process may have open: raise it, or end what holds them",
};
/// The other side hangs up.
pub const CONNECTION_CLOSED: Case = Case {
    seen: "closed the connection without an answer",
    hint: "it may not serve this domain, or not over this transport; -v shows how far it got",
};
/// Closed before the TLS handshake was done.
pub const CLOSED_IN_HANDSHAKE: Case = Case {
    seen: "closed the connection in the TLS handshake",
    hint: "is it a port for TLS? A server of plain SIP closes so, too: a sip: address with --transport tcp tells; -v shows how \
           far it got",
};

/// A certificate that has run out.
pub const CERTIFICATE_EXPIRED: Case = Case {
    seen: "the certificate of ... ran out",
    hint: "it has to be renewed there, unless the clock of this machine is wrong: 'date' shows it",
};
/// A certificate that begins later.
pub const CERTIFICATE_NOT_YET_VALID: Case = Case {
    seen: "the certificate of ... is not good yet",
    hint: "is the clock of this machine right? 'date' shows it; else the certificate is there too early",
};
/// A certificate of somebody else.
pub const CERTIFICATE_NAME: Case = Case {
    seen: "the certificate is for ..., not for ...",
    hint: "is it the right server? A certificate has to be for the SIP domain that was asked for, not for the host behind it; \
           --tls-name says which name it has to be, where you know that",
};
/// A certificate that matches by a wildcard alone.
pub const CERTIFICATE_WILDCARD: Case = Case {
    seen: "the certificate is for *..., not for ...",
    hint: "a * counts for nothing in SIP (RFC 5922 §7.2): --tls-wildcard lets it count for one label",
};
/// A certificate of whose names those that match don't count.
pub const CERTIFICATE_URI: Case = Case {
    seen: "its DNS names (...) don't count beside a sip: URI",
    hint: "a sip: URI in a certificate says for which domain it is, and then no DNS name counts (RFC 5922 §7.1): the server \
           needs one with a URI for that domain, too, or without any; --tls-name says which name it has to be",
};
/// A certificate whose issuer is unknown.
pub const CERTIFICATE_ISSUER: Case = Case {
    seen: "the certificate of ... was issued by ..., who is not trusted",
    hint: "--tls-ca FILE trusts that issuer alone, where FILE holds its certificate as PEM",
};
/// A certificate that nobody else vouches for.
pub const CERTIFICATE_SELF_SIGNED: Case = Case {
    seen: "the certificate of ... is signed by itself",
    hint: "--tls-ca FILE trusts it, where FILE holds that certificate as PEM: from whoever runs the server, not from the \
           network",
};
/// A chain with a gap.
pub const CERTIFICATE_INCOMPLETE: Case = Case {
    seen: "... was issued by ..., whose certificate was not sent along",
    hint: "--tls-ca FILE trusts that issuer, where FILE holds its certificate as PEM; if that stands between the server's own \
           and a root that is trusted already, the server has to send it along",
};
/// A certificate that is for something else.
pub const CERTIFICATE_PURPOSE: Case = Case {
    seen: "the certificate of ... is not for servers",
    hint: "its extended key usage lacks serverAuth: the server needs another one",
};
/// A certificate that signs others.
pub const CERTIFICATE_AUTHORITY: Case = Case {
    seen: "the certificate of ... is that of an authority",
    hint: "it is made to sign others (basicConstraints CA), not to prove who a server is: the server has to show one of its own; \
           --tls-ca FILE trusts it as it is, where FILE holds it as PEM",
};
/// A certificate that can't be read.
pub const CERTIFICATE_BROKEN: Case = Case {
    seen: "the certificate is broken",
    hint: "it can't be read, a signature is wrong, or it breaks a rule of its authority: somebody may be in between, or the \
           server has mixed files up",
};
/// A server that wants to know who we are.
pub const CLIENT_CERTIFICATE_WANTED: Case = Case {
    seen: "wants a certificate of ours",
    hint: "--tls-cert FILE shows one, with --tls-key FILE where its key is in another file",
};
/// A server that does not like who we are.
pub const CLIENT_CERTIFICATE_REFUSED: Case = Case {
    seen: "did not accept our certificate",
    hint: "is that of --tls-cert from an authority that the server trusts, with those in between, and not run out?",
};
/// A server with other versions of TLS.
pub const TLS_VERSION: Case = Case {
    seen: "no common version of TLS",
    hint: "sipreg speaks TLS 1.2 and 1.3; the server has only older ones, which are broken",
};
/// Something else than TLS.
pub const NOT_TLS: Case = Case {
    seen: "what answers is not TLS",
    hint: "perhaps a port of plain SIP: TLS is usually at 5061; a sip: address with --transport tcp goes without it",
};
/// An alert about what both sides support.
pub const NOTHING_IN_COMMON: Case = Case {
    seen: "the server ended TLS with the alert handshake_failure or insufficient_security",
    hint: "it finds no cipher suite, group or signature algorithm that both sides have and that is good enough for it: its log \
           tells more",
};
/// An alert about the name that was asked for.
pub const UNRECOGNIZED_NAME: Case = Case {
    seen: "the server ended TLS with the alert unrecognized_name",
    hint: "it does not know the name that it was asked for (SNI): is it the right server? --tls-name asks for another one",
};
/// An alert about ALPN.
pub const NO_APPLICATION_PROTOCOL: Case = Case {
    seen: "the server ended TLS with the alert no_application_protocol",
    hint: "it wants to hear the name of a protocol (ALPN), and SIP has none: that port is for something else, perhaps",
};
/// An alert that has nothing to do with us.
pub const TLS_SERVER_FAILED: Case = Case {
    seen: "the server ended TLS with the alert internal_error",
    hint: "something failed there, which has nothing to do with what sipreg sent: the server's log tells more",
};
/// Any other alert.
pub const TLS_ALERT: Case = Case {
    seen: "the server ended TLS with the alert ...",
    hint: "the server says no more than that: its log tells more",
};
/// A handshake that fails for no known reason.
pub const TLS_FAILED: Case = Case {
    seen: "the TLS handshake failed",
    hint: "both sides have nothing in common, or one of them broke it off: the server's log tells more",
};
/// A WebSocket that is refused by a status which says nothing in particular.
pub const UPGRADE_REFUSED: Case = Case {
    seen: "answered the WebSocket handshake with ...",
    hint: "check host, port and path (--ws-path); the server's log tells more",
};
/// A WebSocket that is somewhere else: 3xx.
pub const UPGRADE_REDIRECTED: Case = Case {
    seen: "answered the WebSocket handshake with 301, 302, 307 or 308",
    hint: "it points to another place, where sipreg does not follow: name that with --proxy, --transport and --ws-path",
};
/// A WebSocket of a version, or a request, that is not known there: 400, 426.
pub const UPGRADE_UNKNOWN: Case = Case {
    seen: "answered the WebSocket handshake with 400 or 426",
    hint: "it does not take the request for a WebSocket (version 13): is that a place for WebSockets? Check port and path \
           (--ws-path)",
};
/// A WebSocket for those who are known: 401 without a challenge.
pub const UPGRADE_UNAUTHORIZED: Case = Case {
    seen: "answered the WebSocket handshake with 401",
    hint: "it wants to know who asks, and does not say how: some servers take a token in the path (--ws-path '/ws?token=...')",
};
/// A WebSocket that is not for us: 403.
pub const UPGRADE_FORBIDDEN: Case = Case {
    seen: "answered the WebSocket handshake with 403",
    hint: "perhaps it lets in only pages of certain origins (sipreg is no page, and sends no Origin), or nobody from here",
};
/// Nothing at that path: 404, 410.
pub const UPGRADE_NOT_FOUND: Case = Case {
    seen: "answered the WebSocket handshake with 404 or 410",
    hint: "there is nothing at that path: --ws-path names another, / is asked for without it",
};
/// A server that fails: 5xx.
pub const UPGRADE_FAILED: Case = Case {
    seen: "answered the WebSocket handshake with 500 to 599",
    hint: "the server, or one behind it, has failed or is overloaded: its log tells more, and --retry-for 5m tries again",
};

/// What to do about a status that refuses a WebSocket. Its class says it where the status itself does not (RFC 9110 §15).
#[must_use]
pub fn upgrade(status: u16) -> Case {
    match status {
        300..=399 => UPGRADE_REDIRECTED,
        400 | 426 => UPGRADE_UNKNOWN,
        401 => UPGRADE_UNAUTHORIZED,
        403 => UPGRADE_FORBIDDEN,
        404 | 410 => UPGRADE_NOT_FOUND,
        500..=599 => UPGRADE_FAILED,
        _ => UPGRADE_REFUSED,
    }
}
/// A WebSocket for something else.
pub const NO_SUBPROTOCOL: Case = Case {
    seen: "no WebSocket subprotocol sip",
    hint: "there is a WebSocket, but not one for SIP (RFC 7118): check port and path (--ws-path)",
};
/// No WebSocket at all.
pub const NOT_WEBSOCKET: Case = Case {
    seen: "not a WebSocket handshake",
    hint: "something else listens there: check the port; ws is plain, and wss goes over TLS",
};

/// A 2xx without our contact.
pub const NOT_BOUND: Case = Case {
    seen: "does not list our contact",
    hint: "calls won't arrive; -vv shows what it lists. A proxy may rewrite the Contact: try --advertise",
};
/// A 2xx to a removal that still lists the contact.
pub const STILL_BOUND: Case = Case {
    seen: "the contact is still bound",
    hint: "-vv shows what it lists; a binding ends by itself when its time is over",
};
/// Redirects that lead back, or on and on.
pub const REDIRECTED: Case = Case {
    seen: "redirected in a circle, or too often",
    hint: "-v shows the way; name the registrar that should answer with --registrar",
};
/// Octets that are no SIP.
pub const NOT_SIP: Case = Case {
    seen: "sends something that is not SIP",
    hint: "check the port: is it plain SIP, not TLS or HTTP?",
};
/// TLS where SIP should be.
pub const ANSWERS_TLS: Case = Case {
    seen: "answers in TLS",
    hint: "that port is one for TLS: --transport tls, or a sips: address; SIP without TLS is usually at 5060",
};
/// HTTP where SIP should be.
pub const ANSWERS_HTTP: Case = Case {
    seen: "answers in HTTP",
    hint: "a web server, or one for WebSocket: --transport ws or wss, with --ws-path, or another port",
};
/// A wrong `rspauth`.
pub const FALSE_SERVER: Case = Case {
    seen: "the server does not know the password itself",
    hint: "somebody may pose as the registrar: do not trust this registration",
};

// --- the words -----------------------------------------------------------------------------------

/// Exit statuses with their `error.kind`, then status codes.
pub const ENTRIES: &[Entry] = &[
    Entry {
        words: &["exit 0"],
        meaning: "done: the registrar confirmed it",
        elsewhere: &["check: no step failed; with --nagios: OK, nor was there a warning"],
        ..NONE
    },
    Entry {
        words: &["exit 1", "refused"],
        meaning: "the registrar refused, with a final answer that no other exit status covers",
        elsewhere: &[
            "check: the first step that failed is one that the registrar refused; with --nagios: WARNING",
            "as the cause of a failure: nobody listens at that port ('sipreg explain network refused')",
        ],
        causes: &[
            "no such user or domain there",
            "a policy of the registrar",
            "an overloaded or broken server",
        ],
        remedies: &["look the status code up: 'sipreg explain 404'", "-vv shows the whole answer"],
        ..NONE
    },
    Entry {
        words: &["exit 2", "usage"],
        meaning: "the command line or the configuration file is wrong; nothing was sent",
        elsewhere: &["check: the same; with --nagios: CRITICAL, a step failed"],
        causes: &[
            "an option that the command does not have",
            "a value that can't be read",
            "two secrets at once",
        ],
        remedies: &[
            "the message names the option, or file, line and column",
            "'sipreg COMMAND --help' has examples",
        ],
        cases: &[
            NOTHING_REMEMBERED,
            #[cfg(feature = "redis")]
            STORE_CLUSTER,
            #[cfg(feature = "redis")]
            STORE_NO_CLUSTER,
        ],
        ..NONE
    },
    Entry {
        words: &["exit 3", "credentials"],
        meaning: "credentials are missing or were not accepted",
        elsewhere: &[
            "check: the first step that failed is account or credentials; with --nagios: UNKNOWN, it could not be checked",
        ],
        causes: &[
            "a wrong password, or a digest user other than the AOR's user part",
            "a user who may not register this AOR",
            "no password given, and no terminal to ask on",
        ],
        remedies: &["check password and --username first", "trying again unchanged may lock the account"],
        cases: &[
            PASSWORD_MISSING,
            PASSWORD_WRONG,
            HA1_WRONG,
            FORBIDDEN,
            FORBIDDEN_HA1,
            NO_DIGEST,
            UNKNOWN_ALGORITHM,
            UNKNOWN_QOP,
            TOO_WEAK,
            OTHER_REALM,
            STRANGE,
            OTHER_HA1,
            UNREADABLE,
            NO_CHALLENGE,
            ENDLESS,
        ],
        ..NONE
    },
    Entry {
        words: &["exit 4", "timeout"],
        meaning: "no final answer in time; what was asked may have happened nevertheless",
        elsewhere: &[
            "check: the first step that failed is network, tls, registrar or binding, where nothing came back in time",
        ],
        causes: &["a firewall that drops silently", "a wrong address or port", "a server that hangs"],
        remedies: &[
            "each address that is tried gets 32 s, as RFC 3261 has it: --timeout 5s bounds the whole",
        ],
        cases: &[
            SILENT_UDP,
            SILENT_TCP,
            SILENT_TLS,
            SILENT_WEBSOCKET,
            UNUSABLE,
            SPOILT,
            NOT_CONNECTED,
            FELL_SILENT,
            SILENT_ALTOGETHER,
            SILENT_TO_REGISTER,
            SILENT_TO_BINDING,
            CLOSED_AT_TLS_PORT,
            BUSY,
        ],
        ..NONE
    },
    Entry {
        words: &["exit 5", "unreachable"],
        meaning: "the registrar could not be reached: its name, the network or the connection",
        elsewhere: &[
            "check: the first step that failed is dns, network, tls or registrar",
            "as the cause of a failure: there is no way to the address ('sipreg explain network unreachable')",
        ],
        causes: &["a misspelt domain", "no server on that port", "no network"],
        remedies: &[
            "--registrar HOST:PORT names the server itself",
            "--retry-for 5m goes on until it is there",
        ],
        cases: &[
            NAME_UNKNOWN,
            NAME_SERVER_FAILED,
            NO_ADDRESS,
            PORT_NAMED,
            NOT_OFFERED,
            NO_TLS_SERVICE,
            NO_KNOWN_SERVICE,
            CONNECTION_REFUSED,
            NETWORK_UNREACHABLE,
            TRANSPORT_UNSUPPORTED,
            CONNECTING_TIMED_OUT,
            CONNECTION_RESET,
            CONNECTION_CLOSED,
            CLOSED_IN_HANDSHAKE,
            TOO_LARGE,
            LOCAL_ADDRESS,
            NOT_PERMITTED,
            EXHAUSTED,
            #[cfg(feature = "redis")]
            STORE_UNREACHABLE,
            #[cfg(feature = "redis")]
            STORE_TLS,
            #[cfg(feature = "redis")]
            STORE_DENIED,
            #[cfg(feature = "redis")]
            STORE_REPLICA,
            #[cfg(feature = "redis")]
            STORE_UNUSABLE,
            UPGRADE_REDIRECTED,
            UPGRADE_UNKNOWN,
            UPGRADE_UNAUTHORIZED,
            UPGRADE_FORBIDDEN,
            UPGRADE_NOT_FOUND,
            UPGRADE_FAILED,
            UPGRADE_REFUSED,
            NO_SUBPROTOCOL,
            NOT_WEBSOCKET,
        ],
        ..NONE
    },
    Entry {
        words: &["untrusted"],
        meaning: "who is there could not prove to be the one that was meant, or TLS failed; it is exit status 5",
        elsewhere: &["check: the first step that failed is tls"],
        causes: &[
            "a certificate that has run out, is for another name, or comes from an unknown issuer",
            "a clock of this machine that is wrong",
            "a port that does not speak TLS",
            "somebody in between who poses as the server",
        ],
        remedies: &[
            "the message says what is wrong with which certificate",
            "--tls-ca FILE trusts the authority of that server, and nobody else",
            "--tls-insecure verifies nothing, which shows whether all else works; don't leave it there",
        ],
        cases: &[
            CERTIFICATE_EXPIRED,
            CERTIFICATE_NOT_YET_VALID,
            CERTIFICATE_NAME,
            CERTIFICATE_WILDCARD,
            CERTIFICATE_URI,
            CERTIFICATE_ISSUER,
            CERTIFICATE_SELF_SIGNED,
            CERTIFICATE_INCOMPLETE,
            CERTIFICATE_PURPOSE,
            CERTIFICATE_AUTHORITY,
            CERTIFICATE_BROKEN,
            CLIENT_CERTIFICATE_WANTED,
            CLIENT_CERTIFICATE_REFUSED,
            TLS_VERSION,
            NOT_TLS,
            NOTHING_IN_COMMON,
            UNRECOGNIZED_NAME,
            NO_APPLICATION_PROTOCOL,
            TLS_SERVER_FAILED,
            TLS_ALERT,
            TLS_FAILED,
        ],
        ..NONE
    },
    Entry {
        words: &["exit 6", "misbehaved"],
        meaning: "the registrar misbehaved: it said yes and did not do it, or broke the protocol",
        elsewhere: &["check: the first step that failed is registrar, credentials or binding"],
        causes: &[
            "something on the way that rewrites the Contact",
            "redirects that lead nowhere",
            "a port that speaks TLS or HTTP",
        ],
        remedies: &["-vv shows what it answered"],
        cases: &[NOT_BOUND, STILL_BOUND, REDIRECTED, NOT_SIP, ANSWERS_TLS, ANSWERS_HTTP, FALSE_SERVER],
        ..NONE
    },
    Entry {
        words: &["exit 7", "unmet"],
        meaning: "what was asked about does not hold, though the registrar was asked and did answer",
        elsewhere: &[
            "list: the contact of --contact is not bound",
            "check: the first step that failed is binding, way or reach, and 'register' would not have noticed (not_listed, \
             contact_rewritten, tampered, size_lost, not_reachable, nat_mapping_short); with --strict: there was a warning",
        ],
        causes: &[
            "list: the device is off, or its binding has run out",
            "list: it is bound with another URI",
            "check: 'sipreg explain' knows the cause that the step names",
        ],
        remedies: &[
            "list: without --contact it shows what is bound",
            "check: its last line says what to mend first",
        ],
        cases: &[COMPLETE_LIST, UNREADABLE_LIST, UNLISTED],
        ..NONE
    },
    Entry {
        words: &["exit 70", "internal"],
        meaning: "an internal error: a bug in sipreg",
        remedies: &["report it with the command line (without the password) and what -vv shows"],
        ..NONE
    },
    Entry {
        words: &["exit 130", "exit 143", "interrupted"],
        meaning: "a one-shot command was ended by SIGINT (130) or SIGTERM (143); what was asked may have happened",
        elsewhere: &[
            "check: the same, and what it had bound is removed, or a warning says that this is not confirmed",
        ],
        ..NONE
    },
    Entry {
        words: &["1xx", "100"],
        meaning: "not final: the request has arrived and is being worked on",
        ..NONE
    },
    Entry {
        words: &["2xx", "200"],
        meaning: "the registrar took the request; its answer lists every binding of the AOR with its lifetime",
        causes: &["without the contact that was asked for it is exit status 6, not success"],
        ..NONE
    },
    Entry {
        words: &["3xx", "301", "302", "305"],
        meaning: "redirected: another server is to be asked, which sipreg does by itself, five times at most",
        causes: &["the account has moved, or a server hands its load on"],
        remedies: &["-vv shows its Contact; a sips: request is never sent on without TLS"],
        ..NONE
    },
    Entry {
        words: &["4xx"],
        meaning: "this request, as it was, is refused here",
        causes: &["the reason phrase and a Warning header say why; -vv shows them"],
        ..NONE
    },
    Entry {
        words: &["5xx", "500"],
        meaning: "the server failed at a request that was good",
        causes: &[
            "a fault of its software, its database or its configuration",
            "an old CSeq with the same Call-ID",
        ],
        remedies: &["a fault on the registrar's side: its log tells more"],
        ..NONE
    },
    Entry {
        words: &["6xx", "600", "603", "604", "606"],
        meaning: "nobody anywhere takes this request; no other server is tried",
        causes: &["a proxy or a phone answered where a registrar should"],
        remedies: &["no registrar should answer this: is it one? Name the registrar with --registrar"],
        ..NONE
    },
    Entry {
        words: &["400"],
        meaning: "the server could not read the request, or found something in it wrong",
        causes: &["a header that it does not take", "something on the way that changed the message"],
        remedies: &["something in the request is not to its taste; -vv shows both messages"],
        ..NONE
    },
    Entry {
        words: &["401", "407"],
        meaning: "who is it? It is normal once, and answered with the password; again it is exit status 3",
        causes: &["no password, or a wrong one", "a digest user other than the AOR's user part"],
        remedies: &[
            "check the password first, then --username",
            "'sipreg explain credentials' has the cases",
        ],
        ..NONE
    },
    Entry {
        words: &["403"],
        meaning: "the registrar does not allow it; after a password was sent it is exit status 3, else 1",
        causes: &[
            "a wrong password, or a wrong user name: some registrars say so in this way",
            "an AOR that is not this user's own",
            "an address or a network that may not register",
        ],
        remedies: &[
            "check the password first, then --username, then whether this user may register this AOR",
        ],
        cases: &[NOT_ASKED],
        ..NONE
    },
    Entry {
        words: &["404"],
        meaning: "no such user or domain there; to 'list', some registrars say this when nothing is bound",
        causes: &["a misspelt AOR", "a registrar that does not serve the domain"],
        remedies: &["no such user or domain there: check the AOR, and name the registrar with --registrar"],
        cases: &[NOTHING_LISTED, ADDRESSED],
        ..NONE
    },
    Entry {
        words: &["405", "501"],
        meaning: "the server knows no REGISTER",
        causes: &["a proxy, a gateway or a phone that is no registrar"],
        remedies: &["that server takes no registrations: name the registrar with --registrar"],
        ..NONE
    },
    Entry {
        words: &["408"],
        meaning: "a server on the way waited for the registrar in vain; it is exit status 4",
        causes: &["a registrar that is down behind a proxy"],
        remedies: &["--retry-for 5m goes on until it is there"],
        ..NONE
    },
    Entry {
        words: &["410"],
        meaning: "the user is gone for good",
        remedies: &["the user has moved away for good: check the AOR"],
        ..NONE
    },
    Entry {
        words: &["416"],
        meaning: "the server does not take the scheme of the Request-URI",
        remedies: &["it does not accept the scheme of the request: check the AOR and --registrar"],
        ..NONE
    },
    Entry {
        words: &["420"],
        meaning: "the server does not support an extension; it is dropped once by itself",
        remedies: &["the registrar, or a proxy on the way, refuses what others ignore; -vv shows its answer"],
        ..NONE
    },
    Entry {
        words: &["421"],
        meaning: "the server insists on an extension",
        remedies: &["sipreg does not have it: whoever runs the registrar would have to do without"],
        ..NONE
    },
    Entry {
        words: &["423"],
        meaning: "the lifetime is too brief; it is raised to the registrar's Min-Expires by itself, to a day at most",
        remedies: &["try a longer --expires"],
        ..NONE
    },
    Entry {
        words: &["430", "439"],
        meaning: "the flow to the device, or its first hop, does not do for outbound (RFC 5626)",
        remedies: &["the first hop does not support outbound: try another --proxy"],
        ..NONE
    },
    Entry {
        words: &["440", "482", "483"],
        meaning: "the request went round",
        causes: &["proxies that send to each other", "a --proxy that is the registrar's client, too"],
        remedies: &["the request went round in a loop between proxies: check --proxy and --registrar"],
        ..NONE
    },
    Entry {
        words: &["480"],
        meaning: "not now; to a call it means that no device is bound, or none answers",
        remedies: &["temporarily unavailable: try again later"],
        ..NONE
    },
    Entry {
        words: &["494"],
        meaning: "a security agreement is demanded (RFC 3329)",
        remedies: &["it demands a security agreement (RFC 3329), which sipreg does not have"],
        ..NONE
    },
    Entry {
        words: &["502", "504"],
        meaning: "a server behind the one that answered failed, or was not reached",
        remedies: &["a server behind the one that answered failed: try again later"],
        ..NONE
    },
    Entry {
        words: &["503"],
        meaning: "not now: overloaded, in maintenance, or too many bindings; with Retry-After it says for how long",
        causes: &["load", "more bindings than the registrar allows: 'list' shows them"],
        remedies: &[
            "overloaded or in maintenance: try again later, or another server with --proxy",
            "--retry-for 5m tries again, not before its Retry-After",
        ],
        cases: &[TOO_MANY_BINDINGS],
        ..NONE
    },
    Entry {
        words: &["513"],
        meaning: "the request is larger than the server takes",
        remedies: &["the request is too large for it: fewer contacts or headers"],
        ..NONE
    },
];

/// The words of `error.cause` that are no other word: what each means, and what to do.
const fn known_cause(words: &'static [&'static str], meaning: &'static str, cases: &'static [Case]) -> Entry {
    Entry { words, meaning, cases, ..NONE }
}

/// Entries of the causes, whose cases stand under the exit status that they end with.
pub const CAUSES: &[Entry] = &[
    known_cause(
        &["password_missing"],
        "the registrar asks for a password, and there is none",
        &[PASSWORD_MISSING],
    ),
    known_cause(
        &["password_wrong"],
        "the registrar asks again after our answer: the password or the user name is wrong",
        &[PASSWORD_WRONG, HA1_WRONG],
    ),
    Entry {
        words: &["user_unknown"],
        meaning: "404 after our answer to the challenge: the registrar does not know the user",
        remedies: &[
            "check the user part of the AOR, and the domain: the address is not one that this registrar has",
        ],
        vain: &["change the password: the user is unknown whatever it is"],
        ..NONE
    },
    known_cause(
        &["forbidden"],
        "403 after our answer: the password may be wrong, or the user may not register this AOR",
        &[FORBIDDEN, FORBIDDEN_HA1],
    ),
    known_cause(
        &["realm_unserved"],
        "there is a password, but for another realm than the registrar asks for",
        &[OTHER_REALM, STRANGE, PASSWORD_MISSING],
    ),
    known_cause(
        &["algorithm_unserved"],
        "no challenge can be answered: an unknown algorithm, one that is not allowed, or nonces that never hold",
        &[UNKNOWN_ALGORITHM, TOO_WEAK, OTHER_HA1],
    ),
    known_cause(&["name_unknown"], "the name service does not know the name", &[NAME_UNKNOWN]),
    known_cause(
        &["no_records"],
        "the name service has no record that leads to an address which may be used",
        &[NO_ADDRESS, PORT_NAMED, NO_TLS_SERVICE, NO_KNOWN_SERVICE],
    ),
    known_cause(
        &["service_not_offered"],
        "the domain says in the name service that it offers no SIP",
        &[NOT_OFFERED],
    ),
    known_cause(
        &["nameserver_silent"],
        "a name server does not answer; where no other one does, nothing can be found",
        &[NAME_SERVER_FAILED],
    ),
    known_cause(
        &["nameserver_failed"],
        "a name server answers with a failure; where no other one does better, nothing can be found",
        &[NAME_SERVER_FAILED],
    ),
    Entry {
        words: &["silent"],
        meaning: "no answer came that can be used",
        elsewhere: &["serve: the handshake did not come in time"],
        cases: &[
            SILENT_UDP,
            SILENT_TCP,
            SILENT_TLS,
            SILENT_WEBSOCKET,
            NOT_CONNECTED,
            CONNECTING_TIMED_OUT,
            SILENT_ALTOGETHER,
            SILENT_TO_REGISTER,
            CLOSED_AT_TLS_PORT,
        ],
        ..NONE
    },
    Entry {
        words: &["certificate_expired"],
        meaning: "the certificate of the server, or one above it, has run out, or our clock is wrong",
        elsewhere: &["serve: the same of the certificate of a client"],
        cases: &[CERTIFICATE_EXPIRED],
        ..NONE
    },
    Entry {
        words: &["certificate_not_yet_valid"],
        meaning: "the certificate of the server, or one above it, is not good yet, or our clock is wrong",
        elsewhere: &["serve: the same of the certificate of a client"],
        cases: &[CERTIFICATE_NOT_YET_VALID],
        ..NONE
    },
    known_cause(
        &["certificate_name"],
        "the server's certificate is for another name than the SIP domain that was asked for",
        &[CERTIFICATE_NAME, CERTIFICATE_WILDCARD, CERTIFICATE_URI],
    ),
    Entry {
        words: &["certificate_issuer"],
        meaning: "nobody who is trusted vouches for the certificate of the server",
        elsewhere: &["serve: the same of the certificate of a client"],
        cases: &[CERTIFICATE_ISSUER, CERTIFICATE_INCOMPLETE],
        ..NONE
    },
    Entry {
        words: &["certificate_self_signed"],
        meaning: "the certificate of the server is signed by itself, and not one that is trusted",
        elsewhere: &["serve: the same of the certificate of a client"],
        cases: &[CERTIFICATE_SELF_SIGNED],
        ..NONE
    },
    known_cause(
        &["client_certificate_wanted"],
        "the server wants a certificate of ours, or does not accept the one that it was shown",
        &[CLIENT_CERTIFICATE_WANTED, CLIENT_CERTIFICATE_REFUSED],
    ),
    Entry {
        words: &["not_tls"],
        meaning: "something else than TLS answers the handshake",
        elsewhere: &["serve: something else than TLS comes in its place"],
        cases: &[NOT_TLS, CLOSED_IN_HANDSHAKE],
        ..NONE
    },
    known_cause(&["tls_version"], "there is no version of TLS that both sides speak", &[TLS_VERSION]),
    known_cause(&["not_sip"], "something else than SIP comes back", &[NOT_SIP, ANSWERS_TLS, ANSWERS_HTTP]),
    Entry {
        words: &["no_registrar"],
        meaning: "405 or 501: the server knows no REGISTER",
        remedies: &["it is a proxy or a phone, and no registrar: --registrar names the one that is"],
        vain: &["change the password: it was not even asked for"],
        ..NONE
    },
    Entry {
        words: &["domain_not_served"],
        meaning: "404 before any challenge: the server does not serve the domain, or has no such user",
        remedies: &[
            "check the domain of the AOR; an address in its place: --proxy keeps the domain in the request",
        ],
        vain: &["change the password: it was not even asked for"],
        ..NONE
    },
    Entry {
        words: &["overloaded"],
        meaning: "503: the server is overloaded or in maintenance",
        remedies: &[
            "try again later, or another server with --proxy; --retry-for of the other commands waits for it",
        ],
        vain: &["change anything about the account: it is not to blame"],
        ..NONE
    },
    Entry {
        words: &["extension_required"],
        meaning: "421: the registrar insists on an extension",
        remedies: &[
            "sipreg does not have it, or a 420 has taken it away: whoever runs the registrar can do without",
        ],
        ..NONE
    },
    known_cause(&["redirected"], "the registrar sends requests on to another server (3xx)", &[REDIRECTED]),
    known_cause(
        &["not_bound"],
        "the contact is not bound: the registrar refused it, or said yes and does not list it",
        &[NOT_BOUND],
    ),
    Entry {
        words: &["not_listed"],
        meaning: "the registrar's list lacks a contact that should be in it",
        remedies: &[
            "the registrar may hide bindings, or have several nodes that don't share them: -vv shows the list",
        ],
        ..NONE
    },
    known_cause(
        &["too_many_bindings"],
        "the registrar says that it allows no more bindings",
        &[TOO_MANY_BINDINGS],
    ),
    known_cause(
        &["not_removed"],
        "the binding was not removed: the registrar refused that, or still lists it",
        &[STILL_BOUND],
    ),
];

/// Entries of the causes that experiments alone show: the findings of `sipreg check` that no other command has.
const FINDINGS: &[Entry] = &[
    Entry {
        words: &["network refused"],
        meaning: "a host is there, and nobody listens at that port",
        causes: &[
            "the server is not running, or listens at another port or address",
            "a firewall that rejects",
        ],
        remedies: &["check host, port and --transport, and whether the server runs"],
        vain: &["change the password, or raise --timeout: neither helps"],
        ..NONE
    },
    Entry {
        words: &["network unreachable"],
        meaning: "there is no way to that address",
        causes: &["no network, a missing route, or a VPN that is down"],
        remedies: &[NETWORK_UNREACHABLE.hint],
        vain: &["change the password: it is not to blame"],
        ..NONE
    },
    Entry {
        words: &["srv_target_unknown"],
        meaning: "the domain's SRV record names a server that has no address",
        causes: &[
            "a typing error in the zone",
            "a server that was taken out of service, and not out of the zone",
        ],
        remedies: &[
            "whoever keeps the zone of the domain has to mend the target of its SRV record, or take the record out; \
             --registrar names another server until then",
        ],
        vain: &["look for it in the password or the network: neither is to blame"],
        ..NONE
    },
    Entry {
        words: &["destination_down"],
        meaning: "one server of the name does not serve, and another one does",
        causes: &[
            "it is down, hangs or is overloaded",
            "a firewall lets requests pass to the others only",
            "something else than a registrar listens there",
        ],
        remedies: &[
            "whoever runs the servers should know: until it is back, each registration that begins there takes longer",
        ],
        vain: &["change anything about the account: it is not to blame"],
        ..NONE
    },
    Entry {
        words: &["udp_blocked"],
        meaning: "nothing comes back over UDP, where TCP answers",
        causes: &["a firewall that drops UDP, here or there", "a server that has UDP switched off"],
        remedies: &["--transport tcp goes the way that works; or let UDP to that port through"],
        vain: &["raise --timeout, or change the password: neither helps"],
        ..NONE
    },
    Entry {
        words: &["tcp_blocked"],
        meaning: "no connection comes about over TCP, where UDP answers",
        causes: &[
            "a firewall that drops TCP to that port",
            "a server that has TCP switched off, and a zone that names it",
        ],
        remedies: &["--transport udp goes the way that works; large requests need TCP, so let it through"],
        vain: &["change the password: it is not to blame"],
        ..NONE
    },
    Entry {
        words: &["ipv6_broken"],
        meaning: "the server answers over IPv4, and not over IPv6, which is tried first",
        causes: &[
            "an AAAA record for a server that does not listen there",
            "a network without a way to IPv6",
        ],
        remedies: &[
            "-4 goes the way that works; whoever keeps the zone should take the AAAA record out until it does",
        ],
        vain: &["raise --timeout: that only makes it slower"],
        ..NONE
    },
    Entry {
        words: &["ipv4_broken"],
        meaning: "the server answers over IPv6, and not over IPv4",
        causes: &["an A record for a server that does not listen there", "a network without a way to IPv4"],
        remedies: &[
            "-6 goes the way that works; whoever keeps the zone should take the A record out until it does",
        ],
        ..NONE
    },
    Entry {
        words: &["certificate_expires_soon"],
        meaning: "the certificate of the server runs out within two weeks",
        causes: &["a renewal that does not run by itself, or does not reach the SIP server"],
        remedies: &["whoever runs the server should renew it, and have the server read it again"],
        vain: &["use --tls-insecure instead: it trusts anybody"],
        ..NONE
    },
    Entry {
        words: &["registrar_error"],
        meaning: "the registrar refuses, with a status that check has no word of its own for",
        remedies: &["'sipreg explain STATUS' says what the status means; -vv shows the whole answer"],
        ..NONE
    },
    Entry {
        words: &["open_registrar"],
        meaning: "the registrar binds anybody, without a password",
        causes: &["a test server", "a server that knows its users by the address they come from"],
        remedies: &[
            "fine in a laboratory; elsewhere whoever runs it should ask for passwords, as anybody can take calls over",
        ],
        ..NONE
    },
    Entry {
        words: &["clear_md5"],
        meaning: "the password is proved with MD5, on a way where others may listen",
        causes: &["a registrar that knows no other digest (RFC 8760)"],
        remedies: &[
            "--transport tls where the registrar has it; else a long random password, which nobody guesses",
        ],
        vain: &["blame it for calls that don't arrive: registering works"],
        ..NONE
    },
    Entry {
        words: &["contact_rewritten"],
        meaning: "the registrar lists the contact at another place than it was asked to bind",
        causes: &[
            "an application layer gateway in a router",
            "a registrar that mends contacts behind a NAT by itself",
        ],
        remedies: &[
            "--transport tls keeps gateways out, or switch the SIP ALG of the router off; where the registrar does it, \
             --advertise names the address that it wants",
        ],
        vain: &["try STUN or keep-alives: they don't help against a gateway"],
        ..NONE
    },
    Entry {
        words: &["lifetime_changed"],
        meaning: "a longer or a shorter lifetime was granted than was asked for",
        causes: &["a registrar with a fixed lifetime"],
        remedies: &[
            "nothing has to be done: 'sipreg keep' refreshes by what is granted; --expires asks for that right away",
        ],
        ..NONE
    },
    Entry {
        words: &["tampered"],
        meaning: "something on the way changes our headers or bodies: an application layer gateway",
        causes: &["the \"SIP ALG\" or \"SIP helper\" of a router or firewall"],
        remedies: &[
            "switch the SIP ALG of the router off, or use --transport tls: what it can't read it can't change",
        ],
        vain: &["try STUN, keep-alives or --advertise: what they say is changed, too"],
        ..NONE
    },
    Entry {
        words: &["size_lost"],
        meaning: "requests above 1300 octets are lost or refused, where small ones are answered",
        causes: &["a router or firewall that drops fragments of datagrams", "a tunnel with a small MTU"],
        remedies: &[
            "--transport tcp or tls: streams are cut to what fits; or let fragments through, or mend the MTU",
        ],
        vain: &["raise --timeout: it is the same each time"],
        ..NONE
    },
    Entry {
        words: &["behind_nat"],
        meaning: "the server sees us at another address than ours",
        causes: &["a NAT, as in almost every home and office"],
        remedies: &[
            "'sipreg keep' binds the address that is seen and keeps the way open; one-shot commands have --advertise",
        ],
        vain: &["take it for a fault: only what the reach step says counts"],
        ..NONE
    },
    Entry {
        words: &["not_reachable"],
        meaning: "a request for the AOR does not arrive where it is bound, so calls probably don't either",
        causes: &[
            "a NAT, and a registrar that calls the private address behind it",
            "a firewall that lets nobody in",
            "a server that only registers, and routes no calls",
        ],
        remedies: &[
            "look at the status: 480 and 404 come from a proxy that knows no binding; 408 and silence speak of the way to us: \
             'sipreg keep' keeps it open, and with --transport tcp calls come back over our own connection",
        ],
        vain: &["change the password: it has let us in"],
        ..NONE
    },
    Entry {
        words: &["nat_mapping_short"],
        meaning: "calls arrive at first, but no longer after a time without traffic: the NAT forgets",
        causes: &["a NAT that forgets datagrams after some seconds, as many do after 30"],
        remedies: &[
            "over UDP, 'sipreg keep' with a --keepalive of half the time that was too long; or --transport tcp, which NATs remember \
             longer",
        ],
        vain: &["shorten --expires: that does the same with more traffic"],
        ..NONE
    },
    Entry {
        words: &["answered_by_other"],
        meaning: "a request for the AOR was answered by another device, or by the server itself",
        causes: &["another phone of the same address", "a server that answers OPTIONS itself"],
        remedies: &["switch the other devices off and check again: 'sipreg list' shows what is bound"],
        ..NONE
    },
    Entry {
        words: &["clock_off"],
        meaning: "our clock and that of the server differ by five minutes or more",
        causes: &["a host without time synchronisation, here or there"],
        remedies: &["set the clock that is wrong, by NTP: certificates and lifetimes depend on it"],
        ..NONE
    },
    Entry {
        words: &["servers_differ"],
        meaning: "the servers of the name do not do the same: what is bound or served at one is not at another",
        causes: &[
            "servers that share no location service or no users",
            "a replica that lags behind or is cut off",
        ],
        remedies: &[
            "whoever runs the servers has to have them share their bindings; --proxy names one of them until then",
        ],
        vain: &["register again: that only moves the trouble"],
        ..NONE
    },
    Entry {
        words: &["leftovers"],
        meaning: "bindings of this host are listed where nobody listens any more",
        causes: &["programs that ended without unregistering", "'sipreg register', which does not stay"],
        remedies: &[
            "'sipreg unregister AOR --contact URI' removes one; by themselves they end when their time is over",
        ],
        ..NONE
    },
];

/// The steps of `sipreg check`.
const STEPS: &[Entry] = &[
    Entry {
        words: &["step account", "account"],
        meaning: "check: what is going to be used: AOR, user, where the password comes from, registrar and proxy",
        ..NONE
    },
    Entry {
        words: &["step dns", "dns"],
        meaning: "check: the name service: NAPTR, SRV and addresses, by each name server",
        ..NONE
    },
    Entry {
        words: &["step network"],
        meaning: "check: every destination, not only the first: does anybody answer, and how soon",
        ..NONE
    },
    Entry {
        words: &["step tls"],
        meaning: "check: version and certificate of each destination over TLS",
        ..NONE
    },
    Entry {
        words: &["step registrar", "registrar"],
        meaning: "check: whether SIP is spoken there, for this domain, and REGISTER is taken",
        ..NONE
    },
    Entry {
        words: &["step credentials"],
        meaning: "check: the challenge, and what becomes of the answer; the password is used at one server only",
        ..NONE
    },
    Entry {
        words: &["step binding", "binding"],
        meaning: "check: whether the contact is bound as it is, listed, and removed again",
        ..NONE
    },
    Entry {
        words: &["step way", "way"],
        meaning: "check: how the other side sees us, what is changed on the way, and what gets lost for its size",
        ..NONE
    },
    Entry {
        words: &["step reach", "reach"],
        meaning: "check: whether a request for the AOR, through the proxy, arrives at the socket that is bound",
        ..NONE
    },
    Entry {
        words: &["step clock", "clock"],
        meaning: "check: the time that the server says, against ours",
        ..NONE
    },
    Entry {
        words: &["step others", "others"],
        meaning: "check: whether every server knows the binding, and what else is bound",
        ..NONE
    },
];

/// Entries of the causes of `handshake_failed` of `sipreg serve`, but for those that [`CAUSES`] has: they are the same thing,
/// seen from the other side.
pub const HANDSHAKES: &[Entry] = &[
    Entry {
        words: &["certificate_unusable"],
        meaning: "serve: the certificate of the client is broken, not for clients, or an authority's own",
        remedies: &["it needs another one: with clientAuth, where it has an extended key usage at all"],
        ..NONE
    },
    Entry {
        words: &["certificate_refused"],
        meaning: "serve: the client does not accept the certificate of this server",
        remedies: &[
            "--tls-cert: is it for the domain that the client asks for, not run out, with those between it and its root?",
            "one that is signed by itself has to be trusted there: for sipreg that is --tls-ca",
        ],
        ..NONE
    },
    Entry {
        words: &["tls"],
        meaning: "serve: the TLS handshake failed for a reason that has no word of its own",
        remedies: &["without --json the line says the alert that the client has sent"],
        ..NONE
    },
    Entry {
        words: &["not_websocket"],
        meaning: "serve: something else than a WebSocket was asked for at a ws: or wss: listener",
        causes: &["a web page that is looked for there", "plain SIP at the wrong port", "a probe"],
        ..NONE
    },
    Entry {
        words: &["no_subprotocol"],
        meaning: "serve: a WebSocket was asked for, but not the subprotocol sip (RFC 7118)",
        causes: &["a client that is not one of SIP, or does not say so"],
        ..NONE
    },
    Entry {
        words: &["origin"],
        meaning: "serve: the web page that connects is of no origin of --ws-origin",
        remedies: &["--ws-origin names one more, with its scheme: https://phone.example.com"],
        ..NONE
    },
    Entry {
        words: &["too_long"],
        meaning: "serve: what came in place of a request for a WebSocket is longer than any that is read",
        ..NONE
    },
    Entry {
        words: &["closed"],
        meaning: "serve: the client went away before the handshake was done",
        causes: &["a probe, or a load balancer that looks whether the port is open"],
        ..NONE
    },
    Entry {
        words: &["too_many"],
        meaning: "serve: too many handshakes are under way, of all sources or of this one",
        causes: &["a flood", "very many clients that come back at the same time"],
        ..NONE
    },
    Entry { words: &["network"], meaning: "serve: the network failed in the handshake", ..NONE },
];

/// A device at `sipreg serve` that answers no challenge, the first of which is not for MD5.
pub const KNOWS_NO_SHA: Case = Case {
    seen: "serve: unanswered, challenged three times",
    hint: "old devices read the first challenge only, and know MD5: --algorithms MD5 suits them, or MD5,SHA-256 for all",
};
/// The same where MD5 is not offered at all: nobody may have an HA1 for it.
pub const OFFERS_NO_MD5: Case = Case {
    seen: "serve: unanswered, and MD5 is not offered",
    hint: "old devices know MD5 only: --algorithms MD5 suits them, where the users file has their HA1 for it",
};
/// The same where MD5 is first.
pub const NEVER_ANSWERS: Case = Case {
    seen: "serve: unanswered, and MD5 is offered first",
    hint: "the device has no password, or not for this realm: see what is configured there",
};

/// Troubles that end with 0: nothing failed, and yet it is not as it was meant.
const TROUBLES: &[Case] = &[
    KNOWS_NO_SHA,
    OFFERS_NO_MD5,
    NEVER_ANSWERS,
    Case {
        seen: "it hangs for half a minute",
        hint: "each address that is tried gets 32 s, as RFC 3261 has it; --timeout 5s bounds the whole",
    },
    Case {
        seen: "more bindings than devices",
        hint: "leftovers of --stateless runs or of other programs: they run out by themselves, unregister --contact \
               or --all removes them",
    },
    Case {
        seen: "registered, but calls don't arrive",
        hint: "behind a NAT: the report says 'seen as'. 'sipreg keep' binds that address and keeps the way open",
    },
];

/// What a status code means: its own entry, else that of its class (RFC 3261 §8.1.3.2). None outside 100 to 699.
#[must_use]
pub fn status(code: u16) -> Option<&'static Entry> {
    let class = format!("{}xx", code / 100);
    find(&code.to_string()).or_else(|| find(&class)).filter(|_| code >= 100)
}

/// What to do about a status code, if there is anything to do.
#[must_use]
pub fn status_hint(code: u16) -> Option<&'static str> {
    status(code)?.remedies.first().copied()
}

/// All that can be asked for.
fn entries() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter().chain(CAUSES).chain(FINDINGS).chain(HANDSHAKES).chain(STEPS)
}

fn find(word: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.words.contains(&word))
}

/// What `sipreg explain` prints for words of the command line, which are joined: an entry, or without words the list of
/// all. The text is at most 80 columns wide.
///
/// # Errors
/// Nothing is known by these words; the hint names those that are alike.
pub fn text(words: &[String]) -> Result<String, UsageError> {
    let asked = words.join(" ").trim().to_lowercase();
    if asked.is_empty() {
        return Ok(list());
    }
    let by_code = asked.parse().ok().filter(|_| asked.len() == 3).and_then(status);
    // Some steps of a check have the name of something else, too.
    let step = find(&format!("step {asked}"));
    match find(&asked).or(by_code) {
        Some(entry) => {
            let other = step.filter(|step| *step != entry);
            let more = other.map(|step| format!("\n{}", page(&format!("step {asked}"), step)));
            Ok(page(&asked, entry) + &more.unwrap_or_default())
        }
        None => {
            Err(UsageError::value("explain", &asked, "is no status code, exit status, error.kind or cause")
                .hint(near(&asked)))
        }
    }
}

/// The title of a word: a status code that has an entry of its own comes with its reason phrase.
fn title(word: &str) -> String {
    match word.parse().map(reason_phrase) {
        Ok(phrase) if find(word).is_some() => format!("{word} {phrase}"),
        Ok(_) | Err(_) => word.to_owned(),
    }
}

fn list() -> String {
    let mut text = String::from("What can be explained, with 'sipreg explain WORD':\n\n");
    for entry in entries() {
        let words = match entry.words {
            [word] => title(word),
            words => words.join(", "),
        };
        fill(&mut text, &format!("{words}: {}", entry.meaning), "", "    ");
    }
    text
}

fn page(asked: &str, entry: &Entry) -> String {
    let others: Vec<&str> = entry.words.iter().copied().filter(|word| *word != asked).collect();
    let also = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    let mut text = String::new();
    fill(&mut text, &format!("{}{also}: {}", title(asked), entry.meaning), "", "  ");
    entry.elsewhere.iter().for_each(|line| fill(&mut text, line, "  ", "    "));
    let parts = [("usual causes:", entry.causes), ("what to do:", entry.remedies), ("don't:", entry.vain)];
    for (head, lines) in parts {
        if !lines.is_empty() {
            text += &format!("\n{head}\n");
        }
        lines.iter().for_each(|line| fill(&mut text, line, "  - ", "    "));
    }
    if !entry.cases.is_empty() {
        text += "\nwhat the message says, and what to do then:\n";
    }
    for case in entry.cases {
        fill(&mut text, case.seen, "  - ", "    ");
        fill(&mut text, case.hint, "      ", "      ");
    }
    text
}

/// Adds a paragraph that is broken before column 80.
fn fill(text: &mut String, paragraph: &str, first: &str, rest: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in paragraph.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > 79 {
            text.push_str(&line);
            text.push('\n');
            (line, is_empty) = (rest.to_owned(), true);
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}

/// The words that are most like one that is unknown, as a hint: those that hold it before those that are spelt alike.
fn near(asked: &str) -> String {
    let all = entries().flat_map(|entry| entry.words);
    let holds = |word: &str| word.split(' ').any(|part| part == asked);
    let mut alike: Vec<(bool, usize, &str)> =
        all.map(|word| (!holds(word), strsim::damerau_levenshtein(asked, word), *word)).collect();
    alike.sort_unstable();
    let nearest: Vec<&str> = alike.iter().take(3).map(|(.., word)| *word).collect();
    format!("near it are {}; 'sipreg explain' lists all", nearest.join(", "))
}

/// The rows of the README's troubleshooting: what is seen, and what to do.
#[must_use]
pub fn troubleshooting() -> String {
    let mut rows = String::from("| what you see | what to look at |\n| --- | --- |\n");
    for entry in ENTRIES {
        for case in entry.cases {
            let exit = entry.words.first().copied().unwrap_or_default();
            rows += &format!("| {exit}, \"{}\" | {} |\n", case.seen, case.hint);
        }
    }
    for case in TROUBLES {
        rows += &format!("| {} | {} |\n", case.seen, case.hint);
    }
    rows
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::cli::exit::FaultCause;
    use crate::cli::report::events::HandshakeCause;

    fn said(words: &str) -> String {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        match text(&words) {
            Ok(text) => text,
            Err(error) => format!("{} ({})\n", error.message(), error.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn a_word_is_explained_whatever_it_is() {
        insta::assert_snapshot!(said("503"), @r"
        503 Service Unavailable: not now: overloaded, in maintenance, or too many
          bindings; with Retry-After it says for how long

        usual causes:
          - load
          - more bindings than the registrar allows: 'list' shows them

        what to do:
          - overloaded or in maintenance: try again later, or another server with
            --proxy
          - --retry-for 5m tries again, not before its Retry-After

        what the message says, and what to do then:
          - too many bindings
              the registrar allows no more: 'sipreg list' shows what is bound, 'sipreg
              unregister --contact' removes one; others end by themselves
        ");
        insta::assert_snapshot!(said("exit 7"), @r"
        exit 7 (also unmet): what was asked about does not hold, though the registrar
          was asked and did answer
          list: the contact of --contact is not bound
          check: the first step that failed is binding, way or reach, and 'register'
            would not have noticed (not_listed, contact_rewritten, tampered, size_lost,
            not_reachable, nat_mapping_short); with --strict: there was a warning

        usual causes:
          - list: the device is off, or its binding has run out
          - list: it is bound with another URI
          - check: 'sipreg explain' knows the cause that the step names

        what to do:
          - list: without --contact it shows what is bound
          - check: its last line says what to mend first

        what the message says, and what to do then:
          - ... is not bound
              the list is complete: whatever was bound there has run out or was removed
          - ... is not bound, and bindings can't be read
              not every binding in the answer could be read: -vv shows them
          - sipreg bound ... here, and it is not listed
              either something else has removed it, or the registrar does not show
              every binding
        ");
        assert_eq!(said("Exit 7"), said("exit 7"));
        assert_eq!(
            said("499").lines().next(),
            Some("499 (also 4xx): this request, as it was, is refused here")
        );
    }

    #[test]
    fn an_unknown_word_names_near_ones() {
        insta::assert_snapshot!(["6", "crednetials", "999", "99", "exit", "4O3"].map(said).concat(), @r#"
        explain: "6" is no status code, exit status, error.kind or cause (near it are exit 6, 416, 600; 'sipreg explain' lists all)
        explain: "crednetials" is no status code, exit status, error.kind or cause (near it are credentials, step credentials, not_tls; 'sipreg explain' lists all)
        explain: "999" is no status code, exit status, error.kind or cause (near it are 439, 494, 100; 'sipreg explain' lists all)
        explain: "99" is no status code, exit status, error.kind or cause (near it are 439, 494, 100; 'sipreg explain' lists all)
        explain: "exit" is no status code, exit status, error.kind or cause (near it are exit 0, exit 1, exit 2; 'sipreg explain' lists all)
        explain: "4o3" is no status code, exit status, error.kind or cause (near it are 403, 423, 483; 'sipreg explain' lists all)
        "#);
    }

    /// Every status that a hint is asked for, every exit status and every `error.kind` has an entry, and no word two.
    #[test]
    fn nothing_lacks_an_entry_and_no_word_has_two() {
        for code in 100..700 {
            assert!(status(code).is_some(), "{code}");
        }
        assert!(status(99).is_none() && status(700).is_none() && status(0).is_none());
        let mut words: Vec<_> = entries().flat_map(|entry| entry.words).collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
        for word in
            ["exit 0", "exit 1", "exit 2", "exit 70", "exit 130", "exit 143", "interrupted", "internal"]
        {
            assert!(find(word).is_some(), "{word}");
        }
        let causes = FaultCause::value_variants().iter().map(serde_json::to_string);
        let handshakes = HandshakeCause::value_variants().iter().map(serde_json::to_string);
        for word in causes.chain(handshakes).map(Result::unwrap) {
            assert!(find(word.trim_matches('"')).is_some(), "{word}");
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let all = entries().flat_map(|entry| entry.words).map(|word| said(word)).chain([list()]);
        for text in all {
            assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        }
    }
}
