//! `--trace` and `--hep`: where copies of the messages go, and what is said when they don't get there.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::exposure::{Right, others_may};
use super::options;
use super::text::shown;
use super::thread::beside;
use super::usage::UsageError;
use super::values::Collector;
use crate::net::{Capture, Missing, Secrets, TraceFile};
use crate::proto::in_zone;

/// Where copies go, as the user means it.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    file: Option<PathBuf>,
    collector: Option<Collector>,
    secrets: Secrets,
    /// A second file, in which secrets are always masked.
    masked: Option<PathBuf>,
}

/// What makes the copies, and the file that they go to.
#[derive(Debug, Default)]
pub struct Copies {
    /// For the driver; `None` where nobody wants any.
    pub capture: Option<Capture>,
    /// For the session.
    pub trace: Option<Trace>,
    /// The second file, for whoever wanted it.
    pub masked: Option<Trace>,
}

/// A file of messages that is being written.
#[derive(Debug)]
pub struct Trace {
    file: TraceFile,
    path: PathBuf,
}

impl Wish {
    /// Reads the options.
    #[must_use]
    pub fn of(options: &options::Copies, shows_secrets: bool) -> Wish {
        Wish {
            file: options.trace.clone(),
            collector: options.hep.clone(),
            secrets: if shows_secrets { Secrets::Shown } else { Secrets::Covered },
            masked: None,
        }
    }

    /// The same, and a file in which secrets are masked whatever the others show.
    #[must_use]
    pub fn and_masked(self, path: PathBuf) -> Wish {
        Wish { masked: Some(path), ..self }
    }

    /// Makes the file, and finds who collects copies; nothing of that where nothing is going to be sent.
    ///
    /// # Errors
    /// The file can't be made, or the name is not known.
    pub async fn begin(&self, is_rehearsal: bool) -> Result<Copies, UsageError> {
        let is_wanted = self.file.is_some() || self.collector.is_some() || self.masked.is_some();
        if is_rehearsal || !is_wanted {
            return Ok(Copies::default());
        }
        let mut capture = Capture::new(self.secrets);
        if let Some(collector) = &self.collector {
            let refused = |why: &dyn std::fmt::Display| {
                let Collector(host, port, _) = collector;
                UsageError::value("--hep", &format!("{host}:{port}"), format_args!("can't be used: {why}"))
            };
            let address = address(collector.clone()).await.map_err(|error| refused(&error))?;
            capture = capture.send_to(address).map_err(|error| refused(&error))?;
        }
        let make = |option: &str, path: &PathBuf| {
            let file = TraceFile::create(path).map_err(|error| {
                let what = format_args!("can't be written: {error}");
                UsageError::value(option, &path.display().to_string(), what)
            })?;
            Ok::<_, UsageError>(Trace { file, path: path.clone() })
        };
        let trace = self.file.as_ref().map(|path| make("--trace", path)).transpose()?;
        let masked = self.masked.as_ref().map(|path| make("--report", path)).transpose()?;
        if let Some(trace) = &trace {
            capture = capture.write_to(trace.file.clone());
        }
        if let Some(masked) = &masked {
            capture = capture.write_masked_to(masked.file.clone());
        }
        Ok(Copies { capture: Some(capture), trace, masked })
    }
}

impl Copies {
    /// Whether anybody wants them.
    #[must_use]
    pub fn are_made(&self) -> bool {
        self.capture.is_some()
    }
}

impl Trace {
    /// Ends when writing has failed, with a warning, once; never without a trace. Can be dropped at any time.
    pub async fn failed(trace: Option<&Trace>) -> String {
        match trace {
            Some(trace) => trace.broken(&trace.file.failed().await),
            None => std::future::pending().await,
        }
    }

    /// Sees to it that all is written, and says what is missing.
    pub fn finish(&self) -> Option<String> {
        let Missing { messages, error } = self.file.finish();
        match error {
            Some(error) => Some(self.broken(&error)),
            None if messages > 0 => Some(format!(
                "{messages} message{} missing in {}, which could not be written in time",
                if messages == 1 { " is" } else { "s are" },
                self.name()
            )),
            None => None,
        }
    }

    /// A warning, where the file could not be kept from others.
    pub fn exposure(&self) -> Option<String> {
        others_may(Right::Read, &self.path)
            .then(|| format!("--trace: others may read the messages in {}: chmod 600 it", self.name()))
    }

    fn broken(&self, error: &io::Error) -> String {
        format!("messages are missing in {}, which can't be written: {error}", self.name())
    }

    fn name(&self) -> String {
        shown(&self.path.to_string_lossy())
    }
}

/// The first address that the system knows for it.
async fn address(Collector(host, port, zone): Collector) -> io::Result<SocketAddr> {
    if let Some(ip) = host.ip() {
        return Ok(in_zone(SocketAddr::new(ip, port), zone));
    }
    let found = beside(move || (host.to_string(), port).to_socket_addrs().map(|mut all| all.next())).await;
    found.transpose()?.flatten().ok_or_else(|| io::Error::other("it has no address"))
}
