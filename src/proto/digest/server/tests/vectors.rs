use serde_json::Value;

use super::*;

/// The one body in the vectors.
const BODY: &[u8] = b"v=0\r\n\
    o=bob 2890844526 2890844526 IN IP4 media.biloxi.com\r\n\
    s=-\r\n\
    c=IN IP4 media.biloxi.com\r\n\
    t=0 0\r\n\
    m=audio 49170 RTP/AVP 0\r\n\
    a=rtpmap:0 PCMU/8000\r\n\
    m=video 51372 RTP/AVP 31\r\n\
    a=rtpmap:31 H261/90000\r\n\
    m=video 53000 RTP/AVP 32\r\n\
    a=rtpmap:32 MPV/90000\r\n";

/// RAU-015: the vectors' nonces are not ours, so that a right digest is stale and a wrong one refused.
#[test]
fn the_digests_of_all_vectors_that_a_server_takes_are_right() {
    let all: Value = serde_json::from_str(include_str!("../../../../../tests/vectors/digest.json")).unwrap();
    let mut taken = 0;
    for vector in all["vectors"].as_array().unwrap() {
        let get = |key: &str| vector[key].as_str();
        let (id, realm) = (get("id").unwrap(), get("realm").unwrap());
        let Some((algorithm, Variant::Plain)) = Algorithm::parse(get("algorithm").unwrap_or("MD5")) else {
            continue;
        };
        let mut ha1s = [None, None, None];
        ha1s[place(algorithm)] = Some(Hidden::new(vector["expect"]["ha1"].as_str().unwrap().to_owned()));
        let name = get("username").unwrap().to_owned();
        let mut users = Users::default();
        assert!(users.add(User { realm: realm.to_owned(), name, may_register: Vec::new() }, ha1s));
        let mut server = Server::of(users, &[]);
        server.verifier = server.verifier.without_qop(true);
        let body: &[u8] = if vector.get("body_b64").is_some() { BODY } else { b"" };
        let method = match get("method").unwrap() {
            "REGISTER" => Method::Register,
            "INVITE" => Method::Invite,
            "GET" => Method::Other("GET".to_owned()),
            other => panic!("{other}"),
        };
        let sent = get("authorization").unwrap();
        let right = vector["expect"]["response"].as_str().unwrap();
        let flipped = format!("{}{}", if right.starts_with('0') { '1' } else { '0' }, &right[1..]);
        for (row, is_right) in [(sent.to_owned(), true), (sent.replace(right, &flipped), false)] {
            let credentials = [Credentials::parse(row.as_bytes()).unwrap()];
            let asked = Presented {
                realm,
                method: &method,
                uri: get("uri").unwrap(),
                body,
                credentials: &credentials,
            };
            match server.verifier.check(asked, START) {
                Verdict::Stale(_) => assert!(is_right, "{id}"),
                Verdict::Refused { username, why: AuthFailure::Wrong } => {
                    assert!(!is_right, "{id}");
                    assert_eq!(&*username, get("username").unwrap(), "{id}");
                }
                other @ (Verdict::Proven(_)
                | Verdict::Unproven
                | Verdict::Refused { .. }
                | Verdict::Malformed(_)) => panic!("{id}: {other:?}"),
            }
        }
        taken += 1;
    }
    assert_eq!(taken, 33);
}
