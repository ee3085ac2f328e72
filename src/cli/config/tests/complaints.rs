//! Every complaint about the form, word for word; about values: `values`.

use super::*;

pub const WORK: &str = "[accounts.work]\naor = \"sip:w@munich.de\"\n";

pub fn all<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut said = String::new();
    for text in texts {
        said += &format!(
            "> {}\n{}",
            text.replace('\n', " | "),
            Home::with(text).complaint(&["register", "work"])
        );
    }
    said
}

#[test]
fn syntax() {
    insta::assert_snapshot!(all([
        "[accounts.work",
        "aor",
        "[defaults]\nexpires = ",
        "[defaults]\nexpires = 5\nexpires = 6",
        "[defaults]\n[defaults]",
        "[defaults]\nregistrar = munich.de",
        "[defaults]\nuser_agent = \"unfinished",
        "[defaults]\nexpires = 1979-99-27",
        "[accounts.work]\ncredentials = 1\n[[accounts.work.credentials]]",
        "= 5",
    ]), @r#"
    > [accounts.work
    FILE:1:15: this is not TOML: unclosed table, expected `]`
    > aor
    FILE:1:4: this is not TOML: key with no value, expected `=`
    > [defaults] | expires = 
    FILE:2:11: this is not TOML: string values must be quoted, expected literal string
    > [defaults] | expires = 5 | expires = 6
    FILE:3:1: this is not TOML: duplicate key
    > [defaults] | [defaults]
    FILE:2:2: this is not TOML: duplicate key
    > [defaults] | registrar = munich.de
    FILE:2:13: this is not TOML: string values must be quoted, expected literal string
    > [defaults] | user_agent = "unfinished
    FILE:2:25: this is not TOML: invalid basic string, expected `"`
    > [defaults] | expires = 1979-99-27
    FILE:2:11: this is not TOML: invalid date, expected month between 01 and 12
    > [accounts.work] | credentials = 1 | [[accounts.work.credentials]]
    FILE:3:17: this is not TOML: duplicate key
    > = 5
    FILE:1:1: this is not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
    "#);
    let home = Home::with(b"[defaults]\nuser_agent = \"gr\xfc\xdfe\"\n");
    insta::assert_snapshot!(home.complaint(&["register", "work"]), @"FILE:2:17: this is not UTF-8");
}

#[test]
fn tables_and_keys() {
    insta::assert_snapshot!(all([
        "[default]",
        "[account.work]",
        "[zebra]",
        "expires = 5",
        "defaults = 1",
        "[[defaults]]",
        "[[accounts]]",
        "accounts = []",
        "[accounts]\nwork = \"sip:w@munich.de\"",
        "[accounts]\naor = \"sip:w@munich.de\"",
        "[accounts.\"w@munich.de\"]",
        "[accounts.\"\"]",
        "[accounts.work]",
        "[accounts.\"m\\u001bx\"]",
        "[defaults]\naor = \"sip:w@munich.de\"",
        "[defaults]\ncredentials = []",
        "[defaults]\nexpire = 5",
        "[defaults]\npassword-file = \"x\"",
        "[defaults]\ndry_run = true",
        "[defaults]\ntls_ca = \"x\"",
        "[defaults]\nxyzzy = \"x\"",
        "[accounts.\"at home\"]\nexpirse = 1",
        "[[accounts.work.credentials]]\naor = \"x\"",
        "[[accounts.work.credentials]]\nrealms = \"x\"",
    ]), @r#"
    > [default]
    FILE:1:2: there is no table or key "default"
      (did you mean defaults?)
    > [account.work]
    FILE:1:2: there is no table or key "account"
      (did you mean accounts?)
    > [zebra]
    FILE:1:2: there is no table or key "zebra"
      (a file has [defaults] and [accounts.NAME])
    > expires = 5
    FILE:1:1: expires stands in no table
      (put it below [defaults] or [accounts.NAME])
    > defaults = 1
    FILE:1:12: defaults: an integer can't be used here
      (write [defaults], and the keys below it)
    > [[defaults]]
    FILE:1:1: defaults: an array can't be used here
      (write [defaults], and the keys below it)
    > [[accounts]]
    FILE:1:1: accounts: an array can't be used here
      (write [accounts.NAME], and the keys below it)
    > accounts = []
    FILE:1:12: accounts: an array can't be used here
      (write [accounts.NAME], and the keys below it)
    > [accounts] | work = "sip:w@munich.de"
    FILE:2:8: accounts: a string can't be used here
      (write [accounts.work], and the account below it)
    > [accounts] | aor = "sip:w@munich.de"
    FILE:2:7: accounts: a string can't be used here
      (aor goes into the table of one account: [accounts.NAME])
    > [accounts."w@munich.de"]
    FILE:1:11: accounts: "w@munich.de" is no name for an account
      (a name is neither empty nor an address; the address goes into aor)
    > [accounts.""]
    FILE:1:11: accounts: "" is no name for an account
      (a name is neither empty nor an address; the address goes into aor)
    > [accounts.work]
    FILE:1:11: the account "work" has no aor
      (the address that people call: aor = "sip:you@example.com")
    > [accounts."m\u001bx"]
    FILE:1:11: the account "m\u{1b}x" has no aor
      (the address that people call: aor = "sip:you@example.com")
    > [defaults] | aor = "sip:w@munich.de"
    FILE:2:1: aor does not belong in [defaults]
      (it belongs to one account: [accounts.NAME])
    > [defaults] | credentials = []
    FILE:2:1: credentials does not belong in [defaults]
      (it belongs to one account: [accounts.NAME])
    > [defaults] | expire = 5
    FILE:2:1: there is no key "expire" for [defaults]
      (did you mean expires?)
    > [defaults] | password-file = "x"
    FILE:2:1: there is no key "password-file" for [defaults]
      (did you mean password_file?)
    > [defaults] | dry_run = true
    FILE:2:1: dry_run belongs on the command line, not in a file
    > [defaults] | tls_ca = "x"
    FILE:2:1: there is no key "tls_ca" for [defaults]
      (keys are the long options of 'sipreg register --help', with _ for each -)
    > [defaults] | xyzzy = "x"
    FILE:2:1: there is no key "xyzzy" for [defaults]
      (keys are the long options of 'sipreg register --help', with _ for each -)
    > [accounts."at home"] | expirse = 1
    FILE:2:1: there is no key "expirse" for [accounts."at home"]
      (did you mean expires?)
    > [[accounts.work.credentials]] | aor = "x"
    FILE:2:1: aor does not belong in [[accounts.work.credentials]]
      (here are realm, username and one of password_command, password_file, password, ha1, ha1_file)
    > [[accounts.work.credentials]] | realms = "x"
    FILE:2:1: there is no key "realms" for [[accounts.work.credentials]]
      (did you mean realm?)
    "#);
}

#[test]
fn types() {
    insta::assert_snapshot!(all([
        "[defaults]\nregistrar = 5",
        "[defaults]\nexpires = true",
        "[defaults]\nexpires = 1979-05-27",
        "[defaults]\ncontact = [\"sip:w@192.0.2.1\", 5]",
        "[defaults]\nproxy = { uri = \"x\" }",
        "[defaults]\nipv4 = \"yes\"",
        "[defaults]\nverbose = 3",
        "[defaults]\nverbose = true",
        "[defaults]\npassword = 12345",
        "[defaults]\npassword_command = \"pass show sip\"",
        "[defaults]\npassword_command = []",
        "[defaults]\npassword_command = [\"\"]",
        "[accounts.work]\naor = [\"sip:w@munich.de\"]",
        "[accounts.work]\ncredentials = { realm = \"x\" }",
        "[accounts.work]\ncredentials = [\"x\"]",
    ]), @r#"
    > [defaults] | registrar = 5
    FILE:2:13: registrar: an integer can't be used here
      (write a string: registrar = "...")
    > [defaults] | expires = true
    FILE:2:11: expires: a boolean can't be used here
      (write a string or a number: expires = "...")
    > [defaults] | expires = 1979-05-27
    FILE:2:11: expires: a date or time can't be used here
      (write a string or a number: expires = "...")
    > [defaults] | contact = ["sip:w@192.0.2.1", 5]
    FILE:2:31: contact: an integer can't be used here
      (write a string, or several: contact = ["...", "..."])
    > [defaults] | proxy = { uri = "x" }
    FILE:2:9: proxy: a table can't be used here
      (write a string, or several: proxy = ["...", "..."])
    > [defaults] | ipv4 = "yes"
    FILE:2:8: ipv4: a string can't be used here
      (write ipv4 = true or ipv4 = false)
    > [defaults] | verbose = 3
    FILE:2:11: verbose: an integer can't be used here
      (write verbose = 0, verbose = 1 or verbose = 2)
    > [defaults] | verbose = true
    FILE:2:11: verbose: a boolean can't be used here
      (write verbose = 0, verbose = 1 or verbose = 2)
    > [defaults] | password = 12345
    FILE:2:12: password: an integer can't be used here
      (write it as a string: password = "...")
    > [defaults] | password_command = "pass show sip"
    FILE:2:20: password_command: a string can't be used here
      (write program and arguments: password_command = ["pass", "show", "sip"])
    > [defaults] | password_command = []
    FILE:2:20: password_command: there is no program
      (write program and arguments: password_command = ["pass", "show", "sip"])
    > [defaults] | password_command = [""]
    FILE:2:20: password_command: there is no program
      (write program and arguments: password_command = ["pass", "show", "sip"])
    > [accounts.work] | aor = ["sip:w@munich.de"]
    FILE:2:7: aor: an array can't be used here
      (write a string: aor = "...")
    > [accounts.work] | credentials = { realm = "x" }
    FILE:2:15: credentials: a table can't be used here
      (write [[accounts.work.credentials]], and below it realm, username and a secret)
    > [accounts.work] | credentials = ["x"]
    FILE:2:16: credentials: a string can't be used here
      (write [[accounts.work.credentials]], and below it realm, username and a secret)
    "#);
}

#[test]
fn two_where_one_is_meant() {
    let credential = "[[accounts.work.credentials]]\npassword = \"a\"\n";
    let md5 = format!("ha1 = \"{}\"", "a".repeat(32));
    let sha = format!("ha1 = \"SHA-256:{}\"", "b".repeat(64));
    let realms = |one: &str, first: &str, other: &str, second: &str| {
        let credential =
            |realm, line| format!("[[accounts.work.credentials]]\nrealm = \"{realm}\"\n{line}\n");
        format!("{WORK}{}{}", credential(one, first), credential(other, second))
    };
    insta::assert_snapshot!(all([
        "[defaults]\npassword = \"a\"\npassword_file = \"b\"",
        "[defaults]\nipv4 = true\nipv6 = true",
        "[defaults]\nstateless = true\nstate_dir = \"x\"",
        "[defaults]\nverbose = 1\nquiet = true",
        &format!("{WORK}ha1 = \"a\"\n{credential}"),
        &format!("{WORK}{credential}{credential}"),
        &format!("{WORK}{credential}ha1 = \"x\""),
        "[[accounts.work.credentials]]\nrealm = \"a\"",
        &realms("a", "password = \"x\"", "a", "password_file = \"x\""),
        &realms("a", "password = \"x\"", "a", &md5),
        &realms("a", &md5, "a", &md5),
        &realms("a", &md5, "a", &sha),
        &realms("a", &md5, "a", "ha1_file = \"x\""),
        &realms("a", "password = \"x\"", "A", "password = \"x\""),
        &format!("{WORK}[[accounts.work.credentials]]\n{md5}\n[[accounts.work.credentials]]\n{md5}"),
        &format!(
            "{WORK}[[accounts.work.credentials]]\n{md5}\n[[accounts.work.credentials]]\n{sha}\n\
             [[accounts.work.credentials]]\nrealm = \"a\"\npassword = \"x\""
        ),
        &format!("{WORK}ipv4 = true\nipv6 = false\nverbose = 0\nquiet = true\nstateless = false\nstate_dir = \"x\""),
    ]), @r#"
    > [defaults] | password = "a" | password_file = "b"
    FILE:3:1: password_file is a second secret beside password
      (keep one; those of other realms go into [[accounts.NAME.credentials]], with realm)
    > [defaults] | ipv4 = true | ipv6 = true
    FILE:3:1: ipv6 can't be used with ipv4
      (keep one of them)
    > [defaults] | stateless = true | state_dir = "x"
    FILE:3:1: state_dir can't be used with stateless
      (keep one of them)
    > [defaults] | verbose = 1 | quiet = true
    FILE:3:1: quiet can't be used with verbose
      (keep one of them)
    > [accounts.work] | aor = "sip:w@munich.de" | ha1 = "a" | [[accounts.work.credentials]] | password = "a" | 
    FILE:4:1: credentials: this is a second secret for whatever realm asks
      (give all but one a realm)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | password = "a" | [[accounts.work.credentials]] | password = "a" | 
    FILE:5:1: credentials: this is a second secret for whatever realm asks
      (give all but one a realm)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | password = "a" | ha1 = "x"
    FILE:5:1: ha1 is a second secret beside password
      (keep one; those of other realms go into [[accounts.NAME.credentials]], with realm)
    > [[accounts.work.credentials]] | realm = "a"
    FILE:1:1: credentials: there is no secret
      (add password_command, password_file, password, ha1 or ha1_file)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | realm = "a" | password = "x" | [[accounts.work.credentials]] | realm = "a" | password_file = "x" | 
    FILE:6:1: credentials: this is a second secret for the realm "a"
      (keep one of them; only HA1s of different algorithms go together)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | realm = "a" | password = "x" | [[accounts.work.credentials]] | realm = "a" | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | 
    FILE:6:1: credentials: this is a second secret for the realm "a"
      (keep one of them; only HA1s of different algorithms go together)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | realm = "a" | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | [[accounts.work.credentials]] | realm = "a" | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | 
    FILE:6:1: credentials: this is a second secret for the realm "a"
      (keep one of them; only HA1s of different algorithms go together)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | realm = "a" | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | [[accounts.work.credentials]] | realm = "a" | ha1 = "SHA-256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" | 
    taken
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | realm = "a" | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | [[accounts.work.credentials]] | realm = "a" | ha1_file = "x" | 
    taken
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | realm = "a" | password = "x" | [[accounts.work.credentials]] | realm = "A" | password = "x" | 
    taken
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | [[accounts.work.credentials]] | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    FILE:5:1: credentials: this is a second secret for whatever realm asks
      (give all but one a realm)
    > [accounts.work] | aor = "sip:w@munich.de" | [[accounts.work.credentials]] | ha1 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | [[accounts.work.credentials]] | ha1 = "SHA-256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" | [[accounts.work.credentials]] | realm = "a" | password = "x"
    taken
    > [accounts.work] | aor = "sip:w@munich.de" | ipv4 = true | ipv6 = false | verbose = 0 | quiet = true | stateless = false | state_dir = "x"
    taken
    "#);
}

#[test]
fn accounts_that_nobody_knows() {
    let mut said = String::new();
    for text in ["", WORK, "[accounts.home]\naor = \"a@b\"\n[accounts.office]\naor = \"a@b\""] {
        let home = Home::with(text);
        for name in ["wrok", "zzz", "w\u{1b}k"] {
            said += &home.complaint(&["register", name]);
        }
    }
    insta::assert_snapshot!(said, @r#"
    AOR: "wrok" is neither an address nor an account of FILE
      (there are no accounts; an address is sip:user@domain, or user@domain for short)
    AOR: "zzz" is neither an address nor an account of FILE
      (there are no accounts; an address is sip:user@domain, or user@domain for short)
    AOR: "w\u{1b}k" is neither an address nor an account of FILE
      (there are no accounts; an address is sip:user@domain, or user@domain for short)
    AOR: "wrok" is neither an address nor an account of FILE
      (did you mean work?)
    AOR: "zzz" is neither an address nor an account of FILE
      (accounts: work; an address is sip:user@domain, or user@domain for short)
    AOR: "w\u{1b}k" is neither an address nor an account of FILE
      (did you mean work?)
    AOR: "wrok" is neither an address nor an account of FILE
      (accounts: home, office; an address is sip:user@domain, or user@domain for short)
    AOR: "zzz" is neither an address nor an account of FILE
      (accounts: home, office; an address is sip:user@domain, or user@domain for short)
    AOR: "w\u{1b}k" is neither an address nor an account of FILE
      (accounts: home, office; an address is sip:user@domain, or user@domain for short)
    "#);
    let nowhere = Environment { home: Some("/does/not/exist".into()), ..Environment::default() };
    for environment in [&nowhere, &Environment::default()] {
        let Command::List(args) = Args::try_parse_from(["sipreg", "list", "bob"]).unwrap().command else {
            panic!("another command")
        };
        let mut typed: Typed = (*args.0).into();
        said = format!("{:?}", consult(&mut typed, environment).err().unwrap());
        assert!(
            said.contains("has no @") && said.contains("user@domain") && said.contains("onfig"),
            "{said}"
        );
    }
}
