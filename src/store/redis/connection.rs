//! A connection to one server: how it is made, what is asked first, and what can be the matter with it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, ServerError, TlsCertificates, Value, cmd,
};
use tokio::time::{Instant, timeout};

use super::Address;
use super::script::SCRIPT;
use super::slots::{self, Host};

/// How long a server may take to answer, and to be connected to.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What can be the matter with a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no connection, or it broke.
    #[error("{0}")]
    Unreachable(Arc<str>),
    /// It takes too long.
    #[error("no answer within 2 s")]
    Silent,
    /// It takes neither the password nor its absence, or the user may not do what has to be done.
    #[error("{0}")]
    Denied(Arc<str>),
    /// It takes no changes, because it follows another server.
    #[error("it is a replica, which takes no changes")]
    Replica,
    /// It has been started a moment ago.
    #[error("it is still reading its data")]
    Loading,
    /// It wants to be named as one.
    #[error("it is a node of a cluster")]
    ClusterNode,
    /// It was named as one.
    #[error("it is no node of a cluster")]
    NoClusterNode,
    /// Some of the data of a cluster are on no server.
    #[error("the cluster is incomplete")]
    ClusterDown,
    /// It says something else.
    #[error("{0}")]
    Refused(Arc<str>),
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Trouble {
        if error.is_timeout() {
            return Trouble::Silent;
        }
        let text = || -> Arc<str> {
            // The category and the detail, or what the system says.
            match (error.kind(), error.detail()) {
                (ErrorKind::Io, None) => error.to_string().into(),
                (_, Some(detail)) => format!("{}: {detail}", error.category()).into(),
                (_, None) => error.to_string().into(),
            }
        };
        let kind = error.kind();
        if kind == ErrorKind::AuthenticationFailed {
            Trouble::Denied(text())
        } else if kind == ErrorKind::Io {
            Trouble::Unreachable(text())
        } else if let Some(errors) = error.clone().into_server_errors() {
            errors.first().map_or(Trouble::Silent, |(_, error)| Trouble::of(error))
        } else {
            Trouble::Refused(text())
        }
    }
}

impl Trouble {
    /// What an answer says that is an error.
    pub(super) fn of(error: &ServerError) -> Trouble {
        let text = || -> Arc<str> {
            match error.details() {
                Some(details) => format!("{} {details}", error.code()).into(),
                None => error.code().into(),
            }
        };
        match error.code() {
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Trouble::Denied(text()),
            "READONLY" => Trouble::Replica,
            "LOADING" => Trouble::Loading,
            "MOVED" | "ASK" | "CROSSSLOT" => Trouble::ClusterNode,
            "CLUSTERDOWN" => Trouble::ClusterDown,
            _ => Trouble::Refused(text()),
        }
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it throws away when its memory is full; `noeviction`: nothing.
    pub eviction: String,
    /// It writes every change to a file.
    pub is_kept: bool,
}

/// A server that can be asked.
pub(super) struct Connection {
    pub link: MultiplexedConnection,
    /// The name of the script.
    pub script: Arc<str>,
    /// It can keep each field of a hash for a time of its own.
    pub times_fields: bool,
    /// It can wait until others have written a change to their files, and so has done itself.
    pub waits_for_files: bool,
    pub facts: Facts,
    /// Its time in milliseconds, and when it had that.
    pub time: (u64, Instant),
}

/// How a server is spoken to.
pub(super) struct Access {
    login: RedisConnectionInfo,
    is_tls: bool,
    is_cluster: bool,
    /// Certificates of authorities, in PEM; `None`: those of the system.
    roots: Option<Vec<u8>>,
}

impl Access {
    pub fn new(address: &Address, roots: Option<Vec<u8>>) -> Access {
        let mut login = RedisConnectionInfo::default().set_db(address.database.into());
        if let Some(user) = &address.user {
            login = login.set_username(user);
        }
        if let Some(password) = &address.password {
            login = login.set_password(password.reveal());
        }
        login = login.set_lib_name("sipreg", env!("CARGO_PKG_VERSION"));
        Access { login, is_tls: address.is_tls, is_cluster: address.is_cluster, roots }
    }

