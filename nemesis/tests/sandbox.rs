//! The sandbox seen from outside: what it isolates, passes on, and leaves behind (nothing).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/remains.rs"]
mod remains;
mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        signal::{SigSet, SigmaskHow, Signal, kill, raise},
        termios::{LocalFlags, SetArg, tcgetattr, tcsetattr},
    },
    unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, geteuid, setsid, ttyname},
};
use ordeal_nemesis::{
    Node,
    network::{Network, Switch, SwitchOptions},
    process::{Lifecycle, NodeCommand, Processes},
    sandbox::{self, Sandbox},
};
use remains::Mark;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

fn main() -> ExitCode {
    support::main(&cases![
        Inside the_harness_is_pid_2_and_sees_nobody_else,
        Inside orphans_are_reaped,
        Outside the_exit_code_is_passed_on,
        Outside a_harness_killed_by_a_signal_exits_with_128_and_its_number,
        Outside signals_are_forwarded_once_each,
        Outside the_keys_of_a_terminal_reach_the_harness_once,
        Outside a_process_with_threads_is_refused,
        Outside an_exhausted_limit_is_named_with_the_command_that_helps,
        Outside a_masked_proc_is_named_with_what_helps,
        Outside an_unprivileged_user_gets_a_sandbox_or_is_told_why_not,
        Outside nothing_is_left_when_outer_is_killed,
        Outside nothing_is_left_when_init_is_killed,
        Outside nothing_is_left_when_the_harness_is_killed,
        Outside nothing_is_left_when_the_harness_just_exits,
        Outside nothing_is_left_when_outer_is_killed_at_any_moment_of_its_start,
        Outside nothing_is_left_of_an_unprivileged_users_sandbox,
        Program exits,
        Program raises_sigkill,
        Program tells_signals,
        Program tells_signals_on_a_terminal,
        Program starts_a_thread_first,
        Program enters_and_says_so,
        Program enters_twice_with_no_limit_left,
        Program enters_where_proc_is_masked,
        Program is_busy,
        Program is_stubborn,
    ])
}

// ---------------------------------------------------------------- inside

fn the_harness_is_pid_2_and_sees_nobody_else(_: &Sandbox) {
    assert_eq!(std::process::id(), 2);
    let names = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let pids = names.filter_map(|name| name.to_str().and_then(|name| name.parse::<u32>().ok()));
    assert_eq!(pids.collect::<Vec<_>>(), [1, 2]);
    let links = fs::read_to_string("/proc/net/dev").unwrap();
    let names: Vec<_> = links
        .lines()
        .skip(2)
        .map(|line| line.split(':').next().unwrap().trim())
        .collect();
    assert!(
        !names.contains(&"eth0"),
        "the machine's own network: {names:?}"
    );
}

fn orphans_are_reaped(_: &Sandbox) {
    let shell = Command::new("/bin/sh")
        .args(["-c", "sleep 0.01 & echo $!"])
        .output()
        .unwrap();
    let orphan: u32 = String::from_utf8(shell.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    support::eventually("the orphan is gone, no zombie", || {
        !Path::new(&format!("/proc/{orphan}")).exists()
    });
}

// ---------------------------------------------------------------- exit codes

fn exits(args: &[String]) {
    let _sandbox = sandbox::enter().unwrap();
    std::process::exit(args[0].parse().unwrap());
}

fn raises_sigkill(_: &[String]) {
    let _sandbox = sandbox::enter().unwrap();
    raise(Signal::SIGKILL).unwrap();
}

fn the_exit_code_is_passed_on() {
    for code in [0, 1, 3, 70, 255] {
        let status = support::case("exits")
            .arg(code.to_string())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code));
    }
}

fn a_harness_killed_by_a_signal_exits_with_128_and_its_number() {
    assert_eq!(
        support::case("raises_sigkill").status().unwrap().code(),
        Some(137)
    );
}

// ---------------------------------------------------------------- signals

