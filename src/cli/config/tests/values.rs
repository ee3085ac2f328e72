//! What a value says, complained about as on the command line.

use super::complaints::{WORK, all};

/// Word for word what the command line says, about the key.
#[test]
fn values() {
    let with = |line: &str| format!("{WORK}{line}");
    let lines = [
        "registrar = \"tel:1\"",
        "registrar = \"sip:munich.de;transport=tls\"",
        "proxy = [\"p1\", \"mun ich\"]",
        "transport = \"tls\"",
        "username = \"\"",
        "realm = \"a\\nb\"",
        "min_algorithm = \"SHA1\"",
        "ha1 = \"hunter2\"",
        "password_file = \"\"",
        "from = \"munich.de\"",
        "contact = [\"sip:w@192.0.2.1\", \"*\"]",
        "contact = [\"sip:w@192.0.2.1\", \"sip:w@192.0.2.1\"]",
        "expires = \"soon\"",
        "expires = -5",
        "expires = 0",
        "expires = 99999999999999999999999999999999999999999",
        "q = 1.5",
        "header = [\"X-Tenant: 42\", \"Via: hunter2\"]",
        "user_agent = \"\"",
        "bind = \"munich.de\"",
        "bind = \"192.0.2.1\"\nipv6 = true",
        "advertise = \"0.0.0.0\"",
        "nameserver = [\"192.0.2.1\", \"dns\"]",
        "timeout = 0",
        "t1 = \"fast\"",
        "retry_for = \"0s\"",
        "retry_for = \"1us\"",
        "state_dir = \"\"",
        "color = \"blue\"",
        "[[accounts.work.credentials]]\nrealm = \"a\"\nha1 = \"hunter2\"",
    ];
    let texts: Vec<String> = lines.iter().map(|line| with(line)).collect();
    insta::assert_snapshot!(all(texts.iter().map(String::as_str)).replace("[accounts.work] | aor = \"sip:w@munich.de\" | ", ""), @r#"
    > registrar = "tel:1"
    FILE:3:13: registrar: "tel:1" is a tel: URI and no SIP server
      (write a host, host:port or sip:host:port;transport=tcp)
    > registrar = "sip:munich.de;transport=tls"
    FILE:3:13: registrar: "sip:munich.de;transport=tls" asks for the transport "tls", which is not built yet
      (udp and tcp are; --transport overrides what a URI says)
    > proxy = ["p1", "mun ich"]
    FILE:3:16: proxy: "mun ich" is not a SIP URI: a character that no URI holds
      (write a host, host:port or sip:host:port;transport=tcp)
    > transport = "tls"
    FILE:3:13: transport: "tls" is not one of udp, tcp
    > username = ""
    FILE:3:12: username: "" is empty or holds a control character
    > realm = "a\nb"
    FILE:3:9: realm: "a\nb" holds a line end or NUL
    > min_algorithm = "SHA1"
    FILE:3:17: min_algorithm: "SHA1" is not one of MD5, SHA-256, SHA-512-256
    > ha1 = "hunter2"
    FILE:3:7: ha1: that is not a hash: it holds something else than hex digits
      (write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of user:realm:password)
    > password_file = ""
    FILE:3:17: password_file: is empty
    > from = "munich.de"
    FILE:3:8: from: "munich.de" is not an address: it has no @
      (write it as sip:user@domain, or user@domain for short)
    > contact = ["sip:w@192.0.2.1", "*"]
    FILE:3:31: contact: "*" means the bindings of every device of the AOR, and names none
      ('sipreg unregister AOR --all' removes every one, 'sipreg list AOR' shows them)
    > contact = ["sip:w@192.0.2.1", "sip:w@192.0.2.1"]
    FILE:3:11: contact "sip:w@192.0.2.1" is given twice
      (one binding has one lifetime and one preference: give it once)
    > expires = "soon"
    FILE:3:11: expires: "soon" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > expires = -5
    FILE:3:11: expires: "-5" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > expires = 0
    nothing says which binding to remove: name it with --contact, or --all for every one
      (sipreg remembers what it bound if HOME is set, or --state-dir given)
    > expires = 99999999999999999999999999999999999999999
    FILE:3:11: expires: "99999999999999999999999999999999999999999" is too long
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > q = 1.5
    FILE:3:5: q: "1.5" is not a number from 0 to 1 with at most three decimals
    > header = ["X-Tenant: 42", "Via: hunter2"]
    FILE:3:27: header: Via is written by sipreg; --advertise changes the address in it
    > user_agent = ""
    FILE:3:14: user_agent is empty
      ('none' leaves the header out)
    > bind = "munich.de"
    FILE:3:8: bind: "munich.de" is not an IP address, with or without a port
      (write 192.0.2.7, 192.0.2.7:5070, ::1 or [::1]:5070)
    > bind = "192.0.2.1" | ipv6 = true
    FILE:3:8: bind 192.0.2.1 can't be used with -6
      (leave one of them out, or bind an address of the other family)
    > advertise = "0.0.0.0"
    FILE:3:13: advertise: "0.0.0.0" is not an address that anybody can reach
      (write the address that others reach you at: 192.0.2.7, phone.example.com:5060 or [2001:db8::7]:5060)
    > nameserver = ["192.0.2.1", "dns"]
    FILE:3:28: nameserver: "dns" is not an IP address, with or without a port
      (write 192.0.2.7, 192.0.2.7:5070, ::1 or [::1]:5070)
    > timeout = 0
    FILE:3:11: timeout: "0" is no time to wait
      (write 20ms, 1s or more)
    > t1 = "fast"
    FILE:3:6: t1: "fast" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    > retry_for = "0s"
    taken
    > retry_for = "1us"
    FILE:3:13: retry_for: "1us" is no time to wait
      (write 20ms, 1s or more)
    > state_dir = ""
    FILE:3:13: state_dir: "" names no folder
    > color = "blue"
    FILE:3:9: color: "blue" is not one of auto, always, never
    > [[accounts.work.credentials]] | realm = "a" | ha1 = "hunter2"
    FILE:5:7: ha1: that is not a hash: it holds something else than hex digits
      (write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of user:realm:password)
    "#);
    insta::assert_snapshot!(all([
        "[accounts.work]\naor = \"work\"",
        "[accounts.work]\naor = \"sips:w@munich.de\"",
        "[accounts.work]\naor = \"sip:w@munich.de;transport=tls\"",
    ]), @r#"
    > [accounts.work] | aor = "work"
    FILE:2:7: aor: "work" is not an address: it has no @
      (write it as sip:user@domain, or user@domain for short)
    > [accounts.work] | aor = "sips:w@munich.de"
    FILE:2:7: aor: "sips:w@munich.de" asks for TLS, which is not built yet
      (a sip: URI works, over udp and tcp)
    > [accounts.work] | aor = "sip:w@munich.de;transport=tls"
    FILE:2:7: aor: "sip:munich.de;transport=tls" asks for the transport "tls", which is not built yet
      (udp and tcp are; --transport overrides what a URI says)
    "#);
}

/// A value of an account that is not asked for keeps nobody from working; the form has to be right everywhere.
#[test]
fn other_accounts() {
    let other = |line: &str| format!("{WORK}[accounts.other]\naor = \"sip:o@munich.de\"\n{line}");
    insta::assert_snapshot!(all([
        other("expires = \"soon\"").as_str(),
        other("expire = 5").as_str(),
        other("expires = true").as_str(),
        other("[defaults]\nexpires = \"soon\"").as_str(),
    ]).replace("[accounts.work] | aor = \"sip:w@munich.de\" | [accounts.other] | aor = \"sip:o@munich.de\" | ", ""), @r#"
    > expires = "soon"
    taken
    > expire = 5
    FILE:5:1: there is no key "expire" for [accounts.other]
      (did you mean expires?)
    > expires = true
    FILE:5:11: expires: a boolean can't be used here
      (write a string or a number: expires = "...")
    > [defaults] | expires = "soon"
    FILE:6:11: expires: "soon" is not a duration: expected number at 0
      (write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m'))
    "#);
}
