//! A small registrar (RFC 3261 §10.3) that keeps bindings and follows a script. It reads and hashes by itself, so that
//! it shares no mistake with the client.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sha2::Digest;

use crate::script::{Redirect, Script};

pub const USER: &str = "heisenberg";
pub const PASSWORD: &str = "uncertainty";
const REALM: &str = "munich.de";

/// One row of the table.
pub struct Binding {
    pub uri: String,
    /// Seconds, as the last 200 said.
    pub granted: u32,
    /// Milliseconds on the world's clock.
    pub until: u64,
}

/// All servers of a domain are one registrar: they share everything but the answers they gave.
pub struct Registrar {
    script: &'static Script,
    pub bindings: Vec<Binding>,
    /// The highest CSeq of each Call-ID.
    cseqs: BTreeMap<String, u32>,
    /// Answers with their times, by server and branch.
    answered: BTreeMap<(SocketAddr, String), Vec<(u64, String)>>,
    /// The last nonce count of each nonce.
    nonces: BTreeMap<String, u32>,
    /// How many requests came, challenges were made, and valid credentials were called stale.
    came: u32,
    challenges: u32,
    stale: u32,
    first: Option<u64>,
}

/// All values of a header, a row each.
pub fn rows<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let named = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    text.lines().filter_map(named).collect()
}

pub fn row<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    rows(text, name).first().copied()
}

/// The number of a CSeq.
pub fn cseq(text: &str) -> Option<u32> {
    row(text, "CSeq")?.strip_suffix(" REGISTER")?.parse().ok()
}

/// The branch of the topmost Via.
pub fn branch(text: &str) -> Option<&str> {
    row(text, "Via")?.split(';').find_map(|param| param.strip_prefix("branch="))
}

/// The URI of a Contact and its own lifetime.
fn contact(row: &str) -> Option<(&str, Option<u32>)> {
    let (uri, params) = row.strip_prefix('<')?.split_once('>')?;
    let expires = params.split(';').find_map(|param| param.strip_prefix("expires="));
    Some((uri, expires.and_then(|seconds| seconds.parse().ok())))
}

