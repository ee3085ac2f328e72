//! The header fields of a message, in order, and their typed readers (RFC 3261 §7.3 and §20).

use super::auth::{AuthenticationInfo, Challenge, Credentials};
use super::date::Date;
use super::error::{Problem, UriError};
use super::header::{FieldError, Header, InjectionError, List};
use super::lenient::{self, Scope};
use super::method::Method;
use super::name::HeaderName;
use super::name_addr::{Contacts, DEFAULT_EXPIRES, NameAddr};
use super::params::Params;
use super::scan::{self, Cursor};
use super::via::Via;
use std::fmt;

/// Header rows in the order they came. The order of rows of one name matters (RFC 3261 §7.3.1); nothing is
/// looked into before it is asked for.
///
/// A comma list and the same values over several rows mean the same to the typed readers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// An empty list of headers.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// An empty list of headers with room for `rows` of them.
    pub fn with_capacity(rows: usize) -> Headers {
        Headers(Vec::with_capacity(rows))
    }

    /// Adds a row at the end.
    pub fn push(&mut self, header: Header) {
        self.0.push(header);
    }

    /// Puts a row above all others: a proxy's Via or Record-Route (RFC 3261 §16.6).
    pub fn push_top(&mut self, header: Header) {
        self.0.insert(0, header);
    }

    /// The first row of this name.
    pub fn get(&self, name: &HeaderName) -> Option<&Header> {
        self.0.iter().find(|header| header.name() == name)
    }

    /// All rows of this name, in order.
    pub fn all(&self, name: &HeaderName) -> impl Iterator<Item = &Header> {
        self.0.iter().filter(move |header| header.name() == name)
    }

    /// All rows, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out all rows of this name, and gives their number.
    pub fn remove(&mut self, name: &HeaderName) -> usize {
        let before = self.0.len();
        self.0.retain(|header| header.name() != name);
        before - self.0.len()
    }

    /// Puts `header` in the place of the first row of its name and takes out the others; without such a row
    /// it goes to the end.
    pub fn replace(&mut self, header: Header) {
        match self.0.iter().position(|row| row.name() == header.name()) {
            Some(at) => {
                let mut index = 0;
                self.0.retain(|row| {
                    let keep = index <= at || row.name() != header.name();
                    index += 1;
                    keep
                });
                if let Some(row) = self.0.get_mut(at) {
                    *row = header;
                }
            }
            None => self.0.push(header),
        }
    }

    /// Writes `value` over the first value of a comma list, leaving its neighbours in the row: a server notes
    /// `received` and `rport` in the topmost Via (RFC 3261 §18.2.1). Without such a row it adds one.
    ///
    /// # Errors
    /// `value` holds CR, LF or NUL.
    pub fn set_first_value(&mut self, name: &HeaderName, value: &str) -> Result<(), InjectionError> {
        let Some(row) = self.first_row(name).and_then(|at| self.0.get_mut(at)) else {
            self.0.push(Header::new(name.clone(), value.to_owned())?);
            return Ok(());
        };
        let mut list = row.list();
        list.skip_first();
        let mut joined = value.as_bytes().to_vec();
        if let Some(others) = list.rest() {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(scan::trim(others));
        }
        *row = Header::new(name.clone(), joined)?;
        Ok(())
    }

    /// Takes out the first value of a comma list, and its row when that was all: a proxy's own Via from a
    /// response (RFC 3261 §16.7), its own Route from a request (§16.4). False when there was none.
    pub fn remove_first_value(&mut self, name: &HeaderName) -> bool {
        let Some(at) = self.first_row(name) else { return false };
        if let Some(row) = self.0.get_mut(at)
            && let Some(shorter) = row.without_first_value()
        {
            *row = shorter;
        } else {
            self.0.remove(at);
        }
        true
    }

    /// Where the row is that holds the first value of a list.
    fn first_row(&self, name: &HeaderName) -> Option<usize> {
        let is_of_value = |octet: &u8| !scan::is_space(*octet) && *octet != b',';
        self.0.iter().position(|row| row.name() == name && row.value().iter().any(is_of_value))
    }

    /// All values of a header whose grammar is a comma list, over its rows, with the row they stand in. A comma too many
    /// makes no value.
    fn values(&self, name: &HeaderName) -> impl Iterator<Item = (&Header, &[u8])> {
        self.all(name)
            .flat_map(|row| row.list().filter(|value| !value.is_empty()).map(move |value| (row, value)))
    }

    /// The lists among the headers that a client looks into which have a comma too many: each once.
    pub fn surplus_commas(&self) -> Vec<FieldError> {
        let mut found: Vec<FieldError> = Vec::new();
        for row in self.0.iter().filter(|row| is_list(row.name()) && has_surplus_comma(row.value())) {
            if !found.iter().any(|known| known.header == *row.name()) {
                found.push(row.error(Problem::Empty));
            }
        }
        found
    }

    /// The row of a header that occurs at most once.
    fn single(&self, name: &HeaderName) -> Result<Option<&Header>, FieldError> {
        let mut rows = self.all(name);
        let first = rows.next();
        match rows.next() {
            Some(row) => Err(row.error(Problem::Repeated)),
            None => Ok(first),
        }
    }

    /// The row of a header that occurs exactly once.
    pub(crate) fn required(&self, name: &HeaderName) -> Result<&Header, FieldError> {
        self.single(name)?.ok_or_else(|| FieldError { header: name.clone(), problem: Problem::Missing })
    }

    /// All Via values, topmost first (RFC 3261 §20.42). Parameters that stray from the grammar are read for what they
    /// hold, as in [`Headers::top_via`].
    ///
    /// # Errors
    /// The first value that strays, where one cannot be read at all.
    pub fn vias(&self) -> Result<Vec<Via>, FieldError> {
        let mut blemish = None;
        let mut all = Vec::with_capacity(1);
        for (row, value) in self.values(&HeaderName::Via) {
            all.push(match Via::parse(value) {
                Ok(via) => via,
                Err(problem) => {
                    let first = blemish.get_or_insert_with(|| row.error(problem));
                    lenient::via(value).map_err(|_| first.clone())?
                }
            });
        }
        Ok(all)
    }

    /// The topmost Via value; the others are not looked into. Parameters that stray from the grammar (a trailing `;`, text
    /// that is not UTF-8) don't keep it from being read, nor does the zone of an IPv6 address.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn top_via(&self) -> Result<Via, FieldError> {
        let missing = || FieldError { header: HeaderName::Via, problem: Problem::Missing };
        let row = self.get(&HeaderName::Via).ok_or_else(missing)?;
        // Where the first one strays, the others tell whether that is a slip or noise.
        Via::first(row.value()).or_else(|problem| {
            self.vias().ok().and_then(|all| all.into_iter().next()).ok_or_else(|| row.error(problem))
        })
    }

    /// The number of Via values. A client drops a response with more than one (RFC 3261 §8.1.3.3).
    pub fn via_count(&self) -> usize {
        self.values(&HeaderName::Via).count()
    }

    fn address(&self, name: &HeaderName) -> Result<NameAddr, FieldError> {
        let row = self.required(name)?;
        around_uri(row, row.value())
    }

    /// The tag of To or From, also where the URI before it cannot be read; `None` without one, or without one such row.
    pub fn tag(&self, name: &HeaderName) -> Option<String> {
        let reading = Reading::of(self.required(name).ok()?.value(), Scope::Everything).ok()?;
        reading.address.tag().map(str::to_owned)
    }

    /// From (RFC 3261 §20.20). A display name or parameters that stray from the grammar don't keep it from being read.
    ///
    /// # Errors
    /// Missing, repeated or malformed.
    pub fn from(&self) -> Result<NameAddr, FieldError> {
        self.address(&HeaderName::From)
    }

    /// To (RFC 3261 §20.39), read like [`Headers::from`].
    ///
    /// # Errors
    /// Missing, repeated or malformed.
    pub fn to(&self) -> Result<NameAddr, FieldError> {
        self.address(&HeaderName::To)
    }

    /// Call-ID, compared octet by octet (RFC 3261 §20.8).
    ///
    /// # Errors
    /// Missing, repeated, empty, not UTF-8, or with white space in it.
    pub fn call_id(&self) -> Result<&str, FieldError> {
        let row = self.required(&HeaderName::CallId)?;
        if row.value().is_empty() {
            return Err(row.error(Problem::Empty));
        }
        if row.value().iter().any(|&octet| scan::is_space(octet)) {
            return Err(row.error(Problem::Word));
        }
        row.text()
    }

    /// CSeq (RFC 3261 §20.16).
    ///
    /// # Errors
    /// Missing, repeated, or malformed; a number of 2³¹ or more is malformed.
    pub fn cseq(&self) -> Result<CSeq, FieldError> {
        let row = self.required(&HeaderName::CSeq)?;
        CSeq::parse(row.value()).map_err(|problem| row.error(problem))
    }

    /// Max-Forwards, in hops; `None` when absent (RFC 3261 §20.22).
    ///
    /// # Errors
    /// Repeated, or not a number from 0 to 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, FieldError> {
        let Some(row) = self.single(&HeaderName::MaxForwards)? else { return Ok(None) };
        let hops = scan::number(row.value()).and_then(|hops| u8::try_from(hops).ok());
        hops.map(Some).ok_or_else(|| row.error(Problem::Number))
    }

    /// The contacts of all Contact rows; no rows are an empty list (RFC 3261 §20.10). Display names and parameters that
    /// stray from the grammar don't keep a contact from being read; its URI has to be sound.
    ///
    /// # Errors
    /// [`Problem::StarAmongOthers`]. A single value that cannot be read is an error inside the list; so is a row that
    /// holds none, where there are no others.
    pub fn contacts(&self) -> Result<Contacts, FieldError> {
        let mut stars = 0usize;
        let mut list = Vec::with_capacity(1);
        for (row, value) in self.values(&HeaderName::Contact) {
            match value {
                b"*" => stars += 1,
                value => list.push(around_uri(row, value)),
            }
        }
        if stars == 0 && list.is_empty() {
            list.extend(self.get(&HeaderName::Contact).map(|row| Err(row.error(Problem::Empty))));
        }
        match (stars, list.is_empty()) {
            (0, _) => Ok(Contacts::List(list)),
            (1, true) => Ok(Contacts::Star),
            _ => Err(FieldError { header: HeaderName::Contact, problem: Problem::StarAmongOthers }),
        }
    }

    /// The contacts of a response that requests are to go to, one by one, as [`Headers::contacts`] reads them: there a `*`
    /// is nothing but a value that cannot be read, and says nothing about the others.
    pub fn contact_values(&self) -> Vec<Result<NameAddr, FieldError>> {
        match self.contacts() {
            Ok(Contacts::List(list)) => list,
            Ok(Contacts::Star) | Err(_) => {
                let read = |(row, value): (&Header, &[u8])| match value {
                    b"*" => Err(row.error(Problem::StarAmongOthers)),
                    value => around_uri(row, value),
                };
                self.values(&HeaderName::Contact).map(read).collect()
            }
        }
    }

    /// What a response lists in its Contact, Service-Route or Path, one by one, each read as far as anything can be made
    /// out, its URI included: for showing it, and for finding what is known in it.
    pub fn listed(&self, name: &HeaderName) -> Vec<Result<Reading, FieldError>> {
        let read = |(row, value): (&Header, &[u8])| contact(row, value, Scope::Everything);
        self.values(name).map(read).collect()
    }

    /// Expires, in seconds: `None` when absent, 3600 when malformed, held at `u32::MAX` when larger
    /// (RFC 3261 §10.2).
    pub fn expires(&self) -> Option<u32> {
        let row = self.get(&HeaderName::Expires)?;
        Some(scan::seconds(row.value()).unwrap_or(DEFAULT_EXPIRES))
    }

    /// Min-Expires, in seconds (RFC 3261 §20.23); `None` when absent or malformed, held at `u32::MAX`.
    pub fn min_expires(&self) -> Option<u32> {
        self.seconds(&HeaderName::MinExpires)
    }

    /// Flow-Timer, in seconds (RFC 5626 §4.4); `None` when absent or malformed, held at `u32::MAX`.
    pub fn flow_timer(&self) -> Option<u32> {
        self.seconds(&HeaderName::FlowTimer)
    }

    fn seconds(&self, name: &HeaderName) -> Option<u32> {
        scan::seconds(self.get(name)?.value())
    }

    /// Retry-After (RFC 3261 §20.33); `None` when absent or without a number.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        RetryAfter::parse(self.get(&HeaderName::RetryAfter)?.value())
    }

    /// Date (RFC 3261 §20.17); `None` when absent.
    ///
    /// # Errors
    /// Any form but RFC 1123 with GMT.
    pub fn date(&self) -> Result<Option<Date>, FieldError> {
        let Some(row) = self.get(&HeaderName::Date) else { return Ok(None) };
        Date::parse(row.text()?).map(Some).ok_or_else(|| row.error(Problem::Date))
    }

    /// The tokens of Supported, Require, Proxy-Require, Unsupported, Allow and their like, in order, spelled
    /// as they came. Elements that are no tokens are left out.
    pub fn option_tags(&self, name: &HeaderName) -> Vec<String> {
        self.values(name)
            .filter(|(_, value)| scan::is_token(value))
            .filter_map(|(_, value)| scan::text(value).ok().map(str::to_owned))
            .collect()
    }

    /// The addresses of Route, Record-Route, Path, Service-Route and their like, in order. Display names and parameters
    /// that stray from the grammar don't keep one from being read; its URI has to be sound.
    ///
    /// # Errors
    /// The first value that cannot be read.
    pub fn name_addrs(&self, name: &HeaderName) -> Result<Vec<NameAddr>, FieldError> {
        self.values(name).map(|(row, value)| around_uri(row, value)).collect()
    }

    /// The challenges of WWW-Authenticate or Proxy-Authenticate, topmost first. Challenges wrongly joined in
    /// one row are separated (RFC 3261 §20.44 wants a row each); a broken one is left out.
    pub fn challenges(&self, name: &HeaderName) -> Vec<Challenge> {
        self.all(name).flat_map(|row| Challenge::parse_all(row.value())).collect()
    }

    /// The credentials of Authorization or Proxy-Authorization, in order; broken ones are left out.
    pub fn credentials(&self, name: &HeaderName) -> Vec<Credentials> {
        self.all(name).flat_map(|row| Credentials::parse_all(row.value())).collect()
    }

    /// Authentication-Info or Proxy-Authentication-Info (RFC 7615); `None` when absent or unreadable.
    pub fn authentication_info(&self, name: &HeaderName) -> Option<AuthenticationInfo> {
        AuthenticationInfo::parse(self.get(name)?.value())
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(rows: I) -> Headers {
        Headers(rows.into_iter().collect())
    }
}

