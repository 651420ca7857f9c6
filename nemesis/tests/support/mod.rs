//! A runner for tests that need a process with a single thread: one process a test, in a sandbox of
//! its own or outside any, with libtest's words on the terminal.
//!
//! A test that cannot look at what it is about, since this machine lacks it, says so ([`lacks`])
//! and counts as ignored, with the reason. What `ORDEAL_REQUIRE` names, as in `fuse netem`, this
//! machine has to have: its lack is a failure. With `all` everything is required, and that each
//! filter means some test too.
#![allow(dead_code, reason = "each test file uses a part of this")]

pub(crate) mod line;
pub(crate) mod probes;
pub(crate) mod told;

use std::{
    env,
    io::Read,
    process::{Command, ExitCode, Stdio},
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Node,
    disk::{Directories, DiskError, FuseDisks},
    sandbox::{self, Sandbox},
};

use self::told::{Outcome, Told};

/// Where a test runs, and what it is.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// In the harness's place inside a sandbox.
    Inside(fn(&Sandbox)),
    /// The same, where disks of ours can be mounted there; ignored elsewhere.
    OnDisks(fn(&Sandbox)),
    /// In an ordinary process: it may start sandboxes and look at them from outside.
    Outside(fn()),
    /// No test: a program that tests start, with the arguments that they give it.
    Program(fn(&[String])),
}

/// A test (or program) and its name.
pub(crate) type Case = (&'static str, Body);

/// Makes the list of cases from function names.
#[macro_export]
macro_rules! cases {
    ($($place:ident $name:ident),+ $(,)?) => {
        [$((stringify!($name), $crate::support::Body::$place($name))),+]
    };
}

/// The whole `main` of a test file.
pub(crate) fn main(cases: &[Case]) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [flag, name, rest @ ..] = args.as_slice()
        && flag == "--case"
    {
        let (_, body) = cases
            .iter()
            .find(|case| case.0 == name)
            .expect("no such case");
        return run_body(*body, rest);
    }
    let tests: Vec<&Case> = cases.iter().filter(|case| is_wanted(case, &args)).collect();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if is_required(EVERYTHING) {
        let is_meant = |filter: &str| cases.iter().any(|case| case.0.contains(filter));
        let unmeant = filters(&args).find(|filter| !is_meant(filter));
        if tests.is_empty() || unmeant.is_some() {
            println!(
                "error: no test is called `{}`",
                unmeant.map_or("", String::as_str)
            );
            return ExitCode::FAILURE;
        }
    }
    run_tests(&tests, args.iter().any(|arg| arg == "--nocapture"))
}

/// The word for whatever a machine may lack.
const EVERYTHING: &str = "all";

/// Whether this machine has to have what goes by this word.
fn is_required(word: &str) -> bool {
    let required = env::var("ORDEAL_REQUIRE").unwrap_or_default();
    required
        .split_whitespace()
        .any(|one| one == word || one == EVERYTHING)
}

/// What this process's test could not look at, since the machine lacks it.
static LACKING: Mutex<Option<String>> = Mutex::new(None);

/// The exit code of a test that was not done.
const IGNORED: u8 = 77;

/// Says that the test running in this process could not look at what it is about, for lack of what
/// goes by this word; it has to return then.
pub(crate) fn lacks(word: &str, what: impl std::fmt::Display) {
    assert!(!is_required(word), "{word} is required here: {what}");
    println!("lacking: {word}: {what}");
    *LACKING.lock().expect("nobody panics with it") = Some(what.to_string());
}

