//! What makes disks ill here, and the probe of calls that wait for an answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Row, examine, within_a_second};
use crate::{
    disk::{DiskBackend, DiskChoice, DiskWanted, Disks, SeccompDisks},
    fault::{Ailment, FaultClass},
    network::{Switch, SwitchOptions},
    node::Node,
    process::{Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
    schedule::Schedule,
};

const N1: Node = Node(1);

pub(super) const MECHANISM: &str = "calls that wait for an answer, by a seccomp filter";
const PROBE: &str = "`sync` a directory, see it fail with EIO, heal, `sync` it";
const WANTS: &str = "a filter of calls cannot take back what is on a disk: it takes FUSE \
                     (`--disk fuse`)";

/// Chooses what makes disks ill for a schedule, and tries all that the schedule needs of disks with
/// it. Where a row says no, the schedule cannot be run here as it was asked for. `None`: the
/// schedule leaves disks alone.
pub fn choose_disk(
    inside: &Sandbox,
    wanted: DiskWanted,
    schedule: &Schedule,
) -> (Option<DiskChoice>, Vec<Row>) {
    let mut classes = schedule.classes();
    classes.retain(|class| class.needs_disk());
    let choice = |backend, why: &str| {
        let why = why.to_owned();
        Some(DiskChoice { backend, why })
    };
    if classes.is_empty() {
        return (None, Vec::new());
    }
    let takes_fuse = schedule.ailments().into_iter().any(Ailment::takes_fuse);
    if wanted == DiskWanted::Seccomp {
        let rows = classes
            .into_iter()
            .map(|class| of_class(inside, class, takes_fuse));
        return (choice(DiskBackend::Seccomp, "as asked for"), rows.collect());
    }
    let mut rows = examine(inside, &classes);
    let missing = rows.iter().find(|row| !row.is_available());
    let why = match (wanted, missing) {
        (DiskWanted::Fuse, _) => return (choice(DiskBackend::Fuse, "as asked for"), rows),
        (_, None) => {
            let why = "it can do all that is planned, as was tried here";
            return (choice(DiskBackend::Fuse, why), rows);
        }
        (_, Some(row)) => format!("there is no FUSE here: {}", row.summary()),
    };
    if classes == BTreeSet::from([FaultClass::Disk]) && !takes_fuse {
        let row = examine_seccomp(inside);
        if row.is_available() {
            return (choice(DiskBackend::Seccomp, &why), vec![row]);
        }
        rows.push(row);
    }
    (choice(DiskBackend::Fuse, "nothing else can do it"), rows)
}

fn of_class(inside: &Sandbox, class: FaultClass, takes_fuse: bool) -> Row {
    if class == FaultClass::Disk && !takes_fuse {
        return examine_seccomp(inside);
    }
    Row {
        fault: class,
        result: Err(WANTS.to_owned()),
        ..row(Ok(String::new()))
    }
}

pub(super) fn examine_seccomp(inside: &Sandbox) -> Row {
    let network = Switch::create(inside, 1, &SwitchOptions::default());
    row(match network {
        Ok(switch) => attempt(&switch),
        Err(error) => Err(error.to_string()),
    })
}

fn row(result: Result<String, String>) -> Row {
    Row {
        fault: FaultClass::Disk,
        backend: None,
        effects: Vec::new(),
        mechanism: MECHANISM,
        probe: PROBE.to_owned(),
        result,
    }
}

fn attempt(switch: &Switch) -> Result<String, String> {
    let places = ["/mnt", "/media", "/srv", "/tmp"].map(Path::new);
    let place = places.into_iter().find(|path| path.is_dir());
    let place: PathBuf = place.ok_or("there is no /mnt and no /tmp")?.to_owned();
    let paths = BTreeMap::from([(N1, place.clone())]);
    let ailments = BTreeSet::from([Ailment::FsyncError]);
    let disks = SeccompDisks::new(paths, &ailments).map_err(|error| error.to_string())?;
    let disks = Arc::new(disks);
    let command = NodeCommand {
        program: "sync".into(),
        args: vec![place.into()],
        env: Vec::new(),
        cwd: "/".into(),
        log: "/dev/null".into(),
    };
    let filter = Arc::clone(&disks);
    let processes = Processes::prepared(
        switch,
        BTreeMap::from([(N1, command)]),
        |_| {},
        Some(Arc::new(move |node, command| filter.filter(node, command))),
    );
    let ends_with = || -> Result<String, String> {
        processes.start(N1).map_err(|error| error.to_string())?;
        let ended = || matches!(processes.state(N1), State::Died(_));
        within_a_second(ended);
        match processes.state(N1) {
            State::Died(death) => Ok(death.status),
            _ => Err("`sync` did not end within 1 s".to_owned()),
        }
    };
    let install = disks.install(N1, Ailment::FsyncError);
    let id = install.map_err(|error| error.to_string())?;
    let during = ends_with();
    let met = disks.heal(id).map_err(|error| error.to_string())?;
    let (during, after) = (during?, ends_with()?);
    match (met, during.as_str(), after.as_str()) {
        (1.., "exit status: 1", "exit status: 0") => {
            Ok("failed with EIO, and not after the heal".to_owned())
        }
        _ => Err(format!(
            "{met} calls met it; `sync`: {during}, after the heal {after}"
        )),
    }
}
