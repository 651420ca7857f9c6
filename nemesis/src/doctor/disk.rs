//! The probes of disks: a file is written, and what becomes of it is read back.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    disk::{Directories, DiskError, Disks, FuseDisks},
    fault::{Ailment, Damage, Keep},
    network::{Network, NetworkError, Switch},
    node::Node,
    sandbox::Sandbox,
};

const N1: Node = Node(1);

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("a file on the disk could not be used: {0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Seen(String),
}

/// A disk over some directory that every system has: nobody but this sandbox sees it there.
fn disk(inside: &Sandbox) -> Result<(FuseDisks, PathBuf), Failure> {
    let places = ["/mnt", "/media", "/srv", "/tmp"].map(Path::new);
    let place = places.into_iter().find(|path| path.is_dir());
    let place = place.ok_or_else(|| Failure::Seen("there is no /mnt and no /tmp".to_owned()))?;
    let paths = BTreeMap::from([(N1, place.to_owned())]);
    let disks = FuseDisks::mount(inside, paths, Directories::Journalled)?;
    Ok((disks, place.join("probe")))
}

pub(super) fn power_loss(inside: &Sandbox, switch: &Switch) -> Result<String, String> {
    let attempt = || {
        let (disks, path) = disk(inside)?;
        let mut file = File::create(&path)?;
        file.write_all(b"synced")?;
        file.sync_all()?;
        file.write_all(b" unsynced")?;
        drop(file);
        let lost = disks.lose_power(N1, Keep::Nothing, 0)?;
        switch.renew(N1)?;
        match fs::read_to_string(&path)?.as_str() {
            "synced" => Ok(format!("lost {lost}")),
            other => Err(Failure::Seen(format!("the file held `{other}` afterwards"))),
        }
    };
    attempt().map_err(|error: Failure| error.to_string())
}

pub(super) fn ail(inside: &Sandbox, _: &Switch) -> Result<String, String> {
    let attempt = || {
        let (disks, path) = disk(inside)?;
        let mut file = File::create(&path)?;
        file.write_all(b"bytes")?;
        let id = disks.install(N1, Ailment::FsyncError)?;
        let during = file.sync_all();
        disks.heal(id)?;
        file.write_all(b"bytes")?;
        file.sync_all()?;
        let id = disks.install(N1, Ailment::FullAfter(1))?;
        let fits = file.write_all(&[0; 1024]);
        let beyond = file.write_all(&[0]);
        disks.heal(id)?;
        fits?;
        if !beyond.is_err_and(|error| error.raw_os_error() == Some(libc::ENOSPC)) {
            let why = "more than 1024 bytes had room in 1024".to_owned();
            return Err(Failure::Seen(why));
        }
        match during {
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(
                "failed with EIO, and not after the heal; then ENOSPC after 1024 bytes".to_owned(),
            ),
            other => Err(Failure::Seen(format!("an fsync was to fail: {other:?}"))),
        }
    };
    attempt().map_err(|error: Failure| error.to_string())
}

pub(super) fn damage(inside: &Sandbox, _: &Switch) -> Result<String, String> {
    let attempt = || {
        let (disks, path) = disk(inside)?;
        fs::write(&path, [0; 64])?;
        let _ = disks.damage(N1, Damage::BitFlip(1), 0)?;
        let flipped: u32 = fs::read(&path)?.iter().map(|byte| byte.count_ones()).sum();
        disks.repair(N1)?;
        let left: u32 = fs::read(&path)?.iter().map(|byte| byte.count_ones()).sum();
        match (flipped, left) {
            (1, 0) => Ok("one bit, and none once it was undone".to_owned()),
            _ => Err(Failure::Seen(format!(
                "{flipped} bits flipped, {left} stayed so"
            ))),
        }
    };
    attempt().map_err(|error: Failure| error.to_string())
}
