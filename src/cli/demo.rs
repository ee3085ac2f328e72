//! `sipreg demo`: the textbook registration, played on loopback by the real registrar and the real client.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::exit::Exit;
use super::options::Demo;
use super::report::demo::Scene;
use super::report::json::CommandName;
use super::report::{Reporter, Settings};
use super::{crash, run};
use crate::net::{self, Clock, Config, Driver, SystemRandom};
use crate::proto::digest::{Algorithm, Credential, Hidden, Secret, User, Users, Verifier};
use crate::proto::outcome::Report;
use crate::proto::plan::{Plan, Purpose, Timing};
use crate::proto::service::{Limits, Listen, Policy, Served, Service};
use crate::proto::{Command, Endpoint, Notice, RegistrationId, Transport};
use crate::sip::{AnyUri, Host, NameAddr, Scheme, Uri};
use crate::store::Memory;

/// Who registers, and where.
const USER: &str = "werner.heisenberg";
const DOMAIN: &str = "munich.de";
const PASSWORD: &str = "uncertainty";

/// His devices: where the textbook has him, and a second one.
const DESK: &str = "<sip:werner.heisenberg@200.201.202.203>";
const HOME: &str = "<sip:werner.heisenberg@200.201.202.204>;q=0.5";

/// How long a person gets to read a step.
const PAUSE: Duration = Duration::from_secs(3);

/// A step: what happens, by which command, and what must be bound afterwards.
struct Step {
    title: &'static str,
    command: CommandName,
    typed: &'static str,
    purpose: Purpose,
    contacts: &'static [&'static str],
    /// The hosts of the contacts that are bound when it is over.
    bound: &'static [&'static str],
}

const STEPS: [Step; 5] = [
    Step {
        title: "The device on the desk registers. The registrar wants a password first.",
        command: CommandName::Register,
        typed: "sipreg register AOR \\\n       --contact sip:werner.heisenberg@200.201.202.203",
        purpose: Purpose::Bind { expires: Some(3600) },
        contacts: &[DESK],
        bound: &["200.201.202.203"],
    },
    Step {
        title: "A second device registers, less preferred, for ten minutes.",
        command: CommandName::Register,
        typed: "sipreg register AOR \\\n       --contact '<sip:werner.heisenberg@200.201.202.204>;q=0.5' -e 10m",
        purpose: Purpose::Bind { expires: Some(600) },
        contacts: &[HOME],
        bound: &["200.201.202.203", "200.201.202.204"],
    },
    Step {
        title: "Where is he now? A REGISTER without Contact asks, and changes nothing.",
        command: CommandName::List,
        typed: "sipreg list AOR",
        purpose: Purpose::Fetch,
        contacts: &[],
        bound: &["200.201.202.203", "200.201.202.204"],
    },
    Step {
        title: "He leaves his desk: a lifetime of 0 removes that binding.",
        command: CommandName::Unregister,
        typed: "sipreg unregister AOR \\\n       --contact sip:werner.heisenberg@200.201.202.203",
        purpose: Purpose::Remove,
        contacts: &[DESK],
        bound: &["200.201.202.204"],
    },
    Step {
        title: "He goes for a walk: Contact: * removes every binding.",
        command: CommandName::Unregister,
        typed: "sipreg unregister AOR --all",
        purpose: Purpose::RemoveAll,
        contacts: &[],
        bound: &[],
    },
];

/// What the options say of output.
#[must_use]
pub fn settings(args: &Demo) -> Settings {
    Settings {
        aor: Some(format!("sip:{USER}@{DOMAIN}")),
        json: args.format.json == Some(true),
        quiet: args.display.quiet == Some(true),
        verbosity: args.display.verbose.unwrap_or_default(),
        show_secrets: args.display.show_secrets,
        color: args.display.color.unwrap_or_default(),
        ..Settings::default()
    }
}

/// Plays it.
pub fn run(args: &Demo, reporter: &mut Reporter<'_, '_>) -> Exit {
    let clock = Clock::start();
    let pause = if args.slow { PAUSE } else { Duration::ZERO };
    let played = net::runtime().and_then(|runtime| runtime.block_on(play(pause, clock, reporter)));
    match played {
        Ok(exit) => exit,
        Err(error) => reporter.internal(&format!("the demonstration can't be played: {error}")),
    }
}

async fn play(pause: Duration, clock: Clock, reporter: &mut Reporter<'_, '_>) -> io::Result<Exit> {
    let mut signals = run::Signals::new()?;
    let mut scene = Scene::new();
    let mut stage = match Stage::set(clock).await? {
        Ok(stage) => stage,
        Err(cause) => return Ok(reporter.internal(&format!("no port of the loopback interface: {cause}"))),
    };
    let acted = async {
        reporter.scene(&mut scene, stage.address);
        for (number, step) in STEPS.iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(pause).await;
            }
            let typed = step.typed.replace("AOR", &format!("{USER}@{DOMAIN}"));
            reporter.step(number + 1, step.title, &typed);
            let report = stage.act(step, number, reporter).await?;
            let fault = fault(&report, step.bound);
            let is_last = number + 1 == STEPS.len();
            if let Some(exit) = reporter.acted(&mut scene, step.command, &report, fault, is_last) {
                return Ok(exit);
            }
        }
        Ok(Exit::Internal)
    };
    tokio::select! {
        biased;
        signal = signals.next() => Ok(reporter.stopped_by(signal)),
        () = crash::happened() => Ok(reporter.internal(&crash::last_words())),
        exit = acted => exit,
    }
}

