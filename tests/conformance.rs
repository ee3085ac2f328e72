//! Which rows of the conformance matrix (`conformance.md` beside this file) the tests show.
//!
//! A test names the rows it shows in its doc comment: `/// Shows TXN-002, TXN-005.`, ranges as
//! `REG-001..003`. Doc comments count in `tests/` and in `src/` from `#[cfg(test)]` on. See the table with
//! `cargo test --test conformance -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many rows of an area are shown at least. It only ever rises.
const FLOORS: &[(&str, usize)] = &[
    ("REQ", 38),
    ("RSP", 26),
    ("REG", 31),
    ("COD", 25),
    ("TXN", 19),
    ("TRN", 28),
    ("INC", 2),
    ("URI", 21),
    ("HDR", 20),
    ("AUT", 47),
    ("AKA", 0),
    ("BEA", 0),
    ("SEC", 0),
    ("LOC", 12),
    ("NAT", 5),
    ("EXT", 5),
    ("OUT", 5),
    ("GRU", 1),
    ("WSS", 0),
    ("EVT", 0),
    ("PSH", 0),
    ("GIN", 0),
    ("DES", 15),
    ("RGR", 3),
    ("RAU", 1),
    ("STX", 1),
    ("PRX", 0),
    ("FRK", 0),
    ("LOP", 0),
    ("PTH", 0),
    ("OBS", 0),
    ("EVN", 0),
    ("DSR", 1),
];

/// What looks like a row and is none: SHA-256, AES-128.
const NO_AREAS: &[&str] = &["SHA", "AES"];

#[test]
fn every_row_that_a_test_names_is_in_the_matrix() {
    let matrix = Matrix::read();
    let mut unknown = Vec::new();
    for (file, text) in sources() {
        for (line, id) in named(&file, &text) {
            if !matrix.rows.contains(&id) {
                unknown.push(format!("{file}:{line}: {id} is not in tests/conformance.md"));
            }
        }
    }
    assert!(unknown.is_empty(), "\n{}", unknown.join("\n"));
}

#[test]
fn no_area_shows_fewer_rows_than_it_did() {
    let matrix = Matrix::read();
    let shown: BTreeSet<String> =
        sources().iter().flat_map(|(file, text)| named(file, text)).map(|(_, id)| id).collect();
    println!("area  shown  owed  not yet shown");
    let (mut fallen, mut sum) = (Vec::new(), (0, 0));
    for area in &matrix.areas {
        let of_area = |id: &&String| id.starts_with(area.as_str());
        let owed: Vec<_> = matrix.owed().into_iter().filter(|id| id.starts_with(area.as_str())).collect();
        let shown_here = shown.iter().filter(of_area).filter(|id| matrix.rows.contains(*id)).count();
        let missing: Vec<_> = owed.iter().filter(|id| !shown.contains(**id)).map(|id| &id[4..]).collect();
        let missing = if missing.len() == owed.len() { String::new() } else { missing.join(" ") };
        println!("{}", format!("{area}   {shown_here:>5} {:>5}  {missing}", owed.len()).trim_end());
        sum = (sum.0 + shown_here, sum.1 + owed.len());
        match FLOORS.iter().find(|(name, _)| name == area) {
            None => fallen.push(format!("{area} has no floor")),
            Some((_, floor)) if shown_here < *floor => {
                fallen.push(format!("{area} shows {shown_here} rows, {floor} before"));
            }
            Some(_) => {}
        }
    }
    println!("all   {:>5} {:>5}", sum.0, sum.1);
    assert!(fallen.is_empty(), "\n{}", fallen.join("\n"));
}

#[test]
fn the_matrix_is_read_whole() {
    let matrix = Matrix::read();
    // the figures that stand in its head
    assert_eq!(matrix.rows.len(), 544 + 224);
    assert_eq!(matrix.areas.len(), FLOORS.len());
    let owed = matrix.owed();
    for id in ["REG-022", "TRN-032", "RSP-019", "PSH-001", "GIN-005", "AKA-001", "BEA-009"] {
        assert!(!owed.iter().any(|row| *row == id), "{id} is not planned, yet owed");
    }
    for id in ["REG-001", "TXN-019", "DSR-007"] {
        assert!(owed.iter().any(|row| *row == id), "{id} is owed");
    }
}

