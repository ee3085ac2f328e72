//! The thread that writes a store to its file.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Database, ReadableTable};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::file::{self, ABOUT, BINDINGS, OpenError, RECOVERED, Storage};
use super::record;
use crate::proto::binding::{Aor, Binding};

/// What is to be written.
#[derive(Debug)]
pub(super) enum Job {
    /// A change that somebody waits for.
    Write { aor: Aor, before: Arc<[Binding]>, after: Arc<[Binding]> },
    /// What is bound by now, other than by a change. Nobody waits for that.
    Settle { aor: Aor, bindings: Arc<[Binding]> },
}

/// What became of jobs, in their order.
#[derive(Debug)]
pub(super) enum Report {
    /// So many changes survive a power failure now.
    Written { changes: usize },
    /// So many changes are not to be, and no others can be made for now.
    Failed { changes: usize, why: Arc<str> },
    /// Changes can be made again.
    Back,
}

/// Jobs that make one transaction at most.
const BATCH: usize = 8192;

/// A store that could not be written is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// The thread, as who gives it jobs sees it. It ends, and has closed the file, when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens what was judged sound, and removes what is `stale`.
    ///
    /// # Errors
    /// It is not sound after all. That nothing can be written is none, but reported as any later failure is.
    pub fn start(
        name: &str,
        storage: Storage,
        stale: Vec<Aor>,
    ) -> Result<(Writer, UnboundedReceiver<Report>), OpenError> {
        let (jobs, incoming) = channel();
        let (reports, outgoing) = unbounded_channel();
        let doubtful = stale.into_iter().map(|aor| (aor, None)).collect();
        let name = name.to_owned();
        let mut work = Work { name, storage, database: None, doubtful, incoming, reports };
        match file::open_database(&work.storage) {
            Ok(database) => {
                work.database = Some(database);
                // So that they are not kept for ever; with the next batch they would be as well.
                if !work.doubtful.is_empty()
                    && let Err(error) = work.settle()
                {
                    work.fail(0, &error);
                }
            }
            Err(OpenError::Io(error)) => work.fail(0, &redb::Error::Io(error)),
            Err(error) => return Err(error),
        }
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || work.run())?;
        Ok((Writer { jobs: Some(jobs), thread: Some(thread) }, outgoing))
    }

    /// Hands a job over. Where the thread is no more, its reports have ended as well.
    pub fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread itself.
struct Work {
    /// The store, as people know it.
    name: String,
    storage: Storage,
    /// `None` while nothing can be written.
    database: Option<Database>,
    /// Records that may be in the file other than they should, with how they should be.
    doubtful: BTreeMap<Aor, Option<Vec<u8>>>,
    incoming: Receiver<Job>,
    reports: UnboundedSender<Report>,
}

impl Work {
    fn run(mut self) {
        let mut jobs = Vec::new();
        let mut is_wanted = true;
        while is_wanted {
            if self.database.is_some() {
                match self.incoming.recv() {
                    Ok(job) => jobs.push(job),
                    Err(RecvError) => is_wanted = false,
                }
                jobs.extend(self.incoming.try_iter().take(BATCH - 1));
                self.write(&mut jobs);
            } else {
                // What comes meanwhile must not put it off.
                std::thread::sleep(AGAIN);
                loop {
                    match self.incoming.try_recv() {
                        Ok(job) => jobs.push(job),
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => {
                            is_wanted = false;
                            break;
                        }
                    }
                }
                self.refuse(&jobs);
                self.recover();
            }
            jobs.clear();
        }
        if let Some(database) = self.database {
            // What was confirmed is safe without it; the next start takes longer.
            let _ = database.close();
        }
    }

    /// Nothing can be written: what nobody waits for is written later.
    fn refuse(&mut self, jobs: &[Job]) {
        for job in jobs {
            if let Job::Settle { aor, bindings } = job {
                self.doubtful.insert(aor.clone(), record::write(bindings));
            }
        }
        let changes = count_changes(jobs);
        if changes > 0 {
            self.report(Report::Failed { changes, why: Arc::default() });
        }
    }

