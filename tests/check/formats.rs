//! What scripts and monitoring read: `--strict`, `--nagios`, `--textfile` and `--report`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::registrar::{Say, date};
use crate::report::STEPS;
use crate::run::{Ran, sipreg};
use crate::table::{new, usual};
use crate::world::{Host, Tcp, World};

/// A world in which nothing is wrong, one with a warning, and one with a failure.
fn worlds() -> [(&'static str, World); 3] {
    [
        ("healthy", usual(new())),
        ("warned of", usual(new().changes(|_, answer| answer.set("Date", date(3600))))),
        ("failed", usual(new().password("certainty"))),
    ]
}

fn check(world: &World, more: &[&str]) -> Ran {
    world.run(&[&["check"][..], more].concat())
}

/// With `--strict` a warning is a failure for the exit status; a failure keeps its own.
#[test]
fn strict_minds_warnings() {
    let codes =
        worlds().map(|(_, world)| [&[][..], &["--strict"]].map(|more| check(&world, more).code.unwrap()));
    assert_eq!(codes, [[0, 0], [0, 7], [3, 3]]);
    let [_, (_, warned_of), _] = worlds();
    let object = check(&warned_of, &["--strict", "--json"]).json();
    let told = ["ok", "outcome", "error"].map(|key| &object[key]);
    assert_eq!(told, [&Value::Bool(false), &"checked".into(), &Value::Null]);
}

/// With `--quiet` nothing is said on stdout, and on stderr, where it did not end well, which step it was and what to do.
#[test]
fn quiet_says_what_failed() {
    for ((name, world), begins) in
        worlds().into_iter().zip(["", "error: clock (clock_off): ", "error: credentials (password_wrong): "])
    {
        let ran = check(&world, &["-q", "--strict"]);
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with(begins), "{name}: {}", ran.all());
        let labels: Vec<_> = ran.stderr.lines().filter_map(|line| line.split(' ').next()).collect();
        let expected: &[_] = if begins.is_empty() { &[] } else { &["error:", "hint:"] };
        assert_eq!(labels, expected, "{name}: {}", ran.all());
    }
    let [_, (_, warned_of), _] = worlds();
    let ran = check(&warned_of, &["-q"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "a warning alone is no failure");
}

/// One line with performance data, and the exit codes of Nagios.
#[test]
fn nagios_gets_a_line() {
    let expected = [("OK", 0), ("WARNING", 1), ("CRITICAL", 2)];
    for ((name, world), (word, code)) in worlds().into_iter().zip(expected) {
        let ran = check(&world, &["--nagios"]);
        assert_eq!(ran.code, Some(code), "{name}: {}", ran.all());
        assert_eq!(ran.stdout.matches('\n').count(), 1, "{name}: {}", ran.all());
        let (text, data) = ran.stdout.trim_end().split_once(" | ").unwrap_or_else(|| panic!("{}", ran.all()));
        assert!(text.contains(word), "{name}: {}", ran.all());
        let others = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].into_iter().filter(|other| *other != word);
        assert!(!others.into_iter().any(|other| text.contains(other)), "{name}: {}", ran.all());
        for value in data.split_whitespace() {
            assert!(is_performance_data(value), "{name}: {value}");
        }
    }
    let ran = World::new().timeout("never").run(&["check", "--nagios"]);
    assert_eq!(ran.code, Some(3), "a mistake is no failure of the account: {}", ran.all());
}

/// `label=value[unit][;warning[;critical[;least[;most]]]]`, as the guidelines of the plugins have it.
fn is_performance_data(text: &str) -> bool {
    let Some((label, value)) = text.split_once('=') else { return false };
    let mut fields = value.split(';');
    let first = fields.next().unwrap();
    let number = first.trim_end_matches(|unit: char| unit.is_ascii_alphabetic() || unit == '%');
    let unit = &first[number.len()..];
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    !label.is_empty()
        && !label.contains('\'')
        && is_number(number)
        && ["", "s", "us", "ms", "%", "B", "KB", "MB", "GB", "TB", "c"].contains(&unit)
        && fields.clone().count() <= 4
        && fields.all(|field| field.is_empty() || is_number(field))
}

/// Text that node_exporter reads, in place of the file that was there, with nothing else left in the folder.
#[test]
fn a_text_file_is_replaced_at_once() {
    for (name, world) in worlds() {
        let folder = world.file("collected");
        std::fs::create_dir(&folder).unwrap();
        let file = format!("{folder}/sipreg.prom");
        std::fs::write(&file, "old").unwrap();
        // Whoever has the old file open goes on reading it.
        let mut old = std::fs::File::open(&file).unwrap();
        let ran = check(&world, &["--textfile", &file]);
        let mut kept = String::new();
        std::io::Read::read_to_string(&mut old, &mut kept).unwrap();
        assert_eq!(kept, "old", "{name}: {}", ran.all());
        let names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["sipreg.prom"], "{name}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(prometheus_faults(&text), [""; 0], "{name}:\n{text}");
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "{name}: node_exporter is another user");
    }
}