/// Enters, then prints the name of every signal it gets; ends after SIGQUIT.
fn tells_signals(_: &[String]) {
    let told = [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ];
    let told: SigSet = told.into_iter().collect();
    let _sandbox = sandbox::enter().unwrap();
    told.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
    println!("ready");
    loop {
        let signal = told.wait().unwrap();
        println!("{signal}");
        if signal == Signal::SIGQUIT {
            return;
        }
    }
}

fn start(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

fn signals_are_forwarded_once_each() {
    let (mut child, mut output) = start(&mut support::case("tells_signals"));
    assert_eq!(line(&mut output), "ready");
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
    ] {
        kill(pid(&child), signal).unwrap();
        assert_eq!(line(&mut output), signal.as_str());
    }
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "a signal came twice");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Makes the terminal at this path its own, one that stops background jobs that write, and goes on
/// as [`tells_signals`].
fn tells_signals_on_a_terminal(args: &[String]) {
    setsid().unwrap();
    // The first terminal that a session leader opens becomes its controlling one.
    let terminal = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&args[0])
        .unwrap();
    let mut modes = tcgetattr(&terminal).unwrap();
    modes
        .local_flags
        .insert(LocalFlags::TOSTOP | LocalFlags::ISIG);
    modes.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&terminal, SetArg::TCSANOW, &modes).unwrap();
    dup2_stdin(&terminal).unwrap();
    dup2_stdout(&terminal).unwrap();
    dup2_stderr(&terminal).unwrap();
    drop(terminal);
    tells_signals(&[]);
}

fn the_keys_of_a_terminal_reach_the_harness_once() {
    let pty = nix::pty::openpty(None, None).unwrap();
    let path = ttyname(&pty.slave).unwrap();
    let mut child = support::case("tells_signals_on_a_terminal")
        .arg(&path)
        .spawn()
        .unwrap();
    let mut keyboard = fs::File::from(pty.master);
    let mut screen = BufReader::new(keyboard.try_clone().unwrap());
    assert_eq!(
        line(&mut screen),
        "ready",
        "it may write although it is no foreground job"
    );
    keyboard.write_all(b"\x03").unwrap();
    assert_eq!(line(&mut screen), "SIGINT");
    keyboard.write_all(b"\x03").unwrap();
    assert_eq!(line(&mut screen), "SIGINT");
    keyboard.write_all(b"\x1c").unwrap();
    assert_eq!(line(&mut screen), "SIGQUIT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // All that the screen shows besides: nothing. Reading past the end of a terminal fails.
    drop(pty.slave);
    let mut rest = String::new();
    let _ = screen.read_to_string(&mut rest);
    assert_eq!(rest, "", "a signal came twice");
}

// ---------------------------------------------------------------- refusals

fn starts_a_thread_first(_: &[String]) {
    std::thread::spawn(|| {
        loop {
            std::thread::park();
        }
    });
    println!("{}", sandbox::enter().unwrap_err());
}

fn enters_and_says_so(_: &[String]) {
    match sandbox::enter() {
        Ok(sandbox) => println!("inside, rootless: {}", sandbox.is_rootless()),
        Err(error) => println!("{error}"),
    }
}

/// Gives up the right to make namespaces without a user namespace.
fn give_up_sys_admin() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::SYS_ADMIN);
    sets.permitted.remove(CapabilitySet::SYS_ADMIN);
    set_capabilities(None, sets).unwrap();
}

/// In a user namespace of its own, whose limits are its own too.
fn enters_twice_with_no_limit_left(_: &[String]) {
    give_up_sys_admin();
    let sandbox = sandbox::enter().unwrap();
    assert!(sandbox.is_rootless());
    fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
    give_up_sys_admin();
    println!("{}", sandbox::enter().unwrap_err());
}

