//! Parameters: `;name=value` behind header values and inside URIs, `name=value` lists in authentication
//! headers (RFC 3261 §7.3.1 and §19.1.1).

use super::error::Problem;
use super::scan::{self, Cursor};
use std::borrow::Cow;
use std::fmt;

/// The value of a parameter, knowing whether it travels in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamValue {
    /// Written without quotes.
    Token(String),
    /// Written in quotes; this is the text inside, with quoted-pairs undone.
    Quoted(String),
}

impl ParamValue {
    /// The value without quotes.
    pub fn as_str(&self) -> &str {
        match self {
            ParamValue::Token(text) | ParamValue::Quoted(text) => text,
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamValue::Token(text) => f.write_str(text),
            ParamValue::Quoted(text) => {
                let mut quoted = String::with_capacity(text.len() + 2);
                scan::push_quoted(&mut quoted, text);
                f.write_str(&quoted)
            }
        }
    }
}

/// A parameter: a name and perhaps a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The name, spelled as it came.
    pub name: Cow<'static, str>,
    /// The value; `None` for a bare name such as `lr` or `rport`.
    pub value: Option<ParamValue>,
}

/// Parameters in the order they came. Names are found in any letter case. A name should occur once; when a
/// peer repeats it all are kept and the first one counts.
///
/// `Display` writes each as `;name=value`, quoted if it came or was made quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

impl Params {
    /// An empty list of parameters.
    pub fn new() -> Params {
        Params::default()
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `name` without quotes: `None` when absent, `Some(None)` when it has no value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.find(name).map(|param| param.value.as_ref().map(ParamValue::as_str))
    }

    /// Whether `name` is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of `name` if it came without quotes: what a grammar of digits or tokens asks for.
    pub fn token(&self, name: &str) -> Option<&str> {
        match &self.find(name)?.value {
            Some(ParamValue::Token(token)) => Some(token),
            Some(ParamValue::Quoted(_)) | None => None,
        }
    }

    /// The name and the unquoted value of each parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|param| (&*param.name, param.value.as_ref().map(ParamValue::as_str)))
    }

    /// The parameters with their quoting.
    pub fn rows(&self) -> &[Param] {
        &self.0
    }

    /// Sets `name` to an unquoted value or, with `None`, to no value; in its place if it is there, else at
    /// the end.
    ///
    /// The value is written as it is: in a header it has to be a token or host ([`Params::set_quoted`] takes
    /// any text), in a URI it has to be escaped.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.put(name, value.map(|text| ParamValue::Token(text.to_owned())));
    }

    /// Sets `name` to a value that is written in quotes.
    pub fn set_quoted(&mut self, name: &str, value: &str) {
        self.put(name, Some(ParamValue::Quoted(value.to_owned())));
    }

    /// Takes every `name` out; false when there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|param| !param.name.eq_ignore_ascii_case(name));
        before != self.0.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn push(&mut self, param: Param) {
        if self.0.capacity() == 0 {
            self.0 = Vec::with_capacity(4);
        }
        self.0.push(param);
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Param> {
        self.0.last_mut()
    }

    fn put(&mut self, name: &str, value: Option<ParamValue>) {
        match self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: Param::name(name), value }),
        }
    }

    /// Reads header parameters, which must go on to the end of the value: `*( SEMI generic-param )`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Params, Problem> {
        let params = Params::prefix(cursor)?;
        if cursor.is_at_end() { Ok(params) } else { Err(Problem::Parameter) }
    }

    /// Reads header parameters as far as they go, white space behind them included.
    pub(super) fn prefix(cursor: &mut Cursor<'_>) -> Result<Params, Problem> {
        let mut params = Params::new();
        while cursor.separator(b';') {
            params.push(Param::parse(cursor)?);
        }
        Ok(params)
    }
}

impl Param {
    /// The name as a parameter holds it; the usual ones cost no memory of their own.
    pub(super) fn name(name: &str) -> Cow<'static, str> {
        match name.as_bytes() {
            b"+sip.instance" => Cow::Borrowed("+sip.instance"),
            b"branch" => Cow::Borrowed("branch"),
            b"expires" => Cow::Borrowed("expires"),
            b"lr" => Cow::Borrowed("lr"),
            b"ob" => Cow::Borrowed("ob"),
            b"q" => Cow::Borrowed("q"),
            b"received" => Cow::Borrowed("received"),
            b"reg-id" => Cow::Borrowed("reg-id"),
            b"rport" => Cow::Borrowed("rport"),
            b"tag" => Cow::Borrowed("tag"),
            b"transport" => Cow::Borrowed("transport"),
            _ => Cow::Owned(name.to_owned()),
        }
    }

    /// Reads `name [EQUAL value]`, the value a token, host or quoted string. An empty one counts as none: one
    /// malformed parameter, a lifetime say (RFC 3261 §10.2.1.1), must not cost the whole address.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Param, Problem> {
        let name = cursor.token();
        if name.is_empty() {
            return Err(Problem::Parameter);
        }
        let name = Param::name(name);
        let value = if cursor.separator(b'=') { ParamValue::parse(cursor)? } else { None };
        Ok(Param { name, value })
    }
}

impl ParamValue {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Option<ParamValue>, Problem> {
        if cursor.peek() == Some(b'"') {
            return cursor.quoted().map(|text| Some(ParamValue::Quoted(text.into_owned())));
        }
        let value = cursor.run(|octet| scan::is(octet, scan::VALUE));
        Ok((!value.is_empty()).then(|| ParamValue::Token(value.to_owned())))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for param in &self.0 {
            f.write_str(";")?;
            f.write_str(&param.name)?;
            if let Some(value) = &param.value {
                f.write_str("=")?;
                value.fmt(f)?;
            }
        }
        Ok(())
    }
}
