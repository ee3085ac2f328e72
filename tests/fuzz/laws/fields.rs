//! Typed header fields: nothing panics, a value that was read is written and read back the same, and a list
//! means the same in one row and in several.

use super::uris;
use sipreg::sip::{
    AuthenticationInfo, CSeq, Challenge, Contacts, Credentials, Date, Header, HeaderName, Headers, Method,
    NameAddr, Q, RetryAfter, Via,
};

/// Calls every typed reader, to see that none panics.
pub fn read_all(headers: &Headers) {
    let _ = (headers.vias(), headers.top_via(), headers.via_count(), headers.from(), headers.to());
    let _ = (headers.call_id(), headers.cseq(), headers.max_forwards(), headers.contacts(), headers.date());
    let _ = (headers.expires(), headers.min_expires(), headers.retry_after(), headers.flow_timer());
    let _ = headers.contact_values();
    assert!(headers.remarks().iter().all(|text| !text.is_empty() && text.chars().count() <= 500));
    let _ = (headers.contact_values(), headers.surplus_commas(), headers.tag(&HeaderName::From));
    for row in headers {
        let name = row.name();
        let _ = (row.text(), row.text_lossy(), headers.option_tags(name), headers.name_addrs(name));
        listed(headers, name);
        let _ = (headers.challenges(name), headers.credentials(name), headers.authentication_info(name));
        if let Ok(via) = Via::parse(row.value()) {
            let _ = (via.branch(), via.received(), via.rport());
        }
        if let Ok(address) = NameAddr::parse(row.value()) {
            let _ = (address.tag(), address.q(), address.expires());
            if let Some(uri) = address.uri.sip() {
                uris::read_all(uri);
            }
        }
    }
    loses_one_value(headers, &HeaderName::Via);
}

/// What is listed shows in one line, and so does what was made out of an address that strays; a sound one has no blemish.
fn listed(headers: &Headers, name: &HeaderName) {
    for reading in headers.listed(name).into_iter().flatten() {
        let _ = (reading.address.tag(), reading.address.q(), reading.address.expires());
        let text = reading.address.to_string();
        assert!(!text.contains(['\r', '\n']), "{text:?}");
        assert!(reading.blemish.is_some() || NameAddr::parse(&text).is_ok(), "{text}");
        if let Some(uri) = reading.address.uri.sip() {
            uris::read_all(uri);
        }
    }
}

fn loses_one_value(headers: &Headers, name: &HeaderName) {
    let mut shorter = headers.clone();
    let before = shorter.via_count();
    if shorter.remove_first_value(name) {
        assert_eq!(shorter.via_count() + 1, before);
    }
}

/// A value that can be read as a field, whichever it is, is written and read back the same.
pub fn value_reads_back(value: &[u8]) {
    if let Ok(via) = Via::parse(value) {
        assert_eq!(Via::parse(via.to_string().as_bytes()), Ok(via));
    }
    if let Ok(address) = NameAddr::parse(value) {
        let again = NameAddr::parse(address.to_string()).expect("a written address reads");
        assert_eq!(format!("{again:?}"), format!("{address:?}"));
    }
    for challenge in Challenge::parse_all(value) {
        assert_eq!(Challenge::parse_all(challenge.to_string().as_bytes()), [challenge]);
    }
    if let Ok(credentials) = Credentials::parse(value) {
        assert_eq!(Credentials::parse(credentials.to_string().as_bytes()), Ok(credentials));
    }
    if let Some(info) = AuthenticationInfo::parse(value)
        && info != AuthenticationInfo::default()
    {
        assert_eq!(AuthenticationInfo::parse(info.to_string().as_bytes()), Some(info));
    }
}

/// Headers with one row for each line of `octets`.
fn rows(name: &HeaderName, octets: &[u8]) -> Headers {
    let rows = octets.split(|&octet| octet == b'\n');
    rows.filter_map(|row| Header::new(name.clone(), row.to_vec()).ok()).collect()
}

fn one_row_each(name: &HeaderName, values: impl Iterator<Item = String>) -> Headers {
    values.map(|value| Header::new(name.clone(), value).expect("what was written is one row")).collect()
}

