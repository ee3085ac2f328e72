//! Two `sipreg serve` on one Redis: calls by one to devices of the other, and what is left when one is killed.
#![cfg(all(unix, feature = "redis"))]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::phone::{Phone, rows_of};
use crate::run::sipreg;
use crate::serve::Server;

/// A redis-server, which ends with the other end of its pipe.
struct Redis(Child, u16);

impl Redis {
    fn start() -> Redis {
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
            command.args(["--save", "", "--loglevel", "warning"]);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let redis = Redis(child, port);
            let is_there = |_| {
                std::thread::sleep(Duration::from_millis(10));
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            };
            if (0..500).any(is_there) {
                return redis;
            }
        }
        panic!("redis-server does not start: apt-get install redis-server");
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.1)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A node that others reach by that transport; its last listener is the one for them.
fn node(name: &str, redis: &Redis, peer_listen: &str, more: &[&str]) -> Server {
    let url = redis.url();
    let mut options =
        vec!["--no-auth", "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--store", &url];
    options.extend(["--node", name, "--peer-listen", peer_listen]);
    options.extend(more);
    Server::start(&options, 3)
}

/// OBS-003 OBS-004 OBS-020: a call to a device of the other node with all that belongs to it; and once that node is killed, its
/// connections are gone, at once and for good, while the device that comes to the one that is left is called there.
#[test]
fn devices_of_another_node_are_called_and_those_of_a_dead_one_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "what all nodes know, and nobody else\n").unwrap();
    let redis = Redis::start();
    for (over, who) in
        [("tcp", ["--peer", "127.0.0.1"]), ("udp", ["--peer-secret-file", secret.to_str().unwrap()])]
    {
        let listen = format!("{over}:127.0.0.1:0");
        let mut a = node("a", &redis, &listen, &who);
        let b = node("b", &redis, &listen, &who);
        let mut alice = Phone::new("tcp", &b.at[1], "alice");
        alice.register("", "");
        let mut caller = Phone::new("udp", &a.at[0], "caller");
        caller.calls("sip:alice@localhost");
        let invite = alice.hears("INVITE ");
        assert!(!invite.contains("node="), "{invite}");
        assert_eq!(rows_of(&invite, "Via").len(), 3, "{invite}");
        alice.answer(&invite, "180 Ringing");
        caller.hears("SIP/2.0 100 ");
        caller.hears("SIP/2.0 180 ");
        alice.answer(&invite, "200 OK");
        let answer = caller.status(200);
        caller.within(&answer, "ACK", 1);
        alice.hears("ACK ");
        alice.within_call(&invite, "INFO", 7);
        let info = caller.hears("INFO ");
        caller.answer(&info, "200 OK");
        alice.status(200);
        caller.within(&answer, "BYE", 2);
        let bye = alice.hears("BYE ");
        alice.answer(&bye, "200 OK");
        caller.status(200);
        // It rings when the node is killed.
        let first = caller.calls("sip:alice@localhost");
        let rings = alice.hears("INVITE ");
        alice.answer(&rings, "180 Ringing");
        caller.hears("SIP/2.0 100 ");
        caller.hears("SIP/2.0 180 ");
        drop(b);
        let gone = caller.status(480);
        caller.acknowledge(&first, &gone);
        let second = caller.calls("sip:alice@localhost");
        let gone = caller.status(480);
        caller.acknowledge(&second, &gone);
        // The binding stays listed until it ends; the device comes again, and is called.
        let mut alice = Phone::new("tcp", &a.at[1], "alice");
        alice.register("", "");
        caller.calls("sip:alice@localhost");
        let rings = alice.hears("INVITE ");
        alice.answer(&rings, "486 Busy Here");
        caller.status(486);
        a.until("routed");
        let (_, code) = a.stop();
        assert_eq!(code, Some(0));
        let mut client = Command::new("redis-cli");
        assert!(client.args(["-p", &redis.1.to_string(), "flushall"]).status().unwrap().success());
    }
}

/// What goes with a shared store, and does not go together.
#[test]
fn mistakes_about_nodes_are_told_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    std::fs::write(&short, "too short\n").unwrap();
    let (short, shared) =
        (short.to_str().unwrap(), ["--store", "redis://127.0.0.1:1", "--listen", "tcp:127.0.0.1:5068"]);
    let peer = ["--peer", "127.0.0.2", "--peer-listen"];
    for (more, said) in [
        (vec!["--peer-listen", "tcp:127.0.0.1:0"], "Neither --peer nor --peer-secret-file says it"),
        (vec!["--peer", "127.0.0.2"], "goes with --peer-listen only"),
        ([&peer[..], &["tcp:0.0.0.0:5070"]].concat(), "is no address that other nodes could reach"),
        ([&peer[..], &["ws:127.0.0.1:5070"]].concat(), "is for browsers"),
        ([&peer[..], &["tls:127.0.0.1:5070"]].concat(), "needs a certificate"),
        ([&peer[..], &["tcp:127.0.0.1:5068"]].concat(), "is where --listen has devices come"),
        (vec!["--peer-secret-file", "/nonexistent"], "can't be read"),
        (vec!["--peer-secret-file", short], "has a secret of less than 16 characters"),
    ] {
        let arguments = [&["serve", "--no-auth"], &shared[..], &more[..]].concat();
        let ran = sipreg(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.all());
        assert!(ran.stderr.contains(said) && ran.stderr.contains("hint: "), "{arguments:?}: {}", ran.stderr);
    }
}
