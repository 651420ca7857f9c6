//! How far one step has got, and when it is done.

use crate::node::Node;
use crate::scenario::{
    condition::Condition,
    sight::{FaultState, Sight},
    template::Unfilled,
};

/// How long a step waits for somebody to lead, where it names the leader.
pub(super) const LEADER_WITHIN_MS: u64 = 5_000;

/// How long a step waits for a fault to be proven; a cut is in force before a packet meets it.
const PROOF_WITHIN_MS: u64 = 1_000;

/// How long a heal may take, with all that the injector waits for.
const HEAL_WITHIN_MS: u64 = 30_000;

#[derive(Debug)]
pub(super) struct Current {
    pub(super) then: Sight,
    /// Whom its condition is about.
    pub(super) nodes: Vec<Node>,
    /// The faults it has injected or heals.
    pub(super) faults: Vec<u32>,
    /// Whether its act is done.
    pub(super) acted: bool,
    /// Since when its expectation has held.
    pub(super) holds_since_ms: Option<u64>,
}

/// What a step has come to at one look.
pub(super) enum Progress {
    Goes,
    Met(String),
    Missed(String),
    Failed(String),
}

impl Progress {
    /// What fails while a fault goes on that could not be healed says nothing of the target.
    pub(super) fn blaming(self, sight: &Sight) -> Self {
        let mut faults = sight.faults.iter();
        let left =
            faults.find(|(_, state)| matches!(state, FaultState::Over { healed: false, .. }));
        match (self, left) {
            (Progress::Failed(seen), Some((id, _))) => {
                Progress::Missed(format!("{seen}; but fault {id} could not be healed"))
            }
            (progress, _) => progress,
        }
    }
}

impl Current {
    pub(super) fn wait(&mut self, until: &Condition, within_ms: u64, sight: &Sight) -> Progress {
        let (holds, seen) = until.holds(sight, &self.then, &self.nodes);
        let waited = self.waited(sight);
        if holds {
            return Progress::Met(format!("after {waited} ms: {seen}"));
        }
        if waited >= within_ms {
            return Progress::Missed(format!("not within {within_ms} ms: {seen}"));
        }
        Progress::Goes
    }

    pub(super) fn expect(
        &mut self,
        that: &Condition,
        within_ms: u64,
        for_ms: u64,
        sight: &Sight,
    ) -> Progress {
        let (holds, seen) = that.holds(sight, &self.then, &self.nodes);
        let waited = self.waited(sight);
        if that.adds_up() {
            // What adds up over a time is looked at when the time is over.
            let limit = within_ms.max(for_ms);
            return match (holds, waited >= limit) {
                (true, _) if for_ms == 0 => Progress::Met(format!("after {waited} ms: {seen}")),
                (true, true) => Progress::Met(seen),
                (false, true) => Progress::Failed(format!("not within {limit} ms: {seen}")),
                (_, false) => Progress::Goes,
            };
        }
        match (holds, self.holds_since_ms) {
            (true, None) => self.holds_since_ms = Some(sight.now_ms),
            (false, Some(since)) => {
                let held = sight.now_ms.saturating_sub(since);
                return Progress::Failed(format!("held for {held} ms only: {seen}"));
            }
            (false, None) if waited >= within_ms => {
                let words = match within_ms {
                    0 => seen,
                    _ => format!("not within {within_ms} ms: {seen}"),
                };
                return Progress::Failed(words);
            }
            _ => {}
        }
        match self.holds_since_ms {
            Some(since) if sight.now_ms.saturating_sub(since) >= for_ms => Progress::Met(seen),
            _ => Progress::Goes,
        }
    }

    pub(super) fn waited(&self, sight: &Sight) -> u64 {
        sight.now_ms.saturating_sub(self.then.now_ms)
    }
}

/// A name that means nobody now: a leader may yet be found, the rest may not.
pub(super) fn unknown(unfilled: Unfilled, current: &Current, sight: &Sight) -> Progress {
    match unfilled {
        Unfilled::NoLeader if current.waited(sight) < LEADER_WITHIN_MS => Progress::Goes,
        Unfilled::NoLeader => Progress::Missed(format!("nobody led for {LEADER_WITHIN_MS} ms")),
        Unfilled::Nobody(why) => Progress::Missed(why),
    }
}

pub(super) fn in_force(current: &Current, sight: &Sight) -> Progress {
    let id = current.faults[0];
    match sight.faults.get(&id) {
        Some(FaultState::Installed) => Progress::Met(format!("fault {id} is in force")),
        Some(FaultState::Over {
            proven: true,
            words,
            ..
        }) => Progress::Met(words.clone()),
        Some(FaultState::Over { words, .. }) => Progress::Missed(words.clone()),
        Some(FaultState::Begun) if current.waited(sight) >= PROOF_WITHIN_MS => {
            Progress::Met(format!("fault {id} is not proven yet"))
        }
        _ if current.waited(sight) >= HEAL_WITHIN_MS => {
            Progress::Missed(format!("fault {id} was not injected"))
        }
        _ => Progress::Goes,
    }
}

/// An order is done when it is over: there is nothing to heal.
pub(super) fn done(current: &Current, sight: &Sight) -> Progress {
    let id = current.faults[0];
    match sight.faults.get(&id) {
        Some(FaultState::Installed) => Progress::Met(format!("order {id} is taken")),
        Some(FaultState::Over {
            proven: true,
            words,
            ..
        }) => Progress::Met(words.clone()),
        Some(FaultState::Over { words, .. }) => Progress::Missed(words.clone()),
        _ if current.waited(sight) >= HEAL_WITHIN_MS => {
            Progress::Missed(format!("order {id} was not taken"))
        }
        _ => Progress::Goes,
    }
}

pub(super) fn healed(current: &Current, sight: &Sight) -> Progress {
    let mut words = Vec::new();
    for id in &current.faults {
        match sight.faults.get(id) {
            Some(FaultState::Over { healed: true, .. }) => words.push(format!("fault {id}")),
            Some(FaultState::Over { words, .. }) => return Progress::Missed(words.clone()),
            _ if current.waited(sight) >= HEAL_WITHIN_MS => {
                return Progress::Missed(format!("fault {id} is not healed"));
            }
            _ => return Progress::Goes,
        }
    }
    let words = if words.is_empty() {
        "there was nothing".to_owned()
    } else {
        words.join(", ")
    };
    Progress::Met(words)
}
