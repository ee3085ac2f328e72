//! Names of header fields (RFC 3261 §7.3.1 and §20, and the extensions this program or its neighbours meet).

use super::scan;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The text is no `token` (RFC 3261 §25.1), so it cannot name a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header name is a token: letters, digits and -.!%*_+`'~ only")]
pub struct HeaderNameError;

/// Makes the enum and both directions of the name table out of one list:
/// variant, canonical name, and the lower-case spellings that are read (long form, then the compact one).
macro_rules! header_names {
    ($($variant:ident $long:literal $lower:literal $(| $compact:literal)?, $doc:literal;)*) => {
        /// The name of a header field. Two names are equal when they differ in letter case only
        /// (RFC 3261 §7.3.1); compact forms (§7.3.3) are read as the long name.
        #[derive(Debug, Clone)]
        pub enum HeaderName {
            $(#[doc = $doc] $variant,)*
            /// Any other token, spelled as it came. Make it with [`HeaderName::parse`], which never puts a
            /// name of this list here.
            Other(String),
        }

        impl HeaderName {
            /// The canonical long name, which is what gets written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$variant => $long,)*
                    HeaderName::Other(name) => name,
                }
            }

            /// Reads a name in its canonical spelling, which most messages have.
            fn canonical(name: &[u8]) -> Option<HeaderName> {
                Some(match name {
                    $(canonical::$variant => HeaderName::$variant,)*
                    _ => return None,
                })
            }

            fn lower(name: &[u8]) -> Option<HeaderName> {
                Some(match name {
                    $($lower $(| $compact)? => HeaderName::$variant,)*
                    _ => return None,
                })
            }
        }

        #[expect(non_upper_case_globals, reason = "named like the variants they belong to")]
        mod canonical {
            $(pub(super) const $variant: &[u8] = $long.as_bytes();)*
        }
    };
}

header_names! {
    Accept "Accept" b"accept", "RFC 3261 §20.1";
    AcceptContact "Accept-Contact" b"accept-contact" | b"a", "RFC 3841 §9.2";
    AcceptEncoding "Accept-Encoding" b"accept-encoding", "RFC 3261 §20.2";
    AcceptLanguage "Accept-Language" b"accept-language", "RFC 3261 §20.3";
    AlertInfo "Alert-Info" b"alert-info", "RFC 3261 §20.4";
    Allow "Allow" b"allow", "RFC 3261 §20.5";
    AllowEvents "Allow-Events" b"allow-events" | b"u", "RFC 6665 §8.2.2";
    AuthenticationInfo "Authentication-Info" b"authentication-info", "RFC 3261 §20.6";
    Authorization "Authorization" b"authorization", "RFC 3261 §20.7";
    CallId "Call-ID" b"call-id" | b"i", "RFC 3261 §20.8";
    CallInfo "Call-Info" b"call-info", "RFC 3261 §20.9";
    Contact "Contact" b"contact" | b"m", "RFC 3261 §20.10";
    ContentDisposition "Content-Disposition" b"content-disposition", "RFC 3261 §20.11";
    ContentEncoding "Content-Encoding" b"content-encoding" | b"e", "RFC 3261 §20.12";
    ContentLanguage "Content-Language" b"content-language", "RFC 3261 §20.13";
    ContentLength "Content-Length" b"content-length" | b"l", "RFC 3261 §20.14";
    ContentType "Content-Type" b"content-type" | b"c", "RFC 3261 §20.15";
    CSeq "CSeq" b"cseq", "RFC 3261 §20.16";
    Date "Date" b"date", "RFC 3261 §20.17";
    ErrorInfo "Error-Info" b"error-info", "RFC 3261 §20.18";
    Event "Event" b"event" | b"o", "RFC 6665 §8.2.1";
    Expires "Expires" b"expires", "RFC 3261 §20.19";
    FlowTimer "Flow-Timer" b"flow-timer", "RFC 5626 §11.2";
    From "From" b"from" | b"f", "RFC 3261 §20.20";
    HistoryInfo "History-Info" b"history-info", "RFC 7044 §5";
    Identity "Identity" b"identity" | b"y", "RFC 8224 §4";
    InReplyTo "In-Reply-To" b"in-reply-to", "RFC 3261 §20.21";
    MaxBreadth "Max-Breadth" b"max-breadth", "RFC 5393 §5.3.1";
    MaxForwards "Max-Forwards" b"max-forwards", "RFC 3261 §20.22";
    MimeVersion "MIME-Version" b"mime-version", "RFC 3261 §20.24";
    MinExpires "Min-Expires" b"min-expires", "RFC 3261 §20.23";
    MinSe "Min-SE" b"min-se", "RFC 4028 §5";
    Organization "Organization" b"organization", "RFC 3261 §20.25";
    PAccessNetworkInfo "P-Access-Network-Info" b"p-access-network-info", "RFC 7315 §4.4";
    PAssertedIdentity "P-Asserted-Identity" b"p-asserted-identity", "RFC 3325 §9.1";
    PAssociatedUri "P-Associated-URI" b"p-associated-uri", "RFC 7315 §4.1";
    Path "Path" b"path", "RFC 3327 §4";
    PPreferredIdentity "P-Preferred-Identity" b"p-preferred-identity", "RFC 3325 §9.2";
    Priority "Priority" b"priority", "RFC 3261 §20.26";
    Privacy "Privacy" b"privacy", "RFC 3323 §4.2";
    ProxyAuthenticate "Proxy-Authenticate" b"proxy-authenticate", "RFC 3261 §20.27";
    ProxyAuthenticationInfo "Proxy-Authentication-Info" b"proxy-authentication-info", "RFC 7615 §4";
    ProxyAuthorization "Proxy-Authorization" b"proxy-authorization", "RFC 3261 §20.28";
    ProxyRequire "Proxy-Require" b"proxy-require", "RFC 3261 §20.29";
    RAck "RAck" b"rack", "RFC 3262 §7.2";
    Reason "Reason" b"reason", "RFC 3326 §2";
    RecordRoute "Record-Route" b"record-route", "RFC 3261 §20.30";
    ReferredBy "Referred-By" b"referred-by" | b"b", "RFC 3892 §3";
    ReferTo "Refer-To" b"refer-to" | b"r", "RFC 3515 §2.1";
    RejectContact "Reject-Contact" b"reject-contact" | b"j", "RFC 3841 §9.2";
    Replaces "Replaces" b"replaces", "RFC 3891 §6.1";
    ReplyTo "Reply-To" b"reply-to", "RFC 3261 §20.31";
    RequestDisposition "Request-Disposition" b"request-disposition" | b"d", "RFC 3841 §9.1";
    Require "Require" b"require", "RFC 3261 §20.32";
    RetryAfter "Retry-After" b"retry-after", "RFC 3261 §20.33";
    Route "Route" b"route", "RFC 3261 §20.34";
    RSeq "RSeq" b"rseq", "RFC 3262 §7.1";
    SecurityClient "Security-Client" b"security-client", "RFC 3329 §2.2";
    SecurityServer "Security-Server" b"security-server", "RFC 3329 §2.2";
    SecurityVerify "Security-Verify" b"security-verify", "RFC 3329 §2.2";
    Server "Server" b"server", "RFC 3261 §20.35";
    ServiceRoute "Service-Route" b"service-route", "RFC 3608 §5";
    SessionExpires "Session-Expires" b"session-expires" | b"x", "RFC 4028 §4";
    SipETag "SIP-ETag" b"sip-etag", "RFC 3903 §11.3.1";
    SipIfMatch "SIP-If-Match" b"sip-if-match", "RFC 3903 §11.3.2";
    Subject "Subject" b"subject" | b"s", "RFC 3261 §20.36";
    SubscriptionState "Subscription-State" b"subscription-state", "RFC 6665 §8.2.3";
    Supported "Supported" b"supported" | b"k", "RFC 3261 §20.37";
    Timestamp "Timestamp" b"timestamp", "RFC 3261 §20.38";
    To "To" b"to" | b"t", "RFC 3261 §20.39";
    Unsupported "Unsupported" b"unsupported", "RFC 3261 §20.40";
    UserAgent "User-Agent" b"user-agent", "RFC 3261 §20.41";
    Via "Via" b"via" | b"v", "RFC 3261 §20.42";
    Warning "Warning" b"warning", "RFC 3261 §20.43";
    WwwAuthenticate "WWW-Authenticate" b"www-authenticate", "RFC 3261 §20.44";
}

/// Room for the longest name in the list, in octets.
const LONGEST: usize = 32;

impl HeaderName {
    /// Reads a name in any letter case; compact forms become the long name.
    pub fn parse(name: &[u8]) -> Result<HeaderName, HeaderNameError> {
        if let Some(known) = HeaderName::canonical(name) {
            return Ok(known);
        }
        let mut lower = [0; LONGEST];
        if let Some(lower) = lower.get_mut(..name.len()) {
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            if let Some(known) = HeaderName::lower(lower) {
                return Ok(known);
            }
        }
        if !scan::is_token(name) {
            return Err(HeaderNameError);
        }
        Ok(HeaderName::Other(scan::text(name).map_err(|_| HeaderNameError)?.to_owned()))
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &HeaderName) -> bool {
        match (self, other) {
            (HeaderName::Other(one), other) | (other, HeaderName::Other(one)) => {
                one.eq_ignore_ascii_case(other.as_str())
            }
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

impl Eq for HeaderName {}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in self.as_str().bytes() {
            state.write_u8(octet.to_ascii_lowercase());
        }
        state.write_u8(0xFF);
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
