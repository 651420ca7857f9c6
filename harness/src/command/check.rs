//! `ordeal check`: judges history files, an earlier run's own or other tools'.
//!
//! A run's own history goes through the checks of its workload, so that it gets the verdict of its
//! run; every other file through the checker, as the object that it is of.

use crate::args::{CheckArgs, Limit};
use crate::console::{end, print};
use crate::verdict::Exit;
use ordeal_checker::format::{Format, FormatError, Reading};
use ordeal_checker::judge::{self, JudgeError};
use ordeal_checker::verdict::{Finding, Validity};
use ordeal_workloads::check::{Effort, Unjudgeable};
use ordeal_workloads::{Name as WorkloadName, workload};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// What became of one file that could be judged.
#[derive(Serialize)]
struct Judged {
    path: PathBuf,
    validity: Validity,
    format: String,
    /// What it was judged as: a model or a workload.
    judged_as: String,
    /// What of that nobody said.
    guessed: Vec<&'static str>,
    events: usize,
    /// The last line, where it is cut off and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_line: Option<usize>,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
}

/// A file that could not.
#[derive(Serialize)]
struct Refused {
    path: PathBuf,
    error: String,
}

/// One file's line in the JSON and in the summary.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Judged(Judged),
    Refused(Refused),
}

/// Why a file cannot be judged.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Judge(#[from] JudgeError),
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = path.display())]
    Format { path: PathBuf, source: FormatError },
    #[error("{path}: as a history of {workload}: {source}", path = path.display())]
    Workload {
        path: PathBuf,
        workload: WorkloadName,
        source: Unjudgeable,
    },
}

/// Judges every file and tells; the worst of them is the exit code.
pub(crate) fn check(args: &CheckArgs) -> Exit {
    let mut outcomes = Vec::new();
    let mut printed = Ok(());
    for path in &args.files {
        let outcome = match judge_one(path, args) {
            Ok(judged) => Outcome::Judged(judged),
            Err(failure) => {
                crate::console::say(format_args!("ordeal: {failure}"));
                Outcome::Refused(Refused {
                    path: path.clone(),
                    error: failure.to_string(),
                })
            }
        };
        if !args.json {
            printed = printed.and_then(|()| print(&outcome.told(args.explain)));
        }
        outcomes.push(outcome);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&outcomes).expect("verdicts are plain data");
        printed = print(&format!("{text}\n"));
    } else if outcomes.len() > 1 {
        printed = printed.and_then(|()| print(&table(&outcomes)));
    }
    let worst = outcomes.iter().map(Outcome::exit).max_by_key(rank);
    end(printed, worst.unwrap_or(Exit::Usage))
}

/// A violation outranks everything, and a file that nobody could read outranks not knowing.
fn rank(exit: &Exit) -> u8 {
    match exit {
        Exit::Violated => 3,
        Exit::Usage => 2,
        Exit::Undecided => 1,
        _ => 0,
    }
}

/// How many workers there were does not matter to what must hold.
const WORKERS: u32 = 10;

/// The file, or that of the folder of a run; `-` is what comes in.
pub(super) fn history_in(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join("history.jsonl"),
        false if path == Path::new("-") => PathBuf::from("/dev/stdin"),
        false => path.to_owned(),
    }
}

/// What became of a last line that is cut off.
pub(super) fn torn(line: usize) -> String {
    format!("line {line}, the last, is cut off, as by a kill of its writer: it is left out")
}

fn judge_one(path: &Path, args: &CheckArgs) -> Result<Judged, Failure> {
    let path = history_in(path);
    let is_run = args.model.is_none() && (args.workload.is_some() || is_of_a_run(&path, args)?);
    if is_run {
        let name = match args.workload {
            Some(name) => Some(name),
            None => workload_of(&path)?,
        };
        if let Some(name) = name {
            return judge_run(&path, name, args);
        }
    }
    let report = judge::check_file(&path, &args.options())?;
    let guesses = [
        (args.format.is_none(), "format"),
        (args.model.is_none(), "model"),
    ];
    Ok(Judged {
        path,
        validity: report.finding.validity,
        format: report.format.to_string(),
        judged_as: report.model.to_string(),
        guessed: guesses.iter().filter(|(is, _)| *is).map(|g| g.1).collect(),
        events: report.events,
        torn_line: report.torn,
        findings: vec![report.finding],
        explanation: report.explanation,
    })
}

/// A run records in which phase an operation was done, from the very first one.
fn is_of_a_run(path: &Path, args: &CheckArgs) -> Result<bool, Failure> {
    // What comes through a pipe can be read once only, and a run leaves a file.
    let is_file = std::fs::metadata(path).is_ok_and(|file| file.is_file());
    if !is_file || !matches!(args.format, None | Some(Format::Jsonl)) {
        return Ok(false);
    }
    // Whatever is wrong with the line is for the checker to say.
    let first = reading(path)?.next();
    Ok(first.is_some_and(|line| line.is_ok_and(|(_, event)| event.phase.is_some())))
}

