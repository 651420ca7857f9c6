//! Ill disks by a filter of calls, as a program that writes, syncs and reads meets them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt, symlink},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Ailment, Damage, Keep, Node, Skew,
    clock::{Clocks, VdsoClocks},
    disk::{Disks, SeccompDisks},
    network::{Switch, SwitchOptions},
    process::{Fittings, Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};
use tempfile::TempDir;

use crate::support::{case, eventually};

const N1: Node = Node(1);

// ---------------------------------------------------------------- the program

/// Does what it is told through a pipe, `ORDER FILE`, and says in another one how it went: `0`, or
/// the number of the error, and how many milliseconds it took; `tell` answers with its time.
pub(crate) fn obeys(_: &[String]) {
    let mut orders = String::new();
    loop {
        orders.clear();
        // A file that is opened once more each time: the test writes one order into it.
        let mut pipe = File::open("orders").unwrap();
        pipe.read_to_string(&mut orders).unwrap();
        // The next order must find no reader that is about to go.
        drop(pipe);
        let (order, path) = orders.trim().rsplit_once(' ').unwrap();
        let began = Instant::now();
        let number = match obey(order, Path::new(path)) {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap(),
        };
        let ms = match order {
            "tell" => now_ms(),
            _ => u64::try_from(began.elapsed().as_millis()).unwrap(),
        };
        let answer = format!("{number} {ms}");
        let mut pipe = OpenOptions::new().write(true).open("answers").unwrap();
        pipe.write_all(answer.as_bytes()).unwrap();
    }
}

#[allow(clippy::disallowed_types, reason = "it is asked for the wall clock")]
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

fn obey(order: &str, path: &Path) -> io::Result<()> {
    let opened = |flags: i32| {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
    };
    let mut file = opened(0)?;
    let beside = || File::open("source");
    // Made, and gone again.
    let new = path.with_file_name("new");
    match order {
        "read" => file.read_exact(&mut [0; 4]),
        "pread" => file.read_exact_at(&mut [0; 4], 0),
        "write" => file.write_all(b"over"),
        "pwrite" => file.write_all_at(b"over", 0),
        "grow" => file.write_all_at(b"more", 1 << 16),
        "append" => OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(b"more"),
        "fsync" => file.sync_all(),
        "fdatasync" => file.sync_data(),
        "longer" => file.set_len(1 << 17),
        "longer by name" => Ok(nix::unistd::truncate(path, 1 << 18)?),
        "shorter" => file.set_len(4),
        "copy" => sys::copy(&beside()?, &file, 1 << 19),
        "copy in place" => sys::copy(&beside()?, &file, 0),
        "send" => {
            file.seek(SeekFrom::End(0))?;
            sys::send(&beside()?, &file)
        }
        "send in place" => sys::send(&beside()?, &file),
        "folder" => fs::create_dir(&new).and_then(|()| fs::remove_dir(&new)),
        "file" => File::create_new(&new).and_then(|_| fs::remove_file(&new)),
        "link" => symlink("file", &new).and_then(|()| fs::remove_file(&new)),
        "name" => fs::hard_link(path, &new).and_then(|()| fs::remove_file(&new)),
        "O_DSYNC" => opened(libc::O_DSYNC)?.write_all(b"over"),
        "O_SYNC" => opened(libc::O_SYNC)?.write_all_at(b"over", 0),
        "RWF_DSYNC" => sys::write_and_sync(&file, b"over"),
        "msync" => sys::map_and_sync(&file),
        "syncfs" => sys::sync_all_beside(&file),
        "sync" => {
            nix::unistd::sync();
            Ok(())
        }
        "tell" => Ok(()),
        other => panic!("{other}"),
    }
}

/// Calls that the standard library does not make.
#[allow(unsafe_code, reason = "no safe wrapper makes these calls")]
mod sys {
    use std::{fs::File, io, os::fd::AsRawFd};

