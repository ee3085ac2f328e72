//! What keeps a device behind a NAT reachable: keep-alives over the flow that it is bound over (RFC 5626 §4.4, RFC 6223),
//! and a Contact that says where the other side sees it (RFC 3581 §4).
//!
//! An account needs keep-alives as [`Need::of`] says, and all that share a flow share them: they are sent as often as the
//! most demanding one needs, with one timer. Over UDP they are STUN requests where it is known that the server answers
//! these, else datagrams of CRLFCRLF, which prove nothing; over streams they are RFC 5626's ping. The machine is pure:
//! [`crate::proto::endpoint`] carries out what it says.
//!
//! ```text
//!             a need comes              due: STUN or a ping            an answer
//!  without ────────────────▶ resting ─────────────────────▶ asking ────────────────▶ resting
//!     ▲                         │ ▲                            │
//!     └── the last need goes ───┘ └── STUN was never answered ─┤ another address, or silence where there was an
//!                                     from now on CRLF         ▼ answer before: the flow is lost
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use crate::proto::flow::PING;
use crate::proto::ids::{Random, jitter};
use crate::proto::stun::{self, Stun, StunId};
use crate::proto::transport::Transport;
use crate::proto::{KeepaliveFault, Time};
use crate::sip::Via;

/// Whether an account that is kept bound sends keep-alives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keepalive {
    /// It never does.
    #[default]
    Off,
    /// Where a NAT is seen, or the server asks for it.
    Auto,
    /// Always: one every so often at least. Over UDP with STUN, as long as the server answers that.
    Every(Duration),
}

/// What a 2xx says of keep-alives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The seconds of Flow-Timer (RFC 5626 §4.4).
    pub flow_timer: Option<u32>,
    /// The value of `keep` in our Via: seconds, or 0 for as often as we like (RFC 6223 §5).
    pub keep: Option<u32>,
    /// The first hop serves outbound: the 2xx requires it, or there is an `ob` in Path (RFC 5626 §4.2.1, §5.1).
    pub outbound: bool,
}

/// Keep-alives of RFC 5626 §4.4.1 over streams and §4.4.2 over UDP: the longest gap between two, and the shortest.
const STREAM: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(96));
const DATAGRAM: (Duration, Duration) = (Duration::from_secs(29), Duration::from_secs(24));

/// What a server asks for is held within these.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long a pong may take (RFC 5626 §4.4.1).
const PONG: Duration = Duration::from_secs(10);

/// The first wait for the answer to a STUN request, which doubles with each copy (RFC 5389 §7.2.1).
const RTO: Duration = Duration::from_millis(500);

/// Copies of a STUN request, the first included.
const COPIES: u32 = 7;

/// How many times [`RTO`] the last copy is waited for.
const LAST: u32 = 16;

/// A timer that fires so much later than it was set for was delayed by suspend: what came meanwhile may not have been read.
const LATE: Duration = Duration::from_secs(1);

/// The keep-alives that one account needs. Of two the lesser one is more demanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The longest gap between two.
    pub longest: Duration,
    /// The shortest gap between two: they are drawn at random, so that not all devices send at once.
    shortest: Duration,
    /// It is known, or the user says, that the server answers STUN.
    stun: bool,
    /// RFC 5626 was agreed upon: every ping has a pong.
    is_owed: bool,
}

impl Need {
    /// What an account needs that was bound over `transport` by a 2xx that said that. `None`: no keep-alives.
    #[must_use]
    pub fn of(keepalive: Keepalive, transport: Transport, asked: Asked, is_behind_nat: bool) -> Option<Need> {
        let seconds =
            [asked.flow_timer, asked.keep].into_iter().flatten().filter(|seconds| *seconds > 0).min();
        let told = seconds.map(|seconds| Duration::from_secs(seconds.into()).clamp(SHORTEST, LONGEST));
        let is_asked = told.is_some() || asked.keep.is_some() || asked.outbound;
        let within = |longest: Duration| (longest, longest * 4 / 5);
        let (longest, shortest) = match (keepalive, told) {
            (Keepalive::Off, _) => return None,
            (Keepalive::Every(often), told) => within(told.map_or(often, |told| told.min(often))),
            (Keepalive::Auto, Some(told)) => within(told),
            (Keepalive::Auto, None) if !is_asked && !is_behind_nat => return None,
            (Keepalive::Auto, None) if transport == Transport::Udp => DATAGRAM,
            (Keepalive::Auto, None) => STREAM,
        };
        let stun = matches!(keepalive, Keepalive::Every(_)) || asked.outbound || asked.keep.is_some();
        Some(Need { longest, shortest, stun, is_owed: asked.outbound })
    }
}

/// The keep-alives of one flow.
#[derive(Debug)]
pub(in crate::proto) struct Keepalives {
    transport: Transport,
    /// What its accounts need, and how many need just that.
    needs: BTreeMap<Need, usize>,
    /// When the next one is due.
    next: Time,
    /// What was sent and is not answered.
    open: Option<Open>,
    /// An answer has come before.
    is_answered: bool,
    /// STUN was never answered here.
    is_deaf: bool,
    /// The address that STUN has told.
    mapped: Option<SocketAddr>,
    /// When an answer has shown that the flow is as it was.
    proven: Option<Time>,
}

