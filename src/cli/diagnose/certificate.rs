//! What is wrong with the other end of a TLS connection, and with which certificate: its names, its issuer, its dates.

use crate::cli::exit::FaultCause;
use crate::cli::explain::{self, Case};
use crate::cli::text::utc;
use crate::proto::identity::{Certificate, TlsSession, Untrusted, Wildcards};

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
        Untrusted::ClientCertificateWanted | Untrusted::ClientCertificateRefused => {
            Some(FaultCause::ClientCertificateWanted)
        }
        Untrusted::Version => Some(FaultCause::TlsVersion),
        Untrusted::NotTls => Some(FaultCause::NotTls),
        Untrusted::Purpose | Untrusted::Broken | Untrusted::Handshake => None,
    }
}

/// What is wrong, in words that follow the name of the server. `wanted`: the name that the certificate has to be for.
pub(super) fn message(why: Untrusted, session: Option<&TlsSession>, wanted: &str) -> String {
    let Some(certificate) = session.and_then(|session| session.certificate.as_ref()) else {
        return match why {
            Untrusted::ClientCertificateWanted => "the server wants a certificate of ours".to_owned(),
            Untrusted::ClientCertificateRefused => "the server did not accept our certificate".to_owned(),
            Untrusted::NotTls => "what answers is not TLS".to_owned(),
            Untrusted::Version => "no common version of TLS: sipreg speaks 1.2 and 1.3".to_owned(),
            Untrusted::Name => format!("{why}, not for {wanted}"),
            Untrusted::Expired
            | Untrusted::NotYetValid
            | Untrusted::Issuer
            | Untrusted::SelfSigned
            | Untrusted::Incomplete
            | Untrusted::Purpose
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
        Untrusted::Name => format!("the certificate is for {}, not for {wanted}", names(certificate)),
        Untrusted::Issuer => format!("{of} was issued by {issuer}, who is not trusted"),
        Untrusted::SelfSigned => format!("{of} is signed by itself, and not one that is trusted"),
        Untrusted::Incomplete => {
            format!(
                "{of} was issued by {issuer}, who is not trusted, and whose certificate was not sent along"
            )
        }
        Untrusted::Purpose => format!("{of} is not for servers"),
        Untrusted::ClientCertificateWanted
        | Untrusted::ClientCertificateRefused
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
        Untrusted::Name => explain::CERTIFICATE_NAME,
        Untrusted::Issuer => explain::CERTIFICATE_ISSUER,
        Untrusted::SelfSigned => explain::CERTIFICATE_SELF_SIGNED,
        Untrusted::Incomplete => explain::CERTIFICATE_INCOMPLETE,
        Untrusted::Purpose => explain::CERTIFICATE_PURPOSE,
        Untrusted::Broken => explain::CERTIFICATE_BROKEN,
        Untrusted::ClientCertificateWanted => explain::CLIENT_CERTIFICATE_WANTED,
        Untrusted::ClientCertificateRefused => explain::CLIENT_CERTIFICATE_REFUSED,
        Untrusted::Version => explain::TLS_VERSION,
        Untrusted::NotTls => explain::NOT_TLS,
        Untrusted::Handshake => explain::TLS_FAILED,
    }
}

/// The names that a certificate is for, as far as they count (RFC 5922 §7.1).
fn names(certificate: &Certificate) -> String {
    let mut names = certificate.names();
    let more = if names.len() > NAMES_SHOWN { ", ..." } else { "" };
    names.truncate(NAMES_SHOWN);
    if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") + more }
}
