//! The torture set as data, and the first fault of a message.

use bytes::Bytes;
use sipreg::sip::{AnyUri, Contacts, HeaderName, Message};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A message of the torture set as `index.json` tells of it.
pub struct Torture {
    pub file: String,
    pub kind: String,
    pub verdict: String,
    /// The status that refuses it: the first that is told of a registrar or of another server.
    pub status: Option<u16>,
    pub octets: Bytes,
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/torture")
}

/// All messages of `index.json`, in its order.
pub fn torture() -> &'static [Torture] {
    static SET: LazyLock<Vec<Torture>> = LazyLock::new(read_index);
    &SET
}

fn read_index() -> Vec<Torture> {
    let index = std::fs::read_to_string(folder().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let messages = index["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| {
            let file = text(&message["file"]);
            let octets = Bytes::from(std::fs::read(folder().join(&file)).unwrap());
            assert_eq!(octets.len() as u64, message["octets"].as_u64().unwrap(), "{file}");
            let (kind, verdict) = (text(&message["kind"]), text(&message["verdict"]));
            let told = |who: &str| message["expect"][who].as_str().and_then(first_status);
            Torture { file, kind, verdict, status: told("registrar").or_else(|| told("uas")), octets }
        })
        .collect()
}

fn first_status(text: &str) -> Option<u16> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words.filter(|word| word.len() == 3).find_map(|word| word.parse().ok().filter(|status| *status >= 400))
}

pub fn torture_file(name: &str) -> Bytes {
    std::fs::read(folder().join(name)).unwrap().into()
}

/// The first thing wrong with what every receiver needs, in words.
pub fn first_fault(octets: &Bytes) -> Option<String> {
    let message = match Message::parse_datagram(octets.clone()) {
        Ok(message) => message,
        Err(error) => return Some(error.to_string()),
    };
    let headers = message.headers();
    if let Message::Request(request) = &message {
        if request.version != sipreg::sip::Version::V2 {
            return Some("another SIP version".to_owned());
        }
        if let Err(error) = AnyUri::parse(&request.uri) {
            return Some(format!("Request-URI: {error}"));
        }
    }
    let contacts = || match headers.contacts()? {
        Contacts::Star => Ok(()),
        Contacts::List(list) => list.into_iter().try_for_each(|contact| contact.map(drop)),
    };
    let fault = headers
        .vias()
        .map(drop)
        .and_then(|()| headers.top_via().map(drop))
        .and_then(|()| headers.to().map(drop))
        .and_then(|()| headers.from().map(drop))
        .and_then(|()| headers.call_id().map(drop))
        .and_then(|()| headers.cseq().map(drop))
        .and_then(|()| headers.max_forwards().map(drop))
        .and_then(|()| headers.name_addrs(&HeaderName::Route).map(drop))
        .and_then(|()| headers.name_addrs(&HeaderName::RecordRoute).map(drop))
        .and_then(|()| contacts())
        .and_then(|()| headers.date().map(drop));
    if let Err(error) = fault {
        return Some(error.to_string());
    }
    match &message {
        Message::Request(request) if headers.cseq().unwrap().method != request.method => {
            Some("CSeq: another method".to_owned())
        }
        Message::Request(_) | Message::Response(_) => None,
    }
}
