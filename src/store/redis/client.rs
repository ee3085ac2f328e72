//! The thread that speaks to the shared store.
//!
//! Operations wait in a queue for each server until the batch before them is answered, and go as one batch then: the more there
//! are, the fewer round trips they cost. A server that breaks off, does not answer in time or can't be used is *down*: what was
//! under way with it and what comes is answered at once, by what is known or with [`StoreFailure::Unavailable`], and it is
//! connected to again in pauses that grow. One that only takes no changes, say because its memory is full, is still asked.
//!
//! The file is long because an operation's way, from its queue through its batch to what is known when that is lost, is one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::super::{Answer, StoreEvent};
use super::connection::{self, Access, Connection, Facts, PATIENCE, Trouble};
use super::hash::{Hash, Plan, Rev, key};
use super::known::Known;
use super::node::{self, BEAT, Nodes, Offset};
use super::script::{self, Call, Outcome};
use super::slots::{Host, Slots};
use super::{Figures, Settings, StoreClock};
use crate::proto::binding::{Aor, Binding, Change, Effect, Operation, StoreFailure, Stored};
use crate::proto::node::Presence;
use crate::proto::{AskId, NodeId, Time};

/// Operations that go as one batch.
const BATCH: usize = 512;

/// How often a change is applied anew because somebody else was quicker.
const TRIES: u32 = 50;

/// How often a server is asked for its time, which also shows whether it is there.
const CLOCK_TURN: Duration = Duration::from_secs(10);

/// A clock that has moved by so much against another, in milliseconds, has moved; less comes from how long messages take.
const TREMOR: u64 = 10;

/// The pause before a server is connected to again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What it grows to.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Taking leave takes no longer than that.
const FAREWELL: Duration = Duration::from_millis(200);

/// While nothing can be told of what has run out, it is looked at again after this time.
const LATER: Duration = Duration::from_secs(1);

/// An operation that somebody waits for.
#[derive(Debug)]
pub(super) struct Job {
    pub ask: AskId,
    pub operation: Operation,
    /// When it was asked, by the clock of whoever did.
    pub now: Time,
    /// The same by that of this process.
    pub at: Instant,
}

/// A thread that has connected.
pub(super) struct Started {
    pub jobs: UnboundedSender<Job>,
    pub events: UnboundedReceiver<StoreEvent>,
    pub facts: Facts,
    pub thread: JoinHandle<()>,
}

