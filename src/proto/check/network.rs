//! Every destination: does anybody answer there, and how soon? Where one does not answer, the other transport is tried at
//! the same address, and the port by itself where TLS fails: both only to say what is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::{Bench, Input};
use super::probe::{Ask, End, Probe, Sighting};
use super::{Experiment, Measured};
use crate::proto::ids::Random;
use crate::proto::locate::{Found, Transport};
use crate::proto::{RegistrationId, Time};

/// Most destinations that are looked at.
const MOST: usize = 16;
/// Requests that the experiments after this one may need.
pub(super) const RESERVE: u32 = 16;

/// What came of every destination.
#[derive(Debug, Default)]
pub struct Contacts {
    /// One for each destination, in the order in which they are tried, and the experiments behind them.
    pub contacts: Vec<Contacted>,
    /// The place of the one that is registered at; `None`: nobody answered.
    pub chosen: Option<usize>,
    /// Destinations that there were too many of.
    pub left_out: usize,
}

/// One destination that was looked at.
#[derive(Debug)]
pub struct Contacted {
    /// What came of it.
    pub sighting: Sighting,
    /// The name service, or the URI, leads there; else it is an experiment.
    pub is_offered: bool,
    /// How long a connection to its port took, by itself; `None`: there was none, or it was not tried.
    pub connected: Option<Duration>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// The probes under way, with their place, and whether they are of the plain port.
    probes: BTreeMap<RegistrationId, (usize, Look)>,
    places: Vec<Place>,
    left_out: usize,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Whole,
    Port,
}

#[derive(Debug)]
struct Place {
    found: Found,
    is_offered: bool,
    sighting: Option<Sighting>,
    connected: Option<Duration>,
}

impl Network {
    fn add(&mut self, found: Found, is_offered: bool, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        let place = self.places.len();
        let transport = found.destination.transport;
        // A server that knows no REGISTER may be silent about it.
        let probe = Probe::new(found.clone(), Ask::Bindings(0), random, now)
            .or_else(Ask::Options((*bench.plan.registrar).clone()));
        let id = bench.begin(probe, now);
        self.probes.insert(id, (place, Look::Whole));
        if transport.is_secure() || transport.is_websocket() {
            let plain = Bench::by(&found, Transport::Tcp);
            let id = bench.begin(Probe::new(plain, Ask::Connection, random, now), now);
            self.probes.insert(id, (place, Look::Port));
        }
        self.places.push(Place { found, is_offered, sighting: None, connected: None });
    }

    /// Notes what came of a look; the place of a destination that was looked at whole.
    fn note(&mut self, id: RegistrationId, sighting: Sighting) -> Option<usize> {
        let (place, look) = self.probes.remove(&id)?;
        let at = self.places.get_mut(place)?;
        match look {
            Look::Port if sighting.end == End::Connected => at.connected = sighting.opened,
            Look::Port => {}
            Look::Whole => {
                at.sighting = Some(sighting);
                return Some(place);
            }
        }
        None
    }

    /// Whether the other transport of a destination that does not answer is worth an experiment, and which one.
    fn other_transport(&self, place: &Place, bench: &Bench) -> Option<Transport> {
        let sighting = place.sighting.as_ref()?;
        if !place.is_offered || sighting.is_somebody_there() || bench.plan.is_sips() {
            return None;
        }
        let other = match place.found.destination.transport {
            Transport::Udp => Transport::Tcp,
            Transport::Tcp => Transport::Udp,
            Transport::Tls | Transport::Ws | Transport::Wss => return None,
        };
        let there = Bench::by(&place.found, other).destination;
        let is_known = self.places.iter().any(|place| place.found.destination == there);
        (!is_known && bench.has_left(2, RESERVE)).then_some(other)
    }

    fn finish(&mut self, bench: &mut Bench) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let places = std::mem::take(&mut self.places);
        let contacts = places.into_iter().filter_map(|place| {
            let Place { sighting, is_offered, connected, .. } = place;
            Some(Contacted { sighting: sighting?, is_offered, connected })
        });
        let contacts: Vec<Contacted> = contacts.collect();
        let offered = contacts.iter().enumerate().filter(|(_, contact)| contact.is_offered);
        let answered: Vec<(usize, Found, u16)> = offered
            .filter_map(|(place, contact)| {
                let Sighting { destination, origin, .. } = &contact.sighting;
                let found = Found { destination: destination.clone(), origin: origin.clone() };
                Some((place, found, contact.sighting.status()?))
            })
            .collect();
        // RFC 3263 §4.3: who says 503 is passed by.
        let first = answered.iter().position(|(.., status)| *status != 503).unwrap_or(0);
        let mut chosen = None;
        for (n, (place, found, status)) in answered.into_iter().enumerate() {
            if n == first {
                chosen = Some(place);
                bench.known.status = Some(status);
                bench.known.chosen = Some(found);
            } else {
                bench.known.others.push((found, status));
            }
        }
        if chosen.is_none() {
            // Some registrars are silent about lists, and bind all the same.
            let is_silent = |contact: &&Contacted| {
                let Contacted { sighting, is_offered, .. } = contact;
                *is_offered && sighting.end == End::Silent && sighting.is_somebody_there()
            };
            chosen = contacts.iter().position(|contact| is_silent(&contact));
            let sighting = chosen.and_then(|place| contacts.get(place)).map(|contact| &contact.sighting);
            bench.known.chosen = sighting.map(|sighting| Found {
                destination: sighting.destination.clone(),
                origin: sighting.origin.clone(),
            });
        }
        bench.tell(Measured::Contacts(Contacts { contacts, chosen, left_out: self.left_out }));
    }
}

impl Experiment for Network {
    fn begin(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        let mut found = bench.known.found.clone();
        self.left_out = found.len().saturating_sub(MOST);
        found.truncate(MOST);
        for found in found {
            self.add(found, true, bench, random, now);
        }
        if self.probes.is_empty() {
            self.finish(bench);
        }
    }

    fn on(&mut self, input: Input, bench: &mut Bench, random: &mut dyn Random, now: Time) {
        let Input::Probed(id, sighting) = input else { return };
        if let Some(place) = self.note(id, *sighting).and_then(|place| self.places.get(place))
            && let Some(other) = self.other_transport(place, bench)
        {
            let found = Bench::by(&place.found, other);
            self.add(found, false, bench, random, now);
        }
        if self.probes.is_empty() {
            self.finish(bench);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, bench: &mut Bench) {
        while let Some((id, sighting)) = bench.over.pop_front() {
            self.note(id, *sighting);
        }
        self.finish(bench);
    }
}
