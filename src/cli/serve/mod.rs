//! `sipreg serve`: a registrar, until a signal ends it.

mod again;
mod metrics;
mod nodes;
mod options;
pub(super) mod store;
mod users;

use std::io;
use std::sync::Arc;

use super::certificates::{self, Files};
use super::environment::Environment;
use super::exit::{Exit, Fault};
use super::explain;
use super::options::{Serve, Showing};
use super::report::Reporter;
use super::report::events::{Banner, ServeEvent, Throttle};
use super::session::{self, Input, Session, Setup};
use super::signals::{Listens, Signal};
use super::trace::Wish;
use super::usage::UsageError;
use crate::net::{Config, Identity};
use crate::proto::client::plan::Timing;
use crate::proto::digest::Verifier;
use crate::proto::identity::Certificate;
use crate::proto::registrar::service::{Listen, ServerEvent, Service};
use crate::proto::{Cause, Command, Notice, Time, Transport};
use again::{Again, Reload};
pub(super) use options::STORE;

use options::Options;
use store::Opened;

/// Carries `sipreg serve` out.
pub fn run(args: Serve, environment: &Environment, reporter: &mut Reporter<'_, '_>) -> Exit {
    let ended = if args.access.add_user.is_some() {
        users::add_user(&args.access, environment).map(|text| reporter.data(&text)).map_err(Fault::from)
    } else if let Some(path) = &args.policy.store_check {
        store::check(path).map_err(Fault::from).map(|(text, warning)| {
            warning.iter().for_each(|warning| reporter.warning(warning));
            reporter.data(&text)
        })
    } else {
        Options::of(&args).map_err(Fault::from).and_then(|options| {
            reporter.write_beside();
            session::run(Listens::Reload, async |setup| {
                serve(options, args, environment, setup, &mut *reporter).await
            })
        })
    };
    // What keeps a client from its registrar keeps a server from its listeners.
    let at_start = |kind| if kind == Exit::Unreachable { Exit::Usage } else { kind };
    ended.unwrap_or_else(|fault| reporter.fail(Fault { kind: at_start(fault.kind), ..fault }))
}

async fn serve(
    options: Options,
    args: Serve,
    environment: &Environment,
    mut setup: Setup,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Exit, Fault> {
    let (file, showing) = (args.access.users, args.showing);
    let users = file.as_deref().map(users::read).transpose()?;
    let mut files = Files::default();
    let (shown, forwarding) = (files.server(&showing)?, files.forwarding(&showing)?);
    let exposed = certificates::exposure(showing.tls_cert.as_deref(), showing.tls_key.as_deref());
    let known = args.cluster.peer_secret_file.as_deref().and_then(nodes::exposure);
    for warning in file.as_deref().and_then(users::exposure).into_iter().chain(exposed).chain(known) {
        reporter.warning(&warning);
    }
    let wish = Wish::of(&args.copies, args.display.show_secrets);
    let copies = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(signal.into()),
        copies = wish.begin(false) => copies?,
    };
    let domains: Vec<String> = options.domains.iter().map(ToString::to_string).collect();
    let certificate = shown.identity.as_ref().and_then(Identity::certificate);
    if let Some(certificate) = &certificate {
        complain(certificate, &domains, &options.listen, setup.clock.now(), reporter);
    }
    let (access, example) = match &users {
        Some(users) => (users::summary(users, file.as_deref()), users::example(users)),
        None => ("anybody may register".to_owned(), None),
    };
    let example =
        example.unwrap_or_else(|| format!("alice@{}", domains.first().map_or("localhost", String::as_str)));
    let service = Service {
        listen: options.listen,
        domains: options.domains,
        policy: options.policy,
        verifier: users.map(|users| Verifier::new(users, &options.algorithms, &mut setup.random)),
        fork: options.fork,
        auth_calls: options.auth_calls,
        limits: options.limits,
        timing: Timing::default(),
        pinned: options.pinned,
        tell_messages: args.display.verbose > Some(0) || copies.are_made(),
        nodes: options.nodes,
    };
    let for_nodes = service.nodes.listen;
    let wanted = service.listen.len() + usize::from(for_nodes.is_some());
    let opening = store::Wish {
        octets: options.max_store,
        replicas: options.replicas,
        node: options.node.clone(),
        roots: forwarding.roots.clone(),
        environment,
        random: &mut setup.random,
    };
    let now = setup.clock.now();
    let Opened { store, summary, warnings } = match store::open(&options.store, opening, now) {
        Ok(opened) => opened,
        // A store that can't be reached is one, and no mistake of the command line.
        Err(fault) => return Ok(reporter.fail(fault)),
    };
    warnings.iter().for_each(|warning| reporter.warning(warning));
    let node = for_nodes.map(|_| options.node);
    let server = Some(Arc::new(shown));
    let net =
        Config { nameservers: options.nameservers, profiles: vec![forwarding], server, ..Config::default() };
    let mut session = setup.begin(net, options.metrics)?;
    session.copy(copies, reporter);
    session.driver.store_with(store);
    session.driver.command(Command::Serve(Box::new(service)));
    let server = Server {
        session,
        reload: Reload::new(file, showing.clone()),
        showing,
        certificate,
        throttle: Throttle::default(),
        listening: Vec::new(),
        node,
        for_nodes,
        wanted,
        domains,
        access,
        store: options.store.kind(),
        kept: summary,
        example,
        stopping: false,
    };
    server.run(reporter).await
}