/// A keep-alive whose answer is waited for.
#[derive(Clone, Copy, Debug)]
enum Open {
    /// A ping, until that time.
    Ping(Time),
    /// A STUN request, with the copies that were sent, until it is time for the next one or to give up.
    Stun { id: StunId, copies: u32, until: Time },
}

/// What is to be done when keep-alives are due.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proto) enum Duty {
    /// These octets are to be sent to the other end.
    Send(Bytes),
    /// Nothing is to be done before [`Keepalives::due`].
    Wait,
    /// The flow leads nowhere any more.
    Lost(KeepaliveFault),
}

impl Keepalives {
    pub fn new(transport: Transport) -> Keepalives {
        Keepalives {
            transport,
            needs: BTreeMap::new(),
            next: Time::default(),
            open: None,
            is_answered: false,
            is_deaf: false,
            mapped: None,
            proven: None,
        }
    }

    /// An account needs something else than before.
    pub fn change(&mut self, before: Option<Need>, after: Option<Need>, random: &mut dyn Random, now: Time) {
        let was_idle = self.needs.is_empty();
        if let Some(need) = after {
            *self.needs.entry(need).or_default() += 1;
        }
        if let Some(need) = before
            && let Some(count) = self.needs.get_mut(&need)
        {
            *count -= 1;
            if *count == 0 {
                self.needs.remove(&need);
            }
        }
        let Some((need, stun)) = self.need() else {
            self.open = None;
            return;
        };
        if was_idle && stun {
            // At once: its answer is what later ones are held against.
            self.next = now;
        } else if was_idle || self.next > now + need.longest {
            self.next = now + gap(need, random);
        }
    }

    /// When something is due next; `None`: nobody needs it.
    pub fn due(&self) -> Option<Time> {
        self.need()?;
        Some(match self.open {
            Some(Open::Stun { until, .. } | Open::Ping(until)) => until.min(self.next),
            None => self.next,
        })
    }

    /// When an answer last showed that the flow still leads where it did.
    pub fn proven(&self) -> Option<Time> {
        self.proven
    }

    /// The most demanding need, and whether STUN is used.
    fn need(&self) -> Option<(Need, bool)> {
        let (need, _) = self.needs.first_key_value()?;
        let stun = self.transport == Transport::Udp && !self.is_deaf;
        Some((*need, stun && self.needs.keys().any(|need| need.stun)))
    }

    /// The time of [`Keepalives::due`] has come.
    pub fn on_due(&mut self, random: &mut dyn Random, now: Time) -> Duty {
        let Some((need, _)) = self.need() else { return Duty::Wait };
        match self.open {
            Some(Open::Stun { until, .. } | Open::Ping(until)) if until > now => {}
            // An answer may be there, unread.
            Some(Open::Stun { until, .. } | Open::Ping(until)) if now.since(until) >= LATE => {
                (self.open, self.next) = (None, now);
            }
            Some(Open::Stun { id, copies, .. }) if copies < COPIES => {
                let copies = copies + 1;
                let wait = if copies < COPIES { RTO * (1 << (copies - 1)) } else { RTO * LAST };
                self.open = Some(Open::Stun { id, copies, until: now + wait });
                return Duty::Send(stun::request(id));
            }
            Some(Open::Stun { .. }) if !self.is_answered => {
                (self.open, self.next, self.is_deaf) = (None, now, true);
            }
            Some(Open::Stun { .. } | Open::Ping(_)) => return Duty::Lost(KeepaliveFault::Unanswered),
            None => {}
        }
        if self.next > now {
            return Duty::Wait;
        }
        self.next = now + gap(need, random);
        // Copies of a request come ever more seldom: between them, line ends keep the mapping.
        if !matches!(self.open, Some(Open::Stun { .. })) && self.need().is_some_and(|(_, stun)| stun) {
            let mut id = [0; 12];
            let (first, second) = id.split_at_mut(8);
            first.copy_from_slice(&random.next().to_be_bytes());
            second.copy_from_slice(&random.next().to_be_bytes()[..4]);
            self.open = Some(Open::Stun { id: StunId(id), copies: 1, until: now + RTO });
            return Duty::Send(stun::request(StunId(id)));
        }
        let is_owed = self.is_answered || self.needs.keys().any(|need| need.is_owed);
        if self.open.is_none() && self.transport.is_reliable() && is_owed {
            self.open = Some(Open::Ping(now + PONG));
        }
        Duty::Send(Bytes::from_static(PING))
    }

    /// A pong has come; or two of them, unless it is a ping of the server's own: while none is waited for, it is that.
    pub fn on_pong(&mut self, is_double: bool, now: Time) {
        if self.transport.is_reliable() && (!is_double || self.open.is_some()) {
            (self.is_answered, self.proven, self.open) = (true, Some(now), None);
        }
    }

