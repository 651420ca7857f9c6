//! Wrong clocks, as the processes see them that ask for the time.
//!
//! Probe and test ask one kernel: what the probe tells, less what its clock is to be ahead, lies
//! between two looks of the test's own, to the nanosecond and however late anybody is.

#![allow(
    clippy::disallowed_types,
    reason = "what is measured is the wall clock"
)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ordeal_nemesis::{
    Proof, Skew,
    clock::{Clocks, VdsoClocks},
    network::Network,
    process::{Fittings, Lifecycle, NodeCommand, Processes, State},
    sandbox::Sandbox,
};

use crate::{
    Measured, backend, measured_here,
    probe::Asking,
    rig::{N1, N2, Rig},
    support,
};

pub(crate) fn rows() -> Vec<Measured> {
    measured_here! {
        "`clock n1: +3600s`": "its time is an hour ahead, to the nanosecond, also in its successor \
                               after SIGKILL; its monotonic clock and the other node's time are \
                               right",
            "vdso": clock::an_hour_ahead;
        "`clock n1: rate 2`": "its time goes twice as far as its monotonic clock, which is right",
            "vdso": clock::twice_as_fast;
        "`clock n1: strobe -5s every 40ms`": "its time is 5 s behind or right, in turn, and \
                                              nothing else",
            "vdso": clock::strobes;
        "`clock n1: +288s`, then others": "each change is there at once, in one process, also \
                                           while it is paused, and the last is gone",
            "vdso": clock::changes;
        "`clock n1: -288s`, programs in C": "`clock_gettime`, `gettimeofday` and `time` of \
                                             programs linked in both ways agree on it",
            "vdso": clock::in_c;
        "`clock n1: +3600s`, a program in Go": "unmodified etcd writes its log an hour ahead from \
                                                its first line on, and 288 s behind after \
                                                `clock n1: -288s`",
            "vdso": clock::in_go;
        "`clock n1: +3600s`, disk n1: fsync-error": "in one filtered process: EIO for fsync, and \
                                                     its time an hour ahead",
            "vdso, seccomp": seccomp::with_a_wrong_clock;
        "any clock, where there is no vdso of 64 bits": "the start is refused and says why; no \
                                                         process is left",
            "vdso": clock::is_refused;
    }
}

const S: i64 = 1_000_000_000;

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_nanos()).unwrap()
}

/// What a probe saw: its monotonic clock, its time, and the first again.
struct Times {
    before: i64,
    wall: i64,
    after: i64,
}

fn times(asking: &mut Asking) -> Times {
    let answer = asking.must("wall");
    let numbers: Vec<i64> = answer
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    let [before, wall, after] = <[i64; 3]>::try_from(numbers).unwrap();
    Times {
        before,
        wall,
        after,
    }
}

/// Whether its time is ahead by so much.
fn is_ahead(asking: &mut Asking, ns: i64) -> bool {
    let before = now_ns();
    let told = times(asking).wall - ns;
    (before..=now_ns()).contains(&told)
}

pub(crate) fn an_hour_ahead(sandbox: &Sandbox) {
    let rig = Rig::with_clocks(sandbox);
    let (mut asking, mut other) = (rig.dial(N1), rig.dial(N2));
    assert!(is_ahead(&mut asking, 0));
    let pid = asking.must("pid");
    let proof = rig.during("clock n1: +3600s", || {
        let (began, start) = (now_ns(), times(&mut asking));
        assert!(is_ahead(&mut asking, 3600 * S) && is_ahead(&mut other, 0));
        let end = times(&mut asking);
        assert!(
            end.after - start.before <= now_ns() - began,
            "monotonic clocks are right"
        );
        rig.processes.kill(N1).unwrap();
        rig.processes.start(N1).unwrap();
        let mut successor = rig.dial_again(N1);
        assert_ne!(successor.must("pid"), pid);
        assert!(is_ahead(&mut successor, 3600 * S));
    });
    let Proof::Clocks { nodes } = &proof else {
        panic!("{proof}")
    };
    assert_eq!((nodes[0].node, nodes[0].ahead_ns), (N1, 3600 * S));
    assert_eq!(nodes[0].end_ns, Some(3600 * S), "{proof}");
    assert!(is_ahead(&mut rig.dial(N1), 0) && is_ahead(&mut other, 0));
    // A process that starts afterwards knows nothing of it.
    rig.processes.kill(N1).unwrap();
    rig.processes.start(N1).unwrap();
    assert!(is_ahead(&mut rig.dial_again(N1), 0));
}

