//! `--trace` and `--hep`: what is in the file and in the datagrams, and what happens when they can't be written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use sipreg::proto::Transport;

use crate::authority::Authority;
use crate::peer::CHALLENGE;
use crate::registrar::{Answer, Registrar, Request, must};
use crate::run::{Ran, command, finish, wait_until};
use crate::serve::Server;

/// A message as the file has it.
#[derive(Debug)]
struct Packet {
    nanoseconds: u64,
    source: SocketAddr,
    destination: SocketAddr,
    /// 2: TCP, 3: UDP.
    port_type: u32,
    /// 1: in, 2: out.
    direction: u32,
    comment: String,
    text: String,
}

fn number<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    octets[at..at + N].try_into().unwrap()
}

/// Reads a pcapng file of one section and one interface, which must be whole.
fn read(path: &Path) -> Vec<Packet> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(number(rest, 4)) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(u32::from_le_bytes(number(rest, length - 4)) as usize, length);
        blocks.push((u32::from_le_bytes(number(rest, 0)), &rest[8..length - 4]));
        rest = &rest[length..];
    }
    let mut blocks = blocks.into_iter();
    let (kind, section) = blocks.next().unwrap();
    assert_eq!((kind, &section[..8]), (0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..]));
    let (kind, interface) = blocks.next().unwrap();
    assert_eq!((kind, u16::from_le_bytes(number(interface, 0))), (1, 252));
    blocks
        .map(|(kind, body)| {
            assert_eq!(kind, 6);
            packet(body)
        })
        .collect()
}

fn packet(body: &[u8]) -> Packet {
    let half = |at| u64::from(u32::from_le_bytes(number(body, at)));
    let length = u32::from_le_bytes(number(body, 12)) as usize;
    let (mut pdu, mut options) = (&body[20..20 + length], &body[20 + length.next_multiple_of(4)..]);
    let mut ips = Vec::new();
    let mut numbers = Vec::new();
    loop {
        let (tag, size) = (u16::from_be_bytes(number(pdu, 0)), u16::from_be_bytes(number(pdu, 2)) as usize);
        let value = &pdu[4..4 + size];
        pdu = &pdu[4 + size..];
        match tag {
            0 => break,
            12 => assert_eq!(value, b"sip\0"),
            20 | 21 => ips.push(IpAddr::from(number::<4>(value, 0))),
            24..=26 => numbers.push(u32::from_be_bytes(number(value, 0))),
            other => panic!("tag {other}"),
        }
    }
    let (mut direction, mut comment) = (0, String::new());
    while options[..2] != [0, 0] {
        let (code, size) =
            (u16::from_le_bytes(number(options, 0)), u16::from_le_bytes(number(options, 2)) as usize);
        match code {
            1 => comment = String::from_utf8(options[4..4 + size].to_vec()).unwrap(),
            2 => direction = u32::from_le_bytes(number(options, 4)),
            other => panic!("option {other}"),
        }
        options = &options[4 + size.next_multiple_of(4)..];
    }
    let port = |number: u32| u16::try_from(number).unwrap();
    Packet {
        nanoseconds: half(4) << 32 | half(8),
        source: SocketAddr::new(ips[0], port(numbers[1])),
        destination: SocketAddr::new(ips[1], port(numbers[2])),
        port_type: numbers[0],
        direction,
        comment,
        text: String::from_utf8(pdu.to_vec()).unwrap(),
    }
}

/// Challenges once, and binds then.
fn challenging(number: usize, request: &Request) -> Vec<Answer> {
    if number == 1 { request.answer("401 Unauthorized", &[CHALLENGE]) } else { request.as_asked() }
}

fn register(registrar: &str, more: &[&str]) -> Ran {
    let args = ["register", "bob@munich.de", "--registrar", registrar, "--stateless", "--json"];
    let mut command = command(&[&args[..], more].concat());
    finish(command.env("SIPREG_PASSWORD", "uncertainty").spawn().unwrap())
}

#[allow(clippy::disallowed_methods, reason = "compares times in the file with the wall clock")]
fn since_epoch() -> u128 {
    #[expect(clippy::disallowed_methods, reason = "the clock of the file is that of the wall")]
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()
}