/// What can't be written is told before anything is sent.
#[test]
fn a_textfile_that_cannot_be_written_stops_it_at_the_start() {
    let world = usual(new());
    let ran = check(&world, &["--textfile", &world.file("nowhere/sipreg.prom")]);
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    assert!(ran.stderr.contains("--textfile"), "{}", ran.all());
    // What is no file is left alone.
    let (fifo, folder, report) = (world.file("fifo"), world.file("folder"), world.file("report"));
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(format!("{report}/check.json")).unwrap();
    for (option, place) in [
        ("--textfile", fifo.as_str()),
        ("--textfile", folder.as_str()),
        ("--textfile", "/dev/null"),
        ("--report", report.as_str()),
    ] {
        let ran = check(&world, &[option, place]);
        assert_eq!(ran.code, Some(2), "{place}: {}", ran.all());
        assert!(ran.stderr.contains(option), "{place}: {}", ran.all());
    }
    use std::os::unix::fs::FileTypeExt;
    assert!(std::fs::metadata(&fifo).unwrap().file_type().is_fifo());
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert_eq!(world.registrars()[0].came().len(), 0);
}

/// A link to the file that is collected stays one.
#[test]
fn a_textfile_behind_a_link_is_replaced_there() {
    let world = usual(new());
    let (link, file) = (world.file("link.prom"), world.file("sipreg.prom"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let ran = check(&world, &["--textfile", &link]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&file).unwrap().contains("sipreg_check"));
}

/// A check that the time has ended is no healthy account to monitoring either.
#[test]
fn what_was_not_seen_is_not_ok() {
    let world = World::new().silent(Host(1), &[Tcp]).srv(&[Tcp], 1).timeout("2s");
    let ran = check(&world, &["--nagios"]);
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    assert!(
        ran.stdout.starts_with("SIPREG CRITICAL - sip:werner@munich.de: registrar silent"),
        "{}",
        ran.all()
    );
    // The second binding is refused: nobody has called.
    let world = usual(new().says(|it, count| {
        let is_second = it.is("REGISTER") && it.is_proven() && count > 5 && it.get("Contact").is_some();
        is_second.then(|| Say::Response(it.response("503 Service Unavailable")))
    }));
    let ran = check(&world, &["--nagios"]);
    assert!(!ran.stdout.contains("be called"), "{}", ran.all());
}

/// Where it isn't the text format: every sample has a type, which stands before it, once; names, labels and values are such.
fn prometheus_faults(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut types, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_' || one == ':')
    };
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<_> = rest.splitn(3, ' ').collect();
            let is_type = words.first() == Some(&"TYPE");
            if is_type && !types.insert(words[1].to_owned()) {
                wrong.push(format!("a second type: {line}"));
            }
            continue;
        }
        let Some((sample, value)) = line.rsplit_once(' ') else {
            wrong.push(format!("no sample: {line:?}"));
            continue;
        };
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let is_labelled = labels.ends_with('}') && labels.matches('"').count() % 2 == 0;
        if !is_name(name) || !name.starts_with("sipreg_") || !types.contains(name) {
            wrong.push(format!("a name, or one without a type before it: {line}"));
        }
        if !is_labelled || value.parse::<f64>().is_err() {
            wrong.push(format!("labels or value: {line}"));
        }
        if !samples.insert(sample.to_owned()) {
            wrong.push(format!("twice: {line}"));
        }
    }
    if samples.is_empty() || !text.ends_with('\n') {
        wrong.push("no samples, or no end of line".to_owned());
    }
    wrong
}

/// Text, JSON and a trace, in a folder that is made; the JSON is what `--json` prints.
#[test]
fn a_report_has_what_a_ticket_needs() {
    for (name, world) in worlds() {
        let folder = world.file("for/a/ticket");
        let ran = check(&world, &["--json", "--report", &folder]);
        let mut kinds = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{error}: {}", ran.all())) {
            let path = entry.unwrap().path();
            let octets = std::fs::read(&path).unwrap();
            let kind = path.extension().unwrap_or_default().to_str().unwrap().to_owned();
            match kind.as_str() {
                "json" => {
                    let object: Value = serde_json::from_slice(&octets).unwrap();
                    assert_eq!(object, ran.json(), "{name}");
                }
                "pcapng" => assert!(octets.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "{name}"),
                _ => assert!(is_whole(&path, &octets), "{name}: {path:?}"),
            }
            kinds.insert(kind);
        }
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["json", "pcapng", "txt"], "{name}");
    }
}

/// Whether a text names each step.
fn is_whole(path: &Path, octets: &[u8]) -> bool {
    let text = std::str::from_utf8(octets).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let steps = [
        "account",
        "dns",
        "network",
        "tls",
        "registrar",
        "credentials",
        "binding",
        "way",
        "reach",
        "clock",
        "others",
    ];
    steps.iter().all(|step| text.contains(step)) && !text.contains('\u{1b}')
}

/// The schema has every key and every word of the table.
#[test]
fn the_schema_is_that_of_a_check() {
    let ran = World::new().run(&["check", "--json-schema"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(schema["properties"]["steps"].is_object(), "{}", ran.stdout);
    for word in ["skipped", "warning", "not_reachable", "nat_mapping_short", "checked", "ipv6_broken"] {
        assert!(ran.stdout.contains(&format!("\"{word}\"")), "no {word}");
    }
}

/// Each cause is explained with what to do, and each step with what it looks at.
#[test]
fn every_word_is_explained() {
    for (step, causes) in STEPS {
        for cause in causes.split_whitespace() {
            let ran = sipreg(&["explain", cause]);
            assert!(ran.code == Some(0) && ran.stdout.contains("what to do"), "{cause}: {}", ran.all());
        }
        let ran = sipreg(&["explain", step]);
        assert!(ran.code == Some(0) && ran.stdout.contains("check"), "{step}: {}", ran.all());
    }
}
