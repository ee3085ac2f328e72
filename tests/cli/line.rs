//! One end of a conversation that a test holds by hand, as client or as server, over any transport: a socket for datagrams,
//! else a connection with as much of TLS and WebSocket on it as [`Transport`] says that there is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sipreg::proto::Transport;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocket};
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Error};

/// How long anything may take that has to come: longer than a server waits for who is slow.
const PATIENCE: Duration = Duration::from_secs(20);

const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";

/// What a connection is read and written by.
trait Octets: Read + Write + Send {}

impl<T: Read + Write + Send> Octets for T {}

type Stream = Box<dyn Octets>;

/// How the other end has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As the transport wants it: with a close frame, or close_notify, and the end of the connection.
    Orderly,
    /// Without a word.
    Broken,
}

pub struct Line {
    pub transport: Transport,
    pub local: SocketAddr,
    way: Way,
    /// What came of a stream after its last whole message.
    rest: Vec<u8>,
}

enum Way {
    Datagrams(UdpSocket),
    Stream(Stream),
    Messages(Box<WebSocket<Stream>>),
}

impl Line {
    /// Goes there; over TLS who is there has to have a certificate of this authority's.
    pub fn connect(transport: Transport, at: SocketAddr, ca: &str) -> Line {
        if !transport.is_reliable() {
            let socket = UdpSocket::bind((at.ip(), 0)).unwrap();
            socket.connect(at).unwrap();
            return Line::datagrams(transport, socket);
        }
        let socket = dial(at);
        let local = socket.local_addr().unwrap();
        let mut stream: Stream = Box::new(socket);
        if transport.is_secure() {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let name = ServerName::from(at.ip());
            stream =
                Box::new(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream));
        }
        let way = if transport.is_websocket() {
            let request = ClientRequestBuilder::new(format!("ws://{at}/").parse().unwrap());
            let opened = tungstenite::client::client(request.with_sub_protocol("sip"), stream);
            Way::Messages(Box::new(opened.map_err(|error| error.to_string()).unwrap().0))
        } else {
            Way::Stream(stream)
        };
        Line { transport, local, way, rest: Vec::new() }
    }

    fn datagrams(transport: Transport, socket: UdpSocket) -> Line {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let local = socket.local_addr().unwrap();
        Line { transport, local, way: Way::Datagrams(socket), rest: Vec::new() }
    }

    /// Sends one message, or what is none.
    ///
    /// # Errors
    /// That of the transport, if it does not take so much, or nobody is there.
    pub fn try_say(&mut self, text: &str) -> io::Result<()> {
        match &mut self.way {
            Way::Datagrams(socket) => socket.send(text.as_bytes()).map(drop),
            Way::Stream(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
            Way::Messages(socket) => socket.send(Message::text(text)).map_err(io::Error::other),
        }
    }

    pub fn say(&mut self, text: &str) {
        self.try_say(text).unwrap();
    }

    /// One message in two pieces, the second after a moment: fragments of a WebSocket. A datagram is whole.
    pub fn say_in_pieces(&mut self, text: &str) {
        let (first, second) = text.split_at(text.len() / 2);
        if matches!(self.way, Way::Datagrams(_)) {
            return self.say(text);
        }
        self.begin(first);
        std::thread::sleep(Duration::from_millis(30));
        match &mut self.way {
            Way::Messages(socket) => {
                let frame = Frame::message(second.to_owned(), OpCode::Data(Data::Continue), true);
                socket.send(Message::Frame(frame)).unwrap();
            }
            Way::Stream(_) | Way::Datagrams(_) => self.say(second),
        }
    }

    /// The first piece of a message.
    pub fn begin(&mut self, piece: &str) {
        match &mut self.way {
            Way::Messages(socket) => {
                let frame = Frame::message(piece.to_owned(), OpCode::Data(Data::Text), false);
                socket.send(Message::Frame(frame)).unwrap();
            }
            Way::Stream(_) | Way::Datagrams(_) => self.say(piece),
        }
    }

    /// Messages in one segment: one after another, or each in a frame of its own. Datagrams follow each other closely.
    pub fn say_at_once(&mut self, texts: &[String]) {
        match &mut self.way {
            Way::Datagrams(_) => texts.iter().for_each(|text| self.say(text)),
            Way::Stream(_) => self.say(&texts.concat()),
            Way::Messages(socket) => {
                texts.iter().for_each(|text| socket.write(Message::text(text)).unwrap());
                socket.flush().unwrap();
            }
        }
    }

    /// The octets that come next, as they come.
    pub fn octets(&mut self) -> Result<Vec<u8>, End> {
        let mut buffer = vec![0; 65_536];
        let read = match &mut self.way {
            Way::Datagrams(socket) => socket.recv(&mut buffer),
            Way::Stream(stream) => stream.read(&mut buffer),
            Way::Messages(socket) => return message(socket),
        };
        match read {
            Ok(0) if self.transport.is_reliable() => Err(End::Orderly),
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) => Err(broken(&error)),
        }
    }

    /// The next whole message, all of whose bodies are empty.
    pub fn hear(&mut self) -> Result<String, End> {
        loop {
            let whole = self.rest.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = whole {
                let message = self.rest.drain(..end + 4).collect();
                return Ok(String::from_utf8(message).unwrap());
            }
            let octets = self.octets()?;
            self.rest.extend(octets);
        }
    }

    /// What else has come when the other end has left: it does not say that by a datagram.
    pub fn left(mut self) -> Vec<String> {
        let mut left = Vec::new();
        if let Way::Datagrams(socket) = &self.way {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = vec![0; 65_536];
            while let Ok(length) = socket.recv(&mut buffer) {
                left.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
            return left;
        }
        while let Ok(text) = self.hear() {
            left.push(text);
        }
        left
    }
}