    fn known(result: i64) -> io::Result<()> {
        match result {
            ..0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    pub(super) fn send(from: &File, to: &File) -> io::Result<()> {
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        // SAFETY: two open descriptors, and no place in memory.
        known(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), 4) } as i64)
    }

    pub(super) fn copy(from: &File, to: &File, mut at: i64) -> io::Result<()> {
        let (from, to, nowhere) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: two open descriptors, and a place in one of them that is a live local.
        known(unsafe { libc::copy_file_range(from, nowhere, to, &raw mut at, 4, 0) } as i64)
    }

    pub(super) fn write_and_sync(file: &File, bytes: &'static [u8]) -> io::Result<()> {
        let piece = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: one piece of memory that lives as long as the program, and is only read.
        known(
            unsafe { libc::pwritev2(file.as_raw_fd(), &raw const piece, 1, 0, libc::RWF_DSYNC) }
                as i64,
        )
    }

    pub(super) fn sync_all_beside(file: &File) -> io::Result<()> {
        // SAFETY: an open descriptor.
        known(unsafe { libc::syncfs(file.as_raw_fd()) }.into())
    }

    /// Changes the first byte of a file in memory.
    pub(super) fn map_and_sync(file: &File) -> io::Result<()> {
        let (protection, length) = (libc::PROT_READ | libc::PROT_WRITE, 4096);
        let nowhere = std::ptr::null_mut();
        // SAFETY: a fresh mapping of a file that holds its first byte, which nobody else uses, and
        // which is gone when this returns.
        unsafe {
            let fd = file.as_raw_fd();
            let map = libc::mmap(nowhere, length, protection, libc::MAP_SHARED, fd, 0);
            assert_ne!(map, libc::MAP_FAILED);
            map.cast::<u8>().write_volatile(b'o');
            let synced = known(libc::msync(map, length, libc::MS_SYNC).into());
            assert_eq!(libc::munmap(map, length), 0);
            synced
        }
    }
}

struct Rig {
    _switch: Switch,
    processes: Processes,
    disks: Arc<SeccompDisks>,
    folder: TempDir,
}

impl Rig {
    fn start(sandbox: &Sandbox, ailments: &[Ailment]) -> Self {
        Self::fitted(sandbox, ailments, None)
    }

