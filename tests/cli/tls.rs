//! TLS as it is asked for on the command line, and as it is told: the server is the program itself, with certificates that are
//! made here.

use std::io::{BufRead, BufReader, Read, Write};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use serde_json::Value;

use crate::authority::Authority;
#[cfg(unix)]
use crate::keep::keep;
#[cfg(unix)]
use crate::run::wait_until;
use crate::run::{Ran, command, sipreg, with_environment};
use crate::serve::{Server, name};

/// SEC-019, SEC-023: what has no TLS is no way for `sips:`, and nothing is sent.
#[test]
fn sips_and_a_transport_without_tls_are_a_mistake() {
    for transport in ["udp", "tcp", "ws"] {
        let ran = sipreg(&["register", "sips:bob@munich.de", "--transport", transport, "--json"]);
        let object = ran.json();
        assert_eq!((ran.code, &object["error"]["kind"]), (Some(2), &"usage".into()), "{}", ran.all());
        assert!(object["error"]["message"].as_str().unwrap().contains(transport), "{object}");
        assert!(object["error"]["hint"].as_str().unwrap().contains("tls"), "{object}");
    }
}

/// A file that can't be used is named with its option, before anything is sent.
#[test]
fn files_are_named_with_their_option() {
    let authority = Authority::new();
    let (ca, good) = (authority.ca(), authority.signs("good.pem", &["munich.de"]));
    let other = authority.signs("other.pem", &["munich.de"]);
    let text = std::fs::read_to_string(&good).unwrap();
    let (certificate, key) = text.split_at(text.find("-----BEGIN PRIVATE").unwrap());
    let (bare, key) = (authority.write("bare.pem", certificate), authority.write("key.pem", key));
    let junk = authority.write("junk.pem", "junk");
    for (arguments, named) in [
        (&["--tls-ca", "/there/is/none.pem"][..], ["--tls-ca: \"/there/is/none.pem\"", "can't be read"]),
        (&["--tls-ca", "/"], ["--tls-ca: \"/\"", "can't be read"]),
        (&["--tls-ca", &junk], ["--tls-ca: ", "junk.pem\" has no certificate"]),
        (&["--tls-ca", &key], ["--tls-ca: ", "key.pem\" has no certificate"]),
        (&["--tls-cert", &junk], ["--tls-cert: ", "junk.pem\" has no certificate"]),
        (&["--tls-cert", &bare], ["--tls-cert: ", "bare.pem\" holds no private key, and --tls-key"]),
        (&["--tls-cert", &bare, "--tls-key", &junk], ["--tls-key: ", "junk.pem\" has no private key"]),
        (&["--tls-cert", &bare, "--tls-key", &other], ["--tls-key: ", "other.pem\" is not the key of"]),
        (&["--tls-key", &key], ["--tls-key: ", "is the key of no certificate"]),
        (&["--tls-name", "mun ich"], ["--tls-name: \"mun ich\"", "no name"]),
        (&["--ws-path", "ws"], ["--ws-path: \"ws\"", "begin with /"]),
    ] {
        let ran = sipreg(&[&["register", "bob@munich.de", "--dry-run"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?} {}", ran.all());
        assert!(named.iter().all(|words| ran.stderr.contains(words)), "{arguments:?} {}", ran.all());
    }
    for arguments in
        [&["--tls-ca", &ca][..], &["--tls-cert", &good], &["--tls-cert", &bare, "--tls-key", &key]]
    {
        let all = ["register", "bob@munich.de", "--registrar", "127.0.0.1", "--stateless", "--dry-run"];
        let ran = sipreg(&[&all, arguments].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?} {}", ran.all());
    }
}

/// `--tls-insecure` is never silent, wherever it stands, whatever the command and with `--quiet` too.
#[test]
fn a_connection_that_proves_nothing_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[defaults]\ntls_insecure = true\n").unwrap();
    let config = ["--config", config.to_str().unwrap()];
    for (command, more) in [
        ("register", &["--dry-run"][..]),
        ("list", &["--dry-run"]),
        ("unregister", &["--all", "--yes", "--dry-run"]),
        ("keep", &["--for", "10ms", "--timeout", "100ms"]),
        ("keep", &["--for", "10ms", "--timeout", "100ms", "--json"]),
    ] {
        for (insecure, quiet) in
            [&["--tls-insecure"][..], &config].into_iter().flat_map(|it| [(it, &[][..]), (it, &["--quiet"])])
        {
            let all = [command, "bob@munich.de", "--registrar", "127.0.0.1:9", "--stateless"];
            let ran = sipreg(&[&all, more, insecure, quiet].concat());
            let warnings = ran.stderr.matches("warning: --tls-insecure: no certificate is verified").count();
            assert_eq!(warnings, 1, "{command} {insecure:?} {quiet:?} {}", ran.all());
        }
    }
}

/// A server can't listen over TLS without a certificate: the hint says how to make one. An option that no listener has a use
/// for is a mistake, too.
#[test]
fn a_server_without_a_certificate_does_not_begin() {
    let authority = Authority::new();
    let (good, junk) = (authority.signs("good.pem", &["munich.de"]), authority.write("junk.pem", "junk"));
    let tls = ["--listen", "tls:127.0.0.1:0"];
    for (arguments, named) in [
        (&tls[..], ["--listen: \"tls:127.0.0.1:0\" needs a certificate", "openssl req -x509"]),
        (&["--listen", "wss:127.0.0.1:0"], ["--listen: \"wss:127.0.0.1:0\" needs", "openssl req -x509"]),
        (&["--tls-key", &good], ["--tls-key: goes with --tls-cert only", "hint: --tls-cert FILE"]),
        (&["--tls-client-ca", &good], ["--tls-client-ca: goes with --tls-cert only", "hint: "]),
        (&[tls[0], tls[1], "--tls-cert", &junk], ["--tls-cert: ", "junk.pem\" has no certificate"]),
        (&[tls[0], tls[1], "--tls-cert", "/none"], ["--tls-cert: \"/none\"", "can't be read"]),
        (
            &[tls[0], tls[1], "--tls-cert", &good, "--tls-client-ca", &junk],
            ["--tls-client-ca: ", "junk.pem\" has no certificate"],
        ),
        (&["--tls-ca", &junk], ["--tls-ca: ", "junk.pem\" has no certificate"]),
        (&["--ws-origin", "phone.example.com"], ["--ws-origin: ", "https://phone.example.com"]),
        (
            &["--ws-origin", "https://phone.example.com"],
            ["--ws-origin: is for WebSocket, and --listen names no ws: or wss:", "hint: --listen ws:"],
        ),
        (
            &[tls[0], tls[1], "--tls-cert", &good, "--ws-origin", "https://phone.example.com"],
            ["--ws-origin: is for WebSocket", "hint: --listen ws:"],
        ),
        (
            &["--tls-cert", &good],
            ["--tls-cert: is for TLS, and --listen names no tls: or wss:", "hint: --listen tls:"],
        ),
        (
            &["--listen", "ws:127.0.0.1:0", "--tls-cert", &good, "--tls-client-ca", &good],
            ["--tls-cert: is for TLS", "hint: --listen tls:"],
        ),
    ] {
        let ran = sipreg(&[&["serve", "--no-auth"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?} {}", ran.all());
        assert!(named.iter().all(|words| ran.stderr.contains(words)), "{arguments:?} {}", ran.all());
    }
}

/// A server at `tls:` with this certificate, which takes anybody.
fn open_to_all(certificate: &str) -> Server {
    Server::start(
        &["--no-auth", "--domain", "munich.de", "--listen", "tls:127.0.0.1:0", "--tls-cert", certificate],
        1,
    )
}

/// Runs a command for Werner Heisenberg over TLS, with JSON.
fn over_tls(command: &str, at: &str, more: &[&str]) -> Ran {
    let all = [command, "werner@munich.de", "--registrar", at, "--transport", "tls", "--stateless", "--json"];
    sipreg(&[&all, more].concat())
}

/// SEC-001, SEC-016, SEC-018, SEC-024: a device registers over TLS, and is told who was there.
#[test]
fn a_device_registers_over_tls() {
    let authority = Authority::new();
    let mut server = open_to_all(&authority.signs("server.pem", &["munich.de", "127.0.0.1"]));
    let at = server.at[0].clone();
    let ca = authority.ca();
    let ran = over_tls("register", &at, &["--tls-ca", &ca]);
    let object = ran.json();
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let registrar = &object["registrar"];
    assert_eq!((&registrar["transport"], &registrar["remote"]), (&"tls".into(), &at.as_str().into()));
    let tls = &registrar["tls"];
    assert_eq!(
        (&tls["version"], &tls["subject"], &tls["issuer"], &tls["name"], &tls["verified"]),
        (&"1.3".into(), &"CN=munich.de".into(), &"CN=Quantum Root".into(), &"127.0.0.1".into(), &true.into())
    );
    assert!(tls["not_after"].as_str().unwrap().starts_with("4096-01-01T00:00:00Z"), "{tls}");
    let contact = object["contact"].as_str().unwrap();
    assert!(contact.starts_with("sip:werner@127.0.0.1:") && contact.ends_with(";transport=tls"), "{contact}");
    let bound = server.next();
    assert_eq!((name(&bound), &bound["contact"]), ("bound", &contact.into()));
    // The domain is verified where it is asked for.
    let proxy = format!("sip:munich.de:{}", at.rsplit_once(':').unwrap().1);
    let resolve = format!("munich.de:{}:127.0.0.1", at.rsplit_once(':').unwrap().1);
    for more in [&["--tls-name", "munich.de"][..], &["--proxy", &proxy, "--resolve", &resolve]] {
        let ran = over_tls("list", &at, &[&["--tls-ca", ca.as_str()], more].concat());
        let object = ran.json();
        assert_eq!(
            (ran.code, &object["registrar"]["tls"]["name"]),
            (Some(0), &"munich.de".into()),
            "{}",
            ran.all()
        );
        assert_eq!(object["bindings"].as_array().unwrap().len(), 1);
    }
}

/// SEC-021, SEC-022: whoever is bound by `sips:` has a contact of the same scheme, without a transport.
#[test]
fn a_secure_address_is_bound_with_a_secure_contact() {
    let authority = Authority::new();
    let server = open_to_all(&authority.signs("server.pem", &["127.0.0.1"]));
    let all = ["register", "sips:werner@munich.de", "--registrar", &server.at[0], "--stateless", "--json"];
    let ran = sipreg(&[&all[..], &["--tls-ca", &authority.ca()]].concat());
    let object = ran.json();
    assert_eq!((ran.code, &object["aor"]), (Some(0), &"sips:werner@munich.de".into()), "{}", ran.all());
    let contact = object["contact"].as_str().unwrap();
    assert!(contact.starts_with("sips:werner@127.0.0.1:") && !contact.contains("transport"), "{contact}");
}

/// SEC-002, SEC-003, SEC-010, SEC-012: who can't prove to be the one that was meant gets nothing, and is told what is wrong.
#[test]
fn a_certificate_that_does_not_do_is_told_with_what_is_wrong() {
    let (authority, other) = (Authority::new(), Authority::of("Other Root"));
    let years = |from: i32, until: i32| {
        move |params: &mut CertificateParams| {
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        }
    };
    let client = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let here = ["127.0.0.1"];
    for (certificate, cause, said) in [
        (authority.signs_with("expired.pem", &here, years(2001, 2002)), "certificate_expired", "2002-01-01"),
        (
            authority.signs_with("early.pem", &here, years(3000, 3001)),
            "certificate_not_yet_valid",
            "3000-01-01",
        ),
        (authority.signs("name.pem", &["berlin.de"]), "certificate_name", "for berlin.de, not for 127.0.0.1"),
        (other.signs("issuer.pem", &here), "certificate_issuer", "issued by CN=Other Root"),
        (authority.self_signed("self.pem", &here), "certificate_self_signed", "signed by itself"),
        (authority.signs_with("client.pem", &here, client), "", "not for servers"),
        (
            authority.signs_with("middle.pem", &here, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            "",
            "is that of an authority, and no server's own",
        ),
    ] {
        let server = open_to_all(&certificate);
        let ran = over_tls("register", &server.at[0], &["--tls-ca", &authority.ca()]);
        let object = ran.json();
        let error = &object["error"];
        assert_eq!(
            (ran.code, &error["kind"]),
            (Some(5), &"untrusted".into()),
            "{certificate}: {}",
            ran.all()
        );
        assert_eq!(error["cause"].as_str().unwrap_or_default(), cause, "{}", ran.all());
        assert!(error["message"].as_str().unwrap().contains(said), "{}", ran.all());
        assert_eq!((&object["attempts"][0]["result"], &object["requests"]), (&"tls".into(), &0.into()));
        assert_eq!(object["registrar"]["tls"]["verified"], false, "{}", ran.all());
        let blind = over_tls("register", &server.at[0], &["--tls-insecure"]);
        let tls = blind.json()["registrar"]["tls"].clone();
        assert_eq!(
            (blind.code, &tls["verified"], &tls["name"]),
            (Some(0), &false.into(), &Value::Null),
            "{}",
            blind.all()
        );
        assert!(blind.stderr.contains("warning: --tls-insecure"), "{}", blind.all());
    }
}

/// SEC-010: a wildcard counts where the user says so.
#[test]
fn a_wildcard_counts_with_a_switch_only() {
    let authority = Authority::new();
    let server = open_to_all(&authority.signs("server.pem", &["*.munich.de"]));
    let ca = authority.ca();
    let name = ["--tls-ca", ca.as_str(), "--tls-name", "sip.munich.de"];
    let refused = over_tls("list", &server.at[0], &name).json()["error"].clone();
    assert_eq!(refused["cause"], "certificate_name");
    assert!(refused["hint"].as_str().unwrap().contains("--tls-wildcard"), "{refused}");
    let ran = over_tls("list", &server.at[0], &[&name[..], &["--tls-wildcard"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.all());
}

/// SEC-005: where a URI names another domain the DNS names don't count, and that is said.
#[test]
fn a_name_that_does_not_count_is_told_as_that() {
    let authority = Authority::new();
    let server = open_to_all(&authority.signs("server.pem", &["sip:leipzig.de", "munich.de", "bonn.de"]));
    let ca = authority.ca();
    let error = |name: &str| {
        over_tls("list", &server.at[0], &["--tls-ca", &ca, "--tls-name", name]).json()["error"].clone()
    };
    for (name, hint) in
        [("munich.de", "no DNS name counts (RFC 5922 §7.1)"), ("berlin.de", "is it the right server?")]
    {
        let error = error(name);
        assert_eq!(error["cause"], "certificate_name", "{error}");
        let said = format!(
            "the certificate is for sip:leipzig.de, not for {name}; its DNS names (munich.de, bonn.de) don't count beside a sip: URI"
        );
        assert!(error["message"].as_str().unwrap().ends_with(&said), "{error}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{error}");
    }
    assert_eq!(error("leipzig.de"), Value::Null);
}

/// A server that breaks the handshake off says why by an alert, which is told with what it means.
#[test]
fn the_alert_of_a_server_is_told_with_what_it_means() {
    for (alert, cause, said, hint) in [
        (40, "", "ended TLS with the alert handshake_failure", "no cipher suite"),
        (71, "", "ended TLS with the alert insufficient_security", "good enough"),
        (70, "tls_version", "no common version of TLS", "1.2 and 1.3"),
        (80, "", "ended TLS with the alert internal_error", "something failed there"),
        (112, "", "ended TLS with the alert unrecognized_name", "--tls-name"),
        (116, "client_certificate_wanted", "a certificate of ours: certificate_required", "--tls-cert"),
        (120, "", "ended TLS with the alert no_application_protocol", "ALPN"),
        (47, "", "ended TLS with the alert illegal_parameter", "its log tells more"),
        (199, "", "ended TLS with the alert number 199", "its log tells more"),
    ] {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))]).unwrap();
            stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).unwrap();
            let _ = stream.read(&mut [0; 16]);
        });
        let ran = over_tls("list", &at, &[]);
        let error = ran.json()["error"].clone();
        assert_eq!((ran.code, &error["kind"]), (Some(5), &"untrusted".into()), "{}", ran.all());
        assert_eq!(error["cause"].as_str().unwrap_or_default(), cause, "{}", ran.all());
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{error}");
    }
}

