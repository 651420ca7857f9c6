//! What takes most memory, each in a process of its own: a million transactions, and a large file.
//!
//! `cargo bench -p ordeal-checker --bench large` runs all; words after `--` choose: `list-append`
//! (four operations each on 100 lists at a time: valid, with one G-single, and with one stale read;
//! `n=1000000`), `file` (own JSONL of registers, `megabytes=600`, `keys=100`), `transaction-file`
//! (the same transactions as own JSONL, valid and with one G-single). The time is that of the
//! check, for a file its reading included; the memory is the peak of the process.

#![allow(missing_docs)]

mod registers;
mod transaction_file;
mod transactions;

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, exit};
use std::time::Instant;

use ordeal_checker::budget::Budget;
use ordeal_checker::judge::{Options, check_file};
use ordeal_checker::transaction::{Kind, check};
use transactions::Fault;

fn main() {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let number = |name: &str, or: u64| {
        let given = words.iter().find_map(|word| word.strip_prefix(name));
        given.map_or(or, |given| given.parse().expect("a number"))
    };
    match words.first().map(String::as_str) {
        Some("--list-append") => return list_append(number("n=", 0), &words[1]),
        Some("--file") => return file(Path::new(&words[1])),
        _ => {}
    }
    let chosen = |name: &str| {
        let is_named = |word: &String| !word.contains('=');
        !words.iter().any(is_named) || words.iter().any(|word| word == name)
    };
    if chosen("list-append") {
        let count = format!("n={}", number("n=", 1_000_000));
        for fault in ["valid", "G-single", "G-single-realtime"] {
            alone(&["--list-append", fault, &count]);
        }
    }
    if chosen("file") {
        let (bytes, keys) = (number("megabytes=", 600) << 20, number("keys=", 100));
        checked(|path| registers::write(path, bytes, keys));
    }
    if chosen("transaction-file") {
        for fault in [Fault::Nothing, Fault::Skew] {
            let history = transactions::large(number("n=", 1_000_000), fault);
            checked(|path| transaction_file::write(path, &history));
        }
    }
}

/// Writes a file, has it checked, and takes it away.
fn checked(write: impl FnOnce(&Path) -> io::Result<()>) {
    let name = format!("ordeal-large-{}.jsonl", std::process::id());
    let path = env::temp_dir().join(name);
    write(&path).expect("there is room for the file");
    alone(&["--file", path.to_str().expect("we named it")]);
    fs::remove_file(&path).expect("it is ours");
}

/// Runs that in a process of its own, which says what it took.
fn alone(words: &[&str]) {
    let this = env::current_exe().expect("we run");
    let status = Command::new(this).args(words).status();
    if !status.expect("a child starts").success() {
        exit(1);
    }
}

fn list_append(count: u64, kind: &str) {
    let (fault, expected): (_, &[&str]) = match kind {
        "G-single" => (Fault::Skew, &["G-single"]),
        "G-single-realtime" => (Fault::Stale, &["G-single-realtime"]),
        _ => (Fault::Nothing, &[]),
    };
    let history = transactions::large(count, fault);
    let began = Instant::now();
    let verdict = check(Kind::ListAppend, &history, &Budget::default());
    let took = began.elapsed();
    let kinds: Vec<_> = verdict.violations.iter().map(|found| &found.kind).collect();
    assert_eq!(kinds, expected);
    println!(
        "list-append, {count} transactions, {kinds:?}: {:.2} s, peak {} MB",
        took.as_secs_f64(),
        peak_megabytes()
    );
}

fn file(path: &Path) {
    let began = Instant::now();
    let options = Options {
        budget: Budget {
            bytes_max: u64::MAX,
            ..Budget::default()
        },
        ..Options::default()
    };
    let report = check_file(path, &options).expect("we wrote it");
    let took = began.elapsed();
    let size = fs::metadata(path).expect("we wrote it").len() >> 20;
    let peak = peak_megabytes();
    println!(
        "file of {size} MB, {} events, {}: {:.2} s, peak {peak} MB, {} % of the file",
        report.events,
        report.finding.summary,
        took.as_secs_f64(),
        100 * peak / size.max(1)
    );
}

fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.expect("VmHWM is a number of kB") / 1024
}
