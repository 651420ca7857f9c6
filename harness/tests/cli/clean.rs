//! `ordeal clean`: takes what a run's record names, and nothing else.

use super::{Results, ordeal, stderr};
use std::fs;
use std::process::{Child, Command, Stdio};

/// A pid namespace with one process, as a run leaves it in the worst case; its first process is a
/// child of `unshare`, which is ours.
fn left_behind() -> Child {
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "sleep",
        "1000",
    ]);
    command.stdin(Stdio::null()).spawn().unwrap()
}

/// The first process of the namespace, once it is there.
fn init_of(unshare: u32) -> u32 {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    for _ in 0..5000 {
        let list = fs::read_to_string(&children).unwrap();
        if let Some(child) = list.split_whitespace().next() {
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            if name.trim() == "sleep" {
                return child.parse().unwrap();
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("no namespace within 5 s");
}

fn started_at(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1;
    fields.split(' ').nth(19).unwrap().parse().unwrap()
}

#[test]
fn what_a_killed_run_left_is_removed_and_a_stranger_with_its_numbers_is_not() {
    let results = Results::new();
    let mut unshare = left_behind();
    let init = init_of(unshare.id());
    let namespace = fs::read_link(format!("/proc/{init}/ns/pid")).unwrap();
    let run = results.path().join("runs/x");
    let data = run.join("nodes/n1/data");
    fs::create_dir_all(&data).unwrap();
    let clean = |outer: u32, outer_at: u64, init_at: u64| {
        let mark = format!(
            "{{\"outer\":{{\"pid\":{outer},\"at\":{outer_at}}},\
             \"pid_namespace\":\"{}\",\"init_at\":{init_at}}}",
            namespace.display()
        );
        fs::write(run.join("sandbox.json"), mark).unwrap();
        let path = results.path().to_str().unwrap();
        let cleaned = ordeal(&["clean", "--results", path]).output().unwrap();
        assert_eq!(cleaned.status.code(), Some(0), "{}", stderr(&cleaned));
        stderr(&cleaned)
    };
    let me = std::process::id();
    let said = clean(me, started_at(me), started_at(init));
    assert!(said.contains("0 removed"), "its run goes on: {said}");
    assert!(data.exists());

    let said = clean(me, started_at(me) + 1, started_at(init) + 1);
    assert!(said.contains("1 removed") && !data.exists(), "{said}");
    assert!(
        unshare.try_wait().unwrap().is_none(),
        "another process: {said}"
    );

    let said = clean(me, started_at(me) + 1, started_at(init));
    assert!(said.contains(&format!("process {init} and all")), "{said}");
    assert!(!unshare.wait().unwrap().success(), "its child was killed");
}
