//! One line per spelling: what is typed, and what is meant.

mod network;

use std::ffi::OsString;

use clap::Parser;

use super::*;
use crate::cli::options::{Args, Command};
use crate::proto::locate::Families;
use crate::sip::AnyUri;

const AOR: &str = "sip:bob@munich.de";

fn account(arguments: &[&str], password: Option<&str>) -> Result<Account, UsageError> {
    let line = ["sipreg", "register"].iter().chain(arguments).map(OsString::from);
    let environment = Environment { password: password.map(OsString::from), ..Environment::default() };
    match Args::try_parse_from(line) {
        Ok(Args { command: Command::Register(args) }) => {
            Account::resolve((*args.0).into(), &environment).map_err(|refused| refused.1)
        }
        Ok(Args { .. }) => unreachable!(),
        Err(error) => Err(crate::cli::usage::from_clap(&error, None)),
    }
}

fn plan(arguments: &[&str]) -> Plan {
    match account(arguments, None) {
        Ok(account) => account.plan,
        Err(error) => panic!("{arguments:?}: {error:?}"),
    }
}

fn plan_with(arguments: &[&str]) -> Plan {
    plan(&[&[AOR], arguments].concat())
}

/// The complaint, which names what it is about.
fn complaint(arguments: &[&str]) -> String {
    match account(arguments, None) {
        Ok(_) => panic!("{arguments:?} was taken"),
        Err(error) => format!("{} / {}", error.message(), error.hint.unwrap_or_default()),
    }
}

fn complaint_with(arguments: &[&str]) -> String {
    complaint(&[&[AOR], arguments].concat())
}

/// REQ-004, REQ-005, REQ-010: To keeps scheme, user and host; port and transport go into the Request-URI.
#[test]
fn an_aor_is_taken_apart() {
    for (text, aor, registrar) in [
        ("sip:bob@munich.de", "sip:bob@munich.de", "sip:munich.de"),
        ("bob@munich.de", "sip:bob@munich.de", "sip:munich.de"),
        ("SIP:bob@munich.de", "sip:bob@munich.de", "sip:munich.de"),
        ("sip:bob@munich.de:5070", "sip:bob@munich.de", "sip:munich.de:5070"),
        ("bob@munich.de:5070;transport=tcp", "sip:bob@munich.de", "sip:munich.de:5070;transport=tcp"),
        ("sip:bob@[::1]:5060", "sip:bob@[::1]", "sip:[::1]:5060"),
        ("bob@[::1]:5060", "sip:bob@[::1]", "sip:[::1]:5060"),
        ("sip:bob@192.0.2.1", "sip:bob@192.0.2.1", "sip:192.0.2.1"),
        (
            "sip:+49-89-1234;ext=5@munich.de;user=phone",
            "sip:+49-89-1234;ext=5@munich.de;user=phone",
            "sip:munich.de",
        ),
        ("sip:%62ob@munich.de", "sip:%62ob@munich.de", "sip:munich.de"),
        (
            "sip:bob@munich.de;maddr=192.0.2.9;ttl=1;lr;method=INVITE?Subject=x",
            "sip:bob@munich.de",
            "sip:munich.de",
        ),
    ] {
        let plan = plan(&[text]);
        assert_eq!(
            (plan.aor.to_string(), plan.registrar.to_string()),
            (aor.into(), registrar.into()),
            "{text}"
        );
    }
}

/// HDR-011: neither spelled out nor escaped does a line end get into a user name.
#[test]
fn what_is_no_aor_is_refused() {
    for (text, said) in [
        ("tel:+4989", "tel:"),
        ("mailto:bob@munich.de", "mailto:"),
        ("http://munich.de/@bob", "http:"),
        ("sip:munich.de", "no user part"),
        ("work", "has no @"),
        ("", "is empty"),
        ("sip:bob@", "not a SIP URI"),
        ("sip:@munich.de", "not a SIP URI"),
        ("sip:bob@munich.de:99999", "port"),
        ("sip:bo b@munich.de", "not a SIP URI"),
        ("<sip:bob@munich.de>", "not a SIP URI"),
        ("sip:bob@munich.de;transport=sctp", "sctp"),
        ("sip:bob%0D%0AX@munich.de", "--username"),
        ("sip:bob\r\nX@munich.de", "not a SIP URI"),
    ] {
        let complaint = complaint(&[text]);
        assert!(complaint.contains(said), "{text}: {complaint}");
    }
    for text in ["sip:bob:hunter2@munich.de", "bob:hunter2@munich.de", "sip:bob:hun@ter2@munich.de"] {
        let complaint = complaint(&[text]);
        assert!(!complaint.contains("ter2") && complaint.contains("***"), "{complaint}");
    }
}

