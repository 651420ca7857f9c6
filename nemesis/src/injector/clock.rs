//! Wrong clocks: proven by what stands in the process that asks for the time, and by what the node
//! says that time it is, where it says so.

use std::collections::BTreeSet;

use super::{FaultRecord, attempt::Attempt, processes::spaced};
use crate::{
    clock::Clocks,
    fault::Skew,
    node::Node,
    proof::{ClockSeen, Effect, Proof},
};

/// A node's own words on the time come late, and are believed from here on.
const TELLING_NS: u64 = 1_000_000_000;

impl Attempt<'_> {
    pub(super) fn skew(mut self, nodes: &BTreeSet<Node>, skew: Skew) -> FaultRecord {
        let Some(clocks) = self.injector.levers.clocks.as_deref() else {
            return self.skip("the clocks of these processes cannot be changed");
        };
        let what = format!("clock {skew} of {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (mut seen, mut trouble) = (Vec::new(), Vec::new());
        for node in nodes {
            match clocks.set(*node, Some(skew)) {
                Ok(Some(reading)) => seen.push(ClockSeen {
                    node: *node,
                    pid: reading.pid,
                    ahead_ns: reading.ahead_ns,
                    told_ns: None,
                    end_ns: None,
                }),
                // Its next process starts with that clock.
                Ok(None) => {}
                Err(error) => trouble.push(error.to_string()),
            }
        }
        self.pulled();
        if !seen.is_empty() {
            self.installed(&Proof::Clocks {
                nodes: seen.clone(),
            });
        }
        self.hold();
        self.ask_the_time(clocks, nodes, &mut seen);
        self.healing();
        let healed = self.set_right(clocks, nodes, &mut trouble);
        // A clock that is wrong and right in turn may have been right when it was looked at.
        let strobes = matches!(skew, Skew::Strobe { .. }) && !seen.is_empty();
        let all_right = !strobes && seen.iter().all(is_right);
        let told_otherwise = contradiction(&seen).filter(|_| !strobes);
        let effect = match (told_otherwise, all_right) {
            _ if !trouble.is_empty() => {
                let proof = Proof::Clocks { nodes: seen };
                Effect::Indeterminate(format!("{proof}; {}", trouble.join("; ")))
            }
            (Some(why), _) => Effect::Indeterminate(why),
            (None, true) => Effect::NoEffect("no process had a wrong clock".to_owned()),
            (None, false) => Effect::Installed(Proof::Clocks { nodes: seen }),
        };
        self.finish(effect, healed)
    }

    /// How wrong the clocks are at the end: read again, and by the words of the nodes.
    fn ask_the_time(&self, clocks: &dyn Clocks, nodes: &BTreeSet<Node>, seen: &mut Vec<ClockSeen>) {
        let since_ns = self.window_start();
        for node in nodes {
            let Ok(Some(reading)) = clocks.read(*node) else {
                continue;
            };
            let told = self.injector.observer.clock_told(*node);
            let told_ns = told
                .filter(|told| told.asked_ns > since_ns)
                .map(|told| told.ahead_ns);
            match seen.iter_mut().find(|one| one.node == *node) {
                Some(one) => (one.told_ns, one.end_ns) = (told_ns, Some(reading.ahead_ns)),
                // It had no process when the fault began.
                None => seen.push(ClockSeen {
                    node: *node,
                    pid: reading.pid,
                    ahead_ns: reading.ahead_ns,
                    told_ns,
                    end_ns: Some(reading.ahead_ns),
                }),
            }
        }
    }

    /// Makes every clock right, and looks that it is.
    fn set_right(
        &self,
        clocks: &dyn Clocks,
        nodes: &BTreeSet<Node>,
        trouble: &mut Vec<String>,
    ) -> bool {
        let mut healed = true;
        for node in nodes {
            match clocks.set(*node, None).and_then(|_| clocks.read(*node)) {
                Ok(None) => {}
                Ok(Some(reading)) => healed &= reading.ahead_ns == 0,
                Err(error) => {
                    healed = false;
                    trouble.push(error.to_string());
                }
            }
        }
        healed
    }
}

fn is_right(seen: &ClockSeen) -> bool {
    seen.ahead_ns == 0 && seen.end_ns.unwrap_or(0) == 0
}

/// Where a clock is far off and its node tells another time: it does not ask through the vdso, or
/// executes another program.
fn contradiction(seen: &[ClockSeen]) -> Option<String> {
    let differs = |one: &&ClockSeen| match (one.end_ns, one.told_ns) {
        (Some(end), Some(told)) => {
            let off = one.ahead_ns.unsigned_abs().min(end.unsigned_abs());
            off >= 2 * TELLING_NS && told.abs_diff(end) > off / 2
        }
        _ => false,
    };
    let one = seen.iter().find(differs)?;
    Some(format!("{one}: it asks for the time in another way"))
}
