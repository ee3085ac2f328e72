//! Who a registrar over TLS is, and who it lets in: the laboratory's ports with certificates of every kind.

use serde_json::Value;

use crate::device::Device;
use crate::lab::{Lab, Port};
use crate::table::Transport;

/// A command at one of the ports, by the name of the domain.
fn register(device: &Device, port: Port, more: &[&str]) -> (Option<i32>, Value) {
    let number = Lab::secure().port(port);
    let registrar = format!("sip:munich.de:{number};transport=tls");
    let at = format!("munich.de:{number}:127.0.0.1");
    let options = ["register", "--stateless", "--json", "--registrar", &registrar, "--resolve", &at];
    let ran = device.run(&[&options[..], more].concat());
    (ran.code, ran.json())
}

/// SEC-002, SEC-003, SEC-010, SEC-012, SEC-014: a certificate that has run out, is for somebody else, is signed by itself, or for any
/// host of the domain, is each told as what it is, and nothing is sent.
#[test]
fn a_server_that_is_not_the_one_that_was_meant_hears_nothing() {
    let device = Device::over(Transport::Tls, "certificates");
    let ca = Lab::secure().file("ca.pem");
    let trusting = ["--tls-ca", &ca];
    for (port, more, cause, words) in [
        (Port::Expired, &trusting[..], "certificate_expired", "ran out"),
        (Port::Name, &trusting, "certificate_name", "nowhere.example, not for munich.de"),
        (Port::Selfmade, &trusting, "certificate_self_signed", "signed by itself"),
        (Port::Wildcard, &trusting, "certificate_name", "*.munich.de, not for munich.de"),
        (Port::Wildcard, &["--tls-ca", &ca, "--tls-wildcard"], "certificate_name", "*.munich.de"),
        (Port::Tls, &[], "certificate_issuer", "issued by"),
    ] {
        let (code, json) = register(&device, port, more);
        assert_eq!((code, &json["error"]["kind"]), (Some(5), &"untrusted".into()), "{json}");
        assert_eq!(json["error"]["cause"], cause, "{json}");
        assert!(json["error"]["message"].as_str().unwrap().contains(words), "{json}");
        assert_eq!((&json["requests"], &json["attempts"][0]["result"]), (&0.into(), &"tls".into()));
        assert_eq!(json["registrar"]["tls"]["verified"], false);
    }
    let (code, json) = register(&device, Port::Tls, &trusting);
    assert_eq!((code, &json["registrar"]["tls"]["verified"]), (Some(0), &true.into()), "{json}");
    assert_eq!(json["registrar"]["tls"]["name"], "munich.de");
    let (code, json) = register(&device, Port::Expired, &["--tls-insecure"]);
    assert_eq!((code, &json["registrar"]["tls"]["verified"]), (Some(0), &false.into()), "{json}");
    assert_eq!(json["registrar"]["tls"]["name"], Value::Null);
}

/// SEC-026: a registrar that wants a certificate gets one, and says so when it does not.
#[test]
fn a_client_certificate_is_shown_where_it_is_wanted() {
    let device = Device::over(Transport::Tls, "shown");
    let file = |name| Lab::secure().file(name);
    let (ca, good, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let (stranger, its_key) = (file("stranger.pem"), file("stranger.key"));
    let (code, json) =
        register(&device, Port::Mtls, &["--tls-ca", &ca, "--tls-cert", &good, "--tls-key", &key]);
    assert_eq!((code, &json["outcome"]), (Some(0), &"registered".into()), "{json}");
    let (code, json) = register(&device, Port::Mtls, &["--tls-ca", &ca]);
    assert_eq!((code, &json["error"]["cause"]), (Some(5), &"client_certificate_wanted".into()), "{json}");
    let (code, json) =
        register(&device, Port::Mtls, &["--tls-ca", &ca, "--tls-cert", &stranger, "--tls-key", &its_key]);
    assert_eq!((code, &json["error"]["kind"]), (Some(5), &"untrusted".into()), "{json}");
    assert!(json["error"]["message"].as_str().unwrap().contains("our certificate"), "{json}");
}
