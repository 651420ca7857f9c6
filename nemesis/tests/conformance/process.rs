//! What happens to processes, as their own diaries, `/proc` and their clients tell it.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use ordeal_nemesis::{
    Effect, Node, PlannedFault, Proof, Schedule,
    injector::{Injector, Patience, Stop},
    lever::{Levers, Observer},
    network::{Switch, SwitchOptions, address},
    process::{Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};
use tempfile::TempDir;

use crate::support::{case, eventually};

const PORT: u16 = 9000;
const N1: Node = Node(1);
const NODES: u16 = 3;
/// As long as this a node takes to come up: longer than any kill while it starts may come.
const STARTS_FOR: Duration = Duration::from_millis(100);

// ---------------------------------------------------------------- the program

/// A node with a diary: `born`, `up` and `goodbye` with its pid. Who connects gets its pid, and may
/// ask it to spin (`s`) or to take 64 MiB (`m`).
pub(crate) fn lives(args: &[String]) {
    let own: Node = args[0].parse().unwrap();
    let term: SigSet = [Signal::SIGTERM].into_iter().collect();
    term.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
    note(own, "born");
    std::thread::spawn(move || {
        term.wait().unwrap();
        note(own, "goodbye");
        std::process::exit(0);
    });
    std::thread::sleep(STARTS_FOR);
    let listener = TcpListener::bind((address(own), PORT)).unwrap();
    note(own, "up");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut what = [0];
        if stream.read_exact(&mut what).is_err() {
            continue;
        }
        match &what {
            b"s" => drop(std::thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            })),
            b"m" => {
                let taken = vec![1_u8; 64 << 20];
                std::hint::black_box(&taken);
            }
            _ => {}
        }
        let _ = stream.write_all(&std::process::id().to_ne_bytes());
    }
}

fn note(own: Node, what: &str) {
    let mut how = fs::OpenOptions::new();
    how.append(true).create(true);
    let mut diary = how.open(format!("{own}.diary")).unwrap();
    writeln!(diary, "{what} {}", std::process::id()).unwrap();
}

// ---------------------------------------------------------------- the cluster

struct Cluster {
    _switch: Switch,
    processes: Arc<Processes>,
    folder: TempDir,
}

