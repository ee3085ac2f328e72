//! What goes to which stream, and what when a stream fails.

use super::*;

#[test]
fn quiet_prints_nothing_but_errors() {
    let report = Report { warnings: vec![Warning::NoLifetime], ..report(Ok(bound()), Some((200, "OK"))) };
    let settings = Settings { quiet: true, ends_unanswered: true, ..Settings::default() };
    assert_eq!(shown(&report, settings.clone()), (Exit::Done, String::new(), String::new()));
    let (_, stdout, stderr) = shown(&report, Settings { json: true, ..settings });
    assert!(stdout.starts_with('{') && stderr.is_empty());
}

/// Colour is beside the text, never instead of it.
#[test]
fn colours_change_nothing_but_colours() {
    let report = report(Ok(bound()), Some((200, "OK")));
    let (_, plain, _) = shown(&report, Settings::default());
    let (_, colored, _) = shown(&report, Settings { color: ColorChoice::Always, ..Settings::default() });
    assert!(colored.contains("\u{1b}["));
    let mut stripped = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(stripped + rest, plain);
}

/// A stream that fails as told.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that has gone is no fault; a full disk is.
#[test]
fn stdout_that_can_not_be_written() {
    let report = report(Ok(bound()), Some((200, "OK")));
    for (kind, code, said) in [
        (io::ErrorKind::BrokenPipe, 0, ""),
        (io::ErrorKind::StorageFull, 70, "error: the report can't be written: no storage space\n"),
    ] {
        let (mut stdout, mut stderr) = (Broken(kind), Vec::new());
        let mut streams = Streams {
            stdout: &mut stdout,
            stderr: &mut stderr,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            writer: None,
        };
        let mut reporter = Reporter::new(&mut streams, Settings::default(), None, &Environment::default());
        assert_eq!(reporter.finished(&report).code(), code);
        assert_eq!(String::from_utf8(stderr).unwrap(), said);
    }
}

#[test]
fn a_signal_ends_it_with_what_is_known() {
    for (signal, code) in [(Stop::Interrupt, 130), (Stop::Terminate, 143)] {
        for known in
            [None, Some(failed(Failure::Timeout, None)), Some(report(Ok(bound()), Some((200, "OK"))))]
        {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let mut streams = Streams {
                stdout: &mut stdout,
                stderr: &mut stderr,
                stdout_is_terminal: false,
                stderr_is_terminal: false,
                writer: None,
            };
            let settings = Settings { json: true, ..Settings::default() };
            let command = Some(CommandName::Register);
            let mut reporter = Reporter::new(&mut streams, settings, command, &Environment::default());
            assert_eq!(reporter.interrupted(signal, known.as_ref()).code(), code);
            let json: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
            assert_eq!(json["error"]["kind"], "interrupted");
            assert_eq!((&json["ok"], &json["outcome"]), (&false.into(), &"failed".into()));
            assert_eq!(json["requests"], if known.is_some() { 2 } else { 0 });
        }
    }
}
