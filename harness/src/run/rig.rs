//! The cluster under trial: its network and its processes.

use super::Setting;
use super::administration::Administration;
use super::left::InForce;
use super::live::Live;
use super::recorder::RecordError;
use crate::plan::Plan;
use crate::store::StoreError;
use crate::target::{ClientError, NodeSpec};
use ordeal_checker::history::Time;
use ordeal_nemesis::clock::{Clocks, VdsoClocks};
use ordeal_nemesis::disk::{DiskBackend, DiskError, Disks, FuseDisks, SeccompDisks};
use ordeal_nemesis::lever::Admin;
use ordeal_nemesis::network::{Network, NetworkError};
use ordeal_nemesis::process::{
    Death, Fittings, Lifecycle, NodeCommand, Prepare, ProcessError, Processes, State,
};
use ordeal_nemesis::{FaultClass, Node};
use ordeal_workloads::seed;
use rand::Rng;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The harness failed. That says nothing about the target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RigError {
    /// The network cannot be made or used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The disks under the nodes' data cannot be made, or not be read at the end.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A node cannot be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The evidence cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The run's folder cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A thread cannot be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A node ended before the cluster served for the first time.
    #[error("{node} ended at its start ({status}), before the cluster served; {log}")]
    DiedAtStart {
        /// Which node.
        node: Node,
        /// How.
        status: String,
        /// The last lines of its log, and where the rest is.
        log: String,
    },
    /// The cluster never served.
    #[error(
        "the cluster acknowledged no write within {within:?} of its start, and no fault was \
         injected; the last attempt said: {last}; see {logs}"
    )]
    NeverServed {
        /// How long it was given.
        within: Duration,
        /// What the last attempt heard.
        last: String,
        /// Where the logs are.
        logs: String,
    },
    /// The target runs with other defects than the plan asks for.
    #[error("{node} runs with the defects [{runs}], but the plan asks for [{asked}]")]
    Defects {
        /// Which node.
        node: Node,
        /// What it says.
        runs: String,
        /// What was asked for.
        asked: String,
    },
    /// The thread that injects faults has panicked.
    #[error("the nemesis failed in mid-run: what it had injected is not known")]
    NemesisGone,
    /// The history cannot be judged while it grows.
    #[error("cannot start the thread that watches the history: {0}")]
    Watch(io::Error),
    /// It was interrupted before there was anything to judge.
    #[error("interrupted before the cluster served for the first time: there is nothing to judge")]
    InterruptedEarly,
    /// A task of ours panicked.
    #[error("a task of the harness failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// How long a node may take to stop in order before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Who died when, without having been told to.
pub(super) type Deaths = Arc<Mutex<Vec<(Time, Death)>>>;

/// The cluster under trial.
pub(super) struct Rig {
    pub(super) network: Arc<dyn Network>,
    pub(super) processes: Arc<Processes>,
    /// Under the nodes' data, where the plan has faults that need them.
    pub(super) disks: Option<Arc<dyn Disks>>,
    /// What they are.
    means: Option<DiskBackend>,
    /// Of the nodes, where the plan has faults that make them wrong.
    pub(super) clocks: Option<Arc<VdsoClocks>>,
    /// Where the target takes orders of an administrator.
    pub(super) admin: Option<Arc<dyn Admin>>,
    pub(super) deaths: Deaths,
    /// Who is told of a death at once.
    live: Arc<OnceLock<Arc<Live>>>,
    /// Where clients reach each node; node 1 first.
    pub(super) client_addresses: Vec<SocketAddr>,
}

impl Rig {
    /// Makes the network and starts every node.
    pub(super) fn start(plan: &Plan, setting: &Setting) -> Result<Self, RigError> {
        let network: Arc<dyn Network> = setting
            .backend
            .create(&setting.sandbox, plan.processes(), plan.tcp_backoff)?
            .into();
        let addresses: Vec<Ipv4Addr> = Node::first(plan.processes())
            .map(|node| network.address(node))
            .collect();
        let commands = commands(plan, setting, &addresses)?;
        let (disks, prepare) = disks(plan, setting)?;
        let deaths = Deaths::default();
        let (clock, died) = (setting.clock, deaths.clone());
        let live = Arc::new(OnceLock::<Arc<Live>>::new());
        let told = live.clone();
        let on_death = move |death: Death| {
            if let Some(live) = told.get() {
                live.tell_death(&death);
            }
            died.lock()
                .expect("nobody panics with the deaths in hand")
                .push((clock.now(), death));
        };
        let clocks = clocks(plan);
        let fittings = Fittings {
            prepare,
            clocks: clocks.clone(),
        };
        let processes = Processes::fitted(&*network, commands, on_death, &fittings);
        let processes = Arc::new(processes);
        for node in Node::first(plan.processes()) {
            processes.start(node)?;
        }
        let takes_orders = !setting.target.orders(&plan.node_flags).is_empty();
        let admin = takes_orders
            .then(|| Administration::new(setting.target.clone(), network.clone()))
            .map(|admin| Arc::new(admin) as Arc<dyn Admin>);
        let client_addresses = addresses
            .iter()
            .map(|address| setting.target.client_address(*address))
            .collect();
        Ok(Rig {
            network,
            processes,
            disks,
            means: setting.disks,
            clocks,
            admin,
            deaths,
            live,
            client_addresses,
        })
    }

