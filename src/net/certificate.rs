//! Reading certificates (X.509, RFC 5280) into what matters of them for SIP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::time::Time as X509Time;

use crate::proto::Time;
use crate::proto::identity::Certificate;

/// Alternative names that are read of one certificate. Those of hosters can have more than a hundred.
const MOST_NAMES: usize = 1000;

/// Reads a certificate; `None`: it can't be read.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let body = certificate.tbs_certificate();
    let alternatives = body.get_extension::<SubjectAltName>().ok()?.map(|(_, names)| names.0);
    let mut read = Certificate {
        subject: text(body.subject()),
        issuer: text(body.issuer()),
        not_before: time(body.validity().not_before),
        not_after: time(body.validity().not_after),
        uris: Vec::new(),
        hosts: Vec::new(),
        addresses: Vec::new(),
        has_alternatives: alternatives.is_some(),
        common_name: common_name(body.subject()),
    };
    for name in alternatives.into_iter().flatten().take(MOST_NAMES) {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => read.uris.push(uri.as_str().to_owned()),
            GeneralName::DnsName(host) => read.hosts.push(host.as_str().to_owned()),
            GeneralName::IpAddress(octets) => read.addresses.extend(address(octets.as_bytes())),
            GeneralName::OtherName(_)
            | GeneralName::Rfc822Name(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::RegisteredId(_) => {}
        }
    }
    Some(read)
}

/// A distinguished name as people write it, the most particular part in front.
fn text(name: &Name) -> String {
    name.to_string()
}

/// The last common name, which is the most particular one (RFC 6125 §6.4.4).
fn common_name(subject: &Name) -> Option<String> {
    let common = subject.iter().filter(|attribute| attribute.oid == CN).last()?;
    std::str::from_utf8(common.value.value()).ok().map(str::to_owned)
}

fn time(time: X509Time) -> Time {
    let since = time.to_unix_duration();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|v6| Ipv6Addr::from(v6).into())
}
