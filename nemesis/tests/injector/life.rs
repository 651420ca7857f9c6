//! Stops, crash loops, kills while a node starts, and squeezes: every status.

use super::*;
use levers::Cluster;

fn with(cluster: Cluster) -> Trial {
    Trial {
        cluster: Arc::new(cluster),
        ..Trial::default()
    }
}

#[test]
fn a_stop_is_proven_by_an_orderly_end_and_a_successor() {
    for fault in ["0+20 stop leader", "0+20 restart n2"] {
        let trial = Trial::default();
        let records = trial.run(&[fault]);
        let Effect::Installed(Proof::Stopped { processes }) = &records[0].effect else {
            panic!("{records:?}")
        };
        assert!(processes[0].node == Node(2) && processes[0].successor.is_some());
        assert_eq!(trial.steps(), LIFE);
        assert!(trial.all_run() && records[0].healed);
    }
}

#[test]
fn whoever_does_not_end_in_order_was_not_stopped_and_is_started_again() {
    let trial = with(Cluster {
        deaf: true,
        ..Cluster::default()
    });
    let records = trial.run(&["0+20 stop n1 n3"]);
    assert!(
        why(&records[0]).contains("n1 pid 1 ended not in order"),
        "{records:?}"
    );
    assert!(matches!(records[0].effect, Effect::Indeterminate(_)));
    assert!(trial.all_run() && records[0].healed);
}

#[test]
fn a_crash_loop_kills_so_often_and_leaves_one_that_serves() {
    let trial = Trial::default();
    let records = trial.run(&["0+500 crash-loop n1 n2: 4"]);
    let Effect::Installed(Proof::CrashLooped { nodes }) = &records[0].effect else {
        panic!("{records:?}")
    };
    assert!(
        nodes
            .iter()
            .all(|one| one.pids.len() == 4 && one.successor.is_some())
    );
    assert_eq!(trial.steps(), LIFE);
    assert!(trial.all_run());
}

#[test]
fn a_node_that_does_not_come_up_again_was_in_no_loop() {
    let trial = Trial::default();
    trial.eye.serving.store(false, Relaxed);
    let records = trial.run(&["0+30 crash-loop n1: 4"]);
    // It is killed once and does not serve in the end either: more than no effect.
    assert!(
        matches!(records[0].effect, Effect::Indeterminate(_)),
        "{records:?}"
    );
    assert!(
        why(&records[0]).contains("did not serve within 50 ms"),
        "{records:?}"
    );
    assert!(trial.all_run() && records[0].healed);
}

#[test]
fn a_kill_while_a_node_starts_needs_one_that_is_not_up() {
    // The eye says of everybody that it serves: so everybody is up however early they are killed.
    let trial = Trial::default();
    let records = trial.run(&["0+30 kill-starting n1: 1ms"]);
    assert_eq!(
        why(&records[0]),
        "it was up before it was killed, however soon"
    );
    assert!(matches!(records[0].effect, Effect::NoEffect(_)));
    assert!(trial.all_run() && records[0].healed);
}

#[test]
fn a_node_that_was_never_seen_to_stand_still_was_not_slowed_down() {
    let trial = with(Cluster {
        stops_and_goes: false,
        ..Cluster::default()
    });
    let records = trial.run(&["0+20 slow-cpu n1: 20%"]);
    assert_eq!(why(&records[0]), "it was never seen to stand still");
    let records = Trial::default().run(&["0+20 slow-cpu leader: 20%"]);
    assert!(
        records[0].effect.is_installed() && records[0].healed,
        "{records:?}"
    );
}

#[test]
fn a_limit_counts_when_it_is_met_and_is_no_heal_while_it_stays() {
    let met = Trial::default().run(&["0+20 memory n1: 1mb"]);
    assert!(met[0].effect.is_installed() && met[0].healed, "{met:?}");
    let unmet = Trial::default().run(&["0+20 memory n1: 2mb"]);
    assert!(matches!(unmet[0].effect, Effect::NoEffect(_)), "{unmet:?}");
    let trial = with(Cluster {
        stays_limited: true,
        ..Cluster::default()
    });
    let stuck = trial.run(&["0+20 memory n1: 1mb"]);
    assert!(
        why(&stuck[0]).contains("the limit is still there"),
        "{stuck:?}"
    );
    assert!(!stuck[0].healed);
}

#[test]
fn who_ends_under_a_limit_ended_by_it_only_where_it_says_so() {
    let limited = |status, words| {
        let trial = with(Cluster {
            ends_limited: Some((status, words)),
            ..Cluster::default()
        });
        let records = trial.run(&["0+20 memory n1: 2mb"]);
        (records[0].clone(), trial)
    };
    let said = "memory allocation of 64 bytes failed";
    let (record, trial) = limited("signal: 6 (SIGABRT)", said);
    let Effect::Installed(Proof::Starved { processes }) = &record.effect else {
        panic!("{record:?}")
    };
    assert_eq!(processes[0].ended.as_deref(), Some("signal: 6 (SIGABRT)"));
    assert!(trial.all_run() && record.healed);
    for (status, words) in [
        ("signal: 11 (SIGSEGV)", said),
        ("signal: 9 (SIGKILL)", said),
        ("exit status: 101", "entry 9 is not there"),
    ] {
        let (record, trial) = limited(status, words);
        assert!(matches!(record.effect, Effect::NoEffect(_)), "{record:?}");
        let State::Died(death) = trial.cluster.state(Node(1)) else {
            panic!("it was not this fault that ended it: {record:?}")
        };
        assert!(!record.explains(&death), "{record:?}");
    }
}
