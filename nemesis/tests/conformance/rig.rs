//! Probes in the places of nodes, and a way to do something to them as a plan does it: through the
//! injector, with the fault as a plan writes it.
//!
//! ```rust,ignore
//! let rig = Rig::start(network, None);
//! let mut probe = rig.dial(N1);
//! let proof = rig.during("pause n1", || assert!(probe.ask("pid").is_err()));
//! probe.heard().unwrap(); // and it is gone
//! ```

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Effect, Node, Proof, Schedule,
    clock::{Clocks, VdsoClocks},
    disk::{Directories, Disks, FuseDisks},
    injector::{FaultEvent, FaultRecord, Injector, Patience, Step, Stop},
    lever::{Levers, Observer},
    network::Network,
    process::{Fittings, Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
    schedule::PlannedFault,
};
use tempfile::TempDir;

use crate::{backend::network, probe::Asking, support};

pub(crate) const N1: Node = Node(1);
pub(crate) const N2: Node = Node(2);
const NODES: u16 = 2;

/// Two nodes, each a probe.
pub(crate) struct Rig {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) disks: Option<Arc<FuseDisks>>,
    pub(crate) clocks: Option<Arc<VdsoClocks>>,
    pub(crate) processes: Arc<Processes>,
    _folder: TempDir,
}

impl Rig {
    /// Probes with plain directories, on the switch.
    pub(crate) fn plain(sandbox: &Sandbox) -> Self {
        let network = network::<crate::backend::Auto>(sandbox, NODES);
        Self::start(network.expect("the switch needs no program").into(), None)
    }

