//! Which rows of the conformance matrix (`conformance.md` beside this file) the tests show.
//!
//! A test names the rows it shows in its doc comment: `/// Shows TXN-002, TXN-005.`, ranges as
//! `REG-001..003`. Doc comments count in `tests/` and in `src/` from `#[cfg(test)]` on. See the table with
//! `cargo test --test conformance -- --nocapture`; with `UPDATE_README=1` before it, it goes into the README.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The areas of a registering client without its extensions, and of the proxy: each of their rows is shown, or it is said
/// why not.
const CORE: [&str; 13] =
    ["REQ", "RSP", "REG", "COD", "TXN", "TRN", "URI", "HDR", "AUT", "LOC", "PRX", "FRK", "LOP"];

/// What looks like a row and is none: SHA-256, AES-128.
const NO_AREAS: &[&str] = &["SHA", "AES"];

#[test]
fn every_row_that_a_test_names_is_in_the_matrix() {
    let matrix = Matrix::read();
    let mut unknown = Vec::new();
    for (file, text) in sources() {
        for (line, id) in named(&file, &text) {
            if !matrix.rows.contains_key(&id) {
                unknown.push(format!("{file}:{line}: {id} is not in tests/conformance.md"));
            }
        }
    }
    assert!(unknown.is_empty(), "\n{}", unknown.join("\n"));
}

#[test]
fn the_table_of_the_readme_says_what_is_shown_and_no_area_shows_less_than_it_did() {
    let matrix = Matrix::read();
    let table = matrix.table();
    println!("{table}");
    for (area, _) in &matrix.areas {
        let open = matrix.open(area);
        if matrix.count(area, Standing::Shown) > 0 && !open.is_empty() {
            let each: Vec<_> = open.iter().map(|id| format!("{} {}", &id[4..], matrix.rows[*id])).collect();
            println!("open in {area}: {}", each.join(", "));
        }
    }
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("the README");
    let start = readme.find("| area |").expect("a table in the README");
    let old = readme[start..].split_inclusive("\n\n").next().unwrap().trim_end();
    let fallen: Vec<_> = old.lines().filter(|row| matrix.is_less_than(row)).collect();
    assert!(fallen.is_empty(), "less is shown than the README says:\n{}", fallen.join("\n"));
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, readme.replacen(old, table.trim_end(), 1)).expect("a README to write");
    } else {
        let how = "UPDATE_README=1 cargo test --test conformance";
        assert!(
            old == table.trim_end(),
            "the README has another table ({how} writes it); this is true:\n{table}"
        );
    }
}

