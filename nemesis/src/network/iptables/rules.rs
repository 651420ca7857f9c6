//! The rules as text: what `iptables-restore` is given, and what `iptables-save -c` gives back.
//!
//! ```text
//!  INPUT ─▶ ORDEAL-IN ─▶ ORDEAL-CUT    a chain a cut: counts and marks what comes over its edges
//!                     ├▶ marked: DROP
//!                     └▶ ORDEAL-SHAPE  a chain a shaping: loss, reset, refuse, duplicate
//!  OUTPUT ─▶ ORDEAL-OUT                a chain a shaping: marks what is delayed, held back, …
//!                     └▶ ORDEAL-CLASS  which queue of `eth0` a marked packet waits in
//! ```
//!
//! Packets are dropped by who receives them: a sender would notice a drop of its own, and send
//! again at once. All is in the table `filter`, so a batch is one transaction. A rule's comment
//! says which edge it is on and what it does; its counter is the proof.

use std::{collections::BTreeSet, fmt::Write as _, net::Ipv4Addr};

use super::queues::{CORRUPTED, Egress, HELD, QUEUED};
use crate::{
    fault::{PacketEffect, Shaping, shaping::WHOLE},
    network::{CLIENT_ADDRESS, address, cables::INTERFACE},
    node::{Edge, Endpoint},
};

/// The word for all packets of an edge, where a rule counts and does nothing.
const ALL: &str = "packets";
const CUT: &str = "cut";

/// What stands before an edge and one of these words, where they are in a rule.
const COMMENT: &str = "--comment \"";

/// The chain of a cut or a shaping, in the namespaces that it concerns.
pub(super) fn chain(id: u64) -> String {
    format!("ORDEAL-{id}")
}

/// What a shaping's chain is called on the way out.
pub(super) fn chain_out(id: u64) -> String {
    format!("ORDEAL-{id}-OUT")
}

/// What every namespace has without any fault: the chains, the steps of the way in, and the hooks
/// of the two in the kernel's own chains, in their order.
const CHAINS: [&str; 5] = ["IN", "CUT", "SHAPE", "OUT", "CLASS"];
const STEPS: [&str; 3] = [
    "ORDEAL-IN -j ORDEAL-CUT",
    "ORDEAL-IN -m mark --mark 0x1/0x1 -j DROP",
    "ORDEAL-IN -j ORDEAL-SHAPE",
];
const HOOK_IN: &str = "-j ORDEAL-IN";
const HOOKS_OUT: [&str; 2] = ["-j ORDEAL-OUT", "-j ORDEAL-CLASS"];

/// Makes the chains that every namespace has.
pub(super) fn scaffold() -> String {
    repair("").expect("all of it is missing where there is nothing")
}

/// Makes what is missing of [`scaffold`] where there are these rules, as `-S` lists them; `None`
/// where nothing is. Faults that are hung into it stay there.
pub(super) fn repair(listed: &str) -> Option<String> {
    let has = |rule: &str| listed.lines().any(|line| line == rule);
    let mut text = String::new();
    for chain in CHAINS {
        if !has(&format!("-N ORDEAL-{chain}")) {
            writeln!(text, ":ORDEAL-{chain} - [0:0]").expect(STRING);
        }
    }
    let steps = STEPS.map(|step| format!("-A {step}\n"));
    if !steps.iter().all(|step| has(step.trim_end())) {
        if has("-N ORDEAL-IN") {
            text += "-F ORDEAL-IN\n";
        }
        text += &steps.concat();
    }
    if !has(&format!("-A INPUT {HOOK_IN}")) {
        writeln!(text, "-I INPUT 1 {HOOK_IN}").expect(STRING);
    }
    let [marks, queues] = HOOKS_OUT.map(|hook| has(&format!("-A OUTPUT {hook}")));
    if !(marks && queues) {
        for (hook, _) in HOOKS_OUT
            .iter()
            .zip([marks, queues])
            .filter(|(_, has)| *has)
        {
            writeln!(text, "-D OUTPUT {hook}").expect(STRING);
        }
        for (place, hook) in (1..).zip(HOOKS_OUT) {
            writeln!(text, "-I OUTPUT {place} {hook}").expect(STRING);
        }
    }
    (!text.is_empty()).then(|| batch(&text))
}

