//! `sipreg demo`: the textbook registration, played on loopback by the real registrar and the real client.

use std::net::SocketAddr;
use std::time::Duration;

use super::exit::{Exit, Fault};
use super::options::Demo;
use super::register::{self, Outcome};
use super::report::demo::Demonstration;
use super::report::json::CommandName;
use super::report::{Reporter, Settings};
use super::session::{self, Input, Session, Setup};
use super::signals::{Listens, Signal, Stop};
use crate::net::{Clock, Config, Driver};
use crate::proto::client::outcome::Report;
use crate::proto::client::plan::{Plan, Purpose, Timing};
use crate::proto::digest::{Algorithm, Credential, Hidden, Secret, User, Users, Verifier};
use crate::proto::registrar::service::{Fork, Limits, Listen, Policy, ServerEvent, Service};
use crate::proto::{Endpoint, Notice, Transport};
use crate::sip::{AnyUri, Host, NameAddr, Scheme, Uri};
use crate::store::Memory;

/// The user who registers, and the domain.
const USER: &str = "werner.heisenberg";
const DOMAIN: &str = "munich.de";
const PASSWORD: &str = "uncertainty";

/// His devices: where the textbook has him, and a second one.
const DESK: &str = "<sip:werner.heisenberg@200.201.202.203>";
const HOME: &str = "<sip:werner.heisenberg@200.201.202.204>;q=0.5";

/// Time for a person to read a step.
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

/// The options of output.
#[must_use]
pub fn settings(args: &Demo) -> Settings {
    Settings { aor: Some(format!("sip:{USER}@{DOMAIN}")), ..args.display.settings(&args.format) }
}

/// Plays the demonstration to its end.
pub fn run(args: &Demo, reporter: &mut Reporter<'_, '_>) -> Exit {
    let pause = if args.slow { PAUSE } else { Duration::ZERO };
    let played = session::run(Listens::Stop, async |setup| play(pause, setup, &mut *reporter).await);
    played.unwrap_or_else(|fault| reporter.fail(fault))
}

async fn play(pause: Duration, setup: Setup, reporter: &mut Reporter<'_, '_>) -> Result<Exit, Fault> {
    let (mut registrar, address) = open_registrar(setup.clock).await?;
    let mut device = setup.begin(Config::default(), None)?;
    let mut played = Demonstration::at(address);
    reporter.scene(address);
    for (number, step) in STEPS.iter().enumerate() {
        if number > 0
            && let Some(signal) = rest(pause, &mut device, reporter).await?
        {
            return Ok(signal.into());
        }
        let typed = step.typed.replace("AOR", &format!("{USER}@{DOMAIN}"));
        reporter.step(number + 1, step.title, &typed);
        let began = device.clock.elapsed();
        let outcome = tokio::select! {
            outcome = register::drive(&mut device, plan(step, address)?, reporter) => outcome?,
            () = serve(&mut registrar) => continue,
        };
        let mut report = match outcome {
            Outcome::Finished(report) => report,
            Outcome::Stopped(signal, _) => return Ok(signal.into()),
            Outcome::Rehearsed(_) => continue,
        };
        report.elapsed = report.elapsed.saturating_sub(began);
        if let Err(fault) =
            reporter.acted(&mut played, step.command, &report, difference(&report, step.bound))
        {
            return Ok(reporter.played(played, Some(fault)));
        }
    }
    Ok(reporter.played(played, None))
}

/// Gives a person time to read, and none to a signal.
async fn rest(
    pause: Duration,
    device: &mut Session,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Option<Stop>, Fault> {
    let over = tokio::time::sleep(pause);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return Ok(None),
            input = device.next(reporter) => if let Input::Signal(Signal::Stop(signal)) = input? {
                return Ok(Some(signal));
            }
        }
    }
}

/// The bindings that are not as the step promises, in words.
fn difference(report: &Report, bound: &[&str]) -> Option<String> {
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

/// The registrar of munich.de, and where the devices find it.
async fn open_registrar(clock: Clock) -> Result<(Driver, SocketAddr), Fault> {
    let mut random = session::randomness()?;
    let users = User::line(USER, DOMAIN, &Hidden::new(PASSWORD.to_owned())).map_err(impossible)?;
    let users = Users::parse(users.reveal()).map_err(impossible)?;
    let service = Service {
        listen: vec![Listen { transport: Transport::Udp, address: SocketAddr::from(([127, 0, 0, 1], 0)) }],
        domains: vec![Host::Name(DOMAIN.to_owned())],
        policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 3600, max_contacts: 10 },
        verifier: Some(Verifier::new(users, &Algorithm::OFFERED, &mut random)),
        fork: Fork::default(),
        auth_calls: false,
        limits: Limits::default(),
        timing: Timing::default(),
        tell_messages: false,
    };
    let mut registrar = Driver::new(Config::default(), Endpoint::new(Box::new(random)), clock);
    registrar.store_with(Box::new(Memory::default()));
    registrar.command(crate::proto::Command::Serve(Box::new(service)));
    loop {
        if let Notice::Server(what) = registrar.next().await {
            if let ServerEvent::Listening { address, .. } = what {
                return Ok((registrar, address));
            }
            if let ServerEvent::CannotListen { cause, .. } = what {
                return Err(Fault::internal(format_args!("no port of the loopback interface: {cause}")));
            }
        }
    }
}

async fn serve(registrar: &mut Driver) {
    loop {
        registrar.next().await;
    }
}

fn plan(step: &Step, registrar: SocketAddr) -> Result<Plan, Fault> {
    let mut hop = Uri::new(Scheme::Sip, Host::from(registrar.ip()));
    hop.port = Some(registrar.port());
    hop.params.set("lr", None);
    let mut plan = Plan::new(Uri::parse(format!("sip:{USER}@{DOMAIN}")).map_err(impossible)?);
    plan.purpose = step.purpose;
    plan.route = vec![hop];
    plan.user_agent = Some(concat!("sipreg/", env!("CARGO_PKG_VERSION")).into());
    plan.contacts =
        step.contacts.iter().map(NameAddr::parse).collect::<Result<_, _>>().map_err(impossible)?;
    plan.keyring.credentials.push(Credential {
        realm: None,
        username: USER.to_owned(),
        secret: Secret::Password(Hidden::new(PASSWORD.to_owned())),
    });
    Ok(plan)
}

/// The text of the demonstration itself can't be read.
fn impossible(error: impl std::error::Error) -> Fault {
    Fault::internal(format_args!("the demonstration can't be played: {error}"))
}
