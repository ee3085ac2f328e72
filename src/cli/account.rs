//! What the user meant. Every complaint about the command line ends here, before anything is sent: what leaves is an
//! [`Account`], which holds a complete [`Plan`] and needs no further decision.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::options::{Identity, Network, Output, Target, Typed, Wish};
use super::report::Settings;
use super::secret::{self, ConfiguredSecret, Kind, Source};
use super::state::{Record, State};
use super::text::shown;
use super::usage::UsageError;
use super::values::{self, TransportName};
use super::{Environment, prompt};
use crate::net;
use crate::proto::Transport;
use crate::proto::client::plan::{Plan, Purpose, Timing};
use crate::proto::digest::{Algorithm, Credential, Hidden, Keyring, Secret};
use crate::proto::locate::Families;
use crate::sip::{Host, NameAddr, Q, Uri};

/// What a command is about to do.
pub struct Account {
    /// For the core. The credential is added by [`Account::unlock`].
    pub plan: Plan,
    /// For the driver.
    pub net: net::Config,
    /// What is shown, and how.
    pub settings: Settings,
    /// Where it is remembered what is bound; `None` with `--stateless`.
    pub state: Option<State>,
    /// What must be bound for `list` to end with 0.
    pub required: Vec<NameAddr>,
    /// Whether the user has to agree first.
    pub consent: Consent,
    secret: Option<Source>,
    locked: Vec<ConfiguredSecret>,
    username: String,
}

/// Whether a command may go ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It harms nobody, or the user said `--yes`.
    Given,
    /// `--all` without `--yes`.
    Needed,
}

impl Account {
    /// Reads the meaning of the arguments. The password is only located, not read: that may have to wait for a person
    /// or a pipe.
    ///
    /// # Errors
    /// The first argument that makes no sense, with its name, its value and what to do.
    pub fn mean(args: Typed, environment: &Environment) -> Result<Account, UsageError> {
        let aor_text = args.aor.as_deref().unwrap_or_default();
        let meant = values::aor(aor_text)?;
        let from = args.identity.from.as_deref().map(values::from).transpose()?;
        let transport = args.target.transport.map(transport);
        let (registrar, route) = targets(&args.target, meant.target, transport)?;
        let wanted = Wanted::of(&args.wish)?;
        let (net, families, advertise) = network(&args.network, args.output.dry_run)?;
        let limits = limits(&args.network, args.retry_for.as_deref())?;
        let username = username(&args.identity, from.as_ref(), &meant.aor)?;
        let secret = locate(&args.identity, environment)?;
        let own = wanted.contacts.is_empty();
        let settings = settings(&args.output, &meant.aor, wanted.purpose, own);
        // One secret that was typed, or is in the environment, counts instead of all that the file names.
        let locked = if secret.is_none() { needed(args.locked, &args.identity) } else { Vec::new() };
        let asks = secret.is_none() && locked.iter().all(|locked| locked.realm.is_some());
        let keyring = keyring(&args.identity, asks.then_some(username.as_str()))?;
        let plan = Plan {
            purpose: wanted.purpose,
            from: from.map(Box::new),
            registrar: Arc::new(registrar),
            route,
            transport,
            families,
            contacts: wanted.contacts,
            q: wanted.q,
            advertise: advertise.map(Box::new),
            user_agent: values::user_agent(args.request.user_agent)?.map(Arc::from),
            headers: values::headers(&args.request.headers)?,
            keyring,
            timing: limits.timing,
            try_limit: limits.total,
            command_limit: limits.whole,
            retry_for: limits.retry_for,
            ..Plan::new(meant.aor)
        };
        let state = state_dir(&args.network, environment)?.map(|dir| State::in_dir(&dir));
        if state.is_none() && wanted.purpose == Purpose::Remove && plan.contacts.is_empty() {
            return Err(nothing_named().hint(if args.network.stateless {
                "without --stateless, sipreg remembers what it bound"
            } else {
                "sipreg remembers what it bound if HOME is set, or --state-dir given"
            }));
        }
        let net = net::Config { dns_timeout: plan.timing.patience().min(Duration::from_secs(5)), ..net };
        let (required, consent) = (wanted.required, wanted.consent);
        Ok(Account { plan, net, settings, state, required, consent, secret, locked, username })
    }

