//! Whom a certificate is for, as a table.

use super::*;

/// A certificate with these names, as `URI:`, `DNS:` and `IP:` among its subject alternative names, `CN=` as its common
/// name; `email` is an alternative name of a kind that does not matter.
fn certificate(names: &str) -> Certificate {
    let mut made = Certificate {
        subject: String::new(),
        issuer: String::new(),
        not_before: Time::from_millis(0),
        not_after: Time::from_millis(0),
        uris: Vec::new(),
        hosts: Vec::new(),
        addresses: Vec::new(),
        has_alternatives: false,
        common_name: None,
    };
    for name in names.split_whitespace() {
        made.has_alternatives |= !name.starts_with("CN=");
        if let Some(uri) = name.strip_prefix("URI:") {
            made.uris.push(uri.to_owned());
        } else if let Some(host) = name.strip_prefix("DNS:") {
            made.hosts.push(host.to_owned());
        } else if let Some(address) = name.strip_prefix("IP:") {
            made.addresses.push(address.parse().unwrap());
        } else if let Some(common) = name.strip_prefix("CN=") {
            made.common_name = Some(common.to_owned());
        } else {
            assert_eq!(name, "email");
        }
    }
    made
}

#[track_caller]
fn check(wildcards: Wildcards, rows: &[(&str, &str, bool)]) {
    for (names, name, is_for) in rows {
        assert_eq!(certificate(names).is_for(name, wildcards), *is_for, "{names} for {name}");
    }
}

/// SEC-004, SEC-005, SEC-006, SEC-007, SEC-008, SEC-009
#[test]
fn whom_a_certificate_is_for() {
    check(
        Wildcards::Refused,
        &[
            // A URI is enough, and where there is one no DNS name counts.
            ("URI:sip:munich.de", "munich.de", true),
            ("URI:sip:munich.de DNS:munich.de", "munich.de", true),
            ("URI:sip:munich.de DNS:leipzig.de", "leipzig.de", false),
            ("URI:sip:leipzig.de DNS:munich.de", "munich.de", false),
            ("URI:sip:leipzig.de URI:sip:munich.de", "munich.de", true),
            ("DNS:munich.de", "munich.de", true),
            ("DNS:leipzig.de DNS:munich.de", "munich.de", true),
            ("DNS:leipzig.de", "munich.de", false),
            // The scheme is in any case, the host alone counts.
            ("URI:SIP:munich.de", "munich.de", true),
            ("URI:sip:munich.de:5061", "munich.de", true),
            ("URI:sip:munich.de;transport=tls", "munich.de", true),
            ("URI:sip:munich.de:5061;transport=tls?a=b", "munich.de", true),
            ("URI:sip:munich.de?a=b", "munich.de", true),
            // Users, and other schemes, are no identity of a domain: they neither count nor keep DNS names from counting.
            ("URI:sip:bob@munich.de", "munich.de", false),
            ("URI:sip:munich.de@leipzig.de", "munich.de", false),
            ("URI:sip:@munich.de", "munich.de", false),
            ("URI:sip:munich.de;a=@", "munich.de", false),
            ("URI:sips:munich.de", "munich.de", false),
            ("URI:https:munich.de", "munich.de", false),
            ("URI:https://munich.de", "munich.de", false),
            ("URI:sip://munich.de", "munich.de", false),
            ("URI:sip:", "munich.de", false),
            ("URI:munich.de", "munich.de", false),
            ("URI:sip:bob@munich.de DNS:munich.de", "munich.de", true),
            ("URI:sips:leipzig.de DNS:munich.de", "munich.de", true),
            ("URI:https://leipzig.de DNS:munich.de", "munich.de", true),
            ("URI:sip://leipzig.de DNS:munich.de", "munich.de", true),
            ("URI:sip:192.0.2.1 DNS:munich.de", "munich.de", true),
            // The common name counts where there is no other kind at all.
            ("CN=munich.de", "munich.de", true),
            ("CN=leipzig.de", "munich.de", false),
            ("CN=munich.de DNS:leipzig.de", "munich.de", false),
            ("CN=munich.de URI:sip:leipzig.de", "munich.de", false),
            ("CN=munich.de URI:sip:bob@munich.de", "munich.de", false),
            ("CN=munich.de IP:192.0.2.1", "munich.de", false),
            ("CN=munich.de email", "munich.de", false),
            ("", "munich.de", false),
            // In any case, with or without a root.
            ("DNS:MUNICH.de", "munich.DE", true),
            ("URI:sip:Munich.De", "munich.de", true),
            ("CN=MUNICH.DE", "munich.de", true),
            ("DNS:munich.de.", "munich.de", true),
            ("DNS:munich.de", "munich.de.", true),
            ("DNS:munich.de", "munich.de..", false),
            // Nothing but the whole name.
            ("DNS:munich.de", "physics.munich.de", false),
            ("DNS:physics.munich.de", "munich.de", false),
            ("DNS:munich.de", "notmunich.de", false),
            ("DNS:de", "munich.de", false),
            ("DNS:.munich.de", "physics.munich.de", false),
            ("DNS:munich.de.evil.example", "munich.de", false),
            ("DNS:munich.de\0.evil.example", "munich.de", false),
            // Names are what they are.
            ("DNS:_sip.munich.de", "_sip.munich.de", true),
            ("DNS:xn--mnchen-3ya.de", "xn--mnchen-3ya.de", true),
            ("DNS:xn--mnchen-3ya.de", "münchen.de", false),
        ],
    );
}

