//! `sipreg serve --store redis://…`: servers that share bindings, and a store that is away or can't be used.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::authority::Authority;
use crate::redis_server::Server as Store;
use crate::run::{Ran, sipreg, with_environment};
use crate::serve::{Server, name};

const OPTIONS: [&str; 5] = ["--no-auth", "--listen", "udp:127.0.0.1:0", "--min-expires", "1s"];

fn start(url: &str, more: &[&str]) -> Server {
    Server::start(&[&OPTIONS[..], &["--store", url], more].concat(), 1)
}

fn client(words: &[&str], server: &Server, state: &Path) -> Ran {
    let where_to = ["--registrar", &server.at[0], "--state-dir", state.to_str().unwrap()];
    sipreg(&[words, &where_to].concat())
}

fn registers(user: &str, server: &Server, state: &Path) -> Option<i32> {
    client(&["register", &format!("{user}@localhost"), "--contact", "sip:x@192.0.2.7"], server, state).code
}

fn listed(user: &str, server: &Server, state: &Path) -> usize {
    let ran = client(&["list", &format!("{user}@localhost"), "--json"], server, state);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    ran.json()["bindings"].as_array().unwrap().len()
}

/// RGR-008, RGR-051: who registers at one server is listed by the other, and by the next one. While the store is away
/// changes are refused, and what is known is told; nobody is told that nothing is bound.
#[test]
fn servers_share_what_is_bound_and_bear_a_store_that_goes_away() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().to_str().unwrap();
    let options = ["--appendonly", "yes", "--dir", folder];
    let store = Store::start(&options);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut one = start(&store.url(), &["--metrics", &free]);
    let other = start(&store.url(), &[]);
    assert_eq!(registers("alice", &one, home.path()), Some(0));
    assert_eq!(listed("alice", &other, home.path()), 1);
    drop(other);

    let port = store.port();
    drop(store);
    assert_eq!(registers("bob", &one, home.path()), Some(1), "503");
    let failed = one.until("store_failed");
    let message = failed["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("redis://127.0.0.1:{port}: ")), "{message}");
    assert_eq!(listed("alice", &one, home.path()), 1);
    assert_eq!(client(&["list", "bob@localhost"], &one, home.path()).code, Some(1), "503");
    let _store = Store::start_at(port, &options);
    one.until("store_back");
    assert_eq!(registers("bob", &one, home.path()), Some(0));

    let mut stream = TcpStream::connect(&free).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    for line in [
        "sipreg_store_failures_total{store=\"redis\"} 2",
        "sipreg_store_conflicts_total{store=\"redis\"} 0",
        "sipreg_store_waiting{store=\"redis\"} 0",
        "sipreg_bindings 2",
    ] {
        assert!(metrics.lines().any(|found| found.trim_end() == line), "{line} is not in {metrics}");
    }
    assert!(
        metrics.contains("\nsipreg_store_latency_seconds_bucket{le=\"+Inf\",store=\"redis\"} "),
        "{metrics}"
    );
    let (events, code) = one.stop();
    assert_eq!((name(events.last().unwrap()), code), ("stopped", Some(0)));

    let next = start(&format!("redis://127.0.0.1:{port}"), &[]);
    assert_eq!((listed("alice", &next, home.path()), listed("bob", &next, home.path())), (1, 1));
}

/// A server that is not there, or takes another password, is exit status 5; what is no URL of a store is 2. The password is in
/// no message.
#[test]
fn a_store_that_can_not_be_used_is_told_without_its_password() {
    let store = Store::start(&["--requirepass", "sesame", "--maxmemory-policy", "allkeys-lru"]);
    let port = store.port();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, code, what) in [
        (format!("redis://:wrong-sesame@127.0.0.1:{port}"), 5, "refuses this server: "),
        (format!("redis://127.0.0.1:{port}"), 5, "refuses this server: NOAUTH "),
        (format!("redis://me:sesame@127.0.0.1:{nobody}/3"), 5, "can't be reached: Connection refused"),
        (format!("redis+cluster://:sesame@127.0.0.1:{port}"), 2, "it is no node of a cluster"),
        ("redis://me:sesame@/3".to_owned(), 2, "the URL names no host"),
        ("redis://me:sesame@h/x".to_owned(), 2, "the URL has a database that is no number"),
        ("redis://me:ses%xame@h".to_owned(), 2, "the URL has a user or password with an escape that is none"),
    ] {
        let ran = sipreg(&[&["serve"], &OPTIONS[..], &["--store", &url]].concat());
        let is_told = ran.stderr.starts_with("error: --store: ") && ran.stderr.contains(what);
        assert!(ran.code == Some(code) && is_told && ran.stderr.contains("\nhint: "), "{url}: {}", ran.all());
        assert!(!ran.all().contains("sesame") && !ran.all().contains("xame"), "{}", ran.all());
    }
    let demo = with_environment(
        &["demo", "--quiet", "--store", &format!("redis://127.0.0.1:{port}")],
        &[("SIPREG_STORE_PASSWORD", "sesame")],
    );
    assert_eq!(demo.code, Some(0), "{}", demo.all());
    assert!(!demo.all().contains("sesame"), "{}", demo.all());
    for store in ["memory", "x.db"] {
        let ran = sipreg(&[&["serve"], &OPTIONS[..], &["--store", store, "--store-wait", "1"]].concat());
        assert!(
            ran.code == Some(2) && ran.stderr.starts_with("error: --store-wait: is for"),
            "{}",
            ran.all()
        );
    }
}

/// Over TLS, with a certificate that is for the host and of an authority that is trusted.
#[test]
fn a_store_over_tls_has_to_prove_its_name() {
    let authority = Authority::new();
    let start = |names: &[&str]| {
        let pem = authority.signs("store.pem", names);
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let ca = authority.ca();
        let tls = [
            "--tls-cert-file",
            &pem,
            "--tls-key-file",
            &pem,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "no",
        ];
        (Store::start(&[&["--tls-port", &port], &tls[..]].concat()), format!("rediss://localhost:{port}"))
    };
    let home = tempfile::tempdir().unwrap();
    let (good, url) = start(&["localhost"]);
    let server = Server::start(&[&OPTIONS[..], &["--store", &url, "--tls-ca", &authority.ca()]].concat(), 1);
    assert_eq!(registers("alice", &server, home.path()), Some(0));
    assert_eq!(listed("alice", &server, home.path()), 1);
    drop(server);
    let untrusted = sipreg(&[&["serve"], &OPTIONS[..], &["--store", &url]].concat());
    assert_eq!(untrusted.code, Some(5), "{}", untrusted.all());
    drop(good);
    let (_bad, url) = start(&["other.example.com"]);
    let other = sipreg(&[&["serve"], &OPTIONS[..], &["--store", &url, "--tls-ca", &authority.ca()]].concat());
    assert!(other.code == Some(5) && other.stderr.contains("--tls-ca FILE trusts"), "{}", other.all());
}