#[test]
fn every_row_of_the_core_is_shown_or_not_planned_or_has_a_reason_and_no_reason_is_stale() {
    let matrix = Matrix::read();
    let mut wrong = Vec::new();
    for id in CORE.iter().flat_map(|area| matrix.open(area)) {
        if !matrix.reasons.contains_key(id) {
            wrong.push(format!(
                "{id}, a {}, is not shown, and \"Not yet shown\" has no reason",
                matrix.rows[id]
            ));
        }
    }
    for (id, reason) in &matrix.reasons {
        if !matrix.rows.contains_key(id) || matrix.standing(id) != Standing::Open {
            wrong.push(format!("{id} has a reason not to be shown, but it is no open row"));
        }
        if reason.split(' ').count() < 3 {
            wrong.push(format!("{id}: \"{reason}\" is no reason"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_matrix_is_read_whole() {
    let matrix = Matrix::read();
    // the figures that stand in its head
    let with_level = |wanted: &str| {
        let bare = |level: &str| level.replace(" (peer)", "");
        matrix.rows.values().filter(|level| bare(level) == wanted).count()
    };
    assert_eq!((matrix.rows.len(), matrix.areas.len()), (545 + 224, 33));
    assert_eq!((with_level("MUST"), with_level("MUST NOT")), (150 + 116, 47 + 25));
    assert_eq!((with_level("SHOULD"), with_level("MAY")), (75 + 25, 22 + 6));
    for id in ["REG-022", "TRN-032", "RSP-019", "PSH-001", "GIN-005", "AKA-001", "BEA-009"] {
        assert!(matrix.is_not_planned(id), "{id} is not planned");
    }
    for id in ["REG-001", "TXN-019", "DSR-007"] {
        assert!(!matrix.is_not_planned(id), "{id} is planned");
    }
    assert_eq!(matrix.standing("REG-001"), Standing::Shown);
    assert_eq!(matrix.standing("PSH-001"), Standing::NotPlanned);
    assert!(CORE.iter().all(|core| matrix.areas.iter().any(|(area, _)| area == core)));
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

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// By a test that names it.
    Shown,
    /// In the section "Not planned", and no test shows it all the same.
    NotPlanned,
    Open,
}

/// `conformance.md`, and what the tests say to it.
struct Matrix {
    /// Name and title, in the order of the document.
    areas: Vec<(String, String)>,
    /// The level of each row.
    rows: BTreeMap<String, String>,
    /// Rows, and whole areas, of the section "Not planned".
    not_planned: BTreeSet<String>,
    /// The section "Not yet shown".
    reasons: BTreeMap<String, String>,
    shown: BTreeSet<String>,
}

impl Matrix {
    fn read() -> Matrix {
        let text = std::fs::read_to_string(root().join("tests/conformance.md")).expect("the matrix");
        let shown = sources().iter().flat_map(|(file, text)| named(file, text)).map(|(_, id)| id).collect();
        let mut matrix = Matrix {
            areas: Vec::new(),
            rows: BTreeMap::new(),
            not_planned: BTreeSet::new(),
            reasons: BTreeMap::new(),
            shown,
        };
        let mut section = "";
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
                if let Some((area, title)) = title.split_once(' ').filter(|(area, _)| is_area(area)) {
                    matrix.areas.push((area.into(), title.into()));
                }
                continue;
            }
            if section == "Not planned" {
                matrix.not_planned.extend(ids_in(line));
                matrix.not_planned.extend(words(line).filter(|word| is_area(word)).map(String::from));
            }
            let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
            let id = cells[0].to_owned();
            if ids_in(&id).next().is_none_or(|found| found != id) {
                continue;
            }
            let old = match (section, &cells[..]) {
                ("Not yet shown", [_, reason]) => matrix.reasons.insert(id, (*reason).into()),
                (_, [_, _, _, level, _, _]) => matrix.rows.insert(id, (*level).into()),
                _ => panic!("not the cells of a row: {line}"),
            };
            assert!(old.is_none(), "twice: {line}");
        }
        matrix
    }

    fn is_not_planned(&self, id: &str) -> bool {
        self.not_planned.contains(id) || self.not_planned.contains(&id[..3])
    }

    fn standing(&self, id: &str) -> Standing {
        match (self.shown.contains(id), self.is_not_planned(id)) {
            (true, _) => Standing::Shown,
            (false, true) => Standing::NotPlanned,
            (false, false) => Standing::Open,
        }
    }

    fn of<'a>(&'a self, area: &'a str) -> impl Iterator<Item = &'a String> {
        self.rows.keys().filter(move |id| id.starts_with(area))
    }

    fn open<'a>(&'a self, area: &'a str) -> Vec<&'a String> {
        self.of(area).filter(|id| self.standing(id) == Standing::Open).collect()
    }

    fn count(&self, area: &str, wanted: Standing) -> usize {
        self.of(area).filter(|id| self.standing(id) == wanted).count()
    }

    /// Rows, shown, not planned, open, and how many of the open ones are a MUST or MUST NOT.
    fn figures<'a>(&self, areas: impl Iterator<Item = &'a str>) -> [usize; 5] {
        areas.fold([0; 5], |sum, area| {
            let open = self.open(area);
            let musts = open.iter().filter(|id| self.rows[**id].starts_with("MUST")).count();
            let counts = [Standing::Shown, Standing::NotPlanned].map(|wanted| self.count(area, wanted));
            let here = [self.of(area).count(), counts[0], counts[1], open.len(), musts];
            std::array::from_fn(|at| sum[at] + here[at])
        })
    }

    /// A row for each area that is begun, one for all others.
    fn table(&self) -> String {
        let mut table = String::from("| area | | rows | shown | not planned | open | of them MUST (NOT) |\n");
        table += "| --- | --- | --: | --: | --: | --: | --: |\n";
        let mut row = |area: &str, title: &str, figures: [usize; 5]| {
            let cells = figures.map(|figure| figure.to_string()).join(" | ");
            writeln!(table, "| {area} | {title} | {cells} |").expect("text");
        };
        let (begun, others): (Vec<_>, Vec<_>) =
            self.areas.iter().partition(|(area, _)| self.count(area, Standing::Shown) > 0);
        for (area, title) in begun {
            let title = title.split(" (").next().unwrap_or_default();
            row(area, title, self.figures(std::iter::once(area.as_str())));
        }
        let others: Vec<&str> = others.iter().map(|(area, _)| area.as_str()).collect();
        row("others", &others.join(", "), self.figures(others.iter().copied()));
        row("all", "", self.figures(self.areas.iter().map(|(area, _)| area.as_str())));
        table
    }

    /// Whether fewer rows are shown now than this row of an older table says.
    fn is_less_than(&self, row: &str) -> bool {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let shown = cells.get(4).and_then(|cell| cell.parse::<usize>().ok());
        shown.is_some_and(|shown| is_area(cells[1]) && self.count(cells[1], Standing::Shown) < shown)
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
