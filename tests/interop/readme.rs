//! The examples of the README's section "In shell loops", run as they stand there: `sipreg` is the program with the
//! laboratory for a registrar, `sleep` does not sleep, `alert` writes down what it is told.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::device::{self, Device};
use crate::lab::{Lab, Port};
use crate::run::{self, Ran};

const PHONE: &str = "sip:phone@192.0.2.7:5060";

/// The registrar is where the file says, so that it can fail and come back.
const PROGRAM: &str = "#!/bin/sh\nexec \"$PROGRAM\" \"$@\" --registrar \"$(cat \"$PLACE/registrar\")\"\n";

/// What is between is as long as the user likes; here it is when the registrar comes back, or goes away.
const SLEEP: &str = "#!/bin/sh\necho \"$*\" >> \"$PLACE/slept\"\ncp \"$PLACE/then\" \"$PLACE/registrar\"\n";

const ALERT: &str = "#!/bin/sh\necho \"$*\" >> \"$PLACE/alerts\"\n";

/// The blocks of the section.
fn examples() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("\n### In shell loops\n").nth(1).expect("the section");
    let section = section.split("\n##").next().unwrap();
    let blocks: Vec<String> = section
        .split("```bash\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect();
    assert_eq!(section.matches("```").count(), 2 * blocks.len(), "all of them are bash");
    blocks
}

/// The example that has this in it.
fn example(part: &str) -> String {
    let mut found = examples().into_iter().filter(|block| block.contains(part));
    let block = found.next().unwrap_or_else(|| panic!("no example has {part}"));
    assert!(found.next().is_none(), "more than one example has {part}");
    block
}

/// A folder to run examples in, and a person's device there.
struct Place {
    folder: TempDir,
    device: Device,
    lab: &'static Lab,
}

impl Place {
    fn at(domain: &str) -> Place {
        let (folder, lab) = (tempfile::tempdir().unwrap(), Lab::shared());
        let place = Place { folder, device: Device::at(domain), lab };
        for (name, script) in [("sipreg", PROGRAM), ("sleep", SLEEP), ("alert", ALERT)] {
            place.write(name, script);
            let path = place.folder.path().join(name);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        place.registrar(Port::Sip);
        place
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// A file that an example has written; empty where there is none.
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn registrar(&self, port: Port) {
        self.write("registrar", &format!("127.0.0.1:{}\n", self.lab.port(port)));
    }

    fn registrar_after_sleep(&self, port: Port) {
        self.write("then", &format!("127.0.0.1:{}\n", self.lab.port(port)));
    }

    fn runs(&self, part: &str) -> Ran {
        self.runs_with(part, "uncertainty")
    }

    fn runs_with(&self, part: &str, password: &str) -> Ran {
        let path = self.folder.path();
        let child = Command::new("setsid")
            .args(["--wait", "bash", "-u", "-o", "pipefail", "-c", &example(part)])
            .current_dir(path)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
            .env("PLACE", path)
            .env("PROGRAM", env!("CARGO_BIN_EXE_sipreg"))
            .env("HOME", path)
            .env("XDG_STATE_HOME", self.device.state().parent().unwrap())
            .env("AOR", self.device.aor())
            .env("PHONE", PHONE)
            .env("SIPREG_PASSWORD", password)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        run::finish(child)
    }
}

/// Ended with that status, and said that.
fn assert_ended(ran: &Ran, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(code), stdout, stderr),
        "{}",
        ran.all()
    );
}

const READ: &str = "while read -r aor file";
const XARGS: &str = "xargs -P";
const UNTIL: &str = "until sipreg";
const RETRY: &str = "--retry-for";
const TRAP: &str = "trap ";
const STAY: &str = "while true";
const WATCH: &str = "case $? in";
const TABLE: &str = "@tsv";
const ENDING: &str = "select(.expires";
const OTHERS: &str = "select(.own | not)";

#[test]
fn every_example_of_the_readme_is_run_by_a_test() {
    let parts = [READ, XARGS, UNTIL, RETRY, TRAP, STAY, WATCH, TABLE, ENDING, OTHERS];
    let run: BTreeSet<String> = parts.iter().map(|part| example(part)).collect();
    assert_eq!(run, examples().into_iter().collect());
}

#[test]
fn a_loop_over_accounts_registers_each_and_tells_which_failed() {
    let place = Place::at("loop1");
    place.write("his", "uncertainty\n");
    place.write("wrong", "certainty\n");
    let accounts: String = [("loop1", "his"), ("loop2", "wrong"), ("loop3", "his")]
        .iter()
        .map(|(domain, file)| format!("heisenberg@{domain}.munich.de {file}\n"))
        .collect();
    place.write("accounts.txt", &accounts);
    let ran = place.runs(READ);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.all());
    assert!(ran.stderr.ends_with("\nheisenberg@loop2.munich.de: exit 3\n"), "{}", ran.all());
    let bound = ["loop1", "loop2", "loop3"].map(|domain| Device::at(domain).bound().len());
    assert_eq!(bound, [1, 0, 1]);
}