impl Extend<Header> for Headers {
    fn extend<I: IntoIterator<Item = Header>>(&mut self, rows: I) {
        self.0.extend(rows);
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An address as it could be read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What was made out of it. Where something strays, the URI is spelled as it came all the same.
    pub address: NameAddr,
    /// Where it strays from the grammar; `None`: nowhere.
    pub blemish: Option<Problem>,
}

impl Reading {
    fn of(value: &[u8], scope: Scope) -> Result<Reading, Problem> {
        NameAddr::parse(value).map(|address| Reading { address, blemish: None }).or_else(|problem| {
            let address = lenient::name_addr(value, scope).map_err(|_| problem)?;
            // There was a scheme, behind something that does not belong there.
            let had_scheme = problem == Problem::Uri(UriError::Scheme);
            let blemish = if had_scheme { Problem::Uri(UriError::Character) } else { problem };
            Ok(Reading { address, blemish: Some(blemish) })
        })
    }
}

fn contact(row: &Header, value: &[u8], scope: Scope) -> Result<Reading, FieldError> {
    let is_star =
        |value: &[u8]| value.strip_prefix(b"*").is_some_and(|rest| scan::trim(rest).starts_with(b";"));
    Reading::of(value, scope)
        .map_err(|problem| row.error(if is_star(value) { Problem::StarParameters } else { problem }))
}

/// An address whose URI has to be sound. Mostly all of it is, and nothing is moved about.
#[inline]
fn around_uri(row: &Header, value: &[u8]) -> Result<NameAddr, FieldError> {
    match NameAddr::parse(value) {
        Ok(address) => Ok(address),
        Err(_) => contact(row, value, Scope::AroundUri).map(|reading| reading.address),
    }
}

/// Whether the header is a list that a client looks into.
fn is_list(name: &HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Contact
            | HeaderName::Path
            | HeaderName::ProxyAuthenticate
            | HeaderName::Require
            | HeaderName::ServiceRoute
            | HeaderName::Supported
            | HeaderName::Unsupported
            | HeaderName::Via
            | HeaderName::WwwAuthenticate
    )
}

