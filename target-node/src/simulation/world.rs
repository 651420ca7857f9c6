//! The clock, the nodes and what happens to them.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::agenda::Agenda;
use super::client::Clients;
use super::host::Host;
use super::invariant::Invariants;
use super::network::Network;
use super::summary::{Count, Summary};
use super::weather::Weather;
use super::{Broken, Plan};
use crate::raft::{BatchId, Message, NodeId, Raft, Role};

/// Tenths of a tick.
pub(super) type Time = u64;

/// A tick of a clock that runs right.
pub(super) const TICK: Time = 10;

#[derive(Debug)]
pub(super) enum Happening {
    Tick(NodeId),
    Deliver {
        message: Message,
        /// In the order of sending.
        number: u64,
    },
    Synced {
        node: NodeId,
        life: u64,
        batch: BatchId,
    },
    Client,
    Fault,
    Restart(NodeId),
    Resume(NodeId),
}

impl Happening {
    /// The process that it happens in, if in one.
    fn process(&self) -> Option<NodeId> {
        match self {
            Self::Tick(id) | Self::Synced { node: id, .. } => Some(*id),
            Self::Deliver { message, .. } => Some(message.to),
            Self::Client | Self::Fault | Self::Restart(_) | Self::Resume(_) => None,
        }
    }
}

/// A cluster under trial.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: ChaCha8Rng,
    pub(super) agenda: Agenda<Happening>,
    /// Numbered from 1.
    pub(super) nodes: Vec<Host>,
    pub(super) network: Network,
    pub(super) weather: Weather,
    pub(super) invariants: Invariants,
    pub(super) summary: Summary,
    pub(super) clients: Clients,
    pub(super) is_healed: bool,
}

/// Where a node stands in a list of all.
pub(super) fn place(id: NodeId) -> usize {
    usize::try_from(id - 1).expect("clusters are small")
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weather = Weather::draw(&plan, &mut rng);
        let count = weather.size + weather.spares;
        let nodes = (1..=count).map(|_| {
            let tick = match weather.leases {
                true if plan.clocks_drift => [4, 24][rng.random_range(0..2)],
                true => rng.random_range(10..=11),
                false => rng.random_range(8..=12),
            };
            Host::new(tick, count)
        });
        let nodes = nodes.collect();
        let mut world = Self {
            plan,
            agenda: Agenda::new(),
            nodes,
            network: Network::new(count, &mut rng),
            weather,
            invariants: Invariants::new(count),
            summary: Summary::default(),
            clients: Clients::default(),
            is_healed: false,
            rng,
        };
        for id in 1..=count {
            world
                .start(id)
                .expect("a node without a past breaks nothing");
        }
        world.agenda.schedule(TICK * 15, Happening::Client);
        world.agenda.schedule(TICK * 15, Happening::Fault);
        world.summary.add(Count::Schedules, 1);
        world
    }

    pub(super) fn now(&self) -> Time {
        self.agenda.now()
    }

    pub(super) fn run_until(&mut self, end: Time) -> Result<(), Broken> {
        while let Some(happening) = self.agenda.next(end) {
            self.summary.add(Count::Steps, 1);
            self.happen(happening)?;
        }
        Ok(())
    }

    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        if let Some(id) = happening.process()
            && self.nodes[place(id)].is_stopped(self.now())
        {
            // A process that is stopped does what was due when it goes on.
            self.node(id).backlog.push(happening);
            return Ok(());
        }
        match happening {
            Happening::Tick(id) => self.tick(id),
            Happening::Deliver { message, number } => self.deliver(message, number),
            Happening::Synced { node, life, batch } => self.synced(node, life, batch),
            Happening::Client => self.client(),
            Happening::Fault => self.fault(),
            Happening::Restart(id) => self.start(id),
            Happening::Resume(id) => self.resume(id),
        }
    }

    fn tick(&mut self, id: NodeId) -> Result<(), Broken> {
        let node = self.node(id);
        let pause = node.tick;
        if let Some(raft) = &mut node.raft {
            raft.tick();
            node.ticks += 1;
        }
        self.agenda.schedule(pause, Happening::Tick(id));
        self.carry_out(id)?;
        self.check_contact(id)
    }

    fn deliver(&mut self, message: Message, number: u64) -> Result<(), Broken> {
        let (id, from, term) = (message.to, message.from, message.term);
        let is_overtaken = self.network.arrived((from, id), number);
        self.summary.add(Count::Reordered, u64::from(is_overtaken));
        let Some(raft) = &mut self.node(id).raft else {
            return Ok(());
        };
        raft.step(message);
        self.note_heard(id, from, term);
        self.carry_out(id)
    }

    pub(super) fn node(&mut self, id: NodeId) -> &mut Host {
        &mut self.nodes[place(id)]
    }

    /// Everyone who runs.
    pub(super) fn running(&self) -> impl Iterator<Item = &Raft> {
        self.nodes.iter().filter_map(|node| node.raft.as_ref())
    }

    /// Who leads in the latest term, if anybody does.
    pub(super) fn leader(&self) -> Option<&Raft> {
        let leads = self.running().filter(|raft| raft.role() == Role::Leader);
        leads.max_by_key(|raft| raft.term())
    }

    pub(super) fn any_node(&mut self) -> NodeId {
        self.rng.random_range(1..=self.nodes.len() as u64)
    }
}
