//! Reads Rust, as far as the rules need it: the paths that a source names.

/// A path as it stands in the source, groups of `use` written out.
pub struct Named {
    pub line: usize,
    pub segments: Vec<String>,
    /// It has `::` or stands in a `use`: not a local name that happens to be like a crate's.
    pub outside: bool,
    pub is_macro: bool,
}

impl Named {
    /// Whether the path is this name: `a::b` at its beginning, `B` anywhere.
    pub fn names(&self, name: &str) -> bool {
        let parts: Vec<_> = name.split("::").collect();
        if parts.len() > 1 {
            self.segments.len() >= parts.len() && self.segments.iter().zip(&parts).all(|(a, b)| a == b)
        } else {
            self.segments.iter().any(|segment| segment == name)
        }
    }
}

/// All paths of a file, without comments, literals and what is under `#[cfg(test)]`.
pub fn paths(source: &str) -> Vec<Named> {
    let tokens = without_tests(tokens(source));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at].1) {
            let import = at > 0 && tokens[at - 1].1 == "use";
            at = take_path(&tokens, at, &[], import, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path from `at` on, after `prefix`; returns the index behind it.
fn take_path(
    tokens: &[(usize, String)],
    at: usize,
    prefix: &[String],
    import: bool,
    found: &mut Vec<Named>,
) -> usize {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.1.as_str());
    let mut segments = prefix.to_vec();
    let mut next = at;
    loop {
        if text(next) == "{" && !segments.is_empty() {
            next += 1;
            while text(next) != "}" && next < tokens.len() {
                let word = is_word(text(next)) && text(next) != "as" || text(next) == "*";
                let renamed = text(next.wrapping_sub(1)) == "as";
                next =
                    if word && !renamed { take_path(tokens, next, &segments, true, found) } else { next + 1 };
            }
            return next + 1;
        }
        segments.push(text(next).to_owned());
        next += 1;
        let goes_on = text(next) == "::" && (is_word(text(next + 1)) || ["{", "*"].contains(&text(next + 1)));
        if !goes_on {
            break;
        }
        next += 1;
    }
    let outside = import || segments.len() > 1;
    let is_macro = text(next) == "!";
    found.push(Named { line: tokens[at].0, segments, outside, is_macro });
    next
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words and signs with their lines; `::` is one sign. Comments and literals are left out.
fn tokens(source: &str) -> Vec<(usize, String)> {
    let text: Vec<char> = source.chars().collect();
    let at = |index: usize| text.get(index).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < text.len() {
        let start = i;
        if at(i) == '/' && at(i + 1) == '/' {
            while i < text.len() && at(i) != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= text.len() {
                    break;
                }
            }
        } else if at(i) == '"' {
            i += 1;
            while i < text.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += 2 + usize::from(at(i + 1) == '\\');
            while i < text.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else if at(i).is_alphanumeric() || at(i) == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let hashes = (i..).take_while(|&index| at(index) == '#').count();
            let word: String = text[start..i].iter().collect();
            if ["r", "br", "cr"].contains(&word.as_str()) && at(i + hashes) == '"' {
                i += hashes + 1;
                let ends = |index: usize| at(index) == '"' && (1..=hashes).all(|n| at(index + n) == '#');
                while i < text.len() && !ends(i) {
                    i += 1;
                }
                i += 1 + hashes;
            } else {
                found.push((line, word));
            }
        } else if at(i) == ':' && at(i + 1) == ':' {
            found.push((line, "::".into()));
            i += 2;
        } else {
            if !at(i).is_whitespace() {
                found.push((line, at(i).to_string()));
            }
            i += 1;
        }
        line += text[start..i.min(text.len())].iter().filter(|&&c| c == '\n').count();
    }
    found
}

/// Leaves out each item that `#[cfg(test)]` stands before.
fn without_tests(tokens: Vec<(usize, String)>) -> Vec<(usize, String)> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !(MARK
            .iter()
            .enumerate()
            .all(|(n, sign)| tokens.get(at + n).is_some_and(|token| token.1 == *sign)))
        {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut depth = 0;
        while let Some((_, sign)) = tokens.get(at) {
            at += 1;
            match sign.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (sign == "}" || sign == ";") {
                break;
            }
        }
    }
    kept
}
