//! Whether a fault ended a process that nobody had told to end.
//!
//! That both happened at once proves nothing: a node has its own reasons to end too. A fault is the
//! cause only of the end of a process that met it, and only of an end that it can bring about.

use super::{FaultRecord, attempt::Attempt};
use crate::{
    fault::Fault,
    node::Node,
    process::{Death, State},
};

impl FaultRecord {
    /// Whether this fault explains that death: the process met it, and ended itself; one that got
    /// no memory also says so. When it died is not looked at.
    pub fn explains(&self, death: &Death) -> bool {
        self.met_by.contains(&(death.node, death.pid)) && can_end(&self.planned.fault, death)
    }
}

impl Attempt<'_> {
    /// Takes down that this process met the fault.
    pub(super) fn has_met(&mut self, node: Node, pid: u32) {
        if !self.met_by.contains(&(node, pid)) {
            self.met_by.push((node, pid));
        }
    }

    /// The same of whoever runs now, or did last.
    pub(super) fn has_met_in(&mut self, node: Node, state: &State) {
        match state {
            State::Running { pid } | State::Paused { pid } => self.has_met(node, *pid),
            State::Died(death) => self.has_met(node, death.pid),
            State::Absent | State::Ended { .. } => {}
        }
    }

    /// Whether this fault explains that death.
    pub(super) fn explains(&self, death: &Death) -> bool {
        self.met_by.contains(&(death.node, death.pid)) && can_end(&self.planned.fault, death)
    }
}

/// Whether a fault of this kind ends processes in this way.
pub(super) fn can_end(fault: &Fault, death: &Death) -> bool {
    match fault {
        Fault::Memory(_) => death.is_by_itself() && death.tells_of_memory(),
        Fault::Disk(fault) => fault.ailment.is_noticed() && death.is_by_itself(),
        Fault::Damage(_) => death.is_by_itself(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proof::Effect, schedule::PlannedFault};

    fn record(fault: &str, met_by: &[(Node, u32)]) -> FaultRecord {
        FaultRecord {
            planned: PlannedFault {
                id: 1,
                at_ms: 0,
                for_ms: 1,
                fault: fault.parse().unwrap(),
            },
            nodes: vec![Node(1)],
            window_ns: Some((0, 1)),
            effect: Effect::NoEffect("it is looked at by nobody".into()),
            healed: true,
            met_by: met_by.to_vec(),
        }
    }

    fn death(status: &str, words: &str) -> Death {
        Death {
            node: Node(1),
            pid: 7,
            status: status.into(),
            panic: None,
            log_tail: vec!["serving".into(), words.into()],
        }
    }

    #[test]
    fn a_fault_explains_only_the_end_that_it_can_bring_about_of_a_process_that_met_it() {
        let met = [(Node(1), 7)];
        let eio = death("exit status: 1", "wal: Input/output error (os error 5)");
        let abort = death(
            "signal: 6 (SIGABRT) (core dumped)",
            "memory allocation of 64 bytes failed",
        );
        let crash = death(
            "signal: 11 (SIGSEGV)",
            "memory allocation of 64 bytes failed",
        );
        let killed = death("signal: 9 (SIGKILL)", "serving");
        for ill in [
            "disk n1: read-error",
            "disk n1: full after 64kb",
            "damage n1: wipe",
        ] {
            assert!(record(ill, &met).explains(&eio), "{ill}");
            assert!(record(ill, &met).explains(&abort), "{ill}");
            assert!(!record(ill, &met).explains(&crash), "{ill}");
            assert!(!record(ill, &met).explains(&killed), "{ill}");
            assert!(!record(ill, &[]).explains(&eio), "no request met it: {ill}");
            let other = [(Node(1), 8), (Node(2), 7)];
            assert!(!record(ill, &other).explains(&eio), "another met it: {ill}");
        }
        assert!(record("memory n1: 0mb", &met).explains(&abort));
        assert!(!record("memory n1: 0mb", &met).explains(&eio));
        assert!(!record("memory n1: 0mb", &met).explains(&crash));
        assert!(!record("memory n1: 0mb", &met).explains(&killed));
        assert!(!record("disk n1: slow-fsync 50ms", &met).explains(&eio));
        assert!(!record("pause n1", &met).explains(&eio));
    }
}
