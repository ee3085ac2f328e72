//! The demonstration as it is shown: ladders between a device and the registrar, and between a caller, the proxy and
//! the devices, 80 columns wide.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{CommandName, Object};
use super::{Reporter, human, ladder};
use crate::cli::diagnose::diagnose;
use crate::cli::exit::{Exit, Fault};
use crate::cli::text::{escape, json_line, octets, tenths};
use crate::proto::client::outcome::Report;
use crate::proto::registrar::service::Listen;
use crate::proto::{Direction, Transport};
use crate::sip::{HeaderName, Message, Method};

/// One that sends and receives, as a vertical line of a ladder.
struct Lifeline {
    name: &'static str,
    /// The column where the name begins.
    begin: usize,
    /// The column of the line.
    column: usize,
}

const fn lifeline(name: &'static str, begin: usize, column: usize) -> Lifeline {
    Lifeline { name, begin, column }
}

/// The ladder of a registration.
const REGISTRATION: [Lifeline; 2] = [lifeline("device", 3, 5), lifeline("registrar", 63, 66)];

/// The ladder of a call: the caller, the proxy, and the devices in the order of [`Party`].
const CALL: [Lifeline; 4] = [
    lifeline("niels.bohr", 1, 5),
    lifeline("munich.de", 21, 25),
    lifeline("200.201.202.203", 46, 53),
    lifeline("200.201.202.204", 65, 72),
];

/// The ladder of a call that reaches nobody.
const NO_CALL: [Lifeline; 2] = [lifeline("niels.bohr", 1, 5), lifeline("munich.de", 62, 66)];

/// Who takes part in a call, besides the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Niels Bohr, who calls.
    Caller,
    /// The device on the desk, the first one.
    Desk,
    /// The second device.
    Home,
}

/// What is played in a step, and therefore which ladder shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A registration.
    Registration,
    /// A call.
    Call,
    /// A call that reaches nobody.
    NoCall,
}

impl Act {
    fn lifelines(self) -> &'static [Lifeline] {
        match self {
            Act::Registration => &REGISTRATION,
            Act::Call => &CALL,
            Act::NoCall => &NO_CALL,
        }
    }
}

/// What came of `sipreg demo`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "sipreg demo --json")]
pub struct Demonstration {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    schema: u8,
    /// `demo`.
    command: CommandName,
    /// Whether every step went as it should. The exit status is 0 exactly then.
    ok: bool,
    /// The address of record.
    aor: Option<String>,
    /// Where the registrar listened.
    registrar: Option<String>,
    /// Each step that registers, lists or unregisters, as its own command reports it.
    steps: Vec<Object>,
    /// Each call. They come between the steps and after them.
    calls: Vec<Call>,
    /// Milliseconds from start to end, with at most one decimal.
    elapsed_ms: f64,
    /// Why it failed. Null if it did not.
    error: Option<Fault>,
}

/// A call to the address of record.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Call")]
pub struct Call {
    #[serde(flatten)]
    called: Called,
    /// Milliseconds from the first message to the last, with at most one decimal.
    elapsed_ms: f64,
}

/// What came of a call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Called {
    /// Who called; the URI.
    pub from: String,
    /// The status that the caller got in the end.
    pub status: u16,
    /// The contacts that were called, in their order.
    pub targets: Vec<String>,
    /// The contact that answered. Null if none did.
    pub answered_by: Option<String>,
    /// The contacts that rang until another one answered.
    pub cancelled: Vec<String>,
}

impl Demonstration {
    /// A demonstration of which nothing has been played yet.
    #[must_use]
    pub fn at(registrar: SocketAddr) -> Demonstration {
        Demonstration {
            schema: 1,
            command: CommandName::Demo,
            ok: false,
            aor: None,
            registrar: Some(registrar.to_string()),
            steps: Vec::new(),
            calls: Vec::new(),
            elapsed_ms: 0.0,
            error: None,
        }
    }
}

/// The JSON Schema of [`Demonstration`].
#[must_use]
pub fn schema() -> String {
    super::json::schema_of::<Demonstration>()
}

impl Reporter<'_, '_> {
    fn is_silent(&self) -> bool {
        self.settings.quiet || self.settings.json
    }