    /// Names what `unregister` removes when the user names nothing: what is remembered.
    ///
    /// # Errors
    /// Nothing is remembered.
    pub fn recall(&mut self, bound: Vec<NameAddr>) -> Result<(), UsageError> {
        if !self.recalls() {
            return Ok(());
        }
        if bound.is_empty() {
            let aor = &self.plan.aor;
            return Err(UsageError::new(format!("no binding of {aor} is remembered that could be removed"))
                .hint(
                    "--contact names the one to remove, --all removes every one; 'sipreg list' shows them",
                ));
        }
        self.plan.contacts = bound;
        Ok(())
    }

    /// Whether it removes what is remembered.
    #[must_use]
    pub fn recalls(&self) -> bool {
        self.plan.purpose == Purpose::Remove && self.plan.contacts.is_empty()
    }

    /// Puts what an earlier process left into the plan: Call-ID and CSeq go on, and the port is taken again where the
    /// binding is that is to be refreshed.
    pub fn remember(&mut self, record: &Record) {
        self.plan.resume = Some(Box::new(record.memory()));
        if matches!(self.plan.purpose, Purpose::Bind { .. }) && self.plan.contacts.is_empty() {
            self.net.port = record.port();
        }
    }

    /// Uses no Call-ID that another process may be using at the same time.
    pub fn begin_call(&mut self) {
        if let Some(memory) = &mut self.plan.resume {
            memory.dialogue = None;
        }
    }

    /// Where the secret is to be read from, if one was given.
    pub fn secret(&mut self) -> Option<Source> {
        self.secret.take()
    }

    /// The secrets that the configuration file names and that this registration may need.
    pub fn locked(&mut self) -> Vec<ConfiguredSecret> {
        std::mem::take(&mut self.locked)
    }

    /// Whose name and password go together where a secret of the file does not say it.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Adds the secret, as the one credential for whatever realm may be answered.
    pub fn unlock(&mut self, secret: Secret) {
        self.plan.keyring.credentials.push(Credential {
            realm: None,
            username: self.username.clone(),
            secret,
        });
    }
}

fn transport(name: TransportName) -> Transport {
    match name {
        TransportName::Udp => Transport::Udp,
        TransportName::Tcp => Transport::Tcp,
    }
}

/// Request-URI and route set. The next hop is the first of the route, else the Request-URI (RFC 3261 §8.1.2).
fn targets(args: &Target, default: Uri, forced: Option<Transport>) -> Result<(Uri, Vec<Uri>), UsageError> {
    let registrar = match &args.registrar {
        Some(text) => values::registrar(text)?,
        None => default,
    };
    let route = args.proxy.iter().map(|text| values::proxy(text)).collect::<Result<Vec<_>, _>>()?;
    let (option, next) = match (route.first(), &args.registrar) {
        (Some(first), _) => ("--proxy", first),
        (None, Some(_)) => ("--registrar", &registrar),
        (None, None) => ("AOR", &registrar),
    };
    if forced.is_none()
        && let Some(asked) = next.transport()
        && Transport::parse(asked).is_none()
    {
        let reason = format_args!("asks for the transport {}, which is not built yet", shown(asked));
        return Err(UsageError::value(option, &next.to_string(), reason)
            .hint("udp and tcp are; --transport overrides what a URI says"));
    }
    Ok((registrar, route))
}

/// What a command wants of the registrar.
struct Wanted {
    purpose: Purpose,
    contacts: Vec<NameAddr>,
    q: Option<Q>,
    required: Vec<NameAddr>,
    consent: Consent,
}

