//! Bad input ends before anything starts, with one clear message and the right exit code.

use crate::trace::Machine;
use crate::{Results, one_cluster_at_a_time, ordeal, stderr, stdout};
use ordeal_checker::format::Format;
use ordeal_checker::judge::Subject;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs with these flags must be refused: exit code 64, these words, no folder, no process.
fn refused(flags: &[&str], words: &[&str]) {
    let results = Results::new();
    let output = results.run(flags);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{flags:?}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{flags:?} does not say {word:?}: {said}"
        );
    }
    assert!(!said.contains("panicked"), "{flags:?}: {said}");
    assert!(
        !results.path().join("runs").exists(),
        "{flags:?} made a folder"
    );
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    refused(&["--workload", "bank"], &["bank", "register, set"]);
    refused(&["--target", "paxos"], &["paxos", "raft"]);
    refused(&["--nemesis", "storm"], &["storm", "mixed"]);
    refused(
        &["--defect", "slow"],
        &["slow", "read_leader_local", "ack_on_append"],
    );
}

#[test]
fn absurd_numbers_are_refused_with_their_bounds() {
    refused(&["--nodes", "0"], &["nodes = 0", "1 to 50"]);
    refused(&["--nodes", "2000"], &["nodes = 2000", "1 to 50"]);
    refused(&["--nodes", "-3"], &["--nodes", "-3"]);
    refused(&["--time", "-5s"], &["-5s", "not a length of time"]);
    refused(&["--time", "0s"], &["time = 0s", "1s to 1day"]);
    refused(&["--time", "9000h"], &["out of bounds"]);
    refused(&["--time", "soon"], &["soon", "30s"]);
    refused(&["--rate", "0"], &["rate = 0"]);
    refused(&["--concurrency", "0"], &["concurrency = 0"]);
    refused(&["--op-timeout", "0ms"], &["op_timeout = 0s"]);
    refused(&["--storm"], &["--storm"]);
}

#[test]
fn a_cluster_too_small_for_its_nemesis_is_refused() {
    refused(
        &["--nodes", "1", "--nemesis", "halves"],
        &["halves", "2 to 50 nodes"],
    );
}

#[test]
fn a_plan_that_is_none_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    let path = plan.display().to_string();
    refused(&[&path], &[&path, "No such file"]);
    fs::write(&plan, "seed = 1\nnodez = 5\n").unwrap();
    refused(&[&path], &[&path, "nodez", "line 2"]);
    fs::write(&plan, "seed = one\n").unwrap();
    refused(&[&path], &[&path, "line 1"]);
    fs::write(&plan, b"\xff\xfe\x00").unwrap();
    refused(&[&path], &[&path, "UTF-8"]);
    fs::write(
        &plan,
        "[[fault]]\nid = 1\nat_ms = 1\nfor_ms = 9\nfault = 'kill n9'\n",
    )
    .unwrap();
    refused(&[&path], &["fault 1 names n9"]);
}

