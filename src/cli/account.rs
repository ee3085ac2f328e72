//! What the user meant. Every complaint about the command line ends here, before anything is sent: what leaves is an
//! [`Account`], which holds a complete [`Plan`] and needs no further decision.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::certificates::{self, ConnectionSettings, Files};
use super::config::Configuration;
use super::options::{Binding, ClientCommand, Identity, Network, Options, Output, Request, Target};
use super::report::Settings;
use super::secret::{self, ConfiguredSecret, SecretSource, Secrets, Source};
use super::state::{Record, State};
use super::text::shown;
use super::trace::Wish;
use super::usage::UsageError;
use super::values::{
    AddedHeader, Address, Advertised, AlgorithmName, Aor, Contact, Lifetime, Preference, Proxy, Realm,
    Registrant, Registrar, Resolve, Span, UserAgent, UserName, Zone, aor_of,
};
use super::{Environment, explain, prompt};
use crate::net;
use crate::proto::Transport;
use crate::proto::client::plan::{OWN_ADDRESS, Plan, Purpose, Timing, stands_here};
use crate::proto::digest::{Algorithm, Credential, Keyring, Secret};
use crate::proto::locate::{Families, Pinned};
use crate::sip::{Host, NameAddr, Q, Scheme, Uri};

/// What a command is about to do.
pub struct Account {
    /// For the core. The credential is added by [`Account::unlock`].
    pub plan: Plan,
    /// For the driver.
    pub net: net::Config,
    /// The settings of its connections over TLS and WebSocket: the first of the driver's, unless there are several
    /// accounts.
    pub connections: ConnectionSettings,
    /// What is shown, and how.
    pub settings: Settings,
    /// Where copies of the messages go.
    pub copies: Wish,
    /// Where it is remembered what is bound; `None` with `--stateless`.
    pub state: Option<State>,
    /// What must be bound for `list` to end with 0.
    pub required: Vec<NameAddr>,
    /// Whether the user has to agree first.
    pub consent: Consent,
    secret: Option<Source>,
    locked: Vec<ConfiguredSecret>,
    username: String,
    /// A warning for the file of its private key.
    exposed_key: Option<String>,
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
    /// Reads the meaning of a command, with what the configuration file says of it. The password is only located, not
    /// read: that may have to wait for a person or a pipe.
    ///
    /// # Errors
    /// The first argument or key that makes no sense, with its value and what to do, and what is known by then of how
    /// it is to be shown.
    pub fn resolve(
        mut request: Request,
        environment: &Environment,
    ) -> Result<Account, Box<(Settings, UsageError)>> {
        let configuration = Configuration::read(request.options.network.config.as_deref(), environment);
        let account = configuration
            .and_then(|found| Account::configured(&mut request, &found, environment, &mut Files::default()));
        account.map_err(|error| {
            let aor = request.aor.as_deref().and_then(aor_of);
            let settings = Settings { aor, ..shown_as(&request.options.output) };
            Box::new((settings, error))
        })
    }

    /// The same with a configuration that has been read. The request is completed by it; certificates that another
    /// account names, too, are read once.
    ///
    /// # Errors
    /// As for [`Account::resolve`].
    pub fn configured(
        request: &mut Request,
        configuration: &Configuration,
        environment: &Environment,
        files: &mut Files,
    ) -> Result<Account, UsageError> {
        let mut additions = configuration.complete(request, environment)?;
        let secrets = std::mem::take(&mut additions.secrets);
        let account = Account::new(request, secrets, environment);
        let account =
            account.and_then(|account| Ok(account.connected(files.client(&request.options.security)?)));
        account.map_err(|error| additions.complain(error))
    }

    /// The same with the settings of its connections.
    fn connected(self, connections: ConnectionSettings) -> Account {
        let profiles = vec![Arc::clone(&connections.settings)];
        Account { net: net::Config { profiles, ..self.net }, connections, ..self }
    }

