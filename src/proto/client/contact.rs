//! When two contacts are one: the one comparison of every command that recognises a contact (RFC 3261 §19.1.4), with
//! what registrars add on the way taken out.

use crate::sip::{AnyUri, Scheme, Uri, escape_user};

/// Whether both URIs are one contact: equal by RFC 3261 §19.1.4, where a default port and a default transport make no
/// difference, nor do the escapes of the user part. The defaults are those of §19.1.2: `transport=udp` for `sip:` and TLS over TCP for `sips:`; port 5060, or
/// 5061 with TLS. Another transport is another contact.
#[must_use]
pub fn is_same(one: &AnyUri, two: &AnyUri) -> bool {
    match (one, two) {
        (AnyUri::Sip(one), AnyUri::Sip(two)) => {
            one.matches(two) || spelled_out(one).matches(&spelled_out(two))
        }
        (AnyUri::Other(_), _) | (AnyUri::Sip(_), AnyUri::Other(_)) => one.matches(two),
    }
}

/// The URI with its port, without a transport that goes without saying, and with the fewest escapes in its user part.
pub(super) fn spelled_out(uri: &Uri) -> Uri {
    let mut uri = uri.clone();
    let transport = uri.transport().map(str::to_ascii_lowercase);
    let is_default = match (uri.scheme, transport.as_deref()) {
        (Scheme::Sip, Some("udp")) | (Scheme::Sips, Some("tcp" | "tls")) => true,
        (Scheme::Sip | Scheme::Sips, Some(_) | None) => false,
    };
    if is_default {
        uri.params.remove("transport");
    }
    let port = match (uri.scheme, transport.as_deref()) {
        (Scheme::Sip, Some("ws")) => 80,
        (Scheme::Sip | Scheme::Sips, Some("wss")) | (Scheme::Sips, Some("ws")) => 443,
        (Scheme::Sip, Some("tls")) | (Scheme::Sips, Some(_) | None) => 5061,
        (Scheme::Sip, Some(_) | None) => 5060,
    };
    uri.port = Some(uri.port.unwrap_or(port));
    // A registrar that undoes escapes and makes them anew may choose others: `%2B` for `+`, `+` for `%2B`.
    uri.user = uri.user_octets().map(escape_user);
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(one: &str, two: &str) -> bool {
        let [one, two] = [one, two].map(|text| AnyUri::parse(text).unwrap());
        assert_eq!(is_same(&one, &two), is_same(&two, &one));
        is_same(&one, &two)
    }

    /// DES-020 URI-012
    #[test]
    fn a_default_port_or_transport_makes_no_difference_and_another_one_does() {
        for (one, two) in [
            ("sip:u@h.de", "SIP:%75@H.de;x=1"),
            ("sip:u@h.de", "sip:u@h.de:5060"),
            ("sip:u@h.de", "sip:u@h.de;transport=UDP"),
            ("sip:u@h.de:5060", "sip:u@h.de;transport=udp"),
            ("sip:u@h.de;transport=udp", "sip:u@h.de:5060;transport=udp"),
            ("sip:u@[::1]", "sip:u@[0::1]:5060"),
            ("sip:u@h.de;transport=tcp", "sip:u@h.de:5060;transport=TCP"),
            ("sip:u@h.de;transport=tls", "sip:u@h.de:5061;transport=tls"),
            ("sip:u@h.de;transport=ws", "sip:u@h.de:80;transport=ws"),
            ("sips:u@h.de", "sips:u@h.de:5061"),
            ("sips:u@h.de", "sips:u@h.de;transport=tcp"),
            ("sips:u@h.de;transport=tls", "sips:u@h.de:5061"),
            ("sips:u@h.de;transport=ws", "sips:u@h.de:443;transport=ws"),
            ("sip:%2B49@h.de", "sip:+49@h.de"),
            ("tel:+1", "tel:+1"),
        ] {
            assert!(is_one(one, two), "{one} {two}");
        }
        for (one, two) in [
            ("sip:u@h.de", "sip:u@h.de:5061"),
            ("sip:u@h.de", "sip:u@h.de;transport=tcp"),
            ("sip:u@h.de:5060", "sip:u@h.de:5060;transport=tcp"),
            ("sip:u@h.de:5062", "sip:u@h.de"),
            ("sip:u@h.de:5060;transport=tls", "sip:u@h.de;transport=tls"),
            ("sips:u@h.de", "sips:u@h.de:5060"),
            ("sip:u@h.de", "sips:u@h.de"),
            ("sip:u@h.de", "sip:U@h.de"),
            ("sip:u@h.de", "sip:h.de"),
            ("sip:u@h.de", "sip:u@h.de;maddr=192.0.2.1"),
            ("sip:u@h.de", "tel:+1"),
        ] {
            assert!(!is_one(one, two), "{one} {two}");
        }
    }
}
