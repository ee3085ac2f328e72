//! Whether the registrar lets us in: one registration at one server, with the password where it asks for one. A second
//! try never follows: accounts get locked.

use super::bench::{Bench, Input, LOGIN, Order};
use super::{Experiment, Measured};
use crate::proto::client::outcome::{Remote, Report};
use crate::proto::ids::Random;
use crate::proto::locate::{Destination, Found};
use crate::proto::{Profile, Time};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    is_over: bool,
}

impl Experiment for Credentials {
    fn begin(&mut self, bench: &mut Bench, _random: &mut dyn Random, _now: Time) {
        let Some(found) = bench.known.chosen.clone() else {
            self.is_over = true;
            return;
        };
        if matches!(bench.known.status, Some(200..=299 | 401 | 407)) {
            bench.tell(Measured::Speaks);
        }
        bench.orders.push_back(Order::Register(LOGIN, bench.plan_at(&found)));
    }

    fn on(&mut self, input: Input, bench: &mut Bench, _random: &mut dyn Random, _now: Time) {
        let Input::Registered(LOGIN, report) = input else { return };
        if let Ok(success) = &report.result {
            bench.known.is_in = true;
            bench.known.home = home(&report, bench).or_else(|| bench.known.chosen.clone());
            bench.known.login = success.contacts.first().map(|granted| granted.uri.clone());
            bench.known.local = report.hop.map(|hop| hop.local);
            let routes = success.service_route.iter().filter_map(|route| route.uri.sip());
            bench.known.service_route = routes.cloned().collect();
        }
        self.is_over = true;
        bench.known.is_login_told = true;
        bench.tell(Measured::Login(report));
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn cut(&mut self, _bench: &mut Bench) {
        self.is_over = true;
    }
}

/// Where a redirect has led that let us in; `None`: there was none.
fn home(report: &Report, bench: &Bench) -> Option<Found> {
    let [_, .., last] = report.attempts.as_slice() else { return None };
    let (Remote::Address(address), Some(transport)) = (&last.remote, last.transport) else { return None };
    let named = transport.is_secure() || transport.is_websocket();
    let name = named.then(|| report.request_uri.host.to_string().to_ascii_lowercase().into());
    let profile = if named { bench.plan.profile } else { Profile::default() };
    let destination = Destination { transport, address: *address, name, profile };
    Some(Found { destination, origin: last.origin.clone() })
}
