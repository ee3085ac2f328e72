//! A writer beside the loop: a command that goes on for long puts its text into a queue, and a thread writes it. So the
//! loop never waits for somebody who does not read.
//!
//! A text is written whole or not at all: what no longer fits into the queue is left out, and whoever puts it there
//! counts that. Stdout and stderr have a queue each, unless both lead to the same place, where their order counts.
//! Life cycle: [`Writer::new`], which writes nothing; [`Writer::begin`] when the command begins; [`Writer::finish`] at
//! the end, which gives a reader that reads a short time for the rest.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

/// Octets that may wait in a queue. A single text may be longer where nothing else waits.
const LONGEST: usize = 1024 * 1024;

/// At the end, the time of a pause in which a reader must have read something, and how many of them it gets.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSES: u32 = 8;
/// So many pauses in which nothing was read mean that nobody reads.
const IDLE: u32 = 3;

/// A stream that cannot take more right now is tried again after this time.
const AGAIN: Duration = Duration::from_millis(10);

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The stream for data, which is stdout.
    Data,
    /// The stream for what is about the data, which is stderr.
    Messages,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is written, or waits to be.
    Taken,
    /// There was no room for it.
    LeftOut,
}

/// A stream as a thread can write to it.
pub type Sink = Box<dyn Write + Send>;

/// The queues and their threads.
pub struct Writer {
    stdout: Arc<Queue>,
    stderr: Arc<Queue>,
    /// The streams, as long as nobody has begun to write to them.
    sinks: Option<(Sink, Sink)>,
    is_running: bool,
}

/// The texts that wait for one thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Octets that were written.
    written: AtomicU64,
    /// Notified when writing to stdout has failed, so that the loop need not write to find out.
    failed: Notify,
}

#[derive(Default)]
struct Waiting {
    texts: VecDeque<(Stream, Box<[u8]>)>,
    /// The octets of those, and of the one that is being written.
    octets: usize,
    /// The error of stdout, which stays.
    error: Option<io::Error>,
    /// Nobody has read for so long at the end that nothing is waited for any more.
    given_up: bool,
}

impl Writer {
    /// For these streams; `same`: both lead to the same place.
    #[must_use]
    pub fn new(stdout: Sink, stderr: Sink, same: bool) -> Writer {
        let queue = Arc::<Queue>::default();
        let other = if same { Arc::clone(&queue) } else { Arc::default() };
        Writer { stdout: queue, stderr: other, sinks: Some((stdout, stderr)), is_running: false }
    }

    /// Begins to write beside the loop. Where the system has no thread to give, everything stays as it was.
    pub fn begin(&mut self) {
        let Some((stdout, stderr)) = self.sinks.take() else { return };
        let begun = if Arc::ptr_eq(&self.stdout, &self.stderr) {
            spawn(&self.stdout, Some(stdout), Some(stderr))
        } else {
            spawn(&self.stderr, None, Some(stderr)).and_then(|()| spawn(&self.stdout, Some(stdout), None))
        };
        self.is_running = begun.is_ok();
    }

    /// Whether texts are to be put here.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// Puts a text into the queue of a stream.
    ///
    /// # Errors
    /// That of stdout, once it has failed.
    pub fn put(&self, stream: Stream, text: &[u8]) -> io::Result<Put> {
        let queue = self.queue(stream);
        let mut waiting = queue.lock();
        if let (Stream::Data, Some(error)) = (stream, &waiting.error) {
            return Err(again(error));
        }
        if text.is_empty() {
            return Ok(Put::Taken);
        }
        if waiting.octets > 0 && waiting.octets.saturating_add(text.len()) > LONGEST {
            return Ok(Put::LeftOut);
        }
        waiting.octets += text.len();
        waiting.texts.push_back((stream, text.into()));
        queue.changed.notify_all();
        Ok(Put::Taken)
    }

    /// Ends when stdout has failed, once; [`Writer::put`] says how. Can be dropped at any time.
    pub async fn failed(&self) {
        self.stdout.failed.notified().await;
    }

    /// Waits until everything is written, but not for longer than a moment: for whoever is about to use the same
    /// terminal.
    pub fn settle(&self) {
        for queue in [&self.stdout, &self.stderr] {
            drop(queue.until_empty(PAUSE));
        }
    }

    /// Waits until everything is written, as long as somebody reads, and for two seconds at most.
    ///
    /// # Errors
    /// That of stdout.
    pub fn finish(&self) -> io::Result<()> {
        if self.is_running {
            self.stdout.finish();
            self.stderr.finish();
        }
        self.stdout.lock().error.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }

    fn queue(&self, stream: Stream) -> &Queue {
        match stream {
            Stream::Data => &self.stdout,
            Stream::Messages => &self.stderr,
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_empty(&self, longest: Duration) -> MutexGuard<'_, Waiting> {
        let waited = self.changed.wait_timeout_while(self.lock(), longest, |waiting| waiting.octets > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn finish(&self) {
        let (mut idle, mut before) = (0, self.written.load(Ordering::Relaxed));
        for _ in 0..PAUSES {
            if self.lock().given_up || self.until_empty(PAUSE).octets == 0 {
                return;
            }
            let now = self.written.load(Ordering::Relaxed);
            idle = if now == before { idle + 1 } else { 0 };
            before = now;
            if idle == IDLE {
                break;
            }
        }
        self.lock().given_up = true;
    }

    /// The next text to be written, when there is one.
    fn next(&self) -> (Stream, Box<[u8]>) {
        let mut waiting = self.lock();
        loop {
            if let Some(text) = waiting.texts.pop_front() {
                return text;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes for as long as the process lives.
    fn work(&self, mut stdout: Option<Sink>, mut stderr: Option<Sink>) {
        loop {
            let (stream, text) = self.next();
            let sink = match stream {
                Stream::Data => &mut stdout,
                Stream::Messages => &mut stderr,
            };
            let result = sink.as_mut().map_or(Ok(()), |sink| self.write(sink, &text));
            let mut waiting = self.lock();
            waiting.octets -= text.len();
            if let (Stream::Data, Err(error)) = (stream, result) {
                waiting.error = Some(error);
                self.failed.notify_one();
            }
            self.changed.notify_all();
        }
    }

    fn write(&self, sink: &mut Sink, mut text: &[u8]) -> io::Result<()> {
        while !text.is_empty() {
            match sink.write(text) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.written.fetch_add(length as u64, Ordering::Relaxed);
                    text = text.get(length..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
                Err(error) => return Err(error),
            }
        }
        loop {
            match sink.flush() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
                ended => return ended,
            }
        }
    }
}

fn spawn(queue: &Arc<Queue>, stdout: Option<Sink>, stderr: Option<Sink>) -> io::Result<()> {
    let queue = Arc::clone(queue);
    thread::Builder::new().name("writer".to_owned()).spawn(move || queue.work(stdout, stderr)).map(drop)
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
