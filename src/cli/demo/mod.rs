//! `sipreg demo`: the textbook registration, played on loopback by the real registrar and the real client; and calls,
//! which the real proxy brings to the devices.

mod call;
mod certificate;
mod phone;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::environment::Environment;
use crate::cli::exit::{Exit, Fault};
use crate::cli::options::Demo;
use crate::cli::register::{self, Outcome};
use crate::cli::report::demo::{Act, Demonstration, Party};
use crate::cli::report::json::CommandName;
use crate::cli::report::{Reporter, Settings};
use crate::cli::serve::{STORE, store};
use crate::cli::session::{self, Input, Session, Setup};
use crate::cli::signals::{Listens, Signal, Stop};
use crate::cli::values::StoreName;
use crate::net::{Clock, Config, Driver, Identity, ProfileSettings, ServerSettings};
use crate::proto::client::outcome::Report;
use crate::proto::client::plan::{Plan, Purpose, Timing};
use crate::proto::digest::{Algorithm, Credential, Hidden, Secret, User, Users, Verifier};
use crate::proto::registrar::service::{Fork, Limits, Listen, Nodes, Policy, ServerEvent, Service};
use crate::proto::{Endpoint, Notice, Transport};
use crate::sip::{AnyUri, Header, HeaderName, Host, NameAddr, Scheme, Uri};
use call::{Cast, Play};

/// The user who registers, and the domain.
const USER: &str = "werner.heisenberg";
const DOMAIN: &str = "munich.de";
const PASSWORD: &str = "uncertainty";

/// His devices: where the textbook has him, and a second one.
const DESK: &str = "sip:werner.heisenberg@200.201.202.203";
const HOME: &str = "sip:werner.heisenberg@200.201.202.204";

/// Who calls him.
const CALLER: &str = "sip:niels.bohr@copenhagen.dk";

/// Time for a person to read a step.
const PAUSE: Duration = Duration::from_secs(3);

/// What happens in a step.
enum Step {
    Registration(Registration),
    Call(Call),
}

/// A command: which, and what must be bound afterwards.
struct Registration {
    title: &'static str,
    command: CommandName,
    typed: &'static str,
    purpose: Purpose,
    /// The device that is bound by it: calls come to it over a socket on loopback.
    device: Option<Party>,
    contacts: &'static [&'static str],
    /// The hosts of the contacts that are bound when it is over.
    bound: &'static [&'static str],
}

/// A call, and how it ends.
struct Call {
    title: &'static str,
    play: Play,
    outcome: &'static str,
}

const STEPS: [Step; 9] = [
    Step::Registration(Registration {
        title: "The device on the desk registers. The registrar wants a password first.",
        command: CommandName::Register,
        typed: "sipreg register AOR \\\n       --contact sip:werner.heisenberg@200.201.202.203",
        purpose: Purpose::Bind { expires: Some(3600) },
        device: Some(Party::Desk),
        contacts: &["<sip:werner.heisenberg@200.201.202.203>"],
        bound: &["200.201.202.203"],
    }),
    Step::Registration(Registration {
        title: "A second device registers, for ten minutes.",
        command: CommandName::Register,
        typed: "sipreg register AOR -e 10m \\\n       --contact sip:werner.heisenberg@200.201.202.204",
        purpose: Purpose::Bind { expires: Some(600) },
        device: Some(Party::Home),
        contacts: &["<sip:werner.heisenberg@200.201.202.204>"],
        bound: &["200.201.202.203", "200.201.202.204"],
    }),
    Step::Call(Call {
        title: "Niels Bohr calls: both devices ring. One answers, the other is cancelled.",
        play: Play::Parallel,
        outcome: "They talk, by 200.201.202.204, until Niels Bohr hangs up.",
    }),
    Step::Registration(Registration {
        title: "The device on the desk wants to be called last: a preference (q) below 1.",
        command: CommandName::Register,
        typed: "sipreg register AOR \\\n       --contact '<sip:werner.heisenberg@200.201.202.203>;q=0.5'",
        purpose: Purpose::Bind { expires: Some(3600) },
        device: Some(Party::Desk),
        contacts: &["<sip:werner.heisenberg@200.201.202.203>;q=0.5"],
        bound: &["200.201.202.203", "200.201.202.204"],
    }),
    Step::Call(Call {
        title: "He calls again: one device after the other. The first one is busy.",
        play: Play::Sequential,
        outcome: "They talk, by 200.201.202.203 this time.",
    }),
    Step::Registration(Registration {
        title: "Where is he now? A REGISTER without Contact asks, and changes nothing.",
        command: CommandName::List,
        typed: "sipreg list AOR",
        purpose: Purpose::Fetch,
        device: None,
        contacts: &[],
        bound: &["200.201.202.203", "200.201.202.204"],
    }),
    Step::Registration(Registration {
        title: "He leaves his desk: a lifetime of 0 removes that binding.",
        command: CommandName::Unregister,
        typed: "sipreg unregister AOR \\\n       --contact sip:werner.heisenberg@200.201.202.203",
        purpose: Purpose::Remove,
        device: None,
        contacts: &["<sip:werner.heisenberg@200.201.202.203>"],
        bound: &["200.201.202.204"],
    }),
    Step::Registration(Registration {
        title: "He goes for a walk: Contact: * removes every binding.",
        command: CommandName::Unregister,
        typed: "sipreg unregister AOR --all",
        purpose: Purpose::RemoveAll,
        device: None,
        contacts: &[],
        bound: &[],
    }),
    Step::Call(Call {
        title: "Niels Bohr calls once more, and hears that nobody is there.",
        play: Play::Nobody,
        outcome: "Werner Heisenberg is a user of munich.de, and bound nowhere: 480.",
    }),
];

