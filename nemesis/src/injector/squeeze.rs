//! Less processor time and no more memory: proven by stops seen, and by what met its limit.

use std::collections::BTreeSet;

use super::{
    FaultRecord,
    attempt::Attempt,
    life::proven,
    processes::{each, spaced},
};
use crate::{
    node::Node,
    process::{Lifecycle, State},
    proof::{Effect, Proof, Slowed, Starved},
};

impl Attempt<'_> {
    pub(super) fn slow_cpu(mut self, nodes: &BTreeSet<Node>, percent: u8) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip("there are no processes that can be slowed down here");
        };
        let what = format!("let {} run {percent} % of the time", spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (slowed, errors) = each(nodes, |node| processes.slow(node, percent).map(|_| node));
        if slowed.is_empty() {
            return self.nothing_done(&errors);
        }
        self.pulled();
        let mut seen = false;
        while !self.is_over() && !seen {
            let so_far: Vec<Slowed> = slowed
                .iter()
                .filter_map(|node| processes.slowed(*node))
                .collect();
            seen = so_far.iter().any(|one| one.stops > 0);
            if seen {
                self.installed(&Proof::Slowed { processes: so_far });
            } else {
                self.look_again();
            }
        }
        self.hold();
        self.healing();
        let slowed: BTreeSet<Node> = slowed.into_iter().collect();
        let (hastened, stuck) = each(&slowed, |node| processes.hasten(node));
        let healed = stuck.is_empty();
        let trouble: Vec<String> = errors
            .iter()
            .chain(&stuck)
            .map(ToString::to_string)
            .collect();
        if hastened.iter().all(|one| one.stops == 0) && trouble.is_empty() {
            let why = "it was never seen to stand still".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        let proof = Proof::Slowed {
            processes: hastened,
        };
        if !seen {
            self.installed(&proof);
        }
        self.finish(proven(proof, &trouble), healed)
    }

    pub(super) fn starve(mut self, nodes: &BTreeSet<Node>, room: u64) -> FaultRecord {
        let Some(processes) = self.injector.levers.processes.as_deref() else {
            return self.skip("there are no processes whose memory can be limited here");
        };
        let what = format!("no more than {} MiB more for {}", room >> 20, spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        let (mut limited, errors) = each(nodes, |node| processes.limit_memory(node, room));
        if limited.is_empty() {
            return self.nothing_done(&errors);
        }
        self.pulled();
        for one in &limited {
            self.has_met(one.node, one.pid);
        }
        let mut seen = false;
        while !self.is_over() {
            for one in &mut limited {
                self.look(processes, one);
            }
            if !seen && limited.iter().any(Starved::met) {
                seen = true;
                self.installed(&Proof::Starved {
                    processes: limited.clone(),
                });
            }
            self.look_again();
        }
        self.healing();
        let mut trouble: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mut healed = true;
        for one in &mut limited {
            // One that ended has taken its limit along.
            if let Err(error) = processes.allow_memory(one.node)
                && matches!(processes.state(one.node), State::Running { .. })
            {
                healed = false;
                trouble.push(error.to_string());
            }
            self.look(processes, one);
        }
        let down = limited.iter().filter(|one| one.ended.is_some());
        let down: BTreeSet<Node> = down.map(|one| one.node).collect();
        let (serving, all_run) = self.bring_up(processes, &down, &mut trouble);
        healed &= all_run;
        for (node, successor) in serving {
            if let Some(one) = limited.iter_mut().find(|one| one.node == node) {
                one.successor = Some(successor);
            }
        }
        let met = limited.iter().any(Starved::met);
        if !met && trouble.is_empty() {
            let why = "it asked for no more memory than it was allowed".to_owned();
            return self.finish(Effect::NoEffect(why), healed);
        }
        let proof = Proof::Starved { processes: limited };
        if met && !seen {
            self.installed(&proof);
        }
        if met {
            return self.finish(proven(proof, &trouble), healed);
        }
        self.finish(Effect::Indeterminate(trouble.join("; ")), healed)
    }

    /// Takes down how much it has now, or how it ended for want of more.
    fn look(&self, processes: &dyn Lifecycle, one: &mut Starved) {
        match processes.state(one.node) {
            State::Died(death) if self.explains(&death) => one.ended = Some(death.status),
            // Whoever runs now may be a successor, of which nothing was limited.
            State::Running { pid } if pid == one.pid => {
                if let Ok(bytes) = processes.memory(one.node) {
                    one.most = one.most.max(bytes);
                }
            }
            _ => {}
        }
    }
}
