//! A registrar and proxy of one domain that works, and whatever a world changes of it: digest, bindings, fetches, and
//! requests for the AOR that go to the bindings, over UDP, TCP and TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use md5::Md5;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::message::{Message, parameter, uri};

/// What is said in place of the usual answer.
pub enum Say {
    Response(Message),
    Nothing,
}

type Script = Arc<dyn Fn(&Message, usize) -> Option<Say> + Send + Sync>;
type Change = Arc<dyn Fn(&Message, &mut Message) + Send + Sync>;
type Choice = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How long a nonce is good; a right answer with one that isn't any more is `stale`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Nonces {
    Lasting,
    /// The first answer of all comes too late.
    StaleOnce,
    /// For one request.
    ForOneUse,
    /// Never.
    Stale,
}

/// The password of everybody.
pub const PASSWORD: &str = "uncertainty";

/// What several servers of a name share, or don't: bindings and nonces.
#[derive(Clone, Default)]
pub struct Domain(Arc<Mutex<Held>>);

impl Domain {
    /// Writes the contacts that are held as they are in a world.
    pub fn fill(&self, as_there: impl Fn(&str) -> String) {
        let mut held = self.0.lock().unwrap();
        held.bindings = std::mem::take(&mut held.bindings)
            .into_iter()
            .map(|(contact, bound)| (as_there(&contact), bound))
            .collect();
    }
}

#[derive(Default)]
struct Held {
    bindings: BTreeMap<String, Bound>,
    nonces: Vec<String>,
}

#[derive(Clone)]
struct Bound {
    /// The Contact's parameters without `expires`.
    parameters: String,
    expires: u32,
    /// How the REGISTER came; nothing for a binding that was there before.
    way: Option<Way>,
}

/// What is known about a healthy server, and what a world changes.
#[derive(Clone)]
pub struct Registrar {
    pub domain: Domain,
    algorithm: &'static str,
    password: &'static str,
    follows_source: bool,
    nonces: Nonces,
    asks_as_proxy: bool,
    lifetime: fn(u32) -> u32,
    delay: Duration,
    /// How long after all others those are called that have registered while the server ran.
    call_delay: Duration,
    closes: bool,
    scripts: Vec<Script>,
    changes: Vec<Change>,
    choices: Vec<Choice>,
    came: Arc<Mutex<Vec<Message>>>,
    replays: Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>,
    waiting: Arc<Mutex<BTreeMap<String, UnboundedSender<Message>>>>,
}

/// The way back to whoever sent something, and the address it was sent to.
#[derive(Clone)]
pub struct Way {
    transport: &'static str,
    local: SocketAddr,
    remote: SocketAddr,
    to: To,
}

#[derive(Clone)]
enum To {
    Datagrams(Arc<UdpSocket>),
    Stream(UnboundedSender<Vec<u8>>),
}

