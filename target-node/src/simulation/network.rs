//! A network that loses, delays, doubles, reorders and cuts.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::summary::{Count, Summary};
use super::world::{TICK, Time};
use crate::raft::NodeId;

/// Which links are cut, and how bad the rest is.
#[derive(Debug)]
pub(super) struct Network {
    size: NodeId,
    /// For each link, from one node to another.
    links: Vec<Link>,
    loss: f64,
    double: f64,
    /// Most messages take up to this long,
    delay_max: Time,
    /// and a few very much longer.
    straggler: f64,
    sent: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    is_cut: bool,
    /// The latest message that has arrived, by the order of sending.
    arrived: u64,
}

/// How one message fares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// Its number, in the order of sending.
    pub(super) number: u64,
    /// After how long it arrives; a second time is that of its double. Without any it is lost.
    pub(super) delays: [Option<Time>; 2],
}

impl Network {
    pub(super) fn new(size: NodeId, rng: &mut ChaCha8Rng) -> Self {
        let links = size * size;
        Self {
            size,
            links: (0..links).map(|_| Link::default()).collect(),
            loss: [0.0, 0.02, 0.15][rng.random_range(0..3)],
            double: [0.0, 0.05, 0.2][rng.random_range(0..3)],
            delay_max: [2, 10, 40][rng.random_range(0..3)],
            straggler: [0.0, 0.02, 0.1][rng.random_range(0..3)],
            sent: 0,
        }
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        let place = (from - 1) * self.size + to - 1;
        let place = usize::try_from(place).expect("clusters are small");
        &mut self.links[place]
    }

    /// How often, and when, a message arrives.
    pub(super) fn send(
        &mut self,
        (from, to): (NodeId, NodeId),
        rng: &mut ChaCha8Rng,
        summary: &mut Summary,
    ) -> Fate {
        self.sent += 1;
        summary.add(Count::Messages, 1);
        let mut fate = Fate {
            number: self.sent,
            delays: [None; 2],
        };
        if self.link(from, to).is_cut {
            summary.add(Count::Cut, 1);
        } else if rng.random_bool(self.loss) {
            summary.add(Count::Lost, 1);
        } else {
            fate.delays[0] = Some(self.delay(rng, summary));
            if rng.random_bool(self.double) {
                summary.add(Count::Doubled, 1);
                fate.delays[1] = Some(self.delay(rng, summary));
            }
        }
        fate
    }

    fn delay(&self, rng: &mut ChaCha8Rng, summary: &mut Summary) -> Time {
        let is_straggler = rng.random_bool(self.straggler);
        summary.add(Count::Stragglers, u64::from(is_straggler));
        let longest = if is_straggler {
            60 * TICK
        } else {
            self.delay_max
        };
        rng.random_range(1..=longest)
    }

    /// A message has arrived; true where one that was sent later has before it.
    pub(super) fn arrived(&mut self, (from, to): (NodeId, NodeId), number: u64) -> bool {
        let link = self.link(from, to);
        let is_overtaken = link.arrived > number;
        link.arrived = link.arrived.max(number);
        is_overtaken
    }

    /// Another partition, or none: halves, one node alone, one direction only, random pairs.
    pub(super) fn change(&mut self, rng: &mut ChaCha8Rng, summary: &mut Summary) {
        self.links.iter_mut().for_each(|link| link.is_cut = false);
        let victim = rng.random_range(1..=self.size);
        let kind = rng.random_range(0..6);
        let side: u64 = rng.random();
        let is_in = |id: NodeId| side >> id & 1 == 1;
        for from in 1..=self.size {
            for to in 1..=self.size {
                let is_cut = from != to
                    && match kind {
                        0 => is_in(from) != is_in(to),
                        1 => from == victim || to == victim,
                        2 => from == victim,
                        3 => to == victim,
                        4 => rng.random_bool(0.3),
                        _ => false,
                    };
                self.link(from, to).is_cut = is_cut;
            }
        }
        for from in 1..=self.size {
            for to in from + 1..=self.size {
                let ways = [(from, to), (to, from)].map(|(a, b)| self.link(a, b).is_cut);
                summary.add(Count::Partitions, u64::from(ways[0] && ways[1]));
                summary.add(Count::OneWay, u64::from(ways[0] != ways[1]));
            }
        }
    }

    /// Nothing is cut, lost or late any more.
    pub(super) fn heal(&mut self) {
        self.links.iter_mut().for_each(|link| link.is_cut = false);
        self.loss = 0.0;
        self.double = 0.0;
        self.straggler = 0.0;
        self.delay_max = self.delay_max.min(TICK);
    }
}
