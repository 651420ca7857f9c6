//! The probes of processes: each fault done to one that was started for it.

use std::{collections::BTreeMap, thread, time::Duration};

use super::within_a_second;
use crate::{
    network::Switch,
    node::Node,
    process::{Lifecycle, NodeCommand, ProcessError, Processes, State},
    sandbox::Sandbox,
};

const N1: Node = Node(1);

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("{0}")]
    Seen(String),
}

type Outcome = Result<String, Failure>;

fn started(switch: &Switch, program: &str, args: &[&str]) -> Result<Processes, ProcessError> {
    let command = NodeCommand {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        cwd: "/".into(),
        log: "/dev/null".into(),
    };
    let commands = BTreeMap::from([(N1, command)]);
    let processes = Processes::new(switch, commands, |_| {});
    processes.start(N1)?;
    Ok(processes)
}

fn sleeper(switch: &Switch) -> Result<Processes, ProcessError> {
    started(switch, "sleep", &["60"])
}

fn told(outcome: Outcome) -> Result<String, String> {
    outcome.map_err(|failure| failure.to_string())
}

pub(super) fn kill(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let processes = sleeper(switch)?;
        let killed = processes.kill(N1)?;
        processes.start(N1)?;
        let _ = processes.kill(N1)?;
        Ok(format!("gone after {} µs", killed.gone_after_us))
    };
    told(attempt())
}

pub(super) fn pause(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let processes = sleeper(switch)?;
        let paused = processes.pause(N1)?;
        processes.resume(N1)?;
        let _ = processes.kill(N1)?;
        Ok(format!("stopped after {} µs", paused.stopped_after_us))
    };
    told(attempt())
}

pub(super) fn stop(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let processes = sleeper(switch)?;
        let stopped = processes.terminate(N1, Duration::from_secs(1))?;
        if !stopped.in_order {
            return Err(Failure::Seen(format!("it ended with {}", stopped.status)));
        }
        Ok(format!(
            "{} after {} µs",
            stopped.status, stopped.gone_after_us
        ))
    };
    told(attempt())
}

pub(super) fn crash_loop(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let processes = sleeper(switch)?;
        let mut pids = vec![processes.kill(N1)?.pid];
        for _ in 0..2 {
            processes.start(N1)?;
            pids.push(processes.kill(N1)?.pid);
        }
        pids.dedup();
        match pids.len() {
            3 => Ok("three processes in turn, each reaped".to_owned()),
            _ => Err(Failure::Seen(format!(
                "one process was reaped twice: {pids:?}"
            ))),
        }
    };
    told(attempt())
}

pub(super) fn kill_starting(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let processes = sleeper(switch)?;
        let _ = processes.pause(N1)?;
        let listens = processes.listens(N1)?;
        let killed = processes.kill(N1)?;
        if listens {
            return Err(Failure::Seen("a `sleep` was seen to listen".to_owned()));
        }
        Ok(format!(
            "gone after {} µs, not listening yet",
            killed.gone_after_us
        ))
    };
    told(attempt())
}

pub(super) fn slow_cpu(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let processes = started(switch, "sh", &["-c", "while :; do :; done"])?;
        processes.slow(N1, 20)?;
        let seen = || processes.slowed(N1).is_some_and(|so_far| so_far.stops >= 4);
        let seen = within_a_second(seen);
        let slowed = processes.hasten(N1)?;
        let _ = processes.kill(N1)?;
        if !seen {
            return Err(Failure::Seen("it was not seen to stop and go".to_owned()));
        }
        let ms = |us: u64| us / 1000;
        let (had, of) = (ms(slowed.cpu_us), ms(slowed.lasted_us));
        Ok(format!(
            "{} stops, {had} of {of} ms of processor time",
            slowed.stops
        ))
    };
    told(attempt())
}

pub(super) fn memory(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        // Twice as much each time: refused within a moment, or never.
        let processes = started(switch, "sh", &["-c", "a=x; while :; do a=$a$a; done"])?;
        let _ = processes.pause(N1)?;
        let limited = processes.limit_memory(N1, 8 << 20)?;
        processes.resume(N1)?;
        let died = || matches!(processes.state(N1), State::Died(_));
        if !within_a_second(died) {
            let _ = processes.kill(N1)?;
            return Err(Failure::Seen(
                "it got more memory than it was allowed".to_owned(),
            ));
        }
        processes.start(N1)?;
        thread::yield_now();
        let _ = processes.kill(N1)?;
        let kib = limited.limit >> 10;
        Ok(format!("refused above {kib} KiB of data, and ended by it"))
    };
    told(attempt())
}
