//! The configuration file, as the program finds and uses it. `--dry-run` shows what became of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::peer::{self, CHALLENGE};
use crate::run::{Ran, command, finish, sipreg, with_environment};

/// A folder with `sipreg/config.toml`, which only its owner may read.
struct Home(tempfile::TempDir);

impl Home {
    fn with(text: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sipreg")).unwrap();
        let home = Home(dir);
        fs::write(home.file(), text).unwrap();
        home.mode(0o600);
        home
    }

    fn work(lines: &str) -> Home {
        Home::with(&format!("[accounts.work]\naor = \"sip:werner@munich.de\"\n{lines}\n"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("sipreg/config.toml")
    }

    fn mode(&self, mode: u32) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.file(), fs::Permissions::from_mode(mode)).unwrap();
        }
        let _ = mode;
    }

    fn run(&self, args: &[&str]) -> Ran {
        let file = self.file();
        sipreg(&[args, &["--config", file.to_str().unwrap()]].concat())
    }

    /// The request that would be sent to loopback.
    fn request(&self, args: &[&str]) -> String {
        let ran = self.run(&[&["register", "work", "--proxy", "127.0.0.1:5060", "--dry-run"], args].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
        ran.stdout
    }
}

/// The same line whether it stands with the account or in `[defaults]`.
#[test]
fn keys_shape_the_request() {
    for (line, row) in [
        ("registrar = \"sip:registrar.munich.de:5070\"", "REGISTER sip:registrar.munich.de:5070 SIP/2.0"),
        ("from = \"sip:office@munich.de\"", "From: <sip:office@munich.de>;tag="),
        ("contact = \"sip:w@192.0.2.7\"", "Contact: <sip:w@192.0.2.7>"),
        ("contact = [\"sip:a@192.0.2.7\", \"sip:b@192.0.2.7\"]", "<sip:b@192.0.2.7>"),
        ("expires = \"30m\"", "Expires: 1800"),
        ("expires = 90", "Expires: 90"),
        ("q = 0.5", ";q=0.5"),
        ("header = [\"X-Tenant: 42\", \"X-Floor: 3\"]", "X-Floor: 3"),
        ("user_agent = \"Desk 1\"", "User-Agent: Desk 1"),
        ("bind = \"127.0.0.2\"", "@127.0.0.2:"),
        ("advertise = \"phone.munich.de:5099\"", "@phone.munich.de:5099"),
        ("transport = \"tcp\"", "SIP/2.0/TCP"),
        (
            "expires = 90\nipv4 = true\nnameserver = [\"127.0.0.1:9\"]\ntimeout = 5\nt1 = \"1s\"",
            "Expires: 90",
        ),
        (
            "stateless = true\nrealm = \"x\"\nmin_algorithm = \"MD5\"\nretry_for = \"1s\"",
            "To: <sip:werner@munich.de>",
        ),
        ("password_command = [\"/does/not/exist\"]", "To: <sip:werner@munich.de>"),
    ] {
        let request = Home::work(line).request(&[]);
        assert!(request.contains(row), "{line}\n{request}");
        let defaults = Home::work(&format!("[defaults]\n{line}"));
        assert!(defaults.request(&[]).contains(row), "{line}");
    }
    assert!(Home::work("expires = 60").request(&["-e", "2m"]).contains("Expires: 120"));
}

#[test]
fn the_file_is_found_where_xdg_has_it() {
    let text = "[defaults]\nexpires = 77\n[accounts.work]\naor = \"werner@munich.de\"";
    let args = ["register", "work", "--proxy", "127.0.0.1:5060", "--dry-run", "--stateless"];
    let home = Home::with(text);
    let ran = with_environment(&args, &[("XDG_CONFIG_HOME", home.0.path().to_str().unwrap())]);
    assert!(ran.stdout.contains("Expires: 77"), "{}", ran.all());
    let dot = tempfile::tempdir().unwrap();
    fs::create_dir_all(dot.path().join(".config/sipreg")).unwrap();
    fs::copy(home.file(), dot.path().join(".config/sipreg/config.toml")).unwrap();
    let dot = dot.path().to_str().unwrap();
    for variables in [&[("HOME", dot)][..], &[("HOME", dot), ("XDG_CONFIG_HOME", "relative")]] {
        let ran = with_environment(&args, variables);
        assert!(ran.stdout.contains("Expires: 77"), "{}", ran.all());
    }
    let address = ["register", "x@munich.de", "--proxy", "127.0.0.1:5060", "--dry-run", "--stateless"];
    for nowhere in [&[][..], &[("HOME", "/does/not/exist")], &[("HOME", "/dev/null")]] {
        assert_eq!(with_environment(&address, nowhere).code, Some(0));
        assert_eq!(with_environment(&args, nowhere).code, Some(2));
    }
}

