//! The injector with levers that do exactly what a test wants: every status, and every way out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod broken;
mod clock;
mod levers;
mod life;
mod shaping;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed, mpsc},
    time::{Duration, Instant},
};

use levers::{Cluster, Cuts, Eye, NODES};
use ordeal_nemesis::{
    Effect, Grudge, Node, PlannedFault, Proof, Schedule,
    injector::{FaultEvent, FaultRecord, Injector, Patience, Step, Stop},
    lever::Levers,
    network::Network,
    process::{Lifecycle, State},
};

// ---------------------------------------------------------------- running

#[derive(Default)]
struct Trial {
    cuts: Arc<Cuts>,
    cluster: Arc<Cluster>,
    eye: Eye,
    stop: Stop,
    events: Mutex<Vec<FaultEvent>>,
}

impl Trial {
    fn levers(&self) -> Levers {
        Levers {
            processes: Some(self.cluster.clone()),
            network: Some(self.cuts.clone()),
            disks: None,
            admin: None,
            clocks: None,
        }
    }

    fn run(&self, faults: &[&str]) -> Vec<FaultRecord> {
        self.run_with(&self.levers(), faults)
    }

    /// Runs faults written as `AT+FOR FAULT`, in milliseconds.
    fn run_with(&self, levers: &Levers, faults: &[&str]) -> Vec<FaultRecord> {
        self.run_among(NODES, levers, faults)
    }

    /// The same in a cluster of other nodes than all that run.
    fn run_among(&self, nodes: u16, levers: &Levers, faults: &[&str]) -> Vec<FaultRecord> {
        let began = Instant::now();
        let faults: Vec<_> = (1..)
            .zip(faults)
            .map(|(id, text)| planned(id, text))
            .collect();
        Injector {
            nodes,
            spares: u16::from(levers.admin.is_some()),
            levers,
            observer: &self.eye,
            clock: &|| u64::try_from(began.elapsed().as_nanos()).unwrap(),
            sink: &|event| self.events.lock().unwrap().push(event),
            stop: &self.stop,
            seed: 1,
            patience: Patience {
                leader: Duration::from_millis(50),
                serving: Duration::from_millis(50),
                refusal: Duration::from_millis(10),
                members: Duration::from_millis(200),
            },
        }
        .run(&Schedule { faults })
    }

    fn steps(&self) -> Vec<Step> {
        self.events
            .lock()
            .unwrap()
            .iter()
            .map(|event| event.what)
            .collect()
    }

    fn all_run(&self) -> bool {
        let running = |node| matches!(self.cluster.state(node), State::Running { .. });
        Node::first(NODES).all(running) && self.cuts.cuts().is_empty()
    }
}

fn planned(id: u32, text: &str) -> PlannedFault {
    let (times, fault) = text.split_once(' ').unwrap();
    let (at_ms, for_ms) = times.split_once('+').unwrap();
    PlannedFault {
        id,
        at_ms: at_ms.parse().unwrap(),
        for_ms: for_ms.parse().unwrap(),
        fault: fault.parse().unwrap(),
    }
}

fn why(record: &FaultRecord) -> &str {
    match &record.effect {
        Effect::Installed(proof) => panic!("installed: {proof}"),
        Effect::Skipped(why) | Effect::NoEffect(why) | Effect::Indeterminate(why) => why,
    }
}

const LIFE: [Step; 4] = [
    Step::Injecting,
    Step::Installed,
    Step::Healing,
    Step::Healed,
];

// ---------------------------------------------------------------- partitions

#[test]
fn a_partition_is_proven_by_the_packets_that_met_it() {
    let trial = Trial::default();
    let records = trial.run(&["0+20 isolate leader"]);

    let Effect::Installed(Proof::Cut(dropped)) = &records[0].effect else {
        panic!("{records:?}")
    };
    assert_eq!(
        dropped.packets.keys().copied().collect::<Grudge>(),
        Grudge::isolate(Node(2), 3)
    );
    assert_eq!(trial.steps(), LIFE);
    let (from, to) = records[0].window_ns.unwrap();
    assert!(to - from >= 10_000_000, "the window is {} ns", to - from);
    assert!(records[0].healed && trial.all_run());
}

