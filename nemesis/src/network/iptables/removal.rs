//! How a fault's rules are taken away: by one run of `iptables-restore` that tells which rules
//! there were, removes the fault's, and tells which rules there are then.
//!
//! ```text
//!  *filter   -v -S      all rules, with their counters: how much of the fault was there
//!            -D -F -X   the fault's, in one transaction
//!  *filter   -S         all rules left: none of the fault's, and all that faults are hung into
//!            -S         where that list has its end
//!  *filter   -S         pushes out what was told so far
//! ```
//!
//! Each table in a batch begins with a look of its own into the kernel, so the second one is
//! answered from what is there after the change. A program that ends then waits until the kernel
//! has freed what it removed, which takes longer than all before: its answer is read without that
//! ([`is_told`]). So that it does not wait earlier, for the same reason, while it looks up how a
//! match is printed, all is printed once before anything is removed.

use std::fmt::Write as _;

use super::rules::{self, Count, STRING, batch};

/// What is to be taken away in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Removal {
    /// The fault's chains.
    pub(super) chains: Vec<String>,
    /// The lines that take it away.
    pub(super) undo: String,
    /// How many of its rules count something.
    pub(super) counting: usize,
}

/// What a removal has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Removed {
    /// What the rules had counted.
    pub(super) counts: Vec<Count>,
    /// Whether nothing of the fault is left.
    pub(super) is_gone: bool,
    /// Whether all of it was there until now, and packets came to it.
    pub(super) was_whole: bool,
    /// What puts back what faults are hung into, where somebody has taken of it.
    pub(super) repair: Option<String>,
}

/// What a list of all rules begins with.
const LIST: &str = "-P INPUT ";

impl Removal {
    /// The batch; [`Removal::read`] reads the answer.
    pub(super) fn batch(&self) -> String {
        let mut text = batch(&format!("-v -S\n{}", self.undo));
        text += &batch("-S\n-S\n");
        text + &batch("-S\n")
    }

    /// What the batch has told; `None` where the answer is not such a one.
    pub(super) fn read(&self, answer: &str) -> Option<Removed> {
        let [_, begins, ends] = begins(answer)?;
        let (before, after) = (&answer[..begins], &answer[begins..ends]);
        let counts: Vec<Count> = before.lines().filter_map(|line| self.count(line)).collect();
        let is_left = |line: &str| {
            let name = line.strip_prefix("-N ");
            name.is_some_and(|name| self.chains.iter().any(|chain| chain == name))
        };
        let repair = rules::repair(after);
        Some(Removed {
            was_whole: counts.len() == self.counting && repair.is_none(),
            is_gone: !after.lines().any(is_left),
            counts,
            repair,
        })
    }

    /// Reads `-A CHAIN … --comment "n1 -> n2 loss" -c 12 3456 …`.
    fn count(&self, line: &str) -> Option<Count> {
        let rule = line.strip_prefix("-A ")?;
        let (_, counters) = rule.split_once("\" -c ")?;
        let (packets, _) = counters.split_once(' ')?;
        rules::count(rule, packets, &self.chains)
    }

    /// What there is still to take away, by the answer of `iptables-save`, where somebody else was
    /// there before.
    pub(super) fn left(&self, saved: &str) -> Self {
        let has_chain = |chain: &str| {
            let declared = saved.lines().filter_map(|line| line.strip_prefix(':'));
            declared
                .into_iter()
                .any(|rest| rest.split(' ').next() == Some(chain))
        };
        let has_rule = |rule: &str| {
            let rules = saved.lines().filter_map(|line| line.split_once("] -A "));
            rules.into_iter().any(|(_, saved)| saved == rule)
        };
        let mut undo = String::new();
        for line in self.undo.lines() {
            let is_there = match line.split_once(' ') {
                Some(("-D", rule)) => has_rule(rule),
                Some((_, rest)) => rest.split(' ').next().is_some_and(has_chain),
                None => true,
            };
            if is_there {
                writeln!(undo, "{line}").expect(STRING);
            }
        }
        Self {
            undo,
            ..self.clone()
        }
    }
}

/// Whether a removal's answer is there to its end.
pub(super) fn is_told(answer: &str) -> bool {
    begins(answer).is_some()
}