    /// Introduces the user and the registrar. Nobody has to be there to see it: the exit status tells the
    /// end.
    pub fn scene(&mut self, registrar: Listen, calls: SocketAddr) {
        let Listen { transport, address } = registrar;
        let calls = match transport {
            Transport::Udp => String::new(),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                format!("Calls come to it by udp {calls}.\n")
            }
        };
        let text = format!(
            "Werner Heisenberg can be called at {}.\n\
             The registrar of munich.de listens on {transport} {address}.\n{calls}\
             His devices have the textbook's addresses; a Path leads calls to sockets here.\n",
            self.out.strong("sip:werner.heisenberg@munich.de"),
        );
        self.show(&text);
    }

    /// A step begins; `typed` is the command that does the same, if there is one.
    pub fn step(&mut self, number: usize, title: &str, typed: Option<&str>, act: Act) {
        let typed = typed.map(|typed| format!("   {}\n", self.out.faint(&format!("$ {typed}"))));
        let text = format!(
            "\n{} {}\n{}\n{}",
            self.out.strong(&format!("{number}.")),
            self.out.strong(title),
            typed.unwrap_or_default(),
            if self.settings.verbosity > 1 { String::new() } else { names(act.lifelines()) },
        );
        self.show(&text);
    }

    /// A message passed between device and registrar.
    pub(super) fn arrow(&mut self, direction: Direction, bytes: &[u8]) {
        self.rung(Act::Registration, (0, 1), direction, bytes);
    }

    /// A message passed between one of a call and the proxy, as that one sees it.
    pub fn passage(&mut self, act: Act, party: Party, direction: Direction, bytes: &[u8]) {
        let lifeline = match party {
            Party::Caller => 0,
            Party::Desk => 2,
            Party::Home => 3,
        };
        self.rung(act, (lifeline, 1), direction, bytes);
    }

    /// Shows a message as an arrow that begins or ends at the first of two lifelines.
    fn rung(&mut self, act: Act, ends: (usize, usize), direction: Direction, bytes: &[u8]) {
        if self.is_silent() {
            return;
        }
        let label = label(act, bytes);
        let paint = |shown: &str| match (direction, bytes.get(8)) {
            _ if !bytes.starts_with(b"SIP/") => self.out.strong(shown),
            (_, Some(b'2')) => self.out.good(shown),
            (_, _) => self.out.odd(shown),
        };
        let (from, to) = match direction {
            Direction::Sent | Direction::SentAgain => ends,
            Direction::Received => (ends.1, ends.0),
        };
        let mut text = drawn(act.lifelines(), from, to, &label, paint);
        if self.settings.verbosity > 1 {
            text += &ladder::whole(bytes, self.settings.show_secrets);
            text.push('\n');
        }
        self.show(&text);
    }

    /// A step is over.
    ///
    /// # Errors
    /// It went wrong, and nothing follows: it failed, or there is a difference to what it should have led to.
    pub fn acted(
        &mut self,
        played: &mut Demonstration,
        command: CommandName,
        report: &Report,
        difference: Option<String>,
    ) -> Result<(), Fault> {
        let aor = self.settings.aor.clone();
        played.elapsed_ms += report.elapsed.as_secs_f64() * 1000.0;
        played.steps.push(Object::of(Some(command), report, aor.clone()));
        let success = report.result.as_ref();
        let success = success.map_err(|failure| Fault { hint: None, ..diagnose(failure, report) })?;
        if let Some(message) = difference {
            return Err(Fault::new(Exit::Misbehaved, message, None));
        }
        let text = self.success_text(report, success, &aor.unwrap_or_default());
        self.show(&format!("\n{}", indented(&text)));
        Ok(())
    }

    /// A call is over, and went as it should.
    pub fn called(&mut self, played: &mut Demonstration, called: Called, elapsed: Duration, outcome: &str) {
        played.elapsed_ms += elapsed.as_secs_f64() * 1000.0;
        played.calls.push(Call { called, elapsed_ms: tenths(elapsed) });
        self.show(&format!("\n   {outcome}\n"));
    }

    /// The demonstration is over.
    pub fn played(&mut self, played: Demonstration, error: Option<Fault>) -> Exit {
        let exit = error.as_ref().map_or(Exit::Done, |fault| fault.kind);
        let mut written = Ok(());
        if self.settings.json {
            let (aor, ok) = (self.settings.aor.clone(), error.is_none());
            let elapsed_ms = tenths(Duration::from_secs_f64(played.elapsed_ms / 1000.0));
            let object = Demonstration { aor, ok, elapsed_ms, error: error.clone(), ..played };
            written = self.stdout(json_line(&object).as_bytes());
        }
        match error {
            Some(Fault { message, .. }) => {
                let text = human::error(&format!("the demonstration went wrong: {message}"), self.err);
                self.stderr(&text);
            }
            None => {
                let end = "All went as it should. Your own registrar: 'sipreg serve --no-auth'.";
                self.show(&format!("\n{}\n", self.out.good(end)));
            }
        }
        self.exit_after(written, exit)
    }

    fn show(&mut self, text: &str) {
        if !self.is_silent() {
            // A reader that has gone misses the rest; the exit status stays true.
            let _ = self.stdout(text.as_bytes());
        }
    }
}

