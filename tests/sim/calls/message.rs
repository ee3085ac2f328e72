//! Messages as the user agents of this world read and write them: nothing of the library is in between.

/// Where the proxy listens, over both transports.
pub const PROXY: &str = "192.0.2.1:5060";

/// A message: its first line, and its rows.
#[derive(Clone, Debug)]
pub struct Msg {
    pub start: String,
    rows: Vec<(String, String)>,
}

impl Msg {
    pub fn parse(octets: &[u8]) -> Msg {
        let text = std::str::from_utf8(octets).expect("text");
        let head = text.strip_suffix("\r\n\r\n").unwrap_or_else(|| panic!("no end: {text}"));
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let row = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let rows = lines.map(|line| row(line).unwrap_or_else(|| panic!("no row: {line}"))).collect();
        Msg { start, rows }
    }

    /// `None`: it is a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn method(&self) -> &str {
        self.row("CSeq").split(' ').nth(1).unwrap_or_default()
    }

    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub fn rows<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.rows.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The first row of that name, or nothing.
    pub fn row(&self, name: &str) -> &str {
        self.rows.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn call_id(&self) -> &str {
        self.row("Call-ID")
    }

    /// Of the topmost Via.
    pub fn branch(&self) -> &str {
        param(self.row("Via"), "branch")
    }

    /// Of From or To; empty without.
    pub fn tag(&self, name: &str) -> &str {
        param(self.row(name), "tag")
    }

    /// What a response says, in a word: `180 d1`.
    pub fn said(&self) -> String {
        let status = self.status().unwrap_or_default();
        let tag = self.tag("To");
        // The tags of devices begin with `d`, then not hexadecimal: what else there is, the proxy has made up.
        let tag = if tag.starts_with("dev") { tag } else { "-" };
        format!("{status} {tag}")
    }

    /// The response of whoever got this request.
    pub fn answer(&self, status: u16, tag: &str, rest: &str) -> String {
        let mut text = format!("SIP/2.0 {status} Said\r\n");
        for (name, value) in &self.rows {
            match name.as_str() {
                "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => {
                    text += &format!("{name}: {value}\r\n")
                }
                "To" if tag.is_empty() || value.contains(";tag=") => text += &format!("To: {value}\r\n"),
                "To" => text += &format!("To: {value};tag={tag}\r\n"),
                _ => {}
            }
        }
        text + rest + "Content-Length: 0\r\n\r\n"
    }
}

fn param<'a>(value: &'a str, name: &str) -> &'a str {
    let found = value.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_default()
}

/// The URI between the brackets of a value.
pub fn uri(value: &str) -> &str {
    value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(uri, _)| uri)
}

/// Host and port of a URI.
pub fn host(uri: &str) -> &str {
    let rest = uri.split_once('@').map_or(uri.strip_prefix("sip:").unwrap_or(uri), |(_, rest)| rest);
    rest.split(';').next().unwrap_or_default()
}

/// Cuts a stream into messages; none of this world has a body.
pub fn cut(stream: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some(end) = stream.windows(4).position(|four| four == b"\r\n\r\n") {
        let rest = stream.split_off(end + 4);
        found.push(std::mem::replace(stream, rest));
    }
    found
}
