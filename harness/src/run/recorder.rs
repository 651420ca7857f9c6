//! Takes down what happens, line by line, as it happens: a killed harness leaves what it has seen.

use ordeal_checker::history::{Event, EventKind};
use ordeal_nemesis::Node;
use ordeal_nemesis::injector::FaultEvent;
use ordeal_nemesis::scenario::StepEvent;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a line may wait in memory.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// The evidence cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the evidence to {path}: {source}", path = path.display())]
pub(crate) struct RecordError {
    path: PathBuf,
    source: io::Error,
}

/// Writes one kind of evidence as JSON lines, on a thread of its own, and keeps it for the checks.
///
/// Dropping every [`Recorder`] handle and calling [`Recording::finish`] ends it.
pub(crate) struct Recording<T> {
    path: PathBuf,
    writer: JoinHandle<io::Result<Vec<T>>>,
}

/// A handle that workers write through; cheap to clone, never blocks.
pub(crate) struct Recorder<T> {
    lines: Sender<T>,
}

impl<T> Clone for Recorder<T> {
    fn clone(&self) -> Self {
        Recorder {
            lines: self.lines.clone(),
        }
    }
}

impl<T> Recorder<T> {
    /// Takes down one line.
    pub(crate) fn record(&self, line: T) {
        // The writer stops early only when it cannot write, which `finish` reports.
        let _ = self.lines.send(line);
    }
}

/// Starts taking down into that file; `number` gives each line its place.
///
/// # Errors
/// If the file cannot be made.
pub(crate) fn record<T: Serialize + Send + 'static>(
    path: &Path,
    number: fn(&mut T, u64),
) -> Result<(Recorder<T>, Recording<T>), RecordError> {
    let fails = |source| RecordError {
        path: path.to_owned(),
        source,
    };
    let file = File::create(path).map_err(fails)?;
    let (lines, received) = channel();
    let writer = std::thread::Builder::new()
        .name("recorder".into())
        .spawn(move || write_lines(file, &received, number))
        .map_err(fails)?;
    Ok((
        Recorder { lines },
        Recording {
            path: path.to_owned(),
            writer,
        },
    ))
}

fn write_lines<T: Serialize>(
    file: File,
    lines: &Receiver<T>,
    number: fn(&mut T, u64),
) -> io::Result<Vec<T>> {
    let mut out = BufWriter::new(file);
    let mut kept = Vec::new();
    let mut flushed = Instant::now();
    loop {
        if flushed.elapsed() >= FLUSH_EVERY {
            out.flush()?;
            flushed = Instant::now();
        }
        match lines.recv_timeout(FLUSH_EVERY) {
            Ok(mut line) => {
                number(&mut line, kept.len() as u64);
                serde_json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
                kept.push(line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    out.into_inner()?.sync_all()?;
    Ok(kept)
}

impl<T> Recording<T> {
    /// Waits until everything is on disk, and hands it over. Every handle must be gone.
    ///
    /// # Errors
    /// If anything could not be written.
    pub(crate) fn finish(self) -> Result<Vec<T>, RecordError> {
        let lines = self.writer.join().expect("the recorder does not panic");
        lines.map_err(|source| RecordError {
            path: self.path,
            source,
        })
    }
}

/// One line of `faults.jsonl`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum FaultLine {
    /// Of a fault.
    Fault(FaultEvent),
    /// Of a scenario's step.
    Step(StepEvent),
}

/// How many operations ended how, so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    begun: AtomicU64,
    ok: AtomicU64,
    fail: AtomicU64,
    info: AtomicU64,
    /// How many were ok at each node.
    ok_at: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    /// Counts an invocation or a completion.
    pub(crate) fn count(&self, event: &Event) {
        match event.kind {
            EventKind::Invoke => &self.begun,
            EventKind::Ok => &self.ok,
            EventKind::Fail => &self.fail,
            EventKind::Info => &self.info,
        }
        .fetch_add(1, Relaxed);
        if let (EventKind::Ok, Some(node)) = (event.kind, &event.node) {
            let mut ok_at = self.ok_at.lock().unwrap_or_else(PoisonError::into_inner);
            match ok_at.get_mut(node) {
                Some(count) => *count += 1,
                None => drop(ok_at.insert(node.clone(), 1)),
            }
        }
    }

    /// How many operations were ok at this node so far.
    pub(crate) fn ok_at(&self, node: Node) -> u64 {
        let ok_at = self.ok_at.lock().unwrap_or_else(PoisonError::into_inner);
        ok_at.get(&node.to_string()).copied().unwrap_or(0)
    }

    /// How many operations have begun and not ended.
    pub(crate) fn under_way(&self) -> u64 {
        // The ended ones first: one that ends in between counts as under way still.
        let ended: u64 = self.read().iter().sum();
        self.begun.load(Relaxed).saturating_sub(ended)
    }

    /// Ok, fail and info so far.
    pub(crate) fn read(&self) -> [u64; 3] {
        [&self.ok, &self.fail, &self.info].map(|counter| counter.load(Relaxed))
    }
}

/// Takes down client events and counts them.
#[derive(Clone)]
pub(crate) struct HistoryRecorder {
    lines: Recorder<Event>,
    counters: Arc<Counters>,
    /// Who wants to see every event at once.
    watch: Option<Sender<Event>>,
}

impl HistoryRecorder {
    /// Takes down into `history.jsonl` at that path.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(crate) fn create(path: &Path) -> Result<(Self, Recording<Event>), RecordError> {
        let (lines, recording) = record(path, |event: &mut Event, index| event.index = index)?;
        Ok((
            HistoryRecorder {
                lines,
                counters: Arc::default(),
                watch: None,
            },
            recording,
        ))
    }

    /// From now on also shows every event to that one.
    pub(crate) fn watched_by(&mut self, watch: Sender<Event>) {
        self.watch = Some(watch);
    }

    /// Takes down one event.
    pub(crate) fn record(&self, event: Event) {
        self.counters.count(&event);
        if let Some(watch) = &self.watch {
            // The watch may have seen enough.
            let _ = watch.send(event.clone());
        }
        self.lines.record(event);
    }

    /// The counters, for the live line.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_checker::history::{Process, Time};
    use serde_json::Value;

    fn event(kind: EventKind) -> Event {
        Event {
            index: 0,
            process: Process(1),
            kind,
            f: "read".into(),
            key: None,
            value: Value::Null,
            time: Time(5),
            node: Some("n1".into()),
            term: None,
            log_index: None,
            error: None,
            phase: None,
        }
    }

    #[test]
    fn what_was_recorded_is_on_disk_in_order_and_numbered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let (recorder, recording) = HistoryRecorder::create(&path).unwrap();
        recorder.record(event(EventKind::Invoke));
        recorder.record(event(EventKind::Ok));
        assert_eq!(recorder.counters().read(), [1, 0, 0]);
        assert_eq!(recorder.counters().ok_at(Node(1)), 1);
        assert_eq!(recorder.counters().under_way(), 0);
        drop(recorder);
        let kept = recording.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Event> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, kept);
        assert_eq!(
            read.iter().map(|event| event.index).collect::<Vec<_>>(),
            [0, 1]
        );
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_a_shorter_history() {
        let (recorder, recording) = HistoryRecorder::create(Path::new("/dev/full")).unwrap();
        recorder.record(event(EventKind::Invoke));
        drop(recorder);
        let error = recording.finish().unwrap_err().to_string();
        assert!(error.contains("/dev/full"), "{error}");
    }
}
