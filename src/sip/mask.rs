//! Messages with the proofs of a password taken out: `response` and `rspauth` of Digest, which allow to guess
//! it at leisure, and credentials of other schemes altogether.

/// The message with `***` for each such value, in whatever row it stands: any letter case, folded, spaces
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
        let (row, after) = rest.split_at(row_end(rest));
        match (secret_row(row), row.iter().position(|&octet| octet == b':')) {
            (Some(kind), Some(colon)) => {
                let (name, value) = row.split_at(colon + 1);
                out.extend_from_slice(name);
                mask_value(value, kind, cover, &mut out);
            }
            _ => out.extend_from_slice(row),
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

/// Where the row ends, its continuation lines (RFC 3261 §7.3.1) included.
fn row_end(text: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let line = text.get(end..).unwrap_or_default();
        end += line.iter().position(|&octet| octet == b'\n').map_or(line.len(), |at| at + 1);
        if !matches!(text.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

fn secret_row(row: &[u8]) -> Option<Row> {
    let name = row.split(|&octet| octet == b':').next()?.trim_ascii();
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if is(b"Authorization") || is(b"Proxy-Authorization") {
        Some(Row::Credentials)
    } else if is(b"Authentication-Info") || is(b"Proxy-Authentication-Info") {
        Some(Row::Info)
    } else {
        None
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
            out.extend_from_slice(quoted(&mut rest));
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
        ] {
            assert_eq!(String::from_utf8(mask_secrets(row.as_bytes())).unwrap(), expected, "{row}");
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