impl Cluster {
    fn start(sandbox: &Sandbox) -> Self {
        let switch = Switch::create(sandbox, NODES, &SwitchOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let command = |node: Node| {
            let program = case("lives");
            let mut args: Vec<_> = program.get_args().map(ToOwned::to_owned).collect();
            args.push(node.to_string().into());
            NodeCommand {
                program: program.get_program().into(),
                args,
                env: Vec::new(),
                cwd: folder.path().to_owned(),
                log: folder.path().join(format!("{node}.log")),
            }
        };
        let nodes = Node::first(NODES);
        let commands: BTreeMap<_, _> = nodes.map(|node| (node, command(node))).collect();
        let processes = Arc::new(Processes::new(&switch, commands, |_| {}));
        let cluster = Self {
            _switch: switch,
            processes,
            folder,
        };
        for node in Node::first(NODES) {
            let pid = cluster.processes.start(node).unwrap();
            eventually("it serves", || cluster.serving(node, pid));
        }
        cluster
    }

    /// Injects one fault, for so long and as long as `during` takes, which begins with it.
    fn inject(&self, fault: &str, for_ms: u64, during: impl FnOnce() + Send) -> Effect {
        let levers = Levers {
            processes: Some(self.processes.clone()),
            ..Levers::default()
        };
        let planned = PlannedFault {
            id: 1,
            at_ms: 0,
            for_ms: 60_000,
            fault: fault.parse().unwrap(),
        };
        let (began, stop) = (Instant::now(), Stop::new());
        std::thread::scope(|scope| {
            let probe = scope.spawn(|| {
                // What it measures may fail: the fault is healed nevertheless, so that this ends.
                let measured = catch_unwind(AssertUnwindSafe(during));
                let least = Duration::from_millis(for_ms);
                std::thread::sleep(least.saturating_sub(began.elapsed()));
                stop.request();
                measured.unwrap_or_else(|panic| resume_unwind(panic));
            });
            let records = Injector {
                nodes: NODES,
                spares: 0,
                levers: &levers,
                observer: self,
                clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
                sink: &|_| {},
                stop: &stop,
                seed: 1,
                patience: Patience::default(),
            }
            .run(&Schedule {
                faults: vec![planned],
            });
            probe.join().unwrap();
            assert!(records[0].healed, "{records:?}");
            records[0].effect.clone()
        })
    }

    fn proven(&self, fault: &str, for_ms: u64, during: impl FnOnce() + Send) -> Proof {
        match self.inject(fault, for_ms, during) {
            Effect::Installed(proof) => proof,
            other => panic!("{other}"),
        }
    }

    /// The words of a node's diary, and the pids that belong to them.
    fn diary(&self, node: Node) -> Vec<(String, u32)> {
        let path = self.folder.path().join(format!("{node}.diary"));
        let text = fs::read_to_string(path).unwrap();
        let line = |line: &str| {
            let (word, pid) = line.split_once(' ').unwrap();
            (word.to_owned(), pid.parse().unwrap())
        };
        text.lines().map(line).collect()
    }

    fn words(&self, node: Node) -> String {
        let words = self.diary(node).into_iter().map(|(word, _)| word);
        words.collect::<Vec<_>>().join(" ")
    }

    fn pid(&self, node: Node) -> u32 {
        match self.processes.state(node) {
            State::Running { pid } => pid,
            other => panic!("{node}: {other:?}"),
        }
    }
}

/// Connects, asks for something and gets the pid of who answers.
fn ask(node: Node, what: &[u8; 1]) -> std::io::Result<u32> {
    let to = SocketAddr::from((address(node), PORT));
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(500))?;
    // Room for 64 MiB takes its time where the machine is busy.
    let patience_ms = if what == b"m" { 10_000 } else { 500 };
    stream.set_read_timeout(Some(Duration::from_millis(patience_ms)))?;
    stream.write_all(what)?;
    let mut pid = [0; 4];
    stream.read_exact(&mut pid)?;
    Ok(u32::from_ne_bytes(pid))
}

impl Observer for Cluster {
    fn leader(&self) -> Option<Node> {
        Some(N1)
    }

    fn serving(&self, node: Node, pid: u32) -> bool {
        ask(node, b"?").is_ok_and(|answered| answered == pid)
    }
}

// ---------------------------------------------------------------- what becomes of them

pub(crate) fn stop(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let first = cluster.pid(N1);
    let _ = cluster.proven("stop leader", 400, || {
        eventually("it said goodbye", || cluster.words(N1).ends_with("goodbye"));
        assert!(ask(N1, b"?").is_err(), "nobody is there");
    });
    assert_eq!(cluster.words(N1), "born up goodbye born up");
    assert_eq!(cluster.diary(N1)[2].1, first);
    assert!(cluster.serving(N1, cluster.pid(N1)));
    assert_eq!(cluster.words(Node(2)), "born up", "others are left alone");
}

pub(crate) fn restart_all(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let _ = cluster.proven("restart all", 1000, || {});
    for node in Node::first(NODES) {
        assert_eq!(cluster.words(node), "born up goodbye born up");
    }
}

pub(crate) fn crash_loop(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let _ = cluster.proven("crash-loop n1: 3", 4000, || {});
    assert_eq!(cluster.words(N1), "born up born up born up born up");
    let mut pids: Vec<u32> = cluster.diary(N1).into_iter().map(|(_, pid)| pid).collect();
    pids.dedup();
    assert_eq!(pids.len(), 4, "a process each");
    let last = pids.pop().unwrap();
    for pid in pids {
        assert!(
            !fs::exists(format!("/proc/{pid}")).unwrap(),
            "{pid} is gone"
        );
    }
    assert!(cluster.serving(N1, last));
}