#[test]
fn a_partition_that_no_packet_meets_has_no_effect() {
    let trial = Trial {
        cuts: Arc::new(Cuts {
            quiet: true,
            ..Cuts::default()
        }),
        ..Trial::default()
    };
    let records = trial.run(&["0+20 halves n1 | n2 n3"]);
    assert_eq!(records[0].effect.status(), "no effect");
    assert_eq!(
        trial.steps(),
        [Step::Injecting, Step::Healing, Step::NoEffect]
    );
    assert!(records[0].healed && trial.all_run());
}

#[test]
fn a_cut_that_fails_is_indeterminate_and_the_run_goes_on() {
    let cuts = Cuts {
        cutting_fails: true,
        ..Cuts::default()
    };
    let trial = Trial {
        cuts: Arc::new(cuts),
        ..Trial::default()
    };
    let records = trial.run(&["0+20 isolate n1", "5+20 pause n1"]);
    assert_eq!(records[0].effect.status(), "indeterminate");
    assert!(why(&records[0]).contains("broken"));
    assert!(records[1].effect.is_installed());
}

#[test]
fn a_heal_that_fails_is_said_to_be_left() {
    let cuts = Cuts {
        healing_fails: true,
        ..Cuts::default()
    };
    let trial = Trial {
        cuts: Arc::new(cuts),
        ..Trial::default()
    };
    let records = trial.run(&["0+20 isolate n1"]);
    assert_eq!(records[0].effect.status(), "indeterminate");
    assert!(!records[0].healed);
    // Once when its time is over, and once more at the end of the run.
    let events = trial.events.lock().unwrap();
    let [.., first, last] = &events[..] else {
        panic!("{events:?}")
    };
    for (event, says) in [
        (first, "it may not be undone"),
        (last, "it may still be in force at the end of the run"),
    ] {
        assert_eq!(event.what, Step::Indeterminate);
        assert!(event.message.contains(says), "{}", event.message);
    }
}

// ---------------------------------------------------------------- leaders

#[test]
fn without_a_leader_a_fault_on_the_leader_is_skipped() {
    let trial = Trial::default();
    *trial.eye.leader.lock().unwrap() = None;
    let records = trial.run(&["0+200 kill leader"]);
    assert_eq!(why(&records[0]), "nobody was known to lead");
    assert_eq!(trial.steps(), [Step::Skipped]);
    assert!(trial.all_run());
}

#[test]
fn a_leader_that_is_known_a_little_later_is_hit() {
    let trial = Trial::default();
    *trial.eye.leader.lock().unwrap() = None;
    let records = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(10));
            *trial.eye.leader.lock().unwrap() = Some(Node(3));
        });
        trial.run(&["0+200 pause leader"])
    });
    assert!(records[0].effect.is_installed(), "{records:?}");
    assert_eq!(records[0].nodes, [Node(3)]);
}

#[test]
fn whom_a_word_means_is_found_out_when_the_fault_is_injected() {
    let hit = |fault: &str| {
        let trial = Trial::default();
        *trial.eye.leader.lock().unwrap() = Some(Node(2));
        let records = trial.run(&[&format!("0+20 {fault}")]);
        assert!(records[0].effect.is_installed(), "{records:?}");
        assert!(trial.all_run());
        records[0].nodes.clone()
    };
    assert_eq!(hit("pause leader"), [Node(2)]);
    assert_eq!(hit("pause followers"), [Node(1), Node(3)]);
    assert_eq!(hit("kill all").len(), 3);
    for (word, size) in [("one", 1), ("minority", 1), ("majority", 2)] {
        let nodes = hit(&format!("kill {word}"));
        assert_eq!(nodes.len(), size, "{word}");
        assert_eq!(nodes, hit(&format!("kill {word}")), "drawn from the seed");
    }
    assert_eq!(hit("packets followers: loss 5%").len(), 3, "at both ends");
}

