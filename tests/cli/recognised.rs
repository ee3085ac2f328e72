//! Contacts that a registrar spells in its own way, moves, hides or forgets; and what is remembered of them.

use std::path::Path;

use crate::registrar::{Answer, Registrar, Request, ask, must};
use crate::run::Ran;

/// Both transports, with the option for each.
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

fn over(transport: &str, script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static) -> Registrar {
    match transport {
        "udp" => Registrar::udp(script),
        _ => Registrar::tcp(script),
    }
}

fn run(registrar: &Registrar, transport: &str, state: &Path, words: &[&str]) -> Ran {
    ask(&registrar.address, state, &[words, &["--transport", transport]].concat())
}

/// What was asked to be bound or removed, as it was written.
fn asked(request: &Request) -> String {
    request.header("Contact").trim_matches(['<', '>']).to_owned()
}

/// DES-020 REG-004 URI-012: what is added without saying anything new makes no difference to any command, and another port
/// or transport does.
#[test]
fn every_command_recognises_a_contact_in_the_same_way() {
    const NAMED: &str = "sip:desk@192.0.2.7";
    for (named, listed, is_same) in [
        (NAMED, "sip:desk@192.0.2.7:5060", true),
        (NAMED, "sip:desk@192.0.2.7;transport=udp", true),
        (NAMED, "SIP:%64esk@192.0.2.7:5060;transport=UDP;ob", true),
        ("sip:desk@192.0.2.7:5060;transport=udp", NAMED, true),
        ("sip:desk@192.0.2.7;transport=tcp", "sip:desk@192.0.2.7:5060;transport=tcp", true),
        ("sips:desk@192.0.2.7", "sips:desk@192.0.2.7:5061", true),
        (NAMED, "sip:desk@192.0.2.7:5061", false),
        (NAMED, "sip:desk@192.0.2.7;transport=tcp", false),
        (NAMED, "sips:desk@192.0.2.7", false),
        (NAMED, "sip:Desk@192.0.2.7", false),
    ] {
        for transport in TRANSPORTS {
            let state = tempfile::tempdir().unwrap();
            let row = format!("<{listed}>;expires=600");
            let registrar = over(transport, move |_, request| request.ok(&[&row]));
            let codes = [&["register"][..], &["list"], &["unregister"], &["unregister", "--all", "--yes"]]
                .map(|words| {
                    let contact: &[&str] = if words.len() == 1 { &["--contact", named] } else { &[] };
                    run(&registrar, transport, state.path(), &[words, contact].concat()).code.unwrap()
                });
            let expected = if is_same { [0, 0, 6, 6] } else { [6, 7, 0, 6] };
            assert_eq!(codes, expected, "{named} {listed} {transport}");
        }
    }
}

/// DES-020 REG-010: the own one, too; `unregister` needs no name for it.
#[test]
fn an_own_contact_that_stays_listed_with_what_was_added_is_not_removed() {
    for (transport, added) in [("udp", ";transport=udp"), ("tcp", ";x=1")] {
        let state = tempfile::tempdir().unwrap();
        let mut held = None;
        let registrar = over(transport, move |_, request| {
            let contact = held.get_or_insert_with(|| asked(request)).clone();
            request.ok(&[&format!("<{contact}{added}>;expires=600")])
        });
        assert_eq!(run(&registrar, transport, state.path(), &["register"]).code, Some(0));
        let json = must(&run(&registrar, transport, state.path(), &["list", "--json"]), 0);
        assert_eq!(json["bindings"][0]["own"], true);
        let json = must(&run(&registrar, transport, state.path(), &["unregister", "--json"]), 6);
        assert_eq!(json["error"]["kind"], "misbehaved");
        // And it is still remembered.
        assert_eq!(run(&registrar, transport, state.path(), &["unregister"]).code, Some(6));
    }
}

/// REG-010 COD-002 DES-024: the contact may be bound, whatever the 2xx says of it.
#[test]
fn a_2xx_that_does_not_list_it_has_bound_it_perhaps() {
    for transport in TRANSPORTS {
        for (status, rows) in [
            ("200 OK", &["Contact: <sip:bob@127.0.0.1:9>;expires=3600"][..]),
            ("202 Accepted", &[]),
            ("200 OK", &["Contact: <sip:bro ken"]),
            ("200 OK", &["Contact: *"]),
        ] {
            let state = tempfile::tempdir().unwrap();
            let registrar = over(transport, move |_, request| request.answer(status, rows));
            assert_eq!(run(&registrar, transport, state.path(), &["register"]).code, Some(6));
            let json = must(&run(&registrar, transport, state.path(), &["unregister", "--json"]), 0);
            let came = registrar.requests();
            assert_eq!((json["contact"].as_str().unwrap(), came.len()), (&*asked(&came[0]), 2), "{rows:?}");
            assert_eq!((asked(&came[1]), came[1].header("Expires")), (asked(&came[0]), "0"));
        }
    }
}

