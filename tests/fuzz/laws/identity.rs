//! Whom a certificate is for (RFC 5922 §7), whatever names it has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sipreg::proto::Time;
use sipreg::proto::identity::{Certificate, Wildcards};

use super::input::Input;

/// Who is compared with a certificate is named in it, and the spelling of a name changes nothing.
pub fn a_certificate_is_for_whom_it_names(octets: &[u8]) {
    let mut input = Input::new(octets);
    let certificate = certificate(&mut input);
    let mut names = counted(&certificate);
    names.extend([input.text(), format!("a.{}", input.text())]);
    names.extend(certificate.hosts.iter().map(|host| host.replacen('*', "a", 1)));
    for name in &names {
        is_compared_as_it_should_be(&certificate, name);
    }
    let users = certificate.users();
    assert!(users.len() <= certificate.uris.len() && users.iter().all(|uri| uri.user.is_some()));
}

/// No host has a colon in it, and so none looks like a URI.
fn host(text: String) -> String {
    text.replace(':', ".")
}

fn certificate(input: &mut Input<'_>) -> Certificate {
    let texts = |input: &mut Input<'_>| (0..input.below(4)).map(|_| input.text()).collect::<Vec<_>>();
    let address = |input: &mut Input<'_>| match input.chance() {
        true => IpAddr::V4(Ipv4Addr::from(u32::from(input.number()) << 16 | u32::from(input.number()))),
        false => IpAddr::V6(Ipv6Addr::from(u128::from(input.number()))),
    };
    let day = Time::from_millis(0);
    Certificate {
        subject: String::new(),
        issuer: String::new(),
        not_before: day,
        not_after: day,
        uris: texts(input).into_iter().map(|text| format!("sip:{text}")).chain(texts(input)).collect(),
        hosts: texts(input).into_iter().map(host).collect(),
        addresses: (0..input.below(3)).map(|_| address(input)).collect(),
        has_alternatives: input.chance(),
        common_name: input.chance().then(|| host(input.text())),
    }
}

/// The names that count, without the scheme that URIs are told with.
fn counted(certificate: &Certificate) -> Vec<String> {
    let names = certificate.names();
    names.iter().map(|name| name.strip_prefix("sip:").unwrap_or(name).to_owned()).collect()
}

fn is_compared_as_it_should_be(certificate: &Certificate, name: &str) {
    let strict = certificate.is_for(name, Wildcards::Refused);
    let lax = certificate.is_for(name, Wildcards::Accepted);
    assert!(lax || !strict, "a wildcard takes {name:?} away");
    for wildcards in [Wildcards::Refused, Wildcards::Accepted] {
        let is_for = |name: &str| certificate.is_for(name, wildcards);
        assert_eq!(is_for(name), is_for(&name.to_ascii_uppercase()), "{name:?}");
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        let known = certificate.addresses.iter().any(|known| known.to_canonical() == address.to_canonical());
        assert_eq!((strict, lax), (known, known), "{address} is no name");
        return;
    }
    let rooted = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let names: Vec<String> = counted(certificate).iter().map(|known| rooted(known)).collect();
    assert_eq!(strict, names.contains(&rooted(name)), "{name:?} and {names:?}");
    let (label, rest) = name.split_once('.').unwrap_or((name, ""));
    if lax && !strict {
        assert!(
            !label.is_empty() && names.contains(&format!("*.{}", rooted(rest))),
            "{name:?} and {names:?}"
        );
    }
}