/// Where the lists of all rules begin: before the removal, after it, and behind that one.
fn begins(answer: &str) -> Option<[usize; 3]> {
    let lines = answer.match_indices(LIST).map(|(at, _)| at);
    let mut begins = lines.filter(|at| *at == 0 || answer[..*at].ends_with('\n'));
    Some([begins.next()?, begins.next()?, begins.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        network::iptables::rules::{Counted, chain, uncut},
        node::{Edge, Node},
    };

    fn removal() -> Removal {
        Removal {
            chains: vec![chain(7)],
            undo: uncut(7),
            counting: 1,
        }
    }

    const POLICIES: &str = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n";
    const OURS: &str = "\
        -N ORDEAL-7\n\
        -A ORDEAL-7 -s 10.77.0.1/32 -m comment --comment \"n1 -> n2 cut\" -c 12 340 -j MARK\n";
    const SCAFFOLD: &str = "\
        -N ORDEAL-CLASS\n-N ORDEAL-CUT\n-N ORDEAL-IN\n-N ORDEAL-OUT\n-N ORDEAL-SHAPE\n\
        -A INPUT -j ORDEAL-IN\n-A OUTPUT -j ORDEAL-OUT\n-A OUTPUT -j ORDEAL-CLASS\n\
        -A ORDEAL-IN -j ORDEAL-CUT\n\
        -A ORDEAL-IN -m mark --mark 0x1/0x1 -j DROP\n\
        -A ORDEAL-IN -j ORDEAL-SHAPE\n";

    #[test]
    fn it_tells_what_was_counted_and_whether_all_is_gone() {
        assert_eq!(
            removal().batch(),
            "*filter\n-v -S\n\
             -D ORDEAL-CUT -j ORDEAL-7\n-F ORDEAL-7\n-X ORDEAL-7\n\
             COMMIT\n\
             *filter\n-S\n-S\nCOMMIT\n\
             *filter\n-S\nCOMMIT\n"
        );
        let counted = Count {
            edge: Edge::new(Node(1), Node(2)),
            what: Counted::Cut,
            packets: 12,
        };
        let answer = [POLICIES, OURS, POLICIES, SCAFFOLD, POLICIES].concat();
        let mut removed = Removed {
            counts: vec![counted],
            is_gone: true,
            was_whole: true,
            repair: None,
        };
        assert_eq!(removal().read(&answer).as_ref(), Some(&removed));
        let answer = [
            POLICIES,
            OURS,
            POLICIES,
            "-N ORDEAL-7\n",
            SCAFFOLD,
            POLICIES,
        ]
        .concat();
        removed.is_gone = false;
        assert_eq!(removal().read(&answer), Some(removed));
        for answer in [POLICIES, OURS, &[POLICIES, OURS, POLICIES].concat(), ""] {
            assert_eq!(removal().read(answer), None);
        }
    }

    #[test]
    fn it_tells_that_somebody_else_was_there_before() {
        let empty = [POLICIES, "-N ORDEAL-7\n", POLICIES, SCAFFOLD, POLICIES].concat();
        let removed = removal().read(&empty).unwrap();
        assert!(!removed.was_whole && removed.is_gone && removed.repair.is_none());
        let hook = "-A INPUT -j ORDEAL-IN\n";
        let unhooked = SCAFFOLD.replace(hook, "");
        let unhooked = [POLICIES, OURS, POLICIES, &unhooked, POLICIES].concat();
        let removed = removal().read(&unhooked).unwrap();
        assert!(!removed.was_whole && removed.is_gone);
        let repair = "*filter\n-I INPUT 1 -j ORDEAL-IN\nCOMMIT\n";
        assert_eq!(removed.repair.as_deref(), Some(repair));
    }

    #[test]
    fn only_what_is_there_is_left_to_take_away() {
        let left = |saved: &str| removal().left(saved).undo;
        let chain = ":ORDEAL-CUT - [0:0]\n:ORDEAL-7 - [0:0]\n:ORDEAL-77 - [0:0]\n";
        let hooked = [chain, "[1:2] -A ORDEAL-CUT -j ORDEAL-7\n"].concat();
        assert_eq!(left(&hooked), uncut(7));
        let flushed = [chain, "[1:2] -A ORDEAL-CUT -j ORDEAL-77\n"].concat();
        assert_eq!(left(&flushed), "-F ORDEAL-7\n-X ORDEAL-7\n");
        assert_eq!(left(":ORDEAL-77 - [0:0]\n"), "");
    }
}
