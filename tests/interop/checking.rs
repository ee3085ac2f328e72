//! `check` against each case of the laboratory: what must be found, and nothing else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::lab::{Lab, Port};
use crate::report;
use crate::run::execute;

/// One case: its label, where, what the exit status is, what must be found and what may be.
struct Case {
    label: &'static str,
    port: Port,
    transport: &'static str,
    exit: i32,
    must: &'static [&'static str],
    may: &'static [&'static str],
    args: &'static [&'static str],
    password: Option<&'static str>,
    /// Contacts of other devices, registered beforehand.
    others: &'static [&'static str],
}

impl Case {
    const fn over(self, transport: &'static str, port: Port) -> Case {
        Case { transport, port, ..self }
    }

    const fn may(self, may: &'static [&'static str]) -> Case {
        Case { may, ..self }
    }

    const fn with(self, args: &'static [&'static str]) -> Case {
        Case { args, ..self }
    }

    const fn password(self, password: Option<&'static str>) -> Case {
        Case { password, ..self }
    }

    const fn after(self, others: &'static [&'static str]) -> Case {
        Case { others, ..self }
    }
}

const fn case(label: &'static str, exit: i32, must: &'static [&'static str]) -> Case {
    let password = Some("uncertainty");
    Case { label, port: Port::Sip, transport: "udp", exit, must, may: &[], args: &[], password, others: &[] }
}

/// Kamailio's module knows MD5 only, and most cases are without TLS.
const MD5: &str = "credentials warning clear_md5";

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("",           0, &[MD5]),
    case("",           0, &[MD5]).over("tcp", Port::Sip),
    case("",           0, &[]).over("tls", Port::Tls),
    case("open",       0, &["credentials warning open_registrar"]),
    case("many",       0, &[MD5]),
    // What its Service-Route names does not exist: no call by it arrives.
    case("svc",        0, &[MD5]).may(&["reach failed not_reachable"]),
    case("nocontact",  6, &["binding failed not_bound"]).may(&[MD5, "binding failed not_listed", "reach failed not_reachable"]),
    case("noqop",      0, &[MD5]),
    case("authint",    0, &[MD5]),
    case("qops",       0, &[MD5]),
    case("sha256",     0, &[]),
    case("both",       0, &[]),
    case("weak",       3, &["credentials failed algorithm_unserved"]).with(&["--min-algorithm", "SHA-256"]).may(&[MD5]),
    case("unknownalg", 3, &["credentials failed algorithm_unserved"]),
    case("basic",      3, &["credentials failed algorithm_unserved|*"]),
    case("proxyauth",  0, &[MD5]),
    case("proxyplus",  0, &[MD5]),
    // Its edge hands on no calls by a Path: they end with 403.
    case("edge407",    7, &[MD5, "reach failed not_reachable"]).over("udp", Port::Edge),
    case("stale",      3, &["credentials failed *"]).may(&[MD5]),
    case("stale1",     0, &[MD5]),
    case("once",       0, &[MD5]),
    case("nextnonce",  0, &[MD5]),
    case("wrongrealm", 3, &["credentials failed password_wrong"]).may(&[MD5]),
    case("wrongrealm", 3, &["credentials failed realm_unserved"]).with(&["--realm", "munich.de"]).may(&[MD5]),
    case("forbid",     3, &["credentials failed forbidden"]).may(&[MD5]),
    case("wrong",      3, &["credentials failed password_wrong"]).password(Some("certainty")).may(&[MD5]),
    case("without",    3, &["account failed password_missing"]).password(None).may(&[MD5]),
    case("min120",     0, &[MD5]),
    case("grant7200",  0, &[MD5, "binding warning lifetime_changed"]),
    case("min90000",   1, &["binding failed not_bound"]).may(&[MD5]),
    case("max2",       1, &["binding|registrar failed too_many_bindings|overloaded"]).may(&[MD5])
        .after(&["sip:a@192.0.2.1:9001", "sip:b@192.0.2.1:9002"]),
    case("retry30",    1, &["registrar failed overloaded"]),
    case("busy1",      1, &["registrar failed overloaded"]),
    case("e404",       1, &["registrar failed domain_not_served"]),
    case("e405",       1, &["registrar failed no_registrar"]),
    case("e500",       1, &["registrar failed registrar_error"]),
    case("e606",       1, &["registrar failed registrar_error"]),
    case("e305",       6, &["registrar failed redirected"]),
    case("moved",      0, &["registrar warning redirected", MD5]),
    case("movedq",     0, &["registrar warning redirected", MD5]),
    case("movedtcp",   0, &["registrar warning redirected", MD5]),
    case("loop",       6, &["registrar failed redirected"]),
    case("needpath",   0, &[MD5]),
    case("badext",     1, &["registrar failed registrar_error|extension_required"]),
    case("edge",       7, &[MD5, "reach failed not_reachable"]).over("udp", Port::Edge),
    case("forcepath",  7, &[MD5, "reach failed not_reachable"]).over("udp", Port::Edge),
    case("slow500",    0, &[MD5]),
    case("early1000",  0, &[MD5]),
    case("mute",       4, &["network|registrar failed silent"]),
    case("drop100",    4, &["network|registrar failed silent"]).may(&["network warning udp_blocked"]),
    case("hangup",     4, &["registrar failed *"]).over("tcp", Port::Sip),
    case("hangafter",  7, &[MD5, "reach failed not_reachable"]).over("tcp", Port::Sip),
    case("dead",       5, &["network failed refused"]).over("udp", Port::Dead),
    case("dead",       5, &["network failed refused"]).over("tcp", Port::Dead),
    case("expired",    5, &["tls failed certificate_expired"]).over("tls", Port::Expired),
    case("name",       5, &["tls failed certificate_name"]).over("tls", Port::Name),
    case("selfmade",   5, &["tls failed certificate_self_signed"]).over("tls", Port::Selfmade),
    case("wildcard",   5, &["tls failed certificate_name"]).over("tls", Port::Wildcard),
    case("mtls",       5, &["tls failed client_certificate_wanted"]).over("tls", Port::Mtls),
];

