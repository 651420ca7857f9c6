//! Power losses, ill disks and damage injected for real, into processes that keep a log.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Effect, Node, Proof, Schedule,
    disk::{Directories, Disks, FuseDisks},
    injector::{FaultRecord, Injector, Patience, Stop},
    lever::{Levers, Observer},
    network::{Network, Switch, SwitchOptions, address},
    process::{Death, Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};
use tempfile::TempDir;

fn main() -> ExitCode {
    support::main(&cases![
        OnDisks a_power_loss_takes_exactly_what_was_not_synced,
        OnDisks whoever_was_connected_to_a_machine_without_power_hears_nothing,
        OnDisks a_power_loss_of_all_leaves_what_each_has_synced,
        OnDisks a_node_that_ends_at_a_failed_fsync_is_started_when_the_disk_is_well,
        OnDisks a_slow_fsync_holds_its_node_up_and_no_longer_than_told,
        OnDisks an_ailment_that_nobody_meets_has_no_effect,
        OnDisks a_damaged_disk_that_the_node_refuses_is_made_whole,
        OnDisks a_wiped_disk_that_the_node_refuses_while_it_serves_is_made_whole,
        OnDisks a_wiped_disk_that_the_node_takes_stays_empty,
        OnDisks an_older_copy_is_from_when_faults_began,
        Program keeps,
    ])
}

const PORT: u16 = 9000;
const NODES: u16 = 3;
const N1: Node = Node(1);
/// What is appended each time, and must be found again as it was.
const ENTRY: &[u8] = b"an entry of the log\n";

/// Where this file stands, a node that finds nothing serves first, and ends then.
const LATE: &str = "late";

/// A node with a log: `w` appends to it, `s` appends and fsyncs, `?` asks for its pid; each is
/// answered with a number, `w` and `s` with how many entries there are.
fn keeps(args: &[String]) {
    let path = Path::new(&args[1]).join("log");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    let found = fs::read(&path).unwrap();
    let damaged = found.chunks(ENTRY.len()).any(|entry| entry != ENTRY);
    assert!(!damaged, "the log is damaged");
    log.sync_all().unwrap();
    if found.is_empty() && Path::new(&args[1]).with_file_name(LATE).exists() {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            eprintln!("there was more");
            std::process::exit(65);
        });
    }
    let entries = Arc::new(Mutex::new((found.len() / ENTRY.len()) as u64));
    let own: Node = args[0].parse().unwrap();
    let listener = TcpListener::bind((address(own), PORT)).unwrap();
    for stream in listener.incoming() {
        let (mut stream, mut log) = (stream.unwrap(), log.try_clone().unwrap());
        let entries = Arc::clone(&entries);
        std::thread::spawn(move || {
            let mut ask = [0];
            while stream.read_exact(&mut ask).is_ok() {
                let mut entries = entries.lock().unwrap();
                if ask != *b"?" {
                    log.write_all(ENTRY).unwrap();
                    *entries += 1;
                }
                if ask == *b"s"
                    && let Err(error) = log.sync_data()
                {
                    eprintln!("fsync: {error}");
                    std::process::exit(1);
                }
                let pid = u64::from(std::process::id());
                let number = if ask == *b"?" { pid } else { *entries };
                // Whoever asked may be gone.
                let _ = stream.write_all(&number.to_le_bytes());
            }
        });
    }
}

struct Cluster {
    network: Arc<dyn Network>,
    disks: Arc<FuseDisks>,
    processes: Arc<Processes>,
    deaths: Arc<Mutex<Vec<Death>>>,
    folder: TempDir,
}

