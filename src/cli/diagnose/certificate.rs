//! What is wrong with the other end of a TLS connection, and with which certificate: its names, its issuer, its dates.

use crate::cli::exit::FaultCause;
use crate::cli::explain::{self, Case};
use crate::cli::text::utc;
use crate::proto::identity::{Alert, Certificate, TlsSession, Untrusted, Wildcards};

/// So many names of a certificate are told.
const NAMES_SHOWN: usize = 5;

/// The word for scripts.
pub(super) fn cause(why: Untrusted) -> Option<FaultCause> {
    match why {
        Untrusted::Expired => Some(FaultCause::CertificateExpired),
        Untrusted::NotYetValid => Some(FaultCause::CertificateNotYetValid),
        Untrusted::Name => Some(FaultCause::CertificateName),
        Untrusted::Issuer | Untrusted::Incomplete => Some(FaultCause::CertificateIssuer),
        Untrusted::SelfSigned => Some(FaultCause::CertificateSelfSigned),
        Untrusted::ClientCertificateWanted(_) | Untrusted::ClientCertificateRefused(_) => {
            Some(FaultCause::ClientCertificateWanted)
        }
        Untrusted::Version => Some(FaultCause::TlsVersion),
        Untrusted::NotTls => Some(FaultCause::NotTls),
        Untrusted::Purpose
        | Untrusted::Authority
        | Untrusted::Broken
        | Untrusted::Alert(_)
        | Untrusted::Handshake => None,
    }
}

/// What is wrong, in words that follow the name of the server. `wanted`: the name that the certificate has to be for.
pub(super) fn message(why: Untrusted, session: Option<&TlsSession>, wanted: &str) -> String {
    let Some(certificate) = session.and_then(|session| session.certificate.as_ref()) else {
        return match why {
            Untrusted::ClientCertificateWanted(alert) => {
                format!("the server wants a certificate of ours: {alert}")
            }
            Untrusted::ClientCertificateRefused(alert) => {
                format!("the server did not accept our certificate: {alert}")
            }
            Untrusted::Alert(alert) => format!("the server ended TLS with the alert {alert}"),
            Untrusted::NotTls => "what answers is not TLS".to_owned(),
            Untrusted::Version => "no common version of TLS: sipreg speaks 1.2 and 1.3".to_owned(),
            Untrusted::Name => format!("{why}, not for {wanted}"),
            Untrusted::Expired
            | Untrusted::NotYetValid
            | Untrusted::Issuer
            | Untrusted::SelfSigned
            | Untrusted::Incomplete
            | Untrusted::Purpose
            | Untrusted::Authority
            | Untrusted::Broken
            | Untrusted::Handshake => why.to_string(),
        };
    };
    let Certificate { subject, issuer, not_before, not_after, .. } = certificate;
    let of = format!("the certificate of {subject}");
    match why {
        Untrusted::Expired if subject == issuer => format!("{of} ran out at {}", utc(*not_after)),
        Untrusted::Expired => {
            format!("{of} ran out, or one above it: it was good until {}", utc(*not_after))
        }
        Untrusted::NotYetValid if subject == issuer => {
            format!("{of} is not good before {}", utc(*not_before))
        }
        Untrusted::NotYetValid => {
            format!("{of} is not good yet, or one above it: it begins at {}", utc(*not_before))
        }
        Untrusted::Name => {
            let said = format!("the certificate is for {}, not for {wanted}", names(&certificate.names()));
            match certificate.uncounted_hosts() {
                [] => said,
                hosts => format!("{said}; its DNS names ({}) don't count beside a sip: URI", names(hosts)),
            }
        }
        Untrusted::Issuer => format!("{of} was issued by {issuer}, who is not trusted"),
        Untrusted::SelfSigned => format!("{of} is signed by itself, and not one that is trusted"),
        Untrusted::Incomplete => {
            format!(
                "{of} was issued by {issuer}, who is not trusted, and whose certificate was not sent along"
            )
        }
        Untrusted::Purpose => format!("{of} is not for servers"),
        Untrusted::Authority => format!("{of} is that of an authority, and no server's own"),
        Untrusted::ClientCertificateWanted(_)
        | Untrusted::ClientCertificateRefused(_)
        | Untrusted::Alert(_)
        | Untrusted::NotTls
        | Untrusted::Version => message(why, None, wanted),
        Untrusted::Broken | Untrusted::Handshake => why.to_string(),
    }
}

/// What to do about it.
pub(super) fn case(why: Untrusted, session: Option<&TlsSession>, wanted: &str) -> Case {
    let certificate = session.and_then(|session| session.certificate.as_ref());
    match why {
        Untrusted::Expired => explain::CERTIFICATE_EXPIRED,
        Untrusted::NotYetValid => explain::CERTIFICATE_NOT_YET_VALID,
        Untrusted::Name if certificate.is_some_and(|one| one.is_for(wanted, Wildcards::Accepted)) => {
            explain::CERTIFICATE_WILDCARD
        }
        Untrusted::Name if certificate.is_some_and(|one| has_only_a_host(one, wanted)) => {
            explain::CERTIFICATE_URI
        }
        Untrusted::Name => explain::CERTIFICATE_NAME,
        Untrusted::Issuer => explain::CERTIFICATE_ISSUER,
        Untrusted::SelfSigned => explain::CERTIFICATE_SELF_SIGNED,
        Untrusted::Incomplete => explain::CERTIFICATE_INCOMPLETE,
        Untrusted::Purpose => explain::CERTIFICATE_PURPOSE,
        Untrusted::Authority => explain::CERTIFICATE_AUTHORITY,
        Untrusted::Broken => explain::CERTIFICATE_BROKEN,
        Untrusted::ClientCertificateWanted(_) => explain::CLIENT_CERTIFICATE_WANTED,
        Untrusted::ClientCertificateRefused(_) => explain::CLIENT_CERTIFICATE_REFUSED,
        Untrusted::Version => explain::TLS_VERSION,
        Untrusted::NotTls => explain::NOT_TLS,
        Untrusted::Alert(alert) => match alert {
            Alert::HANDSHAKE_FAILURE | Alert::INSUFFICIENT_SECURITY => explain::NOTHING_IN_COMMON,
            Alert::UNRECOGNIZED_NAME => explain::UNRECOGNIZED_NAME,
            Alert::NO_APPLICATION_PROTOCOL => explain::NO_APPLICATION_PROTOCOL,
            Alert::INTERNAL_ERROR => explain::TLS_SERVER_FAILED,
            Alert(_) => explain::TLS_ALERT,
        },
        Untrusted::Handshake => explain::TLS_FAILED,
    }
}

/// Whether the certificate is for that name by its DNS names, if only they counted.
fn has_only_a_host(certificate: &Certificate, wanted: &str) -> bool {
    let hosts = certificate.uncounted_hosts().to_vec();
    let alone = Certificate { uris: Vec::new(), hosts, ..certificate.clone() };
    !alone.hosts.is_empty() && alone.is_for(wanted, Wildcards::Refused)
}

/// The first of these names of a certificate.
fn names(all: &[String]) -> String {
    let more = if all.len() > NAMES_SHOWN { ", ..." } else { "" };
    let first = all.get(..NAMES_SHOWN).unwrap_or(all);
    if first.is_empty() { "no name at all".to_owned() } else { first.join(", ") + more }
}
