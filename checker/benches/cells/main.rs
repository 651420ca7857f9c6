//! The table of 640 cells: kind × length × clients × crashes × valid or violated.
//!
//! `cargo bench -p ordeal-checker --bench cells` runs all; words after `--` choose: kinds (`reg5`
//! `regu` `kv10` `kv`), `n=1000,10000`, `c=5,10`, `crash=0,20`, `valid`, `violated`, `seconds=60`,
//! `seed=1`. Every cell runs in a process of its own, so that its peak memory is its own: the time
//! is that of the check, explanation included; the memory is the process's, the history and its
//! making included. Both limits are hard: the kernel refuses more than [`MEGABYTES_MAX`] of data,
//! and who takes [`GRACE`] longer than the time limit is killed.

#![allow(missing_docs)]

mod load;

use std::env;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use load::Load;
use ordeal_checker::budget::Budget;
use ordeal_checker::linearizability::check;
use ordeal_checker::model::{CasRegister, PerKey};

/// A cell that takes more is not decided.
const MEGABYTES_MAX: u64 = 2048;
/// For making the history, which is not on the clock, and for the last look at it.
const GRACE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
struct Cell {
    kind: String,
    load: Load,
}

fn main() {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if words.first().is_some_and(|word| word == "--cell") {
        run_cell(&words[1..]);
    } else {
        run_table(&words);
    }
}

fn load_of(kind: &str) -> (u64, Option<u64>) {
    match kind {
        "reg5" => (1, Some(5)),
        "regu" => (1, None),
        "kv10" => (10, None),
        "kv" => (100, None),
        "kv10-5" => (10, Some(5)),
        "kv-5" => (100, Some(5)),
        other => panic!("no such kind: {other}"),
    }
}

/// In the child: one history, one verdict, one line.
fn run_cell(words: &[String]) {
    let number = |place: usize| words[place].parse::<u64>().expect("a number");
    let (keys, values) = load_of(&words[0]);
    let load = Load {
        operations: number(1),
        clients: usize::try_from(number(2)).expect("few clients"),
        crash_per_1000: number(3),
        keys,
        values,
        is_violated: words[4] == "violated",
    };
    let history = load.history(number(5));
    let budget = Budget {
        states_max: u64::MAX,
        bytes_max: 1 << 30,
        wall_max: Some(Duration::from_secs(number(6))),
    };
    let began = Instant::now();
    let verdict = check(&PerKey::<u64, CasRegister>::default(), &history, &budget);
    let states: u64 = verdict.keys.iter().map(|key| key.states).sum();
    println!(
        "{} {} {} {states}",
        verdict.validity(),
        began.elapsed().as_micros(),
        peak_megabytes()
    );
}

fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.expect("VmHWM is a number of kB") / 1024
}

struct Answer {
    is_right: bool,
    words: String,
    microseconds: u64,
    megabytes: u64,
}