/// AUT-047: the file has every message as it was, with addresses, ports, time and direction, and no digest response unless
/// it is wanted; only its owner reads it.
#[test]
fn a_trace_has_every_message_over_udp_and_tcp() {
    let folder = tempfile::tempdir().unwrap();
    for (transport, port_type) in [("udp", 3), ("tcp", 2)] {
        for more in [&[][..], &["--show-secrets"]] {
            let path = folder.path().join("bob.pcapng");
            let registrar = match transport {
                "udp" => Registrar::udp(challenging),
                _ => Registrar::tcp(challenging),
            };
            let address: SocketAddr = registrar.address.parse().unwrap();
            let options = ["--transport", transport, "--trace", path.to_str().unwrap()];
            let began = since_epoch();
            let ran = register(&registrar.address, &[&options[..], more].concat());
            assert_eq!(ran.stderr, "", "{}", ran.all());
            let json = must(&ran, 0);
            let requests = registrar.requests();
            let packets = read(&path);
            let local: SocketAddr = json["registrar"]["local"].as_str().unwrap().parse().unwrap();
            assert_eq!(packets.len(), 4, "{packets:#?}");
            let mut before = began;
            for (at, packet) in packets.iter().enumerate() {
                let ends = if at % 2 == 0 { (local, address, 2) } else { (address, local, 1) };
                assert_eq!((packet.source, packet.destination, packet.direction), ends);
                assert_eq!((packet.port_type, packet.comment.as_str()), (port_type, ""));
                assert!(u128::from(packet.nanoseconds) >= before, "{packet:?}");
                before = u128::from(packet.nanoseconds);
            }
            assert!(before <= since_epoch());
            assert_eq!(packets[0].text, requests[0].text);
            assert!(
                packets[1].text.starts_with("SIP/2.0 401 ") && packets[3].text.starts_with("SIP/2.0 200 ")
            );
            let response =
                |text: &str| text.split(" response=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            let (was, written) = (response(&requests[1].text), response(&packets[2].text));
            assert_eq!(packets[2].text.replace(&written, &was), requests[1].text);
            assert_eq!(written, if more.is_empty() { "*".repeat(was.len()) } else { was });
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

/// A file that is there and that others may read or write is its owner's alone from then on, before anything is in it.
#[test]
fn a_trace_is_kept_from_others_also_in_a_file_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bob.pcapng");
    std::fs::write(&path, "x".repeat(100_000)).unwrap();
    for (before, after) in [(0o644, 0o600), (0o666, 0o600), (0o620, 0o600), (0o700, 0o700)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(before)).unwrap();
        let registrar = Registrar::udp(challenging);
        let ran = register(&registrar.address, &["--trace", path.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, after, "{before:o}");
        assert_eq!(read(&path).len(), 4);
    }
}

/// TXN-001: what is sent again is there again.
#[test]
fn a_trace_says_what_was_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bob.pcapng");
    let (_socket, address) = crate::peer::silent();
    let ran = register(&address, &["--t1", "5ms", "--trace", path.to_str().unwrap()]);
    let retransmissions = must(&ran, 4)["retransmissions"].as_u64().unwrap();
    let packets = read(&path);
    assert_eq!(packets.len() as u64, 1 + retransmissions);
    assert_eq!(packets[0].comment, "");
    assert!(packets[1..].iter().all(|packet| packet.comment == "sent again"));
    assert!(packets.iter().all(|packet| packet.text == packets[0].text));
}

/// What kills the program leaves a file that can be read, with all that had passed.
#[test]
fn a_killed_process_leaves_a_whole_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.pcapng");
    let trace = [
        "--listen",
        "udp:127.0.0.1:0",
        "--domain",
        "munich.de",
        "--no-auth",
        "--trace",
        path.to_str().unwrap(),
    ];
    let server = Server::start(&trace, 1);
    let registrar = server.at[0].clone();
    (0..3).for_each(|_| drop(must(&register(&registrar, &[]), 0)));
    wait_until("the trace is written", || read(&path).len() == 6);
    assert!(Command::new("kill").args(["-9", &server.pid()]).status().unwrap().success());
    drop(server);
    let packets = read(&path);
    assert_eq!(packets.len(), 6);
    assert!(packets.iter().all(|packet| packet.source.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let directions: Vec<_> = packets.iter().map(|packet| packet.direction).collect();
    assert_eq!(directions, [1, 2, 1, 2, 1, 2]);
    assert!(packets.iter().step_by(2).all(|packet| packet.destination.to_string() == registrar));
}

/// A trace shows nothing of the messages to whoever reads the output of the server.
#[test]
fn a_traced_server_says_no_more_than_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.pcapng");
    let listen = ["serve", "--listen", "udp:127.0.0.1:0", "--domain", "munich.de", "--no-auth", "--json"];
    let mut child = command(&[&listen[..], &["--trace", path.to_str().unwrap()]].concat());
    let mut server = Server::started(child_with_stderr(&mut child, folder.path()), 1);
    must(&register(&server.at[0].clone(), &[]), 0);
    assert_eq!(server.next()["event"], "bound");
    assert_eq!(server.stop().1, Some(0));
    assert_eq!(read(&path).len(), 2);
    assert_eq!(std::fs::read_to_string(folder.path().join("stderr")).unwrap(), "");
}

fn child_with_stderr(command: &mut Command, folder: &Path) -> Command {
    let stderr = std::fs::File::create(folder.join("stderr")).unwrap();
    command.stderr(Stdio::from(stderr));
    std::mem::replace(command, Command::new("true"))
}

/// `keep` writes one file for all its accounts, and the configuration may name it.
#[test]
fn keep_has_one_trace_for_all_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    let config = folder.path().join("config.toml");
    let text = format!(
        "[defaults]\ntrace = \"all.pcapng\"\nregistrar = \"{}\"\n[accounts.a]\naor = \"sip:a@munich.de\"\n\
         [accounts.b]\naor = \"sip:b@munich.de\"\n",
        registrar.address
    );
    std::fs::write(&config, text).unwrap();
    let args = ["keep", "a", "b", "--config", config.to_str().unwrap(), "--for", "500ms", "--stateless"];
    let ran = finish(command(&args).spawn().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let packets = read(&folder.path().join("all.pcapng"));
    let of =
        |aor: &str| packets.iter().filter(|packet| packet.text.contains(&format!("To: <sip:{aor}@"))).count();
    // Bound and removed, each with its answer.
    assert_eq!((of("a"), of("b"), packets.len()), (4, 4, 8), "{packets:#?}");
}

/// What can't be written is exit 2 before anything is sent, with the option and the file. `--dry-run` writes nothing.
#[test]
fn a_trace_that_cannot_be_written_ends_it_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere/x.pcapng");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [nowhere.as_path(), folder.path(), Path::new("/dev/null"), &pipe] {
        let (socket, address) = crate::peer::silent();
        let path = path.to_str().unwrap();
        let json = must(&register(&address, &["--trace", path]), 2);
        assert_eq!(json["error"]["kind"], "usage");
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("--trace: \"{path}\" can't be written: ")), "{message}");
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 100]).is_err(), "something was sent");
    }
    let path = folder.path().join("dry.pcapng");
    let args =
        ["register", "bob@munich.de", "--registrar", "127.0.0.1", "--stateless", "--dry-run", "--trace"];
    let ran = finish(command(&[&args[..], &[path.to_str().unwrap()]].concat()).spawn().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(!path.exists());
}