/// What is not as the step promises, in words.
fn fault(report: &Report, bound: &[&str]) -> Option<String> {
    let Ok(success) = &report.result else { return None };
    let hosts = success.bindings.iter().filter(|binding| binding.expires > 0);
    let hosts: Vec<String> = hosts
        .map(|binding| match &binding.contact.uri {
            AnyUri::Sip(uri) => uri.host.to_string(),
            AnyUri::Other(text) => text.clone(),
        })
        .collect();
    (hosts != bound).then(|| format!("bound are {hosts:?}, and should be {bound:?}"))
}

/// The registrar, and where the devices find it.
struct Stage {
    registrar: Driver,
    address: SocketAddr,
    clock: Clock,
}

impl Stage {
    /// Starts the registrar of munich.de.
    async fn set(clock: Clock) -> io::Result<Result<Stage, String>> {
        let mut random = SystemRandom::new().map_err(io::Error::other)?;
        let password = Hidden::new(PASSWORD.to_owned());
        let line = User::line(USER, DOMAIN, &password).map_err(io::Error::other)?;
        let users = Users::parse(line.reveal()).map_err(io::Error::other)?;
        let algorithms = [Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
        let service = Service {
            listen: vec![Listen {
                transport: Transport::Udp,
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
            }],
            domains: vec![Host::Name(DOMAIN.to_owned())],
            policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 3600, max_contacts: 10 },
            verifier: Some(Verifier::new(users, &algorithms, &mut random)),
            limits: Limits::default(),
            timing: Timing::default(),
            tell_messages: false,
        };
        let mut registrar = Driver::new(Config::default(), Endpoint::new(Box::new(random)), clock);
        registrar.store_with(Box::new(Memory::default()));
        registrar.command(Command::Serve(Box::new(service)));
        loop {
            match registrar.next().await {
                Notice::Served(Served::Listening { address, .. }) => {
                    return Ok(Ok(Stage { registrar, address, clock }));
                }
                Notice::Served(Served::CannotListen { cause, .. }) => return Ok(Err(cause.to_string())),
                Notice::Served(_)
                | Notice::Message { .. }
                | Notice::Dropped { .. }
                | Notice::PasswordWanted { .. }
                | Notice::Retrying { .. }
                | Notice::Finished(_)
                | Notice::Kept { .. } => {}
            }
        }
    }

    /// Has a device do its step, the registrar beside it.
    async fn act(
        &mut self,
        step: &Step,
        number: usize,
        reporter: &mut Reporter<'_, '_>,
    ) -> io::Result<Report> {
        let random = SystemRandom::new().map_err(io::Error::other)?;
        let mut device = Driver::new(Config::default(), Endpoint::new(Box::new(random)), self.clock);
        let registration = RegistrationId(number as u64);
        let plan = Box::new(self.plan(step).map_err(io::Error::other)?);
        device.command(Command::Register { registration, plan });
        loop {
            let notice = tokio::select! {
                notice = device.next() => notice,
                _ = self.registrar.next() => continue,
            };
            match notice {
                Notice::Message { direction, bytes, .. } => reporter.passed(direction, &bytes),
                Notice::Finished(report) => return Ok(*report),
                Notice::Dropped { .. }
                | Notice::PasswordWanted { .. }
                | Notice::Retrying { .. }
                | Notice::Kept { .. }
                | Notice::Served(_) => {}
            }
        }
    }

    fn plan(&self, step: &Step) -> Result<Plan, Box<dyn std::error::Error + Send + Sync>> {
        let aor = Uri::parse(format!("sip:{USER}@{DOMAIN}"))?;
        let mut hop = Uri::new(Scheme::Sip, Host::from(self.address.ip()));
        hop.port = Some(self.address.port());
        hop.params.set("lr", None);
        let mut plan = Plan::new(aor);
        plan.purpose = step.purpose;
        plan.route = vec![hop];
        plan.user_agent = Some(concat!("sipreg/", env!("CARGO_PKG_VERSION")).into());
        plan.contacts = step.contacts.iter().map(NameAddr::parse).collect::<Result<_, _>>()?;
        plan.keyring.credentials.push(Credential {
            realm: None,
            username: USER.to_owned(),
            secret: Secret::Password(Hidden::new(PASSWORD.to_owned())),
        });
        Ok(plan)
    }
}
