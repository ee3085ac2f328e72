//! The calls of the demonstration: a caller, the proxy of munich.de and two devices. Each message is really sent and
//! received; the plays say in which order they are looked at.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::phone::{Dialog, Phone};
use crate::cli::exit::{Exit, Fault};
use crate::cli::report::Reporter;
use crate::cli::report::demo::{Act, Called, Party};
use crate::net::SystemRandom;
use crate::proto::Direction;
use crate::sip::{Message, Method, Request, Response};

/// Time until what was sent last is sent again, doubled each time (RFC 3261 T1).
const T1: Duration = Duration::from_millis(500);

/// Waits for a message: half a minute in all.
const WAITS: u32 = 6;

/// The play of a call.
#[derive(Clone, Copy)]
pub(super) enum Play {
    /// Both devices ring; the second answers, and the first is cancelled.
    Parallel,
    /// The second device rings first, and is busy; then the first, which answers.
    Sequential,
    /// Nobody is bound any more.
    Nobody,
}

impl Play {
    /// The ladder that shows it.
    pub fn act(self) -> Act {
        match self {
            Play::Parallel | Play::Sequential => Act::Call,
            Play::Nobody => Act::NoCall,
        }
    }
}

/// The caller and the devices, and the proxy between them.
pub(super) struct Cast {
    proxy: SocketAddr,
    /// Whom they call.
    callee: String,
    random: SystemRandom,
    caller: Phone,
    desk: Phone,
    home: Phone,
}

impl Cast {
    /// Opens the phones. Needs the runtime.
    ///
    /// # Errors
    /// There are no ports on the loopback interface.
    pub async fn open(
        proxy: SocketAddr,
        callee: String,
        [caller, desk, home]: [&'static str; 3],
        mut random: SystemRandom,
    ) -> Result<Cast, Fault> {
        Ok(Cast {
            proxy,
            callee,
            caller: Phone::open(caller, &mut random).await.map_err(no_socket)?,
            desk: Phone::open(desk, &mut random).await.map_err(no_socket)?,
            home: Phone::open(home, &mut random).await.map_err(no_socket)?,
            random,
        })
    }

    /// Where a device really is.
    pub fn address(&self, of: Party) -> SocketAddr {
        self.phone(of).address()
    }

    /// Plays a call to its end, and says what came of it.
    ///
    /// # Errors
    /// Something else happened than should.
    pub async fn play(&mut self, play: Play, reporter: &mut Reporter<'_, '_>) -> Result<Called, Fault> {
        let mut scene = Scene { act: play.act(), cast: self, reporter };
        match play {
            Play::Parallel => scene.parallel().await?,
            Play::Sequential => scene.sequential().await?,
            Play::Nobody => scene.nobody().await?,
        }
        let (desk, home) = (self.desk.uri().to_owned(), self.home.uri().to_owned());
        let (status, targets, answered_by, cancelled) = match play {
            Play::Parallel => (200, vec![desk.clone(), home.clone()], Some(home), vec![desk]),
            Play::Sequential => (200, vec![home, desk.clone()], Some(desk), Vec::new()),
            Play::Nobody => (480, Vec::new(), None, Vec::new()),
        };
        let from = self.caller.uri().to_owned();
        Ok(Called { from, status, targets, answered_by, cancelled })
    }

    fn invite(&mut self) -> Request {
        self.caller.invite(&self.callee, &mut self.random)
    }

    fn within(&mut self, dialog: &Dialog, method: &Method, cseq: u32) -> Request {
        self.caller.within(dialog, method, cseq, &mut self.random)
    }

    fn phone(&self, party: Party) -> &Phone {
        match party {
            Party::Caller => &self.caller,
            Party::Desk => &self.desk,
            Party::Home => &self.home,
        }
    }

    fn phone_mut(&mut self, party: Party) -> &mut Phone {
        match party {
            Party::Caller => &mut self.caller,
            Party::Desk => &mut self.desk,
            Party::Home => &mut self.home,
        }
    }
}

/// A call in progress, and who shows it.
struct Scene<'c, 's, 'a> {
    act: Act,
    cast: &'c mut Cast,
    reporter: &'c mut Reporter<'s, 'a>,
}

