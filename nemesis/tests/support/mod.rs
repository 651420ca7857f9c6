//! A runner for tests that need a process with a single thread: one process a test, in a sandbox of
//! its own or outside any, with libtest's words on the terminal.
#![allow(dead_code, reason = "each test file uses a part of this")]

pub(crate) mod line;
pub(crate) mod probes;

use std::{
    env,
    io::Read,
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use ordeal_nemesis::sandbox::{self, Sandbox};

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
    run_tests(&tests)
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
    ExitCode::SUCCESS
}

/// Whether libtest's arguments select it: the free arguments are parts of names.
fn is_wanted(case: &Case, args: &[String]) -> bool {
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
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

/// Longest time a test may take before it counts as hung.
const TEST_DEADLINE: Duration = Duration::from_secs(60);

fn run_tests(tests: &[&Case]) -> ExitCode {
    let began = Instant::now();
    println!("\nrunning {} tests", tests.len());
    let mut failures = Vec::new();
    for (name, _) in tests {
        match run_test(name) {
            Ok(()) => println!("test {name} ... ok"),
            Err(output) => {
                println!("test {name} ... FAILED");
                failures.push((name, output));
            }
        }
    }
    for (name, output) in &failures {
        println!("\n---- {name} ----\n{output}");
    }
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; \
         finished in {:.2}s\n",
        tests.len() - failures.len(),
        failures.len(),
        began.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one test in its own process; on failure returns what it printed.
fn run_test(name: &str) -> Result<(), String> {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = case(name);
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
            return Err(format!("did not end within {} s", TEST_DEADLINE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if status.success() {
        return Ok(());
    }
    // What the test left running may hold the pipe open: no end of it is waited for.
    let mut text = Vec::new();
    while let Ok(chunk) = output.recv_timeout(Duration::from_millis(200)) {
        text.extend(chunk);
    }
    Err(format!("{}{status}", String::from_utf8_lossy(&text)))
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