/// Whether a disk of ours can be mounted here, as is tried; where not, the test is ignored, once
/// that was refused with what to do.
pub(crate) fn has_disks(sandbox: &Sandbox) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [(Node(1), folder.path().to_owned())].into();
    match FuseDisks::mount(sandbox, paths, Directories::Journalled) {
        Ok(_) => true,
        Err(error @ DiskError::Fuse { .. }) => {
            assert!(error.to_string().contains("/dev/fuse"), "{error}");
            lacks("fuse", error);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// What the test that `output` is of could not look at, if it was ignored.
pub(crate) fn lacking(output: &str) -> Option<&str> {
    let mut lines = output.lines().rev();
    lines.find_map(|line| line.strip_prefix("lacking: "))
}

/// A command for `name`, a case of this file, in a process of its own.
pub(crate) fn case(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test's own path"));
    command.args(["--case", name]).stdin(Stdio::null());
    command
}

fn run_body(body: Body, args: &[String]) -> ExitCode {
    match body {
        Body::Inside(test) | Body::OnDisks(test) => match sandbox::enter() {
            Ok(sandbox) => {
                if !matches!(body, Body::OnDisks(_)) || has_disks(&sandbox) {
                    test(&sandbox);
                }
            }
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(70);
            }
        },
        Body::Outside(test) => test(),
        Body::Program(program) => program(args),
    }
    let lacking = LACKING.lock().expect("nobody panics with it").is_some();
    ExitCode::from(if lacking { IGNORED } else { 0 })
}

/// Whether libtest's arguments select it: the free arguments are parts of names.
fn is_wanted(case: &Case, args: &[String]) -> bool {
    let filters: Vec<&String> = filters(args).collect();
    let exact = args.iter().any(|arg| arg == "--exact");
    let matches = |filter: &&String| {
        if exact {
            case.0 == filter.as_str()
        } else {
            case.0.contains(filter.as_str())
        }
    };
    !matches!(case.1, Body::Program(_)) && (filters.is_empty() || filters.iter().any(matches))
}

fn filters(args: &[String]) -> impl Iterator<Item = &String> {
    args.iter().filter(|arg| !arg.starts_with('-'))
}

/// Longest time a test may take before it counts as hung.
const TEST_DEADLINE: Duration = Duration::from_secs(60);

fn run_tests(tests: &[&Case], shows_all: bool) -> ExitCode {
    let began = Instant::now();
    println!("\nrunning {} tests", tests.len());
    let mut told = Told::default();
    for (name, _) in tests {
        let (outcome, output) = run_test(name, &told);
        if shows_all {
            print!("{output}");
        }
        println!("test {name} ... {outcome}");
        told.add(name, outcome);
    }
    for (name, output) in told.failures() {
        println!("\n---- {name} ----\n{output}");
    }
    let [passed, failed, ignored] = told.counts();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; \
         0 measured; 0 filtered out; finished in {:.2}s\n",
        began.elapsed().as_secs_f64()
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Runs one test in its own process, which may know what became of those before it; also returns
/// what it printed.
fn run_test(name: &str, before: &Told) -> (Outcome, String) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = case(name);
    command.env(told::VARIABLE, before.to_string());
    command
        .stdout(writer.try_clone().expect("a pipe's end"))
        .stderr(writer);
    let mut child = command.spawn().expect("this very program can be started");
    // The command holds the pipe's other end: without it, reading would never end.
    drop(command);
    let (sender, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut chunk) {
            let _ = sender.send(chunk[..length].to_vec());
        }
    });
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            break status;
        }
        if began.elapsed() > TEST_DEADLINE {
            child.kill().expect("our own child");
            let _ = child.wait();
            let seconds = TEST_DEADLINE.as_secs();
            let why = format!("did not end within {seconds} s");
            return (Outcome::Failed(why), String::new());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    // What the test left running may hold the pipe open: no end of it is waited for.
    let patience = Duration::from_millis(if status.success() { 1 } else { 200 });
    let mut text = Vec::new();
    while let Ok(chunk) = output.recv_timeout(patience) {
        text.extend(chunk);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let outcome = if status.success() {
        Outcome::Passed
    } else if status.code() == Some(IGNORED.into()) {
        Outcome::Ignored(lacking(&text).unwrap_or("for no reason").to_owned())
    } else {
        Outcome::Failed(format!("{text}{status}"))
    };
    (outcome, text)
}

/// Looks at `condition` until it holds; panics with `what` when it does not within five seconds.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_told(|| what.to_owned(), condition);
}

/// The same, with words that are found when it does not.
pub(crate) fn eventually_told(what: impl Fn() -> String, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "not within 5 s: {}",
            what()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