    fn client(&self, (host, port): &Host) -> Result<Client, RedisError> {
        let tcp = TcpSettings::default().set_nodelay(true);
        let info: ConnectionInfo = (host.clone(), *port).into_connection_info()?;
        let info = info.set_redis_settings(self.login.clone()).set_tcp_settings(tcp);
        if !self.is_tls {
            return Client::open(info);
        }
        let (host, port) = (host.clone(), *port);
        let info = info.set_addr(ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None });
        Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: self.roots.clone() })
    }

    /// Connects to a server that takes changes.
    ///
    /// # Errors
    /// What the matter is.
    pub async fn connect(&self, host: &Host) -> Result<Connection, Trouble> {
        timeout(PATIENCE, self.begin(host)).await.unwrap_or(Err(Trouble::Silent))
    }

    /// The servers of a cluster that take changes, as one of its servers says.
    ///
    /// # Errors
    /// What the matter is with that one.
    pub async fn ranges(&self, host: &Host) -> Result<Vec<(usize, usize, Host)>, Trouble> {
        let asking = async {
            let mut link = self.client(host)?.get_multiplexed_async_connection().await?;
            let [answer] = ask(&mut link, [cmd("CLUSTER").arg("SLOTS").take()]).await?;
            if let Value::ServerError(error) = &answer
                && error.code() == "ERR"
            {
                // It says in words that it is in none.
                return Err(Trouble::NoClusterNode);
            }
            slots::ranges(&answer, host).ok_or_else(|| odd(&answer))
        };
        timeout(PATIENCE, asking).await.unwrap_or(Err(Trouble::Silent))
    }

    async fn begin(&self, host: &Host) -> Result<Connection, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = self.client(host)?;
        let mut link = client.get_multiplexed_async_connection_with_config(&config).await?;
        let [info, script, known] = ask(
            &mut link,
            [cmd("INFO"), load(), cmd("COMMAND").arg("INFO").arg("HPEXPIRE").arg("WAITAOF").take()],
        )
        .await?;
        let info = text(&info)?;
        let says = |what: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(what)?.strip_prefix(':'))
                .unwrap_or_default()
                .trim()
        };
        if says("role") == "slave" {
            return Err(Trouble::Replica);
        }
        match (self.is_cluster, says("cluster_enabled") == "1") {
            (false, true) => return Err(Trouble::ClusterNode),
            (true, false) => return Err(Trouble::NoClusterNode),
            (false, false) | (true, true) => {}
        }
        let facts =
            Facts { eviction: says("maxmemory_policy").to_owned(), is_kept: says("aof_enabled") == "1" };
        let script = text(&script)?.into();
        let known = if let Value::Array(known) = known { known } else { Vec::new() };
        let knows = |at: usize| known.get(at).is_some_and(|about| !matches!(about, Value::Nil));
        let time = time(&mut link).await?;
        Ok(Connection {
            link,
            script,
            times_fields: knows(0),
            waits_for_files: knows(1) && facts.is_kept,
            facts,
            time,
        })
    }
}

/// Has a server know the script.
pub(super) fn load() -> redis::Cmd {
    cmd("SCRIPT").arg("LOAD").arg(SCRIPT).take()
}

/// Asks several things at once.
async fn ask<const N: usize>(
    link: &mut MultiplexedConnection,
    commands: [redis::Cmd; N],
) -> Result<[Value; N], Trouble> {
    let mut pipeline = Pipeline::with_capacity(N);
    for command in commands {
        pipeline.add_command(command);
    }
    let answers = link.send_packed_commands(&pipeline, 0, N).await?;
    <[Value; N]>::try_from(answers).map_err(|answers| odd(&Value::Array(answers)))
}

fn text(answer: &Value) -> Result<String, Trouble> {
    if let Value::BulkString(octets) = answer {
        return Ok(String::from_utf8_lossy(octets).into_owned());
    }
    if let Value::SimpleString(text) | Value::VerbatimString { text, .. } = answer {
        return Ok(text.clone());
    }
    Err(odd(answer))
}

/// What the matter is with a server that answers so, which it should not.
pub(super) fn odd(answer: &Value) -> Trouble {
    if let Value::ServerError(error) = answer {
        return Trouble::of(error);
    }
    Trouble::Refused(format!("it answers {answer:?}").into())
}

/// The time of the server in milliseconds, and when it had that: in the middle between question and answer.
pub(super) async fn time(link: &mut MultiplexedConnection) -> Result<(u64, Instant), Trouble> {
    let asked = Instant::now();
    let [answer] = ask(link, [cmd("TIME")]).await?;
    let at = asked + asked.elapsed() / 2;
    let parts = if let Value::Array(parts) = &answer { parts.as_slice() } else { &[] };
    let parts: Option<Vec<u64>> = parts.iter().map(|part| text(part).ok()?.parse().ok()).collect();
    match parts.as_deref() {
        Some([seconds, micros]) => Ok((seconds.saturating_mul(1000).saturating_add(micros / 1000), at)),
        Some(_) | None => Err(odd(&answer)),
    }
}