    fn fitted(sandbox: &Sandbox, ailments: &[Ailment], clocks: Option<Arc<VdsoClocks>>) -> Self {
        let switch = Switch::create(sandbox, 1, &SwitchOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for pipe in ["orders", "answers"] {
            let path = folder.path().join(pipe);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        for name in ["data", "beside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for file in ["data/file", "beside/file", "source"] {
            fs::write(folder.path().join(file), "file").unwrap();
        }
        let program = case("obeys");
        let command = NodeCommand {
            program: program.get_program().into(),
            args: program.get_args().map(ToOwned::to_owned).collect(),
            env: Vec::new(),
            cwd: folder.path().to_owned(),
            log: folder.path().join("log"),
        };
        let paths = BTreeMap::from([(N1, folder.path().join("data"))]);
        let ailments: BTreeSet<Ailment> = ailments.iter().copied().collect();
        let disks = Arc::new(SeccompDisks::new(paths, &ailments).unwrap());
        let filter = Arc::clone(&disks);
        let fittings = Fittings {
            prepare: Some(Arc::new(move |node, command| filter.filter(node, command))),
            clocks,
        };
        let commands = BTreeMap::from([(N1, command)]);
        let processes = Processes::fitted(&switch, commands, |_| {}, &fittings);
        processes.start(N1).unwrap();
        Self {
            _switch: switch,
            processes,
            disks,
            folder,
        }
    }

    /// How an order went: the number of its error, and how many milliseconds it took.
    fn order(&self, order: &str, file: &str) -> (i32, u64) {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("orders"), format!("{order} {file}")).unwrap();
        let answer = fs::read_to_string(path("answers")).unwrap();
        let (number, ms) = answer.split_once(' ').unwrap();
        (number.parse().unwrap(), ms.parse().unwrap())
    }

    /// While the disk is ill these fail so, each counted, and the others do not; afterwards none.
    fn fails(&self, ailment: Ailment, number: i32, fail: &[&str], others: &[&str]) {
        let id = self.disks.install(N1, ailment).unwrap();
        for order in fail {
            assert_eq!(self.order(order, "data/file").0, number, "{order}");
            assert_eq!(
                self.order(order, "beside/file").0,
                0,
                "{order} beside the data"
            );
        }
        for order in others {
            assert_eq!(self.order(order, "data/file").0, 0, "{order}");
        }
        assert_eq!(self.disks.met(id).unwrap(), fail.len() as u64);
        assert_eq!(self.disks.heal(id).unwrap(), fail.len() as u64);
        assert_eq!(self.disks.ailments(), []);
        for order in fail.iter().chain(others) {
            assert_eq!(
                self.order(order, "data/file").0,
                0,
                "{order} after the heal"
            );
        }
    }
}

const IO: [&str; 4] = ["read", "pread", "write", "pwrite"];
const SYNC: [&str; 7] = [
    "fsync",
    "fdatasync",
    "syncfs",
    "msync",
    "O_DSYNC",
    "O_SYNC",
    "RWF_DSYNC",
];

pub(crate) fn read_error(sandbox: &Sandbox) {
    let rig = Rig::start(sandbox, &[Ailment::ReadError]);
    rig.fails(Ailment::ReadError, libc::EIO, &IO[..2], &["write", "fsync"]);
}

pub(crate) fn write_error(sandbox: &Sandbox) {
    let rig = Rig::start(sandbox, &[Ailment::WriteError]);
    let fail = [
        "copy in place",
        "send in place",
        "write",
        "pwrite",
        "append",
    ];
    rig.fails(Ailment::WriteError, libc::EIO, &fail, &["read", "fsync"]);
    let data = fs::read_to_string(rig.folder.path().join("data/file")).unwrap();
    assert!(data.starts_with("over"), "{data}");
}

pub(crate) fn fsync_error(sandbox: &Sandbox) {
    let rig = Rig::start(sandbox, &[Ailment::FsyncError]);
    rig.fails(Ailment::FsyncError, libc::EIO, &SYNC, &IO);
}

pub(crate) fn full(sandbox: &Sandbox) {
    let rig = Rig::start(sandbox, &[Ailment::Full]);
    let id = rig.disks.install(N1, Ailment::Full).unwrap();
    const GROW: [&str; 10] = [
        "append",
        "grow",
        "longer",
        "longer by name",
        "copy",
        "send",
        "folder",
        "file",
        "link",
        "name",
    ];
    for order in GROW {
        assert_eq!(rig.order(order, "data/file").0, libc::ENOSPC, "{order}");
        assert_eq!(
            rig.order(order, "beside/file").0,
            0,
            "{order} beside the data"
        );
    }
    for order in [
        "write",
        "pwrite",
        "copy in place",
        "send in place",
        "shorter",
        "fsync",
    ] {
        assert_eq!(rig.order(order, "data/file").0, 0, "{order}");
    }
    let length = fs::metadata(rig.folder.path().join("data/file"))
        .unwrap()
        .len();
    assert_eq!(length, 4, "bytes in place only");
    assert_eq!(rig.disks.heal(id).unwrap(), 10);
    for order in GROW {
        assert_eq!(rig.order(order, "data/file").0, 0, "{order} after the heal");
    }
}

pub(crate) fn full_after(sandbox: &Sandbox) {
    let kilobyte = Ailment::FullAfter(1);
    let rig = Rig::start(sandbox, &[kilobyte]);
    let id = rig.disks.install(N1, kilobyte).unwrap();
    let append = || rig.order("append", "data/file").0;
    assert_eq!(rig.order("grow", "data/file").0, libc::ENOSPC);
    for already in (0..1024).step_by(4) {
        assert_eq!(append(), 0, "with {already} bytes more than at first");
    }
    assert_eq!(append(), libc::ENOSPC);
    for (order, file) in [("write", "data/file"), ("append", "beside/file")] {
        assert_eq!(rig.order(order, file).0, 0);
    }
    let path = rig.folder.path().join("data/file");
    assert_eq!(fs::metadata(&path).unwrap().len(), 4 + 1024);
    // What becomes shorter makes room.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1024).unwrap();
    assert_eq!((append(), append()), (0, libc::ENOSPC));
    assert_eq!(rig.disks.heal(id).unwrap(), 3);
    assert_eq!(append(), 0);
}

pub(crate) fn slow_fsync(sandbox: &Sandbox) {
    let slow = Ailment::SlowFsync(Duration::from_millis(80));
    let rig = Rig::start(sandbox, &[slow]);
    let id = rig.disks.install(N1, slow).unwrap();
    for order in SYNC {
        let (number, ms) = rig.order(order, "data/file");
        assert!(number == 0 && ms >= 80, "{order}: {number} after {ms} ms");
    }
    assert_eq!(rig.order("write", "data/file").0, 0);
    assert_eq!(rig.disks.heal(id).unwrap(), SYNC.len() as u64);
    // What still waits goes on at once when it is healed.
    let slowest = Ailment::SlowFsync(Duration::from_millis(2000));
    let id = rig.disks.install(N1, slowest).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| rig.order("fsync", "data/file"));
        eventually("it waits", || rig.disks.met(id).unwrap() == 1);
        rig.disks.heal(id).unwrap();
        let (number, ms) = waits.join().unwrap();
        assert!(number == 0 && ms < 1500, "{number} after {ms} ms");
    });
    // Who waits can be paused and killed.
    let id = rig.disks.install(N1, slowest).unwrap();
    fs::write(rig.folder.path().join("orders"), "fsync data/file").unwrap();
    eventually("it waits", || rig.disks.met(id).unwrap() == 1);
    let _ = rig.processes.kill(N1).unwrap();
    assert!(matches!(rig.processes.state(N1), State::Ended { .. }));
    rig.disks.heal(id).unwrap();
}

