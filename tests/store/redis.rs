//! What only a store that is shared can get wrong.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sipreg::store::{Node, Redis, RedisSettings, StoreClock};

use crate::script::at;

/// A redis-server of the tests, on a port of its own. It ends when the other end of its pipe is closed: with the value, or with
/// the process of the tests.
pub struct Server {
    port: u16,
    child: Child,
}

impl Server {
    pub fn start(options: &[&str]) -> Server {
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let script = "\"$@\" & trap 'kill -9 $! 2>/dev/null' EXIT; read -r never";
            let mut command = Command::new("sh");
            command.args([
                "-c",
                script,
                "sh",
                "redis-server",
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
            ]);
            command.args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--databases",
                "1000",
                "--loglevel",
                "warning",
            ]);
            command.args(options).stdin(Stdio::piped()).stdout(Stdio::null());
            let server = Server { port, child: command.spawn().unwrap() };
            if server.is_there() {
                return server;
            }
        }
        panic!("redis-server does not start: apt-get install redis-server");
    }

    fn is_there(&self) -> bool {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            client.get_connection().is_ok()
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
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

/// What a server is that is called so.
pub fn settings(url: &str, name: &str) -> RedisSettings {
    RedisSettings {
        address: url.parse().unwrap(),
        roots: None,
        node: Node { name: name.to_owned(), run: "1".to_owned() },
        replicas: 0,
        limit: 128 << 20,
        seed: 1,
        clock: StoreClock::Asker,
    }
}

/// A store in a database of its own, with the time of the tests.
pub fn fresh() -> Redis {
    Redis::open(settings(&database(shared()), "a"), at(0)).unwrap().0
}
