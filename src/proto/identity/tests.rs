//! Which names of a certificate count, and for whom.

use super::*;

/// Alternative names, as they stand in a certificate: URIs by their colon, addresses, and DNS names.
fn naming(alternatives: &[&str]) -> Certificate {
    let mut certificate = Certificate {
        subject: "CN=munich.de".to_owned(),
        issuer: "CN=Quantum Root".to_owned(),
        not_before: Time::from_millis(0),
        not_after: Time::from_millis(1),
        uris: Vec::new(),
        hosts: Vec::new(),
        addresses: Vec::new(),
        has_alternatives: !alternatives.is_empty(),
        common_name: None,
    };
    for name in alternatives {
        match name.parse() {
            Ok(address) => certificate.addresses.push(address),
            Err(_) if name.contains(':') => certificate.uris.push((*name).to_owned()),
            Err(_) => certificate.hosts.push((*name).to_owned()),
        }
    }
    certificate
}

/// The same with a common name.
fn of(common: &str, alternatives: &[&str]) -> Certificate {
    Certificate { common_name: Some(common.to_owned()), ..naming(alternatives) }
}

fn assert_is_for(certificate: &Certificate, cases: &[(&str, bool)]) {
    for (name, expected) in cases {
        assert_eq!(certificate.is_for(name, Wildcards::Refused), *expected, "{name} of {certificate:?}");
    }
}

/// SEC-005: a URI `sip:domain` counts, and where there is one, no DNS name does.
#[test]
fn uris_come_before_dns_names() {
    let only_uri = naming(&["sip:munich.de"]);
    assert_is_for(&only_uri, &[("munich.de", true), ("sip.munich.de", false), ("sip:munich.de", false)]);
    let both = naming(&["sip:munich.de", "sip.munich.de", "munich.example"]);
    assert_is_for(&both, &[("munich.de", true), ("sip.munich.de", false), ("munich.example", false)]);
    let only_dns = naming(&["munich.de", "munich.example"]);
    assert_is_for(&only_dns, &[("munich.de", true), ("munich.example", true), ("munich.net", false)]);
    let two_uris = naming(&["sip:munich.de", "sip:leipzig.de"]);
    assert_is_for(&two_uris, &[("munich.de", true), ("leipzig.de", true)]);
}

/// SEC-004: a certificate for the host that SRV led to is none for the domain, and the other way round.
#[test]
fn a_target_is_not_its_domain() {
    assert_is_for(&naming(&["host.other.net"]), &[("example.com", false), ("host.other.net", true)]);
    assert_is_for(&naming(&["example.com"]), &[("example.com", true), ("host.other.net", false)]);
}

/// SEC-006: neither a URI with a user part nor one of another scheme is a domain; DNS names count beside them. So it is with
/// a URI that has a port, while parameters take nothing away.
#[test]
fn only_a_sip_uri_without_a_user_is_a_domain() {
    for other in [
        "sip:bob@munich.de",
        "sip:bob:secret@munich.de",
        "sip:@munich.de",
        "sip:bob;day=tuesday@munich.de",
        "sips:munich.de",
        "https://munich.de",
        "https:munich.de",
        "tel:+4989",
        "sip:munich.de:5061",
        "sip:munich.de:",
        "sip://munich.de",
        "sip:",
        "sip:;transport=tls",
        "im:munich.de",
        "urn:sip:munich.de",
    ] {
        assert_is_for(&naming(&[other]), &[("munich.de", false), ("", false)]);
        let beside = naming(&[other, "leipzig.de"]);
        assert_is_for(&beside, &[("munich.de", false), ("leipzig.de", true)]);
    }
    for same in ["sip:munich.de", "SIP:munich.de", "sip:munich.de;transport=tls", "sip:munich.de?a=b"] {
        assert_is_for(&naming(&[same, "leipzig.de"]), &[("munich.de", true), ("leipzig.de", false)]);
    }
}

/// SEC-007: the common name counts only where there is no alternative name, of whatever kind.
#[test]
fn a_common_name_is_the_last_resort() {
    assert_is_for(&of("munich.de", &[]), &[("munich.de", true), ("MUNICH.DE", true), ("leipzig.de", false)]);
    assert_is_for(&of("munich.de", &["leipzig.de"]), &[("munich.de", false), ("leipzig.de", true)]);
    for other in ["sip:leipzig.de", "sip:bob@munich.de", "https://munich.de", "192.0.2.1"] {
        assert_is_for(&of("munich.de", &[other]), &[("munich.de", false)]);
    }
    // As with an e-mail address alone.
    let certificate = Certificate { has_alternatives: true, ..of("munich.de", &[]) };
    assert_is_for(&certificate, &[("munich.de", false)]);
    assert_is_for(&naming(&[]), &[("munich.de", false)]);
}