#[test]
fn a_word_that_means_nobody_then_is_skipped_and_never_done() {
    for (nodes, leader, fault, words) in [
        (3, None, "pause followers", "nobody was known to lead"),
        (
            3,
            None,
            "packets followers: loss 5%",
            "nobody was known to lead",
        ),
        (
            1,
            Some(Node(1)),
            "pause followers",
            "there are no such nodes in this cluster",
        ),
        (
            2,
            Some(Node(1)),
            "kill minority",
            "there are no such nodes in this cluster",
        ),
        (
            1,
            Some(Node(1)),
            "slow-cpu minority: 20%",
            "there are no such nodes in this cluster",
        ),
        (
            1,
            Some(Node(1)),
            "packets followers: loss 5%",
            "there is no such edge",
        ),
        (1, Some(Node(1)), "isolate leader", "it would cut nothing"),
    ] {
        let trial = Trial::default();
        *trial.eye.leader.lock().unwrap() = leader;
        let faults = [&*format!("0+200 {fault}")];
        let records = trial.run_among(nodes, &trial.levers(), &faults);
        assert_eq!(
            records[0].effect.status(),
            "skipped",
            "{fault}: {records:?}"
        );
        assert!(why(&records[0]).contains(words), "{fault}: {records:?}");
        assert_eq!(trial.steps(), [Step::Skipped], "{fault}");
        assert!(trial.all_run());
    }
}

// ---------------------------------------------------------------- processes

#[test]
fn a_kill_is_proven_by_the_old_pid_gone_and_the_new_one_serving() {
    let trial = Trial::default();
    let records = trial.run(&["0+20 kill n1 n3"]);
    let Effect::Installed(Proof::Killed { processes }) = &records[0].effect else {
        panic!("{records:?}")
    };
    let pids: Vec<_> = processes
        .iter()
        .map(|one| (one.pid, one.successor.as_ref().unwrap().pid))
        .collect();
    assert_eq!(pids, [(1, 100), (3, 101)]);
    assert_eq!(trial.steps(), LIFE);
    assert!(records[0].healed && trial.all_run());
}

#[test]
fn a_kill_after_which_nobody_serves_is_indeterminate() {
    let trial = Trial::default();
    trial.eye.serving.store(false, Relaxed);
    let records = trial.run(&["0+20 kill n1"]);
    assert!(why(&records[0]).ends_with("n1 (pid 100) did not serve within 50 ms"));
    assert!(records[0].healed, "it was started again all the same");
}

#[test]
fn a_process_that_dies_after_its_restart_is_told_with_its_last_words() {
    let cluster = Cluster {
        dies_after_start: Some("corrupt log"),
        ..Cluster::default()
    };
    let trial = Trial {
        cluster: Arc::new(cluster),
        ..Trial::default()
    };
    trial.eye.serving.store(false, Relaxed);
    let records = trial.run(&["0+20 kill n1"]);
    assert!(why(&records[0]).ends_with("n1 (pid 100) died after its restart: corrupt log"));
}

#[test]
fn killing_what_does_not_run_is_skipped_and_nothing_is_started() {
    let trial = Trial::default();
    trial.cluster.set(Node(1), State::Ended { pid: 1 });
    let records = trial.run(&["0+20 kill n1"]);
    assert_eq!(records[0].effect.status(), "skipped");
    assert_eq!(trial.cluster.state(Node(1)), State::Ended { pid: 1 });
}

#[test]
fn a_pause_is_undone_for_exactly_those_it_paused() {
    let trial = Trial::default();
    // Somebody else's pause: not ours to undo.
    trial.cluster.set(Node(1), State::Paused { pid: 1 });
    let records = trial.run(&["0+20 pause n1 n2"]);
    assert_eq!(records[0].effect.status(), "indeterminate");
    assert_eq!(trial.cluster.state(Node(1)), State::Paused { pid: 1 });
    assert_eq!(trial.cluster.state(Node(2)), State::Running { pid: 2 });
}

#[test]
fn a_pause_that_is_not_proven_in_time_is_undone_and_indeterminate() {
    let cluster = Cluster {
        unpausable: Some(Node(1)),
        ..Cluster::default()
    };
    let trial = Trial {
        cluster: Arc::new(cluster),
        ..Trial::default()
    };
    let records = trial.run(&["0+20 pause n1"]);
    assert!(why(&records[0]).contains("n1 (pid 1) did not stop within 1 ms"));
    assert!(records[0].healed && trial.all_run());
}