/// The events of a run's own history, one by one, with their lines.
fn reading(path: &Path) -> Result<Reading, Failure> {
    let io = |source| Failure::Io {
        path: path.to_owned(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(io)?);
    let reading = Reading::open(file, Some(Format::Jsonl)).map_err(io)?;
    Ok(reading.expect("its format is known"))
}

fn unread(path: &Path, source: FormatError) -> Failure {
    Failure::Format {
        path: path.to_owned(),
        source,
    }
}

/// The workload whose operations these are: no two have one of the same name.
fn workload_of(path: &Path) -> Result<Option<WorkloadName>, Failure> {
    let Some(first) = reading(path)?.next() else {
        return Ok(None);
    };
    let (_, event) = first.map_err(|source| unread(path, source))?;
    Ok(match event.f.as_str() {
        "read" | "write" | "cas" => Some(WorkloadName::Register),
        "add" | "read-set" => Some(WorkloadName::Set),
        _ => None,
    })
}

fn judge_run(path: &Path, name: WorkloadName, args: &CheckArgs) -> Result<Judged, Failure> {
    let mut effort = Effort::default();
    for limit in &args.limits {
        match limit {
            Limit::States(states) => effort.states_max = *states,
            Limit::Bytes(bytes) => effort.bytes_max = *bytes,
            Limit::Time(time) => effort.wall_max = Some(time.0),
        }
    }
    let checks = workload(name, WORKERS).checks();
    let mut judges: Vec<_> = checks.iter().map(|check| check.begin()).collect();
    let mut count = 0;
    let mut lines = reading(path)?;
    for event in lines.by_ref() {
        let (line, event) = event.map_err(|source| unread(path, source))?;
        for judge in &mut judges {
            judge
                .see(line, &event)
                .map_err(|source| Failure::Workload {
                    path: path.to_owned(),
                    workload: name,
                    source,
                })?;
        }
        count += 1;
    }
    if count == 0 {
        return Err(match lines.into_torn() {
            Some(torn) => unread(path, torn),
            None => JudgeError::Empty(path.to_owned(), Format::Jsonl).into(),
        });
    }
    let judgements: Vec<_> = judges
        .into_iter()
        .map(|judge| judge.finish(&effort))
        .collect();
    let explanations = judgements
        .iter()
        .filter_map(|told| told.explanation.clone());
    let explanation = explanations.reduce(|all, next| format!("{all}\n{next}"));
    let findings: Vec<Finding> = judgements.into_iter().map(|told| told.finding).collect();
    Ok(Judged {
        path: path.to_owned(),
        validity: Validity::worst(findings.iter().map(|finding| finding.validity)),
        format: Format::Jsonl.to_string(),
        judged_as: format!("a run's {name} workload"),
        guessed: args
            .workload
            .is_none()
            .then_some("workload")
            .into_iter()
            .collect(),
        events: count,
        torn_line: lines.torn(),
        explanation,
        findings,
    })
}

impl Outcome {
    fn exit(&self) -> Exit {
        match self {
            Outcome::Refused(_) => Exit::Usage,
            Outcome::Judged(judged) => match judged.validity {
                Validity::Valid => Exit::Valid,
                Validity::Unknown => Exit::Undecided,
                Validity::Invalid => Exit::Violated,
            },
        }
    }

    /// For a terminal; what is wrong with a refused file has been said already.
    fn told(&self, explain: bool) -> String {
        let Outcome::Judged(judged) = self else {
            return String::new();
        };
        let guessed = match judged.guessed.as_slice() {
            [] => String::new(),
            guessed => format!(" ({} guessed)", guessed.join(" and ")),
        };
        let mut text = format!(
            "{}: {}\n  judged as {}, read as {}{guessed}, {}\n",
            judged.path.display(),
            judged.validity.to_string().to_uppercase(),
            judged.judged_as,
            judged.format,
            counted(judged.events, "event"),
        );
        if let Some(line) = judged.torn_line {
            let _ = writeln!(text, "  {}", torn(line));
        }
        for finding in &judged.findings {
            let _ = writeln!(text, "  {:<8} {}", finding.validity, finding.summary);
            let is_drawn = explain
                && judged.explanation.is_some()
                && (judged.findings.len() == 1 || finding.check == "linearizability");
            let told = finding.anomalies.iter().take(ANOMALIES_MAX);
            for anomaly in told.filter(|_| !is_drawn) {
                let lines = anomaly.message.lines();
                lines.for_each(|line| text.push_str(&format!("           {line}\n")));
            }
        }
        if let Some(explanation) = judged.explanation.as_ref().filter(|_| explain) {
            let _ = write!(text, "\n{explanation}");
        }
        text
    }
}

/// `1 event`, `2 events`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// How many anomalies of a finding are told; `--json` has all.
const ANOMALIES_MAX: usize = 5;

/// A line a file, and how many there are of each.
fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n");
    let mut counts = [0_usize; 4];
    for outcome in outcomes {
        let (place, word, path, torn) = match outcome {
            Outcome::Refused(refused) => (3, "refused".to_owned(), &refused.path, None),
            Outcome::Judged(judged) => {
                let (place, word) = (judged.validity as usize, judged.validity.to_string());
                (place, word, &judged.path, judged.torn_line)
            }
        };
        counts[place] += 1;
        let torn = torn.map_or(String::new(), |line| {
            format!(" (without line {line}, cut off)")
        });
        let _ = writeln!(text, "{word:<8} {}{torn}", path.display());
    }
    let [valid, unknown, invalid, refused] = counts;
    let _ = writeln!(
        text,
        "\n{}: {valid} valid, {unknown} unknown, {invalid} invalid, {refused} refused",
        counted(outcomes.len(), "file")
    );
    text
}
