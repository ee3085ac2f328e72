//! The laws of `tests/fuzz` in short runs, on random and on mutated octets.

use crate::laws;
use crate::torture::torture;
use proptest::prelude::*;
use sipreg::sip::Request;
use std::sync::LazyLock;

/// Octets that mean something to a SIP parser more often than others.
fn telling_octet() -> impl Strategy<Value = u8> {
    const TELLING: &[u8] = b"\r\n\r\n \t:;,=\"\"\\<>@%[]*?/()0az\0\xFF";
    (any::<u8>(), any::<bool>()).prop_map(|(octet, telling)| match telling {
        true => TELLING[usize::from(octet) % TELLING.len()],
        false => octet,
    })
}

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Insert(usize, u8),
    Cut(usize, usize),
    Copy(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    prop_oneof![
        (place.clone(), telling_octet()).prop_map(|(at, octet)| Change::Set(at, octet)),
        (place.clone(), telling_octet()).prop_map(|(at, octet)| Change::Insert(at, octet)),
        (place.clone(), 1usize..30).prop_map(|(at, length)| Change::Cut(at, length)),
        (place.clone(), place, 1usize..30).prop_map(|(from, to, length)| Change::Copy(from, to, length)),
    ]
}

fn changed(mut octets: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let size = octets.len().max(1);
        match *change {
            Change::Set(at, octet) => {
                if let Some(place) = octets.get_mut(at % size) {
                    *place = octet;
                }
            }
            Change::Insert(at, octet) => octets.insert((at % size).min(octets.len()), octet),
            Change::Cut(at, length) => {
                let start = (at % size).min(octets.len());
                let end = (start + length).min(octets.len());
                octets.drain(start..end);
            }
            Change::Copy(from, to, length) => {
                let start = (from % size).min(octets.len());
                let end = (start + length).min(octets.len());
                let piece = octets[start..end].to_vec();
                let to = (to % size).min(octets.len());
                octets.splice(to..to, piece);
            }
        }
    }
    octets
}

/// Header values of the torture set, without their names.
fn values() -> &'static [Vec<u8>] {
    static VALUES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let messages = torture().iter().filter_map(|message| Request::salvage(&message.octets));
        messages
            .flat_map(|request| request.headers.iter().map(|row| row.value().to_vec()).collect::<Vec<_>>())
            .collect()
    });
    &VALUES
}

/// Random octets, or a header value with some octets changed.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let changed_value = (any::<prop::sample::Index>(), prop::collection::vec(change(), 0..4))
        .prop_map(|(which, changes)| changed(which.get(values()).clone(), &changes));
    prop_oneof![prop::collection::vec(telling_octet(), 0..80), changed_value]
}

/// URIs that differ in little, so that they are sometimes equal.
fn uri() -> impl Strategy<Value = String> {
    let param = "(;([abA]|%61|lr|transport|user|%75ser|maddr)(=([xX]|%78|y))?){0,3}";
    let pattern =
        format!("(sip|SIP|sips):(([aA]|%61|a;b|a%3bb)(:p|:)?@)?(h|H|192\\.0\\.2\\.1)(:5060)?{param}");
    let headers = "(\\?((c|C|Call-ID|%43all-ID)=([xX]|%78))(&d=1)?)?";
    prop::string::string_regex(&(pattern + headers)).unwrap()
}

/// Names, URIs and addresses that a certificate may have, few enough to be the same sometimes.
fn name_of_certificate() -> impl Strategy<Value = String> {
    let name = "(([aA]|\\*|a\\*)\\.)?(b\\.)?([cC]|192\\.0\\.2\\.[0-9]{1,2})\\.?";
    prop::string::string_regex(&format!("((sip|SIP|sips):)?(u@)?{name}(:1|;x|\\?y)?")).unwrap()
}

/// Rows that decide where a request goes, and what of it stays with a proxy.
fn passing_row() -> impl Strategy<Value = String> {
    let uri =
        "(sip|SIP|sips):([ab]@)?[a-d](:5060)?(;lr|;did=[a-d]|;maddr=[a-d]|;transport=tcp|;method=BYE|;;)?";
    let hop = format!("(\"[Q,]\" |Q )?<{uri}>(;x)?|sip:[a-d](;lr)?|<tel:1>|,");
    let credentials = "(Digest realm=\"[a-d]\", nonce=\"[\\\\x]?\"|Basic a=|Digest realm=[a-d])";
    let rows = format!(
        "(Route: ({hop})(,({hop}))?|Proxy-Authorization: {credentials}(, {credentials})?|Max-Breadth: [0-9]{{0,3}}|\
         Via: SIP/2\\.0/UDP [a-d](;branch=z9hG4bK[a-d])?,?|WWW-Authenticate: Digest realm=\"[a-d]\"|Contact: <{uri}(\\?a=b)?>)\r\n"
    );
    prop::string::string_regex(&rows).unwrap()
}