pub(crate) fn twice_as_fast(sandbox: &Sandbox) {
    let rig = Rig::with_clocks(sandbox);
    let mut asking = rig.dial(N1);
    let proof = rig.during("clock n1: rate 2", || {
        let first = times(&mut asking);
        std::thread::sleep(Duration::from_millis(300));
        let last = times(&mut asking);
        let went = last.wall - first.wall;
        // The wall clock may be slewed by 500 millionths at most.
        let (least, most) = (last.before - first.after, last.after - first.before);
        assert!(
            (least * 2 - least / 500..=most * 2 + most / 500).contains(&went),
            "{went}"
        );
    });
    let Proof::Clocks { nodes } = &proof else {
        panic!("{proof}")
    };
    assert!(nodes[0].end_ns.unwrap() >= 300_000_000, "{proof}");
    assert!(is_ahead(&mut asking, 0));
}

pub(crate) fn strobes(sandbox: &Sandbox) {
    let rig = Rig::with_clocks(sandbox);
    let mut asking = rig.dial(N1);
    let _ = rig.during("clock n1: strobe -5s every 40ms", || {
        let mut seen = [0; 2];
        while seen.iter().any(|count| *count < 20) {
            let before = now_ns();
            let told = times(&mut asking).wall;
            let after = now_ns();
            let which = [0, -5 * S]
                .into_iter()
                .position(|ahead| (before..=after).contains(&(told - ahead)));
            seen[which.expect("right, or 5 s behind")] += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    for _ in 0..100 {
        assert!(is_ahead(&mut asking, 0));
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn changes(sandbox: &Sandbox) {
    let rig = Rig::with_clocks(sandbox);
    let mut asking = rig.dial(N1);
    let pid = asking.must("pid");
    let _ = rig.during("clock n1: +288s", || {
        assert!(is_ahead(&mut asking, 288 * S));
    });
    assert!(is_ahead(&mut asking, 0));
    let clocks = rig.clocks.as_deref().unwrap();
    for ns in [1, -7 * S, 86_400 * S] {
        let reading = clocks.set(N1, Some(Skew::Offset { ns })).unwrap().unwrap();
        assert_eq!(
            (reading.pid.to_string(), reading.ahead_ns),
            (pid.clone(), ns)
        );
        assert!(is_ahead(&mut asking, ns));
    }
    rig.processes.pause(N1).unwrap();
    let minute = Skew::Offset { ns: 60 * S };
    clocks.set(N1, Some(minute)).unwrap();
    rig.processes.resume(N1).unwrap();
    assert!(is_ahead(&mut asking, 60 * S));
    assert_eq!(clocks.wrong(), [N1]);
    clocks.set(N1, None).unwrap();
    assert!(is_ahead(&mut asking, 0) && clocks.wrong().is_empty());
    assert_eq!(asking.must("pid"), pid);
}

/// Tells the time in three ways, and waits.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
int main(void) {
  for (;;) {
    struct timespec a, m, w = {0, 5000000};
    struct timeval b;
    clock_gettime(CLOCK_REALTIME, &a);
    gettimeofday(&b, 0);
    time_t c = time(0);
    clock_gettime(CLOCK_MONOTONIC, &m);
    printf("%lld %lld %lld %lld\n", a.tv_sec * 1000000000LL + a.tv_nsec,
           b.tv_sec * 1000000LL + b.tv_usec, (long long)c, m.tv_sec * 1000000000LL + m.tv_nsec);
    fflush(stdout);
    nanosleep(&w, 0);
  }
}
"#;

pub(crate) fn in_c(sandbox: &Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tell.c"), PROGRAM).unwrap();
    let network = backend::network::<backend::Auto>(sandbox, 1);
    let network = network.expect("the switch needs no program");
    for (name, flags) in [("dynamic", &[][..]), ("static", &["-static"][..])] {
        let mut compile = Command::new("cc");
        compile.current_dir(folder.path()).args(flags);
        compile
            .args(["-O1", "-o", name, "tell.c"])
            .stderr(Stdio::null());
        if !compile.status().is_ok_and(|status| status.success()) {
            support::lacks("cc", format!("`cc` makes no {name} program here"));
            continue;
        }
        let log = folder.path().join(format!("{name}.log"));
        let command = command(folder.path().join(name), &[], &log);
        let (clocks, processes) = fitted(&*network, command);
        processes.start(N1).unwrap();
        for ahead_s in [0, -288, 288, 0] {
            let skew = Skew::Offset { ns: ahead_s * S };
            let skew = (ahead_s != 0).then_some(skew);
            clocks.set(N1, skew).unwrap();
            all_three_are_ahead(&log, ahead_s);
        }
    }
}

fn command(program: PathBuf, args: &[&str], log: &Path) -> NodeCommand {
    NodeCommand {
        program,
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        cwd: "/".into(),
        log: log.to_owned(),
    }
}

/// A program of whatever kind as n1, with a clock.
fn fitted(network: &dyn Network, command: NodeCommand) -> (Arc<VdsoClocks>, Processes) {
    let clocks = Arc::new(VdsoClocks::new([N1]));
    let fittings = Fittings {
        prepare: None,
        clocks: Some(Arc::clone(&clocks)),
    };
    let commands = BTreeMap::from([(N1, command)]);
    let on_death = |death| panic!("nobody told it to: {death:?}");
    let processes = Processes::fitted(network, commands, on_death, &fittings);
    (clocks, processes)
}

/// Looks at the first two lines that are written from now on: the first may be from before.
fn all_three_are_ahead(log: &Path, ahead_s: i64) {
    let lines = || fs::read_to_string(log).unwrap_or_default().lines().count();
    let (before, seen) = (now_ns(), lines());
    support::eventually("it tells the time", || lines() >= seen + 3);
    let text = fs::read_to_string(log).unwrap();
    let after = now_ns();
    let told: Vec<i64> = text
        .lines()
        .nth(seen + 1)
        .unwrap()
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    for (told, unit) in told.iter().zip([1, 1000, S]) {
        let true_ns = told * unit - ahead_s * S;
        let range = before - unit + 1..=after;
        // `time` goes with the kernel's coarse clock, one tick of 10 ms behind at most.
        let range = (range.start() - 10_000_000)..=*range.end();
        assert!(
            range.contains(&true_ns),
            "{told} in units of {unit} ns, {ahead_s} s ahead"
        );
    }
}

/// etcd as it is installed, or as the node's benchmark has unpacked it.
fn etcd() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("etcd-server/usr/bin/etcd");
    [PathBuf::from("etcd"), unpacked].into_iter().find(|etcd| {
        let mut asking = Command::new(etcd);
        asking.arg("--version").stdout(Stdio::null());
        asking.status().is_ok_and(|status| status.success())
    })
}

pub(crate) fn in_go(sandbox: &Sandbox) {
    let Some(etcd) = etcd() else {
        return support::lacks("etcd", "there is none (Debian: `apt install etcd-server`)");
    };
    let folder = tempfile::tempdir().unwrap();
    let network = backend::network::<backend::Auto>(sandbox, 1);
    let network = network.expect("the switch needs no program");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let args = [
        "--data-dir",
        data.to_str().unwrap(),
        "--logger=zap",
        "--log-outputs=stderr",
        "--heartbeat-interval=10",
        "--election-timeout=100",
    ];
    let mut command = command(etcd, &args, &log);
    command.env.push(("TZ".into(), "UTC".into()));
    let (clocks, processes) = fitted(&*network, command);
    let hour = Skew::Offset { ns: 3600 * S };
    clocks.set(N1, Some(hour)).unwrap();
    let began = now_ns();
    processes.start(N1).unwrap();
    let lines = || fs::read_to_string(&log).unwrap();
    // The last that it says of its start.
    let started = "cluster version is updated";
    support::eventually("it serves", || lines().contains(started));
    let first = lines().lines().count();
    assert_log_is_ahead(&lines(), 0, 3600, began);
    let behind = Skew::Offset { ns: -288 * S };
    clocks.set(N1, Some(behind)).unwrap();
    let changed = now_ns();
    processes.terminate(N1, Duration::from_secs(5)).unwrap();
    assert!(lines().lines().count() > first + 1, "it says goodbye");
    // A line that was begun before the change may have been written after it.
    assert_log_is_ahead(&lines(), first + 1, -288, changed);
}

/// Asserts that every line with a time, from the given one on, was written since `began` and by
/// now, by a clock that is so far ahead: told in milliseconds, and compared within a day.
fn assert_log_is_ahead(log: &str, from: usize, ahead_s: i64, began: i64) {
    const DAY_MS: i64 = 86_400_000;
    let took = now_ns() / 1_000_000 - began / 1_000_000;
    let told = log.lines().skip(from).filter_map(|line| {
        let (_, time) = line.split_once("\"ts\":\"")?;
        let (_, clock) = time.split_once('"')?.0.split_once('T')?;
        let clock = clock.get(..12)?.split([':', '.']);
        let numbers: Vec<i64> = clock.map(|word| word.parse().unwrap()).collect();
        let [h, m, s, ms] = numbers[..] else {
            panic!("{line}")
        };
        Some((((h * 60 + m) * 60 + s) * 1000 + ms, line))
    });
    let mut count = 0;
    for (told, line) in told {
        count += 1;
        let since = (told - ahead_s * 1000 - began / 1_000_000).rem_euclid(DAY_MS);
        assert!(since <= took, "{ahead_s} s ahead, {since} ms: {line}");
    }
    assert!(count > 0, "no line tells its time: {log}");
}

/// Ends at once, as a program of 32 bits: `mov $1, %eax; xor %ebx, %ebx; int $0x80`.
fn program_of_32_bits() -> Vec<u8> {
    const AT: u32 = 0x0804_8000;
    let code = [0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80];
    let mut bytes = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    let length = 0x54 + u32::try_from(code.len()).unwrap();
    for word in [AT + 0x54, 0x34, 0, 0, 0x0020_0034, 0x0028_0001, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [1, 0, AT, AT, length, length, 5, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(code);
    bytes
}

pub(crate) fn is_refused(sandbox: &Sandbox) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("of-32-bits");
    fs::write(&program, program_of_32_bits()).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    if let Err(error) = Command::new(&program).status() {
        return support::lacks("ia32", format!("no programs of 32 bits: {error}"));
    }
    let network = backend::network::<backend::Auto>(sandbox, 1);
    let network = network.expect("the switch needs no program");
    let log = folder.path().join("log");
    let (clocks, processes) = fitted(&*network, command(program, &[], &log));
    let error = processes.start(N1).unwrap_err();
    let words = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let words: Vec<String> = words.map(ToString::to_string).collect();
    assert!(words.join(": ").contains("64 bits"), "{words:?}");
    assert_eq!(clocks.read(N1).unwrap(), None);
    assert!(matches!(processes.state(N1), State::Absent));
    let task = fs::read_to_string("/proc/thread-self/children").unwrap();
    assert_eq!(task.trim(), "", "it was ended and reaped");
}