#[test]
fn registrars_and_proxies_are_uris_or_hosts() {
    for (text, registrar, proxy) in [
        ("192.0.2.1", "sip:192.0.2.1", "sip:192.0.2.1;lr"),
        ("192.0.2.1:5070", "sip:192.0.2.1:5070", "sip:192.0.2.1:5070;lr"),
        ("localhost:5070", "sip:localhost:5070", "sip:localhost:5070;lr"),
        ("::1", "sip:[::1]", "sip:[::1];lr"),
        ("[::1]:5070", "sip:[::1]:5070", "sip:[::1]:5070;lr"),
        (
            "sip:x@munich.de:5070;transport=tcp?Subject=y",
            "sip:munich.de:5070;transport=tcp",
            "sip:x@munich.de:5070;transport=tcp;lr",
        ),
        ("munich.de;transport=tcp", "sip:munich.de;transport=tcp", "sip:munich.de;transport=tcp;lr"),
        ("sip:munich.de;lr", "sip:munich.de;lr", "sip:munich.de;lr"),
    ] {
        assert_eq!(plan_with(&["--registrar", text]).registrar.to_string(), registrar, "{text}");
        assert_eq!(plan_with(&["--proxy", text]).route[0].to_string(), proxy, "{text}");
    }
    let two = plan_with(&["--proxy", "p1", "--proxy", "p2:5070"]).route;
    assert_eq!(two.iter().map(Uri::to_string).collect::<Vec<_>>(), ["sip:p1;lr", "sip:p2:5070;lr"]);
    for text in ["", "tel:1", "http://munich.de", "mun ich", "sip:", "munich.de:0x1", "munich.de:99999"] {
        for option in ["--registrar", "--proxy"] {
            assert!(complaint_with(&[option, text]).contains(option), "{text}");
        }
    }
}

/// A transport that can't be served is refused where it decides: at the next hop, unless the user overrides it.
#[test]
fn transports_of_the_next_hop() {
    assert_eq!(plan_with(&["--transport", "TCP"]).transport, Some(Transport::Tcp));
    assert_eq!(plan_with(&["--transport", "wss"]).transport, Some(Transport::Wss));
    assert!(complaint_with(&["--transport", "sctp"]).contains("udp, tcp, tls, ws, wss"));
    assert!(complaint_with(&["--registrar", "sip:munich.de;transport=sctp"]).contains("sctp"));
    assert!(complaint_with(&["--proxy", "sip:p;transport=sctp"]).contains("sctp"));
    plan_with(&["--proxy", "sip:p;transport=tls"]);
    plan_with(&["--registrar", "sip:munich.de;transport=sctp", "--proxy", "p"]);
    plan_with(&["--registrar", "sip:munich.de;transport=sctp", "--transport", "udp"]);
}