fn enters_where_proc_is_masked(_: &[String]) {
    let _sandbox = sandbox::enter().unwrap();
    mount(
        Some("mask"),
        "/proc/sys",
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    give_up_sys_admin();
    println!("{}", sandbox::enter().unwrap_err());
}

fn said(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn a_process_with_threads_is_refused() {
    assert_eq!(
        said(&mut support::case("starts_a_thread_first")),
        "the sandbox must be entered before any thread is started, but there are 2 threads"
    );
}

fn an_exhausted_limit_is_named_with_the_command_that_helps() {
    let said = said(&mut support::case("enters_twice_with_no_limit_left"));
    assert_eq!(
        said,
        "cannot create namespaces: unshare with a user namespace: No space left on device \
         (os error 28): user.max_user_namespaces is 0 here; \
         run `sudo sysctl -w user.max_user_namespaces=15000`"
    );
}

fn a_masked_proc_is_named_with_what_helps() {
    let said = said(&mut support::case("enters_where_proc_is_masked"));
    let start = "cannot create namespaces: mount /proc: Operation not permitted";
    assert!(said.starts_with(start), "{said}");
    assert!(
        said.contains("--security-opt systempaths=unconfined"),
        "{said}"
    );
}

/// A case of this file as a user without any rights. Through `/proc`, because such a user may not
/// reach the folder that this program lies in.
fn unprivileged(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--case", name])
        .stdin(Stdio::null())
        .current_dir("/");
    if geteuid().is_root() {
        command.uid(12_345).gid(12_345);
    }
    command
}

fn an_unprivileged_user_gets_a_sandbox_or_is_told_why_not() {
    let said = said(&mut unprivileged("enters_and_says_so"));
    assert!(
        said == "inside, rootless: true" || said.contains("sudo") || said.contains("--privileged"),
        "{said}"
    );
}

// ---------------------------------------------------------------- nothing left

/// A harness at work: a network, nodes that resist, a mount. Tells its namespaces.
fn is_busy(_: &[String]) {
    let sandbox = sandbox::enter().unwrap();
    let signals: SigSet = [Signal::SIGUSR1].into_iter().collect();
    signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
    mount(
        Some("busy"),
        "/mnt",
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    for kind in ["pid", "mnt", "net", "uts", "ipc"] {
        println!(
            "{}",
            fs::read_link(format!("/proc/self/ns/{kind}"))
                .unwrap()
                .display()
        );
    }
    let switch = match Switch::create(&sandbox, 3, &SwitchOptions::default()) {
        Ok(switch) => switch,
        Err(error) => return println!("no switch: {error}"),
    };
    let mut commands = BTreeMap::new();
    for node in Node::first(3) {
        let namespace = || fs::read_link("/proc/thread-self/ns/net").unwrap();
        let namespace = switch
            .namespace(node)
            .spawn("tell", namespace)
            .unwrap()
            .join()
            .unwrap();
        println!("{}", namespace.display());
        commands.insert(
            node,
            NodeCommand {
                program: "/proc/self/exe".into(),
                args: vec!["--case".into(), "is_stubborn".into()],
                env: Vec::new(),
                cwd: "/".into(),
                log: format!("/mnt/{node}.log").into(),
            },
        );
    }
    let processes = Processes::new(&switch, commands, |death| panic!("{death:?}"));
    for node in Node::first(3) {
        processes.start(node).unwrap();
        let log = format!("/mnt/{node}.log");
        support::eventually("both are stubborn", || {
            fs::read_to_string(&log)
                .unwrap()
                .matches("stubborn")
                .count()
                == 2
        });
    }
    println!("ready");
    signals.wait().unwrap();
    // Straight out, without a thought for nodes, network or mounts.
    std::process::exit(5);
}

/// Deaf to all polite signals; so is its child, which has a session of its own.
fn is_stubborn(args: &[String]) {
    SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .unwrap();
    let mut child = None;
    if args.is_empty() {
        let mut again = Command::new("/proc/self/exe");
        child = Some(
            again
                .args(["--case", "is_stubborn", "child"])
                .spawn()
                .unwrap(),
        );
    } else {
        setsid().unwrap();
    }
    println!("stubborn");
    // Neither ever ends by itself.
    if let Some(mut child) = child {
        child.wait().unwrap();
    }
    loop {
        std::thread::park();
    }
}

/// A busy sandbox, and all that is needed to find what it leaves.
struct Busy {
    outer: Child,
    mark: Mark,
    namespaces: Vec<String>,
    before: remains::Shared,
}

impl Busy {
    fn start(mut command: Command) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = Mark::new(COUNT.fetch_add(1, Relaxed));
        let before = remains::Shared::look();
        let (outer, mut output) = start(mark.put_on(&mut command));
        let mut namespaces = Vec::new();
        loop {
            let line = line(&mut output);
            match line.as_str() {
                "ready" => break,
                line if line.contains(":[") => namespaces.push(line.to_owned()),
                "" => return Err("it ended early".to_owned()),
                other => return Err(other.to_owned()),
            }
        }
        let busy = Self {
            outer,
            mark,
            namespaces,
            before,
        };
        assert_eq!(busy.namespaces.len(), 8);
        assert_eq!(
            busy.mark.processes().len(),
            9,
            "outer, init, harness, 3 nodes, 3 children"
        );
        assert!(!remains::holders(&busy.namespaces).is_empty());
        Ok(busy)
    }

    /// The descendants in a straight line: outer, init, harness.
    fn line(&self) -> [Pid; 3] {
        let init = remains::only_child(self.outer.id());
        let harness = remains::children(init).into_iter().min().unwrap();
        [self.outer.id(), init, harness].map(|pid| Pid::from_raw(pid.try_into().unwrap()))
    }

    fn assert_nothing_is_left_after(mut self, signal: Signal, victim: usize) -> i32 {
        let victim = self.line()[victim];
        let began = Instant::now();
        kill(victim, signal).unwrap();
        loop {
            let processes = self.mark.processes();
            let holders = remains::holders(&self.namespaces);
            let after = remains::Shared::look();
            if processes.is_empty() && holders.is_empty() && after == self.before {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(1),
                "left after 1 s: processes {processes:?}, holders {holders:?}, {after:?}"
            );
        }
        eprintln!("nothing left after {:?}", began.elapsed());
        let status = self.outer.wait().unwrap();
        std::os::unix::process::ExitStatusExt::into_raw(status)
    }
}

const SIGKILLED: i32 = 9;

fn exit_code(code: i32) -> i32 {
    code << 8
}

fn nothing_is_left_when_outer_is_killed() {
    let busy = Busy::start(support::case("is_busy")).unwrap();
    assert_eq!(
        busy.assert_nothing_is_left_after(Signal::SIGKILL, 0),
        SIGKILLED
    );
}

fn nothing_is_left_when_init_is_killed() {
    let busy = Busy::start(support::case("is_busy")).unwrap();
    assert_eq!(
        busy.assert_nothing_is_left_after(Signal::SIGKILL, 1),
        exit_code(137)
    );
}

fn nothing_is_left_when_the_harness_is_killed() {
    let busy = Busy::start(support::case("is_busy")).unwrap();
    assert_eq!(
        busy.assert_nothing_is_left_after(Signal::SIGKILL, 2),
        exit_code(137)
    );
}

fn nothing_is_left_when_the_harness_just_exits() {
    let busy = Busy::start(support::case("is_busy")).unwrap();
    assert_eq!(
        busy.assert_nothing_is_left_after(Signal::SIGUSR1, 2),
        exit_code(5)
    );
}

fn nothing_is_left_of_an_unprivileged_users_sandbox() {
    match Busy::start(unprivileged("is_busy")) {
        Ok(busy) => {
            assert_eq!(
                busy.assert_nothing_is_left_after(Signal::SIGKILL, 2),
                exit_code(137)
            );
        }
        // Where an ordinary user may not have TUN devices, that is what it must say.
        Err(why) => assert!(why.contains("chmod 0666 /dev/net/tun"), "{why}"),
    }
}

fn nothing_is_left_when_outer_is_killed_at_any_moment_of_its_start() {
    for round in 0..40 {
        let mark = Mark::new(1000 + round);
        let mut outer = mark
            .put_on(&mut support::case("is_busy"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before its first instruction until after it is ready.
        std::thread::sleep(Duration::from_micros(u64::from(round) * 700));
        outer.kill().unwrap();
        let killed = Instant::now();
        while !mark.processes().is_empty() {
            assert!(
                killed.elapsed() < Duration::from_secs(1),
                "round {round}: {:?}",
                mark.processes()
            );
        }
        outer.wait().unwrap();
    }
}
