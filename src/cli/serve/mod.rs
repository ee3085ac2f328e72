//! `sipreg serve`: a registrar, until a signal ends it.

mod access;
mod metrics;
mod options;

use std::io;
use std::path::PathBuf;

use super::exit::Exit;
use super::metrics::{Metrics, Reader};
use super::options::Serve;
use super::report::ladder::Passing;
use super::report::serving::{Banner, Throttle};
use super::report::{Reporter, Settings};
use super::usage::UsageError;
use super::{Environment, Signal, crash};
use crate::net::{self, Clock, Config, Driver, SystemRandom};
use crate::proto::digest::Verifier;
use crate::proto::plan::Timing;
use crate::proto::service::{Listen, Served, Service};
use crate::proto::{Cause, Command, Endpoint, Notice, Transport};
use crate::store::Memory;
use options::Options;

/// Carries it out.
pub fn run(args: Serve, environment: &Environment, reporter: &mut Reporter<'_, '_>) -> Exit {
    let ended = if args.access.add_user.is_some() {
        access::add_user(&args.access, environment).map(|text| reporter.data(&text))
    } else {
        Options::of(&args).and_then(|options| serve(options, args, reporter))
    };
    ended.unwrap_or_else(|error| reporter.usage(&error))
}

/// What the options say of output.
#[must_use]
pub fn settings(args: &Serve) -> Settings {
    Settings {
        json: args.format.json == Some(true),
        quiet: args.display.quiet == Some(true),
        verbosity: args.display.verbose.unwrap_or_default(),
        show_secrets: args.display.show_secrets,
        color: args.display.color.unwrap_or_default(),
        ..Settings::default()
    }
}

fn serve(options: Options, args: Serve, reporter: &mut Reporter<'_, '_>) -> Result<Exit, UsageError> {
    let clock = Clock::start();
    let internal = |error: String| move |reporter: &mut Reporter<'_, '_>| reporter.internal(&error);
    let mut random = match SystemRandom::new() {
        Ok(random) => random,
        Err(error) => return Ok(internal(error.to_string())(reporter)),
    };
    let users = args.access.users.as_deref().map(access::read).transpose()?;
    if let Some(warning) = args.access.users.as_deref().and_then(access::exposed) {
        reporter.warning(&warning);
    }
    let domains: Vec<String> = options.domains.iter().map(ToString::to_string).collect();
    let (access, example) = match &users {
        Some(users) => (access::described(users, args.access.users.as_deref()), access::example(users)),
        None => ("anybody may register".to_owned(), None),
    };
    let example =
        example.unwrap_or_else(|| format!("alice@{}", domains.first().map_or("localhost", String::as_str)));
    let service = Service {
        listen: options.listen,
        domains: options.domains,
        policy: options.policy,
        verifier: users.map(|users| Verifier::new(users, &options.algorithms, &mut random)),
        limits: options.limits,
        timing: Timing::default(),
        tell_messages: args.display.verbose > Some(0),
    };
    let mut driver = Driver::new(Config::default(), Endpoint::new(Box::new(random)), clock);
    driver.store_with(Box::new(Memory::default()));
    let wanted = service.listen.len();
    driver.command(Command::Serve(Box::new(service)));
    let work = Work {
        driver,
        clock,
        users: args.access.users,
        throttle: Throttle::default(),
        listening: Vec::new(),
        wanted,
        domains,
        access,
        example,
        metrics_at: None,
    };
    let ended = net::runtime().map(|runtime| runtime.block_on(work.run(options.metrics, reporter)));
    match ended {
        Ok(Ok(Ok(exit))) => Ok(exit),
        Ok(Ok(Err(usage))) => Err(usage),
        Ok(Err(error)) | Err(error) => {
            Ok(internal(format!("the system gives no event loop: {error}"))(reporter))
        }
    }
}

/// A server at work.
struct Work {
    driver: Driver,
    clock: Clock,
    users: Option<PathBuf>,
    throttle: Throttle,
    listening: Vec<Listen>,
    wanted: usize,
    domains: Vec<String>,
    access: String,
    example: String,
    metrics_at: Option<std::net::SocketAddr>,
}

/// What comes next.
enum Next {
    Notice(Notice),
    Signal(Signal),
    Reload,
    Crashed,
    Scraped(Reader),
}