    fn write(&mut self, jobs: &mut [Job]) {
        let Some(database) = &self.database else { return };
        let changes = count_changes(jobs);
        if jobs.is_empty() {
            return;
        }
        // Neighbours are written together; of one address-of-record each after the other.
        jobs.sort_by(|one, other| one.aor().cmp(other.aor()));
        let records = jobs.iter().map(|job| (job.aor(), job.after()));
        match commit(database, records, false) {
            Ok(()) => {
                if changes > 0 {
                    self.report(Report::Written { changes });
                }
            }
            Err(error) => {
                // What was written before it failed may be there or not.
                for job in jobs.iter() {
                    match job {
                        Job::Write { aor, before, .. } => {
                            self.doubtful.entry(aor.clone()).or_insert_with(|| record::write(before));
                        }
                        Job::Settle { aor, bindings } => {
                            self.doubtful.insert(aor.clone(), record::write(bindings));
                        }
                    }
                }
                self.fail(changes, &error);
            }
        }
    }

    fn fail(&mut self, changes: usize, error: &redb::Error) {
        // Closing writes nothing after an error, and what it says is known.
        self.database = None;
        // Without the words that it is one of input or output.
        let cause: &dyn Error = if let redb::Error::Io(error) = error { error } else { error };
        let why = format!("{}: {cause}", self.name).into();
        self.report(Report::Failed { changes, why });
    }

    /// Opens the store again, and makes it what it should be. After an error the database must be closed first.
    fn recover(&mut self) {
        let Ok(database) = file::open_database(&self.storage) else { return };
        self.database = Some(database);
        match self.settle() {
            Ok(()) => self.report(Report::Back),
            Err(_) => self.database = None,
        }
    }

    /// Writes what may be other than it should. This is tried even if there is nothing, so that it shows whether it can be.
    fn settle(&mut self) -> Result<(), redb::Error> {
        if let Some(database) = &self.database {
            let records = self.doubtful.iter().map(|(aor, record)| (aor, record.clone()));
            commit(database, records, true)?;
            self.doubtful.clear();
        }
        Ok(())
    }

    fn report(&self, report: Report) {
        // Nobody listens any more when the store is dropped.
        let _ = self.reports.send(report);
    }
}

impl Job {
    fn aor(&self) -> &Aor {
        let (Job::Write { aor, .. } | Job::Settle { aor, .. }) = self;
        aor
    }

    fn after(&self) -> Option<Vec<u8>> {
        let (Job::Write { after: bindings, .. } | Job::Settle { bindings, .. }) = self;
        record::write(bindings)
    }
}

/// The jobs that somebody waits for.
fn count_changes(jobs: &[Job]) -> usize {
    jobs.iter().filter(|job| matches!(job, Job::Write { .. })).count()
}

/// Writes these records, all or none; they survive a power failure when this returns.
fn commit<'a>(
    database: &Database,
    records: impl Iterator<Item = (&'a Aor, Option<Vec<u8>>)>,
    is_recovery: bool,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    // It syncs twice. With one sync, a file that was not closed and is damaged would come up with what was there one commit
    // ago, as if the power had failed during the last.
    transaction.set_two_phase_commit(true);
    {
        let mut table = transaction.open_table(BINDINGS)?;
        for (aor, record) in records {
            match record {
                Some(record) => drop(table.insert(aor.as_octets(), record.as_slice())?),
                None => drop(table.remove(aor.as_octets())?),
            }
        }
    }
    if is_recovery {
        let mut about = transaction.open_table(ABOUT)?;
        let times = about.get(RECOVERED)?.map_or(0, |times| times.value());
        about.insert(RECOVERED, times + 1)?;
    }
    Ok(transaction.commit()?)
}