/// The names above lifelines.
fn names(lifelines: &[Lifeline]) -> String {
    let mut line = String::new();
    for Lifeline { name, begin, .. } in lifelines {
        line += &" ".repeat(begin.saturating_sub(line.len()));
        line += name;
    }
    line + "\n"
}

/// A row of a ladder: an arrow from one lifeline to another, with a label at its tail. Lifelines on its way stay visible
/// where it is bare.
fn drawn(
    lifelines: &[Lifeline],
    from: usize,
    to: usize,
    label: &str,
    paint: impl Fn(&str) -> String,
) -> String {
    let column = |of: usize| lifelines.get(of).map_or(0, |lifeline| lifeline.column);
    let (from, to) = (column(from), column(to));
    let (left, right) = (from.min(to), from.max(to));
    // Beside the label there are a space at each end, one before the shaft, a dash of it and the head.
    let shown: String = label.chars().take((right - left).saturating_sub(6)).collect();
    let length = shown.chars().count();
    let is_rightward = from < to;
    let begin = if is_rightward { left + 2 } else { right - 1 - length };
    let (head, shaft) = match is_rightward {
        true => (right - 2, begin + length + 1..right - 2),
        false => (left + 2, left + 3..begin - 1),
    };
    let glyph = |at: usize| match at {
        _ if lifelines.iter().any(|lifeline| lifeline.column == at) => '|',
        _ if at == head => {
            if is_rightward {
                '>'
            } else {
                '<'
            }
        }
        _ if shaft.contains(&at) => '-',
        _ => ' ',
    };
    let before: String = (0..begin).map(glyph).collect();
    let last = lifelines.last().map_or(0, |lifeline| lifeline.column);
    let after: String = (begin + length..=last).map(glyph).collect();
    format!("{before}{}{after}\n", paint(&shown))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

/// A message in a few words, as many as fit.
fn label(act: Act, bytes: &[u8]) -> String {
    let octets_shown = || octets(bytes.split(|&octet| octet == b'\r').next().unwrap_or_default());
    let Ok(message) = Message::parse_datagram(bytes::Bytes::copy_from_slice(bytes)) else {
        return octets_shown();
    };
    match message {
        Message::Request(request) if act == Act::Call => request.method.to_string(),
        Message::Request(request) if act == Act::NoCall => {
            format!("{} {}", request.method, escape(&request.uri))
        }
        Message::Request(request) => {
            let contacts = request.headers.contact_values().len();
            let what = match (contacts, request.headers.get(&HeaderName::Contact).map(|row| row.value())) {
                (_, Some(b"*")) => ", Contact: *",
                (0, _) => ", no Contact",
                _ if request.headers.expires() == Some(0) => ", Expires: 0",
                _ => "",
            };
            let digest =
                if request.headers.get(&HeaderName::Authorization).is_some() { ", with digest" } else { "" };
            format!("{} {}{what}{digest}", request.method, escape(&request.uri))
        }
        Message::Response(response) if act != Act::Registration => {
            let method = response.headers.cseq().map(|cseq| cseq.method).ok();
            let method = method.filter(|method| *method != Method::Invite);
            let method = method.map(|method| format!(" ({})", escape(method.as_str()))).unwrap_or_default();
            format!("{} {}{method}", response.status, escape(&response.reason))
        }
        Message::Response(response) => {
            let bindings = response.headers.contact_values().len();
            let more = match (response.status, bindings) {
                (401, _) => {
                    let challenges = response.headers.challenges(&HeaderName::WwwAuthenticate);
                    let algorithm = challenges.first().and_then(|first| first.algorithm()).unwrap_or("MD5");
                    format!(", digest {}", escape(algorithm))
                }
                (200, 0) => ", no bindings".to_owned(),
                (200, 1) => ", 1 binding".to_owned(),
                (200, more) => format!(", {more} bindings"),
                _ => String::new(),
            };
            format!("{} {}{more}", response.status, escape(&response.reason))
        }
    }
}
