//! Which values are completed, and with what. The shells themselves have their say in tests/completions/.

use super::*;

/// The candidates of `words`, the last of which is being typed.
fn offered(typed: &[&str]) -> Vec<String> {
    let mut command = command(&Environment::default(), None);
    let words: Vec<OsString> =
        std::iter::once("sipreg").chain(typed.iter().copied()).map(Into::into).collect();
    let last = words.len() - 1;
    let found = clap_complete::engine::complete(&mut command, words, last, None).unwrap();
    found.iter().map(|candidate| candidate.get_value().to_str().unwrap().to_owned()).collect()
}

#[test]
fn commands_have_their_aliases() {
    assert_eq!(offered(&["q"]), ["query"]);
    assert_eq!(offered(&["query", "--json-"]), ["--json-schema"]);
}

/// A new option for a secret has to be added here.
#[test]
fn nothing_is_offered_for_secrets_and_free_text() {
    for option in ["--password", "--ha1", "--username", "--realm", "--registrar", "--header", "--expires"] {
        assert_eq!(offered(&["register", option, ""]), [""; 0], "{option}");
    }
}

/// A path that nothing is known about would be completed with files of all kinds.
#[test]
fn every_path_says_what_it_is() {
    let program = Args::command();
    let arguments = program.get_subcommands().flat_map(clap::Command::get_arguments);
    let paths = arguments.filter(|argument| argument.get_value_hint() == clap::ValueHint::AnyPath);
    for path in paths {
        let name = path.get_value_names().unwrap()[0].as_str();
        assert!(["FILE", "DIR"].contains(&name), "{name} of {}", path.get_id());
    }
}

#[test]
fn standard_input_is_offered_where_a_password_may_come_from() {
    let has_stdin = |option| offered(&["list", option, ""]).contains(&"-".to_owned());
    assert!(has_stdin("--password-file") && has_stdin("--ha1-file"));
    assert!(!has_stdin("--state-dir"));
}

/// Words without sense are no reason to say something.
#[test]
fn any_words_are_taken() {
    let environment = Environment::default();
    for words in [&["--", "sipreg", "nope", "x"][..], &["--", ""], &["x", "--", "a", "--config"]] {
        let arguments: Vec<OsString> =
            std::iter::once("sipreg").chain(words.iter().copied()).map(Into::into).collect();
        let _ = answer(Shell::Fish, &arguments, &environment);
    }
    assert_eq!(answer(Shell::Fish, &["sipreg".into()], &environment).unwrap(), script(Shell::Fish));
}