#[test]
fn an_unwritable_results_folder_is_refused() {
    for folder in ["/dev/null/results", "/proc/results"] {
        let output = ordeal(&["run", "--results", folder]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(
            said.contains(folder) && said.contains("--results"),
            "{said}"
        );
    }
}

#[test]
fn a_program_that_cannot_be_run_is_refused() {
    refused(
        &["--node-binary", "/nowhere/node"],
        &["/nowhere/node", "No such file"],
    );
    refused(
        &["--node-binary", "/etc/passwd"],
        &["/etc/passwd", "not executable"],
    );
}

#[test]
fn a_node_that_dies_at_its_start_is_named_with_its_last_words() {
    let _guard = one_cluster_at_a_time();
    let (results, before) = (Results::new(), Machine::look());
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("node");
    fs::write(
        &program,
        "#!/bin/sh\n\
         printf \"no config, no service\\n\\nFor more, try '--help'.\\n\" >&2\n\
         exit 7\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = results.run(&["--node-binary", program.to_str().unwrap()]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(70), "{said}");
    for word in [
        "ended at its start",
        "7",
        "no config, no service",
        "log.txt",
    ] {
        assert!(said.contains(word), "{word:?}: {said}");
    }
    before.is_clean(results.path(), &BTreeSet::new(), Duration::from_secs(1));
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let output = ordeal(&[
        "node",
        "--id=1",
        "--cluster=c",
        "--peer=1=127.0.0.1:0",
        "--seed=1",
    ])
    .arg(format!("--listen-client={taken}"))
    .arg(format!("--data-dir={}", data.path().join("data").display()))
    .stdin(Stdio::null())
    .output()
    .unwrap();
    let said = stderr(&output);
    // The exit codes of `ordeal node` are the node's own: 69 is what is in use already.
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains(&taken.to_string()), "{said}");
}

#[test]
fn without_the_right_to_namespaces_the_message_says_what_to_do() {
    let results = Results::new();
    // A user namespace in which no other namespace may be made: like a locked-down container.
    let forbid = "for kind in user pid net mnt; do \
                  echo 0 > /proc/sys/user/max_${kind}_namespaces; done; exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", forbid])
        .arg(env!("CARGO_BIN_EXE_ordeal"))
        .args(["run", "--results"])
        .arg(results.path())
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(70), "{said}");
    assert!(said.contains("namespaces"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn help_and_list_are_no_errors() {
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["--version"],
        &["list"],
    ] {
        let output = ordeal(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!stdout(&output).is_empty());
    }
    let listed = stdout(&ordeal(&["list"]).output().unwrap());
    for name in [
        "raft",
        "register",
        "set",
        "mixed",
        "isolate-leader",
        "no_log_check_in_vote",
    ] {
        assert!(listed.contains(name), "{name} is not listed: {listed}");
    }
    let models = Subject::ALL.map(|(name, model)| (name, model.summary()));
    let formats = Format::ALL.map(|(name, format)| (name, format.summary()));
    for (name, summary) in models.into_iter().chain(formats) {
        let line = format!("  {name:<22} {summary}");
        assert!(listed.lines().any(|l| l == line), "{line}: {listed}");
    }
}

/// What the doctor says is missing, a plan that needs it is refused with, before anything starts.
#[test]
fn a_plan_that_cannot_be_run_here_is_refused_with_the_doctors_row() {
    let results = Results::new();
    let path = results.path().to_str().unwrap();
    let wanted = [
        "run",
        "--network",
        "iptables",
        "--nemesis",
        "corrupt-deliver",
    ];
    let run = ordeal(&wanted).args(["--results", path]).output().unwrap();
    assert_eq!(run.status.code(), Some(64), "{}", stderr(&run));
    let said = stderr(&run);
    assert!(said.contains("iptables   NO   corrupt-deliver"), "{said}");
    assert!(said.contains("ordeal doctor"), "{said}");
    assert!(!results.path().exists() || results.path().read_dir().unwrap().next().is_none());
}

/// Without a TUN device the switch goes over packet sockets.
#[test]
fn without_tun_the_doctor_still_finds_a_network() {
    let hide = "mount -t tmpfs none /dev/net && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        hide,
        "sh",
    ]);
    command.arg(env!("CARGO_BIN_EXE_ordeal")).arg("doctor");
    let doctor = command.output().unwrap();
    assert_eq!(doctor.status.code(), Some(0), "{}", stderr(&doctor));
    let table = stdout(&doctor);
    assert!(
        table.contains("partition  yes  userspace switch"),
        "{table}"
    );
}

#[test]
fn the_doctor_finds_everything_where_runs_work() {
    let doctor = ordeal(&["doctor"]).output().unwrap();
    assert_eq!(
        doctor.status.code(),
        Some(0),
        "{}{}",
        stdout(&doctor),
        stderr(&doctor)
    );
    let table = stdout(&doctor);
    for class in ["sandbox", "kill", "pause", "partition", "packet"] {
        let found = table
            .lines()
            .any(|line| line.starts_with(&format!("{class:<10} yes")));
        assert!(found, "{class}: {table}");
    }
}