impl Cluster {
    fn start(sandbox: &Sandbox) -> Self {
        let switch = Switch::create(sandbox, NODES, &SwitchOptions::default()).unwrap();
        let network: Arc<dyn Network> = Arc::new(switch);
        let folder = tempfile::tempdir().unwrap();
        let data = |node: Node| folder.path().join(node.to_string());
        Node::first(NODES).for_each(|node| fs::create_dir(data(node)).unwrap());
        let paths = Node::first(NODES).map(|node| (node, data(node))).collect();
        let disks = FuseDisks::mount(sandbox, paths, Directories::Journalled).unwrap();
        let command = |node: Node| NodeCommand {
            program: std::env::current_exe().unwrap(),
            args: [
                "--case",
                "keeps",
                &node.to_string(),
                data(node).to_str().unwrap(),
            ]
            .map(Into::into)
            .into(),
            env: Vec::new(),
            cwd: "/".into(),
            log: folder.path().join(format!("{node}.log")),
        };
        let commands: BTreeMap<_, _> = Node::first(NODES).map(|n| (n, command(n))).collect();
        let deaths: Arc<Mutex<Vec<Death>>> = Arc::default();
        let seen = Arc::clone(&deaths);
        let on_death = move |death| seen.lock().unwrap().push(death);
        let processes = Arc::new(Processes::new(&*network, commands, on_death));
        let cluster = Self {
            network,
            disks: Arc::new(disks),
            processes,
            deaths,
            folder,
        };
        for node in Node::first(NODES) {
            let pid = cluster.processes.start(node).unwrap();
            support::eventually("it serves", || cluster.serving(node, pid));
        }
        cluster
    }

    fn dial(&self, node: Node) -> TcpStream {
        let to = (address(node), PORT).into();
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(1)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream
    }

    /// A stream to n1 that ends in n2's namespace.
    fn dial_from_n2(&self) -> TcpStream {
        let connect = || TcpStream::connect((address(N1), PORT)).unwrap();
        let dialing = self.network.namespace(Node(2)).spawn("dial", connect);
        dialing.unwrap().join().unwrap()
    }

    /// Runs the faults one after the other.
    fn run(&self, faults: &[&str]) -> Vec<FaultRecord> {
        let tables = (1..).zip(faults).map(|(id, fault)| {
            let at_ms = (id - 1) * 400;
            format!("[[fault]]\nid = {id}\nat_ms = {at_ms}\nfor_ms = 200\nfault = \"{fault}\"\n")
        });
        #[derive(serde::Deserialize)]
        struct Plan {
            fault: Schedule,
        }
        let plan: Plan = toml::from_str(&tables.collect::<String>()).unwrap();
        plan.fault.validate(NODES, 60_000).unwrap();
        let levers = Levers {
            processes: Some(self.processes.clone()),
            network: Some(self.network.clone()),
            disks: Some(self.disks.clone()),
            admin: None,
            clocks: None,
        };
        let began = Instant::now();
        Injector {
            nodes: NODES,
            spares: 0,
            levers: &levers,
            observer: self,
            clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
            sink: &|_| {},
            stop: &Stop::new(),
            seed: 1,
            patience: Patience::default(),
        }
        .run(&plan.fault)
    }

    /// Runs one fault; returns its proof.
    fn proven(&self, fault: &str) -> Proof {
        let [record] = <[FaultRecord; 1]>::try_from(self.run(&[fault])).unwrap();
        assert!(record.healed, "{record:#?}");
        assert_eq!(self.disks.ailments(), []);
        assert_eq!(self.network.cuts(), []);
        match record.effect {
            Effect::Installed(proof) => proof,
            other => panic!("{fault}: {other}"),
        }
    }
}

fn ask(stream: &mut TcpStream, what: &[u8; 1]) -> std::io::Result<u64> {
    stream.write_all(what)?;
    let mut number = [0; 8];
    stream.read_exact(&mut number)?;
    Ok(u64::from_le_bytes(number))
}

impl Observer for Cluster {
    fn leader(&self) -> Option<Node> {
        Some(N1)
    }

    fn serving(&self, node: Node, pid: u32) -> bool {
        let to = (address(node), PORT).into();
        let look = move || {
            let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(100)).ok()?;
            stream
                .set_read_timeout(Some(Duration::from_millis(100)))
                .ok()?;
            ask(&mut stream, b"?").ok()
        };
        let looking = self.network.namespace(node).spawn("look", look).unwrap();
        looking.join().unwrap() == Some(u64::from(pid))
    }
}