/// Cases under way at the same time.
const WORKERS: usize = 8;

/// Every case of the laboratory is told as what it is. The laboratory is this test's own: what the others bind, and leave,
/// would be found.
#[test]
#[ignore = "wants the laboratory for itself; tests/run --long runs it"]
fn every_case_of_the_laboratory_is_told_as_what_it_is() {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let lab = Lab::shared();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(text) = check(lab, case) {
                        let line =
                            format!("== {} over {} {:?}\n{text}\n", case.label, case.transport, case.port);
                        failures.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}

fn check(lab: &Lab, case: &Case) -> Result<(), String> {
    let home = tempfile::tempdir().unwrap();
    let domain =
        if case.label.is_empty() { "munich.de".to_owned() } else { format!("{}.munich.de", case.label) };
    // Each transport has a person of its own, whose bindings no other one sees.
    let (user, password) = match case.transport {
        "tcp" => ("schrodinger", Some("cat")),
        "tls" => ("bohr", Some("copenhagen")),
        _ => ("heisenberg", case.password),
    };
    let target = format!("127.0.0.1:{}", lab.port(case.port));
    let aor = format!("sip:{user}@{domain}");
    let mut shared = vec![
        "--registrar",
        &target,
        "--json",
        "--transport",
        case.transport,
        "--t1",
        "50ms",
        "--timeout",
        "30s",
    ];
    let ca = lab.file("ca.pem");
    if case.transport == "tls" {
        shared.extend(["--tls-ca", &ca]);
    }
    for contact in case.others {
        let words = [&["register", &aor, "--stateless", "--contact", contact], &shared[..]].concat();
        execute(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), password, home.path());
    }
    let words = [&["check", &aor][..], &shared[..], case.args].concat();
    let ran =
        execute(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), password, home.path());
    let Ok(object) = serde_json::from_str::<Value>(&ran.stdout) else {
        return Err(format!("no JSON\n{}", ran.all()));
    };
    let mut wrong = report::faults(&object, ran.code);
    wrong.extend(report::differences(&object, ran.code, case.exit, case.must, case.may));
    let words = [&["list", &aor, "--stateless"], &shared[..], case.args].concat();
    let listed =
        execute(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), password, home.path());
    if let Ok(list) = serde_json::from_str::<Value>(&listed.stdout) {
        let left = list["bindings"].as_array().map_or(0, |all| {
            all.iter().filter(|one| one["uri"].as_str().is_some_and(|uri| uri.contains("@127."))).count()
        });
        if left > 0 {
            wrong.push(format!("{left} bindings of this host at the end"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{}", wrong.join("\n"), report::shown(&object))),
    }
}
