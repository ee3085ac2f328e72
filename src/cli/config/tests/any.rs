//! Whatever octets are in the file: no panic, and a message with a place or an account that works.

use proptest::prelude::*;

use super::*;

fn sound(text: &[u8]) -> Result<(), TestCaseError> {
    let home = Home::with(text);
    let said = home.complaint(&["register", "work"]);
    let _ = account_names(&home.environment, Some(&home.file()));
    let told = said == "taken\n" || said.starts_with("FILE:") || said.starts_with("AOR: \"work\" is neither");
    prop_assert!(told, "{}", said);
    prop_assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{:?}", said);
    prop_assert!(!said.contains("s3cret"), "{}", said);
    Ok(())
}

/// Lines that are right, nearly right, and wrong.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(keys().into_iter().chain(["nope", "a.b", "\"\""]).collect::<Vec<_>>());
    let value = prop_oneof![
        "[ -~]{0,12}",
        "\"[ -~]{0,12}\"",
        Just("true".to_owned()),
        "[0-9]{1,30}",
        "\\[(\"[a-z:@.]{0,8}\",?){0,3}\\]",
        Just("{ x = 1 }".to_owned()),
        Just("\"sip:w@munich.de\"".to_owned()),
    ];
    prop_oneof![
        8 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => Just("[defaults]".to_owned()),
        1 => Just("[accounts.work]".to_owned()),
        1 => Just("[[accounts.work.credentials]]".to_owned()),
        1 => Just("password = \"s3cret".to_owned()),
        1 => Just("password = \"s3cret\"".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        sound(&octets)?;
    }

    #[test]
    fn any_lines(lines in prop::collection::vec(line(), 0..12)) {
        sound(lines.join("\n").as_bytes())?;
        sound(format!("[accounts.work]\naor = \"w@munich.de\"\n{}", lines.join("\n")).as_bytes())?;
    }
}
