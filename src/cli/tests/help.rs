//! Help texts, word for word.

use super::*;
use crate::cli::help::Help;

#[test]
fn the_program_introduces_itself() {
    let (code, stdout, stderr) = plain(&["--help"]);
    insta::assert_snapshot!(stdout, @r"
    Tells a SIP registrar where you can be reached

    Usage: sipreg <COMMAND>

    Commands:
      register     Bind this device to an address, once, and print what was granted
      keep         Bind this device, and keep it bound until told to stop
      list         Show every binding of an address [alias: query]
      unregister   Remove this device's binding, another one, or all
      check        Say why an address doesn't work, and prove it when it does
      serve        Run a registrar, and route calls to the devices bound there
      demo         Watch the textbook registration, on this machine alone
      explain      Say what a status code, an exit status or a kind of error means
      completions  Print the script that makes a shell complete sipreg's arguments
      man          Print the manual page, or write one per command

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Examples:
      sipreg register you@example.com
      sipreg list you@example.com
      sipreg unregister you@example.com
      sipreg register --help
    ");
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn the_short_help_of_register_is_a_line_per_option() {
    let (code, stdout, _) = plain(&["register", "-h"]);
    insta::assert_snapshot!(stdout, @r"
    Bind this device to an address, once, and print what was granted

    Usage: sipreg register [OPTIONS] <AOR>

    Arguments:
      [AOR]  The address to bind: sip:you@example.com, or an account

    Options:
      -h, --help  Print help (see more with '--help')

    Where to:
          --registrar <URI>   Server to ask, if not the AOR's domain
          --proxy <URI>       Send through this proxy (repeatable)
          --transport <NAME>  udp, tcp, tls, ws or wss, whatever the URI says

    Who you are:
      -u, --username <NAME>        User name for the password, if not the AOR's
          --password-file <FILE>   Read the password from a file; - is stdin
          --password <TEXT>        The password, which others see with ps
          --no-password            The password is empty
          --ha1 <[ALGORITHM:]HEX>  Hash of user:realm:password in its place
          --ha1-file <FILE>        Read that hash from a file; - is stdin
          --realm <NAME>           Answer challenges of this realm only
          --min-algorithm <NAME>   Weakest digest to answer [default: MD5]
          --from <URI>             Register the AOR as this other user

    What to bind:
      -c, --contact <URI>       Bind this, not this device (repeatable)
      -e, --expires <DURATION>  For how long; 0 removes [default: 1h]
          --q <NUMBER>          Preference among your devices, 0 to 1

    What else to say:
      -H, --header <HEADER>    Add a header, 'Name: value' (repeatable)
          --user-agent <TEXT>  User-Agent; none leaves it out

    Network:
          --bind <IP[:PORT]>          Local address and port to send from
          --advertise <HOST[:PORT]>   Address to tell others instead
          --nameserver <IP[:PORT]>    Name server to ask (repeatable)
          --resolve <HOST:PORT:ADDR>  Address of a host at a port (repeatable)
      -4                              Use IPv4 only
      -6                              Use IPv6 only
          --timeout <DURATION>        Time for the whole command [default: 128s]
          --t1 <DURATION>             Expected round trip [default: 500ms]
          --config <FILE>             Configuration file, with accounts
          --state-dir <DIR>           Where to remember what is bound
          --stateless                 Remember nothing, and don't look it up
          --retry-for <DURATION>      Try again for that long; 0 is not at all

    TLS and WebSocket:
          --tls-ca <FILE>    Trust only these authorities
          --tls-cert <FILE>  Certificate to show to the server
          --tls-key <FILE>   Its private key, if in another file
          --tls-name <NAME>  Name that the certificate must be for
          --tls-wildcard     Accept wildcard names in certificates
          --tls-insecure     Verify nothing: anybody may read along
          --ws-path <PATH>   Path of the WebSocket request [default: /]

    Output:
          --json                 Print one JSON object, on failure too
          --json-schema          Print its JSON Schema and exit
          --dry-run              Print the exact first request and send nothing
      -v, --verbose...           Show messages on stderr; -vv in full
          --show-secrets         Don't mask digest responses
      -q, --quiet                Print nothing but errors
          --color <WHEN>         Colours: auto, always or never
          --trace <FILE.pcapng>  Write SIP messages there, for Wireshark
          --hep <HOST:PORT>      Send copies of them to a Homer (HEP3)

    The variable SIPREG_PASSWORD may hold the password. --help says more, gives
    examples and explains the exit status.
    ");
    assert_eq!(code, 0);
}

#[test]
fn the_long_help_of_register_says_all() {
    let (code, stdout, _) = plain(&["register", "--help"]);
    insta::assert_snapshot!(stdout, @r"
    Bind this device to an address, once, and print what was granted.

    AOR, the address of record, is the address that people call:
    sip:you@example.com, or you@example.com for short. The registrar of its domain
    is asked to send its calls to this device, or to each --contact. The name of an
    account in the configuration file stands for its address and options.

    Usage: sipreg register [OPTIONS] <AOR>

    Arguments:
      [AOR]
              The address to bind: sip:you@example.com, or an account

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Where to:
          --registrar <URI>
              Server to ask, if not the AOR's domain
              
              A URI, a host or host:port. To and From keep the AOR.

          --proxy <URI>
              Send through this proxy (repeatable)
              
              A URI, a host or host:port. Several are passed in the order given,
              which becomes the Route.

          --transport <NAME>
              udp, tcp, tls, ws or wss, whatever the URI says
              
              Without it: what the name service says; TLS for sips:, which takes tls
              and wss only. Requests above 1300 bytes that would go over UDP go over
              TCP where that works, as RFC 3261 wants it.

    Who you are:
      -u, --username <NAME>
              User name for the password, if not the AOR's
              
              Without it: the user part of --from, else of the AOR, with its escapes
              undone.

          --password-file <FILE>
              Read the password from a file; - is stdin
              
              Its first line is the password. With no password given in any way, you
              are asked on the terminal if the registrar wants one.

          --password <TEXT>
              The password, which others see with ps
              
              Other users of this machine can see it in the process list. The
              environment variable SIPREG_PASSWORD does the same unseen; it counts
              when the command line gives no secret.

          --no-password
              The password is empty
              
              Some providers know their customers by the line they call from. An
              empty first line of a password file says the same.

          --ha1 <[ALGORITHM:]HEX>
              Hash of user:realm:password in its place
              
              32 hex digits are MD5 and 64 are SHA-256, unless MD5:, SHA-256: or
              SHA-512-256: comes before them. It serves this algorithm only, and
              others see it in the process list, too.

          --ha1-file <FILE>
              Read that hash from a file; - is stdin

          --realm <NAME>
              Answer challenges of this realm only

          --min-algorithm <NAME>
              Weakest digest to answer [default: MD5]
              
              MD5, SHA-256 or SHA-512-256, in rising strength. Weaker challenges are
              skipped.

          --from <URI>
              Register the AOR as this other user
              
              A third-party registration: From differs from To.

    What to bind:
      -c, --contact <URI>
              Bind this, not this device (repeatable)
              
              Contact parameters come after angle brackets:
              '<sip:you@192.0.2.7>;q=0.5'. {addr} stands for this device's host and
              port: '<sip:4930123456@{addr};line=abc>'. Other schemes are allowed:
              mailto:you@example.com.

      -e, --expires <DURATION>
              For how long; 0 removes [default: 1h]
              
              Whole seconds, asked for with Expires; the registrar may grant another
              time. 0 removes, as 'sipreg unregister' does.

          --q <NUMBER>
              Preference among your devices, 0 to 1

    What else to say:
      -H, --header <HEADER>
              Add a header, 'Name: value' (repeatable)
              
              Headers that the protocol owns are refused.

          --user-agent <TEXT>
              User-Agent; none leaves it out
              
              Without it: sipreg/VERSION.

    Network:
          --bind <IP[:PORT]>
              Local address and port to send from
              
              Without it: the address that the system would use, and any free port.

          --advertise <HOST[:PORT]>
              Address to tell others instead
              
              It stands in Via and in the Contact of this device. Without a port it
              keeps the local one.

          --nameserver <IP[:PORT]>
              Name server to ask (repeatable)

          --resolve <HOST:PORT:ADDR>
              Address of a host at a port (repeatable)
              
              It counts in place of what the name service says of that host (A and
              AAAA), also where an SRV record leads there; NAPTR and SRV are still
              asked for. IPv6 stands in brackets.

      -4
              Use IPv4 only

      -6
              Use IPv6 only

          --timeout <DURATION>
              Time for the whole command [default: 128s]
              
              Each address that is tried gets 64*T1 (32s) of it, connecting
              included; without this option the whole gets four times as much. What
              you take to answer a question does not count. For 'sipreg keep' it is
              the time for each try.

          --t1 <DURATION>
              Expected round trip [default: 500ms]
              
              RFC 3261's T1: a request over UDP is repeated after T1, 2*T1, 4*T1 and
              so on.

          --config <FILE>
              Configuration file, with accounts
              
              Without it: $XDG_CONFIG_HOME/sipreg/config.toml, which is
              ~/.config/sipreg/config.toml, if it is there. It has options for all
              commands, and accounts; the name of an account stands for the AOR.

          --state-dir <DIR>
              Where to remember what is bound
              
              Without it: $XDG_STATE_HOME/sipreg, which is ~/.local/state/sipreg. It
              holds Call-ID, CSeq and contacts, no secrets.

          --stateless
              Remember nothing, and don't look it up

          --retry-for <DURATION>
              Try again for that long; 0 is not at all
              
              After silence, when nobody could be reached, and after a 503, whose
              Retry-After is obeyed. The pauses grow from a second to half a minute.

    TLS and WebSocket:
          --tls-ca <FILE>
              Trust only these authorities
              
              Certificates as PEM, or the certificate of the server itself. Without
              it: those that the system trusts.

          --tls-cert <FILE>
              Certificate to show to the server
              
              As PEM, with those between it and its root. The key may stand in the
              same file.

          --tls-key <FILE>
              Its private key, if in another file

          --tls-name <NAME>
              Name that the certificate must be for
              
              Without it: the host of the URI that the request goes to, as RFC 5922
              has it.

          --tls-wildcard
              Accept wildcard names in certificates
              
              A * as the leftmost label stands for exactly one label. RFC 5922
              forbids it.

          --tls-insecure
              Verify nothing: anybody may read along
              
              For tests only. A warning says so each time, with --quiet too.

          --ws-path <PATH>
              Path of the WebSocket request [default: /]
              
              With its query, if there is one: /ws or /sip?token=1.

    Output:
          --json
              Print one JSON object, on failure too

          --json-schema
              Print its JSON Schema and exit

          --dry-run
              Print the exact first request and send nothing

      -v, --verbose...
              Show messages on stderr; -vv in full
              
              Once: a line for each. Twice: the whole message, digest responses
              masked.

          --show-secrets
              Don't mask digest responses

      -q, --quiet
              Print nothing but errors
              
              What --json and --dry-run print is printed all the same, and so is the
              warning of --tls-insecure.

          --color <WHEN>
              Colours: auto, always or never
              
              auto, the default: on a terminal, unless NO_COLOR is set;
              CLICOLOR_FORCE wants them everywhere.

          --trace <FILE.pcapng>
              Write SIP messages there, for Wireshark
              
              A pcapng file: each message as it passes, decrypted, with addresses,
              time and direction, digest responses masked. What was in the file is
              lost, and nobody but its owner may read it any more.

          --hep <HOST:PORT>
              Send copies of them to a Homer (HEP3)
              
              Over UDP, masked in the same way. The name is looked up once, at the
              start.

    Examples:
      Bind this device, and be asked for the password if there has to be one:
        sipreg register you@example.com

      From a script, for half an hour, with the result as JSON:
        sipreg register you@example.com --password-file ~/.sip --expires 30m --json

      A desk phone, through a registrar given by address:
        sipreg register you@example.com --registrar 192.0.2.1 \
          --contact sip:you@192.0.2.7:5060

      Remove that binding again:
        sipreg register you@example.com --contact sip:you@192.0.2.7:5060 --expires 0

      Over TLS all the way, with a certificate of the company's own authority:
        sipreg register sips:you@example.com --tls-ca our-root.pem

      Look before you leap, and watch while you do:
        sipreg register you@example.com --dry-run
        sipreg register you@example.com -vv

    Durations are numbers with units, such as 90s, 1h or '1h 30m'; a bare number is
    seconds.

    Exit status:
        0  done: the registrar confirmed it
        1  refused by the registrar
        2  the command line is wrong; nothing was sent
        3  credentials are missing or were not accepted
        4  no final answer in time
        5  could not be reached
        6  the registrar misbehaved: it said yes and did not do it
       70  internal error (a bug)
      130  ended by SIGINT (Ctrl-C); 143 by SIGTERM
    ");
    assert_eq!(code, 0);
}

/// Help fits a terminal, shows no secret, and offers nothing that is not built.
#[test]
fn help_texts_keep_the_rules() {
    let environment = Environment { password: Some("hunter2".into()), ..Environment::default() };
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["register", "-h"],
        &["register", "--help"],
        &["keep", "-h"],
        &["keep", "--help"],
        &["list", "-h"],
        &["list", "--help"],
        &["unregister", "-h"],
        &["unregister", "--help"],
        &["check", "-h"],
        &["check", "--help"],
        &["serve", "-h"],
        &["serve", "--help"],
        &["demo", "-h"],
        &["demo", "--help"],
    ] {
        let (_, stdout, _) = run(arguments, &environment);
        for line in stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let words: Vec<&str> = stdout.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
        for absent in ["hunter2", "--instance", "--reg-id", "--outbound", "--gruu", "--service-route"] {
            assert!(!words.contains(&absent), "{absent} in {stdout}");
        }
        for command in ["watch", "fleet", "help"] {
            let offered =
                |line: &str| line.split_whitespace().next() == Some(command) && line.starts_with("  ");
            assert!(!stdout.lines().any(offered), "{command} in {stdout}");
            assert!(!stdout.contains(&format!("sipreg {command}")), "{command} in {stdout}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(plain(&["-V"]), (0, format!("sipreg {}\n", env!("CARGO_PKG_VERSION")), String::new()));
    let (exit, built, _) = plain(&["--version"]);
    let names: Vec<_> = built.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!((exit, names), (0, vec!["sipreg", "target", "transports", "stores"]), "{built}");
    assert!(built.contains("\ntransports  udp tcp tls ws wss\nstores      memory FILE.db redis:// rediss:// redis+cluster://\n"), "{built}");
}

#[test]
fn without_arguments_there_is_help_on_stderr() {
    let (code, stdout, stderr) = plain(&[]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("Usage: sipreg"));
}

/// The README's table of exit statuses has those of the help.
#[test]
fn the_readme_has_the_exit_statuses_of_the_help() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, table) = readme.split_once("| code | meaning | `error.kind` |\n").unwrap();
    let rows: Vec<String> =
        table.lines().skip(1).map_while(|row| Some(row.strip_prefix("| ")?.replace('`', ""))).collect();
    for (code, meaning) in Help::of("list").all_exit_statuses() {
        let number = |row: &&String| row.split([' ', ',']).next() == Some(&code.to_string());
        let row = rows.iter().find(number).unwrap();
        assert!(row.contains(&format!("| {meaning}")), "{row}");
    }
    assert_eq!(rows.len(), Help::of("list").all_exit_statuses().len());
}

/// The README's troubleshooting has the cases and hints of `sipreg explain`.
#[test]
fn the_readme_has_the_hints() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let rows = crate::cli::explain::troubleshooting();
    assert!(readme.contains(&rows), "in the README's section 'When it does not work' has to stand:\n{rows}");
}
