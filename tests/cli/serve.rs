//! `sipreg serve` and `sipreg demo`, as they are started; the clients are the program itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::run::{Ran, command, finish, sipreg, wait_until, with_environment};
pub use crate::server::{Server, name};

const UDP: [&str; 2] = ["--listen", "udp:127.0.0.1:0"];

fn client(arguments: &[&str], registrar: &str, state: &Path) -> Ran {
    let mut all = arguments.to_vec();
    all.extend(["--registrar", registrar, "--state-dir", state.to_str().unwrap()]);
    with_environment(&all, &[("SIPREG_PASSWORD", "uncertainty")])
}

/// GB/T 28181 has domains of digits: names, which no part takes for an address (URI-020).
#[test]
fn a_domain_may_be_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.txt");
    let users = users.to_str().unwrap();
    let aor = "sip:34020000001320000001@3402000000";
    let user = aor.trim_start_matches("sip:");
    let added = with_environment(
        &["serve", "--add-user", user, "--users", users],
        &[("SIPREG_PASSWORD", "uncertainty")],
    );
    assert_eq!(added.code, Some(0), "{}", added.all());
    let listen = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
    let server = Server::start(&[&["--domain", "3402000000", "--users", users], &listen[..]].concat(), 2);
    for (transport, at) in ["udp", "tcp"].iter().zip(&server.at) {
        for (way, target) in [("--registrar", format!("sip:{at}")), ("--proxy", "sip:3402000000".to_owned())]
        {
            for command in ["register", "list", "unregister"] {
                let state = folder.path().join(format!("state{transport}{way}"));
                let args = [command, aor, way, at, "--transport", transport, "--json"];
                let args = [&args[..], &["--state-dir", state.to_str().unwrap()]].concat();
                let ran = with_environment(&args, &[("SIPREG_PASSWORD", "uncertainty")]);
                let object = ran.json();
                assert_eq!(ran.code, Some(0), "{}", ran.all());
                assert_eq!(object["registrar"]["uri"], target.as_str());
                assert_eq!(object["auth"][0]["realm"], "3402000000");
            }
        }
    }
    // The name service alone says where it is: as a number it would be the address 202.199.36.128.
    let ran =
        sipreg(&["register", aor, "--stateless", "--json", "--nameserver", "127.0.0.1:9", "--timeout", "2s"]);
    assert_eq!(ran.code, Some(5), "{}", ran.all());
    assert_eq!(ran.json()["requests"], 0);
}

/// A password that is wrong is told with whose it was to be.
#[test]
fn a_wrong_password_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.txt");
    let users = users.to_str().unwrap();
    let added = with_environment(
        &["serve", "--add-user", "heisenberg@munich.de", "--users", users],
        &[("SIPREG_PASSWORD", "uncertainty")],
    );
    assert_eq!(
        (added.code, added.stdout.as_str()),
        (Some(0), format!("heisenberg@munich.de is in {users} now\n").as_str())
    );
    let mut server = Server::start(&[&["--domain", "munich.de", "--users", users], &UDP[..]].concat(), 1);
    let wrong = with_environment(
        &["register", "heisenberg@munich.de", "--registrar", &server.at[0], "--stateless", "--json"],
        &[("SIPREG_PASSWORD", "certainty")],
    );
    assert_eq!(wrong.code, Some(3), "{}", wrong.all());
    let event = server.next();
    assert_eq!((name(&event), &event["username"]), ("auth_failed", &"heisenberg".into()));
    let (rest, code) = server.stop();
    assert_eq!((rest.iter().map(name).collect::<Vec<_>>(), code), (vec!["stopped"], Some(0)));
}

