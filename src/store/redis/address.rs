//! Where a Redis or Valkey is, and who asks it: the URL of `--store`.

use std::fmt;
use std::str::FromStr;

use crate::proto::digest::Hidden;

/// The port of a server where the URL names none.
const PORT: u16 = 6379;

/// A server, or some of a cluster. Shown is all but the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Hosts and ports: more than one only of a cluster. Never none.
    pub hosts: Vec<(String, u16)>,
    /// Its data are spread over several servers.
    pub is_cluster: bool,
    /// Connections are secured by TLS.
    pub is_tls: bool,
    /// The name of the user, where it is not the usual one.
    pub user: Option<String>,
    /// The password, if there is one.
    pub password: Option<Hidden>,
    /// The number of the database.
    pub database: u32,
}

/// What is wrong with the URL of a store. No part of it is told that could be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins otherwise than any that can be read.
    #[error("is no URL of a store")]
    Scheme,
    /// There is no host in it, or none that can be read.
    #[error("names no host")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("has a port that is none")]
    Port,
    /// What follows the host is not `/` and a number.
    #[error("has a database that is no number")]
    Database,
    /// A cluster has one database.
    #[error("names a database, and a cluster has one only")]
    ClusterDatabase,
    /// One server is one host.
    #[error("names several hosts, and is no cluster")]
    Hosts,
    /// An escape is not `%` and two digits, or not of UTF-8.
    #[error("has a user or password with an escape that is none")]
    Escape,
    /// Behind the database there is more.
    #[error("goes on behind the database")]
    Rest,
}

impl Address {
    /// How each kind of URL begins.
    pub const SCHEMES: &[&str] = &["redis://", "rediss://", "redis+cluster://", "rediss+cluster://"];

    fn scheme(&self) -> &'static str {
        match (self.is_cluster, self.is_tls) {
            (false, false) => "redis://",
            (false, true) => "rediss://",
            (true, false) => "redis+cluster://",
            (true, true) => "rediss+cluster://",
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(url: &str) -> Result<Address, AddressError> {
        let scheme = Address::SCHEMES
            .iter()
            .find(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let scheme = scheme.ok_or(AddressError::Scheme)?;
        let (is_cluster, is_tls) = (scheme.contains("+cluster"), scheme.starts_with("rediss"));
        let rest = url.get(scheme.len()..).unwrap_or_default();
        // A password may hold a slash that should have been escaped; a host can't.
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        if rest.contains(['?', '#']) {
            return Err(AddressError::Rest);
        }
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (unescape(user)?, unescape(password)?),
            None => (None, None),
        };
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        let database = match database.strip_suffix('/').unwrap_or(database) {
            "" => 0,
            number => number.parse().map_err(|_| AddressError::Database)?,
        };
        if is_cluster && database != 0 {
            return Err(AddressError::ClusterDatabase);
        }
        if !is_cluster && hosts.len() > 1 {
            return Err(AddressError::Hosts);
        }
        Ok(Address { hosts, is_cluster, is_tls, user, password: password.map(Hidden::new), database })
    }
}

/// `host[:port]`; an IPv6 address stands in brackets.
fn host(text: &str) -> Result<(String, u16), AddressError> {
    let (host, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        Some(Some((address, port))) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Host)?;
            (address, port.strip_prefix(':').ok_or(port))
        }
        Some(None) => return Err(AddressError::Host),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Ok(port)),
            None => (text, Err("")),
        },
    };
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:".contains(&octet);
    if host.is_empty() || !host.bytes().all(is_host) || (host.contains(':') && !text.starts_with('[')) {
        return Err(AddressError::Host);
    }
    let port = match port {
        Ok(port) => port.parse().ok().filter(|port| *port > 0).ok_or(AddressError::Port)?,
        Err("") => PORT,
        Err(_) => return Err(AddressError::Port),
    };
    Ok((host.to_owned(), port))
}

/// The text with its escapes undone; `None`: it is empty.
fn unescape(text: &str) -> Result<Option<String>, AddressError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digit = |octet: Option<u8>| octet.and_then(|octet| char::from(octet).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or(AddressError::Escape)?
            }
            _ => octet,
        });
    }
    let text = String::from_utf8(octets).map_err(|_| AddressError::Escape)?;
    Ok((!text.is_empty()).then_some(text))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())?;
        if let Some(user) = &self.user {
            write!(f, "{}@", crate::sip::escape_user(user.as_bytes()))?;
        }
        for (number, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        match self.database {
            0 => Ok(()),
            number => write!(f, "/{number}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says_is_read_and_shown_without_the_password() {
        for (url, shown) in [
            ("redis://h", "redis://h:6379"),
            ("REDIS://h.example:1/3/", "redis://h.example:1/3"),
            ("rediss://me:p%40ss@[::1]", "rediss://me@[::1]:6379"),
            ("redis://:p/w@h:7@192.0.2.1:7/0", "redis://192.0.2.1:7"),
            ("redis+cluster://a,b:7001,[::1]:7002", "redis+cluster://a:6379,b:7001,[::1]:7002"),
            ("rediss+cluster://a", "rediss+cluster://a:6379"),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.to_owned(), shown.to_owned()));
            assert_eq!(shown.parse::<Address>().unwrap(), Address { password: None, ..address });
        }
        let address: Address = "rediss://me:p%40ss@[::1]".parse().unwrap();
        assert_eq!(address.password.unwrap().reveal(), "p@ss");
        let address: Address = "redis://:p/w@h:7@192.0.2.1:7/0".parse().unwrap();
        assert_eq!((address.user, address.password.unwrap().reveal()), (None, "p/w@h:7"));
    }

    #[test]
    fn what_is_no_url_of_a_store_is_told_why() {
        use AddressError::{ClusterDatabase, Database, Escape, Host, Hosts, Port, Rest, Scheme};
        for (url, error) in [
            ("", Scheme),
            ("redis:/h", Scheme),
            ("http://h", Scheme),
            ("redis://", Host),
            ("redis://u:p@", Host),
            ("redis://h h", Host),
            ("redis://:p#?@::1", Host),
            ("redis://[::1", Host),
            ("redis://[x]", Host),
            ("redis://h:", Port),
            ("redis://h:0", Port),
            ("redis://h:65536", Port),
            ("redis://[::1]1", Port),
            ("redis://h/x", Database),
            ("redis://h/-1", Database),
            ("redis://h/1/2", Database),
            ("redis://a,b", Hosts),
            ("redis+cluster://a,", Host),
            ("redis+cluster://a/1", ClusterDatabase),
            ("redis://%zz@h", Escape),
            ("redis://:%FF@h", Escape),
            ("redis://h?x=1", Rest),
            ("redis://h/1#x", Rest),
        ] {
            assert_eq!(url.parse::<Address>(), Err(error), "{url}");
        }
    }
}
