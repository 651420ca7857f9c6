//! What is done to disks, as a program sees it that reads, writes and fsyncs.

use std::time::{Duration, Instant};

use nix::libc::{EIO, ENOENT, ENOSPC};
use ordeal_nemesis::{Proof, sandbox::Sandbox};

use crate::{
    Measured,
    backend::Auto,
    measured_here,
    probe::{Asking, SECTOR},
    rig::{N1, N2, Rig},
};

pub(crate) fn rows() -> Vec<Measured> {
    measured_here! {
        "`disk n1: read-error`": "reading fails with EIO, also what was just written; writing does \
                                  not; the other node's disk is well",
            "FUSE": disk::read_error;
        "`disk n1: write-error`": "writing fails with EIO; reading does not",
            "FUSE": disk::write_error;
        "`disk n1: fsync-error`": "fsync fails with EIO; what it was to write is gone after a \
                                   later fsync and a power loss",
            "FUSE": disk::fsync_error;
        "`disk n1: full`": "what needs room fails with ENOSPC; writing in place does not",
            "FUSE": disk::full;
        "`disk n1: full after 1kb`": "1024 bytes more are taken, also of a write that is longer; \
                                      then ENOSPC, until some are deleted",
            "FUSE": disk::full_after;
        "`disk n1: slow-fsync 50ms`": "each of ten fsyncs takes 50 ms or longer; afterwards one of \
                                       ten less than 25 ms",
            "FUSE": disk::slow_fsync;
        "`disk n1: lying-fsync`": "fsync succeeds; what it said to have written is gone after a \
                                   power loss",
            "FUSE": disk::lying_fsync;
        "`disk n1: lying-write`": "writing and fsync succeed and are read back; gone after a power \
                                   loss, also with an fsync after the heal",
            "FUSE": disk::lying_write;
        "`disk n1: read-flip`": "one bit of each read differs; afterwards none",
            "FUSE": disk::read_flip;
        "`damage n1: bit-flip 3`": "exactly three bits of all files differ",
            "FUSE": disk::bit_flip;
        "`damage n1: truncate`": "one file is shorter by 1 to 4096 bytes, and the same up to there",
            "FUSE": disk::truncate;
        "`damage n1: restore`": "files are as they were when faults began",
            "FUSE": disk::restore;
        "`damage n1: wipe`": "the disk is empty, and can be written",
            "FUSE": disk::wipe;
    }
}

/// Probes with disks; n1's holds a file that was synced.
fn rig(sandbox: &Sandbox) -> Option<(Rig, Asking)> {
    let rig = Rig::with_disks::<Auto>(sandbox)?;
    let mut probe = rig.dial(N1);
    synced(&mut probe, "log", "synced");
    Some((rig, probe))
}

fn synced(probe: &mut Asking, name: &str, text: &str) {
    probe.must(&format!("append {name} {text}"));
    probe.must(&format!("sync {name}"));
}

/// n1 can do all that one does with a disk, and what it syncs survives a power loss.
fn assert_well(rig: &Rig) {
    let mut probe = rig.dial(N1);
    probe.must("make directory");
    synced(&mut probe, "well", "synced");
    let _ = rig.during("power-loss n1", || {});
    let mut probe = rig.dial(N1);
    assert_eq!(probe.text("well"), "synced");
}

pub(crate) fn read_error(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let _ = rig.during("disk n1: read-error", || {
        assert_eq!(probe.errno("read log"), EIO);
        probe.must("append log -more");
        assert_eq!(probe.errno("read log"), EIO);
        synced(&mut rig.dial(N2), "log", "well");
        assert_eq!(rig.dial(N2).text("log"), "well");
    });
    assert_eq!(probe.text("log"), "synced-more");
    assert_well(&rig);
}

pub(crate) fn write_error(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let _ = rig.during("disk n1: write-error", || {
        assert_eq!(probe.errno("append log -more"), EIO);
        assert_eq!(probe.text("log"), "synced");
    });
    assert_eq!(probe.text("log"), "synced");
    probe.must("append log -later");
    assert_eq!(probe.text("log"), "synced-later");
    assert_well(&rig);
}

pub(crate) fn fsync_error(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let _ = rig.during("disk n1: fsync-error", || {
        probe.must("append log -lost");
        assert_eq!(probe.errno("sync log"), EIO);
    });
    synced(&mut probe, "log", "-later");
    let _ = rig.during("power-loss n1", || {});
    assert_eq!(rig.dial(N1).text("log"), "synced\0\0\0\0\0-later");
    assert_well(&rig);
}

pub(crate) fn full(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    probe.must("over block 2 a");
    let _ = rig.during("disk n1: full", || {
        for question in ["append log -more", "append new file", "make other"] {
            assert_eq!(probe.errno(question), ENOSPC, "{question}");
        }
        probe.must("over block 2 b");
        probe.must("sync block");
    });
    assert_eq!(probe.bytes("block"), vec![b'b'; 2 * SECTOR]);
    assert_eq!(probe.text("log"), "synced");
    probe.must("append log -more");
    assert_well(&rig);
}