#[test]
fn mistakes_have_file_line_and_column() {
    let home = Home::work("expires = \"soon\"");
    let place = format!("error: {}:3:11: expires: ", home.file().display());
    for args in [&["register", "work"][..], &["list", "work"], &["unregister", "work", "--all", "--yes"]] {
        let ran = home.run(args);
        assert_eq!(ran.code, Some(2), "{}", ran.all());
        assert!(ran.stderr.starts_with(&place), "{}", ran.all());
    }
    let ran = home.run(&["register", "work", "--json"]);
    let error = &ran.json()["error"];
    assert_eq!(error["kind"], "usage");
    assert!(error["message"].as_str().unwrap().contains(":3:11: expires: "), "{}", ran.all());
    let ran = home.run(&["register", "wrok"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains(home.file().to_str().unwrap()) && ran.stderr.contains("did you mean work?"));
}

/// What is JSON in the file is JSON on stdout, and the AOR in it is that of the account.
#[test]
fn reports_name_the_address_of_the_account() {
    let dead = peer::dead();
    let home = Home::work(&format!("json = true\nstateless = true\nregistrar = \"{dead}\""));
    let ran = home.run(&["register", "work"]);
    assert_eq!(ran.code, Some(5), "{}", ran.all());
    assert_eq!(ran.json()["aor"], "sip:werner@munich.de");
    let home = Home::work("json = true\nexpires = \"soon\"");
    let ran = home.run(&["register", "work"]);
    assert_eq!(ran.json()["aor"], "sip:werner@munich.de");
    assert_eq!(Home::work("").run(&["list", "nobody", "--json"]).json()["aor"], serde_json::Value::Null);
}

/// What is wrong with the form of the file does not keep the report from naming the address.
#[test]
fn reports_name_the_address_in_a_file_that_is_wrong() {
    for lines in ["expiers = 5", "expires = []", "[defaults]\nzzz = 1", "[zebra]"] {
        let ran = Home::work(lines).run(&["register", "work", "--json"]);
        assert_eq!(
            (ran.code, &ran.json()["aor"]),
            (Some(2), &"sip:werner@munich.de".into()),
            "{}",
            ran.all()
        );
    }
    let home = Home::work("password = \"uncertainty\"");
    home.mode(0o644);
    if cfg!(unix) {
        assert_eq!(home.run(&["list", "work", "--json"]).json()["aor"], "sip:werner@munich.de");
    }
    let typed = Home::work("zzz = 1").run(&["list", "bob@munich.de", "--json"]);
    assert_eq!(typed.json()["aor"], "sip:bob@munich.de");
    for text in
        ["[accounts.work]\naor = 5", "[accounts.work]\naor = \"x y\"", "[accounts]\nwork = 1", "accounts = 1"]
    {
        let ran = Home::with(text).run(&["register", "work", "--json"]);
        assert_eq!((ran.code, &ran.json()["aor"]), (Some(2), &serde_json::Value::Null), "{}", ran.all());
    }
}

/// A command reads its configuration from a shell's pipe, whatever is in it; Tab waits for no pipe.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_a_configuration_but_not_for_tab() {
    let home = Home::work("password = \"x\"\n[defaults]\nexpires = 77");
    let script =
        "cat \"$1\" | \"$0\" register work --proxy 127.0.0.1 --dry-run --stateless --config /dev/stdin";
    let shell = |script: &str, argument: &Path| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_sipreg")]).arg(argument);
        shell.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap()
    };
    let ran = shell(script, &home.file());
    assert!(String::from_utf8_lossy(&ran.stdout).contains("Expires: 77"), "{ran:?}");
    let program = Home::work("password_command = [\"true\"]\n[defaults]\nexpires = 77");
    let ran = shell(script, &program.file());
    assert!(String::from_utf8_lossy(&ran.stdout).contains("Expires: 77"), "{ran:?}");
    let pipe = home.0.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let tab = "_CLAP_COMPLETE_INDEX=4 COMPLETE=bash timeout 20 \"$0\" -- sipreg register --config \"$1\" wo";
    assert_ne!(shell(tab, &pipe).status.code(), Some(124));
}

/// Ended while somebody types there, a program does not leave the terminal without echo.
#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_ended_leaves_the_echo() {
    use nix::sys::termios::{LocalFlags, tcgetattr};
    let home = Home::work(
        "stateless = true\npassword_command = [\"sh\", \"-c\", \"stty -echo < /dev/tty; exec sleep 600\"]",
    );
    for (limit, code) in [("1s", Some(4)), ("60s", Some(143))] {
        let pair = nix::pty::openpty(None, None).unwrap();
        let terminal = fs::File::from(pair.slave);
        let echoes = || tcgetattr(&terminal).unwrap().local_flags.contains(LocalFlags::ECHO);
        let args = ["register", "work", "--registrar", "127.0.0.1:9", "--timeout", limit, "--config"];
        let child = std::process::Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_sipreg")])
            .args(args)
            .arg(home.file())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(terminal.try_clone().unwrap())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while echoes() {
            std::thread::yield_now();
        }
        if code == Some(143) {
            let id = child.id().to_string();
            assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        }
        let ran = finish(child);
        assert_eq!(ran.code, code, "{}", ran.all());
        assert!(echoes(), "{}", ran.all());
        assert!(code != Some(4) || ran.stderr.contains("the password did not come in time"), "{}", ran.all());
    }
}