/// A server at work.
struct Server {
    session: Session,
    reload: Reload,
    showing: Showing,
    /// What is shown over TLS.
    certificate: Option<Certificate>,
    throttle: Throttle,
    listening: Vec<Listen>,
    /// The name of this server where others hand requests over to it, by the last listener.
    node: Option<String>,
    for_nodes: Option<Listen>,
    wanted: usize,
    domains: Vec<String>,
    access: String,
    /// Which kind of store it has.
    store: &'static str,
    /// Where bindings are kept, in words.
    kept: Option<String>,
    example: String,
    stopping: bool,
}

impl Server {
    /// Serves until a signal ends it.
    async fn run(mut self, reporter: &mut Reporter<'_, '_>) -> Result<Exit, Fault> {
        let ended = self.go_on(reporter).await;
        self.session.end(reporter).await;
        ended
    }

    async fn go_on(&mut self, reporter: &mut Reporter<'_, '_>) -> Result<Exit, Fault> {
        loop {
            let input = tokio::select! {
                biased;
                input = self.session.next(reporter) => input?,
                read = self.reload.read() => {
                    self.revise(read, reporter);
                    continue;
                }
            };
            match input {
                Input::Signal(Signal::Stop(signal)) if self.stopping => return Ok(signal.into()),
                Input::Signal(Signal::Stop(_)) => self.stop(),
                Input::Signal(Signal::Reload) => self.reload.begin(),
                Input::Signal(Signal::Status) => {}
                Input::Reader(reader) => {
                    let driver = &self.session.driver;
                    let counters = driver.endpoint().counters();
                    reader.answer(metrics::text(
                        counters,
                        (self.store, driver.store_load()),
                        reporter.left_out(),
                    ));
                }
                // That ends it as a signal would.
                Input::Unread => self.stop(),
                Input::Notice(Notice::Server(ServerEvent::CannotListen { transport, address, cause })) => {
                    let listen = Listen { transport, address };
                    let is_for_nodes = self.for_nodes == Some(listen);
                    let option = if is_for_nodes { "--peer-listen" } else { "--listen" };
                    return Err(cannot_listen(option, listen, cause).into());
                }
                Input::Notice(notice) => {
                    let over = matches!(notice, Notice::Server(ServerEvent::Stopped));
                    if self.tell(&notice, reporter).is_err() {
                        // Nobody reads the events any more; that ends it as a signal would.
                        self.stop();
                    }
                    if over {
                        return Ok(Exit::Done);
                    }
                }
            }
        }
    }

    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.session.driver.command(Command::StopServing);
        }
    }

    fn tell(&mut self, notice: &Notice, reporter: &mut Reporter<'_, '_>) -> io::Result<()> {
        match notice {
            Notice::Server(what) => {
                let now = self.session.driver.now();
                if *what == ServerEvent::Stopped {
                    self.throttle.rest(now).try_for_each(|event| reporter.event(&event))?;
                }
                let event = ServeEvent::of(what, now).and_then(|event| self.throttle.admit(event));
                event.map_or(Ok(()), |event| reporter.event(&event))?;
                if let ServerEvent::Listening { transport, address } = what {
                    self.listening.push(Listen { transport: *transport, address: *address });
                    if self.listening.len() == self.wanted {
                        reporter.banner(&self.banner())?;
                    }
                }
            }
            notice @ (Notice::Message { .. }
            | Notice::Lookup(_)
            | Notice::Dropped { .. }
            | Notice::PasswordWanted { .. }
            | Notice::Retrying { .. }
            | Notice::Finished(_)
            | Notice::Check(_)
            | Notice::Account { .. }) => self.session.show(notice, reporter),
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
            if let Some(file) = self.showing.tls_cert.as_deref().filter(|_| transport.is_secure()) {
                let certificate = self.certificate.as_ref();
                next += &certificates::trusting(certificate, file, &self.domains, address.ip());
            }
        }
        Banner {
            domains: self.domains.clone(),
            access: self.access.clone(),
            kept: self.kept.clone(),
            node: self.node.as_ref().zip(self.listening.last()).map(|(node, at)| {
                let Listen { transport, address } = at;
                format!("{node}; others hand over to {transport} {address}")
            }),
            next,
            metrics: self.session.metrics_address(),
        }
    }

    /// Goes on with the users and certificates as they are now; where there is a mistake in their files the old ones stay.
    fn revise(&mut self, read: Again, reporter: &mut Reporter<'_, '_>) {
        let Again { users, shown, forwarding, failed } = read;
        if let Some(users) = users {
            self.session.driver.command(Command::Users(Box::new(users)));
        }
        let now = self.session.driver.now();
        if let Some(shown) = shown {
            if let Some(certificate) = shown.identity.as_ref().and_then(Identity::certificate) {
                complain(&certificate, &self.domains, &self.listening, now, reporter);
            }
            self.session.driver.set_server(Arc::new(shown));
        }
        if let Some(forwarding) = forwarding {
            self.session.driver.set_profiles(vec![forwarding]);
        }
        for again::Failed { what, file, error } in failed {
            reporter.warning(&format!("the {what} stay as they were: {}", error.message()));
            if reporter.event(&ServeEvent::reload_failed(file, error.message(), now)).is_err() {
                self.stop();
            }
        }
    }
}

/// Warns of a certificate that keeps clients away.
fn complain(
    certificate: &Certificate,
    domains: &[String],
    listen: &[Listen],
    now: Time,
    reporter: &mut Reporter<'_, '_>,
) {
    if let Some(complaint) = certificates::complaint(certificate, domains, listen, now) {
        reporter.warning(&complaint);
    }
}

fn cannot_listen(option: &str, listen: Listen, cause: Cause) -> UsageError {
    let Listen { transport, address } = listen;
    let error = UsageError::new(format!("cannot listen on {transport} {address}: {cause}"));
    match cause {
        Cause::LocalAddress => error.hint(format!(
            "is another server there, or is the address not of this machine? {option} takes another"
        )),
        Cause::Denied => error.hint(format!("ports below 1024 need more rights: {option} takes another")),
        Cause::Exhausted => error.hint(explain::EXHAUSTED.hint),
        Cause::Refused
        | Cause::Unreachable
        | Cause::ProtocolUnreachable
        | Cause::TimedOut
        | Cause::Reset
        | Cause::TooLarge
        | Cause::Untrusted(_)
        | Cause::Upgrade(_)
        | Cause::WebSocket(_)
        | Cause::Keepalive(_)
        | Cause::Other(_) => error,
    }
}
