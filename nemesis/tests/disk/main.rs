//! Disks of ours as programs find them: through the kernel, with the calls that databases use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unsafe_code,
    reason = "mapping a file has no safe wrapper that writes to it"
)]

mod durable;
mod filesystem;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, OpenOptionsExt, symlink},
    },
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use durable::fsync_and_what_is_made_of_it_make_bytes_durable_and_nothing_else;
use filesystem::a_disk_is_a_file_system_like_others;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, OFlag, fallocate};
use ordeal_nemesis::{
    Ailment, Damage, Keep, Node,
    disk::{Directories, DiskError, Disks, FuseDisks},
    sandbox::Sandbox,
};
use tempfile::TempDir;

fn main() -> ExitCode {
    support::main(&cases![
        OnDisks a_disk_is_a_file_system_like_others,
        OnDisks files_can_be_mapped_locked_preallocated_and_read_directly,
        OnDisks exactly_the_unsynced_bytes_are_gone,
        OnDisks fsync_and_what_is_made_of_it_make_bytes_durable_and_nothing_else,
        OnDisks a_rename_survives_once_it_is_synced,
        OnDisks a_strict_disk_forgets_names,
        OnDisks what_survives_in_part_is_drawn_from_the_seed,
        OnDisks a_file_that_was_open_before_the_power_loss_is_dead,
        OnDisks reads_fail_until_healed,
        OnDisks writes_fail_until_healed,
        OnDisks a_failed_fsync_loses_what_it_was_to_write,
        OnDisks a_full_disk_takes_no_more_until_healed,
        OnDisks fsync_is_slower_until_healed,
        OnDisks a_lying_fsync_keeps_nothing,
        OnDisks a_bit_flips_and_flips_back,
        OnDisks a_file_is_cut_and_made_whole,
        OnDisks an_older_copy_is_restored,
        OnDisks a_wiped_disk_is_empty,
        OnDisks without_fuse_the_error_says_what_to_do,
        OnDisks an_unloaded_disk_leaves_its_files,
        Outside the_mount_is_the_sandboxes_own,
        OnDisks mounts_and_waits,
    ])
}

const N1: Node = Node(1);

struct Rig {
    disks: FuseDisks,
    path: PathBuf,
    _folder: TempDir,
}

fn rig(inside: &Sandbox) -> Rig {
    rig_with(inside, Directories::Journalled)
}

fn rig_with(inside: &Sandbox, directories: Directories) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    fs::create_dir(&path).unwrap();
    let paths = BTreeMap::from([(N1, path.clone())]);
    Rig {
        disks: FuseDisks::mount(inside, paths, directories).unwrap(),
        path,
        _folder: folder,
    }
}

impl Rig {
    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn synced(&self, name: &str, bytes: &[u8]) -> File {
        let mut file = File::create(self.at(name)).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        file
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn errno(result: io::Result<impl Sized>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

// ---------------------------------------------------------------- a file system

fn files_can_be_mapped_locked_preallocated_and_read_directly(inside: &Sandbox) {
    let rig = rig(inside);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(rig.at("db"))
        .unwrap();
    fallocate(&file, FallocateFlags::empty(), 0, 64 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 64 << 20);
    // SAFETY: a fresh mapping of 8 KiB of a longer file, unmapped only at the end of the process.
    let map = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.as_raw_fd();
        let map = libc::mmap(
            std::ptr::null_mut(),
            8192,
            protection,
            libc::MAP_SHARED,
            fd,
            0,
        );
        assert_ne!(map, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        std::slice::from_raw_parts_mut(map.cast::<u8>(), 8192)
    };
    file.write_all_at(b"written", 100).unwrap();
    assert_eq!(&map[100..107], b"written");
    map[5000] = 42;
    file.sync_all().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5000).unwrap();
    assert_eq!(byte, [42]);
    // SAFETY: exactly the mapping from above, and nobody uses it any more.
    assert_eq!(unsafe { libc::munmap(map.as_mut_ptr().cast(), 8192) }, 0);

    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let other = File::open(rig.at("db")).unwrap();
    let refused = Flock::lock(other, FlockArg::LockExclusiveNonblock);
    assert_eq!(refused.unwrap_err().1, nix::errno::Errno::EWOULDBLOCK);

    let direct = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(rig.at("db"))
        .unwrap();
    let mut buffer = vec![0; 3 * 4096];
    let from = buffer.as_ptr().align_offset(4096);
    let read = direct.read_at(&mut buffer[from..from + 8192], 0).unwrap();
    assert_eq!((read, buffer[from + 5000]), (8192, 42));
    drop(lock);
    drop(direct);
    // What was mapped and synced is durable like anything else.
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(fs::read(rig.at("db")).unwrap()[5000], 42);
}

// ---------------------------------------------------------------- power

fn exactly_the_unsynced_bytes_are_gone(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"synced");
    file.write_all(b" unsynced").unwrap();
    fs::write(rig.at("new"), "never synced").unwrap();
    drop(file);
    let lost = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(rig.names(), ["log"]);
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"synced");
    assert_eq!((lost.files, lost.bytes, lost.names), (2, 9 + 12, 1));
    let lost = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!((lost.files, lost.bytes, lost.names), (0, 0, 0));
}

