//! Servers of the tests, and a network that can fail.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The program: Debian's, or another that the environment names.
fn program() -> String {
    std::env::var("SIPREG_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// Waits until it holds. What takes a minute has failed.
#[track_caller]
pub fn until(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come");
}

/// A redis-server, on a port of its own. It ends when the other end of its pipe is closed: with the value, or with the process
/// of the tests.
pub struct Server {
    port: u16,
    child: Child,
    /// What it writes goes there, unless a test says otherwise.
    _folder: tempfile::TempDir,
}

impl Server {
    pub fn start(options: &[&str]) -> Server {
        // Whoever starts at the same time must not get the same.
        static PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
        for _ in 0..100 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            // A cluster needs the one that is 10000 higher as well.
            if port > 55_000 || !PORTS.lock().unwrap().insert(port) {
                continue;
            }
            let server = Server::spawn(port, options);
            if server.is_there() {
                return server;
            }
        }
        panic!("redis-server does not start: apt-get install redis-server");
    }

    /// At a port that was another's, which has ended.
    pub fn start_at(port: u16, options: &[&str]) -> Server {
        let server = Server::spawn(port, options);
        assert!(server.is_there(), "it does not start at {port} again");
        server
    }

    fn spawn(port: u16, options: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let script = "\"$@\" & trap 'kill -9 $! 2>/dev/null' EXIT; read -r never";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &program(), "--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args([
            "--save",
            "",
            "--databases",
            "1000",
            "--loglevel",
            "warning",
            "--logfile",
            "/dev/null",
        ]);
        command.arg("--dir").arg(folder.path());
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::null());
        Server { port, child: command.spawn().unwrap(), _folder: folder }
    }

    /// Whether it, and nobody else, answers at its port, within ten seconds.
    fn is_there(&self) -> bool {
        (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        }) && !self.processes().is_empty()
    }

    /// The number of its process.
    fn processes(&self) -> Vec<String> {
        let pids = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap().stdout;
        String::from_utf8(pids).unwrap().lines().map(str::to_owned).collect()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        for pid in self.processes() {
            assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The server that tests share; each has a database of its own.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

/// The URL of a database that nobody else has.
pub fn database(server: &Server) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("{}/{}", server.url(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// A way to a server on which answers can be lost, and which can be cut.
pub struct Relay {
    port: u16,
    state: Arc<State>,
}

struct State {
    to: AtomicU16,
    loses_answers: AtomicBool,
    is_cut: AtomicBool,
}

impl Relay {
    pub fn start(to: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (loses_answers, is_cut) = (AtomicBool::new(false), AtomicBool::new(false));
        let state = Arc::new(State { to: AtomicU16::new(to), loses_answers, is_cut });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", shared.to.load(Ordering::SeqCst))) else {
                    continue;
                };
                let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || pass(near, far, || one.is_cut.load(Ordering::SeqCst)));
                std::thread::spawn(move || {
                    pass(far_again, near_again, || {
                        other.is_cut.load(Ordering::SeqCst) || other.loses_answers.load(Ordering::SeqCst)
                    });
                });
            }
        });
        Relay { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn lose_answers(&self, loses: bool) {
        self.state.loses_answers.store(loses, Ordering::SeqCst);
    }

    /// What is sent arrives nowhere, in neither direction.
    pub fn cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::SeqCst);
    }

    /// Connections lead to another server from now on.
    pub fn lead_to(&self, port: u16) {
        self.state.to.store(port, Ordering::SeqCst);
    }
}

/// Passes on what is not lost.
fn pass(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn() -> bool) {
    let mut octets = [0; 65536];
    while let Ok(length @ 1..) = from.read(&mut octets) {
        if !is_lost() && to.write_all(&octets[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