/// A disk that is full later costs one warning: the command goes on, and the file ends with a whole message.
#[test]
fn a_full_disk_costs_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bob.pcapng");
    let registrar = Registrar::udp(challenging);
    let sipreg = env!("CARGO_BIN_EXE_sipreg");
    // Some room for a message, and none for more.
    let child = Command::new("sh")
        .args(["-c", "ulimit -f 2; exec \"$0\" \"$@\"", sipreg, "register", "bob@munich.de", "--stateless"])
        .args(["--registrar", &registrar.address, "--json", "--trace", path.to_str().unwrap()])
        .env_clear()
        .env("SIPREG_PASSWORD", "uncertainty")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let ran = finish(child.unwrap());
    must(&ran, 0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.all());
    assert!(ran.stderr.starts_with("warning: messages are missing in "), "{}", ran.all());
    assert!(ran.stderr.contains("bob.pcapng"), "{}", ran.all());
    assert!((1..4).contains(&read(&path).len()), "{:#?}", read(&path));
}

/// A Homer gets a copy of each message, masked; where none is, or its name leads nowhere by then, nothing is lost.
#[test]
fn a_homer_gets_copies() {
    let homer = UdpSocket::bind("127.0.0.1:0").unwrap();
    homer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = homer.local_addr().unwrap().port();
    let registrar = Registrar::udp(challenging);
    must(&register(&registrar.address, &["--hep", &format!("127.0.0.1:{port}")]), 0);
    let mut texts = Vec::new();
    for _ in 0..4 {
        let mut datagram = [0; 65_536];
        let length = homer.recv(&mut datagram).unwrap();
        let datagram = &datagram[..length];
        assert_eq!(datagram[..4], *b"HEP3");
        assert_eq!(u16::from_be_bytes(number(datagram, 4)) as usize, length);
        let mut rest = &datagram[6..];
        while !rest.is_empty() {
            let (kind, size) =
                (u16::from_be_bytes(number(rest, 2)), u16::from_be_bytes(number(rest, 4)) as usize);
            if kind == 15 {
                texts.push(String::from_utf8(rest[6..size].to_vec()).unwrap());
            }
            rest = &rest[size..];
        }
    }
    let requests = registrar.requests();
    assert_eq!(texts[0], requests[0].text);
    assert!(texts[1].starts_with("SIP/2.0 401 ") && texts[3].starts_with("SIP/2.0 200 "), "{texts:?}");
    assert!(texts[2].contains(" response=\"********"), "{}", texts[2]);
    drop(homer);
    let registrar = Registrar::udp(challenging);
    let ran = register(&registrar.address, &["--hep", &format!("127.0.0.1:{port}")]);
    must(&ran, 0);
    assert_eq!(ran.stderr, "");
    for (value, complaint) in [
        ("homer.invalid:9060", "--hep: \"homer.invalid:9060\" can't be used: "),
        ("homer", "--hep: \"homer\" is not a host and a port"),
        ("homer:0", "--hep: \"homer:0\" is not a host and a port"),
    ] {
        let json = must(&register(&registrar.address, &["--hep", value]), 2);
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(complaint), "{message}");
    }
}

