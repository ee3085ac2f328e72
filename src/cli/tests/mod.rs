//! The command line from the first argument to the exit, without a process and without a network.

mod help;
mod help_serve;
mod tools;

use std::ffi::OsString;

use super::*;

/// Exit, stdout, stderr.
fn run(arguments: &[&str], environment: &Environment) -> (u8, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        writer: None,
    };
    let arguments: Vec<OsString> =
        std::iter::once("sipreg").chain(arguments.iter().copied()).map(Into::into).collect();
    let exit = run_from(&|| arguments.clone(), environment, &mut streams);
    (exit.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn plain(arguments: &[&str]) -> (u8, String, String) {
    run(arguments, &Environment::default())
}

#[test]
fn a_wrong_command_line_is_told_with_what_to_do() {
    let mut said = String::new();
    for arguments in [
        &["register"][..],
        &["regsiter", "bob@munich.de"],
        &["register", "bob"],
        &["register", "tel:+4989"],
        &["register", "sips:bob@munich.de", "--transport", "udp"],
        &["register", "sips:bob@munich.de;transport=udp"],
        &["check"],
        &["register", "bob@munich.de", "--contcat", "x"],
        &["register", "bob@munich.de", "--contact"],
        &["register", "bob@munich.de", "--contact", "*"],
        &["register", "bob@munich.de", "--expires", "0"],
        &["register", "bob@munich.de", "--expires", "soon"],
        &["register", "bob@munich.de", "--transport", "sctp"],
        &["register", "bob@munich.de", "--dry-run", "--json"],
        &["register", "bob@munich.de", "-H", "Via: x"],
        &["register", "bob@munich.de", "-4", "-6"],
    ] {
        let (code, _, stderr) = plain(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        said += &format!("$ sipreg {}\n{stderr}", arguments.join(" "));
    }
    insta::assert_snapshot!(said, @r#"
    $ sipreg register
    error: the AOR is missing: which address is it about?
    hint: sipreg register sip:you@example.com
    $ sipreg regsiter bob@munich.de
    error: there is no command "regsiter"
    hint: did you mean register? 'sipreg --help' lists the commands
    $ sipreg register bob
    error: AOR: "bob" is not an address: it has no @
    hint: write it as sip:user@domain, or user@domain for short; accounts are looked up in a configuration file: --config FILE
    $ sipreg register tel:+4989
    error: AOR: "tel:+4989" is a tel: URI, which no registrar binds
    hint: write it as sip:user@domain, or user@domain for short
    $ sipreg register sips:bob@munich.de --transport udp
    error: --transport: "udp" has no TLS, which "sips:munich.de" asks for
    hint: sips: goes over tls and wss only; sip: goes over any
    $ sipreg register sips:bob@munich.de;transport=udp
    error: AOR: "sips:munich.de;transport=udp" asks for TLS and for UDP, which has none
    hint: sips: goes over tls and wss only; sip: goes over any
    $ sipreg check
    error: the AOR is missing: which address is it about?
    hint: sipreg check sip:you@example.com
    $ sipreg register bob@munich.de --contcat x
    error: there is no option "--contcat"
    hint: did you mean --contact?
    $ sipreg register bob@munich.de --contact
    error: --contact <URI> needs a value
    hint: '--help' after the command lists what there is
    $ sipreg register bob@munich.de --contact *
    error: --contact: "*" means the bindings of every device of the AOR, and names none
    hint: 'sipreg unregister AOR --all' removes every one, 'sipreg list AOR' shows them
    $ sipreg register bob@munich.de --expires 0
    error: nothing says which binding to remove: name it with --contact, or --all for every one
    hint: sipreg remembers what it bound if HOME is set, or --state-dir given
    $ sipreg register bob@munich.de --expires soon
    error: --expires: "soon" is not a duration: expected number at 0
    hint: write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m')
    $ sipreg register bob@munich.de --transport sctp
    error: --transport: "sctp" is not one of udp, tcp, tls, ws, wss
    $ sipreg register bob@munich.de --dry-run --json
    error: --dry-run: can't be used with --json
    hint: '--help' after the command lists what there is
    $ sipreg register bob@munich.de -H Via: x
    error: --header: Via is written by sipreg; --advertise changes the address in it
    $ sipreg register bob@munich.de -4 -6
    error: -4: can't be used with -6
    hint: '--help' after the command lists what there is
    "#);
}

/// `--json` anywhere on a broken command line still gives one object, with every key.
#[test]
fn a_wrong_command_line_is_one_object_with_json() {
    for (arguments, command, aor) in [
        (&["register", "--json"][..], Some("register"), None),
        (
            &["register", "bob@munich.de:5070", "--json", "-e", "x"],
            Some("register"),
            Some("sip:bob@munich.de"),
        ),
        (&["register", "bob@munich.de", "--nope", "--json"], Some("register"), Some("sip:bob@munich.de")),
        (
            &["register", "sips:bob@munich.de", "--transport", "ws", "--json"],
            Some("register"),
            Some("sips:bob@munich.de"),
        ),
        (&["register", "tel:+4989", "--json"], Some("register"), None),
        (&["nope", "--json"], None, None),
        (&["--json"], None, None),
    ] {
        let (code, stdout, stderr) = plain(arguments);
        assert_eq!((code, stdout.matches('\n').count()), (2, 1), "{arguments:?} {stdout}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(json["error"]["kind"], "usage");
        assert_eq!(json["command"], serde_json::json!(command));
        assert_eq!(json["aor"], serde_json::json!(aor), "{arguments:?}");
        assert_eq!(json.as_object().unwrap().len(), 25);
    }
}

#[test]
fn the_schema_needs_no_aor() {
    let (code, stdout, stderr) = plain(&["register", "--json-schema"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let schema: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(schema["required"].as_array().unwrap().len(), 25);
}

/// AUT-047: a secret is in no output, wherever on the command line it went.
#[test]
fn no_message_ever_repeats_a_secret() {
    let secret = "hunter2";
    let environment = Environment { password: Some(secret.into()), ..Environment::default() };
    let aor = "bob@munich.de";
    for arguments in [
        &["register", aor, "--password", secret, "--password", secret][..],
        &["register", aor, "--password", secret, "--ha1", secret],
        &["register", aor, "--ha1", secret],
        &["register", aor, "--ha1", "MD5:hunter2"],
        &["register", aor, "--password", secret, "-e", "soon"],
        &["register", aor, "--password", secret, "--nope"],
        &["register", aor, "--passwrod=hunter2"],
        &["register", aor, "--json=hunter2"],
        &["register", aor, "-4=hunter2"],
        &["register", aor, secret],
        &["register", aor, "--", secret],
        &["register", "bob:hunter2@munich.de"],
        &["register", "sip:bob:hunter2@munich.de"],
        &["register", "sips:bob:hunter2@munich.de"],
        &["register", aor, "--from", "sip:x:hunter2@munich.de"],
        &["register", aor, "--registrar", "sips:x:hunter2@munich.de"],
        &["register", aor, "--contact", "sip:x:hunter2@"],
        &["register", aor, "-H", "Authorization: hunter2"],
        &["register", aor, "-H", "hunter2"],
        &["register", aor, "-e", "soon"],
        &["sip:bob:hunter2@munich.de"],
        &["register", "--help"],
    ] {
        for json in [&[][..], &["--json"]] {
            let arguments = [&arguments[..1], json, &arguments[1..]].concat();
            let (_, stdout, stderr) = run(&arguments, &environment);
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{arguments:?}\n{stdout}{stderr}");
        }
    }
}

/// A stream whose first write is a bug.
struct Bug(bool, Vec<u8>);

impl io::Write for Bug {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(std::mem::replace(&mut self.0, true), "this is the bug");
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A panic ends as 70, with JSON if asked for and a request to report it.
#[test]
fn a_bug_is_told_as_one() {
    let (mut stdout, mut stderr) = (Bug(false, Vec::new()), Vec::new());
    let mut streams = Streams {
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        writer: None,
    };
    let arguments = ["sipreg", "register", "bob", "--json"].map(OsString::from);
    let exit = run_guarded(&|| arguments.to_vec(), &Environment::default(), &mut streams);
    drop(panic::take_hook());
    assert_eq!(exit.code(), 70);
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(
        stderr.contains("this is the bug") && stderr.contains("hint: this is a bug in sipreg"),
        "{stderr}"
    );
    let json: serde_json::Value = serde_json::from_slice(&stdout.1).unwrap();
    assert_eq!(json["error"]["kind"], "internal");
}
