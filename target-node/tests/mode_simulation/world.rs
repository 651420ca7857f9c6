//! A cluster of any core in virtual time: a network that delays, loses, doubles and cuts, disks
//! that keep for certain only what was synced, crashes, and clients whose history is judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ordeal_checker::history::{History, HistoryBuilder, Outcome, Process, Reason, Time};
use ordeal_checker::model::{Keyed, RegisterOp, RegisterRet};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use target_node::raft::{Batch, BatchId, NodeId, Recovered};

/// A key of a register, and what is asked of it.
pub(crate) type Op = Keyed<u8, RegisterOp>;
pub(crate) type Seen = History<Op, RegisterRet>;

/// One tick, in units of virtual time.
const TICK: u64 = 10;
/// How long a client waits for an answer.
const PATIENCE: u64 = 60 * TICK;
const WORKERS: u64 = 4;
const KEYS: u8 = 2;

/// What an operation came to at the node that was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Written,
    Read(Option<i64>),
    /// It did not happen, and never will.
    Refused,
    /// Nobody knows.
    Lost,
}

/// What a core wants done, and what it has answered.
pub(crate) struct Out<M> {
    pub(crate) batch: Option<Batch>,
    pub(crate) send_now: Vec<M>,
    pub(crate) send_durable: Vec<M>,
    pub(crate) barrier: BatchId,
    pub(crate) answers: Vec<(u64, Answer)>,
}

/// One node with what its driver would keep, and what all nodes of a world share.
pub(crate) trait Node: Sized {
    type Message: Clone;
    type Setting: Clone;
    /// What is known of the whole run: invariants live here.
    type Log: Default;

    fn start(setting: &Self::Setting, members: &BTreeSet<NodeId>, own: NodeId, past: Past) -> Self;
    fn way(message: &Self::Message) -> (NodeId, NodeId);
    fn tick(&mut self);
    fn step(&mut self, message: Self::Message);
    fn persisted(&mut self, batch: BatchId);
    /// A client asks.
    fn ask(&mut self, name: u64, op: &Op);
    /// An operator makes it the primary, where there is such a thing.
    fn promote(&mut self, _log: &mut Self::Log) {}
    fn out(&mut self, log: &mut Self::Log) -> Vec<Out<Self::Message>>;
}

/// What a node begins with.
pub(crate) struct Past {
    pub(crate) disk: Recovered,
    pub(crate) life: u64,
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) nodes: u64,
    pub(crate) ticks: u64,
    /// Whether an operator promotes nodes, at the worst of times.
    pub(crate) promotions: bool,
    /// Whether messages are slow and often lost: half of what is sent misses its replica in time.
    pub(crate) rough: bool,
}

enum Happening<M> {
    Tick(NodeId),
    Deliver(M),
    Synced(NodeId, u64, BatchId),
    Work(u64),
    GiveUp(u64),
    Fault,
    Restart(NodeId),
}

struct Host<N: Node> {
    node: Option<N>,
    disk: Recovered,
    pending: VecDeque<Batch>,
    held: VecDeque<(BatchId, Vec<N::Message>)>,
    durable: BatchId,
    life: u64,
    last_sync: u64,
}

pub(crate) struct World<N: Node> {
    setting: N::Setting,
    weather: Weather,
    rng: ChaCha8Rng,
    now: u64,
    sequence: u64,
    agenda: BTreeMap<(u64, u64), Happening<N::Message>>,
    hosts: BTreeMap<NodeId, Host<N>>,
    cut: BTreeSet<NodeId>,
    loss: f64,
    delay_max: u64,
    sync_max: u64,
    history: HistoryBuilder<Op, RegisterRet>,
    /// The process that each worker is now, and the operations under way with their processes.
    processes: BTreeMap<u64, Process>,
    under_way: BTreeMap<u64, (u64, Process, Op)>,
    next_name: u64,
    next_process: u64,
    is_healed: bool,
    pub(crate) log: N::Log,
}