impl Wanted {
    fn of(wish: &Wish) -> Result<Wanted, UsageError> {
        let fetch = Wanted {
            purpose: Purpose::Fetch,
            contacts: vec![],
            q: None,
            required: vec![],
            consent: Consent::Given,
        };
        Ok(match wish {
            Wish::Register(binding) => {
                let contacts = values::contacts(&binding.contact)?;
                let purpose = purpose(binding.expires.as_deref(), &contacts)?;
                let q = binding.q.as_deref().map(values::preference).transpose()?;
                Wanted { purpose, contacts, q, ..fetch }
            }
            Wish::List(required) => Wanted { required: values::contacts(required)?, ..fetch },
            Wish::Unregister(removal) if removal.all => {
                let consent = if removal.yes { Consent::Given } else { Consent::Needed };
                Wanted { purpose: Purpose::RemoveAll, consent, ..fetch }
            }
            Wish::Unregister(removal) => {
                Wanted { purpose: Purpose::Remove, contacts: values::contacts(&removal.contact)?, ..fetch }
            }
        })
    }
}

/// Bind or remove. With a lifetime above 0 at one of the contacts, `-e 0` only speaks for the others.
fn purpose(expires: Option<&str>, contacts: &[NameAddr]) -> Result<Purpose, UsageError> {
    const HOUR: u32 = 3600;
    let seconds = expires.map_or(Ok(HOUR), |text| values::lifetime("--expires", text))?;
    if seconds > 0 || contacts.iter().any(values::is_kept) {
        values::bindable(contacts)?;
        return Ok(Purpose::Bind { expires: Some(seconds) });
    }
    Ok(Purpose::Remove)
}

fn nothing_named() -> UsageError {
    UsageError::new("nothing says which binding to remove: name it with --contact, or --all for every one")
}

/// Where to remember. The base folders are those of the XDG specification, which wants absolute paths.
fn state_dir(args: &Network, environment: &Environment) -> Result<Option<PathBuf>, UsageError> {
    if args.stateless {
        return Ok(None);
    }
    if let Some(dir) = &args.state_dir {
        values::plain_dir(dir.as_os_str().is_empty())?;
        return Ok(Some(dir.clone()));
    }
    Ok(environment.state_home())
}

/// How long what may take.
struct Limits {
    timing: Timing,
    total: Duration,
    whole: Option<Duration>,
    retry_for: Duration,
}

/// RFC 3261's timers, and the bounds: four destinations' worth for each try, unless the user says how long the whole
/// may take.
fn limits(args: &Network, retry_for: Option<&str>) -> Result<Limits, UsageError> {
    let timing = match args.t1.as_deref() {
        Some(text) => Timing::with_t1(values::positive("--t1", text)?),
        None => Timing::default(),
    };
    let whole = args.timeout.as_deref().map(|text| values::positive("--timeout", text)).transpose()?;
    let total = whole.unwrap_or(timing.patience().saturating_mul(4));
    let retry_for = retry_for.map(|text| values::or_none("--retry-for", text)).transpose()?;
    Ok(Limits { timing, total, whole, retry_for: retry_for.unwrap_or_default() })
}

/// The digest user name: as told, else the user part of who registers (RFC 3261 §22.1 leaves the choice to us).
fn username(args: &Identity, from: Option<&Uri>, aor: &Uri) -> Result<String, UsageError> {
    if let Some(name) = &args.username {
        return values::plain_username(name).map(|()| name.clone());
    }
    let (option, uri) = match from {
        Some(from) if from.user.is_some() => ("--from", from),
        Some(_) | None => ("AOR", aor),
    };
    match uri.user_decoded() {
        Some(name) if !name.contains(char::is_control) => Ok(name),
        Some(_) | None => Err(UsageError::value(
            option,
            &uri.to_string(),
            "has a user part that makes no user name: escapes of control characters or not UTF-8",
        )
        .hint("give the user name with --username")),
    }
}

/// The secrets of the file without those of realms that are not going to be answered.
fn needed(mut locked: Vec<ConfiguredSecret>, args: &Identity) -> Vec<ConfiguredSecret> {
    if let Some(only) = &args.realm {
        locked.retain(|locked| locked.realm.as_ref().is_none_or(|realm| realm == only));
    }
    locked
}

