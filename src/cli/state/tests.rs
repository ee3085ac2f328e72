use super::*;
use crate::proto::RegistrationId;
use crate::proto::client::outcome::Granted;

const AOR: &str = "sip:bob@munich.de";
const REGISTRAR: &str = "sip:munich.de";

fn contact(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}

fn enter(state: &State) -> (Slot, Option<String>) {
    let lock = state.approach(AOR, REGISTRAR).unwrap().try_now().unwrap().unwrap();
    state.enter(AOR, REGISTRAR, lock)
}

fn leaving(cseq: u32, contacts: &[&str]) -> Checkpoint {
    Checkpoint {
        registration: RegistrationId(1),
        call_id: "c".to_owned(),
        cseq,
        local: "192.0.2.9:5070".parse().unwrap(),
        contacts: contacts.iter().map(|text| contact(text)).collect(),
    }
}

fn success(removed: &[&str]) -> Success {
    let gone = |text: &&str| Granted::removed(&contact(text).uri);
    Success {
        contacts: removed.iter().map(gone).collect(),
        bindings: Vec::new(),
        service_route: Vec::new(),
        path: Vec::new(),
        asked: crate::proto::client::nat::Asked::default(),
    }
}

const BIND: Purpose = Purpose::Bind { expires: Some(60) };

/// DES-024 REQ-013
#[test]
fn a_binding_goes_from_process_to_process_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(&dir.path().join("deep/er"));
    let (mut slot, warning) = enter(&state);
    assert_eq!((warning, slot.record().memory().dialogue, slot.record().port()), (None, None, None));
    slot.own = true;
    slot.remember(&leaving(1, &["<sip:bob@192.0.2.9:5070>"]));
    drop(slot);

    // Killed before the answer: the contact may be bound.
    let (mut slot, _) = enter(&state);
    assert_eq!(slot.record().memory().dialogue, Some(("c".to_owned(), 1)));
    assert_eq!((slot.record().memory().own.len(), slot.record().port()), (1, Some(5070)));
    slot.own = true;
    slot.remember(&leaving(2, &["<sip:bob@192.0.2.9:5071>;q=0.5"]));
    assert_eq!(slot.record().memory().own.len(), 2);
    slot.settle(BIND, &[], &success(&[]), None);
    drop(slot);

    let (mut slot, _) = enter(&state);
    let bound = slot.record().bound();
    assert_eq!(bound[0].to_string(), "<sip:bob@192.0.2.9:5071>");
    slot.remember(&leaving(3, &[]));
    slot.settle(Purpose::Remove, &bound, &success(&[]), None);
    drop(slot);
    let (slot, _) = enter(&state);
    assert!(slot.record().bound().is_empty());
    assert_eq!(slot.record().memory().dialogue, Some(("c".to_owned(), 3)));
    assert_eq!(slot.record().port(), None);
}

#[test]
fn contacts_that_the_user_names_are_removed_only_where_there_is_no_own_one() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let (mut slot, _) = enter(&state);
    slot.remember(&leaving(1, &["<sip:desk@192.0.2.20>", "<mailto:bob@munich.de>"]));
    slot.settle(BIND, &[], &success(&[]), None);
    assert_eq!((slot.record().bound().len(), slot.record().port()), (2, None));
    slot.settle(BIND, &[], &success(&["<mailto:bob@munich.de>"]), None);
    assert_eq!(slot.record().bound().len(), 1);
    slot.own = true;
    slot.remember(&leaving(2, &["<sip:bob@192.0.2.9:5070>"]));
    slot.settle(BIND, &[], &success(&[]), None);
    assert_eq!(slot.record().bound()[0].to_string(), "<sip:bob@192.0.2.9:5070>");
    slot.settle(Purpose::RemoveAll, &[], &success(&[]), None);
    assert!(slot.record().bound().is_empty());
    for n in 0..100 {
        slot.own = false;
        slot.remember(&leaving(n, &[&format!("<sip:{n}@192.0.2.20>")]));
    }
    assert_eq!(slot.record().named.len(), 32);
}

