//! Judges history files in any known format: `cargo run --example check_file -- FILE…`
//!
//! Two short ones are in `examples/histories`.

use std::path::Path;
use std::process::ExitCode;

use ordeal_checker::judge::{JudgeError, Options, check_file};
use ordeal_checker::verdict::Validity;

fn main() -> ExitCode {
    let mut worst = Validity::Valid;
    for path in std::env::args().skip(1) {
        match judge(&path) {
            Ok((validity, words)) => {
                println!("{path}: {words}");
                worst = worst.max(validity);
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

/// The verdict, and what there is to say about it.
fn judge(path: &str) -> Result<(Validity, String), JudgeError> {
    let report = check_file(Path::new(path), &Options::default())?;
    let validity = report.finding.validity;
    let (format, model, summary) = (report.format, report.model, report.finding.summary);
    let mut words = format!("{validity} ({summary}; read as {format}, judged as {model})");
    if let Some(explanation) = report.explanation {
        words += &format!("\n\n{explanation}");
    }
    Ok((validity, words))
}

#[test]
fn each_file_is_read_and_judged_as_what_it_is() {
    let path = |name: &str| format!("{}/examples/histories/{name}", env!("CARGO_MANIFEST_DIR"));
    let (validity, words) = judge(&path("overlapping-read.jsonl")).unwrap();
    assert_eq!(validity, Validity::Valid);
    assert!(
        words.contains("read as jsonl, judged as register"),
        "{words}"
    );

    let (validity, words) = judge(&path("stale-read.edn")).unwrap();
    assert_eq!(validity, Validity::Invalid);
    assert!(
        words.contains("p3's read → 1 (lines 5 to 6) cannot come next"),
        "{words}"
    );

    assert!(judge(&path("missing.edn")).is_err());
}
