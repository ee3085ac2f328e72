//! A world that `check` is let loose on: hosts with addresses of their own on loopback, a name server, registrars, and
//! whatever stands in the way. What stays as it is isn't said: `sipN.munich.de` is host N, and every name server answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::nameserver::{NameServer, Play, srv};
use crate::registrar::{PASSWORD, Registrar};
use crate::relay::{Heading, Relay};
use crate::run::{Ran, command, finish, with_environment};
use crate::server::Server;

pub const AOR: &str = "sip:werner@munich.de";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    /// WebSocket: of `serve` alone.
    Ws,
}

pub use Transport::{Tcp, Tls, Udp, Ws};

/// Where something is.
#[derive(Clone, Copy)]
pub enum Place {
    /// A host of this world, at its usual port.
    Host(u8),
    /// ::1, at the same port.
    Six,
}

pub use Place::{Host, Six};

/// A world, and what is asked of the program in it.
pub struct World {
    /// The second and third octet of its addresses.
    net: [u8; 2],
    port: u16,
    /// What the registrars run on, and what ends it when it is dropped.
    runtime: Option<(Handle, oneshot::Sender<()>)>,
    folder: TempDir,
    authority: Option<Authority>,
    zone: BTreeMap<String, Play>,
    /// How many records of a service there are: the next one is less preferred.
    services: BTreeMap<String, u16>,
    /// Name servers that are asked before the usual one; without an end: instead of it.
    before: Vec<NameServer>,
    has_name_server: bool,
    registrars: Vec<Registrar>,
    relays: Vec<Relay>,
    sockets: Vec<Box<dyn Send>>,
    options: Vec<String>,
    /// The values of `--t1` and `--timeout`.
    times: [&'static str; 2],
    /// Whether the program is alone in a network of its own, with no way to anywhere.
    is_isolated: bool,
    /// Options that `check` alone has.
    check_options: &'static [&'static str],
    password: Option<&'static str>,
}

impl World {
    /// Addresses that no other world has, and nobody there.
    pub fn new() -> World {
        // Those of this process are never taken again: a thread may hold on to one that is done with.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let first = std::process::id().wrapping_mul(251);
        let steps = (0..50_000).map(|_| NEXT.fetch_add(1, Ordering::Relaxed));
        let nets = steps.map(|step| (first.wrapping_add(step) % 50_000).to_be_bytes());
        let claimed = nets.filter_map(|[_, _, high, low]| {
            let claim = UdpSocket::bind((Ipv4Addr::new(127, high + 16, low, 250), 5060)).ok()?;
            Some(([high + 16, low], claim))
        });
        let (net, claim) = claimed.into_iter().next().unwrap();
        World {
            net,
            port: 5060,
            runtime: None,
            folder: tempfile::tempdir().unwrap(),
            authority: None,
            zone: BTreeMap::new(),
            services: BTreeMap::new(),
            before: Vec::new(),
            has_name_server: true,
            registrars: Vec::new(),
            relays: Vec::new(),
            sockets: vec![Box::new(claim)],
            options: Vec::new(),
            times: ["50ms", "20s"],
            is_isolated: false,
            check_options: &[],
            password: Some(PASSWORD),
        }
    }

    /// A registrar at host 1 over UDP and TCP, as the name service says.
    pub fn usual(self, registrar: &Registrar) -> World {
        self.sip(Host(1), &[Udp, Tcp], registrar).srv(&[Udp, Tcp], 1)
    }

    /// A registrar at host 1 over TLS, with this certificate.
    pub fn secure(self, registrar: &Registrar, certificate: impl FnOnce(&Authority) -> String) -> World {
        self.tls(Host(1), registrar, certificate).srv(&[Tls], 1)
    }

    /// Has a port that is free at ::1, too.
    pub fn with_ipv6(mut self) -> World {
        let free = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        self.port = free.local_addr().unwrap().port();
        self.zone("AAAA sip1.munich.de", vec![RData::AAAA(Ipv6Addr::LOCALHOST.into())])
    }

    // --- hosts ---------------------------------------------------------------------------------------------------------