    /// The same with clocks that can be made wrong.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn with_clocks(sandbox: &Sandbox) -> Self {
        let network = network::<crate::backend::Auto>(sandbox, NODES);
        let network = network.expect("the switch needs no program").into();
        let clocks = VdsoClocks::new(Node::first(NODES));
        Self::start(network, Some(Arc::new(clocks)))
    }

    /// Probes with disks of ours, on any network; nothing where one of the two is not to be had,
    /// once that was refused with what to do.
    pub(crate) fn with_disks<B: crate::backend::Backend>(sandbox: &Sandbox) -> Option<Self> {
        let network = network::<B>(sandbox, NODES)?;
        if !support::has_disks(sandbox) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = |node: Node| folder.path().join(node.to_string());
        Node::first(NODES).for_each(|node| fs::create_dir(data(node)).unwrap());
        let paths = Node::first(NODES).map(|node| (node, data(node))).collect();
        let disks = FuseDisks::mount(sandbox, paths, Directories::Journalled).unwrap();
        Some(Self::over(
            network.into(),
            Some(Arc::new(disks)),
            None,
            folder,
        ))
    }

    fn start(network: Arc<dyn Network>, clocks: Option<Arc<VdsoClocks>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = |node: Node| folder.path().join(node.to_string());
        Node::first(NODES).for_each(|node| fs::create_dir(data(node)).unwrap());
        Self::over(network, None, clocks, folder)
    }

    fn over(
        network: Arc<dyn Network>,
        disks: Option<Arc<FuseDisks>>,
        clocks: Option<Arc<VdsoClocks>>,
        folder: TempDir,
    ) -> Self {
        let command = |node: Node| NodeCommand {
            program: std::env::current_exe().unwrap(),
            args: vec![
                "--case".into(),
                "probe".into(),
                node.to_string().into(),
                folder.path().join(node.to_string()).into(),
            ],
            env: Vec::new(),
            cwd: "/".into(),
            log: folder.path().join(format!("{node}.log")),
        };
        let commands: BTreeMap<_, _> = Node::first(NODES).map(|n| (n, command(n))).collect();
        let on_death = |death| panic!("nobody told it to: {death:?}");
        let fittings = Fittings {
            prepare: None,
            clocks: clocks.clone(),
        };
        let processes = Processes::fitted(&*network, commands, on_death, &fittings);
        let processes = Arc::new(processes);
        let rig = Self {
            network,
            disks,
            clocks,
            processes,
            _folder: folder,
        };
        for node in Node::first(NODES) {
            let pid = rig.processes.start(node).unwrap();
            support::eventually("it serves", || rig.serving(node, pid));
        }
        rig
    }

    /// A connection from the clients' namespace.
    pub(crate) fn dial(&self, node: Node) -> Asking {
        Asking::dial(node, Duration::from_secs(10)).unwrap()
    }

    /// A connection from the other node's.
    pub(crate) fn dial_from(&self, from: Node, to: Node) -> Asking {
        let dial = move || Asking::dial(to, Duration::from_secs(10)).unwrap();
        let dialing = self.network.namespace(from).spawn("dial", dial).unwrap();
        dialing.join().unwrap()
    }

    /// The same, once there is somebody again who serves.
    pub(crate) fn dial_again(&self, node: Node) -> Asking {
        let mut asking = None;
        support::eventually("it serves again", || {
            asking = Asking::dial(node, Duration::from_secs(10)).ok();
            asking.is_some()
        });
        asking.expect("just seen")
    }

    /// Injects the fault, does `body` while it is in force, and heals it; returns its proof. It is
    /// seen to be in force by its own word or, where a disk waits to be asked, on the disk: `body`
    /// is what measures.
    pub(crate) fn during(&self, fault: &str, body: impl FnOnce()) -> Proof {
        self.during_after(fault, &|| {}, body)
    }

    /// The same, and does `first` before, when the injector has begun and not yet pulled the lever.
    pub(crate) fn during_after(
        &self,
        fault: &str,
        first: &(dyn Fn() + Sync),
        body: impl FnOnce(),
    ) -> Proof {
        let planned = PlannedFault {
            id: 1,
            at_ms: 0,
            for_ms: 60_000,
            fault: fault.parse().unwrap(),
        };
        let schedule = Schedule {
            faults: vec![planned],
        };
        schedule.validate(NODES, 60_000).unwrap();
        let (stop, installed) = (Stop::new(), AtomicBool::new(false));
        let sink = |event: FaultEvent| match event.what {
            Step::Injecting => first(),
            Step::Installed => installed.store(true, Relaxed),
            _ => {}
        };
        let records = std::thread::scope(|scope| {
            let running = scope.spawn(|| self.inject(&schedule, &stop, &sink));
            // What it measures may fail: the fault is healed nevertheless, so that this ends.
            let measured = catch_unwind(AssertUnwindSafe(|| {
                support::eventually(fault, || {
                    let disks = self.disks.as_ref();
                    let is_ill = disks.is_some_and(|disks| !disks.ailments().is_empty());
                    installed.load(Relaxed) || is_ill || running.is_finished()
                });
                body();
            }));
            stop.request();
            let records = running.join().unwrap();
            measured.unwrap_or_else(|panic| resume_unwind(panic));
            records
        });
        let [record] = <[FaultRecord; 1]>::try_from(records).unwrap();
        assert!(record.healed, "{record:#?}");
        let left = (self.network.cuts(), self.network.shapings());
        assert_eq!(left, (vec![], vec![]));
        if let Some(disks) = &self.disks {
            assert_eq!(disks.ailments(), []);
        }
        if let Some(clocks) = &self.clocks {
            assert_eq!(clocks.wrong(), []);
        }
        match record.effect {
            Effect::Installed(proof) => proof,
            other => panic!("{fault}: {other}"),
        }
    }

    fn inject(
        &self,
        schedule: &Schedule,
        stop: &Stop,
        sink: &(dyn Fn(FaultEvent) + Sync),
    ) -> Vec<FaultRecord> {
        let levers = Levers {
            processes: Some(self.processes.clone()),
            network: Some(self.network.clone()),
            disks: self.disks.clone().map(|disks| disks as Arc<dyn Disks>),
            clocks: self.clocks.clone().map(|clocks| clocks as Arc<dyn Clocks>),
            ..Levers::default()
        };
        let began = Instant::now();
        Injector {
            nodes: NODES,
            spares: 0,
            levers: &levers,
            observer: self,
            clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
            sink,
            stop,
            seed: 1,
            patience: Patience::default(),
        }
        .run(schedule)
    }
}

impl Observer for Rig {
    /// n1, or who else is there.
    fn leader(&self) -> Option<Node> {
        match self.processes.state(N1) {
            State::Running { .. } | State::Paused { .. } => Some(N1),
            _ => Some(N2),
        }
    }

    fn serving(&self, node: Node, pid: u32) -> bool {
        let look = move || {
            let mut asking = Asking::dial(node, Duration::from_millis(500)).ok()?;
            asking.ask("pid").ok()?.ok()?.parse().ok()
        };
        let looking = self.network.namespace(node).spawn("look", look).unwrap();
        looking.join().unwrap() == Some(pid)
    }
}