/// The options of output.
#[must_use]
pub fn settings(args: &Demo) -> Settings {
    Settings { aor: Some(aor()), ..args.display.settings(&args.format) }
}

/// Plays the demonstration to its end.
pub fn run(args: &Demo, environment: &Environment, reporter: &mut Reporter<'_, '_>) -> Exit {
    let pause = if args.slow { PAUSE } else { Duration::ZERO };
    let transport = args.transport.map_or(Transport::Udp, Transport::from);
    let store = args.storing.store.clone().unwrap_or_default();
    let played = session::run(Listens::Stop, async |setup| {
        play(pause, (transport, store), environment, setup, &mut *reporter).await
    });
    played.unwrap_or_else(|fault| reporter.fail(fault))
}

async fn play(
    pause: Duration,
    (transport, store): (Transport, StoreName),
    environment: &Environment,
    setup: Setup,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Exit, Fault> {
    let Registrar { driver: mut registrar, calls, at, profiles } =
        Registrar::open(transport, &store, environment, setup.clock).await?;
    let mut cast = Cast::open(calls, aor(), [CALLER, DESK, HOME], session::randomness()?).await?;
    let mut device = setup.begin(Config { profiles, ..Config::default() }, None)?;
    let mut played = Demonstration::at(at.address);
    reporter.scene(at, calls);
    for (number, step) in STEPS.iter().enumerate() {
        if number > 0
            && let Some(signal) = rest(pause, &mut device, reporter).await?
        {
            return Ok(signal.into());
        }
        let ended = tokio::select! {
            ended = step.play(number + 1, at, &mut cast, &mut device, &mut played, reporter) => ended?,
            () = serve(&mut registrar) => continue,
        };
        match ended {
            Ended::Well => {}
            Ended::Wrong(fault) => return Ok(reporter.played(played, Some(fault))),
            Ended::Stopped(signal) => return Ok(signal.into()),
        }
    }
    Ok(reporter.played(played, None))
}

/// The end of a step.
enum Ended {
    Well,
    /// What went wrong ends the demonstration.
    Wrong(Fault),
    Stopped(Stop),
}

impl Step {
    async fn play(
        &self,
        number: usize,
        registrar: Listen,
        cast: &mut Cast,
        device: &mut Session,
        played: &mut Demonstration,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Ended, Fault> {
        let began = device.clock.elapsed();
        match self {
            Step::Registration(step) => {
                let path = step.device.map(|party| format!("<sip:{};lr>", cast.address(party)));
                let typed = step.typed.replace("AOR", &format!("{USER}@{DOMAIN}"));
                let by = path.as_ref().map(|path| format!(" \\\n       --header 'Path: {path}'"));
                reporter.step(
                    number,
                    step.title,
                    Some(&(typed + &by.unwrap_or_default())),
                    Act::Registration,
                );
                let plan = plan(step, path, registrar)?;
                let mut report = match register::drive(device, plan, reporter).await? {
                    Outcome::Finished(report) => report,
                    Outcome::Stopped(signal, _) => return Ok(Ended::Stopped(signal)),
                    Outcome::Rehearsed(_) => return Ok(Ended::Well),
                };
                report.elapsed = report.elapsed.saturating_sub(began);
                let difference = difference(&report, step.bound);
                let acted = reporter.acted(played, step.command, &report, difference);
                Ok(acted.map_or_else(Ended::Wrong, |()| Ended::Well))
            }
            Step::Call(Call { title, play, outcome }) => {
                reporter.step(number, title, None, play.act());
                let call = tokio::select! {
                    call = cast.play(*play, reporter) => call,
                    signal = device.stop() => return Ok(Ended::Stopped(signal)),
                };
                let elapsed = device.clock.elapsed().saturating_sub(began);
                let called = call.map(|call| reporter.called(played, call, elapsed, outcome));
                Ok(called.map_or_else(Ended::Wrong, |()| Ended::Well))
            }
        }
    }
}

/// The address that he is called by.
fn aor() -> String {
    format!("sip:{USER}@{DOMAIN}")
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

/// The registrar of munich.de.
struct Registrar {
    driver: Driver,
    /// Where callers find it, over UDP.
    calls: SocketAddr,
    /// Where devices register.
    at: Listen,
    /// The settings of their connections: its certificate is the one that they trust.
    profiles: Vec<Arc<ProfileSettings>>,
}

impl Registrar {
    /// Opens it on free ports of the loopback interface.
    async fn open(
        transport: Transport,
        store: &StoreName,
        environment: &Environment,
        clock: Clock,
    ) -> Result<Registrar, Fault> {
        let mut random = session::randomness()?;
        let users = User::line(USER, DOMAIN, &Hidden::new(PASSWORD.to_owned())).map_err(impossible)?;
        let users = Users::parse(users.reveal()).map_err(impossible)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listen = vec![Listen { transport: Transport::Udp, address }];
        listen.extend((transport != Transport::Udp).then_some(Listen { transport, address }));
        let wanted = listen.len();
        let service = Service {
            listen,
            domains: vec![Host::Name(DOMAIN.to_owned())],
            policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 3600, max_contacts: 10 },
            verifier: Some(Verifier::new(users, &Algorithm::OFFERED, &mut random)),
            fork: Fork::default(),
            auth_calls: false,
            limits: Limits::default(),
            timing: Timing::default(),
            pinned: Vec::new(),
            tell_messages: false,
            nodes: Nodes::default(),
        };
        let (mut shown, mut trusting) = (ServerSettings::default(), ProfileSettings::default());
        if transport.is_secure() {
            let made = certificate::make(DOMAIN, clock.now())?;
            shown.identity = Some(Identity::of(&made.certificate, &made.key).map_err(impossible)?);
            trusting.roots = Some(made.certificate);
        }
        let opening = store::Wish {
            octets: STORE,
            replicas: 0,
            node: "demo".to_owned(),
            roots: None,
            environment,
            random: &mut random,
        };
        let store = store::open(store, opening, clock.now())?.store;
        let net = Config { server: Some(Arc::new(shown)), ..Config::default() };
        let mut driver = Driver::new(net, Endpoint::new(Box::new(random)), clock);
        driver.store_with(store);
        driver.command(crate::proto::Command::Serve(Box::new(service)));
        let mut listening = Vec::with_capacity(wanted);
        while listening.len() < wanted {
            if let Notice::Server(what) = driver.next().await {
                if let ServerEvent::Listening { transport, address } = what {
                    listening.push(Listen { transport, address });
                } else if let ServerEvent::CannotListen { cause, .. } = what {
                    return Err(Fault::internal(format_args!("no port of the loopback interface: {cause}")));
                }
            }
        }
        let of = |transport| {
            let found = listening.iter().find(|listen| listen.transport == transport).copied();
            found.ok_or_else(|| Fault::internal("a listener is not there"))
        };
        let (calls, at) = (of(Transport::Udp)?.address, of(transport)?);
        Ok(Registrar { driver, calls, at, profiles: vec![Arc::new(trusting)] })
    }
}

async fn serve(registrar: &mut Driver) {
    loop {
        registrar.next().await;
    }
}

/// `path`: the way to the device, for calls (RFC 3327).
fn plan(step: &Registration, path: Option<String>, registrar: Listen) -> Result<Plan, Fault> {
    let mut hop = Uri::new(Scheme::Sip, Host::from(registrar.address.ip()));
    hop.port = Some(registrar.address.port());
    hop.params.set("lr", None);
    let mut plan = Plan::new(Uri::parse(aor()).map_err(impossible)?);
    plan.purpose = step.purpose;
    plan.route = vec![hop];
    plan.transport = (registrar.transport != Transport::Udp).then_some(registrar.transport);
    plan.user_agent = Some(concat!("sipreg/", env!("CARGO_PKG_VERSION")).into());
    plan.contacts =
        step.contacts.iter().map(NameAddr::parse).collect::<Result<_, _>>().map_err(impossible)?;
    let path = path.map(|path| Header::new(HeaderName::Path, path)).transpose();
    plan.headers.extend(path.map_err(impossible)?);
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