    /// By which means faults are injected here.
    pub(super) fn mechanisms(&self) -> Vec<(String, String)> {
        let backoff = if self.network.bounds_tcp_backoff() {
            "bounded to 1 s in every namespace"
        } else {
            "not bounded: old connections may need as long as a cut lasted, which is measured"
        };
        let disks = match self.means {
            Some(DiskBackend::Fuse) => "in memory, served through FUSE",
            Some(DiskBackend::Seccomp) => "the machine's own, behind a seccomp filter",
            None => "the machine's own",
        };
        let clocks = match self.clocks {
            Some(_) => "code of ours in the vdso of each process",
            None => "the machine's own",
        };
        [
            ("network", self.network.mechanism()),
            ("TCP back-off", backoff.to_owned()),
            ("processes", "signals, held by pidfd".to_owned()),
            ("disks", disks.to_owned()),
            ("clocks", clocks.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What the network has lost that no fault was to take, where there was any: not the target's
    /// fault, and not the plan's.
    pub(super) fn unasked_losses(&self) -> Option<(String, String)> {
        let lost = self.network.lost_unasked().filter(|lost| *lost > 0)?;
        let words = format!("{lost} packets by the network itself, on a machine too busy for it");
        Some(("lost unasked".to_owned(), words))
    }

    /// From now on `live` tells of every death as it happens.
    pub(super) fn announce_deaths(&self, live: Arc<Live>) {
        // There is one live view a run.
        let _ = self.live.set(live);
    }

    /// The deaths so far.
    pub(super) fn deaths(&self) -> Vec<(Time, Death)> {
        self.deaths
            .lock()
            .expect("nobody panics with the deaths in hand")
            .clone()
    }

    /// What the levers say is in force now.
    pub(super) fn in_force(&self, nodes: u16) -> InForce {
        let are = |is: fn(&State) -> bool| {
            let nodes = Node::first(nodes);
            nodes
                .filter(|node| is(&self.processes.state(*node)))
                .collect()
        };
        InForce {
            cuts: self.network.cuts().len(),
            shapings: self.network.shapings().len(),
            ailments: self
                .disks
                .as_ref()
                .map_or(0, |disks| disks.ailments().len()),
            wrong: self
                .clocks
                .as_ref()
                .map_or(Vec::new(), |clocks| clocks.wrong()),
            paused: are(|state| matches!(state, State::Paused { .. })),
            down: are(|state| matches!(state, State::Absent | State::Ended { .. })),
        }
    }

    /// Takes the disks away and leaves what was on them in the nodes' data directories.
    pub(super) fn unload_disks(&self) -> Result<(), RigError> {
        match &self.disks {
            Some(disks) => Ok(disks.unload()?),
            None => Ok(()),
        }
    }

    /// Stops every node that still runs, all at once; one that does not stop in order is killed.
    pub(super) fn stop(&self, nodes: u16) {
        std::thread::scope(|scope| {
            for node in Node::first(nodes) {
                // A node that died has nothing to stop, and its death is already on record.
                scope.spawn(move || drop(self.processes.stop(node, STOP_WITHIN)));
            }
        });
    }
}

/// What makes disks ill, and what has to be done to a node's command for it.
type IllDisks = (Option<Arc<dyn Disks>>, Option<Prepare>);

/// The disks under the nodes' data, if the plan has a fault that makes them ill.
fn disks(plan: &Plan, setting: &Setting) -> Result<IllDisks, RigError> {
    let Some(means) = setting.disks else {
        return Ok((None, None));
    };
    let mut paths = BTreeMap::new();
    for node in Node::first(plan.processes()) {
        paths.insert(node, setting.folder.node_data(&node.to_string())?);
    }
    Ok(match means {
        DiskBackend::Fuse => {
            let disks = FuseDisks::mount(&setting.sandbox, paths, plan.directories)?;
            (Some(Arc::new(disks)), None)
        }
        DiskBackend::Seccomp => {
            let disks = Arc::new(SeccompDisks::new(paths, &plan.faults().ailments())?);
            let filter = disks.clone();
            let prepare = move |node, command: &mut Command| filter.filter(node, command);
            (Some(disks), Some(Arc::new(prepare)))
        }
    })
}

/// The nodes' clocks, if the plan has a fault that makes them wrong. Nobody else gets code of ours.
fn clocks(plan: &Plan) -> Option<Arc<VdsoClocks>> {
    let wanted = plan.classes().contains_key(&FaultClass::Clock);
    wanted.then(|| Arc::new(VdsoClocks::new(Node::first(plan.processes()))))
}

fn commands(
    plan: &Plan,
    setting: &Setting,
    addresses: &[Ipv4Addr],
) -> Result<BTreeMap<Node, NodeCommand>, RigError> {
    let cluster = setting.folder.name();
    let mut commands = BTreeMap::new();
    for node in Node::first(plan.processes()) {
        let folder: PathBuf = setting.folder.node(&node.to_string())?;
        let data_dir = folder.join("data");
        let program = setting.target.command(&NodeSpec {
            id: node.0,
            addresses,
            members: plan.nodes,
            cluster: &cluster,
            data_dir: &data_dir,
            seed: seed::derive(plan.seed, "node", u64::from(node.0)).next_u64(),
            defects: &plan.defects,
            binary: plan.node_binary.as_deref(),
            flags: &plan.node_flags,
        });
        let command = NodeCommand {
            program: program.program,
            args: program.args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: folder.clone(),
            log: folder.join("log.txt"),
        };
        commands.insert(node, command);
    }
    Ok(commands)
}