#[test]
fn without_passwords_anybody_registers_and_the_metrics_count() {
    let folder = tempfile::tempdir().unwrap();
    // Whoever asks for port 0 wants to know which it was; for the metrics a free one is found first.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut options = vec!["--no-auth", "--metrics", &free];
    options.extend(UDP);
    let server = Server::start(&options, 1);
    let ran = client(&["register", "bohr@localhost", "--json"], &server.at[0], folder.path());
    assert_eq!((ran.code, ran.json()["auth"].as_array().unwrap().len()), (Some(0), 0), "{}", ran.all());
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&free).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let metrics = get("/metrics");
    for line in [
        "HTTP/1.1 200 OK\r",
        "sipreg_requests_total 1",
        "sipreg_responses_total{class=\"2xx\"} 1",
        "sipreg_binding_changes_total{change=\"bound\"} 1",
        "sipreg_bindings 1",
        "sipreg_calls 0",
        "sipreg_forwarding 0",
        "sipreg_calls_ended_total{class=\"4xx\"} 0",
        "sipreg_branches_total 0",
        "sipreg_branches_cancelled_total 0",
        "sipreg_overload_total 0",
    ] {
        assert!(
            metrics.lines().any(|found| found.trim_end() == line.trim_end()),
            "{line} is not in {metrics}"
        );
    }
    assert!(get("/").starts_with("HTTP/1.1 404"));
    // Many who say nothing keep nobody waiting: the oldest of them goes.
    let silent: Vec<_> = (0..160).map(|_| TcpStream::connect(&free).unwrap()).collect();
    assert!(get("/metrics").starts_with("HTTP/1.1 200"));
    drop(silent);
    let (rest, code) = server.stop();
    assert_eq!((rest.iter().map(name).collect::<Vec<_>>(), code), (vec!["bound", "stopped"], Some(0)));
}

#[cfg(unix)]
#[test]
fn sighup_reads_the_users_again_and_a_mistake_leaves_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.txt");
    let users = file.to_str().unwrap().to_owned();
    let add = |user: &str| {
        let ran = with_environment(
            &["serve", "--add-user", user, "--users", &users],
            &[("SIPREG_PASSWORD", "uncertainty")],
        );
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    };
    add("heisenberg@localhost");
    let mut options = vec!["--users", &users];
    options.extend(UDP);
    let server = Server::start(&options, 1);
    let at = server.at[0].clone();
    let register = |aor: &str| client(&["register", aor, "--quiet"], &at, folder.path()).code;
    assert_eq!(register("born@localhost"), Some(3));
    add("born@localhost");
    server.signal("-HUP");
    crate::run::wait_until("the new user counts", || register("born@localhost") == Some(0));
    // What can't be the users is told, and nobody waits for it: a mistake, no user at all, a pipe that nobody writes to.
    let replace = |what: &dyn Fn()| {
        std::fs::remove_file(&file).unwrap();
        what();
        server.signal("-HUP");
        assert_eq!(register("heisenberg@localhost"), Some(0));
    };
    replace(&|| std::fs::write(&file, "nonsense\n").unwrap());
    replace(&|| std::fs::write(&file, "# nobody\n").unwrap());
    replace(&|| assert!(Command::new("mkfifo").arg(&file).status().unwrap().success()));
    let (events, code) = server.stop();
    let failed = events.iter().filter(|event| name(event) == "reload_failed");
    let said: Vec<_> = failed.map(|event| (&event["file"], event["message"].as_str().unwrap())).collect();
    assert!(said.iter().all(|(path, _)| **path == *users), "{said:?}");
    let said: Vec<_> = said.iter().map(|(_, message)| *message).collect();
    assert_eq!((said.len(), code), (3, Some(0)), "{said:?}");
    assert!(said[0].contains(":1: ") && said[1].contains("no user any more"), "{said:?}");
    assert!(said[2].contains("no regular file"), "{said:?}");
}