#[test]
fn xargs_registers_many_at_a_time() {
    let place = Place::at("xargs");
    let address = |n: usize| format!("heisenberg@xargs{n}.munich.de");
    let addresses: String = (1..=24).map(|n| address(n) + "\n").collect();
    place.write("addresses.txt", &addresses);
    assert_ended(&place.runs(XARGS), 0, "", "");
    for n in [1, 12, 24] {
        assert_eq!(Device::at(&format!("xargs{n}")).bound().len(), 1);
    }
    assert_eq!(place.device.files("json").len(), 24);
    place.write("addresses.txt", &(addresses + "heisenberg@e404.munich.de\n"));
    let ran = place.runs(XARGS);
    assert_eq!(ran.code, Some(123), "{}", ran.all());
    assert!(ran.stderr.contains("heisenberg@e404.munich.de: exit 1\n"), "{}", ran.all());
    assert_eq!(Device::at("xargs7").bound().len(), 1, "refreshed, not bound twice");
}

#[test]
fn until_goes_on_until_the_registrar_is_back() {
    let place = Place::at("until");
    place.registrar(Port::Dead);
    place.registrar_after_sleep(Port::Sip);
    let ran = place.runs(UNTIL);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.all());
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.all());
    assert_eq!((place.read("slept").as_str(), place.device.bound().len()), ("5\n", 1));
}

#[test]
fn sipreg_itself_waits_and_gives_up_where_waiting_is_no_use() {
    let place = Place::at("busy1");
    let ran = place.runs(RETRY);
    assert_ended(&ran, 0, &format!("{} is bound\n", place.device.aor()), "");
    let ran = place.runs_with(RETRY, "certainty");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{}", ran.all());
}

#[test]
fn a_script_is_bound_as_long_as_it_runs() {
    let place = Place::at("trap");
    assert_ended(&place.runs(TRAP), 0, "", "");
    let seen = serde_json::from_str(&place.read("while-bound.json")).unwrap();
    assert_eq!((device::uris(&seen).len(), place.device.bound().len()), (1, 0));
    let ran = place.runs_with(TRAP, "certainty");
    assert_eq!(ran.code, Some(3), "{}", ran.all());
}

#[test]
fn a_loop_stays_bound_until_something_goes_wrong() {
    let place = Place::at("stay");
    place.registrar_after_sleep(Port::Dead);
    let ran = place.runs(STAY);
    assert_eq!(place.read("slept"), "300\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{}", ran.all());
    assert!(ran.stderr.contains("connection refused"), "{}", ran.all());
    assert_eq!(place.device.bound().len(), 1);
}

#[test]
fn a_watch_alerts_by_the_exit_status() {
    let place = Place::at("watch");
    let alerts = |place: &Place, password: &str| {
        place.write("alerts", "");
        let ran = place.runs_with(WATCH, password);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.all());
        place.read("alerts")
    };
    assert_eq!(alerts(&place, "uncertainty"), format!("{PHONE} is not registered\n"));
    place.device.does(&["register", "--contact", PHONE]);
    assert_eq!(alerts(&place, "uncertainty"), "");
    let aor = place.device.aor();
    assert_eq!(alerts(&place, "certainty"), format!("the password of {aor} is not accepted\n"));
    place.registrar(Port::Dead);
    assert_eq!(alerts(&place, "uncertainty"), format!("the registrar of {aor} does not answer\n"));
    let refused = Place::at("e500");
    assert_eq!(
        alerts(&refused, "uncertainty"),
        format!("something is wrong with {}\n", refused.device.aor())
    );
}

#[test]
fn jq_makes_a_table_and_finds_what_runs_out() {
    let place = Place::at("jq");
    let soon = "<sip:soon@192.0.2.8;transport=tcp>;q=0.25;expires=120";
    place.device.does(&["register", "--contact", PHONE, "--contact", soon]);
    let ran = place.runs(TABLE);
    let table: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((ran.code, table.len()), (Some(0), 2), "{}", ran.all());
    assert_eq!((table[0][0], table[0][2]), ("1", PHONE));
    assert_eq!((table[1][0], table[1][2]), ("0.25", "sip:soon@192.0.2.8;transport=tcp"));
    assert!(table[0][1].parse::<u32>().unwrap() > 3500);
    assert_ended(&place.runs(ENDING), 0, "sip:soon@192.0.2.8;transport=tcp\n", "");
}

/// DES-023, REG-011.
#[test]
fn a_loop_removes_every_binding_but_this_devices() {
    let place = Place::at("others");
    let own = place.device.does(&["register"])["contact"].as_str().unwrap().to_owned();
    place.device.does(&[
        "register",
        "--contact",
        PHONE,
        "--contact",
        "<sip:soft@192.0.2.8;transport=tcp>;q=0.5",
    ]);
    place.device.sibling().does(&["register"]);
    assert_eq!(place.device.bound().len(), 4);
    assert_ended(&place.runs(OTHERS), 0, "", "");
    assert_eq!(place.device.bound(), [own]);
}