#[test]
fn what_was_refused_leaves_no_contact_behind() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let (mut slot, _) = enter(&state);
    slot.begin(true);
    slot.remember(&leaving(7, &["<sip:bob@192.0.2.9:5070>"]));
    slot.restore();
    drop(slot);
    let (mut slot, _) = enter(&state);
    assert!(slot.record().bound().is_empty());
    assert_eq!(slot.record().memory().dialogue, Some(("c".to_owned(), 7)), "the CSeq is used up");
    for n in 0..20 {
        slot.begin(true);
        slot.remember(&leaving(n, &[&format!("<sip:bob@192.0.2.9:{}>", 5070 + n)]));
    }
    assert_eq!(slot.record().bound().len(), 4);
}

#[test]
fn letter_case_of_a_host_makes_no_other_address() {
    let key = |text: &str| key(&Uri::parse(text).unwrap());
    assert_eq!(key("sip:bob@Munich.DE"), key("sip:bob@munich.de"));
    assert_ne!(key("sip:Bob@munich.de"), key("sip:bob@munich.de"));
}

#[test]
fn one_process_at_a_time_has_the_slot_and_another_registrar_is_another_slot() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let (slot, _) = enter(&state);
    assert!(state.approach(AOR, REGISTRAR).unwrap().try_now().unwrap().is_err());
    assert!(state.approach(AOR, "sip:other.de").unwrap().try_now().unwrap().is_ok());
    assert!(state.approach("sip:alice@munich.de", REGISTRAR).unwrap().try_now().unwrap().is_ok());
    drop(slot);
    assert!(state.approach(AOR, REGISTRAR).unwrap().try_now().unwrap().is_ok());
}

/// HDR-017
#[test]
fn a_damaged_file_is_set_aside_with_a_warning_and_nothing_of_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let (mut slot, _) = enter(&state);
    slot.own = true;
    slot.remember(&leaving(1, &["<sip:bob@192.0.2.9:5070>"]));
    let path = slot.path.clone();
    drop(slot);
    let good = std::fs::read_to_string(&path).unwrap();
    for bad in [
        String::new(),
        "{".to_owned(),
        "\0\u{1}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"schema\":1", "\"schema\":99"),
        good.replace("sip:bob@munich.de", "sip:eve@munich.de"),
        good.replace("\"c\"", "\"c\\r\\nEvil: 1\""),
        good.replace("<sip:bob@192.0.2.9:5070>", "<sip:bob@192.0.2.9:5070>\\r\\nEvil: 1"),
        good.replace("\"cseq\":1", "\"cseq\":-1"),
        "x".repeat(2 << 20),
    ] {
        std::fs::write(&path, &bad).unwrap();
        let (slot, warning) = enter(&state);
        assert!(warning.is_some(), "{bad:.60}");
        assert!(slot.record().bound().is_empty() && slot.record().memory().dialogue.is_none());
        let aside = std::fs::read_to_string(path.with_extension("damaged")).unwrap();
        assert_eq!(aside, bad);
    }
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(enter(&state).1.is_some());
}

proptest::proptest! {
    #[test]
    fn whatever_is_in_the_file_reading_it_ends_with_a_record(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        let state = State::in_dir(dir.path());
        let path = enter(&state).0.path.clone();
        std::fs::write(&path, &octets).unwrap();
        let (slot, warning) = enter(&state);
        proptest::prop_assert!(warning.is_some());
        proptest::prop_assert!(slot.record().bound().is_empty());
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it_and_a_folder_that_cannot_be_written_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(&dir.path().join("sipreg"));
    let (mut slot, _) = enter(&state);
    slot.remember(&leaving(1, &[]));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("sipreg")), 0o700);
    assert_eq!(mode(&dir.path().join("sipreg/registrations")), 0o700);
    assert_eq!(mode(&slot.path), 0o600);
    assert_eq!(mode(&slot.path.with_extension("lock")), 0o600);
    // Even root cannot make a folder inside a file.
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let state = State::in_dir(&dir.path().join("file"));
    let warning = state.approach(AOR, REGISTRAR).unwrap_err();
    assert!(warning.starts_with("the state directory "), "{warning}");
    assert!(state.instance(&mut || 0).is_err());
    // What cannot be written later is told once.
    std::fs::remove_file(&slot.path).unwrap();
    std::fs::create_dir(&slot.path).unwrap();
    slot.remember(&leaving(2, &[]));
    assert!(slot.complaint().is_some_and(|text| text.contains("can't be written")));
    assert!(slot.complaint().is_none());
}