/// TLS where none is, none where TLS is, and silence, are named as what they are.
#[test]
fn what_is_not_tls_is_named() {
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = plain.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in plain.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let ran = over_tls("list", &at, &[]);
    assert_eq!((ran.code, &ran.json()["error"]["cause"]), (Some(5), &"not_tls".into()), "{}", ran.all());

    let closing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = closing.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in closing.incoming().flatten() {
            let _ = stream.read(&mut [0; 2048]);
        }
    });
    let error = over_tls("list", &at, &[]).json()["error"].clone();
    assert!(
        error["message"].as_str().unwrap().ends_with("closed the connection in the TLS handshake"),
        "{error}"
    );
    assert!(error["hint"].as_str().unwrap().contains("--transport tcp"), "{error}");

    let authority = Authority::new();
    let server = open_to_all(&authority.signs("server.pem", &["127.0.0.1"]));
    let all =
        ["list", "w@munich.de", "--registrar", &server.at[0], "--stateless", "--json", "--transport", "tcp"];
    let ran = sipreg(&all);
    let error = ran.json()["error"].clone();
    assert_eq!((ran.code, &error["cause"]), (Some(6), &"not_sip".into()), "{}", ran.all());
    assert!(error["message"].as_str().unwrap().contains("answers in TLS"), "{error}");

    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = over_tls("list", &mute.local_addr().unwrap().to_string(), &["--timeout", "1s"]);
    assert_eq!((ran.code, &ran.json()["error"]["cause"]), (Some(4), &"silent".into()), "{}", ran.all());
}