fn a_power_loss_takes_exactly_what_was_not_synced(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let mut client = cluster.dial(N1);
    for what in [b"s", b"s", b"s", b"w", b"w"] {
        ask(&mut client, what).unwrap();
    }
    let before = ask(&mut client, b"?").unwrap();
    let Proof::PowerLost { nodes } = cluster.proven("power-loss leader") else {
        panic!("of another kind")
    };
    let [node] = nodes.as_slice() else {
        panic!("{nodes:?}")
    };
    assert_eq!((node.killed.node, u64::from(node.killed.pid)), (N1, before));
    assert_eq!(
        (node.lost.files, node.lost.bytes),
        (1, 2 * ENTRY.len() as u64)
    );
    let mut client = cluster.dial(N1);
    let after = ask(&mut client, b"?").unwrap();
    assert_eq!(
        u64::from(node.killed.successor.as_ref().unwrap().pid),
        after
    );
    assert_ne!(after, before);
    assert_eq!(
        ask(&mut client, b"s").unwrap(),
        4,
        "three were synced, and this one"
    );
    assert_eq!(cluster.deaths.lock().unwrap().as_slice(), []);
}

/// On the other networks: see `conformance`.
fn whoever_was_connected_to_a_machine_without_power_hears_nothing(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let mut peer = cluster.dial_from_n2();
    ask(&mut peer, b"s").unwrap();
    let _ = cluster.proven("power-loss n1");
    peer.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let heard = peer.read(&mut [0]).unwrap_err();
    assert_eq!(
        heard.kind(),
        ErrorKind::WouldBlock,
        "neither an end nor a reset"
    );
    let asked = ask(&mut peer, b"?").unwrap_err();
    assert_eq!(
        asked.kind(),
        ErrorKind::ConnectionReset,
        "the new machine knows of none"
    );
    // A process that is merely killed is heard of at once, which is what the cut and the fresh
    // namespace are for.
    let mut peer = cluster.dial_from_n2();
    ask(&mut peer, b"s").unwrap();
    let _ = cluster.proven("kill n1");
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

fn a_power_loss_of_all_leaves_what_each_has_synced(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let entries = |synced: &[u8; 1]| {
        let ask_one = |node| ask(&mut cluster.dial(node), synced).unwrap();
        Node::first(NODES).map(ask_one).collect::<Vec<_>>()
    };
    for (fault, least) in [
        ("power-loss all", 1),
        ("power-loss all: some", 3),
        ("power-loss all: torn", 5),
    ] {
        // One synced, then one not: what is there afterwards is one more, or two.
        let before = entries(b"s");
        entries(b"w");
        // An entry is shorter than a sector, so that it survives whole or not at all.
        let Proof::PowerLost { nodes } = cluster.proven(fault) else {
            panic!("of another kind")
        };
        assert_eq!(nodes.len(), usize::from(NODES));
        for ((node, before), after) in nodes.iter().zip(before).zip(entries(b"s")) {
            let kept = after - before - 1;
            let lost = node.lost.bytes / ENTRY.len() as u64;
            assert_eq!(kept + lost, 1, "{fault}: {node}");
            assert!(after >= least);
        }
    }
}

fn a_node_that_ends_at_a_failed_fsync_is_started_when_the_disk_is_well(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let mut client = cluster.dial(N1);
    ask(&mut client, b"s").unwrap();
    let proof = std::thread::scope(|scope| {
        let faulty = scope.spawn(|| cluster.proven("disk n1: fsync-error"));
        support::eventually("fsync fails", || !cluster.disks.ailments().is_empty());
        assert!(
            ask(&mut client, b"s").is_err(),
            "it ends instead of answering"
        );
        faulty.join().unwrap()
    });
    let Proof::DiskMet { nodes } = proof else {
        panic!("of another kind")
    };
    assert_eq!((nodes[0].node, nodes[0].requests), (N1, 1));
    let mut client = cluster.dial(N1);
    let pid = ask(&mut client, b"?").unwrap();
    assert_eq!(
        nodes[0].successor.as_ref().map(|s| u64::from(s.pid)),
        Some(pid)
    );
    let deaths = cluster.deaths.lock().unwrap();
    assert_eq!(deaths.len(), 1);
    let words = deaths[0].log_tail.last().unwrap();
    assert_eq!(words, "fsync: Input/output error (os error 5)");
}

fn a_slow_fsync_holds_its_node_up_and_no_longer_than_told(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let mut client = cluster.dial(N1);
    let proof = std::thread::scope(|scope| {
        let faulty = scope.spawn(|| cluster.proven("disk n1: slow-fsync 50ms"));
        support::eventually("fsync is slow", || !cluster.disks.ailments().is_empty());
        let began = Instant::now();
        ask(&mut client, b"s").unwrap();
        assert!(began.elapsed() >= Duration::from_millis(50));
        faulty.join().unwrap()
    });
    assert_eq!(proof.to_string(), "n1 1 requests met it");
    assert_eq!(cluster.deaths.lock().unwrap().as_slice(), []);
}

fn an_ailment_that_nobody_meets_has_no_effect(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    for record in cluster.run(&["disk n1: lying-fsync", "disk n2: slow-fsync 20ms"]) {
        let text = record.effect.to_string();
        assert_eq!(text, "no effect: no request met it while it was there");
        assert!(record.healed);
    }
}

fn a_damaged_disk_that_the_node_refuses_is_made_whole(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    for _ in 0..3 {
        ask(&mut cluster.dial(N1), b"s").unwrap();
    }
    let Proof::Damaged { nodes } = cluster.proven("damage n1: bit-flip 1") else {
        panic!("of another kind")
    };
    let [node] = nodes.as_slice() else {
        panic!("{nodes:?}")
    };
    assert!(node.refused);
    assert_eq!((node.damaged.bytes, node.damaged.files.len()), (1, 1));
    assert_eq!(ask(&mut cluster.dial(N1), b"s").unwrap(), 4);
    let log = fs::read_to_string(cluster.folder.path().join("n1.log")).unwrap();
    assert!(log.contains("the log is damaged"), "{log}");
    assert_eq!(cluster.deaths.lock().unwrap().len(), 1);
    assert!(matches!(cluster.processes.state(N1), State::Running { .. }));
}

fn a_wiped_disk_that_the_node_refuses_while_it_serves_is_made_whole(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    ask(&mut cluster.dial(N1), b"s").unwrap();
    fs::write(cluster.folder.path().join(LATE), "").unwrap();
    let Proof::Damaged { nodes } = cluster.proven("damage n1: wipe") else {
        panic!("of another kind")
    };
    assert!(nodes[0].refused);
    assert_eq!(ask(&mut cluster.dial(N1), b"s").unwrap(), 2);
    assert_eq!(cluster.deaths.lock().unwrap().len(), 1);
    let State::Running { pid } = cluster.processes.state(N1) else {
        panic!("it does not run")
    };
    assert_eq!(nodes[0].killed.successor.as_ref().unwrap().pid, pid);
}

fn a_wiped_disk_that_the_node_takes_stays_empty(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    ask(&mut cluster.dial(N1), b"s").unwrap();
    let Proof::Damaged { nodes } = cluster.proven("damage n1: wipe") else {
        panic!("of another kind")
    };
    assert!(!nodes[0].refused);
    assert_eq!(ask(&mut cluster.dial(N1), b"s").unwrap(), 1);
}

fn an_older_copy_is_from_when_faults_began(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    ask(&mut cluster.dial(N1), b"s").unwrap();
    let records = std::thread::scope(|scope| {
        let faulty =
            scope.spawn(|| cluster.run(&["disk n1: slow-fsync 1ms", "damage n1: restore"]));
        support::eventually("faults have begun", || !cluster.disks.ailments().is_empty());
        assert_eq!(ask(&mut cluster.dial(N1), b"s").unwrap(), 2);
        faulty.join().unwrap()
    });
    for record in records {
        assert!(record.effect.is_installed(), "{record:#?}");
    }
    assert_eq!(
        ask(&mut cluster.dial(N1), b"s").unwrap(),
        2,
        "the second is gone"
    );
}