/// The next message of a WebSocket.
fn message(socket: &mut WebSocket<Stream>) -> Result<Vec<u8>, End> {
    let mut is_closed = false;
    loop {
        match socket.read() {
            Ok(Message::Close(_)) => is_closed = true,
            Ok(Message::Text(text)) => return Ok(text.as_bytes().to_vec()),
            Ok(Message::Binary(octets)) => return Ok(octets.to_vec()),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(Error::ConnectionClosed) if is_closed => return Err(End::Orderly),
            Err(Error::Io(error)) => return Err(broken(&error)),
            Err(_) => return Err(End::Broken),
        }
    }
}

/// What an error says of the other end; that nothing comes is one of the test.
fn broken(error: &io::Error) -> End {
    assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "nothing came");
    End::Broken
}

/// A TCP connection that nobody has said anything over.
pub fn dial(at: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(at).unwrap())
}

fn patient(socket: TcpStream) -> TcpStream {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Pieces are to come as pieces.
    socket.set_nodelay(true).unwrap();
    socket
}

/// Where somebody waits for who comes.
pub struct Door {
    transport: Transport,
    pub at: SocketAddr,
    socket: Socket,
    tls: Arc<ServerConfig>,
}

enum Socket {
    Datagrams(UdpSocket),
    Listener(TcpListener),
}

impl Door {
    /// With this certificate, whose key is in the same file.
    pub fn open(transport: Transport, ip: IpAddr, certificate: &str) -> Door {
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certificate).unwrap();
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let (socket, at) = if transport.is_reliable() {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let at = listener.local_addr().unwrap();
            (Socket::Listener(listener), at)
        } else {
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let at = socket.local_addr().unwrap();
            (Socket::Datagrams(socket), at)
        };
        Door { transport, at, socket, tls: Arc::new(tls) }
    }

    /// The first who comes; it has to come.
    pub fn accept(self) -> Line {
        let transport = self.transport;
        let listener = match self.socket {
            Socket::Listener(listener) => listener,
            Socket::Datagrams(socket) => {
                let (_, peer) = socket.peek_from(&mut [0; 8]).expect("somebody comes");
                socket.connect(peer).unwrap();
                return Line::datagrams(transport, socket);
            }
        };
        let socket = patient(listener.accept().unwrap().0);
        let mut stream: Stream = Box::new(socket);
        if transport.is_secure() {
            stream = Box::new(StreamOwned::new(ServerConnection::new(self.tls).unwrap(), stream));
        }
        let way = if transport.is_websocket() {
            #[expect(clippy::result_large_err, reason = "the library wants it so")]
            let picks = |request: &Request, mut response: Response| {
                assert_eq!(request.headers()[SUBPROTOCOL], "sip");
                response.headers_mut().insert(SUBPROTOCOL, HeaderValue::from_static("sip"));
                Ok(response)
            };
            let opened = tungstenite::accept_hdr(stream, picks);
            Way::Messages(Box::new(opened.map_err(|error| error.to_string()).unwrap()))
        } else {
            Way::Stream(stream)
        };
        Line { transport, local: self.at, way, rest: Vec::new() }
    }
}
