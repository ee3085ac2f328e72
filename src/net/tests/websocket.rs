//! WebSockets between two tasks, and against peers that write frames by hand.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::net::connection::Flow;
use crate::net::websocket::{self, Refused, Socket, upgrade};
use crate::proto::Cause;
use crate::proto::identity::{LastWords, UpgradeFault, WebSocketFault};

const PEER: &str = "192.0.2.1:80";
const MASK: [u8; 4] = [1, 2, 3, 4];

/// One end of a conversation, as the driver has it.
struct End {
    flow: Flow,
    events: mpsc::Receiver<Event>,
}

impl End {
    fn new<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(socket: Socket<S>) -> End {
        let (report, events) = mpsc::channel(256);
        let flow = Flow::start(ONE, to(Transport::Ws, PEER.parse().unwrap()), report, |task| {
            websocket::converse(task, socket)
        });
        End { flow, events }
    }

    fn send(&self, octets: impl Into<Bytes>) {
        assert!(self.flow.send(octets.into()).is_ok());
    }

    async fn event(&mut self) -> Event {
        soon(self.events.recv()).await.expect("the task is at work")
    }

    async fn hears(&mut self, octets: &[u8]) {
        assert_eq!(received(&self.event().await).2, octets);
    }

    async fn fails(&mut self, fault: WebSocketFault) {
        match self.event().await {
            Event::Failed { flow: ONE, cause, .. } => assert_eq!(cause, Cause::WebSocket(fault)),
            other => panic!("{other:?}"),
        }
    }

    async fn says(&mut self, code: u16, reason: &str) {
        match self.event().await {
            Event::LastWords { flow: ONE, words } => {
                assert_eq!(words, LastWords::Close { code, reason: reason.to_owned() });
            }
            other => panic!("{other:?}"),
        }
    }

