//! The queues at a sender's interface: which qdiscs there are to be, and the `tc` commands from
//! those that there are.
//!
//! ```text
//!  eth0 ── htb 1: ── 1:10 to n1 (rate) ── 1:11 plain      netem delay
//!                │                    └── 1:12 held back  netem delay + 10 ms
//!                ├── 1:18 to n2 …     └── 1:13 corrupted  netem corrupt
//!                └── whatever is not marked: straight out
//! ```
//!
//! Several shapings of one edge add up in one line: delays and jitters are summed, the slowest rate
//! counts. What still waits in a queue that is removed is lost, as on an unplugged line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    fault::{PacketEffect, Shaping},
    network::cables::{INTERFACE, place},
    node::Endpoint,
};

/// The mark of a packet that goes to a queue, …
pub(super) const QUEUED: u32 = 0x10;
/// … that is held back in it, …
pub(super) const HELD: u32 = 0x20;
/// … that is corrupted in it.
pub(super) const CORRUPTED: u32 = 0x40;

/// How much longer a packet is held back that is to be overtaken.
const HELD_BACK_US: u64 = 10_000;

/// Faster than any veth: a line without a rate.
const UNLIMITED: u64 = 100_000_000_000;

/// The lines out of one namespace, by where they lead.
pub(super) type Egress = BTreeMap<Endpoint, Line>;

/// One directed edge, with all that its packets wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    place: u16,
    /// Bits a second.
    rate: Option<u64>,
    delay_us: u64,
    jitter_us: u64,
    holds_back: bool,
    corrupts: bool,
}

/// A queue of a line: for packets with exactly these marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) marks: u32,
    /// The minor number of its class.
    pub(super) class: u16,
}

impl Line {
    /// A line to `to` that does nothing yet.
    pub(super) fn to(to: Endpoint) -> Self {
        Self {
            place: place(to),
            ..Self::default()
        }
    }

    /// Adds what one shaping does.
    pub(super) fn add(&mut self, shaping: &Shaping) {
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(0);
        if let Some((shortest, range)) = shaping.delay() {
            self.delay_us += micros(shortest) + micros(range) / 2;
            self.jitter_us += micros(range) / 2;
        }
        if let Some(rate) = shaping.rate() {
            self.rate = Some(self.rate.map_or(rate, |other| other.min(rate)));
        }
        self.holds_back |= shaping.share(PacketEffect::Reorder) > 0;
        self.corrupts |= shaping.share(PacketEffect::Corrupt) > 0;
    }

    /// Eight numbers a line: its own, then its leaves'.
    fn class(&self) -> u16 {
        self.place * 8 + 8
    }

    pub(super) fn leaves(&self) -> Vec<Leaf> {
        let all = [
            (true, 0),
            (self.holds_back, HELD),
            (self.corrupts, CORRUPTED),
            (self.holds_back && self.corrupts, HELD | CORRUPTED),
        ];
        let numbered = (self.class() + 1..).zip(all);
        let there = numbered.filter(|(_, (is_there, _))| *is_there);
        there
            .map(|(class, (_, marks))| Leaf {
                marks: QUEUED | marks,
                class,
            })
            .collect()
    }

    /// The qdisc of a leaf, with its handle.
    fn qdisc(&self, leaf: Leaf) -> String {
        let mut delay_us = self.delay_us;
        if leaf.marks & HELD != 0 {
            delay_us += HELD_BACK_US;
        }
        let room_us = 500_000 + delay_us + self.jitter_us;
        let bytes = |rate: u64| (rate / 8).saturating_mul(room_us) / 1_000_000;
        let is_corrupt = leaf.marks & CORRUPTED != 0;
        if delay_us == 0 && !is_corrupt {
            let limit = bytes(self.rate.unwrap_or(UNLIMITED)).clamp(3_000, 500_000_000);
            return format!("handle {:x}: bfifo limit {limit}", leaf.class);
        }
        // In packets, of which a full one has 1500 bytes.
        let limit = self.rate.map_or(100_000, |rate| bytes(rate) / 1500).max(2);
        let mut text = format!("handle {:x}: netem limit {limit}", leaf.class | 0x8000);
        if delay_us > 0 {
            write!(text, " delay {delay_us}us {}us", self.jitter_us).expect(STRING);
        }
        if is_corrupt {
            text.push_str(" corrupt 100%");
        }
        text
    }

    fn install(&self, text: &mut String) {
        let (line, rate) = (self.class(), self.rate.unwrap_or(UNLIMITED));
        writeln!(
            text,
            "class replace dev {INTERFACE} parent 1: classid 1:{line:x} \
             htb rate {rate}bit ceil {rate}bit quantum 1514"
        )
        .expect(STRING);
        for leaf in self.leaves() {
            let (class, own) = (leaf.class, rate.min(8_000));
            // Leaves have next to nothing of their own: they borrow from their line.
            writeln!(
                text,
                "class replace dev {INTERFACE} parent 1:{line:x} classid 1:{class:x} \
                 htb rate {own}bit ceil {rate}bit quantum 1514\n\
                 qdisc replace dev {INTERFACE} parent 1:{class:x} {}",
                self.qdisc(leaf)
            )
            .expect(STRING);
        }
    }

    fn remove_leaf(leaf: Leaf, text: &mut String) {
        writeln!(text, "class del dev {INTERFACE} classid 1:{:x}", leaf.class).expect(STRING);
    }

    fn remove(&self, text: &mut String) {
        for leaf in self.leaves() {
            Self::remove_leaf(leaf, text);
        }
        writeln!(
            text,
            "class del dev {INTERFACE} classid 1:{:x}",
            self.class()
        )
        .expect(STRING);
    }
}

