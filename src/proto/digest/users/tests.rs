use super::*;

const MD5: &str = "939e7578ed9e3c518a452acee763bce9";
const SHA: &str = "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232";

fn password() -> Hidden {
    Hidden::new("uncertainty".to_owned())
}

/// What a line says, the hashes as whether they are there.
fn read(line: &str) -> Result<(String, String, [bool; 3], Vec<String>), UsersFault> {
    let fields = Fields::of(line).unwrap();
    let (user, ha1s) = fields.user()?;
    Ok((user.name, user.realm, ha1s.map(|ha1| ha1.is_some()), user.may_register))
}

/// RAU-014: fields may be empty, and those at the end left out.
#[test]
fn a_line_has_name_realm_hashes_and_who_may_be_registered() {
    let upper = MD5.to_uppercase();
    let nobody: &[&str] = &[];
    for (line, name, realm, hashes, may) in [
        (format!("bob:biloxi.com:{MD5}"), "bob", "biloxi.com", [true, false, false], nobody),
        (format!("bob:biloxi.com:{upper}:::"), "bob", "biloxi.com", [true, false, false], nobody),
        (format!("bob:biloxi.com::{SHA}"), "bob", "biloxi.com", [false, true, false], nobody),
        (format!("bob:biloxi.com:::{SHA}:*"), "bob", "biloxi.com", [false, false, true], &["*"]),
        (
            format!(
                " bob smith : biloxi.com : {MD5} : {SHA} : {SHA} : eve, mallory@Biloxi.com ,, x@biloxi.com "
            ),
            "bob smith",
            "biloxi.com",
            [true, true, true],
            &["eve", "mallory@Biloxi.com", "x@biloxi.com"],
        ),
        (
            format!("jürgen:[2001:db8::1]:{MD5}::{SHA}"),
            "jürgen",
            "[2001:db8::1]",
            [true, false, true],
            nobody,
        ),
        (format!("a@b:127.0.0.1:{MD5}"), "a@b", "127.0.0.1", [true, false, false], nobody),
    ] {
        let may = may.iter().map(|entry| (*entry).to_owned()).collect();
        assert_eq!(read(&line), Ok((name.to_owned(), realm.to_owned(), hashes, may)), "{line}");
    }
}