/// Whether a list has a comma at an end, or two with nothing between them.
fn has_surplus_comma(row: &[u8]) -> bool {
    let mut rest = row;
    let mut may_have = matches!(row, [b',', ..] | [.., b',']);
    while !may_have && let Some(at) = scan::find_mark(rest, [b',']) {
        rest = rest.get(at + 1..).unwrap_or_default();
        may_have = scan::trim(rest).starts_with(b",");
    }
    // In quotes it is no comma of the list.
    may_have && List::new(row).any(<[u8]>::is_empty)
}

/// Sequence number and method of a request (RFC 3261 §20.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method; that it equals the request's is for the caller to check.
    pub method: Method,
}

impl CSeq {
    /// Reads a CSeq value.
    ///
    /// # Errors
    /// [`Problem::Number`] and [`Problem::Method`].
    pub fn parse(value: &[u8]) -> Result<CSeq, Problem> {
        let mut cursor = Cursor::of(value)?;
        let digits = cursor.run(|octet| octet.is_ascii_digit());
        let number = scan::number(digits.as_bytes()).ok_or(Problem::Number)?;
        let number = u32::try_from(number).ok().filter(|&n| n < 1 << 31).ok_or(Problem::Number)?;
        if !cursor.peek().is_some_and(scan::is_space) {
            return Err(Problem::Number);
        }
        cursor.skip_space();
        let method = Method::parse(cursor.octets()).map_err(|_| Problem::Method)?;
        Ok(CSeq { number, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Retry-After: the time to wait before the next request (RFC 3261 §20.33).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds to wait, held at `u32::MAX` when larger.
    pub seconds: u32,
    /// The comment in parentheses, quoted-pairs undone.
    pub comment: Option<String>,
    /// The time for which the peer will be reachable then, in seconds.
    pub duration: Option<u32>,
}

impl RetryAfter {
    /// Reads a Retry-After value. Only the seconds have to be right; comment and parameters are taken as far
    /// as they can be read. `None` without digits at the start.
    pub fn parse(value: &[u8]) -> Option<RetryAfter> {
        let text = String::from_utf8_lossy(value);
        let mut cursor = Cursor::new(text.trim_matches([' ', '\t']));
        let seconds = scan::seconds(cursor.run(|octet| octet.is_ascii_digit()).as_bytes())?;
        if cursor.peek().is_some_and(|octet| !scan::is_space(octet) && !matches!(octet, b'(' | b';')) {
            return None;
        }
        cursor.skip_space();
        let comment = comment(&mut cursor);
        let params = Params::parse(&mut cursor).unwrap_or_default();
        let duration = params.token("duration").and_then(|text| scan::seconds(text.as_bytes()));
        Some(RetryAfter { seconds, comment, duration })
    }
}

/// A `comment` of RFC 3261 §25.1: parentheses may nest.
fn comment(cursor: &mut Cursor<'_>) -> Option<String> {
    if !cursor.eat(b'(') {
        return None;
    }
    let mut depth = 1u32;
    let mut inside = String::new();
    loop {
        match cursor.char()? {
            '(' => {
                depth += 1;
                inside.push('(');
            }
            ')' if depth == 1 => return Some(inside),
            ')' => {
                depth -= 1;
                inside.push(')');
            }
            '\\' => inside.push(cursor.char()?),
            other => inside.push(other),
        }
    }
}