// ---------------------------------------------------------------- the run

#[test]
fn a_fault_without_its_lever_is_skipped() {
    let trial = Trial::default();
    let records = trial.run_with(
        &Levers::default(),
        &["0+9 isolate n1", "1+9 kill n1", "2+9 pause n1"],
    );
    let statuses: BTreeSet<_> = records
        .iter()
        .map(|record| record.effect.status())
        .collect();
    assert_eq!(statuses, ["skipped"].into());
}

#[test]
fn a_slow_lever_holds_up_no_other_fault() {
    let (release, wait) = mpsc::channel();
    let cluster = Cluster {
        kill_waits: Some(Mutex::new(wait)),
        ..Cluster::default()
    };
    let trial = Trial {
        cluster: Arc::new(cluster),
        ..Trial::default()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The kill is let go only once the cut that comes after it has come and gone.
            let healed = |event: &FaultEvent| event.fault == 2 && event.what == Step::Healed;
            let began = Instant::now();
            while !trial.events.lock().unwrap().iter().any(healed) {
                assert!(
                    began.elapsed() < Duration::from_secs(5),
                    "the cut waits for the kill"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
            release.send(()).unwrap();
        });
        let records = trial.run(&["0+20 kill n1", "5+20 isolate n2"]);
        assert!(
            records.iter().all(|record| record.effect.is_installed()),
            "{records:?}"
        );
    });
}

#[test]
fn a_stop_heals_at_once_and_skips_the_rest() {
    let trial = Trial::default();
    let began = Instant::now();
    let records = std::thread::scope(|scope| {
        scope.spawn(|| {
            let installed = |event: &&FaultEvent| event.what == Step::Installed;
            while trial
                .events
                .lock()
                .unwrap()
                .iter()
                .filter(installed)
                .count()
                < 3
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            trial.stop.request();
        });
        trial.run(&[
            "0+60000 isolate n1",
            "1+60000 kill n1",
            "2+60000 pause n2",
            "9000+9 kill n3",
        ])
    });
    assert!(began.elapsed() < Duration::from_secs(5));
    let statuses: Vec<_> = records
        .iter()
        .map(|record| record.effect.status())
        .collect();
    assert_eq!(statuses, ["installed", "installed", "installed", "skipped"]);
    assert_eq!(why(&records[3]), "the run was stopped before its time");
    assert!(records.iter().all(|record| record.healed) && trial.all_run());
}

#[test]
fn a_lever_that_panics_is_indeterminate_and_not_healed() {
    // Its channel is closed, so `kill` panics.
    let (_, wait) = mpsc::channel();
    let cluster = Cluster {
        kill_waits: Some(Mutex::new(wait)),
        ..Cluster::default()
    };
    let trial = Trial {
        cluster: Arc::new(cluster),
        ..Trial::default()
    };
    let records = trial.run(&["0+20 kill n1", "1+20 pause n2"]);
    assert_eq!(
        records[0].effect,
        Effect::Indeterminate("its thread panicked".to_owned())
    );
    assert!(!records[0].healed);
    assert!(records[1].effect.is_installed());
}

#[test]
fn an_event_is_one_line_of_json_that_is_read_back() {
    let trial = Trial::default();
    let _ = trial.run(&["0+5 one-way n1 -> n2 n3", "10+5 kill n1"]);
    for event in trial.events.lock().unwrap().iter() {
        let line = serde_json::to_string(event).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<FaultEvent>(&line).unwrap(), *event);
    }
    let first = trial.events.lock().unwrap()[0].clone();
    let line = serde_json::to_string(&FaultEvent {
        time_ns: 7,
        ..first
    })
    .unwrap();
    assert_eq!(
        line,
        concat!(
            r#"{"time_ns":7,"fault":1,"class":"partition","what":"injecting","#,
            r#""nodes":["n1","n2","n3"],"edges":["n1 -> n2","n1 -> n3"],"#,
            r#""message":"cut n1 -> n2 n3"}"#
        )
    );
}
