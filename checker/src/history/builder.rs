//! The only way to a [`History`]: events in, and every malformed sequence refused.

use super::{History, Operation, OperationId, Outcome, Process, Reason, Time};
use std::collections::BTreeMap;

/// Collects invocations and completions into a [`History`].
///
/// Events of one process must come in their order; events of different processes may come in any.
#[derive(Debug)]
pub struct HistoryBuilder<O, R> {
    operations: Vec<Operation<O, R>>,
    processes: Processes,
}

/// What each process is doing, so that what none can do is refused. [`HistoryBuilder`] has one.
#[derive(Debug, Default)]
pub struct Processes(BTreeMap<Process, ProcessState>);

#[derive(Clone, Copy, Debug)]
enum ProcessState {
    /// Free since then.
    Idle(Time),
    /// Waiting since then for the operation at that place.
    Busy(Time, usize),
    /// Its last outcome was unknown.
    Retired,
}

impl Processes {
    /// A process asks for the operation that its caller knows by that place.
    ///
    /// # Errors
    /// If the process is busy or retired, or time runs backwards.
    pub fn invoke(
        &mut self,
        process: Process,
        at: Time,
        place: usize,
    ) -> Result<(), MalformedHistory> {
        match self.0.get(&process) {
            Some(ProcessState::Busy(..)) => return Err(MalformedHistory::StillOpen(process, at)),
            Some(ProcessState::Retired) => return Err(MalformedHistory::Retired(process, at)),
            Some(ProcessState::Idle(since)) if at < *since => {
                return Err(MalformedHistory::Backwards(process, at, *since));
            }
            Some(ProcessState::Idle(_)) | None => {}
        }
        self.0.insert(process, ProcessState::Busy(at, place));
        Ok(())
    }

    /// A process hears what became of its operation, whose place that is.
    ///
    /// # Errors
    /// If the process has none open, or time runs backwards.
    pub fn complete(
        &mut self,
        process: Process,
        at: Time,
        is_info: bool,
    ) -> Result<usize, MalformedHistory> {
        let Some(ProcessState::Busy(since, place)) = self.0.get(&process).copied() else {
            return Err(MalformedHistory::NotOpen(process, at));
        };
        if at < since {
            return Err(MalformedHistory::Backwards(process, at, since));
        }
        let next = if is_info {
            ProcessState::Retired
        } else {
            ProcessState::Idle(at)
        };
        self.0.insert(process, next);
        Ok(place)
    }

    /// True where its last outcome was unknown.
    pub(crate) fn is_retired(&self, process: Process) -> bool {
        matches!(self.0.get(&process), Some(ProcessState::Retired))
    }
}

/// A sequence of events that no set of clients could have seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHistory {
    /// A process asked again before its last answer.
    #[error("process {0} invoked at {1} while its last operation was still open")]
    StillOpen(Process, Time),
    /// A process went on after an unknown outcome.
    #[error(
        "process {0} invoked at {1} after an unknown outcome: a process retires then, \
         and its worker goes on under a new process id"
    )]
    Retired(Process, Time),
    /// A completion without an invocation.
    #[error("process {0} completed at {1} what it never invoked")]
    NotOpen(Process, Time),
    /// Time ran backwards within a process.
    #[error("process {0} has an event at {1}, before its previous one at {2}")]
    Backwards(Process, Time, Time),
}

impl<O, R> Default for HistoryBuilder<O, R> {
    fn default() -> Self {
        HistoryBuilder {
            operations: Vec::new(),
            processes: Processes::default(),
        }
    }
}

impl<O, R> HistoryBuilder<O, R> {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// A process asks for `op`.
    ///
    /// # Errors
    /// If the process is busy or retired, or time runs backwards.
    pub fn invoke(&mut self, process: Process, at: Time, op: O) -> Result<(), MalformedHistory> {
        self.processes.invoke(process, at, self.operations.len())?;
        self.operations.push(Operation {
            id: OperationId(self.operations.len()),
            process,
            op,
            invoked: at,
            completed: None,
            outcome: Outcome::Info(Reason("still open at the end of the history".into())),
        });
        Ok(())
    }

    /// A process hears what became of its operation.
    ///
    /// # Errors
    /// If the process has none open, or time runs backwards.
    pub fn complete(
        &mut self,
        process: Process,
        at: Time,
        outcome: Outcome<R>,
    ) -> Result<(), MalformedHistory> {
        let place = self.processes.complete(process, at, outcome.is_info())?;
        let operation = &mut self.operations[place];
        operation.completed = Some(at);
        operation.outcome = outcome;
        Ok(())
    }

    /// What was asked so far, in the order of asking; what is open counts as unknown.
    pub(crate) fn operations(&self) -> &[Operation<O, R>] {
        &self.operations
    }

    /// The history. Operations still open stay so: nobody knows what became of them.
    pub fn finish(self) -> History<O, R> {
        let mut operations = self.operations;
        operations.sort_by_key(|operation| (operation.invoked, operation.id));
        for (rank, operation) in operations.iter_mut().enumerate() {
            operation.id = OperationId(rank);
        }
        History { operations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> HistoryBuilder<&'static str, u8> {
        HistoryBuilder::new()
    }

    #[test]
    fn a_process_retires_after_info() {
        let mut history = builder();
        let p = Process(1);
        history.invoke(p, Time(1), "write").unwrap();
        history
            .complete(p, Time(2), Outcome::Info(Reason("timed out".into())))
            .unwrap();
        assert_eq!(
            history.invoke(p, Time(3), "read"),
            Err(MalformedHistory::Retired(p, Time(3)))
        );
    }

    #[test]
    fn a_process_has_one_operation_open() {
        let mut history = builder();
        let p = Process(1);
        history.invoke(p, Time(1), "write").unwrap();
        assert_eq!(
            history.invoke(p, Time(3), "read"),
            Err(MalformedHistory::StillOpen(p, Time(3)))
        );
    }

    #[test]
    fn a_completion_needs_an_invocation() {
        let mut history = builder();
        assert_eq!(
            history.complete(Process(1), Time(3), Outcome::Ok(1)),
            Err(MalformedHistory::NotOpen(Process(1), Time(3)))
        );
    }

    #[test]
    fn time_does_not_run_backwards_within_a_process() {
        let mut history = builder();
        let p = Process(1);
        history.invoke(p, Time(5), "write").unwrap();
        assert_eq!(
            history.complete(p, Time(4), Outcome::Ok(1)),
            Err(MalformedHistory::Backwards(p, Time(4), Time(5)))
        );
    }

    #[test]
    fn operations_come_out_in_order_of_invocation() {
        let mut history = builder();
        history.invoke(Process(1), Time(5), "later").unwrap();
        history.invoke(Process(2), Time(3), "earlier").unwrap();
        let history = history.finish();
        let ops: Vec<_> = history
            .operations()
            .iter()
            .map(|o| (o.id().0, *o.op()))
            .collect();
        assert_eq!(ops, [(0, "earlier"), (1, "later")]);
        assert!(history.operations()[0].outcome().is_info());
    }
}
