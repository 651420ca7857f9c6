//! One edge of one shaping: what it does to each packet, and what it has done so far.
//!
//! ```text
//!  packet ─▶ lost? ─▶ reset? refused? ─▶ altered? corrupted? ─▶ rate ─▶ delay, held back ─▶ due
//!              │        └▶ a reset back to its sender     └▶ no room: dropped
//!              └▶ dropped                           doubled: one more, with a delay of its own
//! ```
//!
//! A reset back is a packet of the way back: what is done to that edge is done to it too, but that
//! nothing answers it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{fate::Fate, packet};
use crate::{
    fault::{PacketEffect, Shaping},
    network::FateSeed,
    node::{Edge, Endpoint},
    proof::Fates,
};

/// How much longer a packet is held back that is to be overtaken.
const HELD_BACK: Duration = Duration::from_millis(10);

/// How long a packet may wait for its turn on a slow line before there is no room for it.
const ROOM: Duration = Duration::from_millis(500);

/// A packet on its way, and when it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) due: Instant,
    pub(super) bytes: Vec<u8>,
}

/// What came of one packet.
#[derive(Debug, Default)]
pub(super) struct Crossing {
    /// To its receiver: itself, a double, a reset; nothing when it is lost.
    pub(super) onward: Vec<Passage>,
    /// To who sent it, over the edge that leads there.
    pub(super) back: Vec<Vec<u8>>,
    /// It is a reset of ours: it is answered by none.
    is_ours: bool,
}

impl Crossing {
    /// Of a packet that is sent at that time.
    pub(super) fn of(due: Instant, bytes: Vec<u8>) -> Self {
        Self {
            onward: vec![Passage { due, bytes }],
            ..Self::default()
        }
    }

    /// The same of what goes back in the place of an answer.
    pub(super) fn of_ours(due: Instant, bytes: Vec<u8>) -> Self {
        Self {
            is_ours: true,
            ..Self::of(due, bytes)
        }
    }
}

#[derive(Debug)]
pub(super) struct Link {
    shaping: Shaping,
    rng: ChaCha8Rng,
    fates: Fates,
    /// When the line has sent all that it was given.
    line_free: Option<Instant>,
    /// The packets under way that nobody has overtaken yet, by when they arrive.
    under_way: BTreeSet<(Instant, u64)>,
}

impl Link {
    pub(super) fn new(edge: Edge, shaping: &Shaping, seed: FateSeed) -> Self {
        let effects: BTreeMap<_, _> = shaping.effects().map(|effect| (effect, 0)).collect();
        Self {
            shaping: shaping.clone(),
            rng: ChaCha8Rng::from_seed(dice_of(edge, seed)),
            fates: Fates {
                packets: 0,
                effects,
            },
            line_free: None,
            under_way: BTreeSet::new(),
        }
    }

    pub(super) fn fates(&self) -> Fates {
        self.fates.clone()
    }

    /// Takes one packet, which reaches this link at `packet.due`.
    pub(super) fn carry(&mut self, mut packet: Passage, crossing: &mut Crossing) {
        self.fates.packets += 1;
        let fate = Fate::draw(&self.shaping, &mut self.rng);
        if fate.lost {
            self.count(PacketEffect::Loss);
            return;
        }
        if fate.reset
            && !crossing.is_ours
            && let Some(resets) = packet::resets(&packet.bytes)
        {
            self.count(PacketEffect::Reset);
            crossing.back.push(resets.back);
            packet.bytes = resets.onward;
        }
        if fate.refused
            && !crossing.is_ours
            && packet::opens_connection(&packet.bytes)
            && let Some(resets) = packet::resets(&packet.bytes)
        {
            self.count(PacketEffect::Refuse);
            crossing.back.push(resets.back);
            return;
        }
        if fate.altered && packet::alter(&mut packet.bytes, fate.bit) {
            self.count(PacketEffect::CorruptDeliver);
        }
        if fate.corrupted && packet::corrupt(&mut packet.bytes, fate.bit) {
            self.count(PacketEffect::Corrupt);
        }
        let sent = packet.due;
        let Some(on_line) = self.on_line(sent, packet.bytes.len()) else {
            return;
        };
        let double = fate.duplicated.then(|| packet.bytes.clone());
        packet.due = self.due(sent, on_line, fate.delays[0], fate.held_back);
        crossing.onward.push(packet);
        if let Some(bytes) = double {
            self.count(PacketEffect::Duplicate);
            let due = self.due(sent, on_line, fate.delays[1], fate.held_back);
            crossing.onward.push(Passage { due, bytes });
        }
    }

    /// When a packet has left the line; `None` when there is no room for it to wait.
    fn on_line(&mut self, sent: Instant, bytes: usize) -> Option<Instant> {
        let Some(takes) = self.shaping.time_on_line(bytes) else {
            return Some(sent);
        };
        self.count(PacketEffect::Rate);
        let begins = self.line_free.map_or(sent, |free| free.max(sent));
        if begins.saturating_duration_since(sent) > ROOM {
            return None;
        }
        let ends = begins + takes;
        self.line_free = Some(ends);
        Some(ends)
    }

