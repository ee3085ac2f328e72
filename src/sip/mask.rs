//! Messages with the proofs of a password taken out: `response` and `rspauth` of Digest, which allow to guess
//! it at leisure, and credentials of other schemes altogether. What is masked need not be a message that anybody can
//! read: where it is doubtful whether something is a secret, it is taken for one.

/// The message with `***` for each such value, in whatever row it stands: any letter case, any line ends, folded, spaces
/// around colon and equals sign, also in a body that quotes a message.
#[must_use]
pub fn mask_secrets(message: &[u8]) -> Vec<u8> {
    mask(message, Cover::Short)
}

/// The same with an asterisk for each octet of such a value, so that the message stays as long as it was.
#[must_use]
pub fn cover_secrets(message: &[u8]) -> Vec<u8> {
    mask(message, Cover::Full)
}

/// What stands in the place of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// Three asterisks.
    Short,
    /// An asterisk for each of its octets; spaces and line ends stay.
    Full,
}

fn mask(message: &[u8], cover: Cover) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut rest = message;
    while !rest.is_empty() {
        let (end, row) = match secret_row(rest) {
            Some((row, name)) => (row_end(rest, name), Some((row, name))),
            None => (line_end(rest), None),
        };
        let (line, after) = rest.split_at(end);
        match row {
            Some((row, name)) => {
                let (name, value) = line.split_at(name);
                out.extend_from_slice(name);
                mask_value(value, row, cover, &mut out);
            }
            None => out.extend_from_slice(line),
        }
        rest = after;
    }
    out
}

/// What stands in a row that has to be masked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    /// A scheme, then its credentials.
    Credentials,
    /// Parameters without a scheme before them.
    Info,
}

/// The names of the rows that have to be masked.
const SECRET_ROWS: [(&[u8], Row); 4] = [
    (b"Authorization", Row::Credentials),
    (b"Proxy-Authorization", Row::Credentials),
    (b"Authentication-Info", Row::Info),
    (b"Proxy-Authentication-Info", Row::Info),
];

/// The row that begins with this line, if it has to be masked, and where its value begins. A line that continues another
/// one is looked at as well: in a message that is quoted each may be indented.
fn secret_row(text: &[u8]) -> Option<(Row, usize)> {
    let (name, value) = field(text)?;
    let (_, row) = SECRET_ROWS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    Some((*row, value))
}

/// The name of the header field that begins here, if one does, and where its value begins.
fn field(text: &[u8]) -> Option<(&[u8], usize)> {
    let begin = text.iter().position(|octet| !matches!(octet, b' ' | b'\t'))?;
    let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(octet);
    let end = begin + text[begin..].iter().position(|octet| !is_token(octet))?;
    let colon = end + text[end..].iter().position(|octet| !is_space(*octet))?;
    (end > begin && text[colon] == b':').then_some((&text[begin..end], colon + 1))
}

/// Where the line ends, its line end included. A CR alone is one as well, as some take it for that; several before an LF
/// are one together with it.
fn line_end(text: &[u8]) -> usize {
    let Some(at) = text.iter().position(|octet| matches!(octet, b'\r' | b'\n')) else { return text.len() };
    let returns = text[at..].iter().take_while(|octet| **octet == b'\r').count();
    match text.get(at + returns) {
        Some(b'\n') => at + returns + 1,
        Some(_) | None => at + 1,
    }
}

/// Where the row ends whose value begins there, its continuation lines (RFC 3261 §7.3.1) included; those count as well that
/// lack the space in front, unless they are a header field themselves.
fn row_end(text: &[u8], value: usize) -> usize {
    let mut end = value;
    loop {
        end += line_end(&text[end..]);
        let next = &text[end..];
        let is_continued = match next.first() {
            Some(b' ' | b'\t') => true,
            Some(b'\r' | b'\n') | None => false,
            Some(_) => field(next).is_none(),
        };
        if !is_continued {
            return end;
        }
    }
}

