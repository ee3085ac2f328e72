//! The certificate of the demonstration's registrar: made when it is played, signed by itself, and kept in memory. Octets
//! are written by hand, in the order of RFC 5280 §4.1.

use std::net::Ipv4Addr;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use crate::cli::exit::Fault;
use crate::cli::text::rfc3339;
use crate::proto::Time;

/// It is good from so long before it was made, for clocks that were set back, and for so long after.
const HOUR: Duration = Duration::from_secs(3600);

/// A certificate and its key, as PEM texts.
pub(super) struct Made {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const TEXT: u8 = 0x0c;
const TIME: u8 = 0x18;

/// ecdsa-with-SHA256, id-ecPublicKey, prime256v1, commonName, subjectAltName.
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVES: &[u8] = &[0x55, 0x1d, 0x11];

/// Makes one for this domain, `localhost` and the loopback address.
///
/// # Errors
/// The system has no randomness to give.
pub(super) fn make(domain: &str, now: Time) -> Result<Made, Fault> {
    let random = SystemRandom::new();
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(Fault::internal)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
        .map_err(Fault::internal)?;
    let algorithm = node(SEQUENCE, &[&node(OBJECT, &[ECDSA_SHA256])]);
    let name =
        node(SET, &[&node(SEQUENCE, &[&node(OBJECT, &[COMMON_NAME]), &node(TEXT, &[domain.as_bytes()])])]);
    let name = node(SEQUENCE, &[&name]);
    let from = Time::from_millis(now.as_millis().saturating_sub(HOUR.as_secs() * 1000));
    let validity = node(SEQUENCE, &[&node(TIME, &[&time(from)]), &node(TIME, &[&time(now + 24 * HOUR)])]);
    let key_kind = node(SEQUENCE, &[&node(OBJECT, &[EC_KEY]), &node(OBJECT, &[P256])]);
    let key = node(SEQUENCE, &[&key_kind, &node(BITS, &[&[0], pair.public_key().as_ref()])]);
    let alternatives = node(
        SEQUENCE,
        &[
            &node(0x82, &[domain.as_bytes()]),
            &node(0x82, &[b"localhost"]),
            &node(0x87, &[&Ipv4Addr::LOCALHOST.octets()]),
        ],
    );
    let extension = node(SEQUENCE, &[&node(OBJECT, &[ALTERNATIVES]), &node(OCTETS, &[&alternatives])]);
    let signed = node(
        SEQUENCE,
        &[
            // Version 3, and a serial number: no other is issued under this name and key.
            &node(0xa0, &[&node(INTEGER, &[&[2]])]),
            &node(INTEGER, &[&[1]]),
            &algorithm,
            &name,
            &validity,
            &name,
            &key,
            &node(0xa3, &[&node(SEQUENCE, &[&extension])]),
        ],
    );
    let signature = pair.sign(&random, &signed).map_err(Fault::internal)?;
    let certificate = node(SEQUENCE, &[&signed, &algorithm, &node(BITS, &[&[0], signature.as_ref()])]);
    Ok(Made { certificate: pem("CERTIFICATE", &certificate), key: pem("PRIVATE KEY", pkcs8.as_ref()) })
}

/// A value of DER with its tag and length, of at most 65,535 octets.
fn node(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., high, low] = content.len().to_be_bytes();
    let mut node = vec![tag];
    match content.len() {
        0..=0x7f => node.push(low),
        0x80..=0xff => node.extend([0x81, low]),
        _ => node.extend([0x82, high, low]),
    }
    node.extend(content);
    node
}

/// As GeneralizedTime: `20270101000000Z`.
fn time(at: Time) -> Vec<u8> {
    rfc3339(at).bytes().filter(|octet| octet.is_ascii_digit() || *octet == b'Z').collect()
}

/// A text as PEM has it (RFC 7468).
fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        text.extend(line.chunks(3).flat_map(base64));
        text.push('\n');
    }
    text += &format!("-----END {label}-----\n");
    text.into_bytes()
}

/// Three octets or fewer in base64.
fn base64(octets: &[u8]) -> [char; 4] {
    let digit = |value: u32| match u8::try_from(value & 0x3f).unwrap_or_default() {
        value @ 0..26 => char::from(b'A' + value),
        value @ 26..52 => char::from(b'a' + value - 26),
        value @ 52..62 => char::from(b'0' + value - 52),
        62 => '+',
        _ => '/',
    };
    let at = |index: usize| octets.get(index).copied().map_or(0, u32::from);
    let group = at(0) << 16 | at(1) << 8 | at(2);
    let or_pad = |index: usize, shift: u32| if octets.len() > index { digit(group >> shift) } else { '=' };
    [digit(group >> 18), digit(group >> 12), or_pad(1, 6), or_pad(2, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others read it.
    #[test]
    fn a_certificate_is_one_for_its_domain_and_for_loopback() {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
        use x509_cert::der::Decode;

        let now = Time::from_millis(1_800_000_000_000);
        let made = make("munich.de", now).unwrap();
        let der = CertificateDer::from_pem_slice(&made.certificate).unwrap();
        let read = x509_cert::Certificate::from_der(&der).unwrap();
        assert_eq!(read.tbs_certificate().subject().to_string(), "CN=munich.de");
        assert_eq!(read.tbs_certificate().validity().not_after.to_string(), "2027-01-16T08:00:00Z");
        PrivateKeyDer::from_pem_slice(&made.key).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der.clone()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider.into());
        let verifier = verifier.build().unwrap();
        for name in ["munich.de", "localhost", "127.0.0.1"] {
            use rustls::client::danger::ServerCertVerifier;
            let at = UnixTime::since_unix_epoch(Duration::from_millis(now.as_millis()));
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&der, &[], &name, &[], at).unwrap();
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (octets, text) in [
            (&b"f"[..], "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff\xfe", "+//+"),
        ] {
            assert_eq!(octets.chunks(3).flat_map(base64).collect::<String>(), text);
        }
    }

    #[test]
    fn lengths_take_as_many_octets_as_they_need() {
        for (length, head) in
            [(0, &[4, 0][..]), (127, &[4, 127]), (128, &[4, 0x81, 128]), (300, &[4, 0x82, 1, 44])]
        {
            assert!(node(OCTETS, &[&vec![0; length]]).starts_with(head), "{length}");
        }
    }
}
