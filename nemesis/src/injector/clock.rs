//! Wrong clocks: proven by what stands in the process that asks for the time and, where the node
//! tells the time, by the wrong time that it has told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{FaultRecord, attempt::Attempt, processes::spaced};
use crate::{
    clock::{Clocks, telling::Heard},
    fault::Skew,
    node::Node,
    proof::{ClockSeen, Effect, Proof},
};

/// Between two looks at what the nodes say.
const LISTEN_INTERVAL: Duration = Duration::from_millis(10);

/// Of each node when its clock was set, on the harness's clock, and what it has said since.
type Ears = BTreeMap<Node, ((u64, u64), Heard)>;

impl Attempt<'_> {
    pub(super) fn skew(mut self, nodes: &BTreeSet<Node>, skew: Skew) -> FaultRecord {
        let Some(clocks) = self.injector.levers.clocks.as_deref() else {
            return self.skip("the clocks of these processes cannot be changed");
        };
        let what = format!("clock {skew} of {}", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (mut seen, mut trouble, mut ears) = (Vec::new(), Vec::new(), Ears::new());
        for node in nodes {
            let before_ns = (self.injector.clock)();
            let set = clocks.set(*node, Some(skew));
            let set_ns = (before_ns, (self.injector.clock)());
            ears.insert(*node, (set_ns, Heard::default()));
            match set {
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
        self.listen(skew, &mut ears, &seen);
        self.read_again(clocks, &ears, &mut seen);
        self.healing();
        let healed = self.set_right(clocks, nodes, &mut trouble);
        // A clock that is wrong and right in turn may have been right when it was looked at.
        let strobes = matches!(skew, Skew::Strobe { .. }) && !seen.is_empty();
        let all_right = !strobes && seen.iter().all(is_right);
        let doubt = contradiction(&seen, &ears).or_else(|| unheard(&seen, &ears));
        let proof = Proof::Clocks { nodes: seen };
        let effect = match doubt {
            _ if !trouble.is_empty() => {
                Effect::Indeterminate(format!("{proof}; {}", trouble.join("; ")))
            }
            _ if all_right => Effect::NoEffect("no process had a wrong clock".to_owned()),
            Some(why) => Effect::Indeterminate(why),
            None => Effect::Installed(proof),
        };
        self.finish(effect, healed)
    }

    /// Hears what the nodes say until it is time to heal. It is in force once everybody who tells
    /// the time has told a wrong one; where nobody does, at once.
    fn listen(&self, skew: Skew, ears: &mut Ears, seen: &[ClockSeen]) {
        let mut is_told = seen.is_empty();
        loop {
            let mut waits = false;
            for (node, (set_ns, heard)) in ears.iter_mut() {
                // Who is silent now may have nothing to say before it is over.
                if let Some(told) = self.injector.observer.clock_told(*node) {
                    heard.hear(&told, skew, *set_ns);
                    waits |= heard.wrong_ns.is_none();
                }
            }
            if !is_told && !waits {
                let nodes = seen.iter().map(|one| with_words(one, ears));
                self.installed(&Proof::Clocks {
                    nodes: nodes.collect(),
                });
                is_told = true;
            }
            if self.is_over() || self.look_again_in(LISTEN_INTERVAL) {
                return;
            }
        }
    }

    /// How wrong the clocks are at the end: read again, and by the words of the nodes.
    fn read_again(&self, clocks: &dyn Clocks, ears: &Ears, seen: &mut Vec<ClockSeen>) {
        for node in ears.keys() {
            let Ok(Some(reading)) = clocks.read(*node) else {
                continue;
            };
            match seen.iter_mut().find(|one| one.node == *node) {
                Some(one) => one.end_ns = Some(reading.ahead_ns),
                // It had no process when the fault began.
                None => seen.push(ClockSeen {
                    node: *node,
                    pid: reading.pid,
                    ahead_ns: reading.ahead_ns,
                    told_ns: None,
                    end_ns: Some(reading.ahead_ns),
                }),
            }
        }
        for one in seen {
            *one = with_words(one, ears);
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

fn with_words(seen: &ClockSeen, ears: &Ears) -> ClockSeen {
    let heard = ears.get(&seen.node).map(|(_, heard)| heard);
    let told_ns = heard.and_then(|heard| heard.otherwise_ns.or(heard.wrong_ns));
    ClockSeen {
        told_ns,
        ..seen.clone()
    }
}

/// Whose node has told another time than its process is told: it does not ask through the vdso, or
/// is another program than the one that was started.
fn contradiction(seen: &[ClockSeen], ears: &Ears) -> Option<String> {
    let differs = |one: &&ClockSeen| ears[&one.node].1.otherwise_ns.is_some();
    let one = seen.iter().find(differs)?;
    Some(format!("{one}: it asks for the time in another way"))
}

/// Where nodes tell the time, and none has told a wrong one.
fn unheard(seen: &[ClockSeen], ears: &Ears) -> Option<String> {
    let mut heard = seen.iter().map(|one| &ears[&one.node].1);
    let tells = heard.clone().any(|heard| heard.tells);
    if !tells || heard.any(|heard| heard.wrong_ns.is_some()) {
        return None;
    }
    let proof = Proof::Clocks {
        nodes: seen.to_vec(),
    };
    Some(format!("{proof}; nobody told a wrong time meanwhile"))
}
