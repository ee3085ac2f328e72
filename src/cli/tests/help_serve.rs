//! The help of `serve`, word for word, and help beside `--json`.

use super::*;

#[test]
fn the_short_help_of_serve_is_a_line_per_option() {
    let (code, stdout, _) = plain(&["serve", "-h"]);
    insta::assert_snapshot!(stdout, @r"
    Run a registrar, and route calls to the devices bound there

    Usage: sipreg serve [OPTIONS]

    Options:
      -h, --help  Print help (see more with '--help')

    Where to listen:
          --listen <TRANSPORT:ADDR:PORT>   Listen there (repeatable)
          --max-connections <NUMBER>       Connections at a time
          --rate <NUMBER>                  Answers/s before a login [default: 100]
          --login-failures <NUMBER>        Failed logins a minute [default: 30]
          --keepalive-interval <DURATION>  Time between keep-alives [default: 30s]
          --metrics <ADDR:PORT>            Prometheus metrics, at /metrics there

    TLS and WebSocket:
          --tls-cert <FILE>       Certificate of this server
          --tls-key <FILE>        Its private key, if in another file
          --tls-client-ca <FILE>  Authorities that vouch for clients
          --tls-ca <FILE>         Authorities to trust when forwarding
          --ws-origin <ORIGIN>    Web pages that may connect (repeatable)

    Who may register:
          --domain <NAME>         Domain to be responsible for (repeatable)
          --users <FILE>          File with the users
          --no-auth               Take anybody, without a password
          --yes                   Don't refuse --no-auth where others can reach it
          --algorithms <LIST>     Digests to offer, in this order
          --add-user <USER>       Add a user or change the password, and exit
          --password-file <FILE>  For --add-user: read the password; - is stdin

    What is granted:
          --min-expires <DURATION>      Shortest lifetime [default: 60s]
          --max-expires <DURATION>      Longest lifetime [default: 2h]
          --default-expires <DURATION>  Lifetime if none is asked for [default: 1h]
          --max-contacts <NUMBER>       Bindings per address [default: 10]
          --max-contacts-policy <WHAT>  At one more: refuse, replace-oldest
          --store <STORE>               Bindings: memory, FILE.db or redis://HOST
          --max-store <SIZE>            Memory for bindings [default: 128MiB]
          --store-wait <NUMBER>         Replicas before a 200 [default: 0]
          --store-check <FILE>          Say what is in a store's file, and exit

    How calls are routed:
          --fork <HOW>                Several devices: parallel, sequential
          --auth-calls                Ask every caller for a password
          --max-calls <NUMBER>        Calls in progress [default: 20000]
          --nameserver <IP[:PORT]>    Name server to ask (repeatable)
          --resolve <HOST:PORT:ADDR>  Address of a host at a port (repeatable)

    Several servers:
          --node <NAME>                        Name of this server in a shared store
          --peer-listen <TRANSPORT:ADDR:PORT>  Where other nodes hand calls over
          --peer <ADDRESS>                     Address of another node (repeatable)
          --peer-secret-file <FILE>            File with what all nodes know

    Output:
          --json                 Print a JSON object per event
          --json-schema          Print the JSON Schema of events and exit
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

/// Help and version stay what they are beside `--json`.
#[test]
fn help_is_never_json() {
    assert!(plain(&["register", "--json", "--help"]).1.starts_with("Bind this device"));
    assert!(plain(&["--version", "--json"]).1.starts_with("sipreg "));
}