/// tshark, as it is, reads every message as SIP and finds none malformed, over every transport and in both families, for clients
/// and a server, also while the server writes. What goes through TLS and WebSocket is in the trace as it was said.
#[test]
#[ignore = "it needs tshark"]
fn tshark_reads_traces_as_sip() {
    let authority = Authority::new();
    let certificate = authority.signs("server.pem", &["127.0.0.1", "::1"]);
    let served = authority.folder.path().join("serve.pcapng");
    let ways: Vec<_> =
        Transport::ALL.iter().flat_map(|way| ["127.0.0.1", "[::1]"].map(|ip| (*way, ip))).collect();
    let listen: Vec<String> = ways.iter().map(|(transport, ip)| format!("{transport}:{ip}:0")).collect();
    let mut options = vec!["--no-auth", "--domain", "munich.de", "--trace", served.to_str().unwrap()];
    options.extend(["--tls-cert", &certificate]);
    options.extend(listen.iter().flat_map(|at| ["--listen", at]));
    let server = Server::start(&options, ways.len());
    let ca = authority.ca();
    for ((transport, _), at) in ways.iter().zip(&server.at) {
        let path = authority.folder.path().join("client.pcapng");
        let options = ["--transport", transport.as_str(), "--tls-ca", &ca, "--trace", path.to_str().unwrap()];
        let json = must(&register(at, &options), 0);
        let local = json["registrar"]["local"].as_str().unwrap();
        let (ip, port) = local.rsplit_once(':').unwrap();
        let field = |name| if local.starts_with('[') { format!("ipv6.{name}") } else { format!("ip.{name}") };
        let said = ["-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sip.Via.transport"];
        let rows =
            tshark(&path, &[&["-e", &field("src"), "-e", "exported_pdu.src_port"], &said[..]].concat());
        let (remote, via) = (at.rsplit(':').next().unwrap(), transport.as_via());
        let ip = ip.trim_matches(['[', ']']);
        assert_eq!(
            rows,
            [format!("{ip}\t{port}\tREGISTER\t\t{via}"), format!("{ip}\t{remote}\t\t200\t{via}")],
            "{json}"
        );
    }
    let count = 2 * ways.len();
    wait_until("the trace is written", || {
        std::fs::read(&served).unwrap().len() > 2000 && read_any(&served) == count
    });
    assert_eq!(tshark(&served, &["-e", "frame.number"]).len(), count);
    assert_eq!(server.stop().1, Some(0));
    assert_eq!(tshark(&served, &["-e", "frame.number"]).len(), count);
}

/// The number of blocks of messages.
fn read_any(path: &Path) -> usize {
    let file = std::fs::read(path).unwrap();
    let (mut at, mut count) = (0, 0);
    while at < file.len() {
        count += usize::from(file[at] == 6);
        at += u32::from_le_bytes(number(&file, at + 4)) as usize;
    }
    count
}

/// What tshark says of each SIP message. None may be malformed, and nothing else may be there.
fn tshark(path: &Path, fields: &[&str]) -> Vec<String> {
    let run = |filter: &str| {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(path).args(["-Y", filter, "-T", "fields"]).args(fields);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(run("_ws.malformed || !sip"), Vec::<String>::new());
    run("sip")
}