    /// STUN has come. What it means if it shows that the flow is lost.
    pub fn on_stun(&mut self, message: &Stun, now: Time) -> Result<(), KeepaliveFault> {
        let Some(Open::Stun { id, .. }) = self.open else { return Ok(()) };
        match message {
            Stun::Mapped(of, address) if *of == id => {
                let before = self.mapped.replace(*address);
                (self.open, self.is_answered) = (None, true);
                match before {
                    Some(before) if before != *address => return Err(KeepaliveFault::Remapped),
                    Some(_) => self.proven = Some(now),
                    None => {}
                }
            }
            Stun::Refused(of) if *of == id && self.is_answered => return Err(KeepaliveFault::Unanswered),
            Stun::Refused(of) if *of == id => (self.open, self.is_deaf) = (None, true),
            Stun::Mapped(..) | Stun::Refused(_) | Stun::Request { .. } => {}
        }
        Ok(())
    }
}

/// The time to the next keep-alive.
fn gap(need: Need, random: &mut dyn Random) -> Duration {
    need.shortest + jitter(need.longest - need.shortest, random)
}

/// How the other end of a flow sees the device, and what its own contact says of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    /// The two ends of the flow, as we know them.
    local: SocketAddr,
    remote: SocketAddr,
    /// The address that the contact says instead of the local one.
    address: SocketAddr,
    standing: Standing,
}

/// How far an address that was seen can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Only the request before it was bound was seen from there.
    New,
    /// A request that binds it was, too.
    Steady,
    /// The request that was to bind it was seen from elsewhere: of two servers behind one name each may see us from an address of
    /// its own. The last one that was seen instead, and how many times in a row.
    Fickle(SocketAddr, u8),
}

/// So many times in a row another address has to be seen until it counts where the first one did not last.
const INSISTENT: u8 = 3;

impl Sight {
    /// The address that the own contact says on a flow between these ends.
    pub fn at(&self, local: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
        ((self.local, self.remote) == (local, remote)).then_some(self.address)
    }

    /// The address that the own contact says.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether no request that binds the address was seen yet.
    pub fn is_new(&self) -> bool {
        self.standing == Standing::New
    }

    /// What is known after a 2xx to a request that was `seen` from there; and whether another request is to bind that address:
    /// once for each change, never for one that changes from request to request (NAT-005).
    pub fn after(
        before: Option<Sight>,
        (local, remote): (SocketAddr, SocketAddr),
        seen: SocketAddr,
    ) -> (Option<Sight>, bool) {
        let is_seen = |address: SocketAddr| (address.ip(), address.port()) == (seen.ip(), seen.port());
        let found = Sight { local, remote, address: seen, standing: Standing::New };
        let Some(sight) = before.filter(|sight| sight.at(local, remote).is_some()) else {
            return if is_seen(local) { (None, false) } else { (Some(found), true) };
        };
        let (standing, is_due) = match sight.standing {
            Standing::New | Standing::Steady if is_seen(sight.address) => (Standing::Steady, false),
            Standing::Steady => return (Some(found), true),
            Standing::New => (Standing::Fickle(seen, 1), false),
            Standing::Fickle(other, times) if is_seen(other) && !is_seen(sight.address) => {
                (Standing::Fickle(seen, times.saturating_add(1)), times.saturating_add(1) == INSISTENT)
            }
            Standing::Fickle(..) => (Standing::Fickle(seen, 1), false),
        };
        let address = if is_due { seen } else { sight.address };
        (Some(Sight { address, standing, ..sight }), is_due)
    }
}

/// The address that the other side saw us at, by the Via of its answer (RFC 3581 §4), and whether it has said the port:
/// without `received` the source address was what Via says, without `rport` the port was not looked at. `None`: it says
/// neither, or nothing that can be. We sent from `local`, and `peer` has answered.
pub(in crate::proto) fn seen_at(
    via: &Via,
    local: SocketAddr,
    peer: SocketAddr,
) -> Option<(SocketAddr, bool)> {
    let is_strange = |ip: &IpAddr| {
        let is_broadcast = *ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        ip.is_ipv4() != peer.is_ipv4() || ip.is_unspecified() || ip.is_multicast() || is_broadcast
    };
    let received = via.received().map(|ip| ip.to_canonical());
    // Of an address that can't be ours the port says nothing either: what is between speaks another family, or is broken.
    let is_sane = !received.as_ref().is_some_and(is_strange);
    let ip = received.filter(|_| is_sane);
    let port = via.rport().flatten().filter(|port| is_sane && *port != 0);
    if ip.is_none() && port.is_none() {
        return None;
    }
    let sent_by = via.host.ip().filter(|host| host.is_ipv4() == peer.is_ipv4());
    let ip = ip.or(sent_by).unwrap_or(local.ip());
    Some((SocketAddr::new(ip, port.unwrap_or(local.port())), port.is_some()))
}

#[cfg(test)]
mod tests;
