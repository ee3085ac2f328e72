//! Copies of the SIP messages that pass: into a file that Wireshark and tshark read ([`TraceFile`]), and to a Homer, which
//! collects them (HEP3). Whatever the transport encrypts is in them as it is read here.
//!
//! A [`Capture`] belongs to the driver, which hands it each message as it passes ([`Driver::capture_with`]). It never
//! makes the loop wait: a thread writes the file, and a datagram that can't be sent at once is lost.
//!
//! [`Driver::capture_with`]: super::Driver::capture_with

mod file;
mod hep;
mod pcapng;

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

pub use file::{Missing, TraceFile};

use crate::proto::{Direction, Transport};
use crate::sip::cover_secrets;

/// Whether copies hold the proofs of a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// Asterisks stand in their place, as many as there were octets.
    #[default]
    Covered,
    /// They are as they were on the wire.
    Shown,
}

/// Where copies of the messages go.
#[derive(Debug)]
pub struct Capture {
    secrets: Secrets,
    file: Option<TraceFile>,
    masked: Option<TraceFile>,
    collector: Option<(UdpSocket, SocketAddr)>,
}

/// One message on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage<'a> {
    /// The time since 1970.
    pub(super) at: Duration,
    pub(super) direction: Direction,
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) message: &'a [u8],
}

/// Two addresses of one family.
enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Capture {
    /// Copies that go nowhere yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Capture {
        Capture { secrets, file: None, masked: None, collector: None }
    }

    /// Writes copies into a file from now on.
    #[must_use]
    pub fn write_to(mut self, file: TraceFile) -> Capture {
        self.file = Some(file);
        self
    }

    /// Writes copies into another file, too, with secrets covered whatever the others show.
    #[must_use]
    pub fn write_masked_to(mut self, file: TraceFile) -> Capture {
        self.masked = Some(file);
        self
    }

    /// Sends copies there from now on, each in a UDP datagram (HEP3). Nobody answers; those that can't be sent are lost.
    ///
    /// # Errors
    /// Those of the operating system, when it has no socket for it.
    pub fn send_to(mut self, collector: SocketAddr) -> io::Result<Capture> {
        let any: IpAddr = match collector {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        self.collector = Some((socket, collector));
        Ok(self)
    }

    /// Takes a copy of a message, without waiting.
    pub(super) fn take(&mut self, passage: &Passage<'_>) {
        let covered = || Cow::Owned(cover_secrets(passage.message));
        if let Some(file) = &self.masked {
            file.put(&Passage { message: &covered(), ..*passage });
        }
        let message = match self.secrets {
            Secrets::Covered => covered(),
            Secrets::Shown => Cow::Borrowed(passage.message),
        };
        let passage = Passage { message: &message, ..*passage };
        if let Some(file) = &self.file {
            file.put(&passage);
        }
        if let Some((socket, collector)) = &self.collector
            && let Some(datagram) = hep::datagram(&passage)
        {
            // A collector that is not there is no concern of the registration.
            let _ = socket.send_to(&datagram, collector);
        }
    }
}

impl Drop for Capture {
    /// Gives the file a moment to be written. What is missing in it is told to whoever asks for that.
    fn drop(&mut self) {
        for file in self.file.iter().chain(&self.masked) {
            file.close();
        }
    }
}

impl Passage<'_> {
    /// Who sent the message, and who gets it.
    fn source_and_destination(&self) -> (SocketAddr, SocketAddr) {
        match self.direction {
            Direction::Sent | Direction::SentAgain => (self.local, self.remote),
            Direction::Received => (self.remote, self.local),
        }
    }

    /// The same without ports. An IPv4 address beside an IPv6 address is written as one.
    fn ends(&self) -> Ends {
        let (source, destination) = self.source_and_destination();
        match (source.ip().to_canonical(), destination.ip().to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ends::V4(source, destination),
            (source, destination) => Ends::V6(mapped(source), mapped(destination)),
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests;
