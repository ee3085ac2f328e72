//! Reads the sources and holds the layers:
//!
//! | layer | may use |
//! | --- | --- |
//! | `src/sip/` | nothing else of ours, bytes, rsip |
//! | `src/proto/` | `sip`, computing crates; no socket, file, thread, clock, randomness or hash order |
//! | `src/store/` | `sip`, `proto` |
//! | `src/net/` | `sip`, `proto`, `store` |
//! | `src/cli/` | all; nobody but `main.rs` and `lib.rs` uses it |
//!
//! Nothing imports in a circle: of the files and folders directly below a layer's folder none leads back to itself, and
//! inside each folder the same. A folder's own `mod.rs`, which holds contract and re-exports, does not count.
//!
//! A rule is loosened here, with a reason, or not at all. Code under `#[cfg(test)]` is free.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

#[path = "layers/reading.rs"]
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reading::{Named, paths};

/// What one layer may name.
struct Layer {
    name: &'static str,
    /// Modules of ours.
    modules: &'static [&'static str],
    /// Crates, of those in Cargo.toml; None: any.
    crates: Option<&'static [&'static str]>,
    /// No world and no time: nothing of [`WORLD`].
    pure: bool,
    /// Names it must not use besides.
    banned: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "sip",
        modules: &["sip"],
        // thiserror only derives Display and Error
        crates: Some(&["bytes", "rsip", "thiserror"]),
        pure: true,
        banned: &[],
    },
    Layer {
        name: "proto",
        modules: &["sip", "proto"],
        crates: Some(&[
            "bytes",
            "md5",
            "sha2",
            "hmac",
            "aes",
            "subtle",
            "thiserror",
            "unicode_normalization",
            "zeroize",
        ]),
        pure: true,
        banned: &["HashMap", "HashSet"],
    },
    Layer { name: "store", modules: &["sip", "proto", "store"], crates: None, pure: false, banned: &[] },
    Layer { name: "net", modules: &["sip", "proto", "store", "net"], crates: None, pure: false, banned: &[] },
    Layer {
        name: "cli",
        modules: &["sip", "proto", "store", "net", "cli"],
        crates: None,
        pure: false,
        banned: &[],
    },
];

/// The outside world, as the standard library names it: a path that begins so, or a name anywhere.
const WORLD: &[&str] = &[
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "Instant",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixDatagram",
    "ToSocketAddrs",
    "RandomState",
];

/// Who names a hash table in a layer that must not depend on its order, and why.
const HASHED: &[(&str, &str)] =
    &[("src/proto/transaction/mod.rs", "it is asked by key, and clippy sees that nobody goes through it")];

/// Who names stdout or prints to it, by which name, and why. An empty name: all of them.
const PRINTS: &[(&str, &str, &str)] = &[
    ("src/cli/report/mod.rs", "", "it is the one place that writes the answer"),
    ("src/build.rs", "", "cargo listens there"),
    ("src/cli/mod.rs", "io::stdout", "main hands the process's streams over to the report"),
];

#[test]
fn every_layer_uses_only_the_layers_below_it_and_its_own_crates() {
    assert_holds(|file, source| layer_faults(file, source, &dependencies()));
}

#[test]
fn rsip_is_named_inside_src_sip_only() {
    assert_holds(rsip_faults);
}

#[test]
fn nobody_but_main_and_lib_uses_the_command_line() {
    assert_holds(cli_faults);
}

