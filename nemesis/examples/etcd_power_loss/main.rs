//! Unmodified etcd on disks that lose power: is every acknowledged write still there?
//!
//! ```text
//! cargo run --release -p ordeal-nemesis --example etcd_power_loss -- [--losses 20] [--seed 1]
//!     [--strict] [--lying-fsync]
//! ```
//!
//! Three etcd nodes in a sandbox, their data on disks of ours; three clients write and remember
//! what was acknowledged, while the power goes from one, two or all nodes at random, twenty times.
//! Exits with 0 if nothing is lost and every power loss was proven, 1 if something is lost. With
//! `--lying-fsync` every fsync from the first write on does nothing, and all nodes lose power at
//! once: then acknowledged writes are lost. Where a power loss was not proven, or a lie cost
//! nothing, the experiment is wrong: it exits with 70.
//! Needs `etcd` in the path (Debian: `apt install etcd-server`).

mod client;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Ailment, Effect, Fault, Keep, Node, PlannedFault, Proof, Schedule, Targets,
    disk::{Directories, Disks, FuseDisks},
    fault::PowerLoss,
    injector::{FaultRecord, Injector, Patience, Step, Stop},
    lever::{Levers, Observer},
    network::{Network, Switch, SwitchOptions, address},
    process::{Lifecycle, NodeCommand, Processes},
    sandbox::{self, Sandbox},
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use self::client::{Etcd, serves};

const NODES: u16 = 3;
/// From one power loss to the next, and how long each lasts.
const EVERY_MS: u64 = 4000;
const DARK_MS: u64 = 1000;

struct Options {
    losses: u32,
    seed: u64,
    directories: Directories,
    lying: bool,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    // First thing: one thread only.
    let run = || experiment(&sandbox::enter()?, &options()?);
    match run() {
        Ok(lost) => ExitCode::from(u8::from(lost > 0)),
        Err(error) => {
            eprintln!("etcd_power_loss: {error}");
            ExitCode::from(70)
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        losses: 20,
        seed: 1,
        directories: Directories::Journalled,
        lying: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().ok_or(format!("{arg} needs a number"));
        match arg.as_str() {
            "--losses" => options.losses = number()?.parse()?,
            "--seed" => options.seed = number()?.parse()?,
            "--strict" => options.directories = Directories::Strict,
            "--lying-fsync" => options.lying = true,
            other => return Err(format!("there is no flag {other}").into()),
        }
    }
    Ok(options)
}

fn experiment(sandbox: &Sandbox, options: &Options) -> Result<usize, Failure> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(sandbox, folder.path(), options.directories)?;
    cluster.await_serving()?;
    if options.lying {
        for node in Node::first(NODES) {
            cluster.disks.install(node, Ailment::LyingFsync)?;
        }
    }
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    let (acknowledged, records) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let stop = &stop;
                scope.spawn(move || client::write_until(stop, writer))
            })
            .collect();
        let records = cluster.lose_power(options);
        stop.store(true, Relaxed);
        let acknowledged: BTreeSet<String> = writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("a writer does not panic"))
            .collect();
        (acknowledged, records)
    });
    let took = began.elapsed();
    if acknowledged.is_empty() {
        return Err("etcd acknowledged nothing: nothing was tried".into());
    }
    let found = match cluster.await_serving().and_then(|()| client::read_all()) {
        Ok(found) => found,
        // What lies took may leave no cluster at all; then everything is gone.
        Err(error) if options.lying => {
            println!("no cluster is left: {error}");
            BTreeSet::new()
        }
        Err(error) => return Err(error),
    };
    let lost = acknowledged.difference(&found).count();
    tell(options, &records, acknowledged.len(), lost, took);
    if lost == 0 {
        check(options, &records)?;
    }
    Ok(lost)
}

/// That nothing was lost says something only where enough was tried.
fn check(options: &Options, records: &[FaultRecord]) -> Result<(), Failure> {
    let proven = records.iter().filter(|record| record.effect.is_installed());
    let (proven, planned) = (proven.count(), usize::try_from(options.losses)?);
    if proven < planned || planned == 0 {
        return Err(format!("only {proven} of {planned} power losses were proven").into());
    }
    if options.lying {
        return Err("disks lied about fsync, and nothing was lost".into());
    }
    Ok(())
}

fn tell(
    options: &Options,
    records: &[FaultRecord],
    acknowledged: usize,
    lost: usize,
    took: Duration,
) {
    let mut dropped = 0;
    let mut machines = 0;
    let mut proven = 0;
    for record in records {
        println!("{}  {}", record.planned, record.effect);
        if let Effect::Installed(Proof::PowerLost { nodes }) = &record.effect {
            proven += 1;
            machines += nodes.len();
            dropped += nodes.iter().map(|node| node.lost.bytes).sum::<u64>();
        }
    }
    println!(
        "etcd on {NODES} nodes, {:?} directories, {} fsync, seed {}, {:.0} s",
        options.directories,
        if options.lying { "lying" } else { "honest" },
        options.seed,
        took.as_secs_f64()
    );
    println!(
        "power losses   {proven} of {} proven, of {machines} machines",
        records.len()
    );
    println!("unsynced bytes {dropped} dropped");
    println!("acknowledged   {acknowledged} writes");
    println!("lost           {lost}");
}

