//! Levers that do exactly what a test wants: as told, or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use ordeal_nemesis::{
    Edge, Grudge, Node, Shaping,
    fault::PacketEffect,
    lever::Observer,
    network::{CutId, FateSeed, Namespace, Network, NetworkError, ShapingId},
    process::{Death, Lifecycle, ProcessError, State},
    proof::{Dropped, Fates, Killed, Paused, Shaped, Slowed, Starved, Stopped},
};

pub(crate) const NODES: u16 = 3;

/// Drops one packet on every edge at once, unless told otherwise.
#[derive(Default)]
pub(crate) struct Cuts {
    pub(crate) installed: Mutex<BTreeMap<CutId, Grudge>>,
    pub(crate) next: AtomicU64,
    pub(crate) quiet: bool,
    pub(crate) cutting_fails: bool,
    pub(crate) healing_fails: bool,
    pub(crate) shapings: Mutex<BTreeMap<ShapingId, (BTreeSet<Edge>, Shaping)>>,
    /// The seeds that shapings were given.
    pub(crate) seeds: Mutex<Vec<FateSeed>>,
    /// An effect that meets no packet.
    pub(crate) unmet: Option<PacketEffect>,
}

impl Cuts {
    fn dropped_by(&self, grudge: &Grudge) -> Dropped {
        Dropped {
            packets: grudge
                .edges()
                .map(|edge| (edge, u64::from(!self.quiet)))
                .collect(),
            resumed_after_ms: None,
        }
    }
}

impl Cuts {
    fn fates(&self, (edges, shaping): &(BTreeSet<Edge>, Shaping)) -> Shaped {
        let met = |effect| (effect, u64::from(Some(effect) != self.unmet));
        let fates = Fates {
            packets: 2,
            effects: shaping.effects().map(met).collect(),
        };
        Shaped {
            edges: edges.iter().map(|edge| (*edge, fates.clone())).collect(),
        }
    }
}

fn broken() -> NetworkError {
    let source = io::Error::other("broken");
    NetworkError::Call {
        of: "n1".to_owned(),
        call: "cut",
        source,
    }
}

impl Network for Cuts {
    fn nodes(&self) -> u16 {
        NODES
    }

    fn namespace(&self, _: Node) -> &Namespace {
        unreachable!("no process is started on this network")
    }

    fn mechanism(&self) -> String {
        "a test's own".to_owned()
    }

    fn bounds_tcp_backoff(&self) -> bool {
        true
    }

    fn cut(&self, grudge: &Grudge) -> Result<CutId, NetworkError> {
        if self.cutting_fails {
            return Err(broken());
        }
        let id = CutId(self.next.fetch_add(1, Relaxed));
        self.installed.lock().unwrap().insert(id, grudge.clone());
        Ok(id)
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        if self.healing_fails {
            return Err(broken());
        }
        let healed = self.installed.lock().unwrap().remove(&cut).unwrap();
        Ok(self.dropped_by(&healed))
    }

    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        Ok(self.dropped_by(&self.installed.lock().unwrap()[&cut]))
    }

    fn cuts(&self) -> Vec<CutId> {
        self.installed.lock().unwrap().keys().copied().collect()
    }

    fn shape(
        &self,
        edges: &BTreeSet<Edge>,
        shaping: &Shaping,
        seed: FateSeed,
    ) -> Result<ShapingId, NetworkError> {
        if self.cutting_fails {
            return Err(broken());
        }
        self.seeds.lock().unwrap().push(seed);
        let id = ShapingId(self.next.fetch_add(1, Relaxed));
        let installed = (edges.clone(), shaping.clone());
        self.shapings.lock().unwrap().insert(id, installed);
        Ok(id)
    }

    fn unshape(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        if self.healing_fails {
            return Err(broken());
        }
        let healed = self.shapings.lock().unwrap().remove(&shaping).unwrap();
        Ok(self.fates(&healed))
    }

    fn shaped(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        Ok(self.fates(&self.shapings.lock().unwrap()[&shaping]))
    }

    fn shapings(&self) -> Vec<ShapingId> {
        self.shapings.lock().unwrap().keys().copied().collect()
    }
}

/// Three processes that do as told, unless told otherwise.
pub(crate) struct Cluster {
    pub(crate) states: Mutex<BTreeMap<Node, State>>,
    pub(crate) next_pid: AtomicU64,
    /// A node that cannot be paused in time, and is stopped all the same.
    pub(crate) unpausable: Option<Node>,
    /// Where `kill` waits until somebody sends.
    pub(crate) kill_waits: Option<Mutex<mpsc::Receiver<()>>>,
    /// Restarted processes die with this as their last words.
    pub(crate) dies_after_start: Option<&'static str>,
    /// Nobody ends in order.
    pub(crate) deaf: bool,
    /// Every process listens as soon as it is started.
    pub(crate) listens_at_once: bool,
    /// Whether a process that is slowed down is ever seen to stand still.
    pub(crate) stops_and_goes: bool,
    /// Limits to memory cannot be lifted.
    pub(crate) stays_limited: bool,
    /// Whoever gets a limit to its memory ends at once: how, and with which last words.
    pub(crate) ends_limited: Option<(&'static str, &'static str)>,
}