/// SEC-008, SEC-009: names are compared whole and in any case, a dot at the end aside.
#[test]
fn names_are_compared_whole() {
    for names in [["EXAMPLE.com"], ["sip:EXAMPLE.com"], ["example.com."], ["sip:example.COM."]] {
        let cases = [
            ("example.com", true),
            ("Example.COM", true),
            ("example.com.", true),
            ("foo.example.com", false),
            ("fooexample.com", false),
            ("com", false),
            ("example.com.de", false),
            ("example.co", false),
            (".example.com", false),
            ("example.com..", false),
        ];
        assert_is_for(&naming(&names), &cases);
    }
    assert_is_for(&naming(&["foo.example.com"]), &[("example.com", false), ("foo.example.com", true)]);
    assert_is_for(&naming(&[".example.com"]), &[("example.com", false), ("foo.example.com", false)]);
}

/// SEC-010: a wildcard matches nothing; where the user wants it, exactly one label, as the leftmost one and whole.
#[test]
fn wildcards_match_one_label_where_they_are_wanted() {
    let certificates = [naming(&["*.example.com"]), naming(&["sip:*.example.com"]), of("*.example.com", &[])];
    for certificate in certificates {
        for (name, accepted) in [
            ("foo.example.com", true),
            ("FOO.Example.com", true),
            ("foo.example.com.", true),
            ("example.com", false),
            (".example.com", false),
            ("a.foo.example.com", false),
            ("foo.example.net", false),
            ("fooexample.com", false),
        ] {
            assert!(!certificate.is_for(name, Wildcards::Refused), "{name}");
            assert_eq!(certificate.is_for(name, Wildcards::Accepted), accepted, "{name} of {certificate:?}");
        }
    }
    for pattern in ["f*.example.com", "*o.example.com", "foo.*.com", "*", "*.*.com", "**.example.com"] {
        assert!(!naming(&[pattern]).is_for("foo.example.com", Wildcards::Accepted), "{pattern}");
    }
    assert!(!naming(&["*.0.2.1"]).is_for("192.0.2.1", Wildcards::Accepted));
    assert!(naming(&["example.com"]).is_for("example.com", Wildcards::Accepted));
}

/// SEC-014: an address is compared with the addresses of the certificate, and with nothing else.
#[test]
fn addresses_are_compared_with_addresses() {
    let certificate = naming(&["192.0.2.1", "2001:db8::1"]);
    let cases = [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.2", false),
        ("2001:db8::1", true),
        ("2001:DB8:0:0::1", true),
        ("2001:db8::2", false),
        ("[2001:db8::1]", false),
        ("munich.de", false),
    ];
    assert_is_for(&certificate, &cases);
    assert_is_for(&naming(&["sip:munich.de", "192.0.2.1"]), &[("192.0.2.1", true), ("munich.de", true)]);
    assert_is_for(&naming(&["sip:192.0.2.1"]), &[("192.0.2.1", false)]);
    assert_is_for(&of("192.0.2.1", &[]), &[("192.0.2.1", false)]);
    let host = Certificate { hosts: vec!["192.0.2.1".to_owned()], ..naming(&["munich.de"]) };
    assert_is_for(&host, &[("192.0.2.1", false)]);
}

/// The names that are told are those that count, and the addresses.
#[test]
fn the_names_that_count_are_told() {
    for (certificate, names) in [
        (of("cn.de", &["sip:munich.de;a=b", "sip:bob@munich.de", "leipzig.de"]), &["munich.de"][..]),
        (of("cn.de", &["sip:bob@munich.de", "leipzig.de", "a.de"]), &["leipzig.de", "a.de"]),
        (of("cn.de", &[]), &["cn.de"]),
        (of("cn.de", &["2001:DB8::1", "192.0.2.1"]), &["2001:db8::1", "192.0.2.1"]),
        (of("cn.de", &["192.0.2.1", "sip:munich.de"]), &["munich.de", "192.0.2.1"]),
        (naming(&[]), &[]),
    ] {
        assert_eq!(certificate.names(), names, "{certificate:?}");
        for name in names {
            assert!(certificate.is_for(name, Wildcards::Refused), "{name}");
        }
    }
}

/// SEC-026: a certificate is for the users whose addresses it has, and for a bounded number of them.
#[test]
fn users_are_the_uris_with_a_user() {
    let certificate = naming(&[
        "sip:munich.de",
        "sip:bob@munich.de",
        "SIPS:alice@munich.de",
        "https://carol@munich.de",
        "mailto:dave@munich.de",
        "sip:@munich.de",
        "sip:a b@munich.de",
        "erin@munich.de",
    ]);
    let users: Vec<String> = certificate.users().iter().map(|user| user.to_string()).collect();
    assert_eq!(users, ["sip:bob@munich.de", "sips:alice@munich.de"]);
    let many: Vec<String> = (0..100).map(|n| format!("sip:user{n}@munich.de")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(naming(&many).users().len(), MOST_USERS);
    assert!(of("bob", &["munich.de"]).users().is_empty());
}