const STRING: &str = "writing to a string";

/// The commands that make what is new or other, before packets are sent there.
pub(super) fn prepare(old: &Egress, new: &Egress) -> String {
    let mut text = String::new();
    if old.is_empty() && !new.is_empty() {
        writeln!(
            text,
            "qdisc add dev {INTERFACE} root handle 1: htb default 0"
        )
        .expect(STRING);
    }
    for (to, line) in new {
        if old.get(to) != Some(line) {
            line.install(&mut text);
        }
    }
    text
}

/// The commands that remove what is gone, once no packet is sent there any more.
pub(super) fn clear(old: &Egress, new: &Egress) -> String {
    let mut text = String::new();
    if new.is_empty() {
        if !old.is_empty() {
            writeln!(text, "qdisc del dev {INTERFACE} root").expect(STRING);
        }
        return text;
    }
    for (to, line) in old {
        match new.get(to) {
            None => line.remove(&mut text),
            Some(now) => {
                let stay = now.leaves();
                let gone = line
                    .leaves()
                    .into_iter()
                    .filter(|leaf| !stay.contains(leaf));
                gone.for_each(|leaf| Line::remove_leaf(leaf, &mut text));
            }
        }
    }
    text
}

/// The command whose answer [`are`] reads.
pub(super) fn look() -> String {
    format!("qdisc show dev {INTERFACE}\n")
}

/// Whether these queues are there, and no others.
pub(super) fn are(egress: &Egress, shown: &str) -> bool {
    let leaves = egress.values().flat_map(Line::leaves);
    let wanted: BTreeSet<String> = leaves.map(|leaf| format!("1:{:x}", leaf.class)).collect();
    let parents = shown.lines().filter_map(|line| {
        let (_, rest) = line.split_once(" parent ")?;
        rest.split(' ').next().map(ToOwned::to_owned)
    });
    let is_ours = |line: &str| line.starts_with("qdisc htb 1: root ");
    let has_root = shown.lines().any(is_ours);
    has_root != egress.is_empty() && parents.collect::<BTreeSet<_>>() == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    fn egress(shapings: &[(u16, &str)]) -> Egress {
        let mut egress = Egress::new();
        for (node, text) in shapings {
            let to = Endpoint::Node(Node(*node));
            let line = egress.entry(to).or_insert_with(|| Line::to(to));
            line.add(&text.parse().unwrap());
        }
        egress
    }

    #[test]
    fn shapings_of_one_edge_add_up_in_one_line() {
        let both = egress(&[
            (1, "delay 10ms ±2ms, rate 1mbit"),
            (1, "delay 20ms, rate 2mbit"),
        ]);
        assert_eq!(
            prepare(&Egress::new(), &both),
            "qdisc add dev eth0 root handle 1: htb default 0\n\
             class replace dev eth0 parent 1: classid 1:10 htb rate 1000000bit ceil 1000000bit \
             quantum 1514\n\
             class replace dev eth0 parent 1:10 classid 1:11 htb rate 8000bit ceil 1000000bit \
             quantum 1514\n\
             qdisc replace dev eth0 parent 1:11 handle 8011: netem limit 44 delay 30000us 2000us\n"
        );
    }

    #[test]
    fn only_what_is_other_is_changed_and_only_what_is_gone_removed() {
        let one = egress(&[(1, "delay 10ms"), (2, "reorder 1%")]);
        let other = egress(&[(1, "delay 10ms"), (3, "rate 8mbit")]);
        let prepared = prepare(&one, &other);
        assert!(!prepared.contains("1:10 "), "{prepared}");
        assert!(
            prepared.contains("handle 21: bfifo limit 500000\n"),
            "{prepared}"
        );
        assert_eq!(
            clear(&one, &other),
            "class del dev eth0 classid 1:19\n\
             class del dev eth0 classid 1:1a\n\
             class del dev eth0 classid 1:18\n"
        );
        assert_eq!(clear(&other, &Egress::new()), "qdisc del dev eth0 root\n");
        assert_eq!(clear(&one, &one) + &prepare(&one, &one), "");
    }

    #[test]
    fn held_back_and_corrupted_packets_have_queues_of_their_own() {
        let line = &egress(&[(2, "reorder 1%, corrupt 1%")])[&Endpoint::Node(Node(2))];
        let classes: Vec<_> = line.leaves().iter().map(|leaf| leaf.class).collect();
        assert_eq!(classes, [0x19, 0x1a, 0x1b, 0x1c]);
        let held = line.qdisc(line.leaves()[3]);
        assert!(held.ends_with("delay 10000us 0us corrupt 100%"), "{held}");
    }

    #[test]
    fn queues_are_looked_at_by_the_classes_that_they_hang_in() {
        let n2 = Endpoint::Node(Node(2));
        let mut line = Line::to(n2);
        line.add(&"rate 1mbit".parse().unwrap());
        let one = Egress::from([(n2, line)]);
        let class = one[&n2].leaves()[0].class;
        let root = "qdisc htb 1: root refcnt 3 r2q 10 default 0\n";
        let leaf = format!("qdisc bfifo {class:x}: parent 1:{class:x} limit 62500b\n");
        let none = "qdisc noqueue 0: root refcnt 2 \n";
        let there = format!("{root}{leaf}");
        assert!(are(&one, &there) && are(&Egress::new(), none));
        for wrong in [
            none,
            root,
            &leaf,
            &format!("{there}{leaf}").replace("1:1", "1:2"),
        ] {
            assert!(!are(&one, wrong), "{wrong}");
        }
        for left in [there.as_str(), root, &leaf] {
            assert!(!are(&Egress::new(), left), "{left}");
        }
    }
}
