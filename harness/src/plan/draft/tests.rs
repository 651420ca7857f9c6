//! What is accepted, what is refused, and with which words.

use super::*;

fn plan(toml: &str) -> Result<Plan, PlanError> {
    let draft: Draft = toml::from_str(toml).unwrap();
    draft.validate(&Targets::default(), || 7)
}

fn refused(toml: &str) -> String {
    plan(toml).unwrap_err().to_string()
}

#[test]
fn a_stored_plan_reads_back_as_itself() {
    let stored = plan("seed = 42").unwrap();
    assert!(!stored.schedule.faults.is_empty());
    assert_eq!(plan(&stored.to_toml()).unwrap(), stored);
}

#[test]
fn the_same_seed_gives_the_same_plan_byte_for_byte() {
    let bytes = |seed: u64| plan(&format!("seed = {seed}")).unwrap().to_toml();
    assert_eq!(bytes(42), bytes(42));
    assert_ne!(bytes(42), bytes(43));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    for (toml, says) in [
        (
            "nodes = 0",
            "nodes = 0 is out of bounds: it must be from 1 to 50",
        ),
        ("nodes = 2000", "nodes = 2000 is out of bounds"),
        (
            "time = '500ms'",
            "time = 500ms is out of bounds: it must be from 1s to 1day",
        ),
        ("time = '9000h'", "is out of bounds"),
        ("rate = 0", "rate = 0 is out of bounds"),
        (
            "concurrency = 1000",
            "concurrency = 1000 is out of bounds: it must be from 1 to 999",
        ),
        (
            "workload = 'bank'",
            "there is no workload \"bank\"; there are: register, set",
        ),
        (
            "target = 'paxos'",
            "there is no target \"paxos\"; there are: raft",
        ),
        ("nemesis = 'storm'", "`storm` is no nemesis"),
        (
            "nemesis = 'lying-fsync'",
            "the faults may destroy 5 of 5 disks, and a cluster of this size can be expected \
             to survive the loss of 2; add --unsurvivable",
        ),
        (
            "network = 'token-ring'",
            "`token-ring` is no network: use auto, iptables or switch",
        ),
        (
            "disk = 'floppy'",
            "`floppy` makes no disks ill: use auto, fuse or seccomp",
        ),
        (
            "defects = ['fast']",
            "target raft has no defect \"fast\"; it has: ",
        ),
        ("format = 9", "the plan has format 9"),
        ("node_binary = '/nowhere'", "cannot run /nowhere as a node"),
        ("node_binary = '/etc/passwd'", "it is not executable"),
    ] {
        let error = refused(toml);
        assert!(error.contains(says), "{toml}: {error}");
    }
}

#[test]
fn a_script_that_makes_nodes_forget_too_close_to_another_fault_is_refused() {
    let steps = |between: &str| {
        format!(
            "nodes = 3\n[scenario]\nname = 'close'\nsummary = 'close'\n\
             [[scenario.step]]\ninject = 'kill n2'\nas = 'crash'\n\
             [[scenario.step]]\nheal = 'crash'\n{between}\
             [[scenario.step]]\ninject = 'damage n1: wipe'\n"
        )
    };
    let error = refused(&steps(""));
    let says = "step 3, `damage n1: wipe`, makes a node forget what it acknowledged, and step 1, \
                `kill n2`, may keep others from having it";
    assert!(
        error.contains(says) && error.contains("`wait = \"4s\"`"),
        "{error}"
    );
    plan(&steps("[[scenario.step]]\nwait = '4s'\n")).unwrap();
    plan(&format!("unsurvivable = true\n{}", steps(""))).unwrap();
}

#[test]
fn an_unknown_key_in_a_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    std::fs::write(&path, "seed = 1\nnodez = 5\n").unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(
        error.contains("nodez") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn a_defect_chooses_the_attack_that_finds_it_unless_told_otherwise() {
    let plan_of = |more: &str| plan(&format!("defects = ['ack_on_append']\n{more}")).unwrap();
    assert_eq!(plan_of("").workload, WorkloadName::Set);
    assert_eq!(plan_of("").nemesis, Nemesis::IsolateLeader);
    assert_eq!(
        plan_of("workload = 'register'").workload,
        WorkloadName::Register
    );
    let hidden = plan("defects = ['no_log_check_in_vote']").unwrap();
    assert_eq!(hidden.node_flags, ["--pre-vote=off", "--check-quorum=off"]);
    assert_eq!(plan(&hidden.to_toml()).unwrap(), hidden);
    let told = plan("defects = ['no_log_check_in_vote']\nnode_flags = []").unwrap();
    assert!(told.node_flags.is_empty());
}

#[test]
fn flags_win_over_the_file_and_redraw_what_they_change() {
    let file = Draft {
        seed: Some(1),
        rate: Some(50),
        fault: Some(vec![]),
        ..Draft::default()
    };
    let same = Draft {
        rate: Some(99),
        ..Draft::default()
    }
    .or(file.clone());
    assert_eq!((same.rate, same.fault), (Some(99), Some(vec![])));
    let other = Draft {
        seed: Some(2),
        ..Draft::default()
    }
    .or(file);
    assert_eq!(
        (other.seed, other.rate, other.fault),
        (Some(2), Some(50), None)
    );
}
