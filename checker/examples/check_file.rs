//! Judges history files in any known format: `cargo run --example check_file -- FILE…`

use std::path::Path;
use std::process::ExitCode;

use ordeal_checker::judge::{Options, check_file};
use ordeal_checker::verdict::Validity;

fn main() -> ExitCode {
    let mut worst = Validity::Valid;
    for path in std::env::args().skip(1) {
        match check_file(Path::new(&path), &Options::default()) {
            Ok(report) => {
                let finding = &report.finding;
                println!("{path}: {} ({})", finding.validity, finding.summary);
                if let Some(explanation) = &report.explanation {
                    println!("\n{explanation}");
                }
                worst = worst.max(finding.validity);
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(64);
            }
        }
    }
    ExitCode::from(match worst {
        Validity::Valid => 0,
        Validity::Unknown => 2,
        Validity::Invalid => 1,
    })
}
