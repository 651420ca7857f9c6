//! Schedules run for real: sandbox, switch, processes, planner and injector together.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, UdpSocket},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use ordeal_nemesis::{
    Effect, FaultClass, Node, Schedule,
    injector::{FaultEvent, FaultRecord, Injector, Patience, Step, Stop},
    lever::{Levers, Observer},
    network::{Network, Switch, SwitchOptions, address},
    planner::{Nemesis, PlanSpec, plan},
    process::{Death, Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};
use tempfile::TempDir;

fn main() -> ExitCode {
    support::main(&cases![
        Inside every_kind_of_fault_is_installed_with_its_proof,
        Inside random_schedules_are_proven_and_leave_nothing_in_force,
        Inside a_stopped_run_heals_at_once,
        Inside a_process_killed_by_somebody_else_is_a_death_and_no_fault_of_ours,
        Program talks,
    ])
}

const PORT: u16 = 9000;
const NODES: u16 = 5;

/// A node that sends to every other node all the time, and tells its pid to who asks.
fn talks(args: &[String]) {
    let own: Node = args[0].parse().unwrap();
    let socket = UdpSocket::bind((address(own), PORT)).unwrap();
    let speaker = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        loop {
            for other in Node::first(NODES).filter(|other| *other != own) {
                speaker.send_to(b"beat", (address(other), PORT)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let mut buffer = [0; 16];
    loop {
        let (length, sender) = socket.recv_from(&mut buffer).unwrap();
        if &buffer[..length] == b"who?" {
            socket
                .send_to(&std::process::id().to_ne_bytes(), sender)
                .unwrap();
        }
    }
}

struct Cluster {
    switch: Arc<Switch>,
    processes: Arc<Processes>,
    deaths: Arc<Mutex<Vec<Death>>>,
    eyes: BTreeMap<Node, UdpSocket>,
    stop: Stop,
    _folder: TempDir,
}

impl Cluster {
    fn start(sandbox: &Sandbox) -> Self {
        let switch = Arc::new(Switch::create(sandbox, NODES, &SwitchOptions::default()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let command = |node: Node| NodeCommand {
            program: std::env::current_exe().unwrap(),
            args: ["--case", "talks", &node.to_string()]
                .map(Into::into)
                .into(),
            env: Vec::new(),
            cwd: folder.path().to_owned(),
            log: folder.path().join(format!("{node}.log")),
        };
        let deaths: Arc<Mutex<Vec<Death>>> = Arc::default();
        let commands = Node::first(NODES)
            .map(|node| (node, command(node)))
            .collect();
        let seen = Arc::clone(&deaths);
        let on_death = move |death| seen.lock().unwrap().push(death);
        let processes = Arc::new(Processes::new(&*switch, commands, on_death));
        let eye = |node| {
            let bind = || UdpSocket::bind("0.0.0.0:0").unwrap();
            let socket = switch
                .namespace(node)
                .spawn("eye", bind)
                .unwrap()
                .join()
                .unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(20)))
                .unwrap();
            (node, socket)
        };
        let eyes = Node::first(NODES).map(eye).collect();
        let cluster = Self {
            switch,
            processes,
            deaths,
            eyes,
            stop: Stop::new(),
            _folder: folder,
        };
        for node in Node::first(NODES) {
            let pid = cluster.processes.start(node).unwrap();
            support::eventually("it serves", || cluster.serving(node, pid));
        }
        cluster
    }

    /// Runs the schedule while clients ask every node all the time.
    fn run(&self, schedule: &Schedule) -> (Vec<FaultRecord>, Vec<FaultEvent>) {
        let levers = Levers {
            processes: Some(self.processes.clone()),
            network: Some(self.switch.clone()),
            disks: None,
            admin: None,
            clocks: None,
        };
        let (began, events, over) = (
            Instant::now(),
            Mutex::new(Vec::new()),
            AtomicBool::new(false),
        );
        let records = std::thread::scope(|scope| {
            scope.spawn(|| {
                let client = UdpSocket::bind("0.0.0.0:0").unwrap();
                while !over.load(Relaxed) {
                    for node in Node::first(NODES) {
                        client
                            .send_to(b"who?", SocketAddr::from((address(node), PORT)))
                            .unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            let records = Injector {
                nodes: NODES,
                spares: 0,
                levers: &levers,
                observer: self,
                clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
                sink: &|event| events.lock().unwrap().push(event),
                stop: &self.stop,
                seed: 1,
                patience: Patience::default(),
            }
            .run(schedule);
            over.store(true, Relaxed);
            records
        });
        (records, events.into_inner().unwrap())
    }

    fn assert_whole(&self) {
        assert_eq!(
            (self.switch.cuts(), self.switch.shapings()),
            (vec![], vec![])
        );
        for node in Node::first(NODES) {
            let State::Running { pid } = self.processes.state(node) else {
                panic!("{node}: {:?}", self.processes.state(node))
            };
            support::eventually("it serves", || self.serving(node, pid));
        }
    }
}

impl Observer for Cluster {
    /// Whoever runs first in order plays the leader.
    fn leader(&self) -> Option<Node> {
        let runs = |node: &Node| matches!(self.processes.state(*node), State::Running { .. });
        Node::first(NODES).find(runs)
    }

    fn serving(&self, node: Node, pid: u32) -> bool {
        let eye = &self.eyes[&node];
        if eye
            .send_to(b"who?", SocketAddr::from((address(node), PORT)))
            .is_err()
        {
            return false;
        }
        let mut buffer = [0; 16];
        // An answer to an earlier question may come first; the next look finds the later one.
        matches!(eye.recv(&mut buffer), Ok(4) if buffer[..4] == pid.to_ne_bytes())
    }
}

fn schedule(faults: &[&str]) -> Schedule {
    let tables: Vec<String> = (1..)
        .zip(faults)
        .map(|(id, fault)| {
            let (at_ms, fault) = fault.split_once(' ').unwrap();
            format!("[[fault]]\nid = {id}\nat_ms = {at_ms}\nfor_ms = 150\nfault = \"{fault}\"\n")
        })
        .collect();
    #[derive(serde::Deserialize)]
    struct Plan {
        fault: Schedule,
    }
    let plan: Plan = toml::from_str(&tables.join("\n")).unwrap();
    plan.fault.validate(NODES, 60_000).unwrap();
    plan.fault
}

fn every_kind_of_fault_is_installed_with_its_proof(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let runs: [&[&str]; 6] = [
        &[
            "0 kill n1 n3",
            "50 halves n1 n2 | n3 n4 n5",
            "100 pause n2",
            "150 isolate leader",
            "200 ring n3 n1 n5 n2 n4",
            "250 one-way n1 -> n2 n3 n4 n5",
            "300 clients n1 n2",
        ],
        &[
            "0 packets leader: delay 5ms ±5ms, reorder 20%",
            "50 packets all: loss 10%, duplicate 10%, corrupt 10%",
            "100 packets n3: rate 1mbit, corrupt-deliver 10%",
            "150 isolate leaders",
            "200 bridge n1 n2 | n3 | n4 n5",
            "250 cut clients -> n4, n1 | n2",
        ],
        // Each alone: how long a restart takes depends on the machine.
        &["0 kill all"],
        &["0 pause all"],
        &["0 pause leader"],
        &["0 kill leader"],
    ];
    for faults in runs {
        let (records, events) = cluster.run(&schedule(faults));
        for record in &records {
            assert!(record.effect.is_installed() && record.healed, "{record:#?}");
            assert_life(record, &events);
        }
        cluster.assert_whole();
    }
    assert_eq!(cluster.deaths.lock().unwrap().as_slice(), []);
}

/// Asserts that the fault's events tell a whole life, and its window lies within them.
fn assert_life(record: &FaultRecord, events: &[FaultEvent]) {
    let own = events
        .iter()
        .filter(|event| event.fault == record.planned.id);
    let (steps, times): (Vec<_>, Vec<_>) = own.map(|event| (event.what, event.time_ns)).unzip();
    assert_eq!(
        steps,
        [
            Step::Injecting,
            Step::Installed,
            Step::Healing,
            Step::Healed
        ]
    );
    let (from, to) = record.window_ns.unwrap();
    assert!(
        times[0] <= from && from < to && to <= times[3],
        "{from} {to} {times:?}"
    );
}

fn random_schedules_are_proven_and_leave_nothing_in_force(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let mixed = BTreeSet::from([FaultClass::Kill, FaultClass::Pause, FaultClass::Partition]);
    let mut classes = BTreeSet::new();
    for seed in 0..2 {
        let all = FaultClass::ALL.iter().copied();
        let spec = PlanSpec {
            // There are no disks of ours here.
            without: all.filter(|class| !mixed.contains(class)).collect(),
            interval_ms: 50..=200,
            duration_ms: 50..=400,
            ..PlanSpec::new(Nemesis::Mixed, NODES, 3000, seed)
        };
        let schedule = plan(&spec).unwrap();
        let (records, _) = cluster.run(&schedule);
        assert_eq!(records.len(), schedule.faults.len());
        for record in records {
            assert!(record.healed, "{record:#?}");
            match record.effect {
                Effect::Installed(_) => drop(classes.insert(record.planned.fault.class())),
                // Everybody may be cut off from a leader that is paused: no packet, no proof.
                Effect::NoEffect(_) => {}
                other => panic!("seed {seed}: {}: {other}", record.planned),
            }
        }
        cluster.assert_whole();
    }
    assert_eq!(classes, mixed);
    assert_eq!(cluster.deaths.lock().unwrap().as_slice(), []);
}

fn a_stopped_run_heals_at_once(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let mut schedule = schedule(&["0 kill n1", "10 pause n2", "20 isolate n3", "59000 kill n4"]);
    for planned in &mut schedule.faults[..3] {
        planned.for_ms = 50_000;
    }
    let (records, took) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            support::eventually("all three are in force", || {
                matches!(cluster.processes.state(Node(1)), State::Ended { .. })
                    && matches!(cluster.processes.state(Node(2)), State::Paused { .. })
                    && cluster.switch.traffic().cut > 0
            });
            cluster.stop.request();
            Instant::now()
        });
        let (records, _) = cluster.run(&schedule);
        (records, asking.join().unwrap().elapsed())
    });
    assert!(took < Duration::from_secs(5), "healing took {took:?}");
    let statuses: Vec<_> = records
        .iter()
        .map(|record| record.effect.status())
        .collect();
    assert_eq!(statuses, ["installed", "installed", "installed", "skipped"]);
    cluster.assert_whole();
}

fn a_process_killed_by_somebody_else_is_a_death_and_no_fault_of_ours(sandbox: &Sandbox) {
    let cluster = Cluster::start(sandbox);
    let State::Running { pid } = cluster.processes.state(Node(4)) else {
        panic!("it runs")
    };
    kill(
        nix::unistd::Pid::from_raw(pid.try_into().unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    support::eventually("the death is noticed", || {
        !cluster.deaths.lock().unwrap().is_empty()
    });
    let (records, _) = cluster.run(&schedule(&["0 kill n4", "200 pause n4"]));
    for record in records {
        assert_eq!(record.effect.status(), "skipped");
        let text = record.effect.to_string();
        assert!(
            text.ends_with("n4: it died by itself (signal: 9 (SIGKILL))"),
            "{text}"
        );
    }
    let State::Died(death) = cluster.processes.state(Node(4)) else {
        panic!("it stays dead")
    };
    assert_eq!(cluster.deaths.lock().unwrap().as_slice(), [death]);
}