#[test]
fn mistakes_are_told_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad");
    std::fs::write(&bad, "# users\nalice:localhost:xyz\n").unwrap();
    let bad = bad.to_str().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = format!("udp:{}", taken.local_addr().unwrap());
    for (arguments, said) in [
        (vec!["serve"], "who may register? Neither --users nor --no-auth says it"),
        (vec!["serve", "--no-auth", "--listen", "udp:0.0.0.0:0"], "--no-auth: anybody who reaches 0.0.0.0:0"),
        (vec!["serve", "--no-auth", "--listen", "sctp:127.0.0.1:0"], "has a transport that can't be served"),
        (vec!["serve", "--no-auth", "--listen", "udp:localhost:0"], "has no address with a port"),
        (vec!["serve", "--no-auth", "--listen", &taken], "cannot listen on udp"),
        (vec!["serve", "--users", "/nonexistent"], "can't be read"),
        (vec!["serve", "--users", bad], "bad:2:"),
        (vec!["serve", "--no-auth", "--users", bad], "can't be used with"),
        (vec!["serve", "--no-auth", "--algorithms", "MD4"], "is not one of MD5"),
        (
            vec!["serve", "--no-auth", "--min-expires", "2h", "--max-expires", "1h"],
            "is shorter than --min-expires",
        ),
        (vec!["serve", "--no-auth", "--store", "http://x"], "is no store"),
        (vec!["serve", "--no-auth", "--domain", "a b"], "is no domain"),
        (vec!["serve", "--no-auth", "--metrics", "x"], "is no address with a port"),
        (vec!["serve", "--no-auth", "--fork", "random"], "parallel, sequential"),
        (vec!["serve", "--no-auth", "--auth-calls"], "can't be used with"),
        (vec!["serve", "--no-auth", "--max-calls", "0"], "--max-calls: with 0 nobody could call"),
        (vec!["serve", "--no-auth", "--max-calls", "some"], "--max-calls"),
        (vec!["serve", "--no-auth", "--keepalive-interval", "0"], "with 0 devices would not hear how often"),
        (vec!["serve", "--no-auth", "--keepalive-interval", "500ms"], "is not a whole number of seconds"),
        (vec!["serve", "--no-auth", "--peer-listen", "tcp:127.0.0.1:0"], "for servers that share a store"),
        (vec!["serve", "--no-auth", "--peer-listen", "127.0.0.1:0"], "has a transport that can't be served"),
        (vec!["serve", "--no-auth", "--peer", "10.0.0.2"], "for servers that share a store"),
        (vec!["serve", "--no-auth", "--peer", "sip.example.com"], "is no address"),
        (vec!["serve", "--no-auth", "--node", "a b"], "is no name of a node"),
        (vec!["serve", "--no-auth", "--node", "a"], "for servers that share a store"),
        (vec!["serve", "--no-auth", "--peer-secret-file", "x"], "for servers that share a store"),
        (vec!["serve", "--add-user", "a:b@c"], "--add-user"),
        (vec!["serve", "--add-user", "alice"], "no terminal to ask"),
    ] {
        let ran = sipreg(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.all());
        assert!(
            ran.stderr.contains(said) && ran.stderr.starts_with("error: "),
            "{arguments:?}: {}",
            ran.stderr
        );
        let mut json = arguments.clone();
        json.push("--json");
        let object = sipreg(&json).json();
        assert_eq!((&object["command"], &object["error"]["kind"]), (&"serve".into(), &"usage".into()));
    }
}

#[test]
fn a_user_can_be_printed_and_the_password_is_nowhere() {
    let ran = with_environment(
        &["serve", "--add-user", "alice", "--domain", "example.com"],
        &[("SIPREG_PASSWORD", "rabbit hole")],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.stdout.starts_with("alice:example.com:") && !ran.stdout.contains("rabbit"), "{}", ran.stdout);
    assert_eq!(ran.stdout.trim_end().split(':').take(5).map(str::len).collect::<Vec<_>>()[2..], [32, 64, 64]);
}

