//! URIs are written as they were read. Comparison (RFC 3261 §19.1.4) is an equivalence, except where a
//! parameter is in one of them only.

use sipreg::proto::client::contact::is_same;
use sipreg::sip::{AnyUri, Host, NameAddr, Param, Scheme, Uri};

/// Calls every reader of a URI.
pub fn read_all(uri: &Uri) {
    assert!(uri.matches(uri), "{uri} differs from itself");
    let _ = (uri.user_decoded(), uri.user_octets(), uri.transport(), uri.param("lr"));
}

/// The laws of a single URI.
fn single(octets: &[u8]) -> Option<Uri> {
    let _ = NameAddr::parse(octets);
    if let Ok(host) = Host::parse(octets) {
        assert_eq!(Host::parse(host.to_string()), Ok(host));
    }
    if let Ok(any) = AnyUri::parse(octets) {
        assert!(any.matches(&any));
        let again = AnyUri::parse(any.to_string()).expect("a written URI reads");
        assert_eq!(format!("{again:?}"), format!("{any:?}"));
    }
    let uri = Uri::parse(octets).ok()?;
    read_all(&uri);
    let again = Uri::parse(uri.to_string()).expect("a written URI reads");
    assert_eq!(format!("{again:?}"), format!("{uri:?}"));
    other_spellings_match(&uri);
    defaults_go_without_saying(&uri);
    Some(uri)
}

/// Spellings that RFC 3261 §19.1.4 calls equal by its own words match: letters written as escapes, parameters
/// and headers in another order, scheme, host and parameters in other letter case.
fn other_spellings_match(uri: &Uri) {
    let same = |other: &Uri, how: &str| {
        assert!(uri.matches(other) && other.matches(uri), "{uri} and {other}: {how}");
    };
    let escaped = |text: &String| escape_letters(text);
    let mut other = uri.clone();
    other.user = uri.user.as_ref().map(escaped);
    other.password = uri.password.as_ref().map(escaped);
    for (name, value) in &mut other.headers {
        (*name, *value) = (escape_letters(name), escape_letters(value));
    }
    other.headers.reverse();
    same(&other, "escapes, and headers in another order");
    let upper = uri.to_string();
    let (before, after) = upper.split_once(';').unwrap_or((&upper, ""));
    let (params, headers) = after.split_once('?').unwrap_or((after, ""));
    if uri.headers.is_empty() && headers.is_empty() {
        let other = match params {
            "" => before.to_owned(),
            params => format!("{before};{}", params.to_ascii_uppercase()),
        };
        // A semicolon in the user part begins no parameter.
        if uri.user.as_ref().is_none_or(|user| !user.contains(';')) {
            same(&Uri::parse(other).unwrap(), "parameters in capitals");
        }
    }
    if distinct(uri) {
        let mut rows: Vec<Param> = uri.params.rows().to_vec();
        rows.reverse();
        let mut text = Uri { params: Default::default(), headers: Vec::new(), ..uri.clone() }.to_string();
        for row in rows {
            let value = row.value.map(|value| format!("={value}")).unwrap_or_default();
            text.push_str(&format!(";{}{value}", row.name));
        }
        let other = Uri { headers: uri.headers.clone(), ..Uri::parse(text).unwrap() };
        same(&other, "parameters in another order");
    }
}

/// What goes without saying makes no other contact of it: port and transport of a URI that has neither.
fn defaults_go_without_saying(uri: &Uri) {
    if uri.port.is_some() || uri.param("transport").is_some() {
        return;
    }
    let (port, transport) = match uri.scheme {
        Scheme::Sip => (5060, "udp"),
        Scheme::Sips => (5061, "tcp"),
    };
    let with_port = Uri { port: Some(port), ..uri.clone() };
    let mut with_both = with_port.clone();
    with_both.params.set("transport", Some(transport));
    let all = [uri.clone(), with_port, with_both].map(AnyUri::Sip);
    assert!(all.iter().all(|one| all.iter().all(|other| is_same(one, other))), "{uri}");
    let elsewhere = Uri { port: Some(port + 2), ..uri.clone() };
    assert!(!is_same(&AnyUri::Sip(elsewhere), &AnyUri::Sip(uri.clone())), "{uri}");
}

fn escape_letters(text: &str) -> String {
    let mut escaped = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '%' {
            escaped.push_str(&rest[..3]);
            rest = &rest[3..];
            continue;
        }
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => escaped.push_str(&format!("%{:02x}", u32::from(c))),
            other => escaped.push(other),
        }
        rest = &rest[c.len_utf8()..];
    }
    escaped
}

/// Names of the parameters, or None where escapes hide them.
fn names(uri: &Uri) -> Option<Vec<String>> {
    uri.params.iter().map(|(name, _)| (!name.contains('%')).then(|| name.to_ascii_lowercase())).collect()
}

/// Whether no parameter occurs twice.
fn distinct(uri: &Uri) -> bool {
    names(uri).is_some_and(|mut names| {
        let all = names.len();
        names.sort();
        names.dedup();
        names.len() == all
    })
}

/// Takes three URIs with a line feed between each.
pub fn comparison_is_an_equivalence(octets: &[u8]) {
    let uris: Vec<Uri> = octets.splitn(3, |&octet| octet == b'\n').filter_map(single).collect();
    for one in &uris {
        for two in &uris {
            assert_eq!(one.matches(two), two.matches(one), "{one} and {two}");
            let [any, other] = [one, two].map(|uri| AnyUri::Sip(uri.clone()));
            assert_eq!(is_same(&any, &other), is_same(&other, &any), "{one} and {two}");
            assert!(!one.matches(two) || is_same(&any, &other), "{one} and {two}");
        }
    }
    let [a, b, c] = uris.as_slice() else { return };
    for (a, b, c) in [(a, b, c), (b, c, a), (c, a, b)] {
        if a.matches(b) && b.matches(c) && is_common(a, b, c) {
            assert!(a.matches(c), "{a} matches {b}, which matches {c}");
        }
    }
}

/// Whether each parameter that `a` and `c` share is in `b`, too.
fn is_common(a: &Uri, b: &Uri, c: &Uri) -> bool {
    let (Some(a), Some(b), Some(c)) = (names(a), names(b), names(c)) else { return false };
    a.iter().all(|name| !c.contains(name) || b.contains(name))
}
