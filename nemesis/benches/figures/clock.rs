//! What clocks that can be made wrong cost.
#![allow(
    clippy::disallowed_types,
    reason = "what is measured is the wall clock"
)]

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ordeal_nemesis::{
    Node, Skew,
    clock::{Clocks, VdsoClocks},
    process::{Fittings, Lifecycle, NodeCommand, Processes},
    sandbox::Sandbox,
};

use super::{row, switch, timed};

/// The argument with which this program only asks for the time, and says what that takes.
pub(crate) const ASKS: &str = "--ask-the-time";

/// Rounds of a thousand questions, for ever: a line each, in nanoseconds a question.
pub(crate) fn ask_the_time() {
    const QUESTIONS: u32 = 1000;
    loop {
        let began = Instant::now();
        for _ in 0..QUESTIONS {
            std::hint::black_box(SystemTime::now());
        }
        println!("{}", began.elapsed().as_nanos() / u128::from(QUESTIONS));
    }
}

/// What it takes to change a clock and to make it right, and what asking costs: as the kernel has
/// it, with code of ours in between that changes nothing, and with a clock that is wrong.
pub(crate) fn clocks(sandbox: &Sandbox) {
    let switch = switch(sandbox, 1);
    let folder = tempfile::tempdir().unwrap();
    let n1 = Node(1);
    let hour = Skew::Offset {
        ns: 3_600_000_000_000,
    };
    for (what, with, skew) in [
        ("ask for the time: as the kernel has it", false, None),
        ("… through code of ours, right", true, None),
        ("… through code of ours, an hour ahead", true, Some(hour)),
    ] {
        let log = folder.path().join(what);
        let command = NodeCommand {
            program: std::env::current_exe().unwrap(),
            args: vec![ASKS.into()],
            env: Vec::new(),
            cwd: folder.path().to_owned(),
            log: log.clone(),
        };
        let clocks = Arc::new(VdsoClocks::new([n1]));
        let fittings = Fittings {
            prepare: None,
            clocks: with.then(|| Arc::clone(&clocks)),
        };
        let commands = BTreeMap::from([(n1, command)]);
        let processes = Processes::fitted(&switch, commands, |_| {}, &fittings);
        clocks.set(n1, skew).unwrap();
        processes.start(n1).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        processes.kill(n1).unwrap();
        let told = fs::read_to_string(&log).unwrap();
        let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let times = whole.lines().map(|line| line.parse().unwrap());
        row(what, times.map(Duration::from_nanos).collect());
        if skew.is_some() {
            changes(&processes, &clocks, hour);
        }
    }
}

fn changes(processes: &Processes, clocks: &VdsoClocks, skew: Skew) {
    let n1 = Node(1);
    let mut start = Vec::new();
    for _ in 0..100 {
        start.push(timed(|| processes.start(n1).unwrap()));
        processes.kill(n1).unwrap();
    }
    row("start a process whose clock can be made wrong", start);
    processes.start(n1).unwrap();
    let (mut install, mut heal) = (vec![], vec![]);
    for _ in 0..1000 {
        install.push(timed(|| clocks.set(n1, Some(skew)).unwrap().unwrap()));
        heal.push(timed(|| clocks.set(n1, None).unwrap().unwrap()));
    }
    row("make its clock wrong, read back", install);
    row("make it right, read back", heal);
}