/// The banner says where, who, and what to type next; and it fits a terminal.
#[test]
fn the_banner_says_what_to_type_next() {
    let mut child =
        command(&["serve", "--no-auth", "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"])
            .spawn()
            .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    while lines.len() < 5 {
        let mut line = String::new();
        assert!(told.read_line(&mut line).unwrap() > 0, "{lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    let port = lines[0].rsplit(':').next().unwrap().to_owned();
    assert_eq!(lines[0], format!("Listening on udp 127.0.0.1:{port}"));
    assert!(lines[1].starts_with("Listening on tcp 127.0.0.1:"));
    assert_eq!(lines[2], "Registrar for localhost; anybody may register");
    assert_eq!(lines[4], format!("  sipreg register alice@localhost --registrar 127.0.0.1:{port}"));
    assert!(lines.iter().all(|line| line.len() <= 80));
    let mut server = Server { child: Some(child), told, at: Vec::new() };
    server.signal("-INT");
    let mut rest = String::new();
    server.told.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "Stopped\n");
    assert_eq!(server.child.take().unwrap().wait().unwrap().code(), Some(0));
}

#[test]
fn the_demonstration_goes_as_it_should() {
    let ran = sipreg(&["demo"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in [
        "401 Unauthorized, digest SHA-256",
        "200 OK, 2 bindings",
        "Contact: *",
        "480 Temporarily Unavailable",
        "All went as it should.",
    ] {
        assert!(ran.stdout.contains(part), "{part} is not in {}", ran.stdout);
    }
    let object = sipreg(&["demo", "--json"]).json();
    assert_eq!((&object["ok"], &object["error"]), (&true.into(), &Value::Null));
    let steps = object["steps"].as_array().unwrap();
    let outcomes: Vec<_> = steps.iter().map(|step| step["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        ["registered", "registered", "registered", "listed", "unregistered", "unregistered"]
    );
    let calls = object["calls"].as_array().unwrap();
    let hosts = |uris: &Value| {
        let uris = uris.as_array().unwrap().iter();
        uris.map(|uri| uri.as_str().unwrap().rsplit('.').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let calls: Vec<_> = calls
        .iter()
        .map(|call| (call["status"].as_u64().unwrap(), hosts(&call["targets"]), hosts(&call["cancelled"])))
        .collect();
    let of = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        calls,
        [
            (200, of(&["203", "204"]), of(&["203"])),
            (200, of(&["204", "203"]), of(&[])),
            (480, of(&[]), of(&[]))
        ]
    );
    let whole = sipreg(&["demo", "-vv"]).stdout;
    assert!(
        whole.contains("REGISTER sip:munich.de SIP/2.0") && whole.contains("response=\"***\""),
        "{whole}"
    );
    let quiet = sipreg(&["demo", "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str()), (Some(0), ""));
}

/// FRK-001 FRK-018 PTH-004: caller, proxy and both devices stand side by side.
#[test]
fn the_demonstration_shows_how_a_call_forks() {
    let shown = sipreg(&["demo"]).stdout;
    let (_, call) = shown.split_once("the other is cancelled.\n\n").unwrap();
    let (ladder, _) = call.split_once("\n4. ").unwrap();
    insta::assert_snapshot!(ladder, @r"
    niels.bohr          munich.de                200.201.202.203    200.201.202.204
        | INVITE ---------> |                           |                  |
        | <----- 100 Trying |                           |                  |
        |                   | INVITE -----------------> |                  |
        |                   | INVITE -------------------|----------------> |
        |                   | <------------ 180 Ringing |                  |
        | <---- 180 Ringing |                           |                  |
        |                   | <-------------------------|----- 180 Ringing |
        | <---- 180 Ringing |                           |                  |
        |                   | <-------------------------|---------- 200 OK |
        | <--------- 200 OK |                           |                  |
        |                   | CANCEL -----------------> |                  |
        |                   | <-------- 200 OK (CANCEL) |                  |
        |                   | <- 487 Request Terminated |                  |
        |                   | ACK --------------------> |                  |
        | ACK ------------> |                           |                  |
        |                   | ACK ----------------------|----------------> |
        | BYE ------------> |                           |                  |
        |                   | BYE ----------------------|----------------> |
        |                   | <-------------------------|---- 200 OK (BYE) |
        | <--- 200 OK (BYE) |                           |                  |

      They talk, by 200.201.202.204, until Niels Bohr hangs up.
    ");
}

/// A server for both transports; `users` are those of a file.
fn both(folder: &Path, users: &[&str], more: &[&str]) -> Server {
    let file = folder.join("users.txt");
    let file = file.to_str().unwrap();
    for user in users {
        let words = ["serve", "--add-user", user, "--users", file];
        let ran = with_environment(&words, &[("SIPREG_PASSWORD", "uncertainty")]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    }
    let listen = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--domain", "munich.de"];
    let access = if users.is_empty() { &["--no-auth"][..] } else { &["--users", file] };
    Server::start(&[&listen[..], access, more].concat(), 2)
}

/// Phones that sign in with the whole address: with the HA1 of the short name always, with one of the long name where the
/// file has that.
#[test]
fn the_whole_address_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    for (users, by_password) in
        [(&["alice@munich.de", "bob@munich.de"][..], 3), (&["alice@munich.de@munich.de", "bob@munich.de"], 0)]
    {
        let mut server = both(folder.path(), users, &[]);
        let file = std::fs::read_to_string(folder.path().join("users.txt")).unwrap();
        let alice = file.lines().find(|line| line.starts_with("alice:")).unwrap();
        let ha1 = format!("SHA-256:{}", alice.split(':').nth(3).unwrap());
        for (n, transport) in ["udp", "tcp"].iter().enumerate() {
            let at = server.at[n].clone();
            let sign_in = |aor: &str, username: &str, secret: &[&str]| {
                let words = ["register", aor, "--stateless", "--registrar", &at, "--transport", transport];
                sipreg(&[&words[..], &["--username", username], secret].concat()).code
            };
            assert_eq!(sign_in("alice@munich.de", "alice@munich.de", &["--ha1", &ha1]), Some(0));
            assert_eq!(name(&server.next()), "bound");
            let password = ["--password", "uncertainty"];
            assert_eq!(sign_in("alice@munich.de", "alice@munich.de", &password), Some(by_password));
            assert_eq!(name(&server.next()), if by_password == 0 { "bound" } else { "auth_failed" });
            assert_eq!(sign_in("alice@munich.de", "alice@berlin.de", &["--ha1", &ha1]), Some(3));
            assert_eq!(name(&server.next()), "auth_failed");
            assert_eq!(sign_in("bob@munich.de", "alice@munich.de", &["--ha1", &ha1]), Some(3));
            assert_eq!(name(&server.next()), "auth_failed");
        }
    }
}

/// RGR-045: over both transports, for one contact and several; and our own commands at such a server.
#[test]
fn a_full_list_is_answered_with_503_until_the_first_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = both(folder.path(), &[], &["--max-contacts", "2"]);
    for (n, transport) in ["udp", "tcp"].iter().enumerate() {
        let at = server.at[n].clone();
        let aor = format!("{transport}@munich.de");
        let bind = |contacts: &[&str], more: &[&str]| {
            let mut words =
                vec!["register", &aor, "--registrar", &at, "--transport", transport, "--stateless", "--json"];
            contacts.iter().for_each(|contact| words.extend(["--contact", contact]));
            sipreg(&[&words[..], more].concat())
        };
        let two = ["sip:a@192.0.2.1", "<sip:b@192.0.2.1>;expires=90"];
        assert_eq!(bind(&two, &[]).code, Some(0));
        for contacts in [&["sip:c@192.0.2.1"][..], &["sip:c@192.0.2.1", "sip:a@192.0.2.1"]] {
            let refused = bind(contacts, &[]);
            let json = refused.json();
            assert_eq!((refused.code, &json["status"]), (Some(1), &503.into()), "{}", refused.all());
            assert_eq!(json["error"]["cause"], "too_many_bindings");
            let hint = json["error"]["hint"].as_str().unwrap();
            assert!(
                hint.contains("sipreg list") && (80..=90).any(|n| hint.contains(&format!("{n} s"))),
                "{hint}"
            );
        }
        assert_eq!(bind(&two, &[]).code, Some(0), "what is there may be refreshed");
        let keep = [
            "keep",
            &aor,
            "--registrar",
            &at,
            "--transport",
            transport,
            "--json",
            "--stateless",
            "--for",
            "1s",
        ];
        let keep = sipreg(&keep);
        let failed = keep.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let failed = failed.into_iter().find(|event| name(event) == "failed").unwrap();
        assert_eq!(failed["error"]["cause"], "too_many_bindings");
        assert!(failed["next_attempt_in"].as_f64().unwrap() > 70.0, "{failed}");
        assert_eq!(keep.code, Some(0), "{}", keep.all());
    }
    assert_eq!(name(&server.next()), "bound");
}

/// RGR-045
#[test]
fn the_oldest_is_replaced_where_that_is_wished() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        both(folder.path(), &[], &["--max-contacts", "1", "--max-contacts-policy", "replace-oldest"]);
    for (n, transport) in ["udp", "tcp"].iter().enumerate() {
        let at = server.at[n].clone();
        let aor = format!("{transport}@munich.de");
        for (contact, events) in [
            ("sip:a@192.0.2.1", &["bound a"][..]),
            ("sip:b@192.0.2.1", &["removed a", "bound b"]),
            ("sip:b@192.0.2.1", &["refreshed b"]),
        ] {
            let words = ["register", &aor, "--registrar", &at, "--transport", transport, "--stateless"];
            assert_eq!(sipreg(&[&words[..], &["--contact", contact]].concat()).code, Some(0));
            for expected in events {
                let event = server.next();
                let contact = event["contact"].as_str().unwrap();
                let user = &contact["sip:".len()..contact.find('@').unwrap()];
                assert_eq!(format!("{} {user}", name(&event)), *expected);
            }
        }
    }
}

/// RAU-004: a device that never answers, here because it has no password.
#[test]
fn a_device_that_never_answers_is_told_of_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = both(folder.path(), &["alice@munich.de", "bob@munich.de", "carol@munich.de"], &[]);
    let try_it = |at: &str, transport: &str, aor: &str, secret: &[&str]| {
        let words = ["register", aor, "--registrar", at, "--transport", transport, "--stateless"];
        sipreg(&[&words[..], secret].concat()).code
    };
    for (n, (transport, aor)) in [("udp", "alice@munich.de"), ("tcp", "bob@munich.de")].iter().enumerate() {
        let at = server.at[n].clone();
        for _ in 0..4 {
            assert_eq!(try_it(&at, transport, aor, &[]), Some(3));
        }
        let event = server.next();
        assert_eq!((name(&event), &event["aor"]), ("unanswered", &format!("sip:{aor}").into()));
        assert_eq!((&event["source"], &event["count"]), (&"127.0.0.1".into(), &1.into()));
        assert!(event["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert!(event["hint"].as_str().unwrap().contains("--algorithms MD5"), "{event}");
        // One that answers in between, be it wrongly, is none.
        for secret in [&[][..], &[], &["--password", "certainty"], &[], &[]] {
            assert_eq!(try_it(&at, transport, "carol@munich.de", secret), Some(3));
        }
        assert_eq!(name(&server.next()), "auth_failed");
        assert_eq!(try_it(&at, transport, "carol@munich.de", &["--password", "uncertainty"]), Some(0));
        assert_eq!(name(&server.next()), "bound");
    }
    let (rest, _) = server.stop();
    assert_eq!(rest.iter().map(name).collect::<Vec<_>>(), ["stopped"]);
}

/// A reader that goes away ends the server, as it would end any filter.
#[cfg(unix)]
#[test]
fn nobody_who_listens_ends_the_server() {
    let mut options = vec!["--no-auth"];
    options.extend(UDP);
    let mut server = Server::start(&options, 1);
    let mut child = server.child.take().unwrap();
    let at = server.at[0].clone();
    drop(server);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let port = socket.local_addr().unwrap().port();
    child.stderr.take();
    let mut n = 0;
    // What it has said before nobody listened any more ends nothing.
    wait_until("it ends", || {
        n += 1;
        let text = format!(
            "REGISTER sip:localhost SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{n}\r\nFrom: <sip:a@localhost>;tag=1\r\n\
             To: <sip:a@localhost>\r\nCall-ID: {n}\r\nCSeq: 1 REGISTER\r\nContact: <sip:a@127.0.0.1:{port}>\r\nContent-Length: 0\r\n\r\n"
        );
        let _ = socket.send_to(text.as_bytes(), &at);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(finish(child).code, Some(0));
}

/// DSR-002: when the memory for bindings is used up, new ones get 503 with Retry-After; those that are there are refreshed and
/// removed.
#[test]
fn a_full_store_refuses_new_bindings_and_keeps_the_old() {
    let home = tempfile::tempdir().unwrap();
    let options = ["--no-auth", "--max-store", "2k", "--listen", "udp:127.0.0.1:0"];
    let server = Server::start(&options, 1);
    let bind = |user: &str, more: &[&str]| {
        let aor = format!("{user}@localhost");
        let contact = format!("sip:{user}@127.0.0.1:9");
        let mut words = vec!["register", aor.as_str(), "--json", "--contact", contact.as_str()];
        words.extend(more);
        client(&words, &server.at[0], home.path())
    };
    let refused = (0..40).map(|n| (n, bind(&format!("u{n}"), &[]))).find(|(_, ran)| ran.code != Some(0));
    let (n, ran) = refused.unwrap();
    assert!(n > 0 && ran.code == Some(1) && ran.json()["status"] == 503, "{n}: {}", ran.all());
    assert_eq!(bind("u0", &[]).code, Some(0));
    assert_eq!(bind("u0", &["--expires", "0"]).code, Some(0));
    assert_eq!(bind("new", &[]).code, Some(0));
    server.stop();
    for (value, why) in [("0", "is no room at all"), ("lots", "is not a size")] {
        let ran = sipreg(&["serve", "--no-auth", "--max-store", value]);
        assert!(ran.code == Some(2) && ran.stderr.contains(why), "{}", ran.all());
    }
    for option in ["--rate", "--login-failures"] {
        let ran = sipreg(&["serve", "--no-auth", option, "0"]);
        assert!(ran.code == Some(2) && ran.stderr.contains(option), "{}", ran.all());
    }
}
