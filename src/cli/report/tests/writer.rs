//! The writer beside the loop: nobody waits for a reader, and what a reader gets is whole.

use std::sync::{Arc, Condvar, Mutex};

use super::*;
use crate::cli::report::events::ServeEvent;
use crate::cli::report::writer::{Put, Sink, Stream, Writer};
use crate::proto::registrar::service::ServerEvent;

/// What a reader has got, and whether it reads now.
type Held = (Mutex<(Vec<u8>, bool)>, Condvar);

#[derive(Clone, Default)]
struct Pipe(Arc<Held>);

impl Pipe {
    fn sink(&self) -> Sink {
        Box::new(self.clone())
    }

    fn opens(&self) {
        self.0.0.lock().unwrap().1 = true;
        self.0.1.notify_all();
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().0.clone()).unwrap()
    }
}

impl Write for Pipe {
    /// Little at a time, as a slow reader takes it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (held, changed) = &*self.0;
        let mut held = changed.wait_while(held.lock().unwrap(), |(_, is_read)| !*is_read).unwrap();
        let some = &bytes[..bytes.len().min(1000)];
        held.0.extend_from_slice(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn begun(stdout: Sink, stderr: Sink, same: bool) -> Writer {
    let mut writer = Writer::new(stdout, stderr, same);
    writer.begin();
    writer
}

/// A megabyte waits for a reader that is late; it loses nothing.
#[test]
fn a_late_reader_gets_everything_in_order() {
    let pipe = Pipe::default();
    let writer = begun(pipe.sink(), Box::new(io::sink()), false);
    let lines: Vec<String> = (0..1000).map(|n| format!("{n:>999}\n")).collect();
    for line in &lines {
        assert_eq!(writer.put(Stream::Data, line.as_bytes()).unwrap(), Put::Taken);
    }
    pipe.opens();
    writer.finish().unwrap();
    assert_eq!(pipe.text(), lines.concat());
}

/// Without a reader texts are left out whole; stderr does not suffer with stdout, and the end comes in its time.
#[test]
fn without_a_reader_nobody_waits() {
    let (out, err) = (Pipe::default(), Pipe::default());
    let writer = begun(out.sink(), err.sink(), false);
    let line = format!("{:>9999}\n", "x");
    let taken =
        (0..1000).filter(|_| writer.put(Stream::Data, line.as_bytes()).unwrap() == Put::Taken).count();
    assert_eq!(taken, 104, "what fits into a MiB");
    err.opens();
    assert_eq!(writer.put(Stream::Messages, b"warning\n").unwrap(), Put::Taken);
    writer.finish().unwrap();
    assert_eq!((out.text().as_str(), err.text().as_str()), ("", "warning\n"));
    // Longer than the queue, it is taken where nothing waits.
    let (out, long) = (Pipe::default(), "x".repeat(3 << 20));
    let writer = begun(out.sink(), Box::new(io::sink()), false);
    assert_eq!(writer.put(Stream::Data, long.as_bytes()).unwrap(), Put::Taken);
    assert_eq!(writer.put(Stream::Data, b"x").unwrap(), Put::LeftOut);
    out.opens();
    writer.finish().unwrap();
    assert_eq!(out.text(), long);
}

/// On a terminal errors stand between the events where they belong.
#[test]
fn streams_of_one_place_keep_their_order() {
    let pipe = Pipe::default();
    pipe.opens();
    let writer = begun(pipe.sink(), pipe.sink(), true);
    let mut expected = String::new();
    for n in 0..200 {
        let stream = if n % 3 == 0 { Stream::Messages } else { Stream::Data };
        let line = format!("{n}\n");
        writer.put(stream, line.as_bytes()).unwrap();
        expected += &line;
    }
    writer.finish().unwrap();
    assert_eq!(pipe.text(), expected);
}

/// A reader that has gone is found out without another text, and what comes then fails as it would without a queue.
#[tokio::test]
async fn a_reader_that_has_gone_is_told_of() {
    for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
        let writer = begun(Box::new(Broken(kind)), Box::new(Broken(kind)), false);
        writer.put(Stream::Messages, b"nobody cares\n").unwrap();
        writer.put(Stream::Data, b"event\n").unwrap();
        writer.failed().await;
        assert_eq!(writer.put(Stream::Data, b"event\n").unwrap_err().kind(), kind);
        assert_eq!(writer.put(Stream::Messages, b"still\n").unwrap(), Put::Taken);
        assert_eq!(writer.finish().unwrap_err().kind(), kind);
    }
}

/// The first event that fits again says how many are missing before it, in both forms; the rest says 0.
#[test]
fn an_event_says_how_many_are_missing_before_it() {
    for json in [true, false] {
        let pipe = Pipe::default();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            stdout: &mut stdout,
            stderr: &mut stderr,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            writer: Some(Writer::new(pipe.sink(), Box::new(io::sink()), false)),
        };
        let settings = Settings { json, ..Settings::default() };
        let command = Some(CommandName::Serve);
        let mut reporter = Reporter::new(&mut streams, settings, command, &Environment::default());
        reporter.write_beside();
        let event = |octets| {
            let (peer, what) = ("192.0.2.7:5060".parse().unwrap(), "x".repeat(octets));
            ServeEvent::of(&ServerEvent::Malformed { peer, what, status: None }, SENT).unwrap()
        };
        let many = 20_u64;
        (0..many).for_each(|_| reporter.event(&event(100_000)).unwrap());
        let (left_out, _) = reporter.left_out();
        assert!((9..many).contains(&left_out), "{left_out}");
        pipe.opens();
        reporter.settle();
        (0..2).for_each(|_| reporter.event(&event(10)).unwrap());
        streams.finish().unwrap();
        let text = pipe.text();
        assert!(text.ends_with('\n'));
        let lines: Vec<&str> = text.lines().collect();
        let before = usize::try_from(many - left_out).unwrap();
        if json {
            let missing: Vec<u64> = lines
                .iter()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["dropped_events"].as_u64()
                })
                .map(Option::unwrap)
                .collect();
            let mut expected = vec![0; before];
            expected.extend([left_out, 0]);
            assert_eq!(missing, expected);
        } else {
            assert_eq!(lines.len(), before + 3);
            assert_eq!(lines[before], format!("({left_out} left out here: nobody read them)"));
        }
        assert!(stdout.is_empty() && stderr.is_empty());
    }
}
