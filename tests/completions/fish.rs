//! fish: it says by itself what it would offer.

use crate::home::Home;
use crate::script;

/// Candidates with their descriptions, a line each.
fn offered(home: &Home, typed: &str) -> Vec<String> {
    let run = format!("source '{}'; complete -C '{typed}'", script("sipreg.fish").display());
    let output = home.command("fish").args(["--no-config", "-c", &run]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn tab_completes_in_fish() {
    let home = Home::new();
    for (typed, expected) in [
        ("sipreg reg", &["register\tBind this device to an address, once, and print what was granted"][..]),
        ("sipreg register --regi", &["--registrar\tServer to ask, if not the AOR's domain"]),
        (
            "sipreg list --transport ",
            &[
                "udp\tDatagrams",
                "tcp\tA connection",
                "tls\tA connection over TLS",
                "ws\tWebSocket",
                "wss\tWebSocket over TLS",
            ],
        ),
        ("sipreg list --color=n", &["--color=never\tNever"]),
        ("sipreg list --min-algorithm ", &["MD5", "SHA-256", "SHA-512-256"]),
        ("sipreg list --password-file pass", &["pass word", "password", "passdir/"]),
        ("sipreg list --password-file pass\\ w", &["pass word"]),
        ("sipreg list --password-file ~/s", &["~/secret"]),
        ("sipreg list --state-dir pass", &["passdir/"]),
        ("sipreg list --password ", &[]),
        ("sipreg list off", &["office\taccount"]),
        ("sipreg list --config other.toml sp", &["spare\taccount"]),
    ] {
        assert_eq!(offered(&home, typed), expected, "{typed}");
    }
    let shells: Vec<String> = offered(&home, "sipreg completions ").into_iter().take(5).collect();
    let names: Vec<&str> = shells.iter().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["bash", "zsh", "fish", "powershell", "elvish"]);
}
