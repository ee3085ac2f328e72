//! The other servers of the name, and the other bindings of the AOR: do all servers know what is bound at one of them, and
//! does anybody keep what this host has bound?
//!
//! No other server is shown the password: one that tells everybody what is bound is asked for that, and any other whether
//! it passes a request on to what is bound.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::bench::{Bench, Input};
use super::probe::{Ask, Probe, Sighting};
use super::way::{Call, Caller};
use super::{Experiment, Measured};
use crate::proto::client::contact::is_same;
use crate::proto::ids::Random;
use crate::proto::locate::{Destination, Found, Transport};
use crate::proto::{RegistrationId, Time};
use crate::sip::{AnyUri, NameAddr};

/// Most servers, and most bindings, that are looked at.
const MOST: usize = 5;
/// How long a program on this host may take to answer.
const HERE: Duration = Duration::from_secs(2);

/// What the others say.
#[derive(Debug, Default)]
pub struct Others {
    /// What the other servers of the name know of our binding.
    pub servers: Vec<(Found, Knowledge)>,
    /// Bindings of the AOR that are not ours.
    pub bindings: Vec<NameAddr>,
    /// Those of them that are on this host, with what came of asking there.
    pub here: Vec<(NameAddr, Sighting)>,
}

/// What another server knows of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// It lists it, or passes requests on to it.
    Known,
    /// It lists others or none, or says that nobody is there; with the status that it said so by.
    Unknown(u16),
    /// It did not say.
    Untold,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rest {
    others: Others,
    waiting: Vec<(Found, u16)>,
    asked: Option<(RegistrationId, Found)>,
    caller: Caller,
    called: Option<Found>,
    here: BTreeMap<RegistrationId, NameAddr>,
    is_over: bool,
}

impl Rest {
    fn go_on(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        if self.asked.is_some() || self.called.is_some() {
            return;
        }
        match self.waiting.pop() {
            Some((found, 200..=299)) => {
                let id = bench.begin(Probe::new(found.clone(), Ask::Bindings(0), random, now), now);
                self.asked = Some((id, found));
            }
            Some((found, _)) => {
                self.caller.call(&found, bench, random, now);
                self.called = Some(found);
            }
            None if self.here.is_empty() => self.finish(bench),
            None => {}
        }
    }

    fn finish(&mut self, bench: &mut Bench) {
        if !std::mem::replace(&mut self.is_over, true) {
            bench.tell(Measured::Others(Box::new(std::mem::take(&mut self.others))));
        }
    }

    fn on_called(&mut self, call: &Call) {
        let Some(found) = self.called.take() else { return };
        let knowledge = match (&call.arrival, call.sighting.status()) {
            (Some(_), _) => Knowledge::Known,
            (None, Some(status @ (404 | 410 | 480 | 604))) => Knowledge::Unknown(status),
            (None, _) => Knowledge::Untold,
        };
        self.others.servers.push((found, knowledge));
    }

    fn on_listed(&mut self, found: Found, sighting: &Sighting, bench: &Bench) {
        let knowledge = match &sighting.answer {
            Some(answer) if answer.response.status < 300 => {
                let listed = answer.response.headers.contact_values();
                let own = bench.known.bound.as_ref().map(|(contact, _)| contact);
                let is_own = |contact: &NameAddr| own.is_some_and(|own| is_same(&own.uri, &contact.uri));
                if listed.into_iter().flatten().any(|contact| is_own(&contact)) {
                    Knowledge::Known
                } else {
                    Knowledge::Unknown(answer.response.status)
                }
            }
            Some(_) | None => Knowledge::Untold,
        };
        self.others.servers.push((found, knowledge));
    }
}

/// The address of a contact over UDP on the host with that address.
fn address_here(contact: &NameAddr, here: SocketAddr) -> Option<SocketAddr> {
    let uri = contact.uri.sip()?;
    let is_udp = uri.transport().is_none_or(|transport| Transport::parse(transport) == Some(Transport::Udp));
    let ip = uri.host.ip()?.to_canonical();
    let is_plain = uri.scheme == crate::sip::Scheme::Sip && is_udp;
    (is_plain && ip == here.ip()).then(|| SocketAddr::new(ip, uri.port.unwrap_or(5060)))
}

impl Experiment for Rest {
    fn begin(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        let Some((own, at)) = bench.known.bound.clone() else {
            return self.finish(bench);
        };
        let is_other = |contact: &NameAddr| !is_same(&own.uri, &contact.uri);
        let login = bench.known.login.clone();
        let is_former = |contact: &NameAddr| login.as_ref().is_some_and(|login| is_same(login, &contact.uri));
        let listed = bench.known.listed.iter();
        let others: Vec<_> = listed.filter(|one| is_other(one) && !is_former(one)).cloned().collect();
        let mut servers = bench.known.others.clone();
        let mut seen = BTreeSet::from([at.destination.address]);
        servers.retain(|(found, _)| seen.insert(found.destination.address));
        servers.truncate(MOST);
        // What goes to one of them over is only to be compared where it arrived by the first.
        servers.retain(|(_, status)| bench.known.is_reached || matches!(status, 200..=299));
        servers.reverse();
        self.waiting = servers;
        if let Some(here) = bench.known.local {
            for contact in others.iter().take(MOST) {
                let (Some(address), AnyUri::Sip(uri)) = (address_here(contact, here), &contact.uri) else {
                    continue;
                };
                if !bench.has_left(1, 6) {
                    break;
                }
                let found = Found { destination: Destination::new(Transport::Udp, address), origin: None };
                let probe = Probe::new(found, Ask::Options(uri.clone()), random, now);
                let id = bench.begin_within(probe, HERE, now);
                self.here.insert(id, contact.clone());
            }
        }
        self.others.bindings = others;
        self.go_on(bench, random, now);
    }

    fn on(&mut self, input: Input, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        match self.caller.on(input, bench, now) {
            Ok(call) => self.on_called(&call),
            Err(Some(Input::Probed(id, sighting))) => {
                if let Some(contact) = self.here.remove(&id) {
                    self.others.here.push((contact, *sighting));
                } else if let Some((_, found)) = self.asked.take_if(|(asked, _)| *asked == id) {
                    self.on_listed(found, &sighting, bench);
                }
            }
            Err(_) => {}
        }
        self.go_on(bench, random, now);
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        self.finish(bench);
    }
}
