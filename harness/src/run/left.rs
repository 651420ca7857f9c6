//! What is still in force when everything should be healed: a lever failed, and not the target.
//!
//! Such a run is judged by what was recorded. Whether the cluster recovers cannot be asked of it:
//! the fault that is left would be blamed on the target.

use ordeal_nemesis::injector::FaultRecord;
use ordeal_nemesis::{FaultClass, Node};

/// How many faults are named.
const NAMED_MAX: usize = 3;

/// What the levers say is in force.
#[derive(Clone, Debug, Default)]
pub(super) struct InForce {
    /// Cuts.
    pub(super) cuts: usize,
    /// What is done to packets.
    pub(super) shapings: usize,
    /// Illnesses of disks.
    pub(super) ailments: usize,
    /// Whose clocks are wrong.
    pub(super) wrong: Vec<Node>,
    /// Who is paused.
    pub(super) paused: Vec<Node>,
    /// Who was ended by us and not started again.
    pub(super) down: Vec<Node>,
}

impl InForce {
    fn in_words(&self) -> Vec<String> {
        let counted = [
            (self.cuts, "cut", "cuts"),
            (self.shapings, "shaping of packets", "shapings of packets"),
            (self.ailments, "illness of a disk", "illnesses of disks"),
        ];
        let counted = counted.into_iter().filter(|(count, ..)| *count > 0);
        let counted = counted.map(|(count, one, many)| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {many}"),
        });
        let of_nodes = [
            (&self.wrong, "wrong clock"),
            (&self.paused, "paused"),
            (&self.down, "not started again"),
        ];
        let of_nodes = of_nodes.into_iter().filter(|(nodes, _)| !nodes.is_empty());
        let of_nodes = of_nodes.map(|(nodes, what)| {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            format!("{}: {what}", nodes.join(" "))
        });
        counted.chain(of_nodes).collect()
    }
}

/// Why the cluster cannot be asked whether it recovers, if so: `fault 1 (isolate n2) could not be
/// healed (still in force: 1 cut)`.
pub(super) fn left(records: &[FaultRecord], in_force: &InForce) -> Option<String> {
    let in_words = in_force.in_words();
    let failed = |record: &FaultRecord| !record.healed && !may_be_refused(record);
    if in_words.is_empty() && !records.iter().any(failed) {
        return None;
    }
    let seen = match in_words.is_empty() {
        true => String::new(),
        false => format!(" (still in force: {})", in_words.join(", ")),
    };
    Some(match not_healed(records) {
        Some(faults) => format!("{faults} could not be healed{seen}"),
        None => format!("something that no fault accounts for is left{seen}"),
    })
}

/// Whether it may be the target because of which this is not undone: a node that does not start on
/// the disk it has, members that it does not take back.
fn may_be_refused(record: &FaultRecord) -> bool {
    matches!(
        record.planned.fault.class(),
        FaultClass::Disk | FaultClass::Damage | FaultClass::Membership | FaultClass::Admin
    )
}

/// The faults whose heal failed: `fault 1 (isolate n2), fault 4 (pause n3)`.
pub(super) fn not_healed(records: &[FaultRecord]) -> Option<String> {
    let failed = records.iter().filter(|record| !record.healed);
    let mut named: Vec<String> = failed
        .map(|record| format!("fault {} ({})", record.planned.id, record.planned.fault))
        .collect();
    let more = named.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        named.truncate(NAMED_MAX);
        named.push(format!("{more} more"));
    }
    (!named.is_empty()).then(|| named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordeal_nemesis::{Effect, PlannedFault};

    fn record(id: u32, fault: &str, healed: bool) -> FaultRecord {
        FaultRecord {
            planned: PlannedFault {
                id,
                at_ms: 0,
                for_ms: 1,
                fault: fault.parse().unwrap(),
            },
            nodes: Vec::new(),
            window_ns: None,
            effect: Effect::Indeterminate("healing failed".into()),
            healed,
            met_by: Vec::new(),
        }
    }

    #[test]
    fn what_a_lever_could_not_undo_is_named_with_what_is_seen_of_it() {
        let cut = InForce {
            cuts: 1,
            down: vec![Node(2), Node(3)],
            ..InForce::default()
        };
        let records = [record(1, "isolate n2", false), record(2, "kill n1", true)];
        assert_eq!(
            left(&records, &cut).unwrap(),
            "fault 1 (isolate n2) could not be healed (still in force: 1 cut, n2 n3: not started \
             again)"
        );
        let nothing = InForce::default();
        assert_eq!(
            left(&[record(4, "pause n3", false)], &nothing).unwrap(),
            "fault 4 (pause n3) could not be healed"
        );
        assert_eq!(left(&[record(1, "isolate n2", true)], &nothing), None);
        assert_eq!(
            left(&[], &cut).unwrap(),
            "something that no fault accounts for is left (still in force: 1 cut, n2 n3: not \
             started again)"
        );
    }

    #[test]
    fn a_target_that_does_not_come_back_is_asked_all_the_same() {
        let refused = [record(1, "damage n1: wipe", false)];
        assert_eq!(left(&refused, &InForce::default()), None);
        let down = InForce {
            down: vec![Node(1)],
            ..InForce::default()
        };
        assert!(left(&refused, &down).is_some(), "nobody has started it");
    }

    #[test]
    fn many_are_not_all_named() {
        let all: Vec<FaultRecord> = (1..=5).map(|id| record(id, "kill n1", false)).collect();
        let named = not_healed(&all).unwrap();
        assert!(named.ends_with("fault 3 (kill n1), 2 more"), "{named}");
    }
}