/// Takes [`scaffold`] away again.
pub(super) fn dismantle() -> String {
    let mut text =
        String::from("-D INPUT -j ORDEAL-IN\n-D OUTPUT -j ORDEAL-OUT\n-D OUTPUT -j ORDEAL-CLASS\n");
    for verb in ["-F", "-X"] {
        for chain in CHAINS {
            writeln!(text, "{verb} ORDEAL-{chain}").expect(STRING);
        }
    }
    batch(&text)
}

/// Cuts edges in the namespace that they lead to.
pub(super) fn cut(id: u64, edges: &[Edge]) -> String {
    let chain = chain(id);
    let mut text = format!(":{chain} - [0:0]\n");
    for edge in edges {
        let from = ip(edge.from);
        let says = comment(*edge, CUT);
        writeln!(
            text,
            "-A {chain} -s {from}/32 {says} -j MARK --set-xmark 0x1/0x1"
        )
        .expect(STRING);
    }
    writeln!(text, "-A ORDEAL-CUT -j {chain}").expect(STRING);
    batch(&text)
}

/// The lines that heal what [`cut`] has cut.
pub(super) fn uncut(id: u64) -> String {
    unhook("ORDEAL-CUT", &chain(id))
}

fn unhook(from: &str, chain: &str) -> String {
    format!("-D {from} -j {chain}\n-F {chain}\n-X {chain}\n")
}

/// Shapes edges in the namespace of `site`: of `edges`, those that begin or end there.
pub(super) fn shape(id: u64, site: Endpoint, edges: &BTreeSet<Edge>, shaping: &Shaping) -> String {
    let (into, out) = (chain(id), chain_out(id));
    let mut text = format!(":{into} - [0:0]\n:{out} - [0:0]\n");
    for edge in edges {
        if edge.to == site {
            shape_in(&mut text, &into, *edge, shaping);
        }
        if edge.from == site {
            shape_out(&mut text, &out, *edge, shaping);
        }
    }
    write!(text, "-A ORDEAL-SHAPE -j {into}\n-A ORDEAL-OUT -j {out}\n").expect(STRING);
    text
}

/// The lines that take away what [`shape`] has made.
pub(super) fn unshape(id: u64) -> String {
    let out = unhook("ORDEAL-OUT", &chain_out(id));
    unhook("ORDEAL-SHAPE", &chain(id)) + &out
}

/// Which queue each marked packet goes to: replaces all that was said before.
pub(super) fn classify(egress: &Egress) -> String {
    let mut text = String::from("-F ORDEAL-CLASS\n");
    for (to, line) in egress {
        let (to, mask) = (ip(*to), QUEUED | HELD | CORRUPTED);
        for leaf in line.leaves() {
            let (mark, class) = (leaf.marks, leaf.class);
            writeln!(
                text,
                "-A ORDEAL-CLASS -d {to}/32 -m mark --mark {mark:#x}/{mask:#x} \
                 -j CLASSIFY --set-class 1:{class:x}"
            )
            .expect(STRING);
        }
    }
    text
}

/// Makes lines of rules one transaction.
pub(super) fn batch(lines: &str) -> String {
    format!("*filter\n{lines}COMMIT\n")
}

/// Whether packets are met on their way out too: the queues are at the sender's interface.
pub(super) fn is_queued(shaping: &Shaping) -> bool {
    shaping.effects().any(is_queue_effect)
}

fn is_queue_effect(effect: PacketEffect) -> bool {
    matches!(
        effect,
        PacketEffect::Delay | PacketEffect::Rate | PacketEffect::Reorder | PacketEffect::Corrupt
    )
}

