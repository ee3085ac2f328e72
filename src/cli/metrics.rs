//! Prometheus metrics at `/metrics`, by the smallest HTTP there is.
//!
//! A reader gets one answer and the connection is closed. Its request may take a second and 8 KiB, taking the answer
//! five, and of more than 16 readers the oldest goes: they must not get in the way of what they watch, nor of one
//! another.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::usage::UsageError;

/// Readers that are served at a time.
const READERS: usize = 16;

/// The longest request, in octets.
const LONGEST: usize = 8 * 1024;

/// Time for a reader to ask.
const ASKING: Duration = Duration::from_secs(1);

/// Time for a reader to take its answer.
const TAKING: Duration = Duration::from_secs(5);

/// A listener for readers.
#[derive(Debug)]
pub(super) struct Metrics {
    listener: TcpListener,
    asking: mpsc::Receiver<Reader>,
    asked: mpsc::Sender<Reader>,
    /// The tasks of the last readers, the oldest first; those that have ended go when room is wanted.
    tasks: VecDeque<AbortHandle>,
}

/// A reader who asked for the metrics and waits for them.
#[derive(Debug)]
pub(super) struct Reader(oneshot::Sender<String>);

impl Metrics {
    /// Listens on an address. Needs the runtime.
    ///
    /// # Errors
    /// The address can't be had.
    pub(super) fn listen(address: SocketAddr) -> Result<Metrics, UsageError> {
        let open = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        match open() {
            Ok(listener) => {
                let (asked, asking) = mpsc::channel(READERS);
                Ok(Metrics { listener, asking, asked, tasks: VecDeque::with_capacity(READERS) })
            }
            Err(error) => {
                Err(UsageError::option("--metrics", format_args!("cannot listen on {address}: {error}"))
                    .hint("is something else there?"))
            }
        }
    }

    /// The address that it listens on.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// The next reader who has asked; never ends where there are no metrics. Can be dropped at any time.
    pub(super) async fn next(metrics: Option<&mut Metrics>) -> Reader {
        let Some(metrics) = metrics else { return std::future::pending().await };
        loop {
            let Metrics { listener, asking, .. } = metrics;
            tokio::select! {
                biased;
                // The sender beside it keeps this open.
                Some(reader) = asking.recv() => return reader,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => metrics.serve(stream),
                    // Out of files, say: not at once again.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }

    /// Serves a reader in a task of its own, and the oldest no longer if there are too many.
    fn serve(&mut self, stream: TcpStream) {
        self.tasks.retain(|task| !task.is_finished());
        if self.tasks.len() >= READERS
            && let Some(oldest) = self.tasks.pop_front()
        {
            oldest.abort();
        }
        let asked = self.asked.clone();
        self.tasks.push_back(tokio::spawn(converse(stream, asked)).abort_handle());
    }
}

impl Reader {
    /// Answers with the metrics.
    pub(super) fn answer(self, metrics: String) {
        // A reader that has gone needs none.
        let _ = self.0.send(metrics);
    }
}

/// What a request asks for.
enum Request {
    Metrics { with_body: bool },
    Elsewhere { with_body: bool },
    Method,
}

async fn converse(mut stream: TcpStream, asked: mpsc::Sender<Reader>) {
    let Ok(Ok(Some(request))) = timeout(ASKING, head(&mut stream)).await else { return };
    let (status, kind, body, with_body) = match request {
        Request::Metrics { with_body } => {
            let (answer, metrics) = oneshot::channel();
            if asked.send(Reader(answer)).await.is_err() {
                return;
            }
            let Ok(metrics) = metrics.await else { return };
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics, with_body)
        }
        Request::Elsewhere { with_body } => {
            ("404 Not Found", "text/plain", "the metrics are at /metrics\n".to_owned(), with_body)
        }
        Request::Method => {
            ("405 Method Not Allowed", "text/plain", "GET is what is served\n".to_owned(), true)
        }
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if with_body {
        answer += &body;
    }
    let _ = timeout(TAKING, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

/// Reads the head of a request; `None` for what is none.
async fn head(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut request = Vec::with_capacity(1024);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() > LONGEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
    let line = request.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let mut words = line.split(|octet| *octet == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|octet| *octet == b'?').next().unwrap_or_default();
    let with_body = method != b"HEAD";
    Ok(Some(match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => Request::Metrics { with_body },
        (b"GET" | b"HEAD", _) => Request::Elsewhere { with_body },
        _ => Request::Method,
    }))
}