/// Starts the thread, and waits until it has connected.
///
/// # Errors
/// It can't. Then there is no thread.
pub(super) fn start(
    settings: Settings,
    now: Time,
    figures: Arc<Figures>,
    presented: watch::Receiver<Option<Presence>>,
) -> Result<Started, Trouble> {
    let failed = |error: std::io::Error| Trouble::Refused(error.to_string().into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (jobs, incoming) = unbounded_channel();
    let (outgoing, events) = unbounded_channel();
    let (opened, opening) = mpsc::sync_channel(1);
    let at = Instant::now();
    let work = move || {
        let mut client = Client::new(settings, (now, at), (figures, outgoing), presented);
        runtime.block_on(async {
            let connected = client.open().await;
            let is_open = connected.is_ok();
            if opened.send(connected).is_ok() && is_open {
                client.run(incoming).await;
            }
        });
        // A question to the name service may still be under way.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(work).map_err(failed)?;
    match opening.recv() {
        Ok(Ok(facts)) => Ok(Started { jobs, events, facts, thread }),
        Ok(Err(trouble)) => Err(trouble),
        Err(mpsc::RecvError) => Err(Trouble::Refused("the thread of the store has ended".into())),
    }
}

/// A question that waits for an answer.
#[derive(Debug)]
struct Pending {
    now: Time,
    /// How often it was applied in vain.
    tries: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// `plan`: what it makes of what was read last, for it.
    Change {
        ask: AskId,
        change: Change,
        plan: Option<Box<Plan>>,
    },
    Fetch {
        ask: AskId,
        aor: Aor,
    },
    /// Something that is known has run out: what is there?
    Look {
        aor: Aor,
    },
}

impl Pending {
    fn aor(&self) -> &Aor {
        match &self.what {
            What::Change { change, .. } => &change.aor,
            What::Fetch { aor, .. } | What::Look { aor } => aor,
        }
    }
}

/// What a question was sent as.
enum Sent {
    Read,
    Write { plan: Box<Plan>, after: Rev },
}

/// A server, and what waits for it.
struct Server {
    host: Host,
    state: State,
    queue: VecDeque<Pending>,
    /// Its clock against that of whoever asks.
    offset: Offset,
    /// Its time in milliseconds, and when it had that.
    clock: (u64, Instant),
    clock_due: Instant,
}

enum State {
    /// It can be asked. `is_busy`: a batch is under way.
    /// `lacks_script`: it has forgotten the script.
    Up { connection: Box<Connection>, is_busy: bool, lacks_script: bool, refuses: Option<Refusal> },
    /// It is being connected to, for the how-manieth time.
    Down { tries: u32 },
}

/// It takes no changes.
struct Refusal {
    /// A key by which it is seen whether it takes them again.
    key: Vec<u8>,
    tries: u32,
    due: Instant,
}

/// Something under way has come to its end.
enum Done {
    Batch {
        server: usize,
        sent: Vec<(Pending, Sent)>,
        answers: Result<Vec<Value>, Trouble>,
    },
    Time {
        server: usize,
        time: Result<(u64, Instant), Trouble>,
    },
    Connected {
        server: usize,
        connection: Result<Box<Connection>, Trouble>,
    },
    Probed {
        server: usize,
        answer: Result<Value, Trouble>,
        waited: Option<Value>,
    },
    Surveyed {
        ranges: Result<Vec<(usize, usize, Host)>, Trouble>,
    },
    /// Nothing but an answer counts: what becomes of questions shows what the matter is.
    Beaten {
        answer: Option<Value>,
    },
}

type Task = Pin<Box<dyn Future<Output = Done>>>;

/// The operation that drops what has run out.
#[derive(Debug)]
struct Expiring {
    ask: AskId,
    now: Time,
    /// What is still being looked at.
    open: usize,
    effects: Vec<Effect>,
}

struct Client {
    settings: Settings,
    access: Arc<Access>,
    /// Of a cluster those, too, that have been of it.
    servers: Vec<Server>,
    /// Of a cluster: which of them has what.
    slots: Option<Slots>,
    /// It is being asked for that, for the how-manieth time.
    is_surveyed: Option<u32>,
    /// What waits for that.
    parked: Vec<Pending>,
    known: Known,
    expiring: Option<Expiring>,
    tasks: FuturesUnordered<Task>,
    events: UnboundedSender<StoreEvent>,
    figures: Arc<Figures>,
    /// The time of whoever asks, and when it was that.
    base: (Time, Instant),
    /// It was told that changes are not taken.
    has_failed: bool,
    random: u64,
    nodes: Nodes,
    /// What the others are told of this one.
    presented: watch::Receiver<Option<Presence>>,
    /// When they are told next; `None`: that is under way.
    beat: Option<Instant>,
    /// There is more to be told or heard than by what is under way.
    is_beat_wanted: bool,
    /// Lists with flows of a node that is not known: it may have begun a moment ago.
    strange: Vec<Pending>,
}

impl Client {
    fn new(
        settings: Settings,
        base: (Time, Instant),
        (figures, events): (Arc<Figures>, UnboundedSender<StoreEvent>),
        presented: watch::Receiver<Option<Presence>>,
    ) -> Client {
        Client {
            access: Arc::new(Access::new(&settings.address, settings.roots.clone())),
            servers: Vec::new(),
            slots: None,
            is_surveyed: None,
            parked: Vec::new(),
            known: Known::bounded(settings.limit),
            expiring: None,
            tasks: FuturesUnordered::new(),
            events,
            figures,
            base,
            has_failed: false,
            random: settings.seed,
            nodes: Nodes::new(settings.node.clone()),
            presented,
            beat: Some(base.1),
            is_beat_wanted: false,
            strange: Vec::new(),
            settings,
        }
    }

    /// Connects for the first time.
    async fn open(&mut self) -> Result<Facts, Trouble> {
        if self.settings.address.is_cluster {
            let ranges = survey(&self.access, &self.settings.address.hosts).await?;
            self.slots = Some(Slots::of(&ranges, |host| number(&mut self.servers, host)));
            if self.servers.is_empty() {
                return Err(Trouble::ClusterDown);
            }
        } else {
            let host = self.settings.address.hosts.first().cloned().unwrap_or_default();
            number(&mut self.servers, &host);
        }
        let mut facts = None;
        for server in 0..self.servers.len() {
            let Some(Server { host, .. }) = self.servers.get(server) else { break };
            let connection = Box::new(self.access.connect(host).await?);
            facts.get_or_insert_with(|| connection.facts.clone());
            self.connected(server, connection);
        }
        Ok(facts.unwrap_or_default())
    }

    async fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        loop {
            let due = self.beat.map_or_else(|| self.due(), |beat| beat.min(self.due()));
            tokio::select! {
                biased;
                done = self.tasks.next(), if !self.tasks.is_empty() => {
                    done.into_iter().for_each(|done| self.done(done));
                }
                // Before any binding: whoever reads that finds this node.
                Ok(()) = self.presented.changed() => self.want_beat(),
                job = jobs.recv() => {
                    let Some(job) = job else { return self.leave().await };
                    self.take(job);
                    // What has come together goes together.
                    while let Ok(job) = jobs.try_recv() {
                        self.take(job);
                    }
                }
                () = tokio::time::sleep_until(due) => {}
            }
            self.beat();
            for server in 0..self.servers.len() {
                self.go_on(server);
            }
        }
    }

    /// When some server is to be asked for something without anybody having asked.
    fn due(&self) -> Instant {
        let due = self.servers.iter().filter_map(|server| match &server.state {
            State::Up { is_busy: false, refuses, .. } => {
                Some(refuses.as_ref().map_or(server.clock_due, |refusal| server.clock_due.min(refusal.due)))
            }
            State::Up { is_busy: true, .. } | State::Down { .. } => None,
        });
        due.min().unwrap_or_else(|| Instant::now() + CLOCK_TURN)
    }

    fn take(&mut self, job: Job) {
        let Job { ask, operation, now, at } = job;
        // A clock that has run on while this process did not, as in suspend, says nothing of that of the server.
        let (then, since) = self.base;
        if now.since(then) > at.duration_since(since) + LATER {
            self.servers.iter_mut().for_each(|server| server.clock_due = at);
        }
        self.base = (now, at);
        match operation {
            Operation::Expire => self.expire(ask, now),
            Operation::Fetch(aor) => {
                self.admit(Pending { now, tries: 0, what: What::Fetch { ask, aor } });
            }
            Operation::Change(change) => {
                let what = What::Change { ask, change, plan: None };
                self.admit(Pending { now, tries: 0, what });
            }
        }
    }

    fn admit(&mut self, pending: Pending) {
        let server = self.server_of(pending.aor());
        let is_change = matches!(pending.what, What::Change { .. });
        match server.and_then(|server| self.servers.get_mut(server)) {
            Some(Server { state: State::Up { refuses, .. }, queue, .. })
                if refuses.is_none() || !is_change =>
            {
                queue.push_back(pending);
            }
            Some(_) | None => self.do_without(pending),
        }
    }

    /// The server that has an address-of-record. `None`: nobody has.
    fn server_of(&self, aor: &Aor) -> Option<usize> {
        self.slots.as_ref().map_or(Some(0), |slots| slots.server(&key(aor)))
    }

    /// Answers without the store.
    fn do_without(&mut self, pending: Pending) {
        let now = pending.now;
        match pending.what {
            What::Change { ask, .. } => self.answer(ask, Err(StoreFailure::Unavailable)),
            What::Fetch { ask, aor } => {
                let held = self.known.bindings(&aor);
                let live: Arc<[_]> = if held.iter().all(|binding| binding.is_live(now)) {
                    held
                } else {
                    held.iter().filter(|binding| binding.is_live(now)).cloned().collect()
                };
                // That there is none is not known.
                let answer = if live.is_empty() {
                    Err(StoreFailure::Unavailable)
                } else {
                    Ok(self.stored(live, Vec::new(), now))
                };
                self.answer(ask, answer);
            }
            What::Look { .. } => self.looked(Vec::new()),
        }
    }

    fn stored(
        &self,
        bindings: Arc<[crate::proto::binding::Binding]>,
        effects: Vec<Effect>,
        now: Time,
    ) -> Stored {
        Stored { bindings, effects, next_expiry: self.known.next_expiry(now) }
    }

    fn answer(&self, ask: AskId, answer: Answer) {
        self.figures.bindings.store(self.known.len(), Ordering::Relaxed);
        // Nobody listens any more when the store is dropped.
        let _ = self.events.send(StoreEvent::Answered { ask, answer });
    }

    // --- other nodes ----------------------------------------------------------------------------

    /// The server that nodes know each other by.
    fn meeting(&self) -> Option<(&Connection, Offset)> {
        let number = self.slots.as_ref().map_or(Some(0), |slots| slots.server(node::KEY.as_bytes()))?;
        let server = self.servers.get(number)?;
        match &server.state {
            State::Up { connection, .. } => Some((connection, server.offset)),
            State::Down { .. } => None,
        }
    }

    /// The next sign of life comes now, or when the one under way is through.
    fn want_beat(&mut self) {
        match &mut self.beat {
            Some(due) => *due = Instant::now(),
            None => self.is_beat_wanted = true,
        }
    }

    /// Gives a sign of life, if it is time.
    fn beat(&mut self) {
        let now = Instant::now();
        if self.beat.is_none_or(|due| due > now) {
            return;
        }
        let Some((connection, offset)) = self.meeting() else {
            self.beat = Some(now + BEAT);
            return;
        };
        let mut link = connection.link.clone();
        let command = self.nodes.beat(self.presented.borrow().as_ref(), offset);
        self.beat = None;
        let beating = async move {
            let answer = timeout(PATIENCE, link.send_packed_command(&command)).await;
            Done::Beaten { answer: answer.ok().and_then(Result::ok) }
        };
        self.tasks.push(Box::pin(beating));
    }

    fn beaten(&mut self, answer: Option<Value>) {
        let is_wanted = std::mem::take(&mut self.is_beat_wanted);
        self.beat = Some(if is_wanted { Instant::now() } else { Instant::now() + BEAT });
        if let (Some(answer), Some((_, offset))) = (answer, self.meeting()) {
            for event in self.nodes.heard(&answer, offset) {
                let _ = self.events.send(event);
            }
        }
        // What has come since may need what is heard next.
        if !is_wanted {
            for pending in std::mem::take(&mut self.strange) {
                self.admit(pending);
            }
        }
    }

    /// Takes its leave.
    async fn leave(mut self) {
        let is_known = self.presented.borrow_and_update().is_some();
        if let Some((connection, _)) = self.meeting().filter(|_| is_known) {
            let mut link = connection.link.clone();
            // Where it can't be said, the others find out.
            let _ = timeout(FAREWELL, link.send_packed_command(&self.nodes.leave())).await;
        }
    }

    // --- what runs out --------------------------------------------------------------------------

    fn expire(&mut self, ask: AskId, now: Time) {
        if self.expiring.is_some() {
            let next_expiry = Some(now + LATER);
            return self
                .answer(ask, Ok(Stored { bindings: Arc::default(), effects: Vec::new(), next_expiry }));
        }
        let due = self.known.due(now);
        self.expiring = Some(Expiring { ask, now, open: due.len() + 1, effects: Vec::new() });
        for aor in due {
            self.admit(Pending { now, tries: 0, what: What::Look { aor } });
        }
        self.looked(Vec::new());
    }

    /// One more of what has run out was looked at.
    fn looked(&mut self, effects: Vec<Effect>) {
        let Some(expiring) = &mut self.expiring else { return };
        expiring.effects.extend(effects);
        expiring.open = expiring.open.saturating_sub(1);
        if expiring.open > 0 {
            return;
        }
        let Some(Expiring { ask, now, effects, .. }) = self.expiring.take() else { return };
        let mut stored = self.stored(Arc::default(), effects, now);
        if stored.effects.is_empty() && stored.next_expiry == Some(now) {
            // Either it could not be looked at, or what ran out was not due yet after all.
            let is_over = self.known.due(now).is_empty();
            stored.next_expiry =
                self.known.next_expiry(now).map(|next| if is_over { next } else { now + LATER });
        }
        self.answer(ask, Ok(stored));
    }

    // --- one batch ------------------------------------------------------------------------------

    /// Asks what a server that is free can be asked.
    fn go_on(&mut self, number: usize) {
        let now = Instant::now();
        let Some(server) = self.servers.get_mut(number) else { return };
        let State::Up { connection, is_busy: is_busy @ false, lacks_script, refuses } = &mut server.state
        else {
            return;
        };
        let mut link = connection.link.clone();
        if server.clock_due <= now {
            *is_busy = true;
            server.clock_due = now + CLOCK_TURN;
            let time = async move { Done::Time { server: number, time: connection::time(&mut link).await } };
            return self.tasks.push(Box::pin(time));
        }
        if let Some(refusal) = refuses.as_mut().filter(|refusal| refusal.due <= now) {
            *is_busy = true;
            refusal.tries += 1;
            refusal.due = now + pause(&mut self.random, refusal.tries);
            // What changes do, with a hash that is no more in a millisecond.
            let call = Call {
                script: &connection.script,
                key: &refusal.key,
                deadline: u64::MAX >> 11,
                before: Rev::Absent,
                after: Rev::Number(1),
                kept: 1,
                is_kept_longer: false,
                fields: &[("probe".to_owned(), String::new(), 1)],
                times_fields: false,
                removed: &[],
            };
            let mut pipeline = Pipeline::with_capacity(3);
            pipeline.add_command(connection::load()).add_command(call.command());
            if let Some(wait) = wait(self.settings.replicas, connection) {
                pipeline.add_command(wait);
            }
            let probe = async move {
                let answers = link.send_packed_commands(&pipeline, 0, pipeline.len()).await;
                let answers = answers.map_err(Trouble::from).map(|answers| {
                    let mut answers = answers.into_iter().skip(1);
                    (answers.next().unwrap_or(Value::Nil), answers.next())
                });
                match answers {
                    Ok((answer, waited)) => Done::Probed { server: number, answer: Ok(answer), waited },
                    Err(trouble) => Done::Probed { server: number, answer: Err(trouble), waited: None },
                }
            };
            return self.tasks.push(Box::pin(probe));
        }
        if server.queue.is_empty() {
            return;
        }
        *is_busy = true;
        let batch: Vec<Pending> = server.queue.drain(..server.queue.len().min(BATCH)).collect();
        let mut pipeline = Pipeline::with_capacity(batch.len() + 2);
        let loads = usize::from(std::mem::take(lacks_script));
        if loads > 0 {
            pipeline.add_command(connection::load());
        }
        let mut sent = Vec::with_capacity(batch.len());
        let mut writes = false;
        for mut pending in batch {
            let (command, how) = self.command(number, &mut pending);
            writes |= matches!(how, Sent::Write { .. });
            pipeline.add_command(command);
            sent.push((pending, how));
        }
        let Some(Server { state: State::Up { connection, .. }, .. }) = self.servers.get(number) else {
            return;
        };
        let wait = wait(self.settings.replicas, connection).filter(|_| writes);
        if let Some(wait) = wait {
            pipeline.add_command(wait);
        }
        let batch = async move {
            let mut answers = link.send_packed_commands(&pipeline, 0, pipeline.len()).await;
            if let Ok(answers) = &mut answers {
                answers.drain(..loads.min(answers.len()));
            }
            Done::Batch { server: number, sent, answers: answers.map_err(Trouble::from) }
        };
        self.tasks.push(Box::pin(batch));
    }

    /// How a question is put.
    fn command(&mut self, server: usize, pending: &mut Pending) -> (Cmd, Sent) {
        let now = pending.now;
        let plan = match &mut pending.what {
            What::Change { change, plan, .. } => plan.take().or_else(|| {
                let mut hash = self.known.get(&change.aor).unwrap_or_default();
                let ends = hash.drop_expired(Some(&change.aor), now);
                // Whatever else comes out of what is known has to be seen in the store first.
                hash.apply(change, ends, now).ok().filter(|plan| plan.is_change).map(Box::new)
            }),
            What::Fetch { .. } | What::Look { .. } => None,
        };
        let key = key(pending.aor());
        let Some(plan) = plan else { return (cmd("HGETALL").arg(&key).take(), Sent::Read) };
        let Some(Server { state: State::Up { connection, .. }, offset, clock, .. }) =
            self.servers.get(server)
        else {
            return (cmd("HGETALL").arg(&key).take(), Sent::Read);
        };
        let (time, at) = *clock;
        let deadline = at.elapsed() + PATIENCE;
        let kept_offset = kept(&self.settings, *offset);
        let before = plan.hash.frame.rev;
        let after = before.next(kept_offset.there(now), random(&mut self.random));
        let call = Call {
            script: &connection.script,
            key: &key,
            deadline: time.saturating_add(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
            before,
            after,
            kept: plan.kept(now),
            is_kept_longer: plan.has_more(),
            fields: &plan.fields(self.nodes.own(), kept_offset, now),
            times_fields: connection.times_fields,
            removed: &plan.removed,
        };
        (call.command(), Sent::Write { plan, after })
    }

    // --- what comes back ------------------------------------------------------------------------

    fn done(&mut self, done: Done) {
        match done {
            Done::Batch { server, sent, answers } => match answers {
                Ok(answers) => self.batch_done(server, sent, answers),
                Err(trouble) => {
                    self.failed(&trouble.to_string());
                    for (pending, sent) in sent {
                        if matches!(sent, Sent::Write { .. }) {
                            self.known.doubt(pending.aor());
                        }
                        self.do_without(pending);
                    }
                    self.lose(server, &trouble);
                }
            },
            Done::Time { server, time: Ok(time) } => {
                self.free(server);
                self.set_clock(server, time);
            }
            Done::Time { server, time: Err(trouble) } => self.lose(server, &trouble),
            Done::Connected { server, connection: Ok(connection) } => {
                self.nodes.spare();
                self.connected(server, connection);
            }
            Done::Connected { server, connection: Err(trouble) } => self.lose(server, &trouble),
            Done::Probed { server, answer: Ok(answer), waited } => {
                self.probed(server, &answer, waited.as_ref());
            }
            Done::Probed { server, answer: Err(trouble), .. } => self.lose(server, &trouble),
            Done::Surveyed { ranges } => self.surveyed(ranges),
            Done::Beaten { answer } => self.beaten(answer),
        }
    }

    fn batch_done(&mut self, server: usize, sent: Vec<(Pending, Sent)>, answers: Vec<Value>) {
        self.free(server);
        let mut answers = answers.into_iter();
        let mut outcomes = Vec::with_capacity(sent.len());
        for (pending, sent) in sent {
            outcomes.push((pending, sent, answers.next().unwrap_or(Value::Nil)));
        }
        // What is left is what WAIT says: how many replicas have it.
        let lacks = answers.next().and_then(|count| self.lacking(&count));
        let mut again = Vec::new();
        let mut trouble = None;
        for (pending, sent, answer) in outcomes {
            let aor = pending.aor().clone();
            match (sent, answer) {
                (_, Value::ServerError(error)) => match error.code() {
                    "NOSCRIPT" if pending.tries < TRIES => {
                        if let Some(Server { state: State::Up { lacks_script, .. }, .. }) =
                            self.servers.get_mut(server)
                        {
                            *lacks_script = true;
                        }
                        again.push(Pending { tries: pending.tries + 1, ..pending });
                    }
                    "MOVED" if self.slots.is_some() && pending.tries < TRIES => {
                        self.parked.push(Pending { tries: pending.tries + 1, ..pending });
                        self.survey(0);
                    }
                    // It is on its way to another server.
                    "ASK" | "TRYAGAIN" if self.slots.is_some() => self.do_without(pending),
                    "READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH" => {
                        let trouble = trouble.get_or_insert_with(|| Trouble::of(&error));
                        self.failed(&trouble.to_string());
                        self.do_without(pending);
                    }
                    "OOM" | "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" | "BUSY" | "NOPERM" => {
                        self.refuse(server, &aor, &Trouble::of(&error).to_string());
                        self.do_without(pending);
                    }
                    _ => self.fail(pending),
                },
                (Sent::Read, answer) => match script::fields(&answer) {
                    Some(fields) => again.extend(self.read(server, pending, &fields)),
                    None => self.fail(pending),
                },
                (Sent::Write { plan, after }, answer) => match Outcome::of(answer) {
                    Outcome::Done => self.written(server, pending, *plan, after, lacks.as_deref()),
                    Outcome::Differs(answer) => {
                        // Else it was not known that there is something.
                        if plan.hash.frame.rev != Rev::Absent {
                            self.figures.conflicts.fetch_add(1, Ordering::Relaxed);
                        }
                        match script::fields(&answer) {
                            Some(fields) => again.extend(self.read(server, pending, &fields)),
                            None => self.fail(pending),
                        }
                    }
                    Outcome::TooLate => {
                        if let Some(server) = self.servers.get_mut(server) {
                            server.clock_due = Instant::now();
                        }
                        self.do_without(pending);
                    }
                    Outcome::Odd => self.fail(pending),
                },
            }
        }
        if let Some(trouble) = trouble {
            again.into_iter().for_each(|pending| self.do_without(pending));
            self.lose(server, &trouble);
        } else if let Some(Server { queue, .. }) = self.servers.get_mut(server) {
            again.into_iter().rev().for_each(|pending| queue.push_front(pending));
        }
    }

    /// What is in a hash was read. A change that follows from it comes back.
    fn read(&mut self, server: usize, mut pending: Pending, fields: &[(&[u8], &[u8])]) -> Option<Pending> {
        let now = pending.now;
        let offset = self
            .servers
            .get(server)
            .map_or_else(Offset::default, |server| kept(&self.settings, server.offset));
        let hash = Hash::read(fields.iter().copied(), &self.nodes, offset, now);
        let aor = pending.aor().clone();
        let known = self.known.get(&aor).unwrap_or_default();
        let ends = hash.ends_since(&known, &aor, now);
        match &mut pending.what {
            What::Change { ask, change, plan } => {
                let ask = *ask;
                match hash.apply(change, ends, now) {
                    Ok(made) if !made.is_change => {
                        self.known.put(&aor, &hash, now);
                        self.answer(ask, Ok(self.stored(hash.bindings, made.effects, now)));
                    }
                    Ok(_) if pending.tries >= TRIES => self.answer(ask, Err(StoreFailure::Unavailable)),
                    Ok(made) => {
                        pending.tries += 1;
                        *plan = Some(Box::new(made));
                        return Some(pending);
                    }
                    // What is known stays as it was, with the ends that nobody was told.
                    Err(failure) => self.answer(ask, Err(failure)),
                }
            }
            What::Fetch { .. } if pending.tries == 0 && has_strange(&hash.bindings) => {
                pending.tries = 1;
                self.strange.push(pending);
                self.want_beat();
            }
            What::Fetch { ask, .. } => {
                let ask = *ask;
                self.known.put(&aor, &hash, now);
                self.answer(ask, Ok(self.stored(hash.bindings, ends, now)));
            }
            What::Look { .. } => {
                self.known.put(&aor, &hash, now);
                self.looked(ends);
            }
        }
        None
    }

    /// A change is in the store. `lacks`: not as safe as it should be.
    fn written(&mut self, server: usize, pending: Pending, plan: Plan, after: Rev, lacks: Option<&str>) {
        let now = pending.now;
        let aor = pending.aor().clone();
        let Plan { mut hash, effects, .. } = plan;
        hash.frame.rev = after;
        self.known.put(&aor, &hash, now);
        match lacks {
            Some(why) => {
                self.refuse(server, &aor, why);
                self.do_without(pending);
            }
            None => {
                if let What::Change { ask, .. } = pending.what {
                    self.answer(ask, Ok(self.stored(hash.bindings, effects, now)));
                }
            }
        }
    }

    /// Nothing can be made of what is in the store.
    fn fail(&mut self, pending: Pending) {
        match pending.what {
            What::Change { ask, .. } | What::Fetch { ask, .. } => self.answer(ask, Err(StoreFailure::Failed)),
            What::Look { aor } => {
                self.known.put(&aor, &Hash::default(), pending.now);
                self.looked(Vec::new());
            }
        }
    }

    /// What is wrong with the number of replicas that have a change.
    fn lacking(&self, answer: &Value) -> Option<String> {
        let count = if let Value::Int(count) = answer {
            *count
        } else if let Value::Array(counts) = answer
            && let [Value::Int(own), Value::Int(count)] = counts.as_slice()
        {
            // WAITAOF: this server has to have it in its file, too.
            if *own > 0 { *count } else { 0 }
        } else {
            return Some(connection::odd(answer).to_string());
        };
        let wanted = self.settings.replicas;
        (count < i64::from(wanted)).then(|| format!("{count} of {wanted} replicas have the last change"))
    }

    // --- the state of a server ------------------------------------------------------------------

    fn free(&mut self, server: usize) {
        if let Some(Server { state: State::Up { is_busy, .. }, .. }) = self.servers.get_mut(server) {
            *is_busy = false;
        }
    }

    fn set_clock(&mut self, server: usize, (time, at): (u64, Instant)) {
        let (then, since) = self.base;
        // It may have been told before the last that was asked.
        let here = match at.checked_duration_since(since) {
            Some(later) => then + later,
            None => Time::from_millis(
                then.as_millis().saturating_sub(u64::try_from((since - at).as_millis()).unwrap_or(u64::MAX)),
            ),
        };
        let offset =
            i64::try_from(time).unwrap_or(i64::MAX) - i64::try_from(here.as_millis()).unwrap_or(i64::MAX);
        if let Some(server) = self.servers.get_mut(server) {
            server.clock = (time, at);
            if server.offset.0.abs_diff(offset) > TREMOR {
                server.offset = Offset(offset);
            }
        }
    }

    fn connected(&mut self, number: usize, connection: Box<Connection>) {
        let time = connection.time;
        if let Some(server @ Server { state: State::Down { .. }, .. }) = self.servers.get_mut(number) {
            server.clock_due = Instant::now() + CLOCK_TURN;
            server.state = State::Up { connection, is_busy: false, lacks_script: false, refuses: None };
        }
        self.set_clock(number, time);
        self.is_back();
    }

    /// A server can't be asked: everything that waits for it is answered, and it is connected to again.
    fn lose(&mut self, number: usize, trouble: &Trouble) {
        let Some(server) = self.servers.get_mut(number) else { return };
        let tries = match server.state {
            State::Up { .. } => 0,
            State::Down { tries } => tries + 1,
        };
        server.state = State::Down { tries };
        let is_wanted = self.slots.as_ref().is_none_or(|slots| slots.has(number));
        let waiting = std::mem::take(&mut server.queue);
        if is_wanted {
            self.failed(&trouble.to_string());
        }
        waiting.into_iter().for_each(|pending| self.do_without(pending));
        if !is_wanted {
            return;
        }
        self.survey(tries);
        let rest = pause(&mut self.random, tries);
        self.connect(number, rest);
    }

    /// A server takes no changes, but can be asked.
    fn refuse(&mut self, number: usize, aor: &Aor, why: &str) {
        let due = Instant::now() + pause(&mut self.random, 0);
        let Some(Server { state: State::Up { refuses, .. }, queue, .. }) = self.servers.get_mut(number)
        else {
            return;
        };
        if refuses.is_none() {
            *refuses = Some(Refusal { key: [key(aor).as_slice(), b":probe"].concat(), tries: 0, due });
        }
        let (changes, others) =
            queue.drain(..).partition::<Vec<_>, _>(|pending| matches!(pending.what, What::Change { .. }));
        queue.extend(others);
        self.failed(why);
        changes.into_iter().for_each(|pending| self.do_without(pending));
    }

    fn probed(&mut self, number: usize, answer: &Value, waited: Option<&Value>) {
        self.free(number);
        if let Value::ServerError(error) = answer {
            // Connecting again shows what that is.
            if matches!(error.code(), "READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH" | "MOVED") {
                self.lose(number, &Trouble::of(error));
            }
        } else if waited.is_none_or(|waited| self.lacking(waited).is_none()) {
            if let Some(Server { state: State::Up { refuses, .. }, .. }) = self.servers.get_mut(number) {
                *refuses = None;
            }
            self.is_back();
        }
    }

    // --- the servers of a cluster ---------------------------------------------------------------

    /// Asks a cluster which server has what, if it is one and is not being asked.
    fn survey(&mut self, tries: u32) {
        if self.slots.is_none() || self.is_surveyed.is_some() {
            return;
        }
        self.is_surveyed = Some(tries);
        let mut hosts: Vec<Host> = self.servers.iter().map(|server| server.host.clone()).collect();
        hosts.extend(self.settings.address.hosts.iter().cloned());
        let (access, rest) = (self.access.clone(), pause(&mut self.random, tries));
        self.tasks.push(Box::pin(async move {
            sleep(rest).await;
            Done::Surveyed { ranges: survey(&access, &hosts).await }
        }));
    }

    fn surveyed(&mut self, ranges: Result<Vec<(usize, usize, Host)>, Trouble>) {
        let tries = self.is_surveyed.take().unwrap_or(0);
        if let Ok(ranges) = ranges {
            let before = self.servers.len();
            let slots = Slots::of(&ranges, |host| number(&mut self.servers, host));
            let returned: Vec<usize> = (0..before)
                .filter(|number| {
                    let was_wanted = self.slots.as_ref().is_some_and(|slots| slots.has(*number));
                    slots.has(*number) && !was_wanted
                })
                .collect();
            self.slots = Some(slots);
            for number in returned.into_iter().chain(before..self.servers.len()) {
                if let Some(Server { state: State::Down { .. }, .. }) = self.servers.get(number) {
                    self.connect(number, Duration::ZERO);
                }
            }
        }
        for pending in std::mem::take(&mut self.parked) {
            self.admit(pending);
        }
        let is_down = |(number, server): (usize, &Server)| {
            matches!(server.state, State::Down { .. })
                && self.slots.as_ref().is_some_and(|slots| slots.has(number))
        };
        if self.servers.iter().enumerate().any(is_down) {
            self.survey(tries + 1);
        }
        self.is_back();
    }

    fn connect(&mut self, number: usize, rest: Duration) {
        let Some(Server { host, .. }) = self.servers.get(number) else { return };
        let (host, access) = (host.clone(), self.access.clone());
        self.tasks.push(Box::pin(async move {
            sleep(rest).await;
            Done::Connected { server: number, connection: access.connect(&host).await.map(Box::new) }
        }));
    }

    fn failed(&mut self, why: &str) {
        if !self.has_failed {
            self.has_failed = true;
            let why = format!("{}: {why}", self.settings.address).into();
            let _ = self.events.send(StoreEvent::Failed { why });
        }
    }

    fn is_back(&mut self) {
        let is_sound = |(number, server): (usize, &Server)| {
            matches!(server.state, State::Up { refuses: None, .. })
                || self.slots.as_ref().is_some_and(|slots| !slots.has(number))
        };
        if self.has_failed && self.servers.iter().enumerate().all(is_sound) {
            self.has_failed = false;
            let _ = self.events.send(StoreEvent::Back);
        }
    }
}

/// The number of the server that is there; one that is new is not connected to.
fn number(servers: &mut Vec<Server>, host: &Host) -> usize {
    if let Some(number) = servers.iter().position(|server| server.host == *host) {
        return number;
    }
    let now = Instant::now();
    servers.push(Server {
        host: host.clone(),
        state: State::Down { tries: 0 },
        queue: VecDeque::new(),
        offset: Offset::default(),
        clock: (0, now),
        clock_due: now,
    });
    servers.len() - 1
}

/// Which server of a cluster has what, as the first of these says that can be reached.
async fn survey(access: &Access, hosts: &[Host]) -> Result<Vec<(usize, usize, Host)>, Trouble> {
    let mut last = Trouble::ClusterDown;
    for host in hosts {
        match access.ranges(host).await {
            Ok(ranges) => return Ok(ranges),
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}

/// Whether there is the way to a device by a node that is not known.
fn has_strange(bindings: &[Binding]) -> bool {
    bindings.iter().any(|binding| binding.source.is_way && binding.source.node == NodeId::GONE)
}

/// What the times of bindings are written by.
fn kept(settings: &Settings, offset: Offset) -> Offset {
    match settings.clock {
        StoreClock::Own => offset,
        StoreClock::Asker => Offset::default(),
    }
}

/// The command that waits until so many replicas have what was written, if any are to.
fn wait(replicas: u32, connection: &Connection) -> Option<Cmd> {
    /// In milliseconds: less than what an answer may take.
    const WAIT: u32 = 1000;
    let mut wait = cmd(if connection.waits_for_files { "WAITAOF" } else { "WAIT" });
    if connection.waits_for_files {
        wait.arg(1);
    }
    wait.arg(replicas).arg(WAIT);
    (replicas > 0).then_some(wait)
}

/// A pause that doubles with each try, and is longer or shorter by chance.
fn pause(state: &mut u64, tries: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
    whole / 2 + whole.mul_f64((random(state) >> 32) as f64 / f64::from(u32::MAX))
}

/// The next of the numbers that follow from a seed (SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