fn shape_in(text: &mut String, chain: &str, edge: Edge, shaping: &Shaping) {
    // A duplicate comes in by the loopback interface, and is not met again.
    let matches = format!("-A {chain} -i {INTERFACE} -s {}/32", ip(edge.from));
    if !is_queued(shaping) {
        writeln!(text, "{matches} {}", comment(edge, ALL)).expect(STRING);
    }
    let receiver = ip(edge.to);
    for effect in shaping.effects().filter(|effect| !is_queue_effect(*effect)) {
        let chance = chance(shaping.share(effect));
        let says = comment(edge, effect.name());
        let (which, what) = match effect {
            PacketEffect::Loss => ("", "DROP".to_owned()),
            // The reset that answers the other end's next segment must pass.
            PacketEffect::Reset => ("-p tcp -m tcp ! --tcp-flags RST RST", REJECT.to_owned()),
            PacketEffect::Refuse => ("-p tcp -m tcp --syn", REJECT.to_owned()),
            PacketEffect::Duplicate => ("", format!("TEE --gateway {receiver}")),
            // Refused before it comes here.
            _ => continue,
        };
        writeln!(text, "{matches} {which} {chance} {says} -j {what}").expect(STRING);
    }
}

const REJECT: &str = "REJECT --reject-with tcp-reset";

fn shape_out(text: &mut String, chain: &str, edge: Edge, shaping: &Shaping) {
    let matches = format!("-A {chain} -d {}/32", ip(edge.to));
    if !is_queued(shaping) {
        return;
    }
    let says = comment(edge, ALL);
    writeln!(text, "{matches} {says} -j MARK --or-mark {QUEUED:#x}").expect(STRING);
    for effect in shaping.effects().filter(|effect| is_queue_effect(*effect)) {
        let says = comment(edge, effect.name());
        let marks = match effect {
            PacketEffect::Reorder => HELD,
            PacketEffect::Corrupt => CORRUPTED,
            _ => {
                writeln!(text, "{matches} {says}").expect(STRING);
                continue;
            }
        };
        let chance = chance(shaping.share(effect));
        writeln!(
            text,
            "{matches} {chance} {says} -j MARK --or-mark {marks:#x}"
        )
        .expect(STRING);
    }
}

fn comment(edge: Edge, what: &str) -> String {
    format!("-m comment {COMMENT}{edge} {what}\"")
}

/// How many of these rules count something that [`counts`] reads back.
pub(super) fn counting(rules: &str) -> usize {
    rules.matches(COMMENT).count()
}

/// The match of a share in parts of a million.
fn chance(share: u32) -> String {
    if share == WHOLE {
        return String::new();
    }
    let (whole, millionths) = (share / WHOLE, share % WHOLE);
    format!("-m statistic --mode random --probability {whole}.{millionths:06}")
}

fn ip(end: Endpoint) -> Ipv4Addr {
    end.node().map_or(CLIENT_ADDRESS, address)
}

pub(super) const STRING: &str = "writing to a string";

/// What a rule has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) edge: Edge,
    pub(super) what: Counted,
    pub(super) packets: u64,
}

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// What met a cut.
    Cut,
    /// Whatever passed.
    All,
    /// What met with an effect.
    Effect(PacketEffect),
}

/// The counters of one fault's chains in the answer of `iptables-save -c`; `None` where the fault
/// is not there at all.
pub(super) fn counts(saved: &str, id: u64) -> Option<Vec<Count>> {
    let chains = [chain(id), chain_out(id)];
    let declared = |line: &str| {
        let name = line
            .strip_prefix(':')
            .and_then(|rest| rest.split(' ').next());
        name.is_some_and(|name| chains.iter().any(|chain| chain == name))
    };
    saved.lines().any(declared).then(|| {
        let lines = saved.lines();
        lines
            .filter_map(|line| saved_count(line, &chains))
            .collect()
    })
}

/// Reads `[12:3456] -A CHAIN … --comment "n1 -> n2 loss" …`.
fn saved_count(line: &str, chains: &[String]) -> Option<Count> {
    let (counters, rule) = line.strip_prefix('[')?.split_once("] -A ")?;
    let (packets, _) = counters.split_once(':')?;
    count(rule, packets, chains)
}

