//! Node processes: started in their namespaces, and every signal proven from outside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    process::ExitCode,
    sync::mpsc,
    time::{Duration, Instant},
};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use ordeal_nemesis::{
    Node,
    network::{Switch, SwitchOptions},
    process::{Death, Lifecycle, NodeCommand, ProcessError, Processes, State},
    sandbox::Sandbox,
};
use tempfile::TempDir;

fn main() -> ExitCode {
    support::main(&cases![
        Inside a_kill_is_proven_and_a_start_gives_a_new_pid,
        Inside a_pause_stops_every_thread_and_a_resume_lets_them_go,
        Inside a_paused_process_can_be_killed,
        Inside a_stop_lets_the_process_end_by_itself,
        Inside a_stop_kills_what_does_not_listen,
        Inside an_unplanned_death_is_reported_with_its_last_words,
        Inside a_crash_instead_of_a_stop_is_a_death_too,
        Inside a_killed_process_takes_its_children_along,
        Inside a_node_behind_a_wrapper_is_paused_slowed_and_killed_with_it,
        Inside a_process_starts_clean_in_its_own_namespace,
        Inside what_cannot_be_started_is_named,
        Inside what_does_not_fit_the_state_is_refused,
        Inside dropping_the_processes_kills_them,
        Program sleeps,
        Program has_threads,
        Program ends_politely,
        Program ignores_sigterm,
        Program panics,
        Program aborts_on_sigterm,
        Program has_a_child,
        Program has_a_child_elsewhere,
        Program works,
        Program tells_about_itself,
    ])
}

// ---------------------------------------------------------------- programs