/// Counts nonces and branches of all servers.
fn number() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Registrar {
    pub fn new() -> Registrar {
        Registrar::of(&Domain::default())
    }

    /// One of several that share their bindings and nonces.
    pub fn of(domain: &Domain) -> Registrar {
        Registrar {
            domain: domain.clone(),
            algorithm: "SHA-256",
            password: PASSWORD,
            follows_source: false,
            nonces: Nonces::Lasting,
            asks_as_proxy: false,
            lifetime: |asked| asked.min(7200),
            delay: Duration::ZERO,
            call_delay: Duration::ZERO,
            closes: false,
            scripts: Vec::new(),
            changes: Vec::new(),
            choices: Vec::new(),
            came: Arc::default(),
            replays: Arc::default(),
            waiting: Arc::default(),
        }
    }

    /// The algorithm of its challenges; none where anybody may register.
    pub fn algorithm(self, algorithm: &'static str) -> Registrar {
        Registrar { algorithm, ..self }
    }

    pub fn password(self, password: &'static str) -> Registrar {
        Registrar { password, ..self }
    }

    /// Requests for the AOR go to where its REGISTER came from, not to what the Contact says.
    pub fn follows_source(self) -> Registrar {
        Registrar { follows_source: true, ..self }
    }

    pub fn nonces(self, nonces: Nonces) -> Registrar {
        Registrar { nonces, ..self }
    }

    /// Asks for a proof as a proxy does, by 407, for calls as well.
    pub fn asks_as_proxy(self) -> Registrar {
        Registrar { asks_as_proxy: true, ..self }
    }

    /// What is granted of what was asked for.
    pub fn lifetime(self, lifetime: fn(u32) -> u32) -> Registrar {
        Registrar { lifetime, ..self }
    }

    /// Thinks for so many milliseconds about each request.
    pub fn slow(self, milliseconds: u64) -> Registrar {
        Registrar { delay: Duration::from_millis(milliseconds), ..self }
    }

    /// Calls those who have registered while it ran so many milliseconds after all others.
    pub fn calls_late(self, milliseconds: u64) -> Registrar {
        Registrar { call_delay: Duration::from_millis(milliseconds), ..self }
    }

    /// Closes a connection behind each answer.
    pub fn closes(self) -> Registrar {
        Registrar { closes: true, ..self }
    }

    /// Says something else where the script wants it; it gets the request and how many came, from 1 on.
    pub fn says(
        mut self,
        script: impl Fn(&Message, usize) -> Option<Say> + Send + Sync + 'static,
    ) -> Registrar {
        self.scripts.push(Arc::new(script));
        self
    }

    /// Every REGISTER is answered so.
    pub fn refuses(self, status: &'static str) -> Registrar {
        self.says(move |it, _| it.is("REGISTER").then(|| Say::Response(it.response(status))))
    }

    /// Every REGISTER with an answer to the challenge is answered so.
    pub fn refuses_proven(self, status: &'static str) -> Registrar {
        let is_meant = |it: &Message| it.is("REGISTER") && it.is_proven();
        self.says(move |it, _| is_meant(it).then(|| Say::Response(it.response(status))))
    }

    /// Every request for the AOR is answered so.
    pub fn refuses_calls(self, status: &'static str) -> Registrar {
        let is_meant = |it: &Message| !it.is("REGISTER") && it.target().contains('@');
        self.says(move |it, _| is_meant(it).then(|| Say::Response(it.response(status))))
    }

    /// Changes the usual answers.
    pub fn changes(mut self, change: impl Fn(&Message, &mut Message) + Send + Sync + 'static) -> Registrar {
        self.changes.push(Arc::new(change));
        self
    }

    /// Requests for the AOR go to these of its bindings only.
    pub fn calls(mut self, choice: impl Fn(&str) -> bool + Send + Sync + 'static) -> Registrar {
        self.choices.push(Arc::new(choice));
        self
    }

    /// A binding that is there already; `{N}` in it is the address of host N.
    pub fn holds(self, contact: &str) -> Registrar {
        let bound = Bound { parameters: String::new(), expires: 1800, way: None };
        self.domain.0.lock().unwrap().bindings.insert(contact.to_owned(), bound);
        self
    }

    /// The requests so far, each once, in the order they came.
    pub fn came(&self) -> Vec<Message> {
        self.came.lock().unwrap().clone()
    }

    /// The contacts that are bound.
    pub fn bound(&self) -> Vec<String> {
        self.domain.0.lock().unwrap().bindings.keys().cloned().collect()
    }

    /// Whether both are the same one, at two addresses perhaps.
    pub fn is(&self, other: &Registrar) -> bool {
        Arc::ptr_eq(&self.came, &other.came)
    }

    fn take(&self, message: Message, way: Way) {
        let branch = message.branch().to_owned();
        if message.is_response() {
            if !message.target().starts_with('1')
                && let Some(waiting) = self.waiting.lock().unwrap().remove(&branch)
            {
                let _ = waiting.send(message);
            }
            return;
        }
        if message.is("ACK") {
            return;
        }
        let replay = self.replays.lock().unwrap().insert(branch.clone(), None);
        if let Some(said) = replay {
            if let Some(octets) = &said {
                way.send(octets.clone());
            }
            self.replays.lock().unwrap().insert(branch, said);
            return;
        }
        let count = {
            let mut came = self.came.lock().unwrap();
            came.push(message.clone());
            came.len()
        };
        let server = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(server.delay).await;
            let scripted = server.scripts.iter().find_map(|script| script(&message, count));
            let octets = match scripted {
                Some(Say::Nothing) => return,
                Some(Say::Response(response)) => server.dress(&message, response, &way),
                None => {
                    let usual = server.usual(&message, &way).await;
                    server.dress(&message, usual, &way)
                }
            };
            server.replays.lock().unwrap().insert(branch, Some(octets.clone()));
            way.send(octets);
            if server.closes {
                way.send(Vec::new());
            }
        });
    }

    /// What every response has: where its request came from, the time, and what a world changes.
    fn dress(&self, request: &Message, mut response: Message, way: &Way) -> Vec<u8> {
        way.mark(&mut response);
        if response.get("Date").is_none() {
            response.add("Date", date(0));
        }
        for change in &self.changes {
            change(request, &mut response);
        }
        response.write()
    }

    async fn usual(&self, request: &Message, way: &Way) -> Message {
        match request.target().contains('@') {
            _ if request.is("REGISTER") => self.register(request, way),
            true => match self.asks_as_proxy.then(|| self.challenge(request)).flatten() {
                Some(challenge) => challenge,
                None => self.forward(request, way).await,
            },
            false => {
                let mut response = request.response("200 OK");
                response.add("Allow", "REGISTER, OPTIONS, INVITE, ACK, CANCEL, BYE");
                response.add("Supported", "path");
                response.add("Server", "scripted");
                response
            }
        }
    }

    /// The challenge, where there is no proof.
    fn challenge(&self, request: &Message) -> Option<Message> {
        if self.algorithm.is_empty() {
            return None;
        }
        let held = &mut self.domain.0.lock().unwrap();
        let proof = self.proven_nonce(request);
        let proofs = self.came.lock().unwrap().iter().filter(|one| one.is_proven()).count();
        let is_good = match self.nonces {
            Nonces::Lasting | Nonces::ForOneUse => true,
            Nonces::StaleOnce => proofs > 1,
            Nonces::Stale => false,
        };
        if let Some(place) = held.nonces.iter().position(|known| is_good && proof.as_ref() == Some(known)) {
            if self.nonces == Nonces::ForOneUse {
                held.nonces.remove(place);
            }
            return None;
        }
        let is_stale = proof.is_some() && self.nonces != Nonces::Lasting;
        let nonce = format!("f84f1cec{}", number());
        let algorithm = self.algorithm;
        let stale = if is_stale { ", stale=true" } else { "" };
        let challenge = format!(
            "Digest realm=\"munich.de\", nonce=\"{nonce}\", qop=\"auth\", algorithm={algorithm}{stale}"
        );
        held.nonces.push(nonce);
        let (status, header) = match self.asks_as_proxy {
            true => ("407 Proxy Authentication Required", "Proxy-Authenticate"),
            false => ("401 Unauthorized", "WWW-Authenticate"),
        };
        let mut response = request.response(status);
        response.add(header, challenge);
        Some(response)
    }

    fn register(&self, request: &Message, way: &Way) -> Message {
        if let Some(challenge) = self.challenge(request) {
            return challenge;
        }
        let mut held = self.domain.0.lock().unwrap();
        let default = request.get("Expires").unwrap_or("3600");
        for contact in request.all("Contact").filter(|contact| *contact != "*") {
            let asked: u32 = parameter(contact, "expires").unwrap_or(default).parse().unwrap();
            let rest = contact.split_once('>').map_or("", |(_, rest)| rest);
            let kept: Vec<_> = rest.split(';').skip(1).filter(|one| !one.starts_with("expires=")).collect();
            let parameters = kept.iter().map(|one| format!(";{one}")).collect();
            let bound = Bound { parameters, expires: (self.lifetime)(asked), way: Some(way.clone()) };
            match asked {
                0 => drop(held.bindings.remove(uri(contact))),
                _ => drop(held.bindings.insert(uri(contact).to_owned(), bound)),
            }
        }
        let mut response = request.response("200 OK");
        for (contact, Bound { parameters, expires, .. }) in &held.bindings {
            response.add("Contact", format!("<{contact}>{parameters};expires={expires}"));
        }
        response
    }

    /// The nonce that a right proof is for (RFC 7616 §3.4.1), of whatever user it names.
    fn proven_nonce(&self, request: &Message) -> Option<String> {
        let header = if self.asks_as_proxy { "Proxy-Authorization" } else { "Authorization" };
        let proof = request.get(header)?;
        let fields: BTreeMap<_, _> = proof
            .trim_start_matches("Digest ")
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let hash = |text: String| match self.algorithm {
            "MD5" => hex(&Md5::digest(text)),
            _ => hex(&Sha256::digest(text)),
        };
        let secret = hash(format!("{}:munich.de:{}", fields["username"], self.password));
        let what = hash(format!("{}:{}", request.start.split(' ').next().unwrap(), fields["uri"]));
        let [nonce, nc, cnonce] = ["nonce", "nc", "cnonce"].map(|name| fields[name]);
        let is_right = fields["response"] == hash(format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{what}"));
        is_right.then(|| nonce.to_owned())
    }

    /// To all bindings at once; the first 2xx counts, else the last answer, else 408 after a second.
    async fn forward(&self, request: &Message, way: &Way) -> Message {
        let held = self.domain.0.lock().unwrap().bindings.clone();
        let (told, mut answers) = unbounded_channel();
        for (contact, bound) in held {
            if !self.choices.iter().all(|choice| choice(&contact)) {
                continue;
            }
            let branch = format!("z9hG4bKforward{}", number());
            let Some(onward) = self.onward(&contact, &bound, way) else { continue };
            let mut copy = request.clone();
            way.mark(&mut copy);
            copy.start = format!("{} {contact} SIP/2.0", request.start.split(' ').next().unwrap());
            let via = format!("SIP/2.0/{} {};rport;branch={branch}", onward.transport, onward.local);
            copy.rows.insert(0, ("Via".to_owned(), via));
            copy.remove("Route");
            let hops: u32 = copy.get("Max-Forwards").unwrap_or("70").parse().unwrap();
            copy.set("Max-Forwards", (hops - 1).to_string());
            self.waiting.lock().unwrap().insert(branch.clone(), told.clone());
            let (server, octets) = (self.clone(), copy.write());
            let pause = bound.way.as_ref().map_or(Duration::ZERO, |_| self.call_delay);
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                server.send_until_answered(&branch, &onward, &octets).await;
            });
        }
        drop(told);
        let mut last = request.response("480 Temporarily Unavailable");
        loop {
            match tokio::time::timeout(Duration::from_secs(1), answers.recv()).await {
                Err(_) => return request.response("408 Request Timeout"),
                Ok(None) => return last,
                Ok(Some(mut answer)) => {
                    let own = answer.rows.iter().position(|(name, _)| name == "Via").unwrap();
                    answer.rows.remove(own);
                    let via = answer.rows.iter_mut().find(|(name, _)| name == "Via").unwrap();
                    via.1 = via.1.split(";received=").next().unwrap().to_owned();
                    last = answer;
                    if last.target().starts_with('2') {
                        return last;
                    }
                }
            }
        }
    }

    /// Over UDP a request is sent again and again, a little faster than RFC 3261 §17.1.2.2 has it.
    async fn send_until_answered(&self, branch: &str, onward: &Way, octets: &[u8]) {
        for pause in [50, 100, 200, 300] {
            onward.send(octets.to_vec());
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let is_answered = !self.waiting.lock().unwrap().contains_key(branch);
            if is_answered || matches!(onward.to, To::Stream(_)) {
                return;
            }
        }
    }

    /// The connection that a binding came by, or a datagram to what its Contact says.
    fn onward(&self, contact: &str, bound: &Bound, way: &Way) -> Option<Way> {
        match &bound.way {
            Some(onward) if self.follows_source || matches!(onward.to, To::Stream(_)) => Some(onward.clone()),
            onward => {
                let host = contact.split_once('@')?.1.split([';', '?']).next()?;
                let onward = onward.as_ref().unwrap_or(way);
                Some(Way { remote: host.parse().ok()?, ..onward.clone() })
            }
        }
    }

    /// Answers the datagrams of a socket.
    pub async fn datagrams(self, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let local = socket.local_addr().unwrap();
        let mut room = vec![0; 65_536];
        loop {
            // The system complains when a client has gone.
            let Ok((length, remote)) = socket.recv_from(&mut room).await else { continue };
            if let Some((message, _)) = Message::read(&room[..length]) {
                let to = To::Datagrams(Arc::clone(&socket));
                self.take(message, Way { transport: "UDP", local, remote, to });
            }
        }
    }

    /// Answers what comes by a connection, a ping too.
    pub async fn stream(
        self,
        transport: &'static str,
        [local, remote]: [SocketAddr; 2],
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let (to, mut out) = unbounded_channel::<Vec<u8>>();
        tokio::spawn(async move {
            while let Some(octets) = out.recv().await {
                if octets.is_empty() {
                    drop(writing.shutdown().await);
                    return;
                }
                if writing.write_all(&octets).await.is_err() {
                    return;
                }
            }
        });
        let way = Way { transport, local, remote, to: To::Stream(to) };
        let (mut octets, mut room) = (Vec::new(), [0; 8192]);
        while let Ok(length @ 1..) = reading.read(&mut room).await {
            octets.extend_from_slice(&room[..length]);
            while octets.starts_with(b"\r\n\r\n") {
                octets.drain(..4);
                way.send(b"\r\n".to_vec());
            }
            while let Some((message, length)) = Message::read(&octets) {
                octets.drain(..length);
                self.take(message, way.clone());
            }
        }
    }
}

impl Way {
    /// Writes where a message came from into its topmost Via (RFC 3581).
    fn mark(&self, message: &mut Message) {
        if let Some((_, via)) = message.rows.iter_mut().find(|(name, _)| name == "Via") {
            let kept: Vec<_> = via.split(';').filter(|one| *one != "rport").collect();
            *via = format!("{};received={};rport={}", kept.join(";"), self.remote.ip(), self.remote.port());
        }
    }

    fn send(&self, octets: Vec<u8>) {
        match &self.to {
            To::Datagrams(socket) => {
                let (socket, remote) = (Arc::clone(socket), self.remote);
                tokio::spawn(async move { socket.send_to(&octets, remote).await });
            }
            To::Stream(to) => drop(to.send(octets)),
        }
    }
}

/// A Date header, so many seconds from now.
pub fn date(offset: i64) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let then = jiff::Timestamp::from_second(i64::try_from(now).unwrap() + offset).unwrap();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&then).unwrap()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
