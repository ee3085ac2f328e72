//! The JSON object and its schema.

use serde_json::Value;

use super::*;

/// Keys, order and types as the contract shows them.
#[test]
fn the_json_of_a_success() {
    let mut success = bound();
    success.bindings.push(listed(
        "<sip:w@192.0.2.7>;q=0.5;expires=60;+sip.instance=\"<urn:uuid:1>\";ob;methods=\"INVITE, BYE\"",
        60,
        false,
    ));
    let (exit, stdout, stderr) = shown(
        &report(Ok(success), Some((200, "OK"))),
        Settings { json: true, ends_unanswered: true, ..Settings::default() },
    );
    insta::assert_snapshot!(stdout, @r#"{"schema":1,"command":"register","ok":true,"outcome":"registered","aor":"sip:werner.heisenberg@munich.de","status":200,"reason":"OK","expires":3600,"contact":"sip:werner.heisenberg@200.201.202.203:5060","contacts":[{"uri":"sip:werner.heisenberg@200.201.202.203:5060","expires":3600}],"bindings":[{"uri":"sip:werner.heisenberg@200.201.202.203:5060","expires":3600,"q":null,"own":true,"params":{}},{"uri":"sip:w@192.0.2.7","expires":60,"q":0.5,"own":false,"params":{"+sip.instance":"<urn:uuid:1>","methods":"INVITE, BYE","ob":null}}],"registrar":{"uri":"sip:munich.de","transport":"udp","remote":"192.0.2.1:5060","local":"200.201.202.203:5060","tls":null},"auth":[{"scheme":"Digest","algorithm":"SHA-256","qop":"auth","realm":"munich.de"}],"service_route":[],"path":[],"pub_gruu":null,"temp_gruu":null,"received":null,"call_id":"5b2b4c7a9e1f","cseq":2,"requests":2,"retransmissions":0,"elapsed_ms":12.3,"attempts":[{"transport":"udp","remote":"192.0.2.1:5060","result":"200","target":null}],"error":null}"#);
    assert_eq!((exit, stderr.as_str()), (Exit::Done, ""));
}

/// Nothing was sent: there is no far end, no Call-ID, no CSeq.
#[test]
fn without_a_request_there_is_nothing_to_tell_of_it() {
    let report = Report { requests: 0, cseq: 0, ..failed(Failure::Timeout, None) };
    let json = json(&report);
    assert_eq!(
        json["registrar"],
        serde_json::json!({"uri": "sip:munich.de", "transport": null, "remote": null, "local": null, "tls": null})
    );
    assert!(json["call_id"].is_null() && json["cseq"].is_null());
}

/// What the schema requires and which types it allows holds for every kind of output.
#[test]
fn outputs_keep_to_the_schema() {
    let schema: Value = serde_json::from_str(&crate::cli::report::json::schema()).unwrap();
    let mut success = bound();
    success.bindings.push(listed("<sip:w@192.0.2.7>;q=0.5;ob;x=\"y\"", 60, false));
    success.path = vec![NameAddr::parse(b"<sip:edge1.munich.de;lr>").unwrap()];
    let usage = Object::without_report(None, None).with_error(Fault::new(Exit::Usage, "m", None)).line();
    for output in [
        json(&report(Ok(success), Some((200, "OK")))),
        json(&failed(Failure::Timeout, None)),
        json(&Report {
            requests: 0,
            hop: None,
            ..failed(Failure::Misbehaved(Misbehaviour::NotBound), Some((200, "OK")))
        }),
        serde_json::from_str(&usage).unwrap(),
    ] {
        check(&schema, &schema, &output, "$").unwrap();
    }
}

/// The part of JSON Schema that the schema uses; anything else fails, so that the checker grows with it.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{at}: {value} {what}")) };
    for (key, rule) in schema.as_object().unwrap() {
        match key.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "minimum" | "maximum" | "pattern" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(root, &root["$defs"][name], value, at)?;
            }
            "type" => {
                let allowed = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                ensure(allowed.iter().any(|one| is_type(value, one)), &format!("is not {rule}"))?;
            }
            "const" => ensure(value == rule, &format!("is not {rule}"))?,
            "enum" => ensure(rule.as_array().unwrap().contains(value), &format!("is none of {rule}"))?,
            "anyOf" | "oneOf" => {
                let fits = |one: &Value| check(root, one, value, at).is_ok();
                ensure(rule.as_array().unwrap().iter().any(fits), &format!("fits none of {rule}"))?;
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    ensure(value.get(name.as_str().unwrap()).is_some(), &format!("lacks {name}"))?;
                }
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    let known = &rule[name];
                    let described = known.get("description").is_some() || known.get("$ref").is_some();
                    ensure(described, &format!("has {name}, which is not described"))?;
                    check(root, known, member, &format!("{at}.{name}"))?;
                }
            }
            "additionalProperties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    check(root, rule, member, &format!("{at}.{name}"))?;
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, rule, item, &format!("{at}[]"))?;
                }
            }
            other => return Err(format!("the checker does not know {other} at {at}")),
        }
    }
    Ok(())
}

fn is_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}
