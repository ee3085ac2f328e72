//! Passwords: where they may stand, how they are fetched, and that nobody sees them.

use std::time::Duration;

use super::*;
#[cfg(unix)]
use crate::cli::secret::Program;
#[cfg(unix)]
use crate::cli::values::CommandLine;
use crate::proto::digest::Secret;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn fetched(account: &mut Account) -> Result<(), UsageError> {
    runtime().block_on(async {
        if let Some(source) = account.secret() {
            account.unlock(source.fetch().await?);
        }
        for locked in account.locked() {
            let credential = locked.open(account.username(), account.net.dry_run).await?;
            account.plan.keyring.credentials.extend(credential);
        }
        Ok(())
    })
}

/// `REALM: USER SECRET` of each, in the order in which they are tried.
pub fn unlocked(mut account: Account) -> Vec<String> {
    fetched(&mut account).unwrap();
    let credentials = account.plan.keyring.credentials.iter();
    credentials
        .map(|credential| {
            let realm = credential.realm.as_ref().map(|realm| format!("{realm}: ")).unwrap_or_default();
            let secret = match &credential.secret {
                Secret::Password(password) => password.reveal(),
                Secret::Ha1 { hex, .. } => hex.reveal(),
            };
            format!("{realm}{} {secret}", credential.username)
        })
        .collect()
}

fn work(lines: &str) -> Home {
    Home::with(format!("[accounts.work]\naor = \"w@munich.de\"\n{lines}"))
}

/// An empty password is one, however it is said. An empty SIPREG_PASSWORD is none.
#[test]
fn an_empty_password_can_be_said() {
    for lines in ["no_password = true", "password = \"\"", "password_file = \"line\""] {
        let home = work(lines);
        fs::write(home.dir.path().join("line"), "\n").unwrap();
        assert_eq!(unlocked(home.account(&["register", "work"]).unwrap()), ["w "], "{lines}");
    }
    let home = work("no_password = false");
    assert_eq!(unlocked(home.account(&["register", "work"]).unwrap()), [""; 0]);
    let typed = home.account(&["register", "work", "--no-password"]).unwrap();
    assert_eq!(unlocked(typed), ["w "]);
    let two = ["sipreg", "register", "work", "--no-password", "--password", "x"];
    assert!(Args::try_parse_from(two).is_err(), "two sources of a secret");
}

/// The complaint of fetching.
fn refused(home: &Home) -> String {
    let mut account = home.account(&["register", "work"]).ok().unwrap();
    let error = fetched(&mut account).unwrap_err();
    format!("{}\n  ({})\n", error.message(), error.hint.unwrap_or_default())
        .replace(home.dir.path().to_str().unwrap(), "DIR")
}

