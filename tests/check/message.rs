//! A SIP message as a scripted server needs it: rows that can be read, set and written again.

/// A request or a response; the body is whatever comes after the empty line.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub start: String,
    pub rows: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// The first message of these octets and how long it is, or nothing while its end has not come.
    pub fn read(octets: &[u8]) -> Option<(Message, usize)> {
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&octets[..end]).ok()?;
        let mut lines = head.trim_start_matches("\r\n").split("\r\n");
        let start = lines.next()?.to_owned();
        let rows = lines.filter_map(|line| line.split_once(':'));
        let rows = rows.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        let mut message = Message { start, rows, body: Vec::new() };
        let length = message.get("Content-Length").map_or(0, |length| length.parse().unwrap());
        let whole = end + 4 + length;
        message.body = octets.get(end + 4..whole)?.to_vec();
        Some((message, whole))
    }

    pub fn write(&self) -> Vec<u8> {
        let rows = self.rows.iter().filter(|(name, _)| name != "Content-Length");
        let rows: String = rows.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{}\r\n{rows}Content-Length: {}\r\n\r\n", self.start, self.body.len());
        [head.as_bytes(), &self.body].concat()
    }

    /// The first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.rows.iter().find(|(row, _)| row.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All of them, a row each.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.rows.iter().filter(move |(row, _)| row.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.rows.push((name.to_owned(), value.into()));
    }

    pub fn remove(&mut self, name: &str) {
        self.rows.retain(|(row, _)| row != name);
    }

    /// Changes the first value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.rows.iter_mut().find(|(row, _)| row == name) {
            Some(row) => row.1 = value.into(),
            None => self.add(name, value),
        }
    }

    pub fn is(&self, method: &str) -> bool {
        self.start.starts_with(&format!("{method} "))
    }

    pub fn is_response(&self) -> bool {
        self.start.starts_with("SIP/2.0 ")
    }

    /// The Request-URI, or the status.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// Whether it proves who sends it.
    pub fn is_proven(&self) -> bool {
        self.get("Authorization").or(self.get("Proxy-Authorization")).is_some()
    }

    /// The branch of its topmost Via.
    pub fn branch(&self) -> &str {
        parameter(self.get("Via").unwrap_or(""), "branch").unwrap_or("")
    }

    /// The response to it, with the rows that RFC 3261 §8.2.6.2 copies.
    pub fn response(&self, status: &str) -> Message {
        let mut response = Message { start: format!("SIP/2.0 {status}"), ..Message::default() };
        for (name, value) in &self.rows {
            match name.as_str() {
                "Via" | "From" | "Call-ID" | "CSeq" => response.add(name, value),
                "To" if value.contains(";tag=") => response.add(name, value),
                "To" => response.add(name, format!("{value};tag=peer")),
                _ => {}
            }
        }
        response
    }
}

/// A parameter of a header's value.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let wanted = value.split(';').skip(1).find_map(|one| one.trim().strip_prefix(&format!("{name}=")));
    Some(wanted?.trim_end_matches('>'))
}

/// The URI of a Contact: what stands between the angle brackets.
pub fn uri(contact: &str) -> &str {
    let inner = contact.split_once('<').map(|(_, rest)| rest.split('>').next().unwrap_or(""));
    inner.unwrap_or_else(|| contact.split(';').next().unwrap_or(contact))
}