fn hex<D: Digest>(text: &str) -> String {
    D::digest(text).iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Registrar {
    /// With a binding of another device, which is nobody else's business.
    pub fn new(script: &'static Script) -> Registrar {
        let others = [DESK, SPARE].map(|uri| Binding {
            uri: uri.to_owned(),
            granted: 1_000_000,
            until: 1_000_000_000,
        });
        Registrar {
            script,
            bindings: others.into(),
            cseqs: BTreeMap::new(),
            answered: BTreeMap::new(),
            nonces: BTreeMap::new(),
            came: 0,
            challenges: 0,
            stale: 0,
            first: None,
        }
    }

    pub fn bound(&self, uri: &str) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.uri == uri)
    }

    /// Answers, each with the milliseconds after which it leaves. What can't be read gets none.
    pub fn on_request(
        &mut self,
        server: SocketAddr,
        from: SocketAddr,
        text: &str,
        now: u64,
    ) -> Vec<(u64, String)> {
        let Some(branch) = branch(text) else { return Vec::new() };
        let key = (server, branch.to_owned());
        if let Some(given) = self.answered.get(&key) {
            let last = given.iter().rfind(|(at, _)| *at <= now);
            return last.map(|(_, answer)| (0, answer.clone())).into_iter().collect();
        }
        self.bindings.retain(|binding| binding.until > now);
        self.came += 1;
        self.first.get_or_insert(now);
        let Some((status, more)) = self.decide(server, text, now) else { return Vec::new() };
        let slow = if self.script.slow { 4000 * u64::from(self.came % 3 + 1) } else { 0 };
        let mut answers = Vec::new();
        if slow > 0 {
            answers.push((0, response(text, from, "100 Trying", &[])));
        }
        answers.push((slow, response(text, from, &status, &more)));
        self.answered.insert(key, answers.iter().map(|(after, text)| (now + after, text.clone())).collect());
        if self.script.restarts && self.came == 2 {
            self.answered.clear();
            self.nonces.clear();
        }
        answers
    }

    /// RFC 3261 §10.3, as far as the script lets it.
    fn decide(&mut self, server: SocketAddr, text: &str, now: u64) -> Option<(String, Vec<String>)> {
        let answer = |status: &str, row: String| Some((status.to_owned(), vec![row]));
        let (script, since) = (self.script, now - self.first.unwrap_or(now));
        if script.silent {
            return None;
        }
        if since < script.busy {
            return answer("503 Busy", "Retry-After: 5".to_owned());
        }
        match script.redirect {
            Redirect::Far if server != far() => return answer("302 Moved", format!("Contact: <sip:{FAR}>")),
            Redirect::Round => {
                return answer("302 Moved", format!("Contact: <sip:{server};n={}>", self.came));
            }
            Redirect::Nowhere | Redirect::Far => {}
        }
        if let Err(stale) = self.authenticate(text) {
            let status = if script.proxy { "407 Proxy Authentication Required" } else { "401 Unauthorized" };
            return Some((status.to_owned(), self.challenge(stale)));
        }
        if let Some(status) = script.refusal {
            return Some((status.to_owned(), Vec::new()));
        }
        let (number, call_id) = (cseq(text)?, row(text, "Call-ID")?);
        if self.cseqs.get(call_id).is_some_and(|last| *last >= number) {
            return Some(("500 CSeq out of order".to_owned(), Vec::new()));
        }
        self.update(text, number, call_id, now)
    }

    fn challenge(&mut self, stale: bool) -> Vec<String> {
        let name = if self.script.proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let mut rows = Vec::new();
        for algorithm in self.script.offers {
            self.challenges += 1;
            let nonce = format!("n{}", self.challenges);
            rows.push(format!(
                "{name}: Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{}",
                if stale { ", stale=true" } else { "" }
            ));
            self.nonces.insert(nonce, 0);
        }
        rows
    }

    /// Err: with a new challenge, whose stale flag this is.
    fn authenticate(&mut self, text: &str) -> Result<(), bool> {
        if self.script.offers.is_empty() {
            return Ok(());
        }
        let name = if self.script.proxy { "Proxy-Authorization" } else { "Authorization" };
        let Some(row) = row(text, name).and_then(|row| row.strip_prefix("Digest ")) else {
            return Err(false);
        };
        let get = |name: &str| {
            let value = row.split(", ").find_map(|param| param.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches('"')
        };
        let hash = match get("algorithm") {
            "MD5" => hex::<md5::Md5>,
            "SHA-256" => hex::<sha2::Sha256>,
            "SHA-512-256" => hex::<sha2::Sha512_256>,
            _ => return Err(false),
        };
        let (nonce, nc) = (get("nonce"), get("nc"));
        let secret = hash(&format!("{USER}:{REALM}:{PASSWORD}"));
        let about = hash(&format!("REGISTER:{}", get("uri")));
        let right = hash(&format!("{secret}:{nonce}:{nc}:{}:{}:{about}", get("cnonce"), get("qop")));
        if get("response") != right || get("username") != USER || get("realm") != REALM {
            return Err(false);
        }
        let Ok(count) = u32::from_str_radix(nc, 16) else { return Err(false) };
        let last = self.nonces.get_mut(nonce).filter(|last| **last < count).ok_or(true)?;
        *last = count;
        let ages = self.stale < self.script.stale;
        self.stale += u32::from(ages);
        if ages { Err(true) } else { Ok(()) }
    }

    fn update(&mut self, text: &str, number: u32, call_id: &str, now: u64) -> Option<(String, Vec<String>)> {
        let header: Option<u32> = row(text, "Expires").and_then(|seconds| seconds.parse().ok());
        let asked = rows(text, "Contact");
        if asked == ["*"] {
            if header != Some(0) {
                return Some(("400 Bad Request".to_owned(), Vec::new()));
            }
            self.bindings.clear();
        } else {
            let mut changes = Vec::new();
            for row in asked {
                let (uri, own) = contact(row)?;
                changes.push((uri, own.or(header).unwrap_or(3600)));
            }
            if let Some(least) = self.least(&changes) {
                return Some(("423 Interval Too Brief".to_owned(), vec![format!("Min-Expires: {least}")]));
            }
            for (uri, seconds) in changes {
                self.bindings.retain(|binding| binding.uri != uri);
                let granted = seconds.min(self.script.most);
                if granted > 0 {
                    let until = now + u64::from(granted) * 1000;
                    self.bindings.push(Binding { uri: uri.to_owned(), granted, until });
                }
            }
        }
        self.cseqs.insert(call_id.to_owned(), number);
        let listed = |binding: &Binding| {
            let left = (binding.until - now).div_ceil(1000);
            format!("Contact: <{}>;expires={left}", binding.uri)
        };
        Some(("200 OK".to_owned(), self.bindings.iter().map(listed).collect()))
    }

    /// What a 423 asks for, if one of the lifetimes is too short.
    fn least(&self, changes: &[(&str, u32)]) -> Option<u32> {
        let shortest = changes.iter().map(|(_, seconds)| *seconds).filter(|seconds| *seconds > 0).min()?;
        if self.script.rises {
            return Some(shortest.saturating_add(60));
        }
        (shortest < self.script.least).then_some(self.script.least)
    }
}

/// Somebody else's phone, bound to the same AOR.
pub const DESK: &str = "sip:werner.heisenberg@192.0.2.200:5060";
/// One that nobody needs any more.
pub const SPARE: &str = "sip:werner.heisenberg@192.0.2.201:5060";
/// Where `Redirect::Far` sends everybody; it does not redirect any further.
const FAR: &str = "198.51.100.77:5060";

pub fn far() -> SocketAddr {
    FAR.parse().unwrap()
}

fn response(request: &str, from: SocketAddr, status: &str, more: &[String]) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        for value in rows(request, name) {
            text += &match name {
                "Via" => format!(
                    "Via: {};received={}\r\n",
                    value.replace("rport", &format!("rport={}", from.port())),
                    from.ip()
                ),
                "To" => format!("To: {value};tag=r\r\n"),
                _ => format!("{name}: {value}\r\n"),
            };
        }
    }
    for row in more {
        text += &format!("{row}\r\n");
    }
    text + "Content-Length: 0\r\n\r\n"
}