    fn new(
        request: &Request,
        mut secrets: Vec<ConfiguredSecret>,
        environment: &Environment,
    ) -> Result<Account, UsageError> {
        let Options { target, identity, binding, headers, network, security, retry, output } =
            &request.options;
        let aor = request.aor.as_deref().unwrap_or_default();
        let aor: Aor = aor.parse().map_err(|invalid| UsageError::invalid("AOR", aor, &invalid))?;
        let from = identity.from.clone().map(|Registrant(uri)| uri);
        let bound = network.bind.and_then(|Address(.., zone)| zone);
        let (registrar, route, zone) = targets(target, aor.target, bound)?;
        let wanted = Wanted::of(&request.command, binding)?;
        let (net, families) = network_config(network, output.dry_run)?;
        let timing = network.t1.map_or_else(Timing::default, |Span(t1)| Timing::with_t1(t1));
        let whole = network.timeout.map(|Span(limit)| limit);
        let username = username(identity, from.as_ref(), &aor.uri)?;
        let secret = typed_secret(identity, environment)?;
        let settings = settings(output, &aor.uri, &wanted);
        // One secret that was typed, or is in the environment, counts instead of all that the file names.
        if secret.is_some() {
            secrets.clear();
        }
        let realm = identity.realm.clone().map(|Realm(realm)| realm);
        // Those of realms that are not going to be answered are of no use.
        secrets.retain(|secret| realm.is_none() || secret.realm.is_none() || secret.realm == realm);
        let asks = secret.is_none() && secrets.iter().all(|secret| secret.realm.is_some());
        let keyring = Keyring {
            credentials: Vec::new(),
            ask: (asks && prompt::is_possible()).then(|| username.clone()),
            realm,
            minimum: identity.min_algorithm.map_or(Algorithm::Md5, |AlgorithmName(minimum)| minimum),
        };
        let UserAgent(user_agent) = headers.user_agent.clone().unwrap_or_default();
        let advertise = network.advertise.clone();
        let plan = Plan {
            purpose: wanted.purpose,
            from: from.map(Box::new),
            registrar: Arc::new(registrar),
            route,
            transport: target.transport.map(Transport::from),
            families,
            pinned: pinned(network.resolve.iter().flatten()),
            zone,
            contacts: wanted.contacts,
            q: wanted.q,
            advertise: advertise.map(|Advertised(host, port)| Box::new((host, port))),
            user_agent: user_agent.map(Arc::from),
            headers: headers.header.iter().flatten().map(|AddedHeader(header)| header.clone()).collect(),
            keyring,
            timing,
            // Four destinations' worth for each try, unless the user says how long the whole may take.
            try_limit: whole.unwrap_or(timing.patience().saturating_mul(4)),
            command_limit: whole,
            retry_for: retry.retry_for.unwrap_or_default().0,
            ..Plan::new(aor.uri)
        };
        let state = state_dir(network, environment).map(|dir| State::in_dir(&dir));
        if state.is_none() && wanted.purpose == Purpose::Remove && plan.has_own() {
            return Err(nothing_named().hint(if network.stateless == Some(true) {
                "without --stateless, sipreg remembers what it bound"
            } else {
                "sipreg remembers what it bound if HOME is set, or --state-dir given"
            }));
        }
        let net = net::Config { dns_timeout: plan.timing.patience().min(net::DNS_PATIENCE), ..net };
        let (required, consent) = (wanted.required, wanted.consent);
        let connections = ConnectionSettings::default();
        let exposed_key = certificates::exposure(security.tls_cert.as_deref(), security.tls_key.as_deref());
        let locked = secrets;
        let copies = Wish::of(&output.copies, output.display.show_secrets);
        Ok(Account {
            plan,
            net,
            connections,
            settings,
            copies,
            state,
            required,
            consent,
            secret,
            locked,
            username,
            exposed_key,
        })
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
                .hint(explain::NOTHING_REMEMBERED.hint));
        }
        self.plan.contacts.retain(|contact| !stands_here(contact));
        self.plan.contacts.extend(bound);
        Ok(())
    }

    /// Whether it removes what is remembered.
    #[must_use]
    pub fn recalls(&self) -> bool {
        self.plan.purpose == Purpose::Remove && self.plan.has_own()
    }

    /// Puts what an earlier process left into the plan: Call-ID and CSeq go on, and the port is taken again where the
    /// binding is that is to be refreshed.
    pub fn remember(&mut self, record: &Record) {
        self.plan.resume = Some(Box::new(record.memory()));
        if matches!(self.plan.purpose, Purpose::Bind { .. }) && self.plan.has_own() {
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

    /// Where the secret comes from, in words.
    #[must_use]
    pub fn secret_origin(&self) -> String {
        match (&self.secret, self.locked.is_empty(), &self.plan.keyring.ask) {
            (Some(source), _, _) => source.described(),
            (None, false, _) => "password as the configuration says".to_owned(),
            (None, true, Some(_)) => "password to be asked for".to_owned(),
            (None, true, None) => "no password".to_owned(),
        }
    }

    /// Warnings for files of secrets that others may read, and for a memory that others may write.
    #[must_use]
    pub fn exposures(&self) -> Vec<String> {
        let typed = self.secret.iter();
        let configured = self.locked.iter().filter_map(ConfiguredSecret::file);
        let mut warnings: Vec<String> = typed.chain(configured).filter_map(Source::exposure).collect();
        warnings.extend(self.state.as_ref().and_then(State::exposure));
        warnings.extend(self.exposed_key.clone());
        warnings
    }

    /// Reads the files that hold its secrets, those that need nobody's answer, each once for all accounts that name it.
    ///
    /// # Errors
    /// As for [`Source::read`].
    pub fn load_secrets(&mut self, read: &mut Secrets) -> Result<(), UsageError> {
        self.secret.as_mut().map_or(Ok(()), |source| source.load(read))?;
        self.locked.iter_mut().try_for_each(|locked| locked.load(read))
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

/// Request-URI, route set, and the interface by which the next hop is reached, unless that is the one of the address
/// that is bound. The next hop is the first of the route, else the Request-URI (RFC 3261 §8.1.2).
fn targets(
    target: &Target,
    default: Uri,
    bound: Option<Zone>,
) -> Result<(Uri, Vec<Uri>, Option<Zone>), UsageError> {
    // A sips: AOR is asked for by sips: alone, whatever its registrar was called by (RFC 5630 §5.1.1).
    let is_secured = default.scheme == Scheme::Sips;
    let (mut registrar, zone) =
        target.registrar.clone().map_or((default, None), |Registrar(uri, zone)| (uri, zone));
    secure(&mut registrar, is_secured, target.registrar.as_ref().map_or("AOR", |_| "--registrar"), target)?;
    let mut route: Vec<Uri> = target.proxy.iter().flatten().map(|Proxy(uri, _)| uri.clone()).collect();
    for hop in &mut route {
        secure(hop, registrar.scheme == Scheme::Sips, "--proxy", target)?;
    }
    let (option, next, zone) = match (target.proxy.iter().flatten().next(), &target.registrar) {
        (Some(Proxy(_, zone)), _) => ("--proxy", route.first().unwrap_or(&registrar), *zone),
        (None, Some(_)) => ("--registrar", &registrar, zone),
        (None, None) => ("AOR", &registrar, None),
    };
    let zone = zone.or(bound);
    if let (Host::V6(address), None) = (&next.host, zone)
        && address.is_unicast_link_local()
    {
        let error =
            UsageError::value(option, &next.to_string(), "is link-local, and says not by which interface");
        let option = if option == "AOR" { "--registrar" } else { option };
        return Err(error.hint(format!("write {option} '[{address}%eth0]', with the name of the interface")));
    }
    if target.transport.is_none()
        && let Some(asked) = next.transport()
        && Transport::parse(asked).is_none()
    {
        let reason = format_args!("asks for the transport {}, which is not built yet", shown(asked));
        return Err(UsageError::value(option, &next.to_string(), reason)
            .hint("udp, tcp, tls, ws and wss are; --transport overrides what a URI says"));
    }
    Ok((registrar, route, zone))
}

/// Makes a URI one of `sips:` where that is wanted, and refuses a transport without TLS for what is one: `sips:` promises
/// TLS on every hop (RFC 5630 §3.1.1), and nothing less will do.
fn secure(uri: &mut Uri, is_wanted: bool, option: &str, target: &Target) -> Result<(), UsageError> {
    if is_wanted {
        uri.scheme = Scheme::Sips;
    }
    if uri.scheme != Scheme::Sips {
        return Ok(());
    }
    const EITHER: &str = "sips: goes over tls and wss only; sip: goes over any";
    if let Some(forced) = target.transport.map(Transport::from)
        && !forced.is_secure()
    {
        let reason = format_args!("has no TLS, which {} asks for", shown(&uri.to_string()));
        return Err(UsageError::value("--transport", forced.as_str(), reason).hint(EITHER));
    }
    let Some(asked) = uri.transport().map(str::to_owned) else { return Ok(()) };
    match Transport::parse(&asked) {
        Some(Transport::Udp) if target.transport.is_none() => {
            let reason = "asks for TLS and for UDP, which has none";
            return Err(UsageError::value(option, &uri.to_string(), reason).hint(EITHER));
        }
        // The scheme says so already (RFC 5630 §3.1.1).
        Some(Transport::Tls | Transport::Udp) => {
            uri.params.remove("transport");
        }
        Some(Transport::Wss) => uri.params.set("transport", Some(Transport::Wss.as_param())),
        Some(Transport::Tcp | Transport::Ws) | None => {}
    }
    Ok(())
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
    fn of(command: &ClientCommand, binding: &Binding) -> Result<Wanted, UsageError> {
        let fetch = Wanted {
            purpose: Purpose::Fetch,
            contacts: vec![],
            q: None,
            required: vec![],
            consent: Consent::Given,
        };
        let configured = binding.contact.as_deref().unwrap_or_default();
        Ok(match command {
            ClientCommand::Register => {
                let contacts = distinct(configured)?;
                let purpose = purpose(binding.expires, &contacts)?;
                Wanted { purpose, contacts, q: binding.q.map(|Preference(q)| q), ..fetch }
            }
            ClientCommand::List(required) => {
                let required = distinct(required)?;
                if let Some(contact) = required.iter().find(|contact| stands_here(contact)) {
                    let what = format_args!("has {OWN_ADDRESS}, and a list has no contact of its own");
                    return Err(UsageError::value("--contact", &contact.uri.to_string(), what));
                }
                Wanted { required, ..fetch }
            }
            ClientCommand::Check => Wanted { purpose: Purpose::Bind { expires: None }, ..fetch },
            ClientCommand::Unregister(removal) if removal.all => {
                let consent = if removal.yes { Consent::Given } else { Consent::Needed };
                Wanted { purpose: Purpose::RemoveAll, consent, ..fetch }
            }
            ClientCommand::Unregister(removal) => {
                let named = if removal.contact.is_empty() { configured } else { &removal.contact };
                Wanted { purpose: Purpose::Remove, contacts: distinct(named)?, ..fetch }
            }
        })
    }
}

/// The contacts, each of which is there once.
fn distinct(all: &[Contact]) -> Result<Vec<NameAddr>, UsageError> {
    let mut contacts: Vec<NameAddr> = Vec::with_capacity(all.len());
    for Contact(contact) in all {
        if contacts.iter().any(|other| other.uri.matches(&contact.uri)) {
            let error = UsageError::value("--contact", &contact.uri.to_string(), "is given twice");
            return Err(error.hint("one binding has one lifetime and one preference: give it once"));
        }
        contacts.push(contact.clone());
    }
    Ok(contacts)
}

/// Bind or remove. With a lifetime above 0 at one of the contacts, `-e 0` only speaks for the others.
fn purpose(expires: Option<Lifetime>, contacts: &[NameAddr]) -> Result<Purpose, UsageError> {
    const HOUR: u32 = 3600;
    let seconds = expires.map_or(HOUR, |Lifetime(seconds)| seconds);
    let stays = |contact: &NameAddr| contact.params.token("expires").is_some_and(|seconds| seconds != "0");
    if seconds > 0 || contacts.iter().any(stays) {
        bindable(contacts)?;
        return Ok(Purpose::Bind { expires: Some(seconds) });
    }
    Ok(Purpose::Remove)
}

/// Refuses what has a URI parameter that no Contact has (RFC 3261 §19.1.1, table 1). What is to be removed may be as
/// odd as somebody else made it.
fn bindable(contacts: &[NameAddr]) -> Result<(), UsageError> {
    for contact in contacts {
        let has = |name: &str| contact.uri.sip().is_some_and(|uri| uri.param(name).is_some());
        if let Some(name) = ["lr", "method"].into_iter().find(|name| has(name)) {
            let what = format_args!("has the {name} parameter, which no Contact may have");
            return Err(UsageError::value("--contact", &contact.uri.to_string(), what));
        }
    }
    Ok(())
}

fn nothing_named() -> UsageError {
    UsageError::new("nothing says which binding to remove: name it with --contact, or --all for every one")
}

/// Where to remember. The base folders are those of the XDG specification, which wants absolute paths.
fn state_dir(network: &Network, environment: &Environment) -> Option<PathBuf> {
    if network.stateless == Some(true) {
        return None;
    }
    network.state_dir.clone().or_else(|| environment.state_home())
}

/// The digest user name: as told, else the user part of who registers (RFC 3261 §22.1 leaves the choice to us).
fn username(identity: &Identity, from: Option<&Uri>, aor: &Uri) -> Result<String, UsageError> {
    if let Some(UserName(name)) = &identity.username {
        return Ok(name.clone());
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

/// The secret of the command line, else the environment's. (Two on the command line never get here.)
fn typed_secret(identity: &Identity, environment: &Environment) -> Result<Option<Source>, UsageError> {
    match SecretSource::take(&mut identity.clone()) {
        Some((_, SecretSource::Source(source))) => Ok(Some(source)),
        Some((_, SecretSource::Program(_))) | None => {
            Ok(secret::of_environment(environment)?.map(Source::Known))
        }
    }
}

/// How the output is shown. The request that `--dry-run` prints is no JSON, nor is what keeps it from being printed.
fn shown_as(output: &Output) -> Settings {
    let settings = output.display.settings(&output.format);
    Settings { json: settings.json && !output.dry_run, ..settings }
}

fn settings(output: &Output, aor: &Uri, wanted: &Wanted) -> Settings {
    Settings {
        aor: Some(aor.to_string()),
        ends_unanswered: (wanted.contacts.is_empty() || wanted.contacts.iter().any(stands_here))
            && matches!(wanted.purpose, Purpose::Bind { .. }),
        ..shown_as(output)
    }
}

/// For the driver, but for the patience with name servers; and the address families that can be used.
fn network_config(network: &Network, dry_run: bool) -> Result<(net::Config, Families), UsageError> {
    let bind = network.bind.map(|Address(ip, port, _)| (ip, port.filter(|port| *port != 0)));
    let nameservers = nameservers(network.nameserver.iter().flatten())?;
    let families = families(network, bind.map(|(ip, _)| ip))?;
    let net =
        net::Config { bind, nameservers, dns_timeout: Duration::ZERO, dry_run, ..net::Config::default() };
    Ok((net, families))
}

/// The name servers of `--nameserver`.
///
/// # Errors
/// One that can't be asked.
pub(super) fn nameservers<'a>(
    named: impl IntoIterator<Item = &'a Address>,
) -> Result<Vec<SocketAddr>, UsageError> {
    let mut nameservers = Vec::new();
    for Address(ip, port, zone) in named {
        if zone.is_some() {
            let what = "names an interface, by which no name server can be asked yet";
            return Err(UsageError::value("--nameserver", &ip.to_string(), what)
                .hint("leave --nameserver out, and the system's are asked, also where they are link-local"));
        }
        nameservers.push(SocketAddr::new(*ip, port.unwrap_or(53)));
    }
    Ok(nameservers)
}

/// The hosts of `--resolve`.
pub(super) fn pinned<'a>(named: impl IntoIterator<Item = &'a Resolve>) -> Vec<Pinned> {
    named.into_iter().map(|Resolve(pinned)| pinned.clone()).collect()
}

/// What can be sent from the bound address, and what the user allows.
fn families(network: &Network, bind: Option<IpAddr>) -> Result<Families, UsageError> {
    let clash = |option: &str, ip: IpAddr| {
        let reason = format_args!("can't be used with {option}");
        Err(UsageError::value("--bind", &ip.to_string(), reason)
            .hint("leave one of them out, or bind an address of the other family"))
    };
    match (network.ipv4 == Some(true), network.ipv6 == Some(true), bind) {
        (true, _, Some(ip @ IpAddr::V6(_))) => clash("-4", ip),
        (_, true, Some(ip @ IpAddr::V4(_))) => clash("-6", ip),
        (true, _, _) | (_, _, Some(IpAddr::V4(_))) => Ok(Families::V4),
        (_, true, _) | (_, _, Some(IpAddr::V6(_))) => Ok(Families::V6),
        (false, false, None) => Ok(Families::Both),
    }
}

#[cfg(test)]
mod tests;