fn ask_child(cell: &Cell, seed: u64, seconds: u64) -> Answer {
    let load = cell.load;
    let expected = if load.is_violated { "invalid" } else { "valid" };
    // The shell sets the limit, as only a process can for itself, and becomes the cell.
    let limit = format!("ulimit -d {}; exec \"$0\" \"$@\"", MEGABYTES_MAX * 1024);
    let mut child = Command::new("sh")
        .args(["-c", &limit])
        .arg(env::current_exe().expect("we run"))
        .arg("--cell")
        .arg(&cell.kind)
        .args([load.operations, load.clients as u64, load.crash_per_1000].map(|n| n.to_string()))
        .arg(if load.is_violated {
            "violated"
        } else {
            "valid"
        })
        .args([seed, seconds].map(|n| n.to_string()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child starts");
    let line = line_within(&mut child, Duration::from_secs(seconds) + GRACE);
    let parts: Vec<&str> = line.split_whitespace().collect();
    let [verdict, microseconds, megabytes, _states] = parts[..] else {
        return Answer {
            is_right: false,
            words: "died".into(),
            microseconds: 0,
            megabytes: 0,
        };
    };
    let microseconds: u64 = microseconds.parse().expect("we wrote it");
    let megabytes: u64 = megabytes.parse().expect("we wrote it");
    assert!(
        verdict == expected || verdict == "unknown",
        "WRONG: {cell:?} seed {seed}: {verdict}"
    );
    let is_right =
        verdict == expected && megabytes <= MEGABYTES_MAX && microseconds <= seconds * 1_000_000;
    let time = match microseconds {
        0..1_000_000 => format!("{}.{}ms", microseconds / 1000, microseconds % 1000 / 100),
        _ => format!(
            "{}.{:02}s",
            microseconds / 1_000_000,
            microseconds % 1_000_000 / 10_000
        ),
    };
    let words = if is_right {
        format!("{time} {megabytes}M")
    } else {
        format!("?{time} {megabytes}M")
    };
    Answer {
        is_right,
        words,
        microseconds,
        megabytes,
    }
}

/// What the child says, if it says it in time.
fn line_within(child: &mut Child, time: Duration) -> String {
    let mut out = child.stdout.take().expect("it is piped");
    let (sender, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut line = String::new();
        // What cannot be read was not said.
        let _ = out.read_to_string(&mut line);
        let _ = sender.send(line);
    });
    let line = said.recv_timeout(time).unwrap_or_else(|_| {
        child.kill().expect("it is ours");
        String::new()
    });
    child.wait().expect("it is ours");
    reader.join().expect("it only reads");
    line
}

struct Choice {
    kinds: Vec<String>,
    operations: Vec<u64>,
    clients: Vec<u64>,
    crashes: Vec<u64>,
    violated: Vec<bool>,
    seconds: u64,
    seed: u64,
}

fn choice(words: &[String]) -> Choice {
    let list = |name: &str, all: &[u64]| {
        let given = words.iter().find_map(|word| word.strip_prefix(name));
        given.map_or(all.to_vec(), |given| {
            given
                .split(',')
                .map(|n| n.parse().expect("a number"))
                .collect()
        })
    };
    let has = |name: &str| words.iter().any(|word| word == name);
    let mut kinds: Vec<String> = words
        .iter()
        .filter(|word| word.starts_with("reg") || word.starts_with("kv"))
        .cloned()
        .collect();
    if kinds.is_empty() {
        kinds = ["reg5", "regu", "kv10", "kv"].map(String::from).to_vec();
    }
    Choice {
        kinds,
        operations: list("n=", &[1_000, 10_000, 100_000, 1_000_000]),
        clients: list("c=", &[5, 10, 20, 50, 100]),
        crashes: list("crash=", &[0, 1, 5, 20]),
        violated: match (has("valid"), has("violated")) {
            (true, false) => vec![false],
            (false, true) => vec![true],
            _ => vec![false, true],
        },
        seconds: list("seconds=", &[60])[0],
        seed: list("seed=", &[1])[0],
    }
}

/// Median and worst of time and peak memory.
fn summary(largest: &[(u64, u64)]) -> String {
    let (mut times, mut peaks): (Vec<u64>, Vec<u64>) = largest.iter().copied().unzip();
    times.sort_unstable();
    peaks.sort_unstable();
    let (middle, last) = (times.len() / 2, times.len() - 1);
    format!(
        "time median {} ms, worst {} ms; peak memory median {} MB, worst {} MB",
        times[middle] / 1000,
        times[last] / 1000,
        peaks[middle],
        peaks[last]
    )
}

fn run_table(words: &[String]) {
    let choice = choice(words);
    let (mut decided, mut cells) = (0, 0);
    for kind in &choice.kinds {
        let (keys, values) = load_of(kind);
        for &is_violated in &choice.violated {
            let truth = if is_violated { "violated" } else { "valid" };
            println!(
                "\n{kind}, {truth}\n\n| crash/1000 | C | {:?} |",
                choice.operations
            );
            let mut largest: Vec<(u64, u64)> = Vec::new();
            let before = (decided, cells);
            for &crash_per_1000 in &choice.crashes {
                for &clients in &choice.clients {
                    let mut row = format!("| {crash_per_1000} | {clients} |");
                    for &operations in &choice.operations {
                        let clients = usize::try_from(clients).expect("few clients");
                        let load = Load {
                            operations,
                            clients,
                            crash_per_1000,
                            keys,
                            values,
                            is_violated,
                        };
                        let cell = Cell {
                            kind: kind.clone(),
                            load,
                        };
                        let answer = ask_child(&cell, choice.seed, choice.seconds);
                        row.push_str(&format!(" {} |", answer.words));
                        cells += 1;
                        decided += u32::from(answer.is_right);
                        if Some(&operations) == choice.operations.last() {
                            largest.push((answer.microseconds, answer.megabytes));
                        }
                    }
                    println!("{row}");
                }
            }
            println!(
                "{} of {} decided; longest histories: {}",
                decided - before.0,
                cells - before.1,
                summary(&largest)
            );
        }
    }
    println!("\n{decided} of {cells} cells decided");
}