#[test]
fn nothing_imports_in_a_circle() {
    let files = sources("src").into_iter().filter(|(file, _)| !is_test(file));
    let circles = circles(&files.collect::<Vec<_>>());
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn only_the_report_prints_to_stdout() {
    assert_holds(stdout_faults);
}

// --- the rules, as functions of one file --------------------------------------------------------

fn layer_faults(file: &str, source: &str, dependencies: &BTreeSet<String>) -> Vec<String> {
    let Some(layer) = LAYERS.iter().find(|layer| file_is_in(file, layer.name)) else { return Vec::new() };
    let mut faults = Vec::new();
    for path in paths(source) {
        let first = path.segments[0].as_str();
        if let Some(module) = root_module(file, &path.segments)
            && !layer.modules.contains(&module.as_str())
        {
            faults.push(fault(file, &path, &format!("{} must not use crate::{module}", layer.name)));
        }
        if let Some(allowed) = layer.crates
            && path.outside
            && dependencies.contains(first)
            && !allowed.contains(&first)
        {
            faults.push(fault(file, &path, &format!("{} must not use the crate {first}", layer.name)));
        }
        let world = if layer.pure { WORLD } else { &[] };
        let banned: &[&str] = if HASHED.iter().any(|(place, _)| *place == file) { &[] } else { layer.banned };
        for name in world.iter().chain(banned).filter(|name| path.names(name)) {
            faults.push(fault(file, &path, &format!("{} must not name {name}", layer.name)));
        }
    }
    faults
}

fn rsip_faults(file: &str, source: &str) -> Vec<String> {
    let named = paths(source).into_iter().filter(|path| path.outside && path.segments[0] == "rsip");
    named
        .filter(|_| !file_is_in(file, "sip"))
        .map(|path| fault(file, &path, "rsip belongs to src/sip/ alone"))
        .chain(rsip_parsers(file, source))
        .collect()
}

/// rsip may read nothing: its parsers are not to be trusted.
fn rsip_parsers(file: &str, source: &str) -> Vec<String> {
    let reads = |path: &Named| match path.segments.last().map_or("", String::as_str) {
        "from_str" | "parse" | "tokenize" | "typed" => true,
        last => last == "try_from" && path.segments.contains(&"SipMessage".into()),
    };
    let named = paths(source).into_iter().filter(|path| path.outside && path.segments[0] == "rsip");
    named.filter(reads).map(|path| fault(file, &path, "rsip reads nothing here")).collect()
}

fn cli_faults(file: &str, source: &str) -> Vec<String> {
    if file_is_in(file, "cli") || file == "src/main.rs" || file == "src/lib.rs" {
        return Vec::new();
    }
    let named = paths(source).into_iter();
    named
        .filter(|path| root_module(file, &path.segments).as_deref() == Some("cli"))
        .map(|path| fault(file, &path, "nobody uses crate::cli"))
        .collect()
}

fn stdout_faults(file: &str, source: &str) -> Vec<String> {
    let allowed = |path: &Named| {
        let name = path.segments.join("::");
        PRINTS.iter().any(|(place, by, _)| *place == file && (by.is_empty() || *by == name))
    };
    let prints = |path: &Named| {
        let last = path.segments.last().expect("not empty").as_str();
        (path.is_macro && ["print", "println"].contains(&last))
            || (path.outside && ["stdout", "Stdout"].contains(&last))
    };
    paths(source)
        .into_iter()
        .filter(|path| prints(path) && !allowed(path))
        .map(|path| fault(file, &path, "only src/cli/report/mod.rs prints to stdout"))
        .collect()
}

/// The circles of imports inside each folder, the files and folders of one circle on a line each time.
fn circles(files: &[(String, String)]) -> Vec<String> {
    // The uses of each folder: who of those directly below it uses whom, and where.
    let mut folders: BTreeMap<Vec<String>, Uses> = BTreeMap::new();
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(file, _)| module(file)).collect();
    for (file, source) in files {
        let own = module(file);
        for path in paths(source).iter().filter(|path| path.outside) {
            let Some(used) = absolute(&own, &path.segments) else { continue };
            let shared = own.iter().zip(&used).take_while(|(a, b)| a == b).count();
            let (Some(user), Some(used)) = (own.get(shared), used.get(..=shared)) else { continue };
            if shared > 0 && modules.contains(used) {
                let uses = folders.entry(own[..shared].to_vec()).or_default();
                let place = format!("{file}:{}", path.line);
                uses.entry(user.clone()).or_default().entry(used[shared].clone()).or_insert(place);
            }
        }
    }
    let told = |(folder, uses): (&Vec<String>, &Uses)| {
        let circle: Vec<_> = uses.keys().filter(|node| reached(uses, node).contains(*node)).collect();
        let within = |node: &&String| circle.contains(node);
        let edges =
            circle.iter().flat_map(|user| uses[*user].iter().map(move |(used, place)| (user, used, place)));
        let edges = edges.filter(|(_, used, _)| within(used));
        let lines: Vec<_> =
            edges.map(|(user, used, place)| format!("  {user} uses {used} ({place})")).collect();
        (!circle.is_empty()).then(|| format!("a circle in src/{}:\n{}", folder.join("/"), lines.join("\n")))
    };
    folders.iter().filter_map(told).collect()
}

/// Who of a folder uses whom, with the first place.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Who is used by a node, and by those in turn.
fn reached(uses: &Uses, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(node) = next.pop() {
        for used in uses.get(&node).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    found
}

/// The names of a file's module below the crate's root.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// A path from the crate's root; None for a path to elsewhere, or down from the module that it stands in.
fn absolute(own: &[String], segments: &[String]) -> Option<Vec<String>> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    match segments.first()?.as_str() {
        "crate" | "sipreg" => Some(segments[1..].to_vec()),
        "super" => Some([own.get(..own.len().checked_sub(supers)?)?, &segments[supers..]].concat()),
        _ => None,
    }
}

fn fault(file: &str, path: &Named, why: &str) -> String {
    format!("{file}:{}: {} ({why})", path.line, path.segments.join("::"))
}

