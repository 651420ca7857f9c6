//! Node processes: started in their namespaces, and every signal proven.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, process::ExitCode};

use ordeal_nemesis::{
    Node,
    network::{Switch, SwitchOptions},
    process::{Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};

fn main() -> ExitCode {
    support::main(&cases![Inside a_kill_is_proven, Program sleeper])
}

fn sleeper(_: &[String]) {
    loop {
        std::thread::park();
    }
}

fn a_kill_is_proven(sandbox: &Sandbox) {
    let switch = Switch::create(sandbox, 1, &SwitchOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let command = NodeCommand {
        program: std::env::current_exe().unwrap(),
        args: vec!["--case".into(), "sleeper".into()],
        env: Vec::new(),
        cwd: folder.path().to_owned(),
        log: folder.path().join("log"),
    };
    let n1 = Node(1);
    let processes = Processes::new(&switch, BTreeMap::from([(n1, command)]), |death| {
        panic!("nobody was to die: {death:?}")
    });
    let pid = processes.start(n1).unwrap();
    let paused = processes.pause(n1).unwrap();
    assert_eq!((paused.pid, paused.threads), (pid, 1));
    assert_eq!(processes.resume(n1).unwrap(), pid);
    let killed = processes.kill(n1).unwrap();
    assert_eq!(killed.pid, pid);
    assert_eq!(processes.state(n1), State::Ended { pid });
    let again = processes.start(n1).unwrap();
    assert_ne!(again, pid);
}