#[test]
fn ids_are_found_in_doc_comments_of_tests_only() {
    let ids = |file: &str, text: &str| named(file, text).into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    assert_eq!(ids("tests/a.rs", "/// Shows REG-001, TXN-002.\nfn f() {}"), ["REG-001", "TXN-002"]);
    assert_eq!(
        ids("tests/a.rs", "    /// REG-001..003 and AUT-009..=010"),
        ["REG-001", "REG-002", "REG-003", "AUT-009", "AUT-010"]
    );
    assert_eq!(ids("tests/a.rs", "/// REG-001..REG-002"), ["REG-001", "REG-002"]);
    assert_eq!(ids("tests/a.rs", "/// SHA-256, RFC 3261, XREG-001, REG-0011, REG-01"), [""; 0]);
    assert_eq!(ids("tests/a.rs", "// REG-001\nlet x = \"/// REG-002\";"), [""; 0]);
    assert_eq!(
        ids("src/a.rs", "/// REG-001\nfn f() {}\n#[cfg(test)]\nmod tests {\n/// REG-002\n}"),
        ["REG-002"]
    );
    assert_eq!(ids("src/a/tests/b.rs", "/// REG-001"), ["REG-001"]);
    assert_eq!(ids("tests/a.rs", "/// REX-001"), ["REX-001"]);
}

/// The rows of `conformance.md`.
struct Matrix {
    /// In the order of the document.
    areas: Vec<String>,
    rows: BTreeSet<String>,
    /// Rows, and whole areas, of the section "Not planned".
    not_planned: BTreeSet<String>,
}

impl Matrix {
    fn read() -> Matrix {
        let text = std::fs::read_to_string(root().join("tests/conformance.md")).expect("the matrix");
        let mut matrix = Matrix { areas: Vec::new(), rows: BTreeSet::new(), not_planned: BTreeSet::new() };
        let mut section = "";
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
                let area = title.split(' ').next().unwrap_or_default();
                if is_area(area) {
                    matrix.areas.push(area.into());
                }
            } else if section == "Not planned" {
                matrix.not_planned.extend(ids_in(line));
                matrix.not_planned.extend(words(line).filter(|word| is_area(word)).map(String::from));
            } else if let Some(id) = line.strip_prefix("| ").and_then(|rest| rest.split(' ').next()) {
                matrix.rows.extend(ids_in(id).filter(|found| found == id));
            }
        }
        matrix
    }

    /// The rows that a test is owed for.
    fn owed(&self) -> Vec<&String> {
        let planned = |id: &&String| !self.not_planned.contains(*id) && !self.not_planned.contains(&id[..3]);
        self.rows.iter().filter(planned).collect()
    }
}

/// The ids in a file's doc comments of tests, with their lines.
fn named(file: &str, text: &str) -> Vec<(usize, String)> {
    let mut of_tests = file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("tests.rs");
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        of_tests |= line.trim_start().starts_with("#[cfg(test)]");
        if let Some(comment) = line.trim_start().strip_prefix("///").filter(|_| of_tests) {
            found.extend(ids_in(comment).map(|id| (number + 1, id)));
        }
    }
    found
}

/// The ids in one line, ranges written out.
fn ids_in(line: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut rest = line;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        if !before.is_alphanumeric()
            && before != '-'
            && let Some((area, number)) = id_at(rest)
        {
            rest = &rest[7..];
            let mut end = None;
            if let Some(text) = rest.strip_prefix("..").map(|text| text.strip_prefix('=').unwrap_or(text)) {
                let whole = id_at(text).map(|(_, last)| (last, &text[7..]));
                if let Some((last, behind)) = whole.or_else(|| digits(text).map(|last| (last, &text[3..]))) {
                    (end, rest) = (Some(last), behind);
                }
            }
            found.extend((number..=end.unwrap_or(number)).map(|n| format!("{area}-{n:03}")));
            before = '0';
        } else {
            rest = &rest[first.len_utf8()..];
            before = first;
        }
    }
    found.into_iter()
}

/// `REG-017` at the beginning, as area and number.
fn id_at(text: &str) -> Option<(&str, u16)> {
    let (area, number) = text.get(..7).and_then(|id| id.split_once('-'))?;
    let known = is_area(area) && !NO_AREAS.contains(&area);
    known.then_some(area).zip(digits(number).filter(|_| digits(&text[4..]).is_some()))
}

/// Exactly three digits at the beginning.
fn digits(text: &str) -> Option<u16> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok().filter(|_| end == 3)
}

fn is_area(word: &str) -> bool {
    word.len() == 3 && word.chars().all(|c| c.is_ascii_uppercase())
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '-')
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The Rust files of `src/` and `tests/`, but not this one: it names rows as examples.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name =
                    path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8").to_owned();
                found.push((name, std::fs::read_to_string(&path).expect("a source")));
            }
        }
    }
    found.retain(|(file, _)| file != "tests/conformance.rs");
    found
}