/// REG-010 HDR-013: in text, counts and JSON.
#[test]
fn a_binding_without_time_left_is_none() {
    const GONE: &str = "<sip:gone@192.0.2.1>;expires=0";
    for transport in TRANSPORTS {
        let state = tempfile::tempdir().unwrap();
        let registrar = over(transport, |_, request| match request.all("Contact").is_empty() {
            true => request.ok(&[GONE, "<sip:here@192.0.2.2>;expires=60", "<sip:too@192.0.2.1>;expires=00"]),
            false => request.ok(&[GONE, &format!("{};expires=60", request.header("Contact"))]),
        });
        let ran = run(&registrar, transport, state.path(), &["list"]);
        assert!(ran.stdout.contains("has 1 binding\n") && !ran.stdout.contains("192.0.2.1"), "{}", ran.all());
        let json = must(&run(&registrar, transport, state.path(), &["list", "--json"]), 0);
        assert_eq!(json["bindings"].as_array().unwrap().len(), 1, "{json}");
        assert_eq!(json["bindings"][0]["uri"], "sip:here@192.0.2.2");
        let gone = ["list", "--contact", "sip:gone@192.0.2.1", "--json"];
        assert_eq!(must(&run(&registrar, transport, state.path(), &gone), 7)["bindings"], json["bindings"]);
        let ran = run(&registrar, transport, state.path(), &["register"]);
        assert!(ran.code == Some(0) && !ran.stdout.contains("gone"), "{}", ran.all());
        let json = must(&run(&registrar, transport, state.path(), &["register", "--json"]), 0);
        assert_eq!(json["bindings"].as_array().unwrap().len(), 1, "{json}");
    }
}

/// DES-030 HDR-015: a list is called complete only where nothing says that it is not.
#[test]
fn a_list_that_lacks_what_this_device_has_bound_is_not_called_complete() {
    for transport in TRANSPORTS {
        let state = tempfile::tempdir().unwrap();
        let registrar = over(transport, |_, request| match request.all("Contact").is_empty() {
            true => request.ok(&[]),
            false => request.as_asked(),
        });
        let other = ["list", "--contact", "sip:x@192.0.2.1", "--json"];
        let ask = |words: &[&str]| run(&registrar, transport, state.path(), words);
        let hint = |ran: Ran| must(&ran, 7)["error"]["hint"].as_str().unwrap().to_owned();
        assert!(hint(ask(&other)).starts_with("the list is complete"));
        let contact = must(&ask(&["register", "--json"]), 0)["contact"].as_str().unwrap().to_owned();
        let told = format!("sipreg bound {contact} here, and it is not listed");
        let ran = ask(&["list"]);
        assert!(ran.code == Some(0) && ran.stderr.contains(&told), "{}", ran.all());
        assert!(hint(ask(&other)).starts_with(&told));
        assert!(hint(ask(&["list", "--contact", &contact, "--json"])).starts_with(&told));
        // A lease that is over, and one that was given up, is missed by nobody.
        assert_eq!(ask(&["unregister"]).code, Some(0));
        assert!(hint(ask(&other)).starts_with("the list is complete"));
    }
}

/// COD-006 COD-007: what an address in the Request-URI may have to do with it.
#[test]
fn hints_name_what_a_404_and_a_403_may_mean() {
    const PROXY: &str = "--proxy";
    const NOTHING: &str = "some registrars say this when nothing is bound";
    for transport in TRANSPORTS {
        for (status, words, hints) in [
            ("404 Not Found", &["register"][..], &[PROXY][..]),
            ("403 Forbidden", &["register"], &[PROXY]),
            ("403 Forbidden", &["list"], &[PROXY]),
            ("404 Not Found", &["list"], &[NOTHING, PROXY]),
            ("404 Not Found", &["unregister", "--contact", "sip:x@192.0.2.1"], &[NOTHING, PROXY]),
            ("404 Not Found", &["unregister", "--all", "--yes"], &[NOTHING, PROXY]),
            ("404 Not Found", &["register", "-e", "0", "--contact", "sip:x@192.0.2.1"], &[NOTHING, PROXY]),
        ] {
            let state = tempfile::tempdir().unwrap();
            let registrar = over(transport, move |_, request| request.answer(status, &[]));
            let json = must(&run(&registrar, transport, state.path(), &[words, &["--json"]].concat()), 1);
            let said = json["error"]["hint"].as_str().unwrap();
            assert!(hints.iter().all(|hint| said.contains(hint)), "{words:?} {said}");
            // By name, or where the domain is an address as well, it has nothing to do with it.
            let address = registrar.address.clone();
            let by_name = ["--registrar", "sip:munich.de", "--proxy", &address];
            for (aor, way) in [("bob@munich.de", &by_name[..]), ("bob@192.0.2.9", &["--registrar", &address])]
            {
                let (verb, rest) = words.split_first().unwrap();
                let fixed = [verb, aor, "--json", "--stateless", "--transport", transport];
                let ran = crate::run::sipreg(&[&fixed[..], way, rest].concat());
                let json = must(&ran, 1);
                let said = json["error"]["hint"].as_str().unwrap_or_default();
                assert!(!said.contains(PROXY), "{words:?} {said}");
                assert_eq!(said.contains(NOTHING), hints.contains(&NOTHING), "{words:?} {said}");
            }
        }
    }
}

/// DES-024: a request that nobody answered may have bound it, and the refusal of a later one takes nothing back.
#[test]
fn a_refusal_after_silence_leaves_what_may_be_bound_to_unregister() {
    for transport in TRANSPORTS {
        let state = tempfile::tempdir().unwrap();
        let registrar = over(transport, |n, request| match n {
            1 => Vec::new(),
            2 => request.answer("404 Not Found", &[]),
            _ => request.as_asked(),
        });
        let words = ["register", "--t1", "20ms", "--retry-for", "10s"];
        assert_eq!(run(&registrar, transport, state.path(), &words).code, Some(1));
        assert_eq!(run(&registrar, transport, state.path(), &["unregister"]).code, Some(0));
        let came = registrar.requests();
        let removed = came[2].all("Contact").join(" ");
        assert!(removed.contains(&asked(&came[0])) && came[2].header("Expires") == "0", "{removed}");
    }
}