proptest! {
    /// DSR-003, TRN-023, TRN-024: random octets in whatever pieces.
    #[test]
    fn random_streams_are_cut_the_same(octets in prop::collection::vec(telling_octet(), 0..300)) {
        laws::framing::any_split_gives_the_same(&octets);
    }

    /// TRN-023, TRN-024: torture messages and keep-alives in whatever pieces.
    #[test]
    fn mutated_streams_are_cut_the_same(
        sizes in prop::collection::vec(any::<u8>(), 0..16),
        messages in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3), 1..4),
        changes in prop::collection::vec(change(), 0..4),
    ) {
        let mut stream = Vec::new();
        for (which, ends) in messages {
            stream.extend_from_slice(&which.get(torture()).octets);
            stream.extend_from_slice(&b"\r\n\r\n"[..2 * ends]);
        }
        let mut octets = vec![u8::try_from(sizes.len()).unwrap()];
        octets.extend(sizes);
        octets.extend(changed(stream, &changes));
        laws::framing::any_split_gives_the_same(&octets);
    }

    /// DSR-003
    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(telling_octet(), 0..300)) {
        laws::message::read_write_read(&octets);
    }

    /// WSS-001, WSS-002, DSR-003: heads of a handshake with some octets changed.
    #[test]
    fn mutated_handshakes_are_read_within_bounds(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 0..4),
        octets in prop::collection::vec(telling_octet(), 0..80),
    ) {
        let request = sipreg::net::upgrade::request("munich.de", "/a?b", laws::upgrade::KEY, None);
        let answer = sipreg::net::upgrade::read_request(&request, &[]).unwrap().unwrap().answer;
        let challenge = b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\r\n".to_vec();
        let heads = [request, answer, challenge, Vec::new()];
        let mut octets = octets;
        octets.splice(0..0, changed(which.get(&heads).clone(), &changes));
        laws::upgrade::any_octets_are_read_within_bounds(&octets);
        laws::upgrade::each_side_understands_the_other(&octets);
    }

    /// SEC-005, SEC-006, SEC-007, SEC-008, SEC-009, SEC-010: names of which some are the same.
    #[test]
    fn a_certificate_is_for_whom_it_names(
        lists in prop::array::uniform3(prop::collection::vec(name_of_certificate(), 0..3)),
        address in any::<u8>(),
        has_alternatives in any::<bool>(),
        others in prop::array::uniform3(name_of_certificate()),
    ) {
        let mut octets = Vec::new();
        let text = |octets: &mut Vec<u8>, text: &str| {
            octets.extend((text.len() as u16).to_be_bytes());
            octets.extend(text.as_bytes());
        };
        for list in &lists {
            octets.push(list.len() as u8);
            list.iter().for_each(|name| text(&mut octets, name));
        }
        octets.extend([1, 1, 192, 0, 2, address, u8::from(has_alternatives), 1]);
        others.iter().for_each(|name| text(&mut octets, name));
        laws::identity::a_certificate_is_for_whom_it_names(&octets);
    }

    /// DSR-003: torture messages with some octets changed.
    #[test]
    fn mutated_messages_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        laws::message::read_write_read(&changed(which.get(torture()).octets.to_vec(), &changes));
    }

    /// PRX-001, PRX-002, PRX-017, DSR-003: torture messages with some octets and rows changed, on their way through a proxy.
    #[test]
    fn nothing_else_changes_on_the_way(
        which in any::<prop::sample::Index>(),
        rows in prop::collection::vec(passing_row(), 0..4),
        changes in prop::collection::vec(change(), 0..6),
        choices in (any::<[u8; 3]>(), prop::collection::vec((0u8..2, any::<u8>()), 0..6)),
    ) {
        let (choices, statuses) = choices;
        let mut octets = choices.to_vec();
        octets.push(u8::try_from(statuses.len()).unwrap());
        octets.extend(statuses.iter().flat_map(|(high, low)| [*high, *low]));
        let mut message = which.get(torture()).octets.to_vec();
        let line = message.windows(2).position(|two| two == b"\r\n").map_or(0, |at| at + 2);
        message.splice(line..line, rows.concat().into_bytes());
        octets.extend(changed(message, &changes));
        laws::forwarding::nothing_else_changes(&octets);
    }

    /// DSR-003: single values, each as a field of every family.
    #[test]
    fn values_are_read_and_written_the_same(octets in value(), second in value()) {
        laws::fields::address(&octets);
        laws::fields::number(&octets);
        laws::fields::word(&octets);
        laws::fields::via(&octets);
        laws::auth::challenge(&octets);
        let rows = [octets, second].join(&b'\n');
        laws::fields::address(&rows);
        laws::fields::via(&rows);
        laws::auth::challenge(&rows);
        laws::uris::comparison_is_an_equivalence(&rows);
    }

    /// AUT-035: challenges that can be answered are, with what they say.
    #[test]
    fn challenges_are_answered_with_what_they_say(rows in prop::collection::vec(
        "P?Digest realm=\"[ab\\\\\"]{0,3}\", ?nonce=\"[^\r\n\"\\\\]{0,9}\"(, algorithm=(MD5|SHA-256-sess|sha-512-256))?\
         (,qop=(auth|\"auth-int,auth\"|auth,auth-int))?(,opaque=\"[a\\\\\"]{0,3}\")?(,stale=(true|false))?(,userhash=true)?",
        1..4,
    )) {
        laws::auth::challenge(rows.join("\n").as_bytes());
    }

    /// URI-001 to URI-014: comparison, of URIs that are nearly alike.
    #[test]
    fn uris_compare_as_an_equivalence(one in uri(), two in uri(), three in uri()) {
        laws::uris::comparison_is_an_equivalence([one, two, three].join("\n").as_bytes());
    }

    /// HDR-010, HDR-011, HDR-017, AUT-035, URI-018: a message stays one message whatever is put into it, and
    /// texts survive quotes and escapes.
    #[test]
    fn a_built_message_reads_back(
        texts in prop::collection::vec(prop_oneof![
            prop::collection::vec(telling_octet(), 0..40),
            any::<String>().prop_map(String::into_bytes),
            "[A-Za-z-]{1,9}".prop_map(String::into_bytes),
            "sip:[a-z]{1,9}(@[a-z]{1,9})?".prop_map(String::into_bytes),
        ], 3..20),
        choices in any::<[u8; 3]>(),
    ) {
        let mut octets = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            octets.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            octets.extend(text);
            if at == 2 {
                octets.extend(choices);
            }
        }
        laws::writing::a_built_message_reads_back(&octets);
    }

    /// DSR-003: the server endpoint in a world of random events.
    #[test]
    fn every_service_ends_whatever_happens(octets in prop::collection::vec(any::<u8>(), 16..400)) {
        laws::server::nothing_is_left(&octets);
    }

    /// DSR-003: torture messages with some octets changed, sent to a server one after the other.
    #[test]
    fn a_server_bears_mutated_messages(
        which in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(change(), 0..6), any::<[u8; 2]>()), 1..6),
        guarded in any::<bool>(),
    ) {
        let mut octets = vec![u8::from(guarded), 0];
        for (message, changes, [peer, answer]) in which {
            let text = changed(message.get(torture()).octets.to_vec(), &changes);
            octets.extend([peer, 0]);
            octets.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            octets.extend(text);
            octets.extend([peer, 6, answer]);
        }
        laws::server::nothing_is_left(&octets);
    }

    /// STX-027: whatever a Via names, a server sends to nobody but who has asked it.
    #[test]
    fn a_via_makes_a_server_send_to_nobody_else(
        via in r"(192\.0\.2\.7|127\.0\.0\.1|b|\[::1\])(:[1-9][0-9]{0,3})?(;(maddr|received|rport|ttl|%6daddr|MADDR)(=(127\.0\.0\.1|203\.0\.113\.5|\[2001:db8::1\]|::1|::ffff:10\.0\.0\.1|239\.1\.2\.3|b|[0-9]{1,5}|198\.51\.100\.1))?){0,4}",
        method in "REGISTER|OPTIONS|INVITE|CANCEL",
        peer in any::<u8>(),
        guarded in any::<bool>(),
    ) {
        let text = format!(
            "{method} sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=1\r\n\
             To: <sip:a@example.com>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\nContact: <sip:a@192.0.2.7>\r\n\r\n"
        );
        let mut octets = vec![u8::from(guarded), 0, 0, peer, 0];
        octets.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        octets.extend(text.as_bytes());
        octets.extend([peer, 6, 0]);
        laws::server::nothing_is_left(&octets);
    }

    /// DES-027, DSR-003: the client endpoint in a world of random events.
    #[test]
    fn every_registration_ends_whatever_happens(octets in prop::collection::vec(any::<u8>(), 16..400)) {
        laws::endpoint::everything_ends(&octets);
    }

    /// DES-008, DES-009: the timetable of an account through random tries and events.
    #[test]
    fn no_wait_is_endless_and_no_good_account_given_up(octets in prop::collection::vec(any::<u8>(), 16..2000)) {
        laws::timetable::gives_up_nobody_good(&octets);
    }

    /// LOC-026: answers of the name service, late, never, twice and wrong.
    #[test]
    fn locating_ends_whatever_the_name_service_says(octets in prop::collection::vec(any::<u8>(), 16..2000)) {
        laws::locate::ends_within_its_bounds(&octets);
    }
}