/// Via: lists, rows, and a proxy's changes to them.
pub fn via(octets: &[u8]) {
    value_reads_back(octets);
    let name = HeaderName::Via;
    let headers = rows(&name, octets);
    read_all(&headers);
    let Ok(vias) = headers.vias() else { return };
    assert_eq!(headers.via_count(), vias.len());
    assert_eq!(headers.top_via().ok().as_ref(), vias.first());
    let apart = one_row_each(&name, vias.iter().map(ToString::to_string));
    assert_eq!(apart.vias().as_ref(), Ok(&vias));
    let mut changed = headers.clone();
    changed.set_first_value(&name, "SIP/2.0/UDP a;received=192.0.2.1").unwrap();
    let after = changed.vias().expect("the others are as they were");
    assert_eq!(after.get(1..), vias.get(1..).or(Some(&[])));
    if changed.remove_first_value(&name) {
        assert_eq!(changed.vias().as_deref(), Ok(&after[1..]));
    }
}

/// From, To, Contact, Route and their kin.
pub fn address(octets: &[u8]) {
    value_reads_back(octets);
    let name = HeaderName::Contact;
    let headers = rows(&name, octets);
    read_all(&headers);
    let debug = |list: &[NameAddr]| format!("{list:?}");
    if let Ok(routes) = headers.name_addrs(&name) {
        let apart = one_row_each(&name, routes.iter().map(ToString::to_string));
        assert_eq!(debug(&apart.name_addrs(&name).unwrap()), debug(&routes));
        let joined: Vec<_> = routes.iter().map(ToString::to_string).collect();
        let joined = one_row_each(&name, std::iter::once(joined.join(",")).filter(|row| !row.is_empty()));
        assert_eq!(debug(&joined.name_addrs(&name).unwrap()), debug(&routes));
    }
    if let Ok(Contacts::List(list)) = headers.contacts() {
        // Whoever takes less has read the same of it.
        let all = headers.listed(&name).into_iter();
        for (taken, listed) in list.iter().zip(all) {
            let (Ok(taken), Ok(listed)) = (taken, listed) else { continue };
            assert_eq!(debug(std::slice::from_ref(taken)), debug(&[listed.address]));
            assert!(NameAddr::parse(taken.to_string()).is_ok(), "{taken} is taken, and written it is broken");
        }
        assert_eq!(format!("{list:?}"), format!("{:?}", headers.contact_values()));
    }
}

/// CSeq, Max-Forwards, Expires and their kin, Retry-After, Date, q.
pub fn number(octets: &[u8]) {
    for name in [
        HeaderName::CSeq,
        HeaderName::MaxForwards,
        HeaderName::Expires,
        HeaderName::MinExpires,
        HeaderName::FlowTimer,
        HeaderName::RetryAfter,
        HeaderName::Date,
    ] {
        read_all(&rows(&name, octets));
    }
    if let Ok(cseq) = CSeq::parse(octets) {
        assert!(cseq.number < 1 << 31);
        assert_eq!(CSeq::parse(cseq.to_string().as_bytes()), Ok(cseq));
    }
    let _ = RetryAfter::parse(octets);
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Some(q) = Q::parse(text) {
        assert!(q <= Q::ONE);
        assert_eq!(Q::parse(&q.to_string()), Some(q));
    }
    if let Some(date) = Date::parse(text) {
        assert_eq!(Date::parse(&date.to_string()), Some(date));
    }
    if let Ok(seconds) = text.parse() {
        let date = Date::from_epoch(seconds);
        assert_eq!(Date::parse(&date.to_string()), Some(date));
    }
}

/// Names of headers and methods, option tags, Call-ID.
pub fn word(octets: &[u8]) {
    if let Ok(name) = HeaderName::parse(octets) {
        assert_eq!(HeaderName::parse(name.as_str().as_bytes()), Ok(name.clone()));
        let other = octets.to_ascii_uppercase();
        assert_eq!(HeaderName::parse(&other), Ok(name));
    }
    if let Ok(method) = Method::parse(octets) {
        assert_eq!(method.as_str().as_bytes(), octets);
    }
    for name in [HeaderName::Supported, HeaderName::CallId] {
        let headers = rows(&name, octets);
        read_all(&headers);
        let tags = headers.option_tags(&name);
        let apart = one_row_each(&name, tags.iter().cloned());
        assert_eq!(apart.option_tags(&name), tags);
        if let Ok(id) = headers.call_id() {
            assert!(!id.is_empty() && !id.contains([' ', '\t', '\r', '\n']));
        }
    }
}