/// SEC-019, SEC-020, SEC-023: what is `sips:` stays so on its whole way, whatever is typed.
#[test]
fn sips_is_never_less_than_that() {
    for (arguments, registrar, route) in [
        (&["sips:bob@munich.de"][..], "sips:munich.de", ""),
        (&["sips:bob@munich.de:5071;transport=tcp"], "sips:munich.de:5071;transport=tcp", ""),
        (&["sips:bob@munich.de;transport=tls"], "sips:munich.de", ""),
        (&["sips:bob@munich.de;transport=wss"], "sips:munich.de;transport=ws", ""),
        (&["sips:bob@munich.de", "--registrar", "192.0.2.1:5071"], "sips:192.0.2.1:5071", ""),
        (&["sips:bob@munich.de", "--registrar", "sip:192.0.2.1;transport=tls"], "sips:192.0.2.1", ""),
        (&["sips:bob@munich.de", "--proxy", "p", "--transport", "wss"], "sips:munich.de", "sips:p;lr"),
        (&["bob@munich.de", "--registrar", "sips:munich.de", "--proxy", "p"], "sips:munich.de", "sips:p;lr"),
        (&["bob@munich.de", "--proxy", "sips:p"], "sip:munich.de", "sips:p;lr"),
    ] {
        let plan = plan(arguments);
        let hops: String = plan.route.iter().map(Uri::to_string).collect();
        assert_eq!((plan.registrar.to_string(), hops), (registrar.into(), route.into()), "{arguments:?}");
    }
    for transport in ["udp", "tcp", "ws"] {
        for arguments in [
            &["sips:bob@munich.de", "--transport", transport][..],
            &["bob@munich.de", "--registrar", "sips:munich.de", "--transport", transport],
            &["bob@munich.de", "--proxy", "sips:p", "--transport", transport],
        ] {
            let complaint = complaint(arguments);
            assert!(complaint.contains("--transport") && complaint.contains("TLS"), "{complaint}");
        }
    }
    assert!(complaint(&["sips:bob@munich.de;transport=UDP"]).contains("AOR"));
    assert!(complaint_with(&["--proxy", "sips:p;transport=udp"]).contains("--proxy"));
}

#[test]
fn the_user_name_is_told_or_taken_from_who_registers() {
    for (arguments, from, username) in [
        (&[][..], None, "bob"),
        (&["--from", "sip:office@munich.de:5070;transport=tcp"], Some("sip:office@munich.de"), "office"),
        (&["--from", "office@munich.de"], Some("sip:office@munich.de"), "office"),
        (&["-u", "b:ob\"x"], None, "b:ob\"x"),
        (&["--from", "office@munich.de", "--username", "x"], Some("sip:office@munich.de"), "x"),
    ] {
        let account = account(&[&[AOR], arguments].concat(), Some("secret")).ok().unwrap();
        assert_eq!(account.username, username);
        assert_eq!(account.plan.from.map(|uri| uri.to_string()).as_deref(), from);
    }
    assert_eq!(account(&["sip:w%65rner%2Fx@munich.de"], None).ok().unwrap().username, "werner/x");
    assert!(complaint_with(&["--from", "munich.de"]).contains("--from"));
    assert!(complaint_with(&["-u", ""]).contains("--username"));
    assert!(complaint_with(&["-u", "a\r\nb"]).contains("--username"));
}