impl Default for Cluster {
    fn default() -> Self {
        let running = |node: Node| (node, State::Running { pid: node.0.into() });
        Self {
            states: Mutex::new(Node::first(NODES).map(running).collect()),
            next_pid: AtomicU64::new(100),
            unpausable: None,
            kill_waits: None,
            dies_after_start: None,
            deaf: false,
            listens_at_once: false,
            stops_and_goes: true,
            stays_limited: false,
            ends_limited: None,
        }
    }
}

impl Cluster {
    fn expect_running(&self, verb: &'static str, node: Node) -> Result<u32, ProcessError> {
        match self.state(node) {
            State::Running { pid } => Ok(pid),
            other => Err(ProcessError::State {
                verb,
                node,
                is: format!("is {other:?}"),
            }),
        }
    }

    fn die(&self, node: Node, pid: u32, status: &str, words: &str) {
        let death = Death {
            node,
            pid,
            status: status.to_owned(),
            panic: None,
            log_tail: vec![words.to_owned()],
        };
        self.set(node, State::Died(death));
    }

    pub(crate) fn set(&self, node: Node, state: State) {
        self.states.lock().unwrap().insert(node, state);
    }
}

impl Lifecycle for Cluster {
    fn start(&self, node: Node) -> Result<u32, ProcessError> {
        let pid = u32::try_from(self.next_pid.fetch_add(1, Relaxed)).unwrap();
        let (State::Ended { .. } | State::Died(_)) = self.state(node) else {
            panic!("{node} was not killed")
        };
        self.set(node, State::Running { pid });
        if let Some(words) = self.dies_after_start {
            self.die(node, pid, "exit status: 101", words);
        }
        Ok(pid)
    }

    fn kill(&self, node: Node) -> Result<Killed, ProcessError> {
        if let Some(wait) = &self.kill_waits {
            wait.lock().unwrap().recv().unwrap();
        }
        let pid = match self.state(node) {
            State::Paused { pid } => pid,
            _ => self.expect_running("kill", node)?,
        };
        self.set(node, State::Ended { pid });
        Ok(Killed {
            node,
            pid,
            gone_after_us: 1,
            successor: None,
        })
    }

    fn pause(&self, node: Node) -> Result<Paused, ProcessError> {
        let pid = self.expect_running("pause", node)?;
        self.set(node, State::Paused { pid });
        if self.unpausable == Some(node) {
            let deadline = Duration::from_millis(1);
            return Err(ProcessError::Deadline {
                verb: "stop",
                node,
                pid,
                deadline,
            });
        }
        Ok(Paused {
            node,
            pid,
            processes: 1,
            threads: 1,
            stopped_after_us: 1,
        })
    }

    fn resume(&self, node: Node) -> Result<u32, ProcessError> {
        let State::Paused { pid } = self.state(node) else {
            panic!("{node} was not paused")
        };
        self.set(node, State::Running { pid });
        Ok(pid)
    }

    fn terminate(&self, node: Node, _: Duration) -> Result<Stopped, ProcessError> {
        let pid = self.expect_running("stop", node)?;
        self.set(node, State::Ended { pid });
        Ok(Stopped {
            node,
            pid,
            status: "signal: 9 (SIGKILL)".to_owned(),
            in_order: !self.deaf,
            gone_after_us: 1,
            successor: None,
        })
    }

    fn listens(&self, _: Node) -> Result<bool, ProcessError> {
        Ok(self.listens_at_once)
    }

    fn slow(&self, node: Node, _: u8) -> Result<u32, ProcessError> {
        self.expect_running("slow down", node)
    }

    fn slowed(&self, node: Node) -> Option<Slowed> {
        Some(Slowed {
            node,
            pid: 1,
            stops: u64::from(self.stops_and_goes),
            stopped_us: 1,
            lasted_us: 2,
            cpu_us: 1,
        })
    }

    fn hasten(&self, node: Node) -> Result<Slowed, ProcessError> {
        Ok(self.slowed(node).unwrap())
    }

    fn limit_memory(&self, node: Node, room: u64) -> Result<Starved, ProcessError> {
        let pid = self.expect_running("limit the memory of", node)?;
        if let Some((status, words)) = self.ends_limited {
            self.die(node, pid, status, words);
        }
        Ok(Starved {
            node,
            pid,
            limit: (4 << 20) + room,
            had: 4 << 20,
            most: 4 << 20,
            ended: None,
            successor: None,
        })
    }

    fn memory(&self, _: Node) -> Result<u64, ProcessError> {
        Ok(5 << 20)
    }

    fn allow_memory(&self, node: Node) -> Result<(), ProcessError> {
        match self.stays_limited {
            false => Ok(()),
            true => Err(ProcessError::Call {
                node,
                call: "prlimit",
                source: io::Error::other("the limit is still there"),
            }),
        }
    }

    fn state(&self, node: Node) -> State {
        self.states.lock().unwrap()[&node].clone()
    }
}

pub(crate) struct Eye {
    pub(crate) leader: Mutex<Option<Node>>,
    pub(crate) serving: AtomicBool,
}

impl Default for Eye {
    fn default() -> Self {
        Self {
            leader: Mutex::new(Some(Node(2))),
            serving: AtomicBool::new(true),
        }
    }
}

impl Observer for Eye {
    fn leader(&self) -> Option<Node> {
        *self.leader.lock().unwrap()
    }

    fn serving(&self, _: Node, pid: u32) -> bool {
        assert!(pid >= 100, "asked about a process that was killed");
        self.serving.load(Relaxed)
    }
}
