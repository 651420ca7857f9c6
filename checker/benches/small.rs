//! How long a small file takes from opening it to the verdict.
//!
//! `cargo bench -p ordeal-checker --bench small -- FILE…`: the median of 20 repeats inside one
//! process for each file, slowest first; ends with 1 if one is above a millisecond.

#![allow(missing_docs)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ordeal_checker::judge::{JudgeError, Options, check_file};

const REPEATS: usize = 20;
const MEDIAN_MAX: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let files = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let mut medians = Vec::new();
    for file in files {
        match median(Path::new(&file)) {
            Ok(median) => medians.push((median, file)),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    medians.sort();
    for (median, file) in medians.iter().rev() {
        println!("{:>8.3} ms  {file}", median.as_secs_f64() * 1e3);
    }
    let slow = medians.iter().filter(|(median, _)| *median > MEDIAN_MAX);
    let slow = slow.count();
    println!("{} files, {slow} above {MEDIAN_MAX:?}", medians.len());
    ExitCode::from(u8::from(slow > 0))
}

fn median(path: &Path) -> Result<Duration, JudgeError> {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let began = Instant::now();
        std::hint::black_box(check_file(path, &Options::default())?);
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[REPEATS / 2])
}