fn a_rename_survives_once_it_is_synced(inside: &Sandbox) {
    let rig = rig(inside);
    rig.synced("old", b"old");
    rig.synced("new", b"new");
    fs::rename(rig.at("new"), rig.at("old")).unwrap();
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(rig.names(), ["new", "old"]);
    assert_eq!(fs::read(rig.at("old")).unwrap(), b"old");
    fs::rename(rig.at("new"), rig.at("old")).unwrap();
    File::open(&rig.path).unwrap().sync_all().unwrap();
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(rig.names(), ["old"]);
    assert_eq!(fs::read(rig.at("old")).unwrap(), b"new");
}

fn a_strict_disk_forgets_names(inside: &Sandbox) {
    let rig = rig_with(inside, Directories::Strict);
    rig.synced("lost", b"bytes");
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(rig.names(), [""; 0]);
    rig.synced("kept", b"bytes");
    File::open(&rig.path).unwrap().sync_all().unwrap();
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(rig.names(), ["kept"]);
}

fn what_survives_in_part_is_drawn_from_the_seed(inside: &Sandbox) {
    let rig = rig(inside);
    // In memory before they are written: a write from pages that are not may reach us in two.
    let [old, z, y] = [b'.', b'Z', b'Y'].map(|byte| vec![byte; 4096]);
    // Each sector as one letter: what it holds throughout.
    let tear = |seed, keep| {
        let file = rig.synced("log", &[&old[..], &old].concat());
        file.write_all_at(&z, 0).unwrap();
        file.write_all_at(&y, 4096).unwrap();
        drop(file);
        let _ = rig.disks.lose_power(N1, keep, seed).unwrap();
        let read = fs::read(rig.at("log")).unwrap();
        assert_eq!(read.len(), 8192);
        let letter = |sector: &[u8]| {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "written as a whole"
            );
            char::from(sector[0])
        };
        read.chunks(512).map(letter).collect::<String>()
    };
    let all = |keep| (0..8).map(|seed| tear(seed, keep)).collect::<Vec<_>>();
    let torn = all(Keep::Torn);
    assert_eq!(torn, all(Keep::Torn));
    let is_torn = |letters: &String| letters[..8].contains('.') && letters[..8].contains('Z');
    assert!(
        torn.iter().any(is_torn),
        "in eight losses one write is torn: {torn:?}"
    );
    let some = all(Keep::Some);
    assert!(!some.iter().any(is_torn), "writes survive whole: {some:?}");
    assert!(
        some.iter().any(|letters| letters.starts_with('Z')),
        "{some:?}"
    );
    assert!(
        some.iter().any(|letters| letters.starts_with('.')),
        "{some:?}"
    );
}

fn a_file_that_was_open_before_the_power_loss_is_dead(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"synced");
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(errno(file.write_all(b"late")), Some(libc::EIO));
    assert_eq!(errno(file.sync_all()), Some(libc::EIO));
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"synced");
}

