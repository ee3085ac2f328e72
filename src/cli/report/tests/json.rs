//! The JSON object and its schema.

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
    insta::assert_snapshot!(stdout, @r#"{"schema":1,"command":"register","ok":true,"outcome":"registered","aor":"sip:werner.heisenberg@munich.de","status":200,"reason":"OK","expires":3600,"contact":"sip:werner.heisenberg@200.201.202.203:5060","contacts":[{"uri":"sip:werner.heisenberg@200.201.202.203:5060","expires":3600}],"bindings":[{"uri":"sip:werner.heisenberg@200.201.202.203:5060","expires":3600,"q":null,"own":true,"params":{}},{"uri":"sip:w@192.0.2.7","expires":60,"q":0.5,"own":false,"params":{"+sip.instance":"<urn:uuid:1>","methods":"INVITE, BYE","ob":null}}],"registrar":{"uri":"sip:munich.de","transport":"udp","remote":"192.0.2.1:5060","local":"200.201.202.203:5060"},"auth":[{"scheme":"Digest","algorithm":"SHA-256","qop":"auth","realm":"munich.de"}],"service_route":[],"path":[],"pub_gruu":null,"temp_gruu":null,"received":null,"call_id":"5b2b4c7a9e1f","cseq":2,"requests":2,"retransmissions":0,"elapsed_ms":12.3,"attempts":[{"transport":"udp","remote":"192.0.2.1:5060","result":"200"}],"error":null}"#);
    assert_eq!((exit, stderr.as_str()), (Exit::Done, ""));
}

/// Nothing was sent: there is no far end, no Call-ID, no CSeq.
#[test]
fn without_a_request_there_is_nothing_to_tell_of_it() {
    let report = Report { requests: 0, cseq: 0, ..failed(Failure::Timeout, None) };
    let json = json(&report);
    assert_eq!(
        json["registrar"],
        serde_json::json!({"uri": "sip:munich.de", "transport": null, "remote": null, "local": null})
    );
    assert!(json["call_id"].is_null() && json["cseq"].is_null());
}

/// What the schema requires and which types it allows holds for every kind of output.
#[test]
fn outputs_keep_to_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(&crate::cli::report::json::schema()).unwrap();
    let mut success = bound();
    success.bindings.push(listed("<sip:w@192.0.2.7>;q=0.5;ob;x=\"y\"", 60, false));
    success.path = vec![NameAddr::parse(b"<sip:edge1.munich.de;lr>").unwrap()];
    let usage = Object::without_report(None, None).with_error(Kind::Usage, "m".into(), None).line();
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
        check(&schema, &schema, &output, "$");
    }
}

/// The part of JSON Schema that the schema uses; anything else fails, so that the checker grows with it.
fn check(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value, at: &str) {
    use serde_json::Value;
    for (key, rule) in schema.as_object().unwrap() {
        match key.as_str() {
            "$schema" | "title" | "description" | "format" | "minimum" | "maximum" | "pattern" => {}
            "$defs" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(root, &root["$defs"][name], value, at);
            }
            "type" => {
                let is = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_u64() => "integer",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                let allowed = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                assert!(
                    allowed.iter().any(|one| one == is || one == "number" && is == "integer"),
                    "{at} is {is}, not {rule}"
                );
            }
            "const" => assert_eq!(value, rule, "{at}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}"),
            "anyOf" | "oneOf" => {
                let fits = |one: &Value| std::panic::catch_unwind(|| check(root, one, value, at)).is_ok();
                assert!(rule.as_array().unwrap().iter().any(fits), "{at}: {value} fits none of {rule}");
            }
            "required" => {
                let object = value.as_object().unwrap();
                for name in rule.as_array().unwrap() {
                    assert!(object.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
                }
            }
            "properties" => {
                for (name, member) in value.as_object().unwrap() {
                    let Some(known) = rule.get(name) else { panic!("{at}.{name} is not in the schema") };
                    assert!(
                        known.get("description").is_some() || known.get("$ref").is_some(),
                        "{at}.{name} is not described"
                    );
                    check(root, known, member, &format!("{at}.{name}"));
                }
            }
            "additionalProperties" => {
                for (name, member) in value.as_object().unwrap() {
                    check(root, rule, member, &format!("{at}.{name}"));
                }
            }
            "items" => {
                for item in value.as_array().unwrap() {
                    check(root, rule, item, &format!("{at}[]"));
                }
            }
            other => panic!("the checker does not know {other} at {at}"),
        }
    }
}