/// Each fault has its words, none of which is from the line.
#[test]
fn a_bad_line_is_told_by_number_and_what_to_do_without_its_secrets() {
    let duplicate = |first| UsersFault::Duplicate { first };
    for (line, what) in [
        ("bob".to_owned(), UsersFault::Realm),
        ("bob:".to_owned(), UsersFault::Realm),
        (":biloxi.com".to_owned(), UsersFault::Name),
        (format!("bob::{MD5}"), UsersFault::Realm),
        (format!("bob:[::1:{MD5}"), UsersFault::Realm),
        (format!("bob:the realm:{MD5}"), UsersFault::Realm),
        (format!("bob:Biloxi.com:{MD5}"), UsersFault::RealmCase),
        (format!("b\u{7}b:biloxi.com:{MD5}"), UsersFault::Name),
        ("bob:biloxi.com".to_owned(), UsersFault::NoHa1),
        ("bob:biloxi.com:::".to_owned(), UsersFault::NoHa1),
        ("bob:biloxi.com:uncertainty".to_owned(), UsersFault::Ha1(Algorithm::Md5)),
        (format!("bob:biloxi.com:{SHA}"), UsersFault::Ha1(Algorithm::Md5)),
        (format!("bob:biloxi.com::{MD5}"), UsersFault::Ha1(Algorithm::Sha256)),
        (format!("bob:biloxi.com:::{}", &SHA[1..]), UsersFault::Ha1(Algorithm::Sha512_256)),
        (format!("bob:biloxi.com:::{}g", &SHA[1..]), UsersFault::Ha1(Algorithm::Sha512_256)),
        (format!("bob:biloxi.com:{MD5}:::sip:eve@biloxi.com"), UsersFault::MayRegister),
        (format!("bob:biloxi.com:{MD5}:::eve@"), UsersFault::MayRegister),
        (format!("bob:biloxi.com:{MD5}:::eve,carol@atlanta.com"), UsersFault::OtherRealm),
        (format!("bob:biloxi.com:{MD5}:::eve@[::1]"), UsersFault::OtherRealm),
        (format!("bob:biloxi.com:{MD5}:::@biloxi.com"), UsersFault::MayRegister),
        (format!("bob:biloxi.com:{MD5}:::eve:{MD5}"), UsersFault::MayRegister),
        (format!("alice:atlanta.com:{MD5}"), duplicate(3)),
    ] {
        let text = format!("# users\r\n\r\nalice:atlanta.com:{MD5}\r\n{line}\r\n");
        let error = Users::parse(&text).unwrap_err();
        assert_eq!(error, UsersError { line: 4, what }, "{line}");
        let said = format!("{error} {error:?}");
        assert!(said.starts_with("line 4: "), "{said}");
        for secret in [MD5, SHA, &SHA[1..], "uncertainty"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let error = Users::parse("bob:biloxi.com:x").unwrap_err().to_string();
    assert_eq!(error, "line 1: the MD5 HA1 is not 32 hex digits; make the line with sipreg serve --add-user");
}

/// The same name in two realms is two users.
#[test]
fn users_are_told_apart_by_realm_and_name() {
    let text = format!("bob:biloxi.com:{MD5}\n#bob:x:y\n   \nbob:atlanta.com:{MD5}\nBob:biloxi.com:{MD5}");
    let users = Users::parse(&text).unwrap();
    assert_eq!(users.len(), 3);
    assert!(!users.is_empty());
    for (realm, name, there) in [
        ("biloxi.com", "bob", true),
        ("BILOXI.com", "bob", true),
        ("biloxi.com", "Bob", true),
        ("atlanta.com", "bob", true),
        ("atlanta.com", "Bob", false),
        ("x", "#bob", false),
        ("munich.de", "bob", false),
    ] {
        assert_eq!(users.has(realm, name), there, "{name} in {realm}");
    }
    assert!(Users::parse("").unwrap().is_empty());
    assert_eq!(format!("{users:?}"), "Users { count: 3 }");
}

/// RAU-014: the own address, those that were listed, and no others.
#[test]
fn a_user_may_register_the_own_address_and_those_listed() {
    let user = |may: &[&str]| User {
        realm: "biloxi.com".to_owned(),
        name: "bob".to_owned(),
        may_register: may.iter().map(|entry| (*entry).to_owned()).collect(),
    };
    for (may, aor_user, aor_domain, allowed) in [
        (&[][..], "bob", "biloxi.com", true),
        (&[], "bob", "BILOXI.COM", true),
        (&[], "Bob", "biloxi.com", false),
        (&[], "bob", "atlanta.com", false),
        (&[], "eve", "biloxi.com", false),
        (&["eve"], "eve", "biloxi.com", true),
        (&["eve"], "bob", "biloxi.com", true),
        (&["eve"], "eve", "atlanta.com", false),
        (&["carol", "eve@atlanta.com"], "eve", "Atlanta.com", true),
        (&["eve@atlanta.com"], "eve", "biloxi.com", false),
        (&["*"], "anybody", "anywhere.org", true),
        (&["*@biloxi.com"], "eve", "biloxi.com", false),
        (&["a@b@biloxi.com"], "a@b", "biloxi.com", true),
    ] {
        assert_eq!(user(may).may(aor_user, aor_domain), allowed, "{may:?} {aor_user}@{aor_domain}");
    }
}

/// The line that `--add-user` writes is read back as that user, and refused where it could not be.
#[test]
fn the_line_of_a_new_user_is_read_back() {
    // With the combining mark, as some keyboards write it: hashed as one character.
    let line = User::line("ju\u{308}rgen", "Munich.DE", &password()).unwrap();
    let users = Users::parse(line.reveal()).unwrap();
    let known = users.named("munich.de", "j\u{fc}rgen").unwrap();
    for algorithm in Algorithm::ALL {
        let expected = hash::ha1(algorithm, "j\u{fc}rgen", "munich.de", b"uncertainty");
        assert_eq!(known.ha1(algorithm).unwrap().reveal(), expected);
    }
    for (name, realm, fault) in [
        ("", "munich.de", UsersFault::Name),
        ("a:b", "munich.de", UsersFault::Name),
        ("#a", "munich.de", UsersFault::Name),
        (" a", "munich.de", UsersFault::Name),
        ("a\nb", "munich.de", UsersFault::Name),
        ("a", "", UsersFault::Realm),
        ("a", "munich.de:5060", UsersFault::Realm),
        ("a", "mun ich.de", UsersFault::Realm),
        ("a", "munich.de\r\nb", UsersFault::Realm),
    ] {
        assert_eq!(User::line(name, realm, &password()), Err(fault), "{name:?} {realm:?}");
    }
    assert!(User::line("werner", "[2001:db8::1]", &password()).is_ok());
}

/// A name that is a whole address of its realm is the user of that address.
#[test]
fn a_user_owns_the_address_whichever_name_is_used() {
    let user = |name: &str| {
        let line = User::line(name, "munich.de", &password()).unwrap();
        Fields::of(line.reveal()).unwrap().user().unwrap().0
    };
    for (name, part, owns) in [
        ("alice", "alice", [true, false, false]),
        ("alice@munich.de", "alice", [true, true, false]),
        ("alice@berlin.de", "alice@berlin.de", [false, false, false]),
        ("@munich.de", "@munich.de", [false, false, false]),
    ] {
        let user = user(name);
        assert_eq!(user.own_part(), part);
        let owned = ["alice", "alice@munich.de", "bob"].map(|aor_user| user.owns(aor_user, "Munich.de"));
        assert_eq!(owned, owns, "{name}");
        assert_eq!(["alice", "alice@munich.de", "bob"].map(|aor_user| user.may(aor_user, "munich.de")), owns);
        assert!(!user.owns("alice", "berlin.de"));
    }
    let whole = User::line("alice@munich.de", "munich.de", &password()).unwrap();
    let users = Users::parse(whole.reveal()).unwrap();
    assert!(users.has("munich.de", "alice") && !users.has("munich.de", "bob"));
}

/// `--add-user` changes one line, and keeps comments, order, line ends and what the user may do.
#[test]
fn a_user_is_put_into_a_file_that_stays_as_it_is_otherwise() {
    let bob = User::line("bob", "biloxi.com", &password()).unwrap();
    let bob = bob.reveal();
    for (before, after) in [
        (String::new(), format!("{bob}\n")),
        ("# users".to_owned(), format!("# users\n{bob}\n")),
        ("# users\r\n".to_owned(), format!("# users\r\n{bob}\r\n")),
        (
            format!("eve:biloxi.com:{MD5}\n\n# bob\n bob : biloxi.com:{MD5}:::eve, x\n#bob:biloxi.com:1\n"),
            format!("eve:biloxi.com:{MD5}\n\n# bob\n{bob}:eve, x\n#bob:biloxi.com:1\n"),
        ),
        (format!("bob:biloxi.com:{MD5}\r\nbob:x"), format!("{bob}\r\nbob:x")),
        (format!("bob:biloxi.com:{MD5}"), bob.to_owned()),
        (format!("bob:Biloxi.com:{MD5}\n"), format!("{bob}\n")),
        ("not a user\n".to_owned(), format!("not a user\n{bob}\n")),
    ] {
        let got = Users::put(&before, "bob", "biloxi.com", &password()).unwrap();
        assert_eq!(got.reveal(), after, "{before:?}");
        let again = Users::put(got.reveal(), "bob", "Biloxi.com", &password()).unwrap();
        assert_eq!(again.reveal(), after, "put twice");
    }
    assert_eq!(Users::put("", "a:b", "biloxi.com", &password()), Err(UsersFault::Name));
}