struct Cluster {
    network: Arc<Switch>,
    disks: Arc<FuseDisks>,
    processes: Arc<Processes>,
}

impl Cluster {
    fn start(sandbox: &Sandbox, folder: &Path, directories: Directories) -> Result<Self, Failure> {
        let network = Arc::new(Switch::create(sandbox, NODES, &SwitchOptions::default())?);
        let mut paths = BTreeMap::new();
        let mut commands = BTreeMap::new();
        for node in Node::first(NODES) {
            let data = folder.join(node.to_string());
            fs::create_dir(&data)?;
            commands.insert(node, command(node, &data, folder));
            paths.insert(node, data);
        }
        let disks = Arc::new(FuseDisks::mount(sandbox, paths, directories)?);
        let on_death = |death| eprintln!("unplanned: {death:?}");
        let processes = Arc::new(Processes::new(&*network, commands, on_death));
        for node in Node::first(NODES) {
            processes.start(node)?;
        }
        Ok(Self {
            network,
            disks,
            processes,
        })
    }

    /// Waits until a write goes through.
    fn await_serving(&self) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_secs(30);
        let mut node = 1;
        loop {
            let written = Etcd::dial(Node(node)).and_then(|mut etcd| etcd.put("first"));
            match written {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => {
                    return Err(format!("etcd does not serve: {error}").into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            node = node % NODES + 1;
        }
    }

    fn lose_power(&self, options: &Options) -> Vec<FaultRecord> {
        let levers = Levers {
            processes: Some(self.processes.clone()),
            network: Some(self.network.clone()),
            disks: Some(self.disks.clone()),
            admin: None,
            clocks: None,
        };
        let began = Instant::now();
        let clock = || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Injector {
            nodes: NODES,
            spares: 0,
            levers: &levers,
            observer: self,
            clock: &clock,
            sink: &|event| {
                if event.what == Step::Installed {
                    eprintln!("{:6.1} s  {}", began.elapsed().as_secs_f64(), event.message);
                }
            },
            stop: &Stop::new(),
            seed: options.seed,
            patience: Patience::default(),
        }
        .run(&schedule(options))
    }
}

/// One, two or all nodes, and what they keep of the unsynced, drawn from the seed.
fn schedule(options: &Options) -> Schedule {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let faults = (1..=options.losses).map(|id| {
        let mut nodes: Vec<Node> = Node::first(NODES).collect();
        nodes.shuffle(&mut rng);
        nodes.truncate(rng.random_range(1..=usize::from(NODES)));
        let keep = [Keep::Nothing, Keep::Some, Keep::Torn][rng.random_range(0..3)];
        let (targets, keep) = match options.lying {
            // Otherwise etcd finds its files torn, and rightly does not start on them.
            true => (Targets::All, Keep::Nothing),
            false => (Targets::Nodes(nodes.into_iter().collect()), keep),
        };
        PlannedFault {
            id,
            at_ms: u64::from(id) * EVERY_MS,
            for_ms: DARK_MS,
            fault: Fault::PowerLoss(PowerLoss { targets, keep }),
        }
    });
    Schedule {
        faults: faults.collect(),
    }
}

impl Observer for Cluster {
    fn leader(&self) -> Option<Node> {
        None
    }

    fn serving(&self, node: Node, _: u32) -> bool {
        // etcd does not tell its pid; its predecessor was seen to be gone.
        let looking = self
            .network
            .namespace(node)
            .spawn("look", move || serves(node));
        looking.is_ok_and(|looking| looking.join().unwrap_or(false))
    }
}

fn command(node: Node, data: &Path, folder: &Path) -> NodeCommand {
    let url = |node: Node, port| format!("http://{}:{port}", address(node));
    let members: Vec<String> = Node::first(NODES)
        .map(|node| format!("{node}={}", url(node, 2380)))
        .collect();
    let args = [
        format!("--name={node}"),
        format!("--data-dir={}", data.join("etcd").display()),
        format!("--initial-advertise-peer-urls={}", url(node, 2380)),
        format!("--listen-peer-urls={}", url(node, 2380)),
        format!("--listen-client-urls={}", url(node, 2379)),
        format!("--advertise-client-urls={}", url(node, 2379)),
        format!("--initial-cluster={}", members.join(",")),
        "--heartbeat-interval=50".to_owned(),
        "--election-timeout=500".to_owned(),
        "--snapshot-count=1000".to_owned(),
        "--enable-v2=false".to_owned(),
        "--pre-vote=true".to_owned(),
        "--logger=zap".to_owned(),
        "--log-outputs=stderr".to_owned(),
    ];
    NodeCommand {
        program: "etcd".into(),
        args: args.into_iter().map(Into::into).collect(),
        env: Vec::new(),
        cwd: "/".into(),
        log: folder.join(format!("{node}.log")),
    }
}