// ---------------------------------------------------------------- ailments

/// Installs it, lets `during` meet it, heals it; returns how many requests met it.
fn while_ill(rig: &Rig, ailment: Ailment, during: impl FnOnce()) -> u64 {
    let id = rig.disks.install(N1, ailment).unwrap();
    assert_eq!(rig.disks.met(id).unwrap(), 0);
    during();
    let met = rig.disks.met(id).unwrap();
    assert_eq!(rig.disks.heal(id).unwrap(), met);
    assert_eq!(rig.disks.ailments(), []);
    let twice = rig.disks.heal(id).unwrap_err();
    assert!(matches!(twice, DiskError::NoSuchAilment(_)));
    met
}

fn reads_fail_until_healed(inside: &Sandbox) {
    let rig = rig(inside);
    let _open = rig.synced("log", b"bytes");
    assert_eq!(
        fs::read(rig.at("log")).unwrap(),
        b"bytes",
        "now in the kernel's cache"
    );
    let met = while_ill(&rig, Ailment::ReadError, || {
        assert_eq!(errno(fs::read(rig.at("log"))), Some(libc::EIO));
        fs::write(rig.at("other"), "can be written").unwrap();
    });
    assert!(met > 0);
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"bytes");
}

fn writes_fail_until_healed(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"bytes");
    let met = while_ill(&rig, Ailment::WriteError, || {
        assert_eq!(errno(file.write_all(b"more")), Some(libc::EIO));
    });
    assert!(met > 0);
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"bytes");
    file.write_all(b" more").unwrap();
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"bytes more");
}

fn a_failed_fsync_loses_what_it_was_to_write(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"synced");
    let met = while_ill(&rig, Ailment::FsyncError, || {
        file.write_all(b" lost").unwrap();
        assert_eq!(errno(file.sync_data()), Some(libc::EIO));
    });
    assert_eq!(met, 1);
    assert_eq!(
        fs::read(rig.at("log")).unwrap(),
        b"synced lost",
        "in the cache as long as it runs"
    );
    file.write_all(b" later").unwrap();
    file.sync_all().unwrap();
    drop(file);
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(
        fs::read(rig.at("log")).unwrap(),
        b"synced\0\0\0\0\0 later",
        "exactly what the failed fsync was to write is gone"
    );
}

fn a_full_disk_takes_no_more_until_healed(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"bytes");
    let met = while_ill(&rig, Ailment::Full, || {
        assert_eq!(errno(file.write_all(b"more")), Some(libc::ENOSPC));
        assert_eq!(errno(fs::create_dir(rig.at("d"))), Some(libc::ENOSPC));
        let grown = fallocate(&file, FallocateFlags::empty(), 0, 9999);
        assert_eq!(grown.unwrap_err(), nix::errno::Errno::ENOSPC);
        file.write_all_at(b"BYTES", 0).unwrap();
    });
    assert_eq!(met, 3);
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b" more").unwrap();
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"BYTES more");
}

fn fsync_is_slower_until_healed(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"bytes");
    let slow = Ailment::SlowFsync(Duration::from_millis(50));
    let met = while_ill(&rig, slow, || {
        for _ in 0..3 {
            file.write_all(b"x").unwrap();
            let began = Instant::now();
            file.sync_all().unwrap();
            assert!(began.elapsed() >= Duration::from_millis(50));
        }
    });
    assert_eq!(met, 3);
    // What still waits when it heals goes out at once.
    let id = rig
        .disks
        .install(N1, Ailment::SlowFsync(Duration::from_secs(2)))
        .unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| file.sync_all().unwrap());
        support::eventually("it waits", || rig.disks.met(id).unwrap() == 1);
        rig.disks.heal(id).unwrap();
        waits.join().unwrap();
    });
    assert!(began.elapsed() < Duration::from_millis(1500));
}