    /// When a packet arrives that has left the line; notes whom it overtakes.
    fn due(&mut self, sent: Instant, on_line: Instant, part: u32, held_back: bool) -> Instant {
        let mut due = on_line;
        if let Some((shortest, range)) = self.shaping.delay() {
            self.count(PacketEffect::Delay);
            due += shortest + range.mul_f64(f64::from(part) / f64::from(u32::MAX));
        }
        if held_back {
            due += HELD_BACK;
        }
        if self.fates.effects.contains_key(&PacketEffect::Reorder) {
            // Those that have arrived by now cannot be overtaken.
            self.under_way = self.under_way.split_off(&(sent, 0));
            let overtaken = self.under_way.split_off(&(due, u64::MAX));
            *self.fates.effects.entry(PacketEffect::Reorder).or_default() +=
                u64::try_from(overtaken.len()).expect("packets are counted in 64 bits");
            self.under_way.insert((due, self.fates.packets));
        }
        due
    }

    fn count(&mut self, effect: PacketEffect) {
        *self.fates.effects.entry(effect).or_default() += 1;
    }
}

/// The seed of an edge's dice: no two edges, faults or plans share one.
fn dice_of(edge: Edge, FateSeed { seed, fault }: FateSeed) -> [u8; 32] {
    let port = |end: Endpoint| end.node().map_or(0, |node| node.0).to_le_bytes();
    let mut dice = [0; 32];
    dice[..8].copy_from_slice(&seed.to_le_bytes());
    dice[8..12].copy_from_slice(&fault.to_le_bytes());
    dice[12..14].copy_from_slice(&port(edge.from));
    dice[14..16].copy_from_slice(&port(edge.to));
    dice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    fn link(text: &str, fault: u32) -> Link {
        let edge = Edge::new(Node(1), Node(2));
        Link::new(edge, &text.parse().unwrap(), FateSeed { seed: 5, fault })
    }

    /// Sends 1000 packets of 125 bytes, one every `every_us`; says when each arrives, from the
    /// first one's sending, and its number.
    fn arrivals(link: &mut Link, every_us: u64) -> Vec<(Duration, u64)> {
        let start = Instant::now();
        let mut arrived = Vec::new();
        for number in 0..1000_u64 {
            let due = start + Duration::from_micros(number * every_us);
            let bytes = [&number.to_le_bytes()[..], &[0; 117]].concat();
            let mut crossing = Crossing::default();
            link.carry(Passage { due, bytes }, &mut crossing);
            arrived.extend(
                crossing
                    .onward
                    .into_iter()
                    .map(|passage| (passage.due - start, number)),
            );
        }
        arrived.sort();
        arrived
    }

    #[test]
    fn one_seed_gives_one_sequence_and_another_fault_another() {
        let text = "delay 50ms ±10ms, loss 10%, duplicate 10%, reorder 10%, rate 10mbit";
        let run = |fault| arrivals(&mut link(text, fault), 100);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_delay_without_jitter_keeps_the_order_and_one_with_jitter_its_bounds() {
        let numbers = |arrived: &[(Duration, u64)]| arrived.iter().map(|(_, n)| *n).collect();
        let arrived = arrivals(&mut link("delay 50ms", 1), 10);
        let order: Vec<u64> = numbers(&arrived);
        assert!(order.is_sorted());
        for (at, number) in arrivals(&mut link("delay 50ms ±10ms", 1), 1000) {
            let delay = at - Duration::from_millis(number);
            assert!((40..=60).contains(&delay.as_millis()), "{delay:?}");
        }
    }

    #[test]
    fn those_overtaken_are_counted_and_no_others() {
        for (every_us, reordered) in [(1000, true), (20_000, false)] {
            let mut link = link("reorder 10%", 1);
            let arrived = arrivals(&mut link, every_us);
            let mut latest = 0;
            let mut behind = 0;
            for (_, number) in &arrived {
                behind += u64::from(*number < latest);
                latest = latest.max(*number);
            }
            assert_eq!(link.fates().effects[&PacketEffect::Reorder], behind);
            assert_eq!(behind > 0, reordered, "at most 10 ms later");
        }
    }

    #[test]
    fn a_rate_spaces_packets_and_drops_those_without_room() {
        // 125 bytes at 1 Mbit/s take 1 ms, and come twice as fast.
        let arrived = arrivals(&mut link("rate 1mbit", 1), 500);
        for pair in arrived.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(1));
        }
        assert_eq!(
            arrived.len(),
            1000,
            "the last one waits less than half a second"
        );
        let arrived = arrivals(&mut link("rate 1mbit", 1), 0);
        assert_eq!(arrived.len(), 501, "room for half a second");
    }

    #[test]
    fn what_has_no_time_to_happen_is_not_counted() {
        let mut link = link("reset 100%, corrupt-deliver 100%", 1);
        arrivals(&mut link, 10);
        assert_eq!(
            link.fates().effects[&PacketEffect::Reset],
            0,
            "they are no TCP"
        );
        assert_eq!(link.fates().packets, 1000);
    }
}