/// Challenged twice, with the second nonce stale: the program that knows the password is asked once.
#[cfg(unix)]
#[test]
fn a_program_is_asked_once_and_its_password_used() {
    let (socket, address) = peer::silent();
    let home = Home::work("stateless = true\nusername = \"w\"");
    let log = home.0.path().join("asked");
    let script = format!("echo x >> {}; echo uncertainty; echo 'the second line'", log.display());
    let text = fs::read_to_string(home.file()).unwrap();
    fs::write(home.file(), format!("{text}password_command = [\"sh\", \"-c\", \"{script}\"]\n")).unwrap();
    let file = home.file();
    let args = ["register", "work", "--registrar", &address, "-vv", "--config", file.to_str().unwrap()];
    let child = command(&args).env("PATH", "/usr/bin:/bin").spawn().unwrap();
    for stale in ["", ", stale=true"] {
        let (request, peer) = peer::receive(&socket);
        peer::answer(&socket, peer, &request, "401 Unauthorized", &[&format!("{CHALLENGE}{stale}")]);
    }
    let (request, peer) = peer::receive(&socket);
    assert!(peer::header(&request, "Authorization").contains("username=\"w\""), "{request}");
    peer::answer(&socket, peer, &request, "403 Forbidden", &[]);
    let ran = finish(child);
    assert_eq!(ran.code, Some(3), "{}", ran.all());
    assert!(!ran.all().contains("uncertainty"), "{}", ran.all());
    assert_eq!(fs::read_to_string(log).unwrap(), "x\n");
}

/// AUT-006: each realm gets the credentials that are its own.
#[test]
fn credentials_are_chosen_by_realm() {
    for (realm, username) in [("munich.de", "m"), ("other.de", "o"), ("third.de", "any")] {
        let (socket, address) = peer::silent();
        let home = Home::work(&format!(
            "stateless = true\nregistrar = \"{address}\"\nusername = \"any\"\npassword = \"a\"\n\
             [[accounts.work.credentials]]\nrealm = \"munich.de\"\nusername = \"m\"\npassword = \"b\"\n\
             [[accounts.work.credentials]]\nrealm = \"other.de\"\nusername = \"o\"\npassword = \"c\""
        ));
        let file = home.file();
        let child = command(&["register", "work", "--config", file.to_str().unwrap()]).spawn().unwrap();
        let (request, peer) = peer::receive(&socket);
        let challenge = CHALLENGE.replace("munich.de", realm);
        peer::answer(&socket, peer, &request, "401 Unauthorized", &[&challenge]);
        let (request, peer) = peer::receive(&socket);
        let expected = format!("username=\"{username}\"");
        assert!(peer::header(&request, "Authorization").contains(&expected), "{request}");
        peer::answer(&socket, peer, &request, "403 Forbidden", &[]);
        assert_eq!(finish(child).code, Some(3));
    }
}

/// A program that does not answer does not outlive the command.
#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_waited_for_ends_with_the_command() {
    let home = Home::work("");
    let pid = home.0.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", pid.display());
    let text = fs::read_to_string(home.file()).unwrap();
    fs::write(home.file(), format!("{text}password_command = [\"sh\", \"-c\", \"{script}\"]\n")).unwrap();
    let file = home.file();
    let mut sipreg = std::process::Command::new(env!("CARGO_BIN_EXE_sipreg"));
    let args = ["register", "work", "--registrar", "127.0.0.1:9", "--stateless", "--json", "--config"];
    sipreg.args(args).arg(&file).env_clear().env("PATH", "/usr/bin:/bin");
    sipreg.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = sipreg.spawn().unwrap();
    while !pid.exists() {
        std::thread::yield_now();
    }
    let running = fs::read_to_string(&pid).unwrap();
    let running = Path::new("/proc").join(running.trim()).join("cmdline");
    let terminated =
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(terminated.success());
    let ran = finish(child);
    assert_eq!(ran.code, Some(143), "{}", ran.all());
    assert_eq!(ran.json()["error"]["kind"], "interrupted");
    // Killed, it is gone as soon as somebody has taken note of it; until then its command line is empty.
    while fs::read(&running).is_ok_and(|cmdline| !cmdline.is_empty()) {
        std::thread::yield_now();
    }
}

/// The file in the README works as it stands there.
#[test]
fn the_example_of_the_readme_works() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let home = Home::with(example);
    fs::write(home.file().with_file_name("lab.secret"), "uncertainty\n").unwrap();
    for (account, rows) in [
        ("work", ["To: <sip:werner.heisenberg@munich.de>", "Expires: 1800"]),
        ("lab", ["To: <sip:werner@lab.example>", "<sip:werner@192.0.2.8>;q=0.5"]),
    ] {
        let ran = home.run(&["register", account, "--proxy", "127.0.0.1", "--dry-run", "--stateless"]);
        assert!(rows.iter().all(|row| ran.stdout.contains(row)), "{}", ran.all());
    }
}