fn a_lying_fsync_keeps_nothing(inside: &Sandbox) {
    let rig = rig(inside);
    let mut file = rig.synced("log", b"synced");
    let met = while_ill(&rig, Ailment::LyingFsync, || {
        file.write_all(b" lied").unwrap();
        file.sync_all().unwrap();
    });
    assert_eq!(met, 1);
    drop(file);
    let lost = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"synced");
    assert_eq!(lost.bytes, 5);
    let mut file = OpenOptions::new().append(true).open(rig.at("log")).unwrap();
    file.write_all(b" honest").unwrap();
    file.sync_all().unwrap();
    let _ = rig.disks.lose_power(N1, Keep::Nothing, 0).unwrap();
    assert_eq!(fs::read(rig.at("log")).unwrap(), b"synced honest");
}

// ---------------------------------------------------------------- damage

fn bits(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| byte.count_ones()).sum()
}

fn a_bit_flips_and_flips_back(inside: &Sandbox) {
    let rig = rig(inside);
    let empty = rig.disks.damage(N1, Damage::BitFlip(1), 0).unwrap_err();
    assert_eq!(
        empty.to_string(),
        "there is nothing on the disk of n1 for bit-flip 1"
    );
    drop(rig.synced("a", &[0; 5000]));
    fs::write(rig.at("b"), [0; 5000]).unwrap();
    let damaged = rig.disks.damage(N1, Damage::BitFlip(3), 7).unwrap();
    let read = || ["a", "b"].map(|name| fs::read(rig.at(name)).unwrap());
    let flipped = read();
    assert_eq!(bits(&flipped[0]) + bits(&flipped[1]), 3);
    assert_eq!(damaged.bytes, 3);
    for (name, bytes) in ["a", "b"].iter().zip(&flipped) {
        assert_eq!(damaged.files.contains(*name), bits(bytes) > 0);
    }
    // One of them is written over: that one stays as it is.
    let over = flipped.iter().position(|bytes| bits(bytes) > 0).unwrap();
    let at = flipped[over].iter().position(|byte| *byte != 0).unwrap();
    let file = OpenOptions::new()
        .write(true)
        .open(rig.at(["a", "b"][over]))
        .unwrap();
    file.write_all_at(&[255], at as u64).unwrap();
    drop(file);
    rig.disks.repair(N1).unwrap();
    let left = read();
    assert_eq!((bits(&left[0]) + bits(&left[1]), left[over][at]), (8, 255));
    // Of more than there are, all: none is hit twice, and whole again.
    fs::remove_file(rig.at("a")).unwrap();
    fs::write(rig.at("b"), [0; 1000]).unwrap();
    let damaged = rig.disks.damage(N1, Damage::BitFlip(u16::MAX), 7).unwrap();
    assert_eq!(damaged.bytes, 1000);
    assert_eq!(fs::read(rig.at("b")).unwrap(), [255; 1000]);
    rig.disks.repair(N1).unwrap();
    assert_eq!(fs::read(rig.at("b")).unwrap(), [0; 1000]);
}

fn a_file_is_cut_and_made_whole(inside: &Sandbox) {
    let rig = rig(inside);
    let whole: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    drop(rig.synced("a", &whole));
    let damaged = rig.disks.damage(N1, Damage::Truncate, 7).unwrap();
    let read = fs::read(rig.at("a")).unwrap();
    assert_eq!(read.len() as u64, 10_000 - damaged.bytes);
    assert!((1..=4096).contains(&damaged.bytes));
    assert_eq!(read, whole[..read.len()]);
    rig.disks.repair(N1).unwrap();
    assert_eq!(fs::read(rig.at("a")).unwrap(), whole);
}

fn an_older_copy_is_restored(inside: &Sandbox) {
    let rig = rig(inside);
    drop(rig.synced("a", b"older"));
    rig.disks.remember();
    fs::write(rig.at("a"), "newer").unwrap();
    fs::write(rig.at("b"), "new").unwrap();
    let damaged = rig.disks.damage(N1, Damage::Restore, 0).unwrap();
    assert_eq!(rig.names(), ["a"]);
    assert_eq!(fs::read(rig.at("a")).unwrap(), b"older");
    assert_eq!(damaged.files, ["a".to_owned(), "b".to_owned()].into());
    rig.disks.repair(N1).unwrap();
    assert_eq!(fs::read(rig.at("a")).unwrap(), b"newer");
    assert_eq!(fs::read(rig.at("b")).unwrap(), b"new");
}

