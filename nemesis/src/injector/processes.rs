//! Kills and pauses: proven by the reaped process and its successor, and by state `T`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{FaultRecord, attempt::Attempt};
use crate::{
    node::Node,
    process::{Lifecycle, ProcessError, State},
    proof::{Effect, Killed, Proof, Successor},
};

impl Attempt<'_> {
    pub(super) fn kill(mut self, nodes: &BTreeSet<Node>) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip("there are no processes that can be killed here");
        };
        let what = format!("kill {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (mut killed, trouble) = each(nodes, |node| processes.kill(node));
        if killed.is_empty() {
            return self.nothing_done(&trouble);
        }
        self.pulled();
        self.installed(&Proof::Killed {
            processes: killed.clone(),
        });
        self.hold();
        self.healing();
        // One that did not go in time may go yet, and nobody would start it again.
        let lingers = trouble
            .iter()
            .any(|error| matches!(error, ProcessError::Deadline { .. }));
        let mut trouble: Vec<String> = trouble.iter().map(ToString::to_string).collect();
        let all = killed.iter_mut().collect();
        let healed = self.start_again(processes, all, &mut trouble) && !lingers;
        let proof = Proof::Killed { processes: killed };
        let effect = if trouble.is_empty() {
            Effect::Installed(proof)
        } else {
            Effect::Indeterminate(format!("{proof}; {}", trouble.join("; ")))
        };
        self.finish(effect, healed)
    }

    /// Starts what was killed, all at once, then waits until each serves. Returns whether all run.
    pub(super) fn start_again(
        &self,
        processes: &dyn Lifecycle,
        killed: Vec<&mut Killed>,
        trouble: &mut Vec<String>,
    ) -> bool {
        let started = Instant::now();
        let mut all_run = true;
        let mut waiting = Vec::new();
        for victim in killed {
            match processes.start(victim.node) {
                Ok(pid) => waiting.push((victim, pid)),
                Err(error) => {
                    all_run = false;
                    trouble.push(error.to_string());
                }
            }
        }
        for (victim, pid) in waiting {
            match self.await_serving(processes, victim.node, pid, started) {
                Ok(serving_after_ms) => {
                    victim.successor = Some(Successor {
                        pid,
                        serving_after_ms,
                    });
                }
                Err(why) => trouble.push(why),
            }
        }
        all_run
    }

    /// Waits until the process serves; returns the milliseconds since `started`.
    pub(super) fn await_serving(
        &self,
        processes: &dyn Lifecycle,
        node: Node,
        pid: u32,
        started: Instant,
    ) -> Result<u64, String> {
        let patience = self.injector.patience.serving;
        loop {
            if self.injector.observer.serving(node, pid) {
                return Ok(millis(started.elapsed()));
            }
            match processes.state(node) {
                State::Died(death) => {
                    let last = death.last_words().map(|words| format!(": {words}"));
                    let last = last.unwrap_or_default();
                    return Err(format!("{node} (pid {pid}) died after its restart{last}"));
                }
                State::Ended { .. } | State::Absent => {
                    return Err(format!("{node} (pid {pid}) was ended before it served"));
                }
                State::Running { .. } | State::Paused { .. } => {}
            }
            if started.elapsed() > patience {
                let waited = patience.as_millis();
                return Err(format!(
                    "{node} (pid {pid}) did not serve within {waited} ms"
                ));
            }
            self.look_again_anyway();
        }
    }

    pub(super) fn pause(mut self, nodes: &BTreeSet<Node>) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip("there are no processes that can be paused here");
        };
        let what = format!("pause {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (paused, trouble) = each(nodes, |node| processes.pause(node));
        self.pulled();
        let proof = (!paused.is_empty()).then_some(Proof::Paused { processes: paused });
        if let Some(proof) = &proof {
            self.installed(proof);
            self.hold();
            self.healing();
        }
        // Resumes by state, so that one that was stopped but could not be proven to be is resumed
        // too; one that somebody else paused was refused and is not in `ours`.
        let refused = |node: &Node| trouble.iter().any(|error| refuses(error, *node));
        let ours = nodes.iter().copied().filter(|node| !refused(node));
        let ours: BTreeSet<Node> = ours
            .filter(|node| matches!(processes.state(*node), State::Paused { .. }))
            .collect();
        let (_, stuck) = each(&ours, |node| processes.resume(node));
        let healed = stuck.is_empty();
        let Some(proof) = proof else {
            return self.nothing_done(&trouble);
        };
        if trouble.is_empty() && healed {
            return self.finish(Effect::Installed(proof), true);
        }
        let all: Vec<String> = trouble
            .iter()
            .chain(&stuck)
            .map(ToString::to_string)
            .collect();
        self.finish(
            Effect::Indeterminate(format!("{proof}; {}", all.join("; "))),
            healed,
        )
    }

    /// The end of a fault that hit nobody.
    pub(super) fn nothing_done(self, trouble: &[ProcessError]) -> FaultRecord {
        let refused = trouble
            .iter()
            .all(|error| matches!(error, ProcessError::State { .. }));
        let why = trouble
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        match (why.is_empty(), refused) {
            (true, _) => self.skip("it has no target"),
            (false, true) => self.skip(&why),
            (false, false) => self.fail(&why),
        }
    }
}

/// Does one thing to each node; what came of it, and what went wrong.
pub(super) fn each<T>(
    nodes: &BTreeSet<Node>,
    mut pull: impl FnMut(Node) -> Result<T, ProcessError>,
) -> (Vec<T>, Vec<ProcessError>) {
    let mut done = Vec::new();
    let mut trouble = Vec::new();
    for node in nodes {
        match pull(*node) {
            Ok(one) => done.push(one),
            Err(error) => trouble.push(error),
        }
    }
    (done, trouble)
}

/// Whether this says that the node was not in a state for it, so that nothing was done to it.
fn refuses(error: &ProcessError, which: Node) -> bool {
    matches!(error, ProcessError::State { node, .. } if *node == which)
}

pub(super) fn spaced(nodes: &BTreeSet<Node>) -> String {
    nodes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