/// SEC-010
#[test]
fn a_wildcard_stands_for_one_label_where_the_user_says_so() {
    let rows = [
        ("DNS:*.munich.de", "sip.munich.de", true),
        ("DNS:*.MUNICH.de", "SIP.munich.DE", true),
        ("DNS:*.munich.de.", "sip.munich.de", true),
        ("CN=*.munich.de", "sip.munich.de", true),
        ("URI:sip:*.munich.de", "sip.munich.de", true),
        ("DNS:*.munich.de", "munich.de", false),
        ("DNS:*.munich.de", ".munich.de", false),
        ("DNS:*.munich.de", "a.sip.munich.de", false),
        ("DNS:*.munich.de", "sip.leipzig.de", false),
        ("DNS:s*.munich.de", "sip.munich.de", false),
        ("DNS:*p.munich.de", "sip.munich.de", false),
        ("DNS:sip.*.de", "sip.munich.de", false),
        ("DNS:*.*.de", "sip.munich.de", false),
        ("DNS:**.munich.de", "sip.munich.de", false),
        ("DNS:*", "munich", false),
        ("DNS:*.0.2.1", "192.0.2.1", false),
        ("URI:sip:munich.de DNS:*.munich.de", "sip.munich.de", false),
    ];
    check(Wildcards::Accepted, &rows);
    check(Wildcards::Refused, &rows.map(|(names, name, _)| (names, name, false)));
}

/// SEC-014: an address is in the certificate as an address.
#[test]
fn an_address_is_compared_with_addresses_alone() {
    check(
        Wildcards::Accepted,
        &[
            ("IP:192.0.2.1", "192.0.2.1", true),
            ("IP:192.0.2.2 IP:192.0.2.1", "192.0.2.1", true),
            ("IP:192.0.2.1 URI:sip:munich.de", "192.0.2.1", true),
            ("IP:192.0.2.1", "192.0.2.10", false),
            ("IP:192.0.2.1", "munich.de", false),
            ("DNS:192.0.2.1", "192.0.2.1", false),
            ("CN=192.0.2.1", "192.0.2.1", false),
            ("URI:sip:192.0.2.1", "192.0.2.1", false),
            ("IP:2001:db8::1", "2001:db8::1", true),
            ("IP:2001:db8::1", "2001:DB8:0:0::1", true),
            ("IP:2001:db8::1", "2001:db8::2", false),
            ("URI:sip:[2001:db8::1]", "2001:db8::1", false),
            ("IP:192.0.2.1", "::ffff:192.0.2.1", true),
            ("IP:::ffff:192.0.2.1", "192.0.2.1", true),
        ],
    );
}

/// SEC-005, SEC-006: an address in a URI is not the identity of a domain, and does not keep DNS names from counting.
#[test]
fn the_names_that_count_are_told() {
    for (names, told) in [
        ("URI:sip:munich.de:5061 DNS:leipzig.de CN=bonn.de", vec!["sip:munich.de"]),
        ("URI:sip:bob@munich.de DNS:leipzig.de CN=bonn.de", vec!["leipzig.de"]),
        ("URI:sip:[2001:db8::1] DNS:leipzig.de", vec!["leipzig.de"]),
        ("URI:sip:192.0.2.1 DNS:leipzig.de", vec!["leipzig.de"]),
        ("URI:sip://munich.de DNS:leipzig.de", vec!["leipzig.de"]),
        ("DNS:leipzig.de DNS:*.leipzig.de IP:192.0.2.1", vec!["leipzig.de", "*.leipzig.de", "192.0.2.1"]),
        ("CN=bonn.de", vec!["bonn.de"]),
        ("CN=bonn.de email", vec![]),
        ("IP:2001:db8::1 CN=bonn.de", vec!["2001:db8::1"]),
        ("", vec![]),
    ] {
        assert_eq!(certificate(names).names(), told, "{names}");
    }
}

/// SEC-026: the users whose certificate it is.
#[test]
fn users_are_those_with_a_user_part() {
    for (names, users) in [
        ("URI:sip:bob@munich.de", vec!["sip:bob@munich.de"]),
        ("URI:sips:bob@munich.de URI:sip:alice@munich.de", vec!["sips:bob@munich.de", "sip:alice@munich.de"]),
        ("URI:sip:munich.de URI:https://bob@munich.de URI:mailto:bob@munich.de DNS:munich.de CN=bob", vec![]),
        ("URI:sip:@munich.de URI:sip: URI:", vec![]),
    ] {
        let told: Vec<String> = certificate(names).users().iter().map(ToString::to_string).collect();
        assert_eq!(told, users, "{names}");
    }
    let many: Vec<String> = (0..100).map(|n| format!("URI:sip:u{n}@munich.de")).collect();
    assert_eq!(certificate(&many.join(" ")).users().len(), MOST_USERS);
}
