//! The probe of clocks: a program that nobody prepared tells a wrong time, and then a right one.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use super::within_a_second;
use crate::{
    clock::{Clocks, VdsoClocks, now_ns},
    fault::Skew,
    network::Switch,
    node::Node,
    process::{Fittings, Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};

const N1: Node = Node(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What `date` prints with a clock that is an hour ahead, and with one that is right again.
pub(super) fn an_hour_ahead(_: &Sandbox, switch: &Switch) -> Result<String, String> {
    let log = std::env::temp_dir().join(format!("ordeal-doctor-{}", std::process::id()));
    let told = tell(switch, &log);
    // It is ours alone, and there is nothing in it that anybody wants.
    drop(fs::remove_file(&log));
    told
}

fn tell(switch: &Switch, log: &Path) -> Result<String, String> {
    let clocks = Arc::new(VdsoClocks::new([N1]));
    let command = NodeCommand {
        program: "date".into(),
        args: vec!["+%s".into()],
        env: Vec::new(),
        cwd: "/".into(),
        log: log.to_owned(),
    };
    let commands = BTreeMap::from([(N1, command)]);
    let fittings = Fittings {
        prepare: None,
        clocks: Some(Arc::clone(&clocks)),
    };
    let processes = Processes::fitted(switch, commands, |_| {}, &fittings);
    let hour = Skew::Offset {
        ns: i64::try_from(HOUR.as_nanos()).expect("an hour fits"),
    };
    let mut ahead = Vec::new();
    for skew in [Some(hour), None] {
        let set = clocks.set(N1, skew);
        set.map_err(|error| error.to_string())?;
        processes.start(N1).map_err(|error| error.to_string())?;
        // It ends by itself, which of a node would be a finding.
        if !within_a_second(|| matches!(processes.state(N1), State::Died(_))) {
            return Err("`date` did not end within 1 s".to_owned());
        }
        ahead.push(seconds_ahead(log)?);
    }
    match ahead.as_slice() {
        [first, second] if (3590..=3610).contains(first) && (-10..=10).contains(second) => {
            Ok(format!("{first} s ahead, and {second} s after the heal"))
        }
        _ => Err(format!("`date` was {ahead:?} s ahead, not 3600 and 0")),
    }
}

/// How far the last line is ahead of the time now.
fn seconds_ahead(log: &Path) -> Result<i64, String> {
    let text = fs::read_to_string(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let told: i64 = text
        .lines()
        .last()
        .and_then(|line| line.parse().ok())
        .ok_or_else(|| format!("`date +%s` printed `{text}`"))?;
    Ok(told - now_ns() / 1_000_000_000)
}
