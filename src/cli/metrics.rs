//! Prometheus metrics at `/metrics`, by the smallest HTTP there is.
//!
//! A reader gets one answer and the connection is closed. Its request may take five seconds and 8 KiB, and 16
//! readers are served at a time: they must not get in the way of what they watch.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::usage::UsageError;

/// Readers that are served at a time.
const READERS: usize = 16;

/// The longest request, in octets.
const LONGEST: usize = 8 * 1024;

/// Time for a reader to ask, and then to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A listener for readers.
#[derive(Debug)]
pub(super) struct Metrics {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

/// A connection from which a request will come.
#[derive(Debug)]
pub(super) struct Reader {
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
}

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
            Ok(listener) => Ok(Metrics { listener, permits: Arc::new(Semaphore::new(READERS)) }),
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

    /// The next reader; never ends where there are no metrics.
    pub(super) async fn next(metrics: Option<&Metrics>) -> Reader {
        let Some(Metrics { listener, permits }) = metrics else { return std::future::pending().await };
        loop {
            let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
                return std::future::pending().await;
            };
            match listener.accept().await {
                Ok((stream, _)) => return Reader { stream, permit },
                // Out of files, say: not at once again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Reader {
    /// Answers in a task of its own.
    pub(super) fn answer(self, metrics: String) {
        tokio::spawn(async move {
            let Reader { stream, permit } = self;
            let _ = tokio::time::timeout(PATIENCE, converse(stream, &metrics)).await;
            drop(permit);
        });
    }
}

async fn converse(mut stream: TcpStream, metrics: &str) -> io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() > LONGEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = request.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let mut words = line.split(|octet| *octet == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|octet| *octet == b'?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => {
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
        }
        (b"GET" | b"HEAD", _) => ("404 Not Found", "text/plain", "the metrics are at /metrics\n"),
        _ => ("405 Method Not Allowed", "text/plain", "GET is what is served\n"),
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != b"HEAD" {
        answer += body;
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