/// The command line beats the environment, and two secrets on the command line are one too many.
#[test]
fn of_all_secrets_the_command_lines_counts_first() {
    let secret = |arguments: &[&str], environment| {
        let mut account = account(&[&[AOR], arguments].concat(), environment).ok().unwrap();
        account.secret().map(|source| {
            format!(
                "{:?}",
                source.read().map(|secret| match secret {
                    Secret::Password(password) => password.reveal().to_owned(),
                    Secret::Ha1 { hex, .. } => hex.reveal().to_owned(),
                })
            )
        })
    };
    assert_eq!(secret(&[], None), None);
    assert_eq!(secret(&[], Some("")), None);
    assert_eq!(secret(&[], Some("env")).unwrap(), "Ok(\"env\")");
    assert_eq!(secret(&["--password", "line"], Some("env")).unwrap(), "Ok(\"line\")");
    assert_eq!(secret(&["--password", "-dash"], None).unwrap(), "Ok(\"-dash\")");
    let hex = "939e7578ed9e3c518a452acee763bce9";
    assert_eq!(secret(&["--ha1", hex], Some("env")).unwrap(), format!("Ok(\"{hex}\")"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "filed\r\nother").unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(secret(&["--password-file", path], Some("env")).unwrap(), "Ok(\"filed\")");
    for pair in [
        ["--password", "hunter2", "--password", "hunter2"],
        ["--password", "hunter2", "--ha1", "hunter2"],
        ["--password", "hunter2", "--password-file", "x"],
        ["--ha1", "hunter2", "--ha1-file", "x"],
        ["--password-file", "x", "--ha1-file", "x"],
        ["--password-file", "x", "--password-file", "x"],
    ] {
        assert!(!complaint_with(&pair).contains("hunter2"));
    }
    assert!(!complaint_with(&["--ha1", "hunter2"]).contains("hunter2"));
}

#[test]
fn realm_and_weakest_algorithm_are_taken_as_told() {
    assert_eq!(plan_with(&[]).keyring.minimum, Algorithm::Md5);
    for (text, algorithm) in
        [("md5", Algorithm::Md5), ("sha-256", Algorithm::Sha256), ("SHA-512-256", Algorithm::Sha512_256)]
    {
        assert_eq!(plan_with(&["--min-algorithm", text]).keyring.minimum, algorithm);
    }
    assert!(complaint_with(&["--min-algorithm", "SHA1"]).contains("SHA-512-256"));
    assert_eq!(plan_with(&["--realm", "munich.de"]).keyring.realm.as_deref(), Some("munich.de"));
    assert!(complaint_with(&["--realm", "a\nb"]).contains("--realm"));
}

/// A bare URI keeps its parameters; after brackets they are the Contact's. HDR-011: no line end in a display name.
/// REQ-026: `lr` and `method` are not bound; what somebody else bound with them can be removed.
#[test]
fn contacts_are_taken_as_typed_and_odd_ones_refused() {
    for (text, wire) in [
        ("sip:bob@192.0.2.7:5060;transport=tcp", "<sip:bob@192.0.2.7:5060;transport=tcp>"),
        ("<sip:bob@192.0.2.7>;q=0.5;expires=60", "<sip:bob@192.0.2.7>;q=0.5;expires=60"),
        ("\"Bob, desk\" <sip:bob@192.0.2.7>", "\"Bob, desk\" <sip:bob@192.0.2.7>"),
        (
            "<sip:bob@192.0.2.7>;+sip.instance=\"<urn:uuid:1>\"",
            "<sip:bob@192.0.2.7>;+sip.instance=\"<urn:uuid:1>\"",
        ),
        ("mailto:bob@munich.de", "<mailto:bob@munich.de>"),
        ("tel:+4989", "<tel:+4989>"),
        ("sips:bob@192.0.2.7", "<sips:bob@192.0.2.7>"),
    ] {
        let plan = plan_with(&["-c", text]);
        assert_eq!(plan.contacts[0].to_string(), wire, "{text}");
    }
    assert!(matches!(plan_with(&["-c", "mailto:b@m"]).contacts[0].uri, AnyUri::Other(_)));
    assert_eq!(plan_with(&["-c", "sip:a@h", "-c", "sip:b@h"]).contacts.len(), 2);
    for (text, said) in [
        ("*", "every device"),
        ("<*>", "not a contact"),
        ("bob", "not a contact"),
        ("", "not a contact"),
        ("sip:b@h\r\nX: y", "control character"),
        ("\"B\nb\" <sip:b@h>", "control character"),
        ("<sip:b@h", "not a contact"),
        ("<sip:b@h>;expires=soon", "expires"),
        ("<sip:b@h>;expires=4294967296", "expires"),
        ("<sip:b@h>;q=2", "q that"),
        ("sip:b@h;LR", "lr parameter"),
        ("<sip:b@h;method=INVITE>", "method parameter"),
    ] {
        let complaint = complaint_with(&["--contact", text]);
        assert!(complaint.contains(said) && complaint.contains("--contact"), "{text}: {complaint}");
    }
    assert!(complaint_with(&["-c", "sip:a@h", "-c", "sip:%61@H"]).contains("twice"));
    assert_eq!(plan_with(&["-c", "sip:b@h;lr", "-e", "0"]).contacts.len(), 1);
}

#[test]
fn lifetimes_are_whole_seconds_in_any_spelling() {
    for (text, seconds) in [
        ("3600", 3600),
        ("1h", 3600),
        ("90s", 90),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("1", 1),
        ("4294967295", u32::MAX),
        ("2000ms", 2),
    ] {
        assert_eq!(plan_with(&["-e", text]).purpose, Purpose::Bind { expires: Some(seconds) }, "{text}");
    }
    assert_eq!(plan_with(&[]).purpose, Purpose::Bind { expires: Some(3600) });
    for text in [
        "4294967296",
        "200y",
        "-5",
        "",
        "soon",
        "1500ms",
        "0.5s",
        "1 banana",
        "99999999999999999999999",
        "+5",
    ] {
        assert!(complaint_with(&["-e", text]).contains("--expires"), "{text}");
    }
}

/// `-e 0` removes; without a contact there is nothing to remove.
#[test]
fn a_lifetime_of_zero_removes() {
    let contact = "sip:bob@192.0.2.7";
    for zero in ["0", "0s"] {
        assert_eq!(plan_with(&["-e", zero, "-c", contact]).purpose, Purpose::Remove);
        assert!(complaint_with(&["-e", zero]).contains("--contact"));
    }
    let kept = ["-e", "0", "-c", contact, "-c", "<sip:bob@192.0.2.8>;expires=60"];
    assert_eq!(plan_with(&kept).purpose, Purpose::Bind { expires: Some(0) });
    assert_eq!(plan_with(&["-e", "0", "-c", "<sip:bob@192.0.2.8>;expires=0"]).purpose, Purpose::Remove);
}

#[test]
fn a_preference_is_0_to_1_with_three_decimals() {
    for (text, thousandths) in [("0", 0), ("1", 1000), ("0.5", 500), ("0.125", 125), ("1.000", 1000)] {
        assert_eq!(plan_with(&["--q", text]).q.map(Q::thousandths), Some(thousandths));
    }
    assert!(plan_with(&[]).q.is_none());
    for text in ["1.1", "-0.5", "0.1234", ".5", "", "half", "2", "1.001", "00.5.1"] {
        assert!(complaint_with(&["--q", text]).contains("--q"), "{text}");
    }
}

/// DES-032, HDR-017, REQ-038: users add headers, but none that the protocol owns, and none that breaks out of its line.
#[test]
fn headers_can_be_added_but_not_those_the_protocol_owns() {
    let headers =
        plan_with(&["-H", "X-Tenant: 42", "-H", "P-Preferred-Identity:<sip:b@m>", "-H", "X-Empty:"]).headers;
    let rows: Vec<_> = headers
        .iter()
        .map(|header| format!("{}={}", header.name().as_str(), String::from_utf8_lossy(header.value())))
        .collect();
    assert_eq!(rows, ["X-Tenant=42", "P-Preferred-Identity=<sip:b@m>", "X-Empty="]);
    let owned = "Via v From f To T Call-ID i CSeq Contact m Max-Forwards Content-Length l Expires Route \
        Supported k Authorization proxy-authorization User-Agent Content-Type c Record-Route Subject s \
        Priority Reply-To In-Reply-To Alert-Info WWW-Authenticate VIA";
    for name in owned.split(' ') {
        let complaint = complaint_with(&["-H", &format!("{name}: secret")]);
        assert!(complaint.contains("--header") && !complaint.contains("secret"), "{complaint}");
    }
    for text in ["secret", ": secret", "X Y: secret", "X: a\r\nVia: secret", "X: a\0secret", "X\r\n: secret"]
    {
        let complaint = complaint_with(&["-H", text]);
        assert!(complaint.contains("--header") && !complaint.contains("secret"), "{complaint}");
    }
}

#[test]
fn the_user_agent_can_be_changed_or_left_out() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(plan_with(&[]).user_agent, Some(format!("sipreg/{version}").into()));
    assert_eq!(plan_with(&["--user-agent", "Desk 1"]).user_agent.as_deref(), Some("Desk 1"));
    assert_eq!(plan_with(&["--user-agent", "none"]).user_agent, None);
    for text in ["", "a\r\nb", "a\0b"] {
        assert!(complaint_with(&["--user-agent", text]).contains("--user-agent"));
    }
}