pub(crate) fn full_after(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let proof = rig.during("disk n1: full after 1kb", || {
        probe.must(&format!("append log {}", "-".repeat(1000)));
        assert_eq!(
            probe.errno(&format!("append log {}", "+".repeat(100))),
            ENOSPC
        );
        let expected = ["synced", &"-".repeat(1000), &"+".repeat(24)].concat();
        assert_eq!(probe.text("log"), expected);
        for question in ["append log x", "append new file", "make other"] {
            assert_eq!(probe.errno(question), ENOSPC, "{question}");
        }
    });
    let Proof::DiskMet { nodes } = &proof else {
        panic!("{proof}")
    };
    // The one that was cut short, the rest of it, and the three after it.
    assert_eq!(nodes[0].requests, 5, "{proof}");
    probe.must("append log x");
    assert_well(&rig);
}

pub(crate) fn slow_fsync(sandbox: &Sandbox) {
    const SLOWER: Duration = Duration::from_millis(50);
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let mut fastest_of_ten = || {
        let sync = |_| {
            probe.must("append log x");
            let began = Instant::now();
            probe.must("sync log");
            began.elapsed()
        };
        (0..10).map(sync).min().unwrap()
    };
    let _ = rig.during("disk n1: slow-fsync 50ms", || {
        assert!(fastest_of_ten() >= SLOWER);
    });
    let after = fastest_of_ten();
    assert!(after < SLOWER / 2, "{after:?}");
    assert_well(&rig);
}

pub(crate) fn lying_fsync(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let _ = rig.during("disk n1: lying-fsync", || {
        synced(&mut probe, "log", "-lied");
    });
    assert_eq!(probe.text("log"), "synced-lied");
    let _ = rig.during("power-loss n1", || {});
    assert_eq!(rig.dial(N1).text("log"), "synced");
    assert_well(&rig);
}

pub(crate) fn lying_write(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let _ = rig.during("disk n1: lying-write", || {
        synced(&mut probe, "log", "-lied");
    });
    synced(&mut probe, "log", "-later");
    assert_eq!(probe.text("log"), "synced-lied-later");
    let _ = rig.during("power-loss n1", || {});
    assert_eq!(rig.dial(N1).text("log"), "synced\0\0\0\0\0-later");
    assert_well(&rig);
}

pub(crate) fn read_flip(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let right = probe.bytes("log");
    let _ = rig.during("disk n1: read-flip", || {
        let wrong = probe.bytes("log");
        assert_eq!(wrong.len(), right.len());
        let bits = wrong.iter().zip(&right).map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(bits.sum::<u32>(), 1);
        assert_eq!(rig.dial(N2).must("names"), "", "the other node's is well");
    });
    assert_eq!(probe.bytes("log"), right);
    assert_well(&rig);
}

pub(crate) fn bit_flip(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    synced(&mut probe, "other", &"x".repeat(5000));
    let read = |probe: &mut Asking| [probe.bytes("log"), probe.bytes("other")].concat();
    let before = read(&mut probe);
    let mut flipped = Vec::new();
    let _ = rig.during("damage n1: bit-flip 3", || {
        flipped = read(&mut rig.dial_again(N1));
    });
    assert_eq!(flipped.len(), before.len());
    let bits = flipped
        .iter()
        .zip(&before)
        .map(|(a, b)| (a ^ b).count_ones());
    assert_eq!(bits.sum::<u32>(), 3);
    // What heals is the node: bytes that it can live with stay as they are.
    assert_eq!(read(&mut rig.dial(N1)), flipped);
    assert_well(&rig);
}

pub(crate) fn truncate(sandbox: &Sandbox) {
    let Some((rig, mut probe)) = rig(sandbox) else {
        return;
    };
    let whole: String = ('a'..='z').cycle().take(9000).collect();
    synced(&mut probe, "log", &whole);
    let whole = "synced".to_owned() + &whole;
    let _ = rig.during("damage n1: truncate", || {
        let cut = rig.dial_again(N1).text("log");
        assert!(
            (1..=4096).contains(&(whole.len() - cut.len())),
            "{}",
            cut.len()
        );
        assert!(whole.starts_with(&cut));
    });
    assert_well(&rig);
}

pub(crate) fn restore(sandbox: &Sandbox) {
    let Some((rig, probe)) = rig(sandbox) else {
        return;
    };
    drop(probe);
    let newer = || synced(&mut rig.dial(N1), "log", "-newer");
    let _ = rig.during_after("damage n1: restore", &newer, || {
        assert_eq!(rig.dial_again(N1).text("log"), "synced");
    });
    assert_well(&rig);
}

pub(crate) fn wipe(sandbox: &Sandbox) {
    let Some((rig, _)) = rig(sandbox) else {
        return;
    };
    let _ = rig.during("damage n1: wipe", || {
        let mut probe = rig.dial_again(N1);
        assert_eq!(probe.must("names"), "");
        assert_eq!(probe.errno("read log"), ENOENT);
        synced(&mut probe, "log", "fresh");
    });
    assert_eq!(rig.dial(N1).text("log"), "fresh");
    assert_well(&rig);
}