    async fn is_closed(&mut self) {
        match self.event().await {
            Event::Closed { flow: ONE } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A frame; masked, as clients have to.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    frame
}

/// A frame as servers send it.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len(), 0);
    frame.extend(payload);
    frame
}

fn head(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(mask | length as u8),
        126..=65_535 => {
            head.push(mask | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A server's end, and a client that writes by hand.
async fn served() -> (End, DuplexStream) {
    let (mut peer, io) = duplex(1 << 20);
    peer.write_all(&upgrade::request("munich.de", "/", KEY, None)).await.unwrap();
    let socket = soon(websocket::answer(io, &[])).await.unwrap();
    read_head(&mut peer).await;
    (End::new(socket), peer)
}

/// A client's end, and a server that writes by hand.
async fn dialled() -> (End, DuplexStream) {
    let (mut peer, io) = duplex(1 << 20);
    let (socket, ()) = tokio::join!(websocket::request(io, "munich.de", "/", None), async {
        welcome(&mut peer).await;
    });
    (End::new(socket.unwrap()), peer)
}

async fn welcome(peer: &mut DuplexStream) -> Vec<u8> {
    let head = read_head(peer).await;
    let answer = upgrade::read_request(&head, &[]).unwrap().unwrap().answer;
    peer.write_all(&answer).await.unwrap();
    head
}

async fn read_head(peer: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(peer.read_u8()).await.unwrap());
    }
    head
}

/// The next frame that comes: its first octet, and its payload without the mask.
async fn frame(peer: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let (first, second) = (soon(peer.read_u8()).await.unwrap(), soon(peer.read_u8()).await.unwrap());
    let length = match second & 0x7f {
        126 => usize::from(peer.read_u16().await.unwrap()),
        127 => peer.read_u64().await.unwrap() as usize,
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        peer.read_exact(&mut mask).await.unwrap();
    }
    let mut payload = vec![0; length];
    soon(peer.read_exact(&mut payload)).await.unwrap();
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(octet, mask)| *octet ^= mask);
    (first, payload)
}

/// The close frame that comes next, pongs aside; then nothing.
async fn close_code(peer: &mut DuplexStream) -> u16 {
    loop {
        match frame(peer).await {
            (0x8a, _) => {}
            (0x88, payload) => break u16::from_be_bytes([payload[0], payload[1]]),
            other => panic!("{other:?}"),
        }
    }
}

/// WSS-001 WSS-002 WSS-004 WSS-005: over real sockets, messages come whole and one by one, both ways, and either end closes.
#[tokio::test]
async fn two_ends_talk_until_one_closes() {
    for client_closes in [true, false] {
        let listener = TcpListener::bind((V4, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(
            async {
                let io = TcpStream::connect(address).await.unwrap();
                websocket::request(io, "munich.de", "/sip", None).await.unwrap()
            },
            async { websocket::answer(listener.accept().await.unwrap().0, &[]).await.unwrap() }
        );
        let (mut client, mut server) = (End::new(client), End::new(server));
        for text in ["REGISTER 1", "REGISTER 2"] {
            client.send(text);
        }
        server.hears(b"REGISTER 1").await;
        server.hears(b"REGISTER 2").await;
        server.send(vec![b'x'; 65_535]);
        server.send(&b"\xff\x00"[..]);
        client.hears(&[b'x'; 65_535]).await;
        client.hears(b"\xff\x00").await;
        let (closes, mut other) = if client_closes { (client, server) } else { (server, client) };
        closes.send("last words");
        drop(closes.flow);
        other.hears(b"last words").await;
        other.says(1000, "").await;
        other.is_closed().await;
    }
}

/// WSS-004 WSS-005: text and binary, joined fragments, two messages in one segment, and an octet at a time.
#[tokio::test]
async fn messages_come_whole_however_they_are_cut() {
    let (mut end, mut peer) = served().await;
    let mut all = masked(0x81, b"one");
    all.extend(masked(0x82, b"t\xffwo"));
    all.extend(masked(0x01, b"th"));
    all.extend(masked(0x89, b"ping"));
    all.extend(masked(0x00, b"r"));
    all.extend(masked(0x80, b"ee"));
    all.extend(masked(0x81, b""));
    all.extend(masked(0x81, b"\r\n\r\n"));
    peer.write_all(&all).await.unwrap();
    for octet in &all {
        peer.write_all(&[*octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        for text in [&b"one"[..], b"t\xffwo", b"three", b"\r\n\r\n"] {
            end.hears(text).await;
        }
    }
}

/// Frames that came with the handshake are not lost.
#[tokio::test]
async fn frames_right_behind_the_handshake_are_read() {
    let (mut peer, io) = duplex(1 << 16);
    let mut all = upgrade::request("munich.de", "/", KEY, None);
    all.extend(masked(0x81, b"REGISTER"));
    peer.write_all(&all).await.unwrap();
    End::new(websocket::answer(io, &[]).await.unwrap()).hears(b"REGISTER").await;

    let (mut peer, io) = duplex(1 << 16);
    let (socket, ()) = tokio::join!(websocket::request(io, "munich.de", "/", None), async {
        let head = read_head(&mut peer).await;
        let mut answer = upgrade::read_request(&head, &[]).unwrap().unwrap().answer;
        answer.extend(plain(0x81, b"200"));
        peer.write_all(&answer).await.unwrap();
    });
    End::new(socket.unwrap()).hears(b"200").await;
}

/// WSS-006: text where it is text, else binary; and the frames of a client are masked.
#[tokio::test]
async fn what_is_no_text_goes_as_binary() {
    let (end, mut peer) = dialled().await;
    end.send("caf\u{e9}");
    end.send(&b"body \xff"[..]);
    assert_eq!(frame(&mut peer).await, (0x81, "caf\u{e9}".as_bytes().to_vec()));
    assert_eq!(frame(&mut peer).await, (0x82, b"body \xff".to_vec()));
    drop(end.flow);
    assert_eq!(close_code(&mut peer).await, 1000);
}

/// WSS-015: pings are answered with what they hold, whoever sends them; pongs are nothing.
#[tokio::test]
async fn pings_are_answered() {
    let (_end, mut peer) = dialled().await;
    peer.write_all(&plain(0x8a, b"unasked")).await.unwrap();
    peer.write_all(&plain(0x89, b"are you there?")).await.unwrap();
    assert_eq!(frame(&mut peer).await, (0x8a, b"are you there?".to_vec()));
    let (_end, mut peer) = served().await;
    peer.write_all(&masked(0x89, b"")).await.unwrap();
    assert_eq!(frame(&mut peer).await, (0x8a, Vec::new()));
}

/// RFC 6455 §5.5.1: a close is answered, and ends the flow; so does a connection that just ends.
#[tokio::test]
async fn a_close_is_answered_and_told() {
    let (mut end, mut peer) = served().await;
    peer.write_all(&masked(0x88, &1001_u16.to_be_bytes())).await.unwrap();
    assert_eq!(close_code(&mut peer).await, 1001);
    end.says(1001, "").await;
    end.is_closed().await;
    let (mut end, mut peer) = dialled().await;
    let reason = "x".repeat(123);
    peer.write_all(&plain(0x88, &[&4403_u16.to_be_bytes(), reason.as_bytes()].concat())).await.unwrap();
    end.says(4403, &reason).await;
    drop(peer);
    end.is_closed().await;
    let (mut end, mut peer) = dialled().await;
    peer.write_all(&plain(0x88, b"")).await.unwrap();
    assert_eq!(frame(&mut peer).await, (0x88, Vec::new()));
    drop(peer);
    end.is_closed().await;
    let (mut end, peer) = served().await;
    drop(peer);
    end.is_closed().await;
}

/// WSS-004: what is longer than any SIP message, breaks the rules of frames, or wears the other end out is closed with the
/// code that says why, and told.
#[tokio::test]
async fn who_breaks_the_rules_hears_why() {
    use WebSocketFault::{Broken, Flood, TooLong};
    let fragments = || {
        let mut frames = masked(0x01, &[b'x'; 30_000]);
        frames.extend(masked(0x00, &[b'x'; 30_000]));
        frames.extend(masked(0x00, &[b'x'; 30_000]));
        frames
    };
    let mut giant = head(0x82, 1 << 40, 0x80);
    giant.extend(MASK);
    let mut endless = masked(0x01, b"S");
    endless.extend(masked(0x00, b"").repeat(1000));
    for (what, octets, fault, code) in [
        ("a giant frame", giant, TooLong, 1009),
        ("one octet too many", masked(0x81, &[b'x'; 65_536]), TooLong, 1009),
        ("fragments that add up", fragments(), TooLong, 1009),
        ("empty fragments without end", endless, Flood, 1008),
        ("pings", masked(0x89, b"").repeat(500), Flood, 1008),
        ("empty messages", masked(0x81, b"").repeat(500), Flood, 1008),
        ("no text", masked(0x81, b"\xff"), Broken, 1007),
        ("no mask", plain(0x81, b"REGISTER"), Broken, 1002),
        ("a reserved bit", masked(0xc1, b"REGISTER"), Broken, 1002),
        ("a reserved opcode", masked(0x83, b"REGISTER"), Broken, 1002),
        ("a fragment of nothing", masked(0x80, b"REGISTER"), Broken, 1002),
        ("a long ping", masked(0x89, &[b'x'; 126]), Broken, 1002),
        ("SIP without frames", b"REGISTER sip:munich.de SIP/2.0\r\n".repeat(3), Broken, 1002),
    ] {
        println!("{what}");
        let (mut end, mut peer) = served().await;
        peer.write_all(&octets).await.unwrap();
        end.fails(fault).await;
        assert_eq!(close_code(&mut peer).await, code, "{what}");
        drop(end.flow);
        assert_eq!(soon(peer.read(&mut [0])).await.unwrap(), 0, "nothing follows");
    }
}

/// A hundred pings a second are borne.
#[tokio::test]
async fn a_hundred_pings_are_no_flood() {
    let (mut end, mut peer) = served().await;
    peer.write_all(&masked(0x89, b"").repeat(100)).await.unwrap();
    peer.write_all(&masked(0x81, b"REGISTER")).await.unwrap();
    end.hears(b"REGISTER").await;
}

/// A peer that does not read costs bounded memory, is still heard, and does not keep the task when the core has closed.
#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let (mut peer, io) = duplex(4096);
    peer.write_all(&upgrade::request("munich.de", "/", KEY, None)).await.unwrap();
    let mut end = End::new(websocket::answer(io, &[]).await.unwrap());
    read_head(&mut peer).await;
    let message = Bytes::from(vec![b'x'; 10_000]);
    let mut taken = 0;
    while end.flow.send(message.clone()).is_ok() {
        taken += message.len();
        tokio::task::yield_now().await;
        assert!(taken < 1 << 20);
    }
    peer.write_all(&masked(0x81, b"still here")).await.unwrap();
    end.hears(b"still here").await;
    drop(end.flow);
    assert!(soon(end.events.recv()).await.is_none(), "the task is over");
}

/// WSS-003: who is refused is told over the connection before that ends, even when it has sent more.
#[tokio::test]
async fn a_refusal_reaches_who_asked() {
    for (octets, fault, status) in [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), UpgradeFault::NotWebSocket, "426"),
        (b"REGISTER sip:munich.de SIP/2.0\r\n".to_vec(), UpgradeFault::NotWebSocket, "400"),
        (b"\x16\x03\x01\x02\x00\x01".to_vec(), UpgradeFault::NotWebSocket, "400"),
        ([&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 100_000]].concat(), UpgradeFault::TooLong, "431"),
    ] {
        let listener = TcpListener::bind((V4, 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let io = listener.accept().await.unwrap().0;
        let (refused, answer) = tokio::join!(soon(websocket::answer(io, &[])), async {
            client.write_all(&octets).await.unwrap();
            let mut answer = String::new();
            soon(client.read_to_string(&mut answer)).await.unwrap();
            drop(client);
            answer
        });
        assert_eq!(refused.err(), Some(Cause::Upgrade(fault)));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

/// WSS-002 WSS-003: what a server says instead of a WebSocket, and one that closes in the middle.
#[tokio::test]
async fn a_client_is_told_what_kept_the_websocket_from_opening() {
    for (answer, fault) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", UpgradeFault::Status(403)),
        ("SIP/2.0 400 Bad Request\r\n\r\n", UpgradeFault::NotWebSocket),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web", UpgradeFault::NotWebSocket),
        ("", UpgradeFault::NotWebSocket),
    ] {
        let (mut peer, io) = duplex(1 << 16);
        let (refused, ()) = tokio::join!(soon(websocket::request(io, "munich.de", "/", None)), async {
            read_head(&mut peer).await;
            peer.write_all(answer.as_bytes()).await.unwrap();
            drop(peer);
        });
        match refused.err() {
            Some(Refused::Failed(cause)) => assert_eq!(cause, Cause::Upgrade(fault), "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
}

/// WSS-013: a challenge comes up with its texts, and the answer to it goes into the next request.
#[tokio::test]
async fn a_challenge_is_handed_on_and_its_answer_sent() {
    let (mut peer, io) = duplex(1 << 16);
    let (refused, ()) = tokio::join!(websocket::request(io, "munich.de", "/", None), async {
        read_head(&mut peer).await;
        let answer = "HTTP/1.1 401 Who\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\r\n";
        peer.write_all(answer.as_bytes()).await.unwrap();
    });
    match refused.err() {
        Some(Refused::Challenged(challenges)) => {
            assert_eq!(challenges, ["Digest realm=\"a\", nonce=\"b\""]);
        }
        other => panic!("{other:?}"),
    }
    let (mut peer, io) = duplex(1 << 16);
    let (socket, head) =
        tokio::join!(websocket::request(io, "munich.de", "/", Some("Digest response=\"c\"")), async {
            welcome(&mut peer).await
        });
    assert!(socket.is_ok());
    assert!(String::from_utf8(head).unwrap().contains("\r\nAuthorization: Digest response=\"c\"\r\n"));
}

/// WSS-014 WSS-016: the driver opens WebSockets and listens for them, with no other transport open.
#[tokio::test]
async fn the_driver_talks_over_websockets_alone() {
    let mut server = network(Config::default());
    let address = listening(&mut server, ONE, to(Transport::Ws, (V4, 0).into())).await;
    let mut client = network(Config::default());
    open(&mut client, ONE, to(Transport::Ws, address));
    let (opened, accepted) = tokio::join!(event(&mut client), event(&mut server));
    assert!(matches!(opened, Event::Opened { flow: ONE, .. }), "{opened:?}");
    let Event::Accepted { listener: ONE, flow, .. } = accepted else { panic!("{accepted:?}") };
    transmit(&mut client, ONE, address, "REGISTER");
    let heard = tokio::select! {
        heard = event(&mut server) => heard,
        other = event(&mut client) => panic!("{other:?}"),
    };
    let (from, peer, octets) = received(&heard);
    assert_eq!((from, octets), (flow, &b"REGISTER"[..]));
    transmit(&mut server, flow, peer, "200");
    let answer = tokio::select! {
        answer = event(&mut client) => answer,
        other = event(&mut server) => panic!("{other:?}"),
    };
    assert_eq!(received(&answer).2, b"200");
    close(&mut client, ONE);
    assert!(matches!(event(&mut server).await, Event::LastWords { .. }));
    assert!(matches!(event(&mut server).await, Event::Closed { .. }));
}

/// RFC 6455 §7.1.1: whoever is there when everything is closed hears it, and who does not answer that is not waited for long.
#[tokio::test]
async fn the_end_of_the_driver_is_told_before_the_connection_ends() {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = network(Config::default());
    open(&mut client, ONE, to(Transport::Ws, address));
    let welcomed = async {
        let mut peer = listener.accept().await.unwrap().0;
        let head = read_head(&mut peer).await;
        peer.write_all(&upgrade::read_request(&head, &[]).unwrap().unwrap().answer).await.unwrap();
        peer
    };
    let (mut peer, opened) = tokio::join!(welcomed, event(&mut client));
    assert!(matches!(opened, Event::Opened { flow: ONE, .. }), "{opened:?}");
    transmit(&mut client, ONE, address, "last words");
    soon(client.end()).await;
    assert_eq!(frame(&mut peer).await, (0x81, b"last words".to_vec()));
    assert_eq!(frame(&mut peer).await, (0x88, 1000_u16.to_be_bytes().to_vec()));
}