impl Work {
    async fn run(
        mut self,
        metrics: Option<std::net::SocketAddr>,
        reporter: &mut Reporter<'_, '_>,
    ) -> io::Result<Result<Exit, UsageError>> {
        let mut signals = super::run::Signals::new()?;
        let mut reload = Reload::new()?;
        let metrics = match metrics.map(Metrics::listen).transpose() {
            Ok(metrics) => metrics,
            Err(error) => return Ok(Err(error)),
        };
        self.metrics_at = metrics.as_ref().and_then(Metrics::address);
        let mut stopping = false;
        loop {
            let next = tokio::select! {
                biased;
                signal = signals.next() => Next::Signal(signal),
                () = crash::happened() => Next::Crashed,
                () = reload.next() => Next::Reload,
                notice = self.driver.next() => Next::Notice(notice),
                reader = Metrics::next(metrics.as_ref()) => Next::Scraped(reader),
            };
            match next {
                Next::Crashed => return Ok(Ok(reporter.internal(&crash::last_words()))),
                Next::Signal(signal) if stopping => return Ok(Ok(reporter.stopped_by(signal))),
                Next::Signal(_) => {
                    stopping = true;
                    self.driver.command(Command::StopServing);
                }
                Next::Reload => self.reload(reporter),
                Next::Scraped(reader) => reader.answer(metrics::text(self.driver.endpoint().counters())),
                Next::Notice(Notice::Served(Served::CannotListen { transport, address, cause })) => {
                    return Ok(Err(cannot_listen(transport, address, cause)));
                }
                Next::Notice(notice) => {
                    let over = matches!(notice, Notice::Served(Served::Stopped));
                    if self.tell(&notice, reporter).is_err() && !stopping {
                        // Nobody reads what is told; that ends it as a signal would.
                        stopping = true;
                        self.driver.command(Command::StopServing);
                    }
                    if over {
                        return Ok(Ok(Exit::Done));
                    }
                }
            }
        }
    }

    fn tell(&mut self, notice: &Notice, reporter: &mut Reporter<'_, '_>) -> io::Result<()> {
        match notice {
            Notice::Served(what) => {
                reporter.served(what, &mut self.throttle, self.driver.now())?;
                if let Served::Listening { transport, address } = what {
                    self.listening.push(Listen { transport: *transport, address: *address });
                    if self.listening.len() == self.wanted {
                        reporter.banner(&self.banner())?;
                    }
                }
            }
            Notice::Message { direction, transport, remote, bytes, .. } => reporter.message(&Passing {
                at: self.clock.elapsed(),
                direction: *direction,
                transport: *transport,
                remote: *remote,
                bytes,
            }),
            Notice::Dropped { .. }
            | Notice::PasswordWanted { .. }
            | Notice::Retrying { .. }
            | Notice::Finished(_)
            | Notice::Kept { .. } => {}
        }
        Ok(())
    }

    fn banner(&self) -> Banner {
        let mut next = format!("sipreg register {}", self.example);
        if let Some(Listen { transport, address }) = self.listening.first() {
            let mut address = *address;
            if address.ip().is_unspecified() {
                let loopback: std::net::IpAddr = match address {
                    std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                    std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                };
                address.set_ip(loopback);
            }
            next += &format!(" --registrar {address}");
            if *transport != Transport::Udp {
                next += &format!(" --transport {transport}");
            }
        }
        Banner { domains: self.domains.clone(), access: self.access.clone(), next, metrics: self.metrics_at }
    }

    /// Reads the users again; with a mistake in their file the old ones stay.
    fn reload(&mut self, reporter: &mut Reporter<'_, '_>) {
        let Some(path) = &self.users else { return };
        match access::read(path) {
            Ok(users) => self.driver.command(Command::Users(Box::new(users))),
            Err(error) => reporter.warning(&format!("the users stay as they were: {}", error.message())),
        }
    }
}

fn cannot_listen(transport: Transport, address: std::net::SocketAddr, cause: Cause) -> UsageError {
    let error = UsageError::new(format!("cannot listen on {transport} {address}: {cause}"));
    match cause {
        Cause::LocalAddress => error
            .hint("is another server there, or is the address not of this machine? --listen takes another"),
        Cause::Denied => error.hint("ports below 1024 need more rights: --listen takes another"),
        Cause::Refused
        | Cause::Unreachable
        | Cause::ProtocolUnreachable
        | Cause::TimedOut
        | Cause::Reset
        | Cause::TooLarge
        | Cause::Other(_) => error,
    }
}

/// SIGHUP.
#[cfg(unix)]
struct Reload(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Reload {
    fn new() -> io::Result<Reload> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Reload)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Elsewhere nobody can say it.
#[cfg(not(unix))]
struct Reload;

#[cfg(not(unix))]
impl Reload {
    fn new() -> io::Result<Reload> {
        Ok(Reload)
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}
