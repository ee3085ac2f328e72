//! Small text files as editors of other systems write them: byte order marks, line ends, other encodings.

use std::path::Path;

use crate::run::{Ran, sipreg, with_environment, with_stdin};
use crate::serve::Server;

const MARK: &[u8] = b"\xef\xbb\xbf";
const WINDOWS: &[u8] = b"\r\n";

/// How a line may be written, and what is said of it where it isn't taken.
fn spellings(line: &str) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let wide =
        |order: fn(u16) -> [u8; 2]| format!("{line}\r\n").encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let line = line.as_bytes();
    vec![
        ([MARK, line, b"\n"].concat(), None),
        ([MARK, line, WINDOWS].concat(), None),
        ([line, WINDOWS].concat(), None),
        ([MARK, line].concat(), None),
        ([b"\xff\xfe".to_vec(), wide(u16::to_le_bytes)].concat(), Some("is UTF-16 and no UTF-8")),
        ([b"\xfe\xff".to_vec(), wide(u16::to_be_bytes)].concat(), Some("is UTF-16 and no UTF-8")),
        (wide(u16::to_le_bytes), Some("an octet 0")),
        (wide(u16::to_be_bytes), Some("an octet 0")),
        ([b"\xfc", line, b"\n"].concat(), Some("is not UTF-8")),
    ]
}

fn judged(ran: &Ran, refusal: Option<&str>) {
    match refusal {
        None => assert_eq!(ran.code, Some(0), "{}", ran.all()),
        Some(sentence) => {
            assert_eq!(ran.code, Some(2), "{}", ran.all());
            assert!(ran.stderr.contains(sentence), "{}", ran.all());
        }
    }
    assert!(!ran.all().contains("uncertainty"), "{}", ran.all());
}

/// The same holds wherever a password or an HA1 is read from: the mark goes, or the file is refused with a sentence
/// that names it (AUT-047).
#[test]
fn a_secret_is_read_from_what_any_editor_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (users, secret, config) = (at("users.txt"), at("secret.txt"), at("config.toml"));
    let password = [("SIPREG_PASSWORD", "uncertainty")];
    let added = with_environment(&["serve", "--add-user", "bob@munich.de", "--users", &users], &password);
    assert_eq!(added.code, Some(0), "{}", added.all());
    let line = std::fs::read_to_string(&users).unwrap();
    let ha1 = line.split(':').nth(2).unwrap();
    let server = serve(&users);
    let base = ["list", "--registrar", &server.at[0], "--stateless"];
    for (file, refusal) in spellings("uncertainty") {
        std::fs::write(&secret, &file).unwrap();
        let named = [&base[..], &["bob@munich.de", "--password-file", &secret]].concat();
        judged(&sipreg(&named), refusal);
        let piped = [&base[..], &["bob@munich.de", "--password-file", "-"]].concat();
        judged(&with_stdin(&piped, &file), refusal);
        let printed = [&base[..], &["desk", "--config", &config]].concat();
        for source in
            ["password_file = \"secret.txt\"".to_owned(), format!("password_command = [\"cat\", {secret:?}]")]
        {
            let account = format!("[accounts.desk]\naor = \"bob@munich.de\"\n{source}\n");
            std::fs::write(&config, [MARK, account.as_bytes()].concat()).unwrap();
            judged(&sipreg(&printed), refusal);
        }
    }
    for (file, refusal) in spellings(ha1) {
        std::fs::write(&secret, &file).unwrap();
        judged(&sipreg(&[&base[..], &["bob@munich.de", "--ha1-file", &secret]].concat()), refusal);
    }
}

/// A file of users is read the same way, and what it can't be is said before anything listens.
#[test]
fn users_are_read_from_what_any_editor_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.txt");
    let users = users.to_str().unwrap();
    let password = [("SIPREG_PASSWORD", "uncertainty")];
    let added = with_environment(&["serve", "--add-user", "bob@munich.de", "--users", users], &password);
    assert_eq!(added.code, Some(0), "{}", added.all());
    let line = std::fs::read_to_string(users).unwrap();
    for (file, refusal) in spellings(line.trim_end()) {
        std::fs::write(users, &file).unwrap();
        if refusal.is_some() {
            judged(&sipreg(&["serve", "--users", users, "--listen", "udp:127.0.0.1:0"]), refusal);
            continue;
        }
        let server = serve(users);
        let args = ["list", "bob@munich.de", "--registrar", &server.at[0], "--stateless"];
        judged(&with_environment(&args, &password), None);
        // Whoever is added stands in it beside the first, in a file that has no mark any more.
        let added = with_environment(&["serve", "--add-user", "eve@munich.de", "--users", users], &password);
        assert_eq!(added.code, Some(0), "{}", added.all());
        let text = std::fs::read_to_string(users).unwrap();
        assert!(text.starts_with("bob:munich.de:") && text.contains("\neve:munich.de:"), "{text}");
    }
}

fn serve(users: &str) -> Server {
    assert!(Path::new(users).exists());
    Server::start(&["--domain", "munich.de", "--users", users, "--listen", "udp:127.0.0.1:0"], 1)
}