fn a_wiped_disk_is_empty(inside: &Sandbox) {
    let rig = rig(inside);
    fs::create_dir(rig.at("d")).unwrap();
    drop(rig.synced("d/a", b"bytes"));
    let damaged = rig.disks.damage(N1, Damage::Wipe, 0).unwrap();
    assert_eq!((rig.names(), damaged.bytes), (vec![], 5));
    fs::create_dir(rig.at("d")).unwrap();
    drop(rig.synced("d/b", b"fresh"));
    assert_eq!(fs::read(rig.at("d/b")).unwrap(), b"fresh");
}

// ---------------------------------------------------------------- mounts

fn without_fuse_the_error_says_what_to_do(inside: &Sandbox) {
    use nix::mount::{MsFlags, mount};
    let none = None::<&str>;
    mount(Some("/dev/null"), "/dev/fuse", none, MsFlags::MS_BIND, none).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let paths = BTreeMap::from([(N1, folder.path().to_owned())]);
    // A device that opens and is none of FUSE's: the kernel says so at the mount.
    let error = FuseDisks::mount(inside, paths.clone(), Directories::Journalled);
    let text = error.err().unwrap().to_string();
    assert!(text.contains(": mount: "), "{text}");
    let flags = MsFlags::empty();
    mount(Some("tmpfs"), "/dev", Some("tmpfs"), flags, none).unwrap();
    let error = FuseDisks::mount(inside, paths, Directories::Journalled);
    assert_eq!(
        error.err().unwrap().to_string(),
        "cannot open /dev/fuse: No such file or directory (os error 2); load the module (`sudo \
         modprobe fuse`), or start the container with `--device /dev/fuse`"
    );
}

fn an_unloaded_disk_leaves_its_files(inside: &Sandbox) {
    let rig = rig(inside);
    fs::create_dir(rig.at("d")).unwrap();
    drop(rig.synced("d/a", b"synced"));
    fs::write(rig.at("b"), "not synced").unwrap();
    symlink("b", rig.at("s")).unwrap();
    rig.disks.unload().unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("ordeal"), "{mounts}");
    assert_eq!(rig.names(), ["b", "d", "s"]);
    assert_eq!(fs::read(rig.at("d/a")).unwrap(), b"synced");
    assert_eq!(fs::read(rig.at("s")).unwrap(), b"not synced");
}

/// Shows where it is mounted, and stays.
fn mounts_and_waits(inside: &Sandbox) {
    if std::env::var_os("ORDEAL_TEST_WAITS").is_none() {
        // As a test of its own it has nothing to say.
        return;
    }
    let folder = PathBuf::from(std::env::var("ORDEAL_TEST_FOLDER").unwrap());
    let paths = BTreeMap::from([(N1, folder.clone())]);
    let _disks = FuseDisks::mount(inside, paths, Directories::Journalled).unwrap();
    fs::write(folder.join("inside"), "seen by the sandbox only").unwrap();
    println!("mounted");
    // Not from this process: a thread of the one that serves a disk waits for an answer that nobody
    // gives any more, when both are killed, and nothing ends it.
    let busy = "while :; do echo busy >busy && sync busy; done";
    let mut writer = Command::new("sh");
    writer.args(["-c", busy]).current_dir(&folder);
    let _ = writer.status().unwrap();
}

fn the_mount_is_the_sandboxes_own() {
    let folder = tempfile::tempdir().unwrap();
    let before = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut child = support::case("mounts_and_waits")
        .env("ORDEAL_TEST_WAITS", "1")
        .env("ORDEAL_TEST_FOLDER", folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 8];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut said)
        .unwrap();
    if &said == b"lacking:" {
        let mut why = String::new();
        let mut rest = child.stdout.take().unwrap();
        rest.read_to_string(&mut why).unwrap();
        child.wait().unwrap();
        return support::lacks("fuse", why.trim());
    }
    assert_eq!(&said, b"mounted\n");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "the host sees nothing of it"
    );
    assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), before);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
