//! A runner for tests that need a process with a single thread: one process a test, in a sandbox of
//! its own or outside any, with libtest's words on the terminal.
//!
//! A test that cannot look at what it is about, since this machine lacks it, says so ([`lacks`])
//! and counts as ignored, with the reason. With `ORDEAL_REQUIRE_ALL` in the environment that is a
//! failure, and so is a filter that no test's name contains.
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

use ordeal_nemesis::sandbox::{self, Sandbox};

use self::told::{Outcome, Told};

/// Where a test runs, and what it is.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// In the harness's place inside a sandbox.
    Inside(fn(&Sandbox)),
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
    for filter in filters(&args).filter(|_| all_required()) {
        if !tests
            .iter()
            .any(|case| is_wanted(case, std::slice::from_ref(filter)))
        {
            println!("error: no test is called `{filter}`");
            return ExitCode::FAILURE;
        }
    }
    run_tests(&tests)
}

/// Whether each test has to look at what it is about.
fn all_required() -> bool {
    env::var_os("ORDEAL_REQUIRE_ALL").is_some()
}

/// What this process's test could not look at, since the machine lacks it.
static LACKING: Mutex<Option<String>> = Mutex::new(None);

/// The exit code of a test that was not done.
const IGNORED: u8 = 77;

/// Says that the test running in this process could not look at what it is about; it has to return
/// then.
pub(crate) fn lacks(what: impl std::fmt::Display) {
    println!("lacking: {what}");
    *LACKING.lock().expect("nobody panics with it") = Some(what.to_string());
}

/// A command for `name`, a case of this file, in a process of its own.
pub(crate) fn case(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test's own path"));
    command.args(["--case", name]).stdin(Stdio::null());
    command
}

fn run_body(body: Body, args: &[String]) -> ExitCode {
    match body {
        Body::Inside(test) => match sandbox::enter() {
            Ok(sandbox) => test(&sandbox),
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

fn run_tests(tests: &[&Case]) -> ExitCode {
    let began = Instant::now();
    println!("\nrunning {} tests", tests.len());
    let mut told = Told::default();
    for (name, _) in tests {
        let outcome = run_test(name, &told);
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

/// Runs one test in its own process, which may know what became of those before it.
fn run_test(name: &str, before: &Told) -> Outcome {
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
            return Outcome::Failed(format!("did not end within {seconds} s"));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if status.success() {
        return Outcome::Passed;
    }
    // What the test left running may hold the pipe open: no end of it is waited for.
    let mut text = Vec::new();
    while let Ok(chunk) = output.recv_timeout(Duration::from_millis(200)) {
        text.extend(chunk);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    if status.code() == Some(IGNORED.into()) && !all_required() {
        let lacking = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("lacking: "));
        return Outcome::Ignored(lacking.unwrap_or("for no reason").to_owned());
    }
    Outcome::Failed(format!("{text}{status}"))
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