/// AUT-047: with a password in it, the file is not everybody's.
#[cfg(unix)]
#[test]
fn a_password_that_others_may_read_is_refused() {
    let other = "[accounts.other]\naor = \"o@munich.de\"\n[[accounts.other.credentials]]\nha1 = \"x\"";
    for (text, mode, taken) in [
        ("password = \"x\"", 0o600, true),
        ("password = \"x\"", 0o400, true),
        ("password = \"x\"", 0o644, false),
        ("password = \"x\"", 0o640, true),
        ("password = \"x\"", 0o604, false),
        (other, 0o644, false),
        ("[defaults]\npassword = \"x\"", 0o664, false),
        ("password = \"x\"", 0o660, true),
        ("password_file = \"x\"", 0o644, true),
        ("password_command = [\"x\"]", 0o644, true),
        ("", 0o666, true),
    ] {
        let home = work(text);
        home.mode(mode);
        assert_eq!(home.complaint(&["register", "work"]) == "taken\n", taken, "{text} {mode:o}");
    }
    let home = work("username = \"w\"\npassword = \"hunter2\"");
    home.mode(0o644);
    insta::assert_snapshot!(home.complaint(&["register", "work"]), @"
    FILE:4:1: password: everybody may read this file (mode 0644)
      (chmod 600 FILE; or use password_command or password_file)
    ");
}

/// Files are meant from the folder of the configuration, or from the user's home.
#[test]
fn files() {
    let hex = "939e7578ed9e3c518a452acee763bce9";
    for (line, expected) in [
        ("password_file = \"secret\"", "w uncertainty"),
        ("password_file = \"~/secret\"", "w uncertainty"),
        ("password_file = \"./secret\"", "w uncertainty"),
        ("ha1_file = \"hash\"", "w 939e7578ed9e3c518a452acee763bce9"),
        ("ha1 = \"MD5:939E7578ED9E3C518A452ACEE763BCE9\"", "w 939e7578ed9e3c518a452acee763bce9"),
    ] {
        let mut home = work(line);
        home.environment.home = Some(home.dir.path().to_owned());
        fs::write(home.dir.path().join("secret"), "uncertainty\nmore\n").unwrap();
        fs::write(home.dir.path().join("hash"), hex).unwrap();
        assert_eq!(unlocked(home.account(&["register", "work"]).ok().unwrap()), [expected], "{line}");
    }
    let mut said = String::new();
    for line in ["password_file = \"nope\"", "ha1_file = \"empty\"", "ha1_file = \"secret\""] {
        let home = work(line);
        fs::write(home.dir.path().join("empty"), "").unwrap();
        fs::write(home.dir.path().join("secret"), "hunter2").unwrap();
        said += &refused(&home);
    }
    insta::assert_snapshot!(said, @r#"
    DIR/config.toml:3:17: password_file: "DIR/nope" can't be read: No such file or directory (os error 2)
      (it takes the name of a file; '-' is standard input)
    DIR/config.toml:3:12: ha1_file: "DIR/empty" has nothing in its first line
      (the first line is the secret)
    DIR/config.toml:3:12: ha1_file: that is not a hash: it holds something else than hex digits
      (write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of user:realm:password)
    "#);
}

#[cfg(unix)]
#[test]
fn programs() {
    for (line, expected) in [
        ("[\"printf\", \"uncertainty\"]", "w uncertainty"),
        ("[\"printf\", \"%s\\n%s\\n\", \"uncertainty\", \"url: x\"]", "w uncertainty"),
        ("[\"sh\", \"-c\", \"cat; echo uncertainty; seq 100000\"]", "w uncertainty"),
        ("[\"echo\", \"$HOME and 'quotes'\"]", "w $HOME and 'quotes'"),
    ] {
        let home = work(&format!("password_command = {line}"));
        assert_eq!(unlocked(home.account(&["register", "work"]).ok().unwrap()), [expected], "{line}");
    }
    let mut said = String::new();
    for line in [
        "[\"/does/not/exist\", \"hunter2\"]",
        "[\"sh\", \"-c\", \"echo hunter2; exit 3\"]",
        "[\"true\"]",
        "[\"printf\", \"\\\\377\\\\n\"]",
        "[\"yes\\u0000\"]",
        "[\"sh\", \"-c\", \"kill -9 $$\"]",
        "[\"head\", \"-c\", \"100000\", \"/dev/zero\"]",
    ] {
        said += &refused(&work(&format!("password_command = {line}")));
    }
    insta::assert_snapshot!(said, @r#"
    DIR/config.toml:3:20: password_command: "/does/not/exist" can't be started: No such file or directory (os error 2)
      (it runs without a shell: variables are not expanded, nor is ~ but in ~/ before the program)
    DIR/config.toml:3:20: password_command: "sh" failed: exit status: 3
      (the first line that it prints is the password; try it by hand)
    DIR/config.toml:3:20: password_command: "true" printed nothing
      (the first line that it prints is the password; try it by hand)
    DIR/config.toml:3:20: password_command: "printf" is not UTF-8
      ()
    DIR/config.toml:3:20: password_command: "yes\u{0}" can't be started: nul byte found in provided data
      (it runs without a shell: variables are not expanded, nor is ~ but in ~/ before the program)
    DIR/config.toml:3:20: password_command: "sh" failed: signal: 9 (SIGKILL)
      (the first line that it prints is the password; try it by hand)
    DIR/config.toml:3:20: password_command: "head" has a first line that is too long for a secret
      ()
    "#);
}

/// Who may write a file with a program in it runs programs as its user.
#[cfg(unix)]
#[test]
fn a_program_that_others_may_choose_is_refused() {
    let other =
        "[accounts.other]\naor = \"o@munich.de\"\n[[accounts.other.credentials]]\npassword_command = [\"x\"]";
    for (text, mode, taken) in [
        ("password_command = [\"x\"]", 0o644, true),
        ("password_command = [\"x\"]", 0o664, false),
        ("password_command = [\"x\"]", 0o602, false),
        (other, 0o620, false),
        ("[defaults]\npassword_command = [\"x\"]", 0o666, false),
        ("password_file = \"x\"", 0o666, true),
    ] {
        let home = work(text);
        home.mode(mode);
        assert_eq!(home.complaint(&["register", "work"]) == "taken\n", taken, "{text} {mode:o}");
    }
    let home = work("username = \"w\"\npassword_command = [\"x\", \"hunter2\"]");
    home.mode(0o664);
    insta::assert_snapshot!(home.complaint(&["register", "work"]), @"
    FILE:4:1: password_command: other users may write this file (mode 0664), and so run programs as you
      (chmod go-w FILE)
    ");
    // Where we may give a file away, somebody else's is refused and root's is not: we are root there.
    if std::os::unix::fs::chown(home.file(), Some(65533), None).is_ok() {
        home.mode(0o600);
        insta::assert_snapshot!(home.complaint(&["register", "work"]), @"
        FILE:4:1: password_command: this file belongs to the user 65533, who could so run programs as you
          (chown it to yourself, or copy it: FILE)
        ");
        std::os::unix::fs::chown(home.file(), Some(0), None).unwrap();
        assert_eq!(home.complaint(&["register", "work"]), "taken\n");
    }
}

/// A program is found as a file is: from the user's home, or from the folder of the configuration.
#[cfg(unix)]
#[test]
fn where_programs_are() {
    for place in ["~/ask", "./ask", "../FOLDER/ask"] {
        let mut home = work("");
        home.environment.home = Some(home.dir.path().to_owned());
        let folder = home.dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        let program = place.replace("FOLDER", &folder);
        let text = fs::read_to_string(home.file()).unwrap();
        fs::write(home.file(), format!("{text}password_command = [\"{program}\", \"~/x\"]")).unwrap();
        std::os::unix::fs::symlink("/bin/echo", home.dir.path().join("ask")).unwrap();
        assert_eq!(unlocked(home.account(&["register", "work"]).ok().unwrap()), ["w ~/x"], "{place}");
    }
}

#[cfg(unix)]
fn program(program: &str, arguments: &[&str]) -> Program {
    Program(CommandLine {
        program: program.into(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    })
}

/// Who inherits the program's output and does not end is not waited for.
#[cfg(unix)]
#[test]
fn a_program_may_leave_somebody_behind() {
    for (script, expected) in [
        ("printf uncertainty; sleep 20 &", Ok("uncertainty")),
        ("echo uncertainty; sleep 20 &", Ok("uncertainty")),
        ("sleep 20 & echo uncertainty; echo more", Ok("uncertainty")),
        ("sleep 20 &", Err("\"sh\" printed nothing".to_owned())),
        ("sleep 20 & exit 3", Err("\"sh\" failed: exit status: 3".to_owned())),
    ] {
        let asked = program("sh", &["-c", script]);
        let told = runtime().block_on(asked.ask(Duration::from_secs(15)));
        let told = told.as_ref().map(|password| password.reveal()).map_err(|error| error.message());
        assert_eq!(told, expected, "{script}");
    }
}

/// A program that does not end is ended, and one that is not needed is not run.
#[cfg(unix)]
#[test]
fn programs_are_bounded() {
    let asked = program("sleep", &["600"]);
    let error = runtime().block_on(asked.ask(Duration::from_millis(20))).unwrap_err();
    assert_eq!(error.message(), "\"sleep\" was ended: it told nothing within 20ms");
    let marks = work(
        "password_command = [\"touch\", \"mark\"]\n[[accounts.work.credentials]]\nrealm = \"other\"\npassword_command = [\"touch\", \"mark\"]",
    );
    let mut rehearsal = marks.account(&["register", "work", "--dry-run"]).ok().unwrap();
    fetched(&mut rehearsal).unwrap();
    assert!(rehearsal.plan.keyring.credentials.is_empty());
    let typed = marks.account(&["register", "work", "--password", "x"]).ok().unwrap();
    assert_eq!(unlocked(typed), ["w x"]);
}

/// AUT-047: whatever is wrong with it, a line with a secret is not repeated.
#[test]
fn secrets_are_in_no_message() {
    let secret = "hunter2";
    for line in [
        "password = \"hunter2",
        "password = hunter2",
        "password = 'hunter2\n",
        "password = \"hunter2\\q\"",
        "password = \"hunter2\" \"x\"",
        "password == \"hunter2\"",
        "password = \"hunter2\"\npassword = \"hunter2\"",
        "password = [\"hunter2\"]",
        "password = { x = \"hunter2\" }",
        "ha1 = \"hunter2\"",
        "ha1 = \"MD5:hunter2\"",
        "password = \"hunter2\"\nha1 = \"hunter2\"",
        "password_command = [\"pass\", \"hunter2\"",
        "password_command = \"echo hunter2\"",
        "password_command = [\"echo\", \"hunter2\", 5]",
        "expires = \"soon\"\npassword = \"hunter2\"",
        "header = \"Via: hunter2\"",
        "[[accounts.work.credentials]]\npassword = \"hunter2\"\nnope = 1",
        "[[accounts.work.credentials]]\npassword = \"\"\"hunter2",
        "registrar = \"tel:x:hunter2@y\"",
        "from = \"x:hunter2@y\"",
    ] {
        for mode in [0o600, 0o644] {
            let home = work(line);
            home.mode(mode);
            let said = home.complaint(&["register", "work"]);
            assert!(said != "taken\n" && !said.contains(secret), "{line}\n{said}");
        }
    }
    let mut account = work("password = \"hunter2\"").account(&["register", "work"]).ok().unwrap();
    assert!(!format!("{:?}", account.locked()).contains(secret));
}
