//! How long a small file takes from opening it to the verdict and, of a violation, its explanation
//! in words.
//!
//! `cargo bench -p ordeal-checker --bench small -- FILE…`: the median of 20 repeats inside one
//! process for each file, slowest first, and beside it the fastest of them, which tells what the
//! machine's other work cost. `PASS` where the median is at most a millisecond; ends with 1 if one
//! is above.

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
        match times(Path::new(&file)) {
            Ok(times) => medians.push((times[REPEATS / 2], times[0], file)),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    medians.sort();
    println!("      median    fastest");
    for (median, fastest, file) in medians.iter().rev() {
        let word = if *median > MEDIAN_MAX { "MISS" } else { "PASS" };
        let [median, fastest] = [median, fastest].map(|time| time.as_secs_f64() * 1e3);
        println!("{word} {median:>7.3} {fastest:>7.3} ms  {file}");
    }
    let slow = medians.iter().filter(|(median, ..)| *median > MEDIAN_MAX);
    let slow = slow.count();
    println!("{} files, {slow} above {MEDIAN_MAX:?}", medians.len());
    ExitCode::from(u8::from(slow > 0))
}

/// The shortest first.
fn times(path: &Path) -> Result<Vec<Duration>, JudgeError> {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let began = Instant::now();
        std::hint::black_box(check_file(path, &Options::default())?);
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times)
}