/// The first name below the crate's root that a path means; None for a path to elsewhere.
fn root_module(file: &str, segments: &[String]) -> Option<String> {
    let first = segments[0].as_str();
    if first == "crate" || first == "sipreg" {
        return segments.get(1).cloned();
    }
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    let own = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = own.split('/').count();
    (supers > 0 && supers >= depth).then(|| segments.get(supers).cloned()).flatten()
}

fn file_is_in(file: &str, layer: &str) -> bool {
    file.starts_with(&format!("src/{layer}/")) || file == format!("src/{layer}.rs")
}

/// The crates of Cargo.toml, as Rust names them.
fn dependencies() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            let name = name.trim().split('.').next().unwrap_or_default().replace('-', "_");
            names.insert(if name == "md_5" { "md5".into() } else { name });
        }
    }
    assert!(names.contains("tokio") && names.contains("rsip"), "Cargo.toml was read wrongly: {names:?}");
    names
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The Rust files of a folder, by their paths from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
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
    found.sort();
    found
}

/// Whether a file is a test as a whole.
fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/")
}

/// Applies a rule to all of `src/`, but not to files that are tests as a whole.
fn assert_holds(rule: impl Fn(&str, &str) -> Vec<String>) {
    let files = sources("src");
    assert!(files.iter().any(|(file, _)| file == "src/lib.rs"), "the sources were not found");
    let faults: Vec<_> = files
        .iter()
        .filter(|(file, _)| !is_test(file))
        .flat_map(|(file, source)| rule(file, source))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

// --- the rules catch what they are for ------------------------------------------------------------

/// The names that the layer rule finds fault with, in one file of this text.
fn caught(file: &str, source: &str) -> Vec<String> {
    let crates = ["bytes", "rsip", "tokio", "rand", "md5", "clap"].map(String::from);
    let faults = layer_faults(file, source, &BTreeSet::from(crates));
    let name = |fault: &String| fault.split(' ').nth(1).expect("file, name, reason").to_owned();
    faults.iter().map(name).collect()
}

#[test]
fn the_layer_rule_catches_each_way_to_name_a_module_above() {
    for source in [
        "use crate::proto::Time;",
        "use crate::{sip::Uri, proto::Time};",
        "fn f() -> crate::proto::Time { todo() }",
        "use super::super::proto::Time;",
        "use crate::{\n    sip::{Uri, Host},\n    proto::{Time as T, *},\n};",
        "pub use sipreg::proto::Time;",
        "mod a { fn a() {} } /* \" */ use crate::proto; // \"",
    ] {
        assert!(!caught("src/sip/uri.rs", source).is_empty(), "not caught: {source}");
    }
    assert_eq!(caught("src/sip/mod.rs", "use super::proto::Time;"), ["super::proto::Time"]);
    assert_eq!(caught("src/proto/agent/tcp.rs", "use crate::net::Flow;"), ["crate::net::Flow"]);
    assert_eq!(caught("src/proto/agent/mod.rs", "use crate::Error;"), ["crate::Error"]);
    assert_eq!(caught("src/store/mod.rs", "use crate::cli::Exit;"), ["crate::cli::Exit"]);
    assert_eq!(caught("src/net/udp.rs", "use crate::cli::Exit;"), ["crate::cli::Exit"]);
}

#[test]
fn the_layer_rule_catches_the_world_and_foreign_crates_in_pure_layers() {
    for source in [
        "use tokio::net::UdpSocket;",
        "#[tokio::main] async fn f() {}",
        "fn f() { let n: u8 = rand::random(); }",
        "use rand;",
        "use std::net::UdpSocket;",
        "use std::{fmt, net::{IpAddr, TcpStream}};",
        "fn f() { std::fs::read(\"x\"); }",
        "use std::env;",
        "fn f() { std::thread::yield_now(); }",
        "use std::time::{Duration, Instant};",
        "fn f(now: std::time::SystemTime) {}",
        "use std::collections::HashMap;",
        "struct S { set: std::collections::HashSet<u8> }",
        "fn f<'a>(x: &'a str) -> rsip::Method { rsip::Method::Register }",
    ] {
        assert!(!caught("src/proto/agent.rs", source).is_empty(), "not caught: {source}");
    }
}

#[test]
fn the_layer_rule_lets_pass_what_is_meant_to_be() {
    for source in [
        "use crate::sip::{self, Uri};",
        "use crate::proto::Time;",
        "use super::{Event, time::Time};",
        "use std::net::{IpAddr, SocketAddr};",
        "pub(crate) fn f(bytes: &[u8]) -> usize { bytes.len() }",
        "use md5::Md5;",
        "// use tokio::net::UdpSocket;\n/* /* Instant */ HashMap */ fn f() {}",
        r##"const A: &str = "Instant::now"; const B: &str = r#"" crate::net"#; const C: char = '"';"##,
        "#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n    fn f() { std::fs::read(\"}\"); }\n}",
        "fn f() { let rand = 1; g(rand); }",
    ] {
        assert_eq!(caught("src/proto/agent.rs", source), [""; 0], "{source}");
    }
    assert_eq!(caught("src/net/mod.rs", "use tokio::net::UdpSocket; use std::time::Instant;"), [""; 0]);
    assert_eq!(caught("src/cli/mod.rs", "use crate::net::drive; use clap::Parser;"), [""; 0]);
}

#[test]
fn code_after_a_test_module_is_read_again() {
    let source = "#[cfg(test)]\nmod tests { fn f() {} }\nuse tokio::net;";
    assert_eq!(caught("src/proto/agent.rs", source), ["tokio::net"]);
    let after_use = "#[cfg(test)]\nuse rand::random;\nuse tokio::net;";
    assert_eq!(caught("src/proto/agent.rs", after_use), ["tokio::net"]);
}

#[test]
fn the_circle_rule_catches_circles_and_nothing_else() {
    let circle_of = |files: &[(&str, &str)]| {
        let owned: Vec<_> = files.iter().map(|(file, source)| ((*file).into(), (*source).into())).collect();
        circles(&owned).join("\n")
    };
    let there_and_back = [
        ("src/sip/a.rs", "use super::b::B;"),
        ("src/sip/b.rs", "use crate::sip::{c::C, D};"),
        ("src/sip/c/mod.rs", "mod e;"),
        ("src/sip/c/e.rs", "use super::super::a;\nuse super::f::F;"),
        ("src/sip/c/f.rs", "fn f() -> super::e::E { crate::sip::c::e::E }"),
        ("src/sip/mod.rs", "mod a; pub use a::A; use self::b::B;"),
    ];
    assert_eq!(
        circle_of(&there_and_back),
        "a circle in src/sip:\n  a uses b (src/sip/a.rs:1)\n  b uses c (src/sip/b.rs:1)\n  c uses a (src/sip/c/e.rs:1)\n\
         a circle in src/sip/c:\n  e uses f (src/sip/c/e.rs:2)\n  f uses e (src/sip/c/f.rs:1)"
    );
    for free in [
        &[
            ("src/sip/a.rs", "use super::b::B;"),
            ("src/sip/b.rs", "use super::A;"),
            ("src/sip/mod.rs", "pub use a::A;"),
        ][..],
        &[("src/sip/a.rs", "use super::b;"), ("src/sip/b.rs", "#[cfg(test)]\nuse super::a;")],
        &[("src/sip/a.rs", "use crate::sip::a::c;"), ("src/sip/a/c.rs", "use super::A;")],
        &[("src/sip/a.rs", "use crate::net::a;"), ("src/net/a.rs", "use crate::sip::a;")],
    ] {
        assert_eq!(circle_of(free), "", "{free:?}");
    }
}

#[test]
fn the_other_rules_catch_what_they_are_for() {
    assert_eq!(rsip_faults("src/net/udp.rs", "use rsip::Method;").len(), 1);
    assert_eq!(rsip_faults("src/lib.rs", "pub use rsip;").len(), 1);
    assert_eq!(rsip_faults("src/sip/message.rs", "use rsip::Method;").len(), 0);
    for parser in ["SipMessage::try_from", "Uri::from_str", "message::sip_message::Tokenizer::tokenize"] {
        let source = format!("fn f() {{ rsip::{parser}(b); }}");
        assert_eq!(rsip_faults("src/sip/convert.rs", &source).len(), 1, "{parser}");
    }

    assert_eq!(cli_faults("src/net/mod.rs", "use crate::{cli::Exit, sip::Uri};").len(), 1);
    assert_eq!(cli_faults("src/other.rs", "use super::cli::Exit;").len(), 1);
    assert_eq!(cli_faults("src/main.rs", "fn main() { sipreg::cli::run(); }").len(), 0);

    assert_eq!(stdout_faults("src/cli/mod.rs", "fn f() { println!(\"x\"); print!(\"y\") }").len(), 2);
    let named = "use std::io::stdout; fn f() { std::io::stdout(); }";
    assert_eq!(stdout_faults("src/cli/mod.rs", named).len(), 2);
    assert_eq!(stdout_faults("src/cli/mod.rs", "fn f() { eprintln!(\"x\"); } // println!").len(), 0);
    assert_eq!(stdout_faults("src/cli/serve.rs", "fn f() { command.stdout(Stdio::null()); }").len(), 0);
    assert_eq!(stdout_faults("src/cli/report/mod.rs", "fn f() { println!(\"x\"); }").len(), 0);
}
