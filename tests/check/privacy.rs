//! Secrets: in no output, no file, and never sent a second time after they were refused.

use std::path::Path;

use crate::registrar::{PASSWORD, Registrar};
use crate::table::{good, new, usual};
use crate::traces::proofs;
use crate::world::World;

/// All files below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    all
}

fn holds(octets: &[u8], secret: &str) -> bool {
    octets.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// The proofs that a registrar got: what a stranger could try passwords against.
fn responses(registrar: &Registrar) -> Vec<String> {
    let of = |proof: &str| proof.split_once("response=\"")?.1.split_once('"').map(|(it, _)| it.to_owned());
    registrar.came().iter().filter_map(|request| of(request.get("Authorization")?)).collect()
}

/// Neither the password nor a proof of it is in the output, the report or a trace, whether it is right or not.
#[test]
fn no_secret_is_written_anywhere() {
    for (name, registrar, is_secure) in [
        ("right", new(), false),
        ("wrong", new().password("certainty"), false),
        ("MD5", new().algorithm("MD5"), false),
        ("TLS", new(), true),
    ] {
        let world = if is_secure { World::new().secure(&registrar, good) } else { usual(registrar.clone()) };
        let (report, trace) = (world.file("report"), world.file("trace.pcapng"));
        for words in
            [&["--report", &report][..], &["--trace", &trace], &["--json"], &["--json", "--report", &report]]
        {
            let ran = world.run(&[&["check", "-vv"], words].concat());
            let secrets = [responses(&registrar), vec![PASSWORD.to_owned()]].concat();
            assert!(secrets.len() > 1, "{name}: {}", ran.all());
            let mut written = vec![("output".to_owned(), ran.all().into_bytes())];
            match words {
                ["--trace", _] => written.push(("trace".to_owned(), std::fs::read(&trace).unwrap())),
                ["--json"] => {}
                _ => written.extend(files(Path::new(&report))),
            }
            assert!(!words.contains(&report.as_str()) || written.len() >= 4, "{name}: {}", ran.all());
            for (file, octets) in &written {
                let found: Vec<_> = secrets.iter().filter(|secret| holds(octets, secret)).collect();
                assert!(found.is_empty(), "{name}: {file} has {found:?}");
            }
        }
    }
}

/// A password that is wrong is sent once, whatever else is still looked at: accounts get locked.
#[test]
fn a_wrong_password_is_sent_once() {
    for status in ["401 Unauthorized", "403 Forbidden", "407 Proxy Authentication Required"] {
        let registrar = match status {
            "401 Unauthorized" => new().password("certainty"),
            _ => new().refuses_proven(status),
        };
        let second = registrar.clone();
        let world = usual(registrar.clone()).sip(crate::world::Host(2), &[crate::world::Udp], &second);
        let world = world.srv(&[crate::world::Udp], 2);
        let ran = world.run(&["check", "--json"]);
        assert_eq!(ran.code, Some(3), "{status}: {}", ran.all());
        assert_eq!(proofs(&[registrar]), 1, "{status}: {}", ran.all());
    }
}

/// A challenge of a host that only a redirection named is answered for no realm of ours.
#[test]
fn another_host_gets_no_proof() {
    let (first, second) = (new(), new());
    let world = World::new()
        .sip(crate::world::Host(1), &[crate::world::Udp], &first)
        .sip(crate::world::Host(2), &[crate::world::Udp], &second)
        .srv(&[crate::world::Udp], 1)
        .srv(&[crate::world::Udp], 2);
    let ran = world.run(&["check", "--json"]);
    let used = [&first, &second].map(|registrar| proofs(std::slice::from_ref(registrar)) > 0);
    assert_eq!(used.iter().filter(|used| **used).count(), 1, "{}", ran.all());
}