/// `ask`: whose password to ask for when no secret was given.
fn keyring(args: &Identity, ask: Option<&str>) -> Result<Keyring, UsageError> {
    args.realm.as_deref().map_or(Ok(()), values::plain_realm)?;
    let minimum = args.min_algorithm.as_deref().map_or(Ok(Algorithm::Md5), values::minimum)?;
    let ask = ask.filter(|_| prompt::is_possible()).map(str::to_owned);
    Ok(Keyring { credentials: Vec::new(), ask, realm: args.realm.clone(), minimum })
}

fn settings(args: &Output, aor: &Uri, purpose: Purpose, own_contact: bool) -> Settings {
    Settings {
        aor: Some(aor.to_string()),
        json: args.json,
        quiet: args.quiet,
        verbosity: args.verbose,
        show_secrets: args.show_secrets,
        color: args.color.unwrap_or_default(),
        ends_unanswered: own_contact && matches!(purpose, Purpose::Bind { .. }),
    }
}

/// What to say instead of the local address.
type Advertised = Option<(Host, Option<u16>)>;

/// Reads them all. The driver's configuration lacks only the patience with name servers.
///
/// # Errors
/// An address that can't be read, or families that exclude each other.
fn network(args: &Network, dry_run: bool) -> Result<(net::Config, Families, Advertised), UsageError> {
    let bind = args.bind.as_deref().map(|text| values::address("--bind", text)).transpose()?;
    let nameservers = args
        .nameserver
        .iter()
        .map(|text| {
            values::address("--nameserver", text).map(|(ip, port)| SocketAddr::new(ip, port.unwrap_or(53)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let families = families(args, bind)?;
    let advertise = args.advertise.as_deref().map(values::advertise).transpose()?;
    let bind = bind.map(|(ip, port)| (ip, port.filter(|port| *port != 0)));
    let config = net::Config { bind, port: None, nameservers, dns_timeout: Duration::ZERO, dry_run };
    Ok((config, families, advertise))
}

/// What can be sent from the bound address, and what the user allows.
fn families(args: &Network, bind: Option<(IpAddr, Option<u16>)>) -> Result<Families, UsageError> {
    let clash = |option: &str, ip: IpAddr| {
        Err(UsageError::new(format!("--bind {ip} can't be used with {option}"))
            .hint("leave one of them out, or bind an address of the other family"))
    };
    match (args.ipv4, args.ipv6, bind) {
        (true, _, Some((ip @ IpAddr::V6(_), _))) => clash("-4", ip),
        (_, true, Some((ip @ IpAddr::V4(_), _))) => clash("-6", ip),
        (true, _, _) | (_, _, Some((IpAddr::V4(_), _))) => Ok(Families::V4),
        (_, true, _) | (_, _, Some((IpAddr::V6(_), _))) => Ok(Families::V6),
        (false, false, None) => Ok(Families::Both),
    }
}

/// Finds out which secret counts: the command line's, else the environment's. (Two on the command line never get here.)
///
/// # Errors
/// `--ha1` that is no HA1, or a variable that is not UTF-8.
fn locate(args: &Identity, environment: &Environment) -> Result<Option<Source>, UsageError> {
    if let Some(password) = &args.password {
        return Ok(Some(Source::Known(Secret::Password(password.clone()))));
    }
    if let Some(ha1) = &args.ha1 {
        return Ok(Some(Source::Known(secret::ha1("--ha1", ha1.reveal())?)));
    }
    if let Some(path) = &args.password_file {
        return Ok(Some(Source::at(path, Kind::Password)));
    }
    if let Some(path) = &args.ha1_file {
        return Ok(Some(Source::at(path, Kind::Ha1)));
    }
    match environment.password.as_ref().filter(|password| !password.is_empty()) {
        None => Ok(None),
        Some(password) => match password.to_str() {
            Some(password) => Ok(Some(Source::Known(Secret::Password(Hidden::new(password.to_owned()))))),
            None => Err(UsageError::new("the password in SIPREG_PASSWORD is not UTF-8")),
        },
    }
}

#[cfg(test)]
mod tests;