fn mask_value(value: &[u8], kind: Row, cover: Cover, out: &mut Vec<u8>) {
    let mut rest = value;
    if kind == Row::Credentials {
        take(&mut rest, out, is_space);
        let before = out.len();
        take(&mut rest, out, |octet| !is_space(octet));
        let digest = out.get(before..).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Digest"));
        if !digest {
            return hide_all(rest, cover, out);
        }
    }
    while let Some(&first) = rest.first() {
        if first == b'"' {
            let before = rest;
            let string = quoted(&mut rest);
            let is_closed = string.len() > 1 && string.ends_with(b"\"");
            if !is_closed || rest.first().is_some_and(|next| !is_delimiter(*next)) {
                // Which quote belongs to which is not known: what follows may be the secret.
                return hide_all(before, cover, out);
            }
            out.extend_from_slice(string);
        } else if is_delimiter(first) {
            take(&mut rest, out, is_delimiter);
        } else {
            let before = out.len();
            take(&mut rest, out, |octet| !is_delimiter(octet) && octet != b'"');
            let secret = out.get(before..).is_some_and(|name| {
                name.eq_ignore_ascii_case(b"response") || name.eq_ignore_ascii_case(b"rspauth")
            });
            if secret {
                hide_parameter(&mut rest, cover, out);
            }
        }
    }
}

/// Replaces all but the line end.
fn hide_all(rest: &[u8], cover: Cover, out: &mut Vec<u8>) {
    if cover == Cover::Full {
        return out.extend(rest.iter().map(|&octet| star(octet)));
    }
    let text = rest.trim_ascii_end();
    if !text.is_empty() {
        out.extend_from_slice(b" ***");
    }
    out.extend_from_slice(rest.get(text.len()..).unwrap_or_default());
}

/// Behind the name of a secret parameter: keeps `=` and quotes, replaces the value.
fn hide_parameter(rest: &mut &[u8], cover: Cover, out: &mut Vec<u8>) {
    take(rest, out, is_space);
    if rest.first() != Some(&b'=') {
        return;
    }
    take(rest, out, |octet| octet == b'=' || is_space(octet));
    if rest.first() == Some(&b'"') {
        let string = quoted(rest);
        match (cover, string) {
            (Cover::Full, [quote, inner @ .., b'"']) => {
                out.push(*quote);
                hide_all(inner, cover, out);
                out.push(*quote);
            }
            (Cover::Full, unclosed) => hide_all(unclosed, cover, out),
            (Cover::Short, _) => out.extend_from_slice(b"\"***\""),
        }
    } else {
        let mut value = Vec::new();
        take(rest, &mut value, |octet| !is_delimiter(octet));
        match cover {
            Cover::Full => hide_all(&value, cover, out),
            Cover::Short => out.extend_from_slice(b"***"),
        }
    }
}

fn star(octet: u8) -> u8 {
    if is_space(octet) { octet } else { b'*' }
}

