//! Accounts that work: nothing is reported, and nothing is left changed. The registrar is our own `serve`.

use serde_json::Value;

use crate::report::{faults, findings, shown};
use crate::table::phone;
use crate::world::{Host, Tcp, Tls, Transport, Udp, World, Ws};

/// Another device's binding, at a host where somebody answers.
const OTHER: &str = "sip:werner@{9}:5060";

/// A world with `serve`, where another device is bound, and options for all who go there.
fn world(transports: &[Transport], options: &[&str]) -> World {
    let world = World::new().serve(transports).srv(transports, 1).sip(Host(9), &[Udp], &phone());
    let world = world.options(options);
    let ran = world.run_elsewhere(&["register", "--json", "--contact", OTHER]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    world
}

/// The bindings there: Contact and Call-ID are what makes them.
fn bindings(world: &World) -> Vec<String> {
    let object = world.run_elsewhere(&["list", "--json"]).json();
    let all = object["bindings"].as_array().unwrap().iter();
    all.map(|binding| binding["uri"].as_str().unwrap().to_owned()).collect()
}

fn nothing_is_reported(name: &str, world: &World) -> Value {
    let before = bindings(world);
    assert_eq!(before.len(), 1, "{name}: {before:?}");
    let ran = world.run(&["check", "--json", "--strict"]);
    let object = ran.json();
    assert_eq!(ran.code, Some(0), "{name}: {}", ran.all());
    assert_eq!(faults(&object, ran.code), [""; 0], "{name}: {}", shown(&object));
    assert_eq!(findings(&object), [""; 0], "{name}: {}", shown(&object));
    assert_eq!(bindings(world), before, "{name}");
    object
}

/// What a step came to.
fn result<'a>(object: &'a Value, name: &str) -> &'a str {
    let step = object["steps"].as_array().unwrap().iter().find(|step| step["step"] == name);
    step.unwrap()["result"].as_str().unwrap()
}

/// Over each transport, by the name service, by a proxy and by an address: every step is ok, or has nothing to look at.
#[test]
fn nothing_is_reported_of_an_account_that_works() {
    let proxy = ["--proxy", "sip:{1}"];
    let address = ["--registrar", "sip:{1}"];
    for (name, transports, more) in [
        ("UDP", &[Udp][..], &[][..]),
        ("TCP", &[Tcp], &[]),
        ("TLS", &[Tls], &[]),
        ("UDP and TCP", &[Udp, Tcp], &[]),
        ("a proxy", &[Udp], &proxy),
        ("an address", &[Udp], &address),
        ("WebSocket", &[Ws], &["--registrar", "sip:munich.de;transport=ws"]),
        ("all transports", &[Udp, Tcp, Tls], &[]),
    ] {
        let world = world(transports, more);
        let object = nothing_is_reported(name, &world);
        for step in ["account", "network", "registrar", "credentials", "binding", "way", "reach", "others"] {
            assert_eq!(result(&object, step), "ok", "{name}: {}", shown(&object));
        }
        let tls = if transports == [Tls] { "ok" } else { "skipped" };
        assert!(result(&object, "tls") == tls || transports.len() == 3, "{name}: {}", shown(&object));
    }
}

/// A fast one: an account over UDP on loopback takes less than a second and a half.
#[test]
fn a_healthy_account_is_checked_soon() {
    let world = world(&[Udp], &[]);
    let took = (0..3).map(|_| nothing_is_reported("UDP", &world)["elapsed_ms"].as_f64().unwrap());
    let best = took.fold(f64::MAX, f64::min);
    assert!(best < 1500.0, "{best} ms");
}

/// A secure registrar is gone to over TLS.
#[test]
fn a_secure_account_is_checked_over_tls() {
    let world = world(&[Tls], &["--registrar", "sips:munich.de"]);
    let object = nothing_is_reported("sips", &world);
    assert_eq!(object["registrar"]["transport"], "tls");
}

/// A second device of the same host that somebody keeps is no leftover.
#[test]
fn a_device_that_is_kept_is_no_leftover() {
    let world = world(&[Udp], &[]);
    let mut keep = world.start(&["keep", "--json", "--for", "30s"]);
    while bindings(&world).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ran = world.run(&["check", "--json"]);
    let object = ran.json();
    assert_eq!(findings(&object), [""; 0], "{}", shown(&object));
    assert_eq!(bindings(&world).len(), 2);
    let _ = keep.kill();
    let _ = keep.wait();
}