impl<N: Node> World<N> {
    /// Runs a seed to its end: what clients saw, and what was noted on the way.
    pub(crate) fn run(seed: u64, setting: N::Setting, weather: Weather) -> (Seen, Self) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let place = rng.random_range(0..3);
        let mut world = Self {
            setting,
            weather,
            loss: if weather.rough {
                0.3
            } else {
                [0.0, 0.02, 0.1][place]
            },
            delay_max: if weather.rough {
                300
            } else {
                [5, 20, 60][place]
            },
            sync_max: [1, 10, 40][rng.random_range(0..3)],
            rng,
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            hosts: BTreeMap::new(),
            cut: BTreeSet::new(),
            history: HistoryBuilder::new(),
            processes: BTreeMap::new(),
            under_way: BTreeMap::new(),
            next_name: 0,
            next_process: WORKERS,
            is_healed: false,
            log: N::Log::default(),
        };
        for id in 1..=weather.nodes {
            world.hosts.insert(id, Host::new());
            world.start(id);
            world.after(TICK, Happening::Tick(id));
        }
        for worker in 0..WORKERS {
            world.processes.insert(worker, Process(worker));
            world.after(TICK + worker, Happening::Work(worker));
        }
        world.after(TICK * 10, Happening::Fault);
        world.live();
        let history = std::mem::take(&mut world.history).finish();
        (history, world)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &N> {
        self.hosts.values().filter_map(|host| host.node.as_ref())
    }

    fn live(&mut self) {
        self.run_until(self.weather.ticks * TICK);
        self.is_healed = true;
        self.cut.clear();
        (self.loss, self.delay_max, self.sync_max) = (0.0, 5, 1);
        for id in 1..=self.weather.nodes {
            self.start(id);
        }
        self.run_until((self.weather.ticks + 300) * TICK);
    }

    fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.agenda.first_entry() {
            let (time, _) = *entry.key();
            if time > end {
                break;
            }
            self.now = time;
            let happening = entry.remove();
            self.happen(happening);
        }
    }

    fn after(&mut self, delay: u64, happening: Happening<N::Message>) {
        self.sequence += 1;
        self.agenda
            .insert((self.now + delay, self.sequence), happening);
    }

    fn happen(&mut self, happening: Happening<N::Message>) {
        match happening {
            Happening::Tick(id) => {
                self.after(TICK, Happening::Tick(id));
                self.input(id, N::tick);
            }
            Happening::Deliver(message) => {
                let (_, to) = N::way(&message);
                self.input(to, |node| node.step(message));
            }
            Happening::Synced(id, life, batch) => self.synced(id, life, batch),
            Happening::Work(worker) => self.work(worker),
            Happening::GiveUp(name) => self.complete(name, Answer::Lost),
            Happening::Fault => self.fault(),
            Happening::Restart(id) => self.start(id),
        }
    }

    fn input(&mut self, id: NodeId, act: impl FnOnce(&mut N)) {
        let host = self.hosts.get_mut(&id).expect("a node of the cluster");
        let Some(node) = &mut host.node else {
            return;
        };
        act(node);
        for out in node.out(&mut self.log) {
            self.carry_out(id, out);
        }
    }

    fn carry_out(&mut self, id: NodeId, out: Out<N::Message>) {
        let sync = self.rng.random_range(0..=self.sync_max);
        let now = self.now;
        let host = self.hosts.get_mut(&id).expect("a node of the cluster");
        if let Some(batch) = out.batch {
            // Syncs end in the order in which they began.
            host.last_sync = host.last_sync.max(now + sync);
            let (delay, life, number) = (host.last_sync - now, host.life, batch.id);
            host.pending.push_back(batch);
            self.after(delay, Happening::Synced(id, life, number));
        }
        let host = self.hosts.get_mut(&id).expect("a node of the cluster");
        let mut messages = out.send_now;
        if out.barrier <= host.durable {
            messages.extend(out.send_durable);
        } else {
            host.held.push_back((out.barrier, out.send_durable));
        }
        self.send(messages);
        for (name, answer) in out.answers {
            self.complete(name, answer);
        }
    }

    fn send(&mut self, messages: Vec<N::Message>) {
        for message in messages {
            let (from, to) = N::way(&message);
            let is_cut = self.cut.contains(&from) != self.cut.contains(&to);
            if is_cut || self.rng.random_bool(self.loss) {
                continue;
            }
            let copies = if self.rng.random_bool(self.loss) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let delay = self.rng.random_range(1..=self.delay_max);
                self.after(delay, Happening::Deliver(message.clone()));
            }
        }
    }

    fn synced(&mut self, id: NodeId, life: u64, batch: BatchId) {
        let host = self.hosts.get_mut(&id).expect("a node of the cluster");
        if host.life != life || host.node.is_none() {
            return;
        }
        while host.pending.front().is_some_and(|first| first.id <= batch) {
            let first = host.pending.pop_front().expect("a front was just seen");
            take(&mut host.disk, first);
        }
        host.durable = batch;
        let mut free = Vec::new();
        while host
            .held
            .front()
            .is_some_and(|&(barrier, _)| barrier <= batch)
        {
            free.extend(host.held.pop_front().expect("a front was just seen").1);
        }
        self.send(free);
        self.input(id, |node| node.persisted(batch));
    }

    fn start(&mut self, id: NodeId) {
        let members: BTreeSet<NodeId> = (1..=self.weather.nodes).collect();
        let host = self.hosts.get_mut(&id).expect("a node of the cluster");
        if host.node.is_some() {
            return;
        }
        host.life += 1;
        (host.durable, host.last_sync) = (0, self.now);
        let past = Past {
            disk: host.disk.clone(),
            life: host.life,
        };
        host.node = Some(N::start(&self.setting, &members, id, past));
        self.input(id, |_| {});
    }

    /// The process is gone; of what was not synced the first batches may have made it all the same.
    fn crash(&mut self, id: NodeId) {
        let kept = self.rng.random_range(0..3);
        let host = self.hosts.get_mut(&id).expect("a node of the cluster");
        if host.node.take().is_none() {
            return;
        }
        for batch in host.pending.drain(..).take(kept) {
            take(&mut host.disk, batch);
        }
        host.pending.clear();
        host.held.clear();
        let pause = self.rng.random_range(1..=40 * TICK);
        self.after(pause, Happening::Restart(id));
    }

    fn fault(&mut self) {
        if self.is_healed {
            return;
        }
        let pause = self.rng.random_range(TICK..=40 * TICK);
        self.after(pause, Happening::Fault);
        let victim = self.any_node();
        match self.rng.random_range(0..4) {
            0 => self.crash(victim),
            1 => {
                self.cut.insert(victim);
            }
            2 => self.cut.clear(),
            _ if self.weather.promotions => {
                let host = self.hosts.get_mut(&victim).expect("a node of the cluster");
                if let Some(node) = &mut host.node {
                    node.promote(&mut self.log);
                }
                self.input(victim, |_| {});
            }
            _ => {}
        }
    }

    fn any_node(&mut self) -> NodeId {
        self.rng.random_range(1..=self.weather.nodes)
    }

    /// A worker asks some node something.
    fn work(&mut self, worker: u64) {
        let busy = self.under_way.values().any(|(busy, ..)| *busy == worker);
        let pause = self.rng.random_range(5..=80);
        self.after(pause, Happening::Work(worker));
        if busy {
            return;
        }
        let (name, process) = (self.next_name, self.processes[&worker]);
        self.next_name += 1;
        let value = i64::try_from(name).expect("few operations");
        let op = match self.rng.random_bool(0.5) {
            true => RegisterOp::Read,
            false => RegisterOp::Write(value),
        };
        let op = Keyed::new(self.rng.random_range(0..KEYS), op);
        let begun = self.history.invoke(process, Time(self.now), op.clone());
        begun.expect("a worker asks one thing at a time");
        self.under_way.insert(name, (worker, process, op.clone()));
        self.after(PATIENCE, Happening::GiveUp(name));
        let id = self.any_node();
        if self.hosts[&id].node.is_none() {
            return self.complete(name, Answer::Refused);
        }
        self.input(id, |node| node.ask(name, &op));
    }

    fn complete(&mut self, name: u64, answer: Answer) {
        let Some((worker, process, op)) = self.under_way.remove(&name) else {
            return;
        };
        let is_read = op.op == RegisterOp::Read;
        let outcome = match answer {
            Answer::Written => Outcome::Ok(RegisterRet::Written),
            Answer::Read(value) => Outcome::Ok(RegisterRet::Value(value)),
            Answer::Refused => Outcome::Fail(Reason("refused".to_owned())),
            Answer::Lost if is_read => Outcome::Fail(Reason("no answer".to_owned())),
            Answer::Lost => {
                self.processes.insert(worker, Process(self.next_process));
                self.next_process += 1;
                Outcome::Info(Reason("no answer".to_owned()))
            }
        };
        let ended = self.history.complete(process, Time(self.now), outcome);
        ended.expect("an operation ends once");
    }
}

impl<N: Node> Host<N> {
    fn new() -> Self {
        Self {
            node: None,
            disk: Recovered::default(),
            pending: VecDeque::new(),
            held: VecDeque::new(),
            durable: 0,
            life: 0,
            last_sync: 0,
        }
    }
}

fn take(disk: &mut Recovered, batch: Batch) {
    if let Some(hard_state) = batch.hard_state {
        disk.hard_state = hard_state;
    }
    if let Some(first) = batch.truncate_from {
        disk.entries.retain(|entry| entry.id.index < first);
    }
    if let Some(snapshot) = batch.snapshot {
        if batch.drops_log {
            (disk.base, disk.entries) = (snapshot.last, Vec::new());
        }
        disk.snapshot = Some(snapshot);
    }
    disk.entries.extend(batch.append);
}
