//! Command line, environment, account, defaults, built-in: one line per situation.

use super::*;
use crate::proto::client::plan::Purpose;
use crate::proto::locate::Families;

fn file(defaults: &str, account: &str) -> String {
    format!("[defaults]\n{defaults}\n[accounts.work]\naor = \"w@munich.de\"\n{account}\n")
}

#[test]
fn values() {
    for (typed, account_says, defaults_say, seconds) in [
        (&["-e", "1"][..], "expires = 2", "expires = 3", 1),
        (&["-e", "1"], "", "expires = 3", 1),
        (&[], "expires = 2", "expires = 3", 2),
        (&[], "expires = 2", "", 2),
        (&[], "", "expires = 3", 3),
        (&[], "", "", 3600),
    ] {
        let text = file(defaults_say, account_says);
        let account = account(&text, &[&["register", "work"], typed].concat());
        assert_eq!(account.plan.purpose, Purpose::Bind { expires: Some(seconds) }, "{typed:?} {text}");
    }
}

/// 0 undoes what a weaker one says.
#[test]
fn no_more_tries() {
    for (typed, account_says, defaults_say, seconds) in [
        (&["--retry-for", "0"][..], "retry_for = 60", "", 0),
        (&["--retry-for", "0s"], "", "retry_for = 60", 0),
        (&[], "retry_for = 0", "retry_for = 60", 0),
        (&[], "retry_for = \"0\"", "retry_for = 60", 0),
        (&[], "", "retry_for = 60", 60),
    ] {
        let account = account(&file(defaults_say, account_says), &[&["register", "work"], typed].concat());
        assert_eq!(account.plan.retry_for.as_secs(), seconds, "{typed:?} {account_says}");
    }
}

/// Lists don't add up: the strongest one counts.
#[test]
fn lists() {
    for (typed, account_says, defaults_say, route) in [
        (&["--proxy", "a", "--proxy", "b"][..], "proxy = \"c\"", "proxy = [\"d\", \"e\"]", &["a", "b"][..]),
        (&[], "proxy = \"c\"", "proxy = [\"d\", \"e\"]", &["c"]),
        (&[], "", "proxy = [\"d\", \"e\"]", &["d", "e"]),
        (&[], "proxy = []", "proxy = [\"d\", \"e\"]", &[]),
    ] {
        let account = account(&file(defaults_say, account_says), &[&["register", "work"], typed].concat());
        let hosts: Vec<_> = account.plan.route.iter().map(|uri| uri.host.to_string()).collect();
        assert_eq!(hosts, route);
    }
}

/// What excludes each other is one question with one answer.
#[test]
fn what_excludes_each_other() {
    for (typed, account_says, defaults_say, families) in [
        (&["-6"][..], "ipv4 = true", "", Families::V6),
        (&["-4"], "", "ipv6 = true", Families::V4),
        (&[], "ipv4 = true", "ipv6 = true", Families::V4),
        (&[], "ipv6 = false", "ipv6 = true", Families::Both),
        (&[], "ipv4 = false", "ipv6 = true", Families::V6),
    ] {
        let account = account(&file(defaults_say, account_says), &[&["register", "work"], typed].concat());
        assert_eq!(account.plan.families, families, "{typed:?} {account_says} {defaults_say}");
    }
    let quiet = |typed: &[&str], one: &str, two: &str| {
        let settings = account(&file(two, one), &[&["register", "work"], typed].concat()).settings;
        (settings.quiet, settings.verbosity)
    };
    assert_eq!(quiet(&["-v"], "quiet = true", ""), (false, 1));
    assert_eq!(quiet(&["-q"], "verbose = 2", ""), (true, 0));
    assert_eq!(quiet(&[], "quiet = true", "verbose = 1"), (true, 0));
    assert_eq!(quiet(&[], "verbose = 1", "quiet = true"), (false, 1));
    assert_eq!(quiet(&["-vv"], "verbose = 1", ""), (false, 2));
    let remembers = |typed: &[&str], one: &str, two: &str| {
        account(&file(two, one), &[&["register", "work"], typed].concat()).state.is_some()
    };
    assert!(remembers(&["--state-dir", "x"], "stateless = true", ""));
    assert!(!remembers(&["--stateless"], "state_dir = \"x\"", ""));
    assert!(remembers(&[], "state_dir = \"x\"", "stateless = true"));
    assert!(!remembers(&[], "stateless = true", "state_dir = \"x\""));
    let dry = account(&file("json = true", ""), &["register", "work", "--dry-run"]);
    assert!(dry.net.dry_run && !dry.settings.json);
    // Nor is the complaint, where there is no such request.
    let refused =
        Home::with("[defaults]\njson = true").resolved(&["register", "nobody", "--dry-run"]).err().unwrap();
    assert!(!refused.0.json);
}

/// Which secret counts: its text, and the user's name that goes with it. Secrets of realms come first.
#[test]
fn secrets() {
    let realm = "[[accounts.work.credentials]]\nrealm = \"r\"\npassword = \"realm\"\nusername = \"ru\"\n";
    let any = "[[accounts.work.credentials]]\npassword = \"any\"\n";
    let both = format!("password = \"account\"\n{realm}");
    for (typed, environment, account_says, defaults_say, counting) in [
        (
            &["--password", "typed"][..],
            Some("env"),
            "password = \"account\"",
            "password = \"defaults\"",
            &["w typed"][..],
        ),
        (&[], Some("env"), "password = \"account\"", "password = \"defaults\"", &["w env"]),
        (&[], Some(""), "password = \"account\"", "password = \"defaults\"", &["w account"]),
        (&[], None, "", "password = \"defaults\"", &["w defaults"]),
        (&[], None, any, "password = \"defaults\"", &["w any"]),
        (&[], None, &both, "password = \"defaults\"", &["r: ru realm", "w account"]),
        (&[], None, realm, "password = \"defaults\"", &["r: ru realm", "w defaults"]),
        (&[], None, realm, "", &["r: ru realm"]),
        (&[], Some("env"), &both, "", &["w env"]),
        (&["-u", "t"], None, &both, "", &["r: t realm", "t account"]),
        (&["--realm", "r"], None, &both, "", &["r: ru realm", "w account"]),
        (&["--realm", "other"], None, &both, "", &["w account"]),
        (&[], None, "username = \"u\"\npassword = \"account\"", "username = \"d\"", &["u account"]),
    ] {
        let mut home = Home::with(file(defaults_say, account_says));
        home.environment.password = environment.map(OsString::from);
        let account = home.account(&[&["register", "work"], typed].concat()).ok().unwrap();
        assert_eq!(secrets::unlocked(account), counting, "{typed:?} {environment:?} {account_says}");
    }
}