/// Reads `CHAIN … --comment "n1 -> n2 loss" …`.
pub(super) fn count(rule: &str, packets: &str, chains: &[String]) -> Option<Count> {
    let (chain, rest) = rule.split_once(' ')?;
    if !chains.iter().any(|known| known == chain) {
        return None;
    }
    let (_, says) = rest.split_once(COMMENT)?;
    let (says, _) = says.split_once('"')?;
    let (edge, what) = says.rsplit_once(' ')?;
    let what = match what {
        CUT => Counted::Cut,
        ALL => Counted::All,
        name => {
            let mut effects = PacketEffect::ALL.into_iter();
            Counted::Effect(effects.find(|effect| effect.name() == name)?)
        }
    };
    Some(Count {
        edge: edge.parse().ok()?,
        what,
        packets: packets.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    #[test]
    fn a_cut_is_a_chain_of_its_own_where_its_edges_lead() {
        let edges = [
            Edge::new(Node(1), Node(2)),
            Edge::new(Endpoint::Clients, Node(2)),
        ];
        assert_eq!(
            cut(7, &edges),
            "*filter\n\
             :ORDEAL-7 - [0:0]\n\
             -A ORDEAL-7 -s 10.77.0.1/32 -m comment --comment \"n1 -> n2 cut\" \
             -j MARK --set-xmark 0x1/0x1\n\
             -A ORDEAL-7 -s 10.77.0.254/32 -m comment --comment \"clients -> n2 cut\" \
             -j MARK --set-xmark 0x1/0x1\n\
             -A ORDEAL-CUT -j ORDEAL-7\n\
             COMMIT\n"
        );
    }

    #[test]
    fn counters_are_read_back_by_edge_and_effect() {
        let saved = "\
            :ORDEAL-7 - [0:0]\n\
            :ORDEAL-8 - [0:0]\n\
            [12:340] -A ORDEAL-7 -s 10.77.0.1/32 -m comment --comment \"n1 -> n2 cut\" -j MARK\n\
            [3:4] -A ORDEAL-8 -i eth0 -m comment --comment \"n1 -> n2 packets\"\n\
            [1:2] -A ORDEAL-8 -i eth0 -m comment --comment \"n1 -> n2 loss\" -j DROP\n";
        let edge = Edge::new(Node(1), Node(2));
        let one = |what, packets| Count {
            edge,
            what,
            packets,
        };
        assert_eq!(counts(saved, 7).unwrap(), [one(Counted::Cut, 12)]);
        let loss = Counted::Effect(PacketEffect::Loss);
        assert_eq!(
            counts(saved, 8).unwrap(),
            [one(Counted::All, 3), one(loss, 1)]
        );
        assert_eq!(counts(saved, 9), None);
    }

    #[test]
    fn what_is_missing_of_what_faults_are_hung_into_is_put_back_in_order() {
        let all = "\
            -N ORDEAL-IN\n-N ORDEAL-CUT\n-N ORDEAL-SHAPE\n-N ORDEAL-OUT\n-N ORDEAL-CLASS\n\
            -A INPUT -j ORDEAL-IN\n-A OUTPUT -j ORDEAL-OUT\n-A OUTPUT -j ORDEAL-CLASS\n\
            -A ORDEAL-IN -j ORDEAL-CUT\n\
            -A ORDEAL-IN -m mark --mark 0x1/0x1 -j DROP\n\
            -A ORDEAL-IN -j ORDEAL-SHAPE\n";
        assert_eq!(repair(all), None);
        let without = |line: &str| repair(&all.replace(line, "")).unwrap();
        assert_eq!(
            without("-A OUTPUT -j ORDEAL-OUT\n"),
            "*filter\n-D OUTPUT -j ORDEAL-CLASS\n\
             -I OUTPUT 1 -j ORDEAL-OUT\n-I OUTPUT 2 -j ORDEAL-CLASS\nCOMMIT\n"
        );
        assert_eq!(
            without("-A ORDEAL-IN -j ORDEAL-CUT\n"),
            "*filter\n-F ORDEAL-IN\n-A ORDEAL-IN -j ORDEAL-CUT\n\
             -A ORDEAL-IN -m mark --mark 0x1/0x1 -j DROP\n\
             -A ORDEAL-IN -j ORDEAL-SHAPE\nCOMMIT\n"
        );
        assert!(without("-N ORDEAL-CLASS\n").contains(":ORDEAL-CLASS - [0:0]\n"));
    }

    #[test]
    fn a_share_is_a_probability_and_a_whole_one_needs_no_dice() {
        assert_eq!(chance(WHOLE), "");
        assert!(chance(100_000).ends_with("0.100000"));
        assert!(chance(1).ends_with("0.000001"));
    }
}
