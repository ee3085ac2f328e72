//! The files and what is in them. Their looks are tested where man is: tests/man.rs.

use super::*;

/// Every command has a page of its own.
#[test]
fn there_is_a_page_for_each_command() {
    let names: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
    let program = program();
    assert_eq!(names.len(), 1 + program.get_subcommands().count());
    assert!(names.contains(&"sipreg.1".to_owned()) && names.contains(&"sipreg-unregister.1".to_owned()));
}

/// The codes of a command that points to another's, and of the program, which has everybody's.
#[test]
fn exit_statuses_are_collected_from_other_commands() {
    let codes =
        |name| -> Vec<u8> { Help::of(name).all_exit_statuses().into_iter().map(|(code, _)| code).collect() };
    assert_eq!(codes("register"), [0, 1, 2, 3, 4, 5, 6, 70, 130]);
    assert_eq!(codes("list"), [0, 1, 2, 3, 4, 5, 6, 7, 70, 130]);
    assert_eq!(codes("man"), [0, 2, 70]);
    assert_eq!(codes("sipreg"), codes("list"));
}

#[test]
fn pages_replace_older_ones_and_leave_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("share/man/man1");
    write_to(&dir).unwrap();
    fs::write(dir.join("sipreg.1"), "old").unwrap();
    let written = write_to(&dir).unwrap();
    assert_eq!(written.lines().count(), fs::read_dir(&dir).unwrap().count());
    assert_eq!(fs::read_to_string(dir.join("sipreg.1")).unwrap(), first_page());
    assert_eq!(written.lines().next(), dir.join("sipreg.1").to_str());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = write_to(&dir).unwrap_err();
        assert!(error.message().contains(dir.to_str().unwrap()), "{}", error.message());
    }
    let dir = root.path().join("man1");
    fs::create_dir_all(dir.join("sipreg.1/full")).unwrap();
    let error = write_to(&dir).unwrap_err();
    assert!(error.message().starts_with("DIR: can't write sipreg.1 into \""), "{}", error.message());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "something was left behind");
}
