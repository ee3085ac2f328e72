//! The Kamailio laboratory for one test process: started once, on ports of its own, and gone
//! with the process.
//!
//! A keeper (a small shell in a process group of its own) starts Kamailio, tells the ports, waits
//! until its standard input closes and stops Kamailio by process id. Its input is a pipe that only
//! this process holds. So the laboratory ends with this process, however that ends, in the middle of
//! the start too. (It does not end with a test: starting and stopping it takes some seconds.)

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Where base ports are taken from: below the ports that systems give to clients (from 32768 on).
const FIRST_PORT: u16 = 17_008;
/// How many laboratories fit there, 16 ports each.
const SLOTS: u16 = 960;
/// Ports of one laboratory: Kamailio's at 0 to 10, nobody's at 15.
const WIDTH: u16 = 16;

/// What the keeper does. `$1` is the laboratory's script, `$2` the base port. Nothing it prints may
/// end it, for there may be nobody to read it any more.
const KEEPER: &str = r#"
    trap '' PIPE
    if said=$("$1" start --base "$2" 2>&1); then
        printf '%s\nREADY\n' "$said"
        cat >/dev/null
        "$1" stop --base "$2" >/dev/null
    else
        printf '%s\nFAILED\n' "$said"
    fi
"#;

/// A port of the laboratory, by the name that its README gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The registrar, UDP and TCP.
    Sip,
    /// The edge proxy in front of it, UDP and TCP.
    Edge,
    /// Another registrar, UDP and TCP, with the same bindings.
    Alt,
    /// TLS, with a certificate that is good for those who trust the laboratory.
    Tls,
    /// TLS, where clients have to show a certificate, too.
    Mtls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Sws,
    /// TLS with a certificate that has run out.
    Expired,
    /// TLS with a certificate for somebody else.
    Name,
    /// TLS with a certificate that is signed by itself.
    Selfmade,
    /// TLS with a certificate for any host of the domain, but not the domain.
    Wildcard,
    /// Nobody listens there.
    Dead,
}

/// A running laboratory.
pub struct Lab {
    /// Holds the pipe that keeps it running.
    _keeper: Child,
    env: BTreeMap<String, String>,
}

impl Lab {
    /// The laboratory of this process, which the first test that wants it starts.
    pub fn shared() -> &'static Lab {
        static RUNNING: OnceLock<Lab> = OnceLock::new();
        RUNNING.get_or_init(Lab::start)
    }

    /// A second one, for those over TLS and WebSocket: they would meet the bindings of the others.
    pub fn secure() -> &'static Lab {
        static RUNNING: OnceLock<Lab> = OnceLock::new();
        RUNNING.get_or_init(Lab::start)
    }

    /// The path of one of its certificates or keys.
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.env["LAB_DIR"])
    }

    /// The number of a port.
    pub fn port(&self, port: Port) -> u16 {
        let name = match port {
            Port::Sip => "LAB_SIP",
            Port::Edge => "LAB_EDGE",
            Port::Alt => "LAB_ALT",
            Port::Tls => "LAB_TLS",
            Port::Mtls => "LAB_MTLS",
            Port::Ws => "LAB_WS",
            Port::Sws => "LAB_SWS",
            Port::Expired => "LAB_EXPIRED",
            Port::Name => "LAB_NAME",
            Port::Selfmade => "LAB_SELFMADE",
            Port::Wildcard => "LAB_WILDCARD",
            Port::Dead => "LAB_DEAD",
        };
        self.env[name].parse().expect("kamailio-lab prints port numbers")
    }

    /// Starts on the first free ports, beginning at a place that depends on the process id, so that
    /// processes that start at the same time look at different ones.
    fn start() -> Lab {
        let path = search_path();
        assert!(
            std::env::split_paths(&path).any(|dir| dir.join("kamailio").is_file()),
            "Kamailio is not installed. `tests/run` installs what the tests need; \
             for Kamailio alone, as root: apt-get update && tests/interop/lab/kamailio-lab --install"
        );
        let first = std::process::id() % u32::from(SLOTS);
        let mut said = String::from("no free range of 16 ports");
        let mut starts = 0;
        for step in 0..SLOTS {
            let slot = (first + u32::from(step)) % u32::from(SLOTS);
            let base = FIRST_PORT + WIDTH * u16::try_from(slot).expect("below SLOTS");
            if !(base..base + WIDTH).all(is_free) {
                continue;
            }
            match Lab::start_at(base, &path) {
                Ok(lab) => return lab,
                Err(text) => said = text,
            }
            starts += 1;
            if starts == 3 {
                break;
            }
        }
        panic!("the Kamailio laboratory does not start: {said}");
    }

    fn start_at(base: u16, path: &std::ffi::OsStr) -> Result<Lab, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/lab/kamailio-lab");
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER, "keeper"])
            .arg(script)
            .arg(base.to_string())
            .env("PATH", path)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("bash: {e}"))?;
        // Line by line by hand: the pipe stays open after READY, so reading to its end would hang.
        let mut stdout = keeper.stdout.take().expect("piped");
        let mut said = Vec::new();
        let mut octet = [0];
        while !said.ends_with(b"READY\n") && stdout.read(&mut octet).unwrap_or(0) == 1 {
            said.push(octet[0]);
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        if !said.ends_with("READY\n") {
            let _ = keeper.wait();
            return Err(said);
        }
        let env = said
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Lab { _keeper: keeper, env })
    }
}

/// PATH, and where Debian has servers: a normal user's PATH lacks it.
fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// Whether this machine has ::1. Where it has not, the laboratory leaves it out, and so do the tests.
pub fn has_ipv6() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if !found {
            // Not by eprintln!, which is captured.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: everything over IPv6, for this machine has no ::1 \
                 (sysctl -w net.ipv6.conf.lo.disable_ipv6=0)"
            );
        }
        found
    })
}

/// Whether nobody has this port, for UDP and TCP, on the loopback addresses that there are.
fn is_free(port: u16) -> bool {
    let is_free_at = |at: SocketAddr| UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok();
    is_free_at((Ipv4Addr::LOCALHOST, port).into())
        && (!has_ipv6() || is_free_at((Ipv6Addr::LOCALHOST, port).into()))
}