/// Moves the leading octets that fit from `rest` to `out`.
fn take(rest: &mut &[u8], out: &mut Vec<u8>, fits: impl Fn(u8) -> bool) {
    let end = rest.iter().position(|&octet| !fits(octet)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    out.extend_from_slice(taken);
    *rest = after;
}

/// Cuts a quoted string off, quotes and escapes included; without a closing quote all that is left.
fn quoted<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let mut escaped = true;
    let end = rest.iter().position(|&octet| {
        let ends = octet == b'"' && !escaped;
        escaped = octet == b'\\' && !escaped;
        ends
    });
    let (string, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
    *rest = after;
    string
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_delimiter(octet: u8) -> bool {
    is_space(octet) || matches!(octet, b',' | b'=' | b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUT-047: no digest response survives, however its row is written; everything else does.
    #[test]
    fn responses_are_masked_in_every_spelling() {
        for (row, expected) in [
            (
                "Authorization: Digest username=\"bob\", response=\"6629fae4\", qop=auth\r\n",
                "Authorization: Digest username=\"bob\", response=\"***\", qop=auth\r\n",
            ),
            (
                "aUTHORIZATION :\tDIGEST RESPONSE = \"66\",nc=1\r\n",
                "aUTHORIZATION :\tDIGEST RESPONSE = \"***\",nc=1\r\n",
            ),
            (
                "Proxy-Authorization: Digest a=b,\r\n response\r\n\t=\r\n \"66\"\r\n",
                "Proxy-Authorization: Digest a=b,\r\n response\r\n\t=\r\n \"***\"\r\n",
            ),
            (
                "Authentication-Info: rspauth=66, qop=auth\r\n",
                "Authentication-Info: rspauth=***, qop=auth\r\n",
            ),
            ("Authorization: Basic Ym9iOnB3\r\n", "Authorization: Basic ***\r\n"),
            ("Authorization: Digest response=\"66", "Authorization: Digest response=\"***\""),
            (
                "Authorization: Digest realm=\"x \\\" response=\", response=\"66\"\r\n",
                "Authorization: Digest realm=\"x \\\" response=\", response=\"***\"\r\n",
            ),
            ("X-Response: response=\"66\"\r\n", "X-Response: response=\"66\"\r\n"),
            ("WWW-Authenticate: Digest nonce=\"66\"\r\n", "WWW-Authenticate: Digest nonce=\"66\"\r\n"),
            ("\r\nAuthorization: Digest response=\"66\"", "\r\nAuthorization: Digest response=\"***\""),
            ("X: 1\r\n Authorization: Digest response=66", "X: 1\r\n Authorization: Digest response=***"),
            (
                "Authorization: Digest realm=\"x\"y\", response=\"66\"\r\nX: 1\r\n",
                "Authorization: Digest realm= ***\r\nX: 1\r\n",
            ),
            ("Authorization: Digest realm=\"x, response=\"66\"", "Authorization: Digest realm= ***"),
        ] {
            assert_eq!(String::from_utf8(mask_secrets(row.as_bytes())).unwrap(), expected, "{row}");
        }
    }

    /// AUT-047: no digest response survives, whatever ends the lines before it, around it and in it, and the rows that
    /// follow are left as they are.
    #[test]
    fn responses_are_masked_whatever_the_line_ends_are() {
        const ENDS: [&str; 6] = ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\r\r\n"];
        for (before, within, after) in ENDS.iter().flat_map(|before| {
            ENDS.iter().flat_map(move |within| ENDS.iter().map(move |after| (before, within, after)))
        }) {
            // `\n\r` ends a line and begins an empty one, after which no row goes on.
            let within = if *within == "\n\r" { "\r\n" } else { within };
            for fold in ["", " ", "\t"] {
                for (name, scheme, secret) in [
                    ("Authorization", "Digest ", "response"),
                    ("Proxy-Authorization", "Digest ", "response"),
                    ("Authentication-Info", "", "rspauth"),
                    ("Proxy-Authentication-Info", "", "rspauth"),
                ] {
                    let text = |value: &str| {
                        format!(
                            "REGISTER sip:a SIP/2.0{before}{name}: {scheme}a=b,{within}{fold}{secret}{within}{fold}=\
                             {within}{fold}\"{value}\"{after}Expires: 1{after}{after}response=1"
                        )
                    };
                    let masked = String::from_utf8(mask_secrets(text("66").as_bytes())).unwrap();
                    assert_eq!(masked, text("***"), "{:?}", text("66"));
                    let covered = String::from_utf8(cover_secrets(text("66").as_bytes())).unwrap();
                    assert_eq!(covered, text("**"), "{:?}", text("66"));
                }
                let text = |value: &str| {
                    format!("SIP/2.0 200 OK{before}Authorization: Basic {value}{after}Expires: 1{after}")
                };
                assert_eq!(
                    String::from_utf8(mask_secrets(text("Ym9i").as_bytes())).unwrap(),
                    text("***"),
                    "{:?}",
                    text("Ym9i")
                );
            }
        }
    }

    /// AUT-047: a message in which secrets are covered is as long as it was, and has its lines where they were.
    #[test]
    fn covered_secrets_keep_their_length() {
        for (row, expected) in [
            (
                "Authorization: Digest username=\"bob\", response=\"6629fae4\", qop=auth\r\n",
                "Authorization: Digest username=\"bob\", response=\"********\", qop=auth\r\n",
            ),
            ("Authorization: Digest response=\"6\\\"9\"\r\n", "Authorization: Digest response=\"****\"\r\n"),
            ("Authorization: Digest response=\"66", "Authorization: Digest response=***"),
            (
                "Authentication-Info: rspauth=66, qop=auth\r\n",
                "Authentication-Info: rspauth=**, qop=auth\r\n",
            ),
            (
                "Authorization: Basic Ym9i\r\n Onc\r\nX: 1\r\n",
                "Authorization: Basic ****\r\n ***\r\nX: 1\r\n",
            ),
        ] {
            let covered = cover_secrets(row.as_bytes());
            assert_eq!(covered.len(), row.len(), "{row}");
            assert_eq!(String::from_utf8(covered).unwrap(), expected, "{row}");
        }
    }

    /// Whatever comes in, all of it but the secrets comes out.
    #[test]
    fn other_octets_pass_unchanged() {
        for text in [&b"\xff\x00\r\n\r\n"[..], b"", b":", b"Authorization", b"\n\n \n", b"Authorization:\r\n"]
        {
            assert_eq!(mask_secrets(text), text);
            assert_eq!(cover_secrets(text), text);
        }
    }
}
