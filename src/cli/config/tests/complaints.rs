//! Every kind of complaint about the file, word for word. Values have the same rules as on the command line, where
//! each has its test; here it is how they are read and told.

use super::*;

const WORK: &str = "[accounts.work]\naor = \"sip:w@munich.de\"\n";

/// What is said of each text, with ` | ` for its line ends and without the lines of [`WORK`].
fn all<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut said = String::new();
    for text in texts {
        let complaint = Home::with(text.as_ref()).complaint(&["register", "work"]);
        said += &format!("> {}\n{complaint}", text.as_ref().replace('\n', " | "));
    }
    said.replace("[accounts.work] | aor = \"sip:w@munich.de\" | ", "")
}

fn work(line: &str) -> String {
    format!("{WORK}{line}")
}

#[test]
fn syntax() {
    insta::assert_snapshot!(all([
        "[accounts.work",
        "[defaults]\nexpires = 5\nexpires = 6",
        "[defaults]\nregistrar = munich.de",
        "[defaults]\nexpires = 1979-99-27",
    ]), @r#"
    > [accounts.work
    FILE:1:15: this is not TOML: unclosed table, expected `]`
    > [defaults] | expires = 5 | expires = 6
    FILE:3:1: this is not TOML: duplicate key
    > [defaults] | registrar = munich.de
    FILE:2:13: this is not TOML: string values must be quoted, expected literal string
    > [defaults] | expires = 1979-99-27
    FILE:2:11: this is not TOML: invalid date, expected month between 01 and 12
    "#);
    let home = Home::with(b"[defaults]\nuser_agent = \"gr\xfc\xdfe\"\n");
    insta::assert_snapshot!(home.complaint(&["register", "work"]), @"FILE:2:17: this is not UTF-8");
}

#[test]
fn tables_and_keys() {
    insta::assert_snapshot!(all([
        "[account.work]",
        "[zebra]",
        "expires = 5",
        "[[defaults]]",
        "accounts = []",
        "[accounts]\nwork = \"sip:w@munich.de\"",
        "[accounts]\naor = \"sip:w@munich.de\"",
        "[accounts.\"w@munich.de\"]",
        "[accounts.\"m\\u001bx\"]",
        "[defaults]\naor = \"sip:w@munich.de\"",
        "[defaults]\npassword-file = \"x\"",
        "[defaults]\ndry_run = true",
        "[defaults]\nconfig = \"x\"",
        "[defaults]\nxyzzy = \"x\"",
        "[accounts.\"at home\"]\nexpirse = 1",
        "[[accounts.work.credentials]]\naor = \"x\"",
        "[[accounts.work.credentials]]\nrealms = \"x\"",
    ]), @r#"
    > [account.work]
    FILE:1:2: there is no table or key "account"
      (did you mean accounts?)
    > [zebra]
    FILE:1:2: there is no table or key "zebra"
      (a file has [defaults] and [accounts.NAME])
    > expires = 5
    FILE:1:1: expires: stands in no table
      (put it below [defaults] or [accounts.NAME])
    > [[defaults]]
    FILE:1:1: defaults: an array can't be used here
      (write [defaults], and the keys below it)
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
    > [accounts."m\u001bx"]
    FILE:1:11: the account "m\u{1b}x" has no aor
      (the address that people call: aor = "sip:you@example.com")
    > [defaults] | aor = "sip:w@munich.de"
    FILE:2:1: aor: does not belong in [defaults]
      (it belongs to one account: [accounts.NAME])
    > [defaults] | password-file = "x"
    FILE:2:1: there is no key "password-file" for [defaults]
      (did you mean password_file?)
    > [defaults] | dry_run = true
    FILE:2:1: dry_run: belongs on the command line, not in a file
    > [defaults] | config = "x"
    FILE:2:1: config: belongs on the command line, not in a file
    > [defaults] | xyzzy = "x"
    FILE:2:1: there is no key "xyzzy" for [defaults]
      (keys are the long options of 'sipreg register --help', with _ for each -)
    > [accounts."at home"] | expirse = 1
    FILE:2:1: there is no key "expirse" for [accounts."at home"]
      (did you mean expires?)
    > [[accounts.work.credentials]] | aor = "x"
    FILE:2:1: aor: does not belong in [[accounts.work.credentials]]
      (here are realm, username and one of password_command, password_file, password, no_password, ha1, ha1_file)
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
        "[defaults]\nstate_dir = 1979-05-27",
        "[defaults]\ncontact = [\"sip:w@192.0.2.1\", 5]",
        "[defaults]\nproxy = { uri = \"x\" }",
        "[defaults]\nipv4 = \"yes\"",
        "[defaults]\nverbose = 3",
        "[defaults]\npassword = 12345",
        "[defaults]\npassword_command = \"pass show sip\"",
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
    > [defaults] | state_dir = 1979-05-27
    FILE:2:13: state_dir: a date or time can't be used here
      (write a string: state_dir = "...")
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
    > [defaults] | password = 12345
    FILE:2:12: password: an integer can't be used here
      (write it as a string: password = "...")
    > [defaults] | password_command = "pass show sip"
    FILE:2:20: password_command: a string can't be used here
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
    let credential = |lines: &str| format!("[[accounts.work.credentials]]\n{lines}\n");
    let md5 = format!("ha1 = \"{}\"", "a".repeat(32));
    let sha = format!("ha1 = \"SHA-256:{}\"", "b".repeat(64));
    let realms = |one: &str, other: &str| {
        work(
            &(credential(&format!("realm = \"a\"\n{one}")) + &credential(&format!("realm = \"a\"\n{other}"))),
        )
    };
    let said = all([
        "[defaults]\npassword = \"a\"\npassword_file = \"b\"".to_owned(),
        "[defaults]\nipv4 = true\nipv6 = true".to_owned(),
        work(&format!("ha1 = \"a\"\n{}", credential("password = \"a\""))),
        work(&credential("password = \"a\"\nha1 = \"x\"")),
        credential("realm = \"a\""),
        realms("password = \"x\"", "password_file = \"x\""),
        realms("password = \"x\"", &md5),
        realms(&md5, &md5),
        realms(&md5, &sha),
        realms(&md5, "ha1_file = \"x\""),
        work(&(credential(&md5) + &credential(&md5))),
        work(&(credential(&md5) + &credential(&sha) + &credential("realm = \"a\"\npassword = \"x\""))),
        work("ipv4 = true\nipv6 = false\nverbose = 0\nquiet = true\nstateless = false\nstate_dir = \"x\""),
    ]);
    let short = said.replace(&"a".repeat(32), "AA").replace(&"b".repeat(64), "BB");
    insta::assert_snapshot!(short.replace("[[accounts.work.credentials]]", "[[]]"), @r#"
    > [defaults] | password = "a" | password_file = "b"
    FILE:3:1: password_file: can't be used with password
      (keep one; those of other realms go into [[accounts.NAME.credentials]], with realm)
    > [defaults] | ipv4 = true | ipv6 = true
    FILE:3:1: ipv6: can't be used with ipv4
      (keep one of them)
    > ha1 = "a" | [[]] | password = "a" | 
    FILE:4:1: credentials: this is a second secret for whatever realm asks
      (give all but one a realm)
    > [[]] | password = "a" | ha1 = "x" | 
    FILE:5:1: ha1: can't be used with password
      (keep one; those of other realms go into [[accounts.NAME.credentials]], with realm)
    > [[]] | realm = "a" | 
    FILE:1:1: credentials: there is no secret
      (add password_command, password_file, password, ha1 or ha1_file)
    > [[]] | realm = "a" | password = "x" | [[]] | realm = "a" | password_file = "x" | 
    FILE:6:1: credentials: this is a second secret for the realm "a"
      (keep one of them; only HA1s of different algorithms go together)
    > [[]] | realm = "a" | password = "x" | [[]] | realm = "a" | ha1 = "AA" | 
    FILE:6:1: credentials: this is a second secret for the realm "a"
      (keep one of them; only HA1s of different algorithms go together)
    > [[]] | realm = "a" | ha1 = "AA" | [[]] | realm = "a" | ha1 = "AA" | 
    FILE:6:1: credentials: this is a second secret for the realm "a"
      (keep one of them; only HA1s of different algorithms go together)
    > [[]] | realm = "a" | ha1 = "AA" | [[]] | realm = "a" | ha1 = "SHA-256:BB" | 
    taken
    > [[]] | realm = "a" | ha1 = "AA" | [[]] | realm = "a" | ha1_file = "x" | 
    taken
    > [[]] | ha1 = "AA" | [[]] | ha1 = "AA" | 
    FILE:5:1: credentials: this is a second secret for whatever realm asks
      (give all but one a realm)
    > [[]] | ha1 = "AA" | [[]] | ha1 = "SHA-256:BB" | [[]] | realm = "a" | password = "x" | 
    taken
    > ipv4 = true | ipv6 = false | verbose = 0 | quiet = true | stateless = false | state_dir = "x"
    taken
    "#);
}

#[test]
fn accounts_that_nobody_knows() {
    let mut said = String::new();
    for text in ["", WORK, "[accounts.home]\naor = \"a@b\"\n[accounts.office]\naor = \"a@b\""] {
        for name in ["wrok", "z\u{1b}k"] {
            said += &Home::with(text).complaint(&["register", name]);
        }
    }
    insta::assert_snapshot!(said, @r#"
    AOR: "wrok" is neither an address nor an account of FILE
      (there are no accounts; an address is sip:user@domain, or user@domain for short)
    AOR: "z\u{1b}k" is neither an address nor an account of FILE
      (there are no accounts; an address is sip:user@domain, or user@domain for short)
    AOR: "wrok" is neither an address nor an account of FILE
      (did you mean work?)
    AOR: "z\u{1b}k" is neither an address nor an account of FILE
      (accounts: work; an address is sip:user@domain, or user@domain for short)
    AOR: "wrok" is neither an address nor an account of FILE
      (accounts: home, office; an address is sip:user@domain, or user@domain for short)
    AOR: "z\u{1b}k" is neither an address nor an account of FILE
      (accounts: home, office; an address is sip:user@domain, or user@domain for short)
    "#);
    let nowhere = Environment { home: Some("/does/not/exist".into()), ..Environment::default() };
    for environment in [&nowhere, &Environment::default()] {
        let Command::List(args) = Args::try_parse_from(["sipreg", "list", "bob"]).unwrap().command else {
            panic!("another command")
        };
        let refused = Account::resolve((*args.0).into(), environment).err().unwrap();
        let said = format!("{:?}", refused.1);
        assert!(
            said.contains("has no @") && said.contains("user@domain") && said.contains("onfig"),
            "{said}"
        );
    }
}

/// What the command line says of a value, about the key; also where it turns out later that it can't be used.
#[test]
fn values() {
    let lines = [
        "proxy = [\"p1\", \"mun ich\"]",
        "transport = \"sctp\"",
        "ha1 = \"hunter2\"",
        "password_file = \"\"",
        "header = [\"X-Tenant: 42\", \"Via: hunter2\"]",
        "expires = \"soon\"",
        "expires = -5",
        "expires = 99999999999999999999999999999999999999999",
        "q = 1.5",
        "retry_for = \"0s\"",
        "registrar = \"sip:munich.de;transport=sctp\"",
        "tls_name = \"mun ich\"",
        "ws_path = \"ws\"",
        "tls_key = \"key.pem\"",
        "contact = [\"sip:w@192.0.2.1\", \"sip:w@192.0.2.1\"]",
        "bind = \"192.0.2.1\"\nipv6 = true",
        "expires = 0",
        "[[accounts.work.credentials]]\nrealm = \"a\"\nha1 = \"hunter2\"",
    ];
    let aors = ["work", "sips:w@munich.de;transport=udp", "sip:w@munich.de;transport=sctp"];
    let aors = aors.iter().map(|aor| format!("[accounts.work]\naor = \"{aor}\""));
    insta::assert_snapshot!(all(lines.into_iter().map(work).chain(aors)), @r#"
    > proxy = ["p1", "mun ich"]
    FILE:3:16: proxy: "mun ich" is not a SIP URI: a character that no URI holds
      (write a host, host:port or sip:host:port;transport=tcp)
    > transport = "sctp"
    FILE:3:13: transport: "sctp" is not one of udp, tcp, tls, ws, wss
    > ha1 = "hunter2"
    FILE:3:7: ha1: that is not a hash: it holds something else than hex digits
      (write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of user:realm:password)
    > password_file = ""
    FILE:3:17: password_file: "" names no file or folder
    > header = ["X-Tenant: 42", "Via: hunter2"]
    FILE:3:27: header: Via is written by sipreg; --advertise changes the address in it
    > expires = "soon"
    FILE:3:11: expires: "soon" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > expires = -5
    FILE:3:11: expires: "-5" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > expires = 99999999999999999999999999999999999999999
    FILE:3:11: expires: "99999999999999999999999999999999999999999" is too long
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > q = 1.5
    FILE:3:5: q: "1.5" is not a number from 0 to 1 with at most three decimals
    > retry_for = "0s"
    taken
    > registrar = "sip:munich.de;transport=sctp"
    FILE:3:13: registrar: "sip:munich.de;transport=sctp" asks for the transport "sctp", which is not built yet
      (udp, tcp, tls, ws and wss are; --transport overrides what a URI says)
    > tls_name = "mun ich"
    FILE:3:12: tls_name: "mun ich" is no name that a certificate could be for
      (write the SIP domain: example.com)
    > ws_path = "ws"
    FILE:3:11: ws_path: "ws" does not begin with /
      (write it as in the server's address: /ws, or /sip?token=1)
    > tls_key = "key.pem"
    FILE:3:11: tls_key: is the key of no certificate
      (--tls-cert FILE names that)
    > contact = ["sip:w@192.0.2.1", "sip:w@192.0.2.1"]
    FILE:3:11: contact: "sip:w@192.0.2.1" is given twice
      (one binding has one lifetime and one preference: give it once)
    > bind = "192.0.2.1" | ipv6 = true
    FILE:3:8: bind: "192.0.2.1" can't be used with -6
      (leave one of them out, or bind an address of the other family)
    > expires = 0
    nothing says which binding to remove: name it with --contact, or --all for every one
      (sipreg remembers what it bound if HOME is set, or --state-dir given)
    > [[accounts.work.credentials]] | realm = "a" | ha1 = "hunter2"
    FILE:5:7: ha1: that is not a hash: it holds something else than hex digits
      (write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of user:realm:password)
    > [accounts.work] | aor = "work"
    FILE:2:7: aor: "work" is not an address: it has no @
      (write it as sip:user@domain, or user@domain for short)
    > [accounts.work] | aor = "sips:w@munich.de;transport=udp"
    FILE:2:7: aor: "sips:munich.de;transport=udp" asks for TLS and for UDP, which has none
      (sips: goes over tls and wss only; sip: goes over any)
    > [accounts.work] | aor = "sip:w@munich.de;transport=sctp"
    FILE:2:7: aor: "sip:munich.de;transport=sctp" asks for the transport "sctp", which is not built yet
      (udp, tcp, tls, ws and wss are; --transport overrides what a URI says)
    "#);
}

/// A value of an account that is not asked for keeps nobody from working; the form has to be right everywhere.
#[test]
fn other_accounts() {
    let other = |line: &str| work(&format!("[accounts.other]\naor = \"sip:o@munich.de\"\n{line}"));
    let lines = ["expires = \"soon\"", "expire = 5", "expires = true", "[defaults]\nexpires = \"soon\""];
    insta::assert_snapshot!(all(lines.map(other)), @r#"
    > [accounts.other] | aor = "sip:o@munich.de" | expires = "soon"
    taken
    > [accounts.other] | aor = "sip:o@munich.de" | expire = 5
    FILE:5:1: there is no key "expire" for [accounts.other]
      (did you mean expires?)
    > [accounts.other] | aor = "sip:o@munich.de" | expires = true
    FILE:5:11: expires: a boolean can't be used here
      (write a string or a number: expires = "...")
    > [accounts.other] | aor = "sip:o@munich.de" | [defaults] | expires = "soon"
    FILE:6:11: expires: "soon" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    "#);
}