impl Scene<'_, '_, '_> {
    async fn parallel(&mut self) -> Result<(), Fault> {
        use Party::{Caller, Desk, Home};
        self.invite().await?;
        self.status(Caller, 100).await?;
        let (desk, home) =
            (self.request(Desk, Method::Invite).await?, self.request(Home, Method::Invite).await?);
        for (device, invite) in [(Desk, &desk), (Home, &home)] {
            self.answer(device, invite, 180).await?;
            self.status(Caller, 180).await?;
        }
        self.answer(Home, &home, 200).await?;
        let answer = self.status(Caller, 200).await?;
        let cancel = self.request(Desk, Method::Cancel).await?;
        self.answer(Desk, &cancel, 200).await?;
        self.answer(Desk, &desk, 487).await?;
        self.request(Desk, Method::Ack).await?;
        self.talk(Home, &answer).await
    }

    async fn sequential(&mut self) -> Result<(), Fault> {
        use Party::{Caller, Desk, Home};
        self.invite().await?;
        self.status(Caller, 100).await?;
        let home = self.request(Home, Method::Invite).await?;
        self.answer(Home, &home, 486).await?;
        self.request(Home, Method::Ack).await?;
        let desk = self.request(Desk, Method::Invite).await?;
        self.answer(Desk, &desk, 180).await?;
        self.status(Caller, 180).await?;
        self.answer(Desk, &desk, 200).await?;
        let answer = self.status(Caller, 200).await?;
        self.talk(Desk, &answer).await
    }

    async fn nobody(&mut self) -> Result<(), Fault> {
        let invite = self.invite().await?;
        let refusal = self.status(Party::Caller, 480).await?;
        self.send(Party::Caller, Phone::acknowledgement(&invite, &refusal), self.cast.proxy).await
    }

    /// The caller acknowledges an answer, and hangs up.
    async fn talk(&mut self, device: Party, answer: &Response) -> Result<(), Fault> {
        let dialog = Dialog::of(answer)
            .ok_or_else(|| wrong("the 200 names nobody to whom the caller could talk".to_owned()))?;
        let ack = self.cast.within(&dialog, &Method::Ack, 1);
        self.send(Party::Caller, ack, self.cast.proxy).await?;
        self.request(device, Method::Ack).await?;
        let bye = self.cast.within(&dialog, &Method::Bye, 2);
        self.send(Party::Caller, bye, self.cast.proxy).await?;
        let bye = self.request(device, Method::Bye).await?;
        self.answer(device, &bye, 200).await?;
        self.status(Party::Caller, 200).await.map(drop)
    }

    async fn invite(&mut self) -> Result<Request, Fault> {
        let invite = self.cast.invite();
        self.send(Party::Caller, invite.clone(), self.cast.proxy).await?;
        Ok(invite)
    }

    /// A device answers a request.
    async fn answer(&mut self, device: Party, request: &Request, status: u16) -> Result<(), Fault> {
        let response = self.cast.phone(device).response(request, status);
        self.send(device, response, self.cast.proxy).await
    }

    async fn send(&mut self, party: Party, message: impl Into<Message>, to: SocketAddr) -> Result<(), Fault> {
        let octets = self.cast.phone_mut(party).send(message, to).await.map_err(no_socket)?;
        self.reporter.passage(self.act, party, Direction::Sent, &octets);
        Ok(())
    }

    /// Waits for a request of this method.
    async fn request(&mut self, party: Party, method: Method) -> Result<Request, Fault> {
        match self.next(party, &method).await? {
            Message::Request(request) if request.method == method => Ok(request),
            Message::Request(other) => Err(self.instead(party, &method, &other.method)),
            Message::Response(other) => Err(self.instead(party, &method, other.status)),
        }
    }

    /// Waits for a response with this status.
    async fn status(&mut self, party: Party, status: u16) -> Result<Response, Fault> {
        match self.next(party, status).await? {
            Message::Response(response) if response.status == status => Ok(response),
            Message::Request(other) => Err(self.instead(party, status, &other.method)),
            Message::Response(other) => Err(self.instead(party, status, other.status)),
        }
    }

    /// The next message for one of them; until it comes, all send again what they sent last.
    async fn next(&mut self, party: Party, wanted: impl std::fmt::Display) -> Result<Message, Fault> {
        for wait in (0..WAITS).map(|n| T1 * 2u32.pow(n)) {
            match tokio::time::timeout(wait, self.cast.phone_mut(party).receive()).await {
                Ok(came) => {
                    let octets = came.map_err(no_socket)?;
                    self.reporter.passage(self.act, party, Direction::Received, &octets);
                    return Message::parse_datagram(octets).map_err(|error| {
                        wrong(format!("{} got no message: {error}", self.cast.phone(party).uri()))
                    });
                }
                Err(_) => {
                    for phone in [&self.cast.caller, &self.cast.desk, &self.cast.home] {
                        phone.send_again().await.map_err(no_socket)?;
                    }
                }
            }
        }
        let message = format!("{} waits for {wanted} in vain", self.cast.phone(party).uri());
        Err(Fault::new(Exit::Timeout, message, None))
    }

    fn instead(&self, party: Party, wanted: impl std::fmt::Display, came: impl std::fmt::Display) -> Fault {
        wrong(format!("{} got {came}, not {wanted}", self.cast.phone(party).uri()))
    }
}

fn wrong(message: String) -> Fault {
    Fault::new(Exit::Misbehaved, message, None)
}

fn no_socket(error: io::Error) -> Fault {
    Fault::internal(format_args!("a socket of the loopback interface fails: {error}"))
}