    /// The address of a host.
    pub fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.net[0], self.net[1], number)
    }

    fn at(&self, place: Place, transport: Transport) -> SocketAddr {
        let port = self.port + u16::from(transport == Tls);
        match place {
            Host(number) => (self.host(number), port).into(),
            Six => (Ipv6Addr::LOCALHOST, port).into(),
        }
    }

    /// `{N}` in a text is the address of host N, `{port}` the usual port.
    fn filled(&self, text: &str) -> String {
        let text = text.replace("{port}", &self.port.to_string());
        (1..=9)
            .fold(text, |text, number| text.replace(&format!("{{{number}}}"), &self.host(number).to_string()))
    }

    fn handle(&mut self) -> Handle {
        let start = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (stop, stopped) = oneshot::channel();
            let handle = runtime.handle().clone();
            std::thread::spawn(move || runtime.block_on(stopped));
            (handle, stop)
        };
        self.runtime.get_or_insert_with(start).0.clone()
    }

    fn tcp_listener(&self, place: Place, transport: Transport) -> tokio::net::TcpListener {
        let listener = TcpListener::bind(self.at(place, transport)).unwrap();
        listener.set_nonblocking(true).unwrap();
        tokio::net::TcpListener::from_std(listener).unwrap()
    }

    /// A registrar there, over UDP or TCP or both.
    pub fn sip(mut self, place: Place, transports: &[Transport], registrar: &Registrar) -> World {
        let handle = self.handle();
        let _inside = handle.enter();
        for transport in transports {
            let registrar = registrar.clone();
            if *transport == Udp {
                let socket = UdpSocket::bind(self.at(place, Udp)).unwrap();
                socket.set_nonblocking(true).unwrap();
                handle.spawn(registrar.datagrams(tokio::net::UdpSocket::from_std(socket).unwrap()));
                continue;
            }
            let listener = self.tcp_listener(place, *transport);
            handle.spawn(async move {
                while let Ok((stream, remote)) = listener.accept().await {
                    let ends = [stream.local_addr().unwrap(), remote];
                    tokio::spawn(registrar.clone().stream("TCP", ends, stream));
                }
            });
        }
        self.put(registrar);
        self
    }

    fn put(&mut self, registrar: &Registrar) {
        registrar.domain.fill(|contact| self.filled(contact));
        if !self.registrars.iter().any(|known| known.is(registrar)) {
            self.registrars.push(registrar.clone());
        }
    }

    /// The authority that the program trusts.
    fn trust(&mut self) -> &Authority {
        if self.authority.is_none() {
            let authority = Authority::new();
            self.options.extend(["--tls-ca".to_owned(), authority.ca()]);
            self.authority = Some(authority);
        }
        self.authority.as_ref().unwrap()
    }

    /// A registrar there over TLS; the program trusts the authority that the certificate is asked of.
    pub fn tls(
        self,
        place: Place,
        registrar: &Registrar,
        certificate: impl FnOnce(&Authority) -> String,
    ) -> World {
        self.tls_with(place, registrar, certificate, false)
    }

    /// The same, and clients have to show a certificate, too.
    pub fn tls_with(
        mut self,
        place: Place,
        registrar: &Registrar,
        certificate: impl FnOnce(&Authority) -> String,
        is_mutual: bool,
    ) -> World {
        let authority = self.trust();
        let (file, ca) = (certificate(authority), authority.ca());
        let read = |file: &str| CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap);
        let builder = ServerConfig::builder();
        let builder = if is_mutual {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(read(&ca));
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_file(&file).unwrap();
        let acceptor =
            TlsAcceptor::from(Arc::new(builder.with_single_cert(read(&file).collect(), key).unwrap()));
        let handle = self.handle();
        let _inside = handle.enter();
        let listener = self.tcp_listener(place, Tls);
        let listening = registrar.clone();
        handle.spawn(async move {
            while let Ok((stream, remote)) = listener.accept().await {
                let (acceptor, registrar) = (acceptor.clone(), listening.clone());
                tokio::spawn(async move {
                    let ends = [stream.local_addr().unwrap(), remote];
                    if let Ok(stream) = acceptor.accept(stream).await {
                        registrar.stream("TLS", ends, stream).await;
                    }
                });
            }
        });
        self.put(registrar);
        self
    }

    /// Something there that takes requests and says nothing.
    pub fn silent(mut self, place: Place, transports: &[Transport]) -> World {
        for transport in transports {
            let at = self.at(place, *transport);
            match transport {
                Udp => self.sockets.push(Box::new(UdpSocket::bind(at).unwrap())),
                Tcp | Tls | Ws => self.sockets.push(Box::new(TcpListener::bind(at).unwrap())),
            }
        }
        self
    }

    /// A port where no connection comes about, as behind a firewall: its queue is full.
    pub fn filtered(mut self, place: Place, transport: Transport) -> World {
        let at = self.at(place, transport).into();
        let [full, first, second] = [(); 3].map(|()| {
            socket2::Socket::new(
                socket2::Domain::for_address(self.at(place, transport)),
                socket2::Type::STREAM,
                None,
            )
            .unwrap()
        });
        full.bind(&at).unwrap();
        full.listen(0).unwrap();
        for socket in [&first, &second] {
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&at);
        }
        self.sockets.push(Box::new([full, first, second]));
        self
    }

    /// Something there that answers whatever comes first with these octets, and closes.
    pub fn junk(self, place: Place, transport: Transport, octets: &'static [u8]) -> World {
        let at = self.at(place, transport);
        if transport == Udp {
            let socket = UdpSocket::bind(at).unwrap();
            std::thread::spawn(move || {
                while let Ok((_, peer)) = socket.recv_from(&mut [0; 2048]) {
                    let _ = socket.send_to(octets, peer);
                }
            });
            return self;
        }
        let listener = TcpListener::bind(at).unwrap();
        std::thread::spawn(move || {
            let answer = |mut stream: TcpStream| {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(octets);
                // What is unread would turn the end into a reset, which may overtake the octets.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            };
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream));
            }
        });
        self
    }

    /// Something there that sends back whatever it hears over TCP.
    pub fn echo(self, place: Place) -> World {
        let listener = TcpListener::bind(self.at(place, Tcp)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        self
    }

    /// A relay for datagrams there, in front of another host; mappings end after so many milliseconds.
    pub fn relay(
        mut self,
        place: Place,
        before: Place,
        timeout: u64,
        change: impl FnMut(Heading, &[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> World {
        let inside = UdpSocket::bind(self.at(place, Udp)).unwrap();
        self.relays.push(Relay::on(inside, self.at(before, Udp), timeout, change));
        self
    }

    // --- the name service ----------------------------------------------------------------------------------------------

    /// SRV records of the domain that lead to a host, each less preferred than those before.
    pub fn srv(self, transports: &[Transport], host: u8) -> World {
        self.srv_to(transports, &format!("sip{host}.munich.de"))
    }

    pub fn srv_to(mut self, transports: &[Transport], target: &str) -> World {
        for transport in transports {
            let service = match transport {
                Udp => "_sip._udp",
                Tcp => "_sip._tcp",
                Tls => "_sips._tcp",
                Ws => "_sip._ws",
            };
            let name = format!("SRV {service}.munich.de");
            let priority = self.services.entry(name.clone()).or_default();
            *priority += 10;
            let record = srv(*priority, 0, &self.at(Host(1), *transport).to_string(), target);
            match self.zone.entry(name).or_insert_with(|| Play::Say(Vec::new())) {
                Play::Say(records) => records.push(record),
                Play::Chain(_) | Play::Cut(_) | Play::Fail(_) | Play::Silence => unreachable!(),
            }
        }
        self
    }

    /// The domain has no SRV records after all.
    pub fn without_services(mut self) -> World {
        self.zone.retain(|question, _| !question.starts_with("SRV "));
        self
    }

    /// What there is at a type and name: `A munich.de`.
    pub fn zone(self, question: &str, records: Vec<RData>) -> World {
        self.plays(question, Play::Say(records))
    }

    pub fn plays(mut self, question: &str, play: Play) -> World {
        self.zone.insert(question.to_owned(), play);
        self
    }

    /// A host's address of its own name, at the usual port.
    pub fn address(self, question: &str, host: u8) -> World {
        let record = RData::A(self.host(host).into());
        self.zone(question, vec![record])
    }

    /// A name server that does one thing whatever it is asked, before the usual one.
    pub fn name_server_before(mut self, play: Play) -> World {
        self.before.push(NameServer::new(move |_, _| play.clone()));
        self
    }

    /// The same, and there is no other.
    pub fn name_server(mut self, play: Play) -> World {
        self.has_name_server = false;
        self.name_server_before(play)
    }

    fn usual_name_server(&self) -> NameServer {
        let (zone, net) = (self.zone.clone(), self.net);
        NameServer::new(move |name, kind| {
            let number = name.strip_prefix("sip").and_then(|rest| rest.strip_suffix(".munich.de"));
            let number = number.and_then(|number| number.parse().ok());
            let all = |kind: &str| zone.get(&format!("{kind} {name}")).cloned();
            match (all(kind), number) {
                (Some(play), _) => play,
                (None, Some(last)) if kind == "A" => {
                    Play::Say(vec![RData::A(Ipv4Addr::new(127, net[0], net[1], last).into())])
                }
                (None, None)
                    if name != "munich.de" && !zone.keys().any(|key| key.ends_with(&format!(" {name}"))) =>
                {
                    Play::Fail(ResponseCode::NXDomain)
                }
                _ => Play::Say(Vec::new()),
            }
        })
    }

    // --- the program ---------------------------------------------------------------------------------------------------

    /// Further options; `{N}` in them is the address of host N.
    pub fn options(mut self, options: &[&str]) -> World {
        let filled: Vec<_> = options.iter().map(|option| self.filled(option)).collect();
        self.options.extend(filled);
        self
    }

    pub fn t1(mut self, t1: &'static str) -> World {
        self.times[0] = t1;
        self
    }

    /// The bound on the whole command.
    pub fn timeout(mut self, timeout: &'static str) -> World {
        self.times[1] = timeout;
        self
    }

    /// The program is alone, in a network without a way to anywhere.
    pub fn isolated(self) -> World {
        World { is_isolated: true, ..self }
    }

    /// Further options of `check`.
    pub fn checked_with(self, check_options: &'static [&'static str]) -> World {
        World { check_options, ..self }
    }

    pub fn without_password(self) -> World {
        World { password: None, ..self }
    }

    /// The words of a command for Werner Heisenberg in this world.
    fn words(&self, state: &str, name_servers: &[NameServer], words: &[&str]) -> Vec<String> {
        let (verb, options) = words.split_first().unwrap();
        let state = self.folder.path().join(state);
        let [t1, timeout] = self.times;
        let fixed = [verb, AOR, "--t1", t1, "--timeout", timeout, "--state-dir", state.to_str().unwrap()];
        let mut all = fixed.map(str::to_owned).to_vec();
        for server in self.before.iter().chain(name_servers) {
            all.extend(["--nameserver".to_owned(), server.address.clone()]);
        }
        all.extend(self.options.iter().cloned());
        let more = if *verb == "check" { self.check_options } else { &[] };
        all.extend(more.iter().chain(options).map(|option| self.filled(option)));
        all
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Ran {
        finish(self.start(words))
    }

    /// The same as another device, which remembers other things.
    pub fn run_elsewhere(&self, words: &[&str]) -> Ran {
        finish(self.start_at("elsewhere", words))
    }

    /// Starts a command.
    pub fn start(&self, words: &[&str]) -> Child {
        self.start_at("here", words)
    }

    fn start_at(&self, state: &str, words: &[&str]) -> Child {
        self.command_at(state, words).spawn().unwrap()
    }

    /// A command that isn't started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_at("here", words)
    }

    fn command_at(&self, state: &str, words: &[&str]) -> Command {
        let usual = if self.has_name_server { vec![self.usual_name_server()] } else { Vec::new() };
        let words = self.words(state, &usual, words);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut command = if self.is_isolated { isolated(&words).unwrap() } else { command(&words) };
        command.envs(self.password.map(|password| ("SIPREG_PASSWORD", password)));
        command
    }

    /// The registrars, in the order they were put there.
    pub fn registrars(&self) -> &[Registrar] {
        &self.registrars
    }

    /// `sipreg serve` at host 1 over these transports, with this world's password.
    pub fn serve(mut self, transports: &[Transport]) -> World {
        let users = self.file("users.txt");
        let added = with_environment(
            &["serve", "--add-user", "werner@munich.de", "--users", &users],
            &[("SIPREG_PASSWORD", PASSWORD)],
        );
        assert_eq!(added.code, Some(0), "{}", added.all());
        let mut options = ["--domain", "munich.de", "--users", &users].map(str::to_owned).to_vec();
        for transport in transports {
            let scheme = ["udp", "tcp", "tls", "ws"][*transport as usize];
            options.extend(["--listen".to_owned(), format!("{scheme}:{}", self.at(Host(1), *transport))]);
            if *transport == Tls {
                options.extend(["--tls-cert".to_owned(), self.trust().signs("serve.pem", &["munich.de"])]);
            }
        }
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        self.sockets.push(Box::new(Server::start(&options, transports.len())));
        self
    }

    /// A file of this world.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

/// The program in a network of its own, where there can be one.
pub fn isolated(words: &[&str]) -> Option<Command> {
    let works = |how: &&str| {
        let tried = Command::new("unshare").args([how, "true"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let how = ["-rn", "-n"].into_iter().find(works)?;
    let mut command = Command::new("unshare");
    command.args([how, env!("CARGO_BIN_EXE_sipreg")]).args(words).env_clear().env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command)
}