fn sleeps(_: &[String]) {
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn has_threads(args: &[String]) {
    for _ in 0..4 {
        std::thread::spawn(|| sleeps(&[]));
    }
    sleeps(args);
}

/// Waits for SIGTERM, then runs `then`.
fn on_sigterm(then: impl FnOnce()) {
    let term: SigSet = [Signal::SIGTERM].into_iter().collect();
    term.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
    println!("ready");
    term.wait().unwrap();
    then();
}

fn ends_politely(_: &[String]) {
    on_sigterm(|| println!("goodbye"));
}

fn ignores_sigterm(args: &[String]) {
    on_sigterm(|| sleeps(&[]));
    sleeps(args);
}

fn aborts_on_sigterm(_: &[String]) {
    on_sigterm(|| std::process::abort());
}

fn panics(_: &[String]) {
    println!("about to fail");
    panic!("the log is corrupt");
}

fn has_a_child(args: &[String]) {
    let mut child = support::case("sleeps").spawn().unwrap();
    println!("child {}", child.id());
    sleeps(args);
    child.wait().unwrap();
}

/// As `setsid -w` or a script does it: a session of its own for the child, and a grandchild whose
/// parent has ended.
fn has_a_child_elsewhere(args: &[String]) {
    let shell = |script: &str| {
        let mut command = std::process::Command::new("setsid");
        command.args(["sh", "-c", script]);
        command.env("PROGRAM", std::env::current_exe().unwrap());
        command
    };
    let mut child = shell("exec $PROGRAM --case works").spawn().unwrap();
    let orphan = shell("$PROGRAM --case works & true")
        .spawn()
        .unwrap()
        .wait();
    assert!(orphan.unwrap().success());
    sleeps(args);
    child.wait().unwrap();
}

fn works(_: &[String]) {
    println!("worker {}", std::process::id());
    loop {
        std::hint::spin_loop();
    }
}

fn tells_about_itself(args: &[String]) {
    println!("args {args:?}");
    println!("env {:?}", std::env::var("ORDEAL_TEST").unwrap());
    println!("cwd {}", std::env::current_dir().unwrap().display());
    println!(
        "mask {:?}",
        SigSet::thread_get_mask()
            .unwrap()
            .iter()
            .collect::<Vec<_>>()
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    // Signals 32 and 33 belong to the C library, which lets nobody change them.
    let known = (1..=64).filter(|number| !(32..=33).contains(number));
    let ignored: Vec<u32> = known
        .filter(|number| ignored >> (number - 1) & 1 == 1)
        .collect();
    println!("ignored {ignored:?}");
    let listener = TcpListener::bind("10.77.0.1:7000").unwrap();
    println!("bound {}", listener.local_addr().unwrap());
    sleeps(&[]);
}

// ---------------------------------------------------------------- one node

const N1: Node = Node(1);

struct Rig {
    processes: Processes,
    deaths: mpsc::Receiver<Death>,
    folder: TempDir,
    _switch: Switch,
}

impl Rig {
    fn new(sandbox: &Sandbox, program: &str) -> Self {
        Self::with(sandbox, |folder| command(folder, program))
    }

    fn with(sandbox: &Sandbox, command: impl FnOnce(&Path) -> NodeCommand) -> Self {
        let switch = Switch::create(sandbox, 1, &SwitchOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let commands = BTreeMap::from([(N1, command(folder.path()))]);
        let (sender, deaths) = mpsc::channel();
        let processes = Processes::new(&switch, commands, move |death| {
            sender.send(death).unwrap();
        });
        Self {
            processes,
            deaths,
            folder,
            _switch: switch,
        }
    }

    /// Starts it and waits until it says that it is ready.
    fn start(&self) -> u32 {
        let before = self.log().matches("ready").count();
        let pid = self.processes.start(N1).unwrap();
        support::eventually("ready", || self.log().matches("ready").count() > before);
        pid
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn assert_no_deaths(&self) {
        assert_eq!(self.deaths.try_recv(), Err(mpsc::TryRecvError::Empty));
    }
}

fn command(folder: &Path, program: &str) -> NodeCommand {
    NodeCommand {
        program: std::env::current_exe().unwrap(),
        args: vec!["--case".into(), program.into()],
        env: Vec::new(),
        cwd: folder.to_owned(),
        log: folder.join("log"),
    }
}

/// The state letters of a process's threads, read here and not by the code under test.
fn letters(pid: u32) -> String {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return String::new();
    };
    let statuses =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    statuses
        .map(|status| {
            let line = status
                .lines()
                .find(|line| line.starts_with("State:"))
                .unwrap();
            line.trim_start_matches("State:")
                .trim()
                .chars()
                .next()
                .unwrap()
        })
        .collect()
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

// ---------------------------------------------------------------- tests

fn a_kill_is_proven_and_a_start_gives_a_new_pid(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "sleeps");
    let pid = rig.start();
    assert!(exists(pid));
    let killed = rig.processes.kill(N1).unwrap();
    assert_eq!(killed.pid, pid);
    assert!(!exists(pid), "it is reaped, not a zombie");
    assert_eq!(rig.processes.state(N1), State::Ended { pid });
    let again = rig.start();
    assert_ne!(again, pid);
    assert_eq!(rig.processes.state(N1), State::Running { pid: again });
    assert_eq!(rig.log(), "ready\nready\n", "the log is appended to");
    rig.assert_no_deaths();
}

fn a_pause_stops_every_thread_and_a_resume_lets_them_go(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "has_threads");
    let pid = rig.start();
    support::eventually("five threads", || letters(pid).len() == 5);
    for _ in 0..20 {
        let paused = rig.processes.pause(N1).unwrap();
        assert_eq!((paused.pid, paused.threads), (pid, 5));
        assert_eq!(letters(pid), "TTTTT");
        assert_eq!(rig.processes.state(N1), State::Paused { pid });
        assert_eq!(rig.processes.resume(N1).unwrap(), pid);
        assert!(!letters(pid).contains('T'));
        assert_eq!(rig.processes.state(N1), State::Running { pid });
    }
    rig.assert_no_deaths();
}

fn a_paused_process_can_be_killed(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "sleeps");
    let pid = rig.start();
    let _ = rig.processes.pause(N1).unwrap();
    assert_eq!(rig.processes.kill(N1).unwrap().pid, pid);
    assert!(!exists(pid));
    rig.start();
    assert!(
        matches!(rig.processes.state(N1), State::Running { .. }),
        "not paused any more"
    );
    rig.assert_no_deaths();
}

fn a_stop_lets_the_process_end_by_itself(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "ends_politely");
    rig.start();
    let _ = rig.processes.pause(N1).unwrap();
    let status = rig.processes.stop(N1, Duration::from_secs(5)).unwrap();
    assert!(status.success(), "{status}");
    assert!(rig.log().ends_with("goodbye\n"));
    rig.assert_no_deaths();
}

