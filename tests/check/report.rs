//! The JSON of `check`: what the contract says of every one, whatever was found.

use serde_json::{Map, Value};

/// The steps in their order, with the causes that each may name.
pub const STEPS: [(&str, &str); 11] = [
    ("account", "password_missing"),
    (
        "dns",
        "name_unknown no_records nameserver_silent nameserver_failed srv_target_unknown service_not_offered",
    ),
    (
        "network",
        "refused unreachable silent destination_down udp_blocked tcp_blocked ipv6_broken ipv4_broken",
    ),
    (
        "tls",
        "certificate_expired certificate_not_yet_valid certificate_name certificate_issuer \
         certificate_self_signed client_certificate_wanted not_tls tls_version silent certificate_expires_soon",
    ),
    (
        "registrar",
        "not_sip silent no_registrar domain_not_served overloaded extension_required redirected registrar_error",
    ),
    (
        "credentials",
        "password_wrong user_unknown realm_unserved algorithm_unserved forbidden open_registrar clear_md5",
    ),
    ("binding", "not_bound not_listed contact_rewritten too_many_bindings not_removed lifetime_changed"),
    ("way", "tampered size_lost behind_nat"),
    ("reach", "not_reachable nat_mapping_short answered_by_other"),
    ("clock", "clock_off"),
    ("others", "servers_differ leftovers"),
];

/// Causes that are warnings always, and those that may be one or the other.
const WARNINGS: &str = "destination_down udp_blocked tcp_blocked ipv6_broken ipv4_broken certificate_expires_soon \
                        open_registrar clear_md5 lifetime_changed behind_nat answered_by_other clock_off servers_differ leftovers";
const EITHER: &str = "nameserver_silent nameserver_failed srv_target_unknown redirected size_lost";

/// The keys of the object, in their order.
const KEYS: &str = "schema command ok outcome aor status reason expires contact contacts bindings registrar auth \
                    service_route path pub_gruu temp_gruu received call_id cseq requests retransmissions elapsed_ms attempts";

fn has(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

fn steps(object: &Value) -> Vec<&Map<String, Value>> {
    object["steps"].as_array().into_iter().flatten().filter_map(Value::as_object).collect()
}

fn text<'a>(step: &'a Map<String, Value>, key: &str) -> &'a str {
    step.get(key).and_then(Value::as_str).unwrap_or("")
}

/// What was found, warnings and failures, as in `dns failed name_unknown`.
pub fn findings(object: &Value) -> Vec<String> {
    let found =
        steps(object).into_iter().filter(|step| ["warning", "failed"].contains(&text(step, "result")));
    found.map(|step| ["step", "result", "cause"].map(|key| text(step, key)).join(" ")).collect()
}

/// The steps with their messages, to be read beside what is wrong.
pub fn shown(object: &Value) -> String {
    let line = |step: &Map<String, Value>| {
        ["step", "result", "cause", "message"].map(|key| text(step, key)).join(" ")
    };
    let steps: Vec<_> = steps(object).into_iter().map(line).collect();
    format!("  {}\n  error {}", steps.join("\n  "), object["error"])
}

/// Where it is not what the contract says.
pub fn faults(object: &Value, code: Option<i32>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |is_so: bool, what: &str| {
        if !is_so {
            wrong.push(what.to_owned());
        }
    };
    let steps = steps(object);
    let mut order: Vec<_> = steps.iter().map(|step| text(step, "step")).collect();
    order.dedup();
    must(order == STEPS.map(|(name, _)| name), &format!("the steps: {order:?}"));
    for step in &steps {
        let (name, result, cause) = (text(step, "step"), text(step, "result"), text(step, "cause"));
        let keys: Vec<_> = step.keys().map(String::as_str).collect();
        let wanted = ["step", "result", "cause", "message", "hint", "elapsed_ms"];
        must(
            wanted.iter().all(|key| keys.contains(key)) && keys.len() == 6,
            &format!("{name}: keys {keys:?}"),
        );
        must(!text(step, "message").is_empty(), &format!("{name}: no message"));
        let known = STEPS.iter().find(|(step, _)| *step == name).map_or("", |(_, causes)| causes);
        let is_due = match result {
            "ok" | "skipped" => step["cause"].is_null(),
            "warning" => has(known, cause) && (has(WARNINGS, cause) || has(EITHER, cause)),
            "failed" => has(known, cause) && !has(WARNINGS, cause),
            _ => false,
        };
        must(is_due, &format!("{name}: {result} {:?}", step["cause"]));
        must(
            ["ok", "skipped"].contains(&result) || !text(step, "hint").is_empty(),
            &format!("{name} {cause}: no hint"),
        );
    }
    let first = steps.iter().find(|step| text(step, "result") == "failed");
    let is_bound =
        steps.iter().any(|step| text(step, "step") == "binding" && text(step, "result") != "skipped");
    must(first.is_some() || is_bound, "nothing failed, and yet nothing was bound");
    let error = &object["error"];
    let (outcome, ok) = (object["outcome"].as_str().unwrap_or(""), object["ok"] == true);
    match first {
        None => must(
            outcome == "checked" && ok && error.is_null() && code == Some(0),
            "nothing failed, and yet it did",
        ),
        Some(first) => {
            must(outcome == "failed" && !ok, "the outcome is not that of a failure");
            must(error["cause"] == first["cause"], &format!("error.cause is {}", error["cause"]));
            let kind = match code {
                Some(1) => "refused",
                Some(3) => "credentials",
                Some(4) => "timeout",
                Some(5) if first["step"] == "tls" => "untrusted",
                Some(5) => "unreachable",
                Some(6) => "misbehaved",
                Some(7) => "unmet",
                _ => "another",
            };
            must(error["kind"] == kind, &format!("error.kind is {}, with exit {code:?}", error["kind"]));
            must(!error["message"].is_null() && error["warnings"].is_array(), "error lacks something");
        }
    }
    for key in KEYS.split_whitespace().chain(["error", "steps"]) {
        must(object.get(key).is_some(), &format!("no {key}"));
    }
    must(object["command"] == "check" && object["schema"] == 1, "the command or the schema is another");
    must(
        object["requests"].as_u64().is_some_and(|requests| requests <= 40),
        &format!("{} requests", object["requests"]),
    );
    wrong
}

/// Where it is another than what must be found; what may be found besides is said, and everything else is made up. A finding
/// is a step, a result and a cause; `|` stands between words of which each is right, `*` for any.
pub fn differences(object: &Value, code: Option<i32>, exit: i32, must: &[&str], may: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    if code != Some(exit) {
        wrong.push(format!("exit status: expected {exit}, got {code:?}"));
    }
    let found = findings(object);
    let lacking = must.iter().filter(|must| !found.iter().any(|found| is_like(found, must)));
    wrong.extend(lacking.map(|must| format!("not found: {must}")));
    let made_up = found.iter().filter(|found| !must.iter().chain(may).any(|known| is_like(found, known)));
    wrong.extend(made_up.map(|found| format!("made up: {found}")));
    wrong
}

fn is_like(found: &str, meant: &str) -> bool {
    let mut words = found.split(' ').zip(meant.split(' '));
    words.all(|(found, meant)| meant == "*" || meant.split('|').any(|one| one == found))
}