/// SEC-026: a certificate in place of a password, for the address that it names; one of somebody else, or none, does not
/// help.
#[test]
fn a_client_certificate_is_as_good_as_a_password() {
    let (authority, other) = (Authority::new(), Authority::of("Other Root"));
    let users = authority.path("users.txt");
    let added = ["serve", "--add-user", "werner@munich.de", "--users", &users];
    assert_eq!(with_environment(&added, &[("SIPREG_PASSWORD", "uncertainty")]).code, Some(0));
    let server = Server::start(
        &[
            "--users",
            &users,
            "--domain",
            "munich.de",
            "--listen",
            "tls:127.0.0.1:0",
            "--tls-cert",
            &authority.signs("server.pem", &["127.0.0.1"]),
            "--tls-client-ca",
            &authority.ca(),
        ],
        1,
    );
    let at = server.at[0].clone();
    let ca = authority.ca();
    let werner = authority.signs("werner.pem", &["sip:werner@munich.de"]);
    let niels = authority.signs("niels.pem", &["sip:niels@munich.de"]);
    let stranger = other.signs("werner.pem", &["sip:werner@munich.de"]);
    let trusting = ["--tls-ca", ca.as_str()];
    let ran = over_tls("register", &at, &[&trusting[..], &["--tls-cert", &werner]].concat());
    assert_eq!((ran.code, &ran.json()["requests"]), (Some(0), &1.into()), "{}", ran.all());
    for more in [&[][..], &["--tls-cert", &niels]] {
        let ran = over_tls("register", &at, &[&trusting[..], more].concat());
        assert_eq!(
            (ran.code, &ran.json()["error"]["cause"]),
            (Some(3), &"password_missing".into()),
            "{}",
            ran.all()
        );
        let password = ["--username", "werner", "--password", "uncertainty"];
        let ran = over_tls("register", &at, &[&trusting[..], more, &password].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    }
    let ran = over_tls("register", &at, &[&trusting[..], &["--tls-cert", &stranger]].concat());
    let error = ran.json()["error"].clone();
    assert_eq!((ran.code, &error["cause"]), (Some(5), &"client_certificate_wanted".into()), "{}", ran.all());
}

/// Certificates are read again with the users; with a mistake the old one stays, and is told.
#[cfg(unix)]
#[test]
fn a_certificate_is_read_again() {
    let authority = Authority::new();
    let certificate = authority.signs("server.pem", &["127.0.0.1"]);
    let mut server = open_to_all(&certificate);
    let subject =
        |at: &str| over_tls("list", at, &["--tls-insecure"]).json()["registrar"]["tls"]["subject"].clone();
    let at = server.at[0].clone();
    assert_eq!(subject(&at), "CN=127.0.0.1");
    authority.signs("server.pem", &["munich.de", "127.0.0.1"]);
    reload(&server);
    wait_until("the certificate is the new one", || subject(&at) == "CN=munich.de");
    authority.write("server.pem", "junk");
    reload(&server);
    let failed = loop {
        let event = server.next();
        if name(&event) == "reload_failed" {
            break event;
        }
    };
    assert_eq!(failed["file"], certificate.as_str());
    assert!(failed["message"].as_str().unwrap().contains("has no certificate"), "{failed}");
    assert_eq!(subject(&at), "CN=munich.de");
}

/// SEC-026: who is known by a certificate is so only as long as its authority is in the file, on a connection that is open
/// as well.
#[cfg(unix)]
#[test]
fn a_device_whose_authority_is_gone_is_known_no_longer() {
    let (authority, devices, others) =
        (Authority::new(), Authority::of("Devices"), Authority::of("Other Devices"));
    let users = authority.path("users.txt");
    let added = ["serve", "--add-user", "werner@munich.de", "--users", &users];
    assert_eq!(with_environment(&added, &[("SIPREG_PASSWORD", "uncertainty")]).code, Some(0));
    let known = |of: &Authority| authority.write("devices.pem", &std::fs::read_to_string(of.ca()).unwrap());
    let certificate = authority.signs("server.pem", &["127.0.0.1"]);
    let client_ca = known(&devices);
    let listen = ["--domain", "munich.de", "--listen", "tls:127.0.0.1:0", "--tls-cert", &certificate];
    let more = ["--users", users.as_str(), "--tls-client-ca", &client_ca];
    let server = Server::start(&[&listen[..], &more].concat(), 1);
    let home = tempfile::tempdir().unwrap();
    let (ca, shown) = (authority.ca(), devices.signs("werner.pem", &["sip:werner@munich.de"]));
    let options =
        ["werner@munich.de", "--transport", "tls", "--tls-ca", &ca, "--tls-cert", &shown, "--for", "20s"];
    let mut keep = keep(&server.at[0], home.path(), &options);
    let mut until = |wanted: &str| loop {
        let event = keep.next();
        if name(&event) == wanted {
            break event;
        }
    };
    until("registered");
    known(&others);
    reload(&server);
    until("flow_failed");
    let failed = until("failed");
    assert_eq!(failed["error"]["cause"], "client_certificate_wanted", "{failed}");
    keep.signal("-TERM");
    keep.end();
}

#[cfg(unix)]
fn reload(server: &Server) {
    assert!(std::process::Command::new("kill").args(["-HUP", &server.pid()]).status().unwrap().success());
}

/// SEC-029: accounts of one process are each verified by their own settings.
#[test]
fn each_account_that_is_kept_trusts_its_own() {
    let (authority, other) = (Authority::new(), Authority::of("Other Root"));
    let server = open_to_all(&authority.signs("server.pem", &["127.0.0.1"]));
    let at = &server.at[0];
    let account = |name: &str, ca: &str| {
        format!(
            "[accounts.{name}]\naor = \"{name}@munich.de\"\nregistrar = \"sip:{at};transport=tls\"\ntls_ca = \"{ca}\"\n"
        )
    };
    let config = account("werner", "ca.pem") + &account("niels", &other.ca());
    let config = authority.write("config.toml", &config);
    let ran =
        sipreg(&["keep", "werner", "niels", "--config", &config, "--stateless", "--json", "--for", "2s"]);
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = |aor: &str, event: &str| {
        events.iter().find(|one| one["aor"] == aor && one["event"] == event).cloned().unwrap_or_default()
    };
    let bound = first("sip:werner@munich.de", "registered");
    assert_eq!(bound["registrar"]["tls"]["verified"], true, "{}", ran.all());
    let failed = first("sip:niels@munich.de", "failed");
    assert_eq!(failed["error"]["kind"], "untrusted", "{}", ran.all());
    assert_eq!(ran.code, Some(0), "{}", ran.all());
}

/// The first lines of a server name a command that works.
#[test]
fn the_example_of_a_server_is_for_its_transport() {
    let authority = Authority::new();
    let certificate = authority.self_signed("server.pem", &["munich.de"]);
    let arguments = [
        "serve",
        "--no-auth",
        "--domain",
        "munich.de",
        "--listen",
        "tls:127.0.0.1:0",
        "--tls-cert",
        &certificate,
    ];
    let mut child = command(&arguments).spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let example = told.find(|line| line.as_ref().unwrap().contains("sipreg register")).unwrap().unwrap();
    let words: Vec<&str> = example.split_whitespace().skip(1).collect();
    let ran = sipreg(&[&words[..], &["--stateless"]].concat());
    let pid = child.id().to_string();
    let own = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let own = own.split_whitespace().next().map_or(pid, str::to_owned);
    assert!(std::process::Command::new("kill").arg(own).status().unwrap().success());
    let _ = child.wait();
    assert_eq!(ran.code, Some(0), "{example}: {}", ran.all());
    assert!(example.contains("--transport tls --tls-ca "), "{example}");
}

/// A certificate that nobody can use is warned of before anybody comes.
#[test]
fn a_server_warns_of_its_own_certificate() {
    let authority = Authority::new();
    let old = authority.signs_with("old.pem", &["munich.de"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    });
    let other = authority.signs("other.pem", &["berlin.de"]);
    for (certificate, said) in [(old, "ran out at 2002-01-01"), (other, "is for none of the domains")] {
        let arguments =
            ["--no-auth", "--domain", "munich.de", "--listen", "tls:127.0.0.1:0", "--tls-cert", &certificate];
        let server = Server::start(&arguments, 1);
        let (stderr, _) = server.stop_with_stderr();
        assert!(stderr.contains("warning: --tls-cert") && stderr.contains(said), "{stderr}");
    }
}