fn a_stop_kills_what_does_not_listen(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "ignores_sigterm");
    let pid = rig.start();
    let began = Instant::now();
    let status = rig.processes.stop(N1, Duration::from_millis(100)).unwrap();
    assert_eq!(status.to_string(), "signal: 9 (SIGKILL)");
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "it had its time"
    );
    assert!(!exists(pid));
    rig.assert_no_deaths();
}

fn an_unplanned_death_is_reported_with_its_last_words(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "panics");
    let pid = rig.processes.start(N1).unwrap();
    let death = rig.deaths.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(
        (death.node, death.pid, death.status.as_str()),
        (N1, pid, "exit status: 101")
    );
    let words = death.log_tail.join("\n");
    assert!(
        words.starts_with("about to fail") && words.contains("the log is corrupt"),
        "{words}"
    );
    let panic = death.panic.as_deref().unwrap();
    assert!(
        panic.contains(" panicked at ") && panic.ends_with(": the log is corrupt"),
        "{panic}"
    );
    assert_eq!(death.last_words(), Some(panic));
    assert_eq!(rig.processes.state(N1), State::Died(death));
}

fn a_crash_instead_of_a_stop_is_a_death_too(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "aborts_on_sigterm");
    rig.start();
    let error = rig.processes.stop(N1, Duration::from_secs(5)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot stop n1: it died by itself instead"
    );
    let death = rig.deaths.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(
        death.status.starts_with("signal: 6 (SIGABRT)"),
        "{}",
        death.status
    );
}

fn a_killed_process_takes_its_children_along(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "has_a_child");
    rig.start();
    // Both write to the log, the child only when it runs.
    support::eventually("the child runs too", || {
        rig.log().matches("ready").count() == 2
    });
    let log = rig.log();
    let child = log.lines().find_map(|line| line.strip_prefix("child "));
    let child = child.unwrap().parse().unwrap();
    assert!(exists(child));
    let _ = rig.processes.pause(N1).unwrap();
    support::eventually("the child is stopped too", || letters(child) == "T");
    let _ = rig.processes.kill(N1).unwrap();
    support::eventually("the child is gone too", || !exists(child));
}

fn a_node_behind_a_wrapper_is_paused_slowed_and_killed_with_it(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "has_a_child_elsewhere");
    let first = rig.start();
    support::eventually("both work", || rig.log().matches("worker ").count() == 2);
    let log = rig.log();
    let workers = log.lines().filter_map(|line| line.strip_prefix("worker "));
    let workers: Vec<u32> = workers.map(|pid| pid.parse().unwrap()).collect();
    let letters_of_all = || [letters(first), letters(workers[0]), letters(workers[1])];
    let paused = rig.processes.pause(N1).unwrap();
    assert_eq!(letters_of_all(), ["T", "T", "T"]);
    assert_eq!(
        (paused.pid, paused.processes, paused.threads),
        (first, 3, 3)
    );
    rig.processes.resume(N1).unwrap();
    assert!(!letters_of_all().concat().contains('T'), "they go on");
    rig.processes.slow(N1, 20).unwrap();
    support::eventually("they stand still now and then", || {
        letters_of_all() == ["T", "T", "T"]
    });
    support::eventually("stops are seen", || {
        rig.processes
            .slowed(N1)
            .is_some_and(|slowed| slowed.stops > 2)
    });
    let slowed = rig.processes.hasten(N1).unwrap();
    assert!(slowed.cpu_us > 0, "what the workers had counts: {slowed:?}");
    assert!(!letters_of_all().concat().contains('T'), "they go on");
    let _ = rig.processes.pause(N1).unwrap();
    let _ = rig.processes.kill(N1).unwrap();
    for pid in workers {
        support::eventually("the workers are gone too", || !exists(pid));
    }
    rig.assert_no_deaths();
}

