//! A registrar that does what a script says: sockets on loopback, a thread, and everything that came.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::run::{Ran, command, finish};

/// One thing to send, in the order of the script.
pub enum Answer {
    /// Octets, from the socket that was asked.
    Octets(Vec<u8>),
    /// Octets, from another port (UDP).
    Elsewhere(Vec<u8>),
    /// The end: of the connection, or of the socket, so that the system complains from then on.
    Close,
}

/// A request as it came. Retransmissions are not among them.
#[derive(Clone)]
pub struct Request {
    pub text: String,
}

impl Request {
    /// All values of a header, a row each.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let rows = self.text.lines().filter_map(|row| row.split_once(": "));
        rows.filter(|(found, _)| *found == name).map(|(_, value)| value).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    pub fn cseq(&self) -> u32 {
        self.header("CSeq").split(' ').next().unwrap().parse().unwrap()
    }

    /// A response to it, with further rows.
    pub fn response(&self, status: &str, rows: &[&str]) -> Vec<u8> {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                text += &format!("{name}: {value}{}\r\n", if name == "To" { ";tag=peer" } else { "" });
            }
        }
        for row in rows {
            text += &format!("{row}\r\n");
        }
        (text + "Content-Length: 0\r\n\r\n").into_bytes()
    }

    /// The same, to be sent.
    pub fn answer(&self, status: &str, rows: &[&str]) -> Vec<Answer> {
        vec![Answer::Octets(self.response(status, rows))]
    }

    /// 200 with these contacts.
    pub fn ok(&self, contacts: &[&str]) -> Vec<Answer> {
        let rows: Vec<String> = contacts.iter().map(|contact| format!("Contact: {contact}")).collect();
        self.answer("200 OK", &rows.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// 200 with the contacts that it asks to be bound.
    pub fn as_asked(&self) -> Vec<Answer> {
        let bound = self.all("Contact").into_iter().filter(|contact| !contact.contains("expires=0"));
        let removal = self.all("Expires") == ["0"];
        let rows: Vec<String> =
            bound.filter(|_| !removal).map(|contact| format!("{contact};expires=3600")).collect();
        self.ok(&rows.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// The running script. What came is told when it is stopped.
pub struct Registrar {
    pub address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Request>>>,
}

/// How often a thread looks whether it is to stop.
const TICK: Duration = Duration::from_millis(5);

impl Registrar {
    /// Answers over UDP. The script gets the number of the request, from 1 on.
    pub fn udp(script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static) -> Registrar {
        Registrar::on(UdpSocket::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn on(
        socket: UdpSocket,
        script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static,
    ) -> Registrar {
        let address = socket.local_addr().unwrap().to_string();
        Registrar::run(address, move |stop| datagrams(socket, stop, script))
    }

    /// Answers over TCP, one connection after another.
    pub fn tcp(script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static) -> Registrar {
        Registrar::listening(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn listening(
        listener: TcpListener,
        script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static,
    ) -> Registrar {
        let address = listener.local_addr().unwrap().to_string();
        Registrar::run(address, move |stop| connections(&listener, stop, script))
    }

    fn run(address: String, body: impl FnOnce(&AtomicBool) -> Vec<Request> + Send + 'static) -> Registrar {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Registrar { address, stop, thread: Some(std::thread::spawn(move || body(&seen))) }
    }

    /// Ends it: all requests that came.
    pub fn requests(mut self) -> Vec<Request> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn is_silence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Takes a request unless it is a copy of one that came before.
fn take(text: String, came: &mut Vec<Request>) -> bool {
    let request = Request { text };
    let is_copy = came.iter().any(|other| other.header("Via") == request.header("Via"));
    if !is_copy {
        came.push(request);
    }
    !is_copy
}

fn datagrams(
    socket: UdpSocket,
    stop: &AtomicBool,
    mut script: impl FnMut(usize, &Request) -> Vec<Answer>,
) -> Vec<Request> {
    socket.set_read_timeout(Some(TICK)).unwrap();
    let mut came = Vec::new();
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(found) => found,
            Err(error) if is_silence(&error) => continue,
            // The client has gone, and the system says so.
            Err(_) => continue,
        };
        if !take(String::from_utf8(buffer[..length].to_vec()).unwrap(), &mut came) {
            continue;
        }
        for answer in script(came.len(), &came[came.len() - 1]) {
            match answer {
                Answer::Octets(octets) => drop(socket.send_to(&octets, from)),
                Answer::Elsewhere(octets) => {
                    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&octets, from).unwrap();
                }
                Answer::Close => return came,
            }
        }
    }
    came
}

fn connections(
    listener: &TcpListener,
    stop: &AtomicBool,
    mut script: impl FnMut(usize, &Request) -> Vec<Answer>,
) -> Vec<Request> {
    listener.set_nonblocking(true).unwrap();
    let mut came = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => serve(stream, stop, &mut script, &mut came),
            Err(_) => std::thread::sleep(TICK),
        }
    }
    came
}

/// REGISTER has no body: an empty line ends it.
fn serve(
    mut stream: TcpStream,
    stop: &AtomicBool,
    script: &mut impl FnMut(usize, &Request) -> Vec<Answer>,
    came: &mut Vec<Request>,
) {
    stream.set_nonblocking(false).unwrap();
    // Pieces are to come as pieces.
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(TICK)).unwrap();
    let mut text = String::new();
    let mut buffer = [0; 8192];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => text += std::str::from_utf8(&buffer[..length]).unwrap(),
            Err(error) if is_silence(&error) => continue,
            Err(_) => return,
        }
        while let Some(end) = text.find("\r\n\r\n") {
            let rest = text.split_off(end + 4);
            let request = std::mem::replace(&mut text, rest);
            if !take(request, came) {
                continue;
            }
            for answer in script(came.len(), &came[came.len() - 1]) {
                match answer {
                    Answer::Octets(octets) | Answer::Elsewhere(octets) => drop(stream.write_all(&octets)),
                    Answer::Close => return,
                }
            }
        }
    }
}

const AOR: &str = "sip:bob@munich.de";

/// Runs a command against that address, without a terminal, with a state of its own.
pub fn ask(address: &str, state: &Path, words: &[&str]) -> Ran {
    let (verb, options) = words.split_first().unwrap();
    let fixed = [
        verb,
        AOR,
        "--registrar",
        address,
        "--state-dir",
        state.to_str().unwrap(),
        "--password",
        "uncertainty",
    ];
    finish(command(&[&fixed[..], options].concat()).spawn().unwrap())
}

/// Runs one command against one script: how it ended, and what came.
pub fn against(
    words: &[&str],
    script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static,
) -> (Ran, Vec<Request>) {
    let state = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(script);
    let ran = ask(&registrar.address, state.path(), words);
    (ran, registrar.requests())
}

/// The JSON of a run that must have ended so.
pub fn must(ran: &Ran, code: i32) -> serde_json::Value {
    assert_eq!(ran.code, Some(code), "{}", ran.all());
    ran.json()
}