pub(crate) fn kill_starting(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let proof = cluster.proven("kill-starting n1: 60ms", 300, || {});
    let Proof::StartKilled { processes } = proof else {
        panic!("{proof}")
    };
    // How far it came depends on the machine: that it was born it may not have written down.
    let words = cluster.words(N1);
    assert!(
        ["born up born born up", "born up born up"].contains(&words.as_str()),
        "{words}"
    );
    let diary = cluster.diary(N1);
    let up: Vec<u32> = diary
        .iter()
        .filter(|(word, _)| word == "up")
        .map(|(_, pid)| *pid)
        .collect();
    assert!(!up.contains(&processes[0].pid), "it was up");
    assert_eq!(up.last(), Some(&cluster.pid(N1)));
}

/// Processor time of a process in clock ticks of 10 ms, and its state letter.
fn stat(pid: u32) -> (u64, char) {
    stat_at(&format!("/proc/{pid}/stat"))
}

fn stat_at(path: &str) -> (u64, char) {
    let stat = fs::read_to_string(path).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    (ticks(11) + ticks(12), fields[0].chars().next().unwrap())
}

pub(crate) fn slow_cpu(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let pid = ask(N1, b"s").unwrap();
    let mut share = 1.0;
    let mut still = 0;
    let _ = cluster.proven("slow-cpu n1: 20%", 1400, || {
        eventually("it stands still", || stat(pid).1 == 'T');
        let (before, began) = (stat(pid).0, Instant::now());
        for _ in 0..250 {
            still += u32::from(stat(pid).1 == 'T');
            std::thread::sleep(Duration::from_millis(4));
        }
        let ticks = u32::try_from(stat(pid).0 - before).unwrap();
        share = f64::from(ticks) / 100.0 / began.elapsed().as_secs_f64();
    });
    assert!(share < 0.3, "it had {share} of a processor");
    assert!(
        (125..=240).contains(&still),
        "it stood still {still} times of 250"
    );
    assert_eq!(cluster.pid(N1), pid, "it is the same process");
    // As much of one as this thread gets, on a machine that others may keep busy: half, at least.
    eventually("it has a processor again", || {
        let ticks = || (stat(pid).0, stat_at("/proc/thread-self/stat").0);
        let (before, began) = (ticks(), Instant::now());
        while began.elapsed() < Duration::from_millis(400) {
            std::hint::spin_loop();
        }
        let after = ticks();
        (after.0 - before.0) * 2 >= after.1 - before.1
    });
    for _ in 0..100 {
        assert_ne!(stat(pid).1, 'T', "it stands still no more");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn data_limit(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max data size"));
    line.unwrap().to_owned()
}

pub(crate) fn memory(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let pid = ask(N1, b"m").unwrap();
    let before = data_limit(pid);
    let proof = cluster.proven("memory n1: 1mb", 600, || {
        eventually("it is limited", || data_limit(pid) != before);
        assert!(ask(N1, b"m").is_err(), "it gets no 64 MiB");
        eventually("it is gone", || ask(N1, b"?").is_err());
    });
    let Proof::Starved { processes } = &proof else {
        panic!("{proof}")
    };
    assert!(processes[0].ended.is_some(), "{proof}");
    let log = fs::read(cluster.folder.path().join("n1.log")).unwrap();
    let log = String::from_utf8_lossy(&log);
    assert!(
        log.contains("memory allocation of 67108864 bytes failed"),
        "{log}"
    );
    let next = cluster.pid(N1);
    assert_ne!(next, pid);
    assert_eq!(ask(N1, b"m").unwrap(), next, "it gets them again");

    // One that asks for nothing meets nothing, and is as it was.
    let effect = cluster.inject("memory n1: 512mb", 200, || {});
    assert!(matches!(effect, Effect::NoEffect(_)), "{effect}");
    assert_eq!(cluster.pid(N1), next);
    assert_eq!(data_limit(next), before);
    assert_eq!(ask(N1, b"m").unwrap(), next);
}