fn a_process_starts_clean_in_its_own_namespace(sandbox: &Sandbox) {
    // What the harness blocks or ignores must not reach the node.
    SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .unwrap();
    let rig = Rig::with(sandbox, |folder| {
        let mut command = command(folder, "tells_about_itself");
        command.args.push("--flag=1 2".into());
        command.env.push(("ORDEAL_TEST".into(), "yes".into()));
        command
    });
    rig.start();
    let told = rig.log();
    let cwd = format!("cwd {}", rig.folder.path().display());
    for line in [
        "args [\"--flag=1 2\"]",
        "env \"yes\"",
        cwd.as_str(),
        "mask []",
        // SIGPIPE, which Rust's runtime ignores by itself.
        "ignored [13]",
        "bound 10.77.0.1:7000",
    ] {
        assert!(
            told.lines().any(|other| other == line),
            "no `{line}` in:\n{told}"
        );
    }
    // Its descriptors are none of the harness's own: namespaces, devices, pidfds, epoll.
    let State::Running { pid } = rig.processes.state(N1) else {
        panic!("it does not run")
    };
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path())
            .unwrap()
            .display()
            .to_string();
        for ours in ["net:[", "/dev/net/tun", "anon_inode:"] {
            assert!(!target.starts_with(ours), "the node holds {target}");
        }
    }
}

fn what_cannot_be_started_is_named(sandbox: &Sandbox) {
    let fails = |change: fn(&mut NodeCommand)| {
        let rig = Rig::with(sandbox, |folder| {
            let mut command = command(folder, "sleeps");
            change(&mut command);
            command
        });
        let error = rig.processes.start(N1).unwrap_err();
        assert_eq!(rig.processes.state(N1), State::Absent);
        error.to_string()
    };
    let error = fails(|command| command.program = "/no/such/program".into());
    assert!(
        error.starts_with("cannot start n1: /no/such/program in /"),
        "{error}"
    );
    let error = fails(|command| command.cwd = "/no/such/folder".into());
    assert!(
        error.contains(" in /no/such/folder: No such file"),
        "{error}"
    );
    let error = fails(|command| command.log = "/no/such/log".into());
    assert!(
        error.starts_with("cannot start n1: log /no/such/log: No such file"),
        "{error}"
    );
}

fn what_does_not_fit_the_state_is_refused(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "sleeps");
    let refused = |result: Result<(), ProcessError>| result.unwrap_err().to_string();
    let kill = || refused(rig.processes.kill(N1).map(drop));
    let pause = || refused(rig.processes.pause(N1).map(drop));
    assert_eq!(kill(), "cannot kill n1: it was never started");
    let pid = rig.start();
    let start = refused(rig.processes.start(N1).map(drop));
    assert_eq!(
        start,
        format!("cannot start n1: it runs already (pid {pid})")
    );
    let resume = refused(rig.processes.resume(N1).map(drop));
    assert_eq!(resume, "cannot resume n1: it is not paused");
    let _ = rig.processes.pause(N1).unwrap();
    assert_eq!(pause(), "cannot pause n1: it is paused already");
    let _ = rig.processes.kill(N1).unwrap();
    assert_eq!(
        kill(),
        format!("cannot kill n1: it does not run (pid {pid} was ended)")
    );
    let other = refused(rig.processes.start(Node(2)).map(drop));
    assert_eq!(other, "there is no n2 in this cluster");
}

fn dropping_the_processes_kills_them(sandbox: &Sandbox) {
    let rig = Rig::new(sandbox, "sleeps");
    let pid = rig.start();
    let Rig {
        processes, deaths, ..
    } = rig;
    drop(processes);
    assert!(!exists(pid));
    // The watching thread lets go of the channel, having sent nothing.
    let last = deaths.recv_timeout(Duration::from_secs(5));
    assert_eq!(last, Err(mpsc::RecvTimeoutError::Disconnected));
}