pub(crate) fn lying_fsync(sandbox: &Sandbox) {
    let both = [Ailment::LyingFsync, Ailment::FsyncError];
    let rig = Rig::start(sandbox, &both);
    let id = rig.disks.install(N1, Ailment::LyingFsync).unwrap();
    for order in SYNC {
        assert_eq!(rig.order(order, "data/file").0, 0);
    }
    assert_eq!(rig.order("sync", "data/file").0, 0);
    // A write that is one with its fsync is no call that can be left out by half.
    assert_eq!(rig.disks.heal(id).unwrap(), 5);
    // What it cannot do is refused, with what can.
    let power = rig
        .disks
        .lose_power(N1, Keep::Nothing, 0)
        .unwrap_err()
        .to_string();
    assert!(
        power.contains("a power loss cannot be done here") && power.contains("FUSE"),
        "{power}"
    );
    let damage = rig
        .disks
        .damage(N1, Damage::Wipe, 0)
        .unwrap_err()
        .to_string();
    assert!(damage.contains("wipe cannot be done here"), "{damage}");
    let other = rig
        .disks
        .install(N1, Ailment::ReadError)
        .unwrap_err()
        .to_string();
    assert!(other.contains("a filter that is not about it"), "{other}");
    // A process that takes the place of another has the filter too.
    let _ = rig.processes.kill(N1).unwrap();
    rig.processes.start(N1).unwrap();
    rig.fails(Ailment::FsyncError, libc::EIO, &SYNC, &IO);
}

/// A filter and a clock of ours in one process: both are put in before its first instruction.
#[cfg(target_arch = "x86_64")]
pub(crate) fn with_a_wrong_clock(sandbox: &Sandbox) {
    const HOUR_MS: u64 = 3_600_000;
    let clocks = Arc::new(VdsoClocks::new([N1]));
    let rig = Rig::fitted(sandbox, &[Ailment::FsyncError], Some(Arc::clone(&clocks)));
    let is_ahead = |ms| {
        let before = now_ms();
        let (_, told) = rig.order("tell", "data/file");
        (before..=now_ms()).contains(&(told - ms))
    };
    let fsync = || rig.order("fsync", "data/file").0;
    assert!(is_ahead(0) && fsync() == 0);
    let ill = rig.disks.install(N1, Ailment::FsyncError).unwrap();
    let hour = Skew::Offset {
        ns: 3_600_000_000_000,
    };
    clocks.set(N1, Some(hour)).unwrap();
    for _ in 0..2 {
        assert!(is_ahead(HOUR_MS));
        assert_eq!(fsync(), libc::EIO);
        // Its successor has both too.
        rig.processes.kill(N1).unwrap();
        rig.processes.start(N1).unwrap();
    }
    clocks.set(N1, None).unwrap();
    assert_eq!((is_ahead(0), fsync()), (true, libc::EIO));
    rig.disks.heal(ill).unwrap();
    assert_eq!((is_ahead(0), fsync()), (true, 0));
}
