//! Our own side of the network, and how long we wait for the other.

use super::*;

#[test]
fn local_addresses_limit_the_family_they_are_of() {
    let net = |arguments: &[&str]| account(&[&[AOR], arguments].concat(), None).ok().unwrap();
    for (text, ip, port, families) in [
        ("192.0.2.7", "192.0.2.7", None, Families::V4),
        ("192.0.2.7:5070", "192.0.2.7", Some(5070), Families::V4),
        ("192.0.2.7:0", "192.0.2.7", None, Families::V4),
        ("::1", "::1", None, Families::V6),
        ("[::1]", "::1", None, Families::V6),
        ("[::1]:5070", "::1", Some(5070), Families::V6),
    ] {
        let account = net(&["--bind", text]);
        assert_eq!(account.net.bind, Some((ip.parse().unwrap(), port)), "{text}");
        assert_eq!(account.plan.families, families);
    }
    assert_eq!(net(&["-4"]).plan.families, Families::V4);
    assert_eq!(net(&["-6"]).plan.families, Families::V6);
    assert_eq!(net(&[]).plan.families, Families::Both);
    for arguments in [&["-4", "-6"][..], &["-4", "--bind", "::1"], &["-6", "--bind", "127.0.0.1"]] {
        complaint_with(arguments);
    }
    for text in ["", "munich.de", "1.2.3", "1.2.3.4:99999", "[::1", "::1:5060:x", "1.2.3.4:"] {
        assert!(complaint_with(&["--bind", text]).contains("--bind"), "{text}");
        assert!(complaint_with(&["--nameserver", text]).contains("--nameserver"), "{text}");
    }
    let servers = net(&["--nameserver", "192.0.2.53", "--nameserver", "[::1]:5353"]).net.nameservers;
    assert_eq!(servers, ["192.0.2.53:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
}

/// Names with letters beyond ASCII go into requests as A-labels (RFC 5891 §4.4), wherever they are typed.
#[test]
fn a_domain_is_sent_and_asked_for_in_a_labels() {
    let plan = account(
        &[
            "sip:Wérner@münchen.de".replace('é', "%C3%A9").as_str(),
            "--registrar",
            "MÜNCHEN.de:5070;transport=tcp",
            "--proxy",
            "sip:sip.bücher.example",
            "--resolve",
            "bücher.example:5060:192.0.2.7",
        ],
        None,
    )
    .ok()
    .unwrap()
    .plan;
    assert_eq!(plan.aor.to_string(), "sip:W%C3%A9rner@xn--mnchen-3ya.de");
    assert_eq!(plan.registrar.to_string(), "sip:xn--mnchen-3ya.de:5070;transport=tcp");
    assert_eq!(plan.route[0].to_string(), "sip:sip.xn--bcher-kva.example;lr");
    assert_eq!(plan.pinned[0].host, "xn--bcher-kva.example");
}

/// The address of a host at one port: as curl has it, and IPv6 in brackets.
#[test]
fn an_address_takes_the_place_of_what_the_name_service_says() {
    let pinned = |text: &str| {
        let plan = account(&[AOR, "--resolve", text], None).ok().unwrap().plan;
        plan.pinned.iter().map(|p| format!("{} {} {}", p.host, p.port, p.address)).collect::<Vec<_>>()
    };
    assert_eq!(pinned("sip1.munich.de:5060:192.0.2.7"), ["sip1.munich.de 5060 192.0.2.7"]);
    assert_eq!(pinned("sip1.munich.de:5080:[2001:db8::7]"), ["sip1.munich.de 5080 2001:db8::7"]);
    assert_eq!(pinned("sip1.munich.de:5080:2001:db8::7"), ["sip1.munich.de 5080 2001:db8::7"]);
    for text in [
        "",
        "munich.de",
        "munich.de:5060",
        "munich.de:5060:",
        "munich.de:0:192.0.2.7",
        "munich.de:x:192.0.2.7",
        "munich.de:+5:192.0.2.7",
        "munich.de:70000:192.0.2.7",
        "munich.de:5060:munich.de",
        "munich.de:5060:[192.0.2.7]",
        "munich.de:5060:[2001:db8::7",
        ":5060:192.0.2.7",
        "192.0.2.1:5060:192.0.2.7",
    ] {
        assert!(complaint_with(&["--resolve", text]).contains("--resolve"), "{text}");
    }
}

/// An interface is named behind a link-local address, by its name or number, and goes no further than the plan; `lo`
/// is there on every Linux (RFC 4007 §11, RFC 6874 §2).
#[test]
#[cfg(target_os = "linux")]
fn a_zone_is_kept_out_of_the_uri() {
    let net = |arguments: &[&str]| account(&[&[AOR], arguments].concat(), None).ok().unwrap();
    for text in ["[fe80::1%lo]:5070", "[fe80::1%25lo]:5070", "[fe80::1%1]:5070", "sip:[fe80::1%lo]:5070"] {
        let plan = net(&["--registrar", text]).plan;
        assert_eq!(
            (plan.registrar.to_string().as_str(), plan.zone),
            ("sip:[fe80::1]:5070", Some(1)),
            "{text}"
        );
        let plan = net(&["--proxy", text]).plan;
        assert_eq!(
            (plan.route[0].to_string().as_str(), plan.zone),
            ("sip:[fe80::1]:5070;lr", Some(1)),
            "{text}"
        );
    }
    assert_eq!(net(&["--registrar", "fe80::1%lo"]).plan.registrar.to_string(), "sip:[fe80::1]");
    assert_eq!(net(&["--registrar", "[fe80::1]", "--bind", "fe80::2%lo"]).plan.zone, Some(1));
    // The next hop's counts.
    let proxied = ["--registrar", "[fe80::1%7]", "--proxy", "[fe80::2%lo]"];
    assert_eq!(net(&proxied).plan.zone, Some(1));
    for (arguments, expected) in [
        (&["--registrar", "[fe80::1%nosuchif]"][..], "the interface \"nosuchif\""),
        (&["--registrar", "[fe80::1%]"], "the interface \"\""),
        (&["--registrar", "[fe80::1%0]"], "the interface \"0\""),
        (&["--registrar", "[fe80::1]"], "'[fe80::1%eth0]'"),
        (&["--proxy", "fe80::1"], "'[fe80::1%eth0]'"),
        (&["--nameserver", "fe80::1%lo"], "names an interface"),
        (&["--contact", "sip:w@[fe80::1%lo]"], "--contact"),
        (&["--advertise", "fe80::1%lo"], "--advertise"),
    ] {
        let complaint = complaint_with(arguments);
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn an_advertised_address_may_leave_out_its_port() {
    for (text, host, port) in [
        ("phone.example.com", "phone.example.com", None),
        ("198.51.100.7:40512", "198.51.100.7", Some(40512)),
        ("2001:db8::7", "[2001:db8::7]", None),
        ("[2001:db8::7]:5060", "[2001:db8::7]", Some(5060)),
    ] {
        let (said, at) = *plan_with(&["--advertise", text]).advertise.unwrap();
        assert_eq!((said.to_string().as_str(), at), (host, port));
    }
    for text in ["", "0.0.0.0", "::", "h:0", "h:x", "h:", "a b"] {
        assert!(complaint_with(&["--advertise", text]).contains("--advertise"), "{text}");
    }
}

#[test]
fn t1_and_timeout_take_durations_and_bare_seconds() {
    let plan = plan_with(&[]);
    assert_eq!((plan.timing, plan.try_limit), (Timing::default(), Duration::from_secs(128)));
    let quick = plan_with(&["--t1", "20ms"]);
    assert_eq!((quick.timing.t1, quick.try_limit), (Duration::from_millis(20), Duration::from_millis(5120)));
    assert_eq!(plan_with(&["--t1", "1", "--timeout", "2500ms"]).try_limit, Duration::from_millis(2500));
    assert_eq!(plan_with(&["--timeout", "5"]).try_limit, Duration::from_secs(5));
    for option in ["--t1", "--timeout"] {
        for text in ["0", "0s", "", "-1", "fast", "1ns", "99999999999999999999999"] {
            assert!(complaint_with(&[option, text]).contains(option), "{text}");
        }
    }
    plan_with(&["--t1", "18446744073709551615"]);
}
