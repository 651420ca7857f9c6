//! What TCP does when a cut is healed: whether this kernel bounds how long it waits.

use std::{fs, time::Duration};

use super::Row;
use crate::{
    fault::FaultClass,
    grudge::Grudge,
    network::{Backend, Network, OldConnection, Switch, SwitchOptions},
    node::Node,
    sandbox::Sandbox,
};

/// Long enough that what was sent into it is sent again at least once.
const CUT_FOR: Duration = Duration::from_millis(300);

/// No attempt is further away after so short a cut.
const RESUMES_WITHIN: Duration = Duration::from_secs(3);

const N1: Node = Node(1);

/// Missing nothing where the kernel cannot: then what it is about is measured.
pub(super) fn examine(inside: &Sandbox) -> Row {
    Row {
        fault: FaultClass::Partition,
        backend: Some(Backend::Switch),
        effects: Vec::new(),
        mechanism: "TCP's back-off after it: net.ipv4.tcp_rto_max_ms, else measured",
        probe: "cut n1 off from n2 for 300 ms, heal, see a connection from before go on".to_owned(),
        result: attempt(inside),
    }
}

fn attempt(inside: &Sandbox) -> Result<String, String> {
    let switch = Switch::create(inside, 2, &SwitchOptions::default());
    let switch = switch.map_err(|error| error.to_string())?;
    let read = || fs::read_to_string("/proc/sys/net/ipv4/tcp_rto_max_ms");
    let reading = switch.namespace(N1).spawn("probe", read);
    let reading = reading.map_err(|error| format!("no thread in n1's namespace: {error}"))?;
    let bound = reading.join().expect("reading does not panic").ok();
    let resumed = resumed(&switch)?.as_millis();
    Ok(match bound.filter(|_| switch.bounds_tcp_backoff()) {
        Some(ms) => format!(
            "bounded to {} ms; the connection went on {resumed} ms after the heal",
            ms.trim()
        ),
        None => format!(
            "the connection went on {resumed} ms after the heal; this kernel does not bound it \
             (Linux 6.15 does): after a long cut it is measured, told in the proof, and recovery \
             counts from there"
        ),
    })
}

fn resumed(switch: &Switch) -> Result<Duration, String> {
    let grudge = Grudge::isolate(N1, 2);
    let old = OldConnection::over(switch, &grudge);
    let mut old = old.ok_or("no connection from n1 to n2 came about")?;
    let cut = switch.cut(&grudge).map_err(|error| error.to_string())?;
    let sent = old.send();
    std::thread::sleep(CUT_FOR);
    let healed = switch.heal(cut).map_err(|error| error.to_string())?;
    sent.map_err(|error| format!("nothing could be sent into the cut: {error}"))?;
    if healed.total() == 0 {
        return Err("what was sent did not meet the cut".to_owned());
    }
    let resumed = old.resumes(RESUMES_WITHIN);
    resumed.ok_or_else(|| format!("the connection did not go on within {RESUMES_WITHIN:?}"))
}