/// OUT-001..003
#[test]
fn the_instance_is_a_urn_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let mut next = 0x0123_4567_89ab_cdef;
    let first = state.instance(&mut || next).unwrap();
    assert_eq!(first, "urn:uuid:01234567-89ab-4def-8123-456789abcdef");
    next = 7;
    assert_eq!(state.instance(&mut || next).unwrap(), first);
    std::fs::write(dir.path().join("instance"), "urn:uuid:nonsense").unwrap();
    assert_ne!(state.instance(&mut || next).unwrap(), first);
}

#[test]
fn file_names_are_readable_safe_and_different() {
    let name = file_name("sip:werner.heisenberg@munich.de", REGISTRAR);
    assert!(name.starts_with("werner.heisenberg@munich.de-") && name.len() == 27 + 1 + 16, "{name}");
    assert_ne!(name, file_name("sip:werner.heisenberg@munich.de", "sip:munich.de;transport=tcp"));
    for odd in ["sip:../../etc@x", "sip:a/b@c", "sip:%00@x", "sip:ü@x", "sip:.hidden@x", &"x".repeat(500)] {
        let name = file_name(odd, REGISTRAR);
        assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with('.') && name.len() < 100, "{name}");
    }
}

/// OUT-001: processes of different addresses come here at the same time.
#[test]
fn many_at_once_agree_on_one_instance_and_none_fails() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let state = State::in_dir(&dir.path().join("sipreg"));
        let start = std::sync::Barrier::new(8);
        let make = |seed: u64| {
            let (state, start) = (&state, &start);
            move || {
                start.wait();
                state.instance(&mut || seed)
            }
        };
        let made: Vec<Result<String, String>> = std::thread::scope(|scope| {
            let running: Vec<_> = (1..=8).map(|seed| scope.spawn(make(seed))).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let first = made[0].clone().unwrap();
        assert!(made.iter().all(|urn| urn.as_deref() == Ok(&first)), "{made:?}");
        let left: Vec<_> = std::fs::read_dir(dir.path().join("sipreg")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

/// A pipe in the place of a file must not hold anybody up.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_regular_file_is_a_warning_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let path = enter(&state).0.path.clone();
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    let _ = std::fs::remove_file(&path);
    pipe(&path);
    let (slot, warning) = enter(&state);
    assert!(warning.is_some_and(|text| text.contains("not a regular file")));
    drop(slot);
    let lock = path.with_extension("lock");
    std::fs::remove_file(&lock).unwrap();
    pipe(&lock);
    assert!(state.approach(AOR, REGISTRAR).unwrap_err().contains("not a regular file"));
    pipe(&dir.path().join("instance"));
    assert!(state.instance(&mut || 7).is_ok());
}

/// Whoever replaces a file replaces what a link leads to, keeps its permissions, follows no link that somebody else laid
/// beside it, and leaves nothing behind.
#[cfg(unix)]
#[test]
fn a_file_is_replaced_where_it_is_and_as_it_was() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("real")).unwrap();
    std::fs::write(at("real/users"), "old").unwrap();
    std::fs::set_permissions(at("real/users"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/users", at("first")).unwrap();
    symlink("first", at("second")).unwrap();
    std::fs::write(at("victim"), "safe").unwrap();
    symlink(at("victim"), at("real/users.new")).unwrap();
    for (replace, content) in [(file::exchange as fn(&_, &_) -> _, "newer"), (file::replace, "new")] {
        replace(&at("second"), content.as_bytes()).unwrap();
        assert_eq!(std::fs::read_to_string(at("real/users")).unwrap(), content);
    }
    assert_eq!(std::fs::metadata(at("real/users")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(at("second")).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(at("victim")).unwrap(), "safe");
    // A link to what is not there yet makes it; a circle of links leads nowhere.
    symlink("real/later", at("third")).unwrap();
    file::replace(&at("third"), b"made").unwrap();
    assert_eq!(std::fs::metadata(at("real/later")).unwrap().permissions().mode() & 0o777, 0o600);
    symlink("circle", at("circle")).unwrap();
    assert!(file::replace(&at("circle"), b"x").is_err());
    let mut left: Vec<_> =
        std::fs::read_dir(at("real")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["later", "users", "users.new"]);
}

/// DES-024: a lease is remembered until it ends, is given up, or another contact takes its place.
#[test]
fn what_should_still_be_bound_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::in_dir(dir.path());
    let sent = Time::from_millis(1_792_000_000_000);
    let live = |after: u64| -> Vec<String> {
        let all = state.live(AOR, REGISTRAR, sent + Duration::from_secs(after));
        all.iter().map(ToString::to_string).collect()
    };
    let granted = |expires| {
        let uri = contact("<sip:bob@192.0.2.9:5070>").uri;
        Success { contacts: vec![Granted { asked: uri.clone(), uri, expires }], ..success(&[]) }
    };
    let (mut slot, _) = enter(&state);
    slot.begin(true);
    slot.remember(&leaving(1, &["<sip:bob@192.0.2.9:5070>"]));
    assert!(live(0).is_empty(), "nobody has granted it yet");
    slot.settle(BIND, &[], &granted(60), Some(sent));
    assert_eq!((live(59), live(60)), (vec!["<sip:bob@192.0.2.9:5070>".to_owned()], vec![]));
    slot.remember(&leaving(2, &["<sip:bob@192.0.2.9:5071>"]));
    slot.settle(BIND, &[], &granted(600), Some(sent));
    assert_eq!(live(60), ["<sip:bob@192.0.2.9:5071>"]);
    slot.settle(Purpose::Remove, &[contact("<sip:bob@192.0.2.9:5071>")], &success(&[]), Some(sent));
    assert!(live(60).is_empty());
    // And that of a 'sipreg keep', which runs or has ended.
    let place = state.process_slot().unwrap();
    let (mut slot, _) = state.enter_for_keep(AOR, REGISTRAR, &place);
    slot.begin(true);
    slot.remember(&leaving(1, &["<sip:bob@192.0.2.9:5072>"]));
    slot.settle(BIND, &[], &granted(60), Some(sent));
    assert_eq!(live(1), ["<sip:bob@192.0.2.9:5072>"]);
    assert!(state.left_by_keep(AOR, REGISTRAR).is_empty() && state.is_bound_by_keep(AOR, REGISTRAR));
    drop((slot, place));
    assert_eq!(live(1), ["<sip:bob@192.0.2.9:5072>"]);
    let left = state.left_by_keep(AOR, REGISTRAR);
    assert_eq!(left[0].record().bound()[0].to_string(), "<sip:bob@192.0.2.9:5072>");
    drop(left);
    assert!(!state.is_bound_by_keep(AOR, REGISTRAR), "it does not run");
}

/// What may be bound since the last confirmation stays so when a later request is refused.
#[test]
fn a_refusal_takes_back_no_more_than_its_own_request() {
    let dir = tempfile::tempdir().unwrap();
    let (mut slot, _) = enter(&State::in_dir(dir.path()));
    slot.begin(true);
    slot.remember(&leaving(1, &["<sip:bob@192.0.2.9:5070>"]));
    slot.hold();
    slot.remember(&leaving(2, &["<sip:bob@192.0.2.9:5071>"]));
    slot.restore();
    let bound: Vec<String> = slot.record().bound().iter().map(ToString::to_string).collect();
    assert_eq!(bound, ["<sip:bob@192.0.2.9:5070>"]);
}
