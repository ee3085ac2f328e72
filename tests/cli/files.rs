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

/// Whoever is told that a user is in the file finds the user there, however many are added at the same time.
#[test]
fn users_that_are_added_at_once_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.txt");
    let users = users.to_str().unwrap();
    std::thread::scope(|scope| {
        for n in 0..30 {
            scope.spawn(move || {
                let user = format!("user{n}@munich.de");
                let args = ["serve", "--add-user", &user, "--users", users];
                let added = with_environment(&args, &[("SIPREG_PASSWORD", "uncertainty")]);
                assert_eq!(added.code, Some(0), "{}", added.all());
            });
        }
    });
    let text = std::fs::read_to_string(users).unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split(':').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), text.lines().count()), (30, 30), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// What gives away more than its owner may think is named, with what to do, and works all the same.
#[cfg(unix)]
#[test]
fn files_that_others_may_read_or_write_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (users, secret, config, state) = (at("users.txt"), at("secret.txt"), at("config.toml"), at("state"));
    let mode = |path: &str, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::write(&secret, "uncertainty\n").unwrap();
    mode(&secret, 0o600);
    let add = ["serve", "--add-user", "bob@munich.de", "--users", &users, "--password-file", &secret];
    let added = sipreg(&add);
    assert_eq!(added.code, Some(0), "{}", added.all());
    std::fs::write(&config, "[accounts.desk]\naor = 'bob@munich.de'\npassword_file = 'secret.txt'\n")
        .unwrap();
    std::fs::create_dir(&state).unwrap();
    mode(&state, 0o700);
    let server = serve(&users);
    let base = ["list", "--registrar", &server.at[0], "--state-dir", &state];
    let typed = [&base[..], &["bob@munich.de", "--password-file", &secret]].concat();
    let configured = [&base[..], &["desk", "--config", &config]].concat();
    let warned = |args: &[&str]| {
        let ran = sipreg(args);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        ran.stderr
    };
    assert_eq!((warned(&typed), warned(&configured)), (String::new(), String::new()));
    mode(&secret, 0o644);
    mode(&state, 0o777);
    for args in [&typed, &configured] {
        let stderr = warned(args);
        assert!(
            stderr.contains("--password-file: others may read") && stderr.contains("chmod 600"),
            "{stderr}"
        );
        assert!(stderr.contains("others may write the state directory"), "{stderr}");
    }
    assert_eq!(warned(&[&typed[..], &["--quiet"]].concat()), "");
    for (bits, what) in [(0o640, "others may read"), (0o660, "others may write"), (0o602, "others may write")]
    {
        mode(&users, bits);
        // It ends before it listens, and after the warning.
        let ran = sipreg(&["serve", "--users", &users, "--listen", &format!("udp:{}", server.at[0])]);
        assert!(ran.stderr.contains(what) && ran.code == Some(2), "{}", ran.all());
    }
}

fn serve(users: &str) -> Server {
    assert!(Path::new(users).exists());
    Server::start(&["--domain", "munich.de", "--users", users, "--listen", "udp:127.0.0.1:0"], 1)
}
