//! The demonstration as it is shown: a ladder between a device and the registrar, 80 columns wide.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{CommandName, Object};
use super::{Reporter, human, ladder};
use crate::cli::diagnose::diagnose;
use crate::cli::exit::{Exit, Fault};
use crate::cli::text::{escape, json_line, octets, tenths};
use crate::proto::Direction;
use crate::proto::client::outcome::Report;
use crate::sip::{HeaderName, Message};

/// Columns between the two lifelines.
const SPAN: usize = 62;

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
    /// Each step, as its own command reports it.
    steps: Vec<Object>,
    /// Milliseconds from start to end, with at most one decimal.
    elapsed_ms: f64,
    /// Why it failed. Null if it did not.
    error: Option<Fault>,
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
    pub fn scene(&mut self, registrar: SocketAddr) {
        let text = format!(
            "Werner Heisenberg can be called at {}.\n\
             The registrar of munich.de listens on udp {registrar}.\n",
            self.out.strong("sip:werner.heisenberg@munich.de"),
        );
        self.show(&text);
    }

    /// A step begins.
    pub fn step(&mut self, number: usize, title: &str, typed: &str) {
        let text = format!(
            "\n{} {}\n   {}\n\n{}",
            self.out.strong(&format!("{number}.")),
            self.out.strong(title),
            self.out.faint(&format!("$ {typed}")),
            if self.settings.verbosity > 1 { String::new() } else { lifelines() },
        );
        self.show(&text);
    }

    /// A message passed between device and registrar.
    pub(super) fn arrow(&mut self, direction: Direction, bytes: &[u8]) {
        if self.is_silent() {
            return;
        }
        let label = label(bytes);
        let shown: String = label.chars().take(SPAN - 8).collect();
        let painted = match (direction, bytes.get(8)) {
            (Direction::Sent | Direction::SentAgain, _) => self.out.strong(&shown),
            (Direction::Received, Some(b'2')) => self.out.good(&shown),
            (Direction::Received, _) => self.out.odd(&shown),
        };
        let dashes = "-".repeat(SPAN.saturating_sub(6 + shown.chars().count()));
        let mut text = match direction {
            Direction::Sent | Direction::SentAgain => format!("     | {painted} {dashes}> |\n"),
            Direction::Received => format!("     | <{dashes} {painted} |\n"),
        };
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

fn lifelines() -> String {
    let gap = " ".repeat(SPAN - 8);
    format!("   device{gap}registrar\n")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

/// A message in a few words.
fn label(bytes: &[u8]) -> String {
    let octets_shown = || octets(bytes.split(|&octet| octet == b'\r').next().unwrap_or_default());
    let Ok(message) = Message::parse_datagram(bytes::Bytes::copy_from_slice(bytes)) else {
        return octets_shown();
    };
    match message {
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
