//! The planner: nemesis × nodes × time × seed → schedule. Pure: same input, same bytes.

//!
//! How a schedule comes about: each nemesis is a deck of cards, one a kind of fault. Cards are
//! drawn without putting back, so every kind has its turn before any has a second one; `mixed`
//! stacks its first deck so that every *class* comes among the first three faults. Between two
//! injections lies a random interval; each fault lasts a random time, so faults overlap. The bounds
//! that hold throughout:
//!
//! - two process faults never hit the same node at the same time;
//! - explicit targets down or paused at the same time are at most a minority (one, in a cluster of
//!   one or two);
//! - a fault on `leader` or `all` stands alone among process faults, since it may hit anybody;
//! - no card is played that would change nothing in a cluster of this size;
//! - everything heals before the end of the main phase.

mod card;

use std::{fmt, ops::RangeInclusive, str::FromStr};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use self::card::{Card, Free};
use crate::{
    fault::FaultClass,
    network::NODES_MAX,
    node::Node,
    schedule::{PlannedFault, Schedule, hits},
};

/// A named way to break the cluster, as `--nemesis` takes it and `ordeal list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Nemesis {
    /// No fault at all.
    None,
    /// Kill up to a minority, start again.
    Kill,
    /// Kill whoever leads.
    KillLeader,
    /// Kill every node at once.
    KillAll,
    /// Pause up to a minority.
    Pause,
    /// Pause whoever leads.
    PauseLeader,
    /// Pause every node at once.
    PauseAll,
    /// Partitions of every shape.
    Partition,
    /// Random halves only.
    Halves,
    /// One random node cut off.
    Isolate,
    /// Whoever leads cut off from the other nodes.
    IsolateLeader,
    /// Majorities ring only.
    Ring,
    /// One direction only.
    OneWay,
    /// Clients cut off from some nodes.
    ClientCut,
    /// Kills, pauses and partitions of every shape, overlapping.
    Mixed,
}

/// What to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSpec {
    /// The size of the cluster.
    pub nodes: u16,
    /// What kinds of faults.
    pub nemesis: Nemesis,
    /// The length of the main phase, in milliseconds. Everything heals before it ends.
    pub time_ms: u64,
    /// From one injection to the next, in milliseconds; default 1000 to 5000.
    pub interval_ms: RangeInclusive<u64>,
    /// How long a fault lasts, in milliseconds; default 1000 to 5000.
    pub duration_ms: RangeInclusive<u64>,
    /// Where every random choice comes from.
    pub seed: u64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The cluster is too small for this nemesis to change anything, or larger than can be run.
    #[error("nemesis `{nemesis}` needs {least} to {most} nodes, not {nodes}")]
    Nodes {
        /// What was asked for.
        nemesis: Nemesis,
        /// The smallest cluster in which it changes something.
        least: u16,
        /// The largest cluster there is room for.
        most: u16,
        /// The size given.
        nodes: u16,
    },
    /// No fault fits into the time.
    #[error("nemesis `{nemesis}` needs at least {least_ms} ms, not {time_ms} ms")]
    Time {
        /// What was asked for.
        nemesis: Nemesis,
        /// The shortest main phase into which one fault fits.
        least_ms: u64,
        /// The time given.
        time_ms: u64,
    },
    /// A range of times is empty or starts at 0.
    #[error("{name} must be a range from at least 1 ms upwards, not {from} to {to}")]
    Range {
        /// `interval_ms` or `duration_ms`.
        name: &'static str,
        /// Its start.
        from: u64,
        /// Its end.
        to: u64,
    },
}

/// A name that is no nemesis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no nemesis: use one of {list}", list = Nemesis::ALL.map(Nemesis::name).join(", "))]
pub struct NemesisNameError(String);

impl PlanSpec {
    /// The usual intervals and durations.
    pub fn new(nemesis: Nemesis, nodes: u16, time_ms: u64, seed: u64) -> Self {
        Self {
            nodes,
            nemesis,
            time_ms,
            interval_ms: 1000..=5000,
            duration_ms: 1000..=5000,
            seed,
        }
    }
}

/// The schedule for `spec`.
///
/// # Errors
///
/// A cluster in which the nemesis could change nothing, or a time into which no fault fits.
pub fn plan(spec: &PlanSpec) -> Result<Schedule, PlanError> {
    check_range("interval_ms", &spec.interval_ms)?;
    check_range("duration_ms", &spec.duration_ms)?;
    let PlanSpec {
        nodes,
        nemesis,
        time_ms,
        ..
    } = *spec;
    let all = nemesis.cards();
    let cards: Vec<Card> = all
        .iter()
        .copied()
        .filter(|card| card.least() <= nodes)
        .collect();
    if nodes == 0 || nodes > NODES_MAX || (cards.is_empty() && !all.is_empty()) {
        let least = all.iter().map(|card| card.least()).min().unwrap_or(1);
        return Err(PlanError::Nodes {
            nemesis,
            least,
            most: NODES_MAX,
            nodes,
        });
    }
    if cards.is_empty() {
        return Ok(Schedule::default());
    }
    let least_ms = spec.least_ms();
    if time_ms < least_ms {
        return Err(PlanError::Time {
            nemesis,
            least_ms,
            time_ms,
        });
    }
    Ok(Draw::new(spec, cards).schedule())
}

/// Between the last heal and the end of the main phase: clients see the cluster whole again.
const CALM_MS: u64 = 500;

impl PlanSpec {
    /// The shortest main phase into which one fault fits for sure: the longest time until the
    /// first, the shortest fault, and calm.
    fn least_ms(&self) -> u64 {
        let (first, shortest) = (*self.interval_ms.start(), *self.duration_ms.start());
        first.saturating_add(shortest).saturating_add(CALM_MS)
    }
}

fn check_range(name: &'static str, range: &RangeInclusive<u64>) -> Result<(), PlanError> {
    let (from, to) = (*range.start(), *range.end());
    if from == 0 || from > to {
        Err(PlanError::Range { name, from, to })
    } else {
        Ok(())
    }
}

/// A schedule in the making.
struct Draw<'a> {
    spec: &'a PlanSpec,
    rng: ChaCha8Rng,
    cards: Vec<Card>,
    deck: Vec<Card>,
    faults: Vec<PlannedFault>,
}

impl<'a> Draw<'a> {
    fn new(spec: &'a PlanSpec, cards: Vec<Card>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        let mut deck = cards.clone();
        deck.shuffle(&mut rng);
        let deck = one_of_each_class_first(deck);
        Self {
            spec,
            rng,
            cards,
            deck,
            faults: Vec::new(),
        }
    }

    fn schedule(mut self) -> Schedule {
        let (soonest, latest) = (*self.spec.interval_ms.start(), *self.spec.interval_ms.end());
        let end_ms = self.spec.time_ms - CALM_MS;
        let shortest = *self.spec.duration_ms.start();
        let mut at_ms = self.rng.random_range(soonest.div_ceil(2)..=soonest);
        while at_ms.saturating_add(shortest) <= end_ms {
            let Some(card) = self.draw(at_ms) else {
                // Every card waits for a process fault to heal; the next millisecond at which one
                // does is soon enough.
                at_ms = self.next_heal(at_ms);
                continue;
            };
            self.play(card, at_ms, end_ms);
            at_ms = at_ms.saturating_add(self.rng.random_range(soonest..=latest));
        }
        Schedule {
            faults: self.faults,
        }
    }

    /// The first card of the deck that can be played now.
    fn draw(&mut self, at_ms: u64) -> Option<Card> {
        let free = self.free(at_ms);
        let playable = |card: &Card| card.is_playable(&free);
        if !self.cards.iter().any(playable) {
            return None;
        }
        if !self.deck.iter().any(playable) {
            // What is left of the old deck keeps its turn, before the new one.
            let mut fresh = self.cards.clone();
            fresh.shuffle(&mut self.rng);
            self.deck.append(&mut fresh);
        }
        let next = self
            .deck
            .iter()
            .position(playable)
            .expect("one of all cards is playable");
        Some(self.deck.remove(next))
    }

    fn play(&mut self, card: Card, at_ms: u64, end_ms: u64) {
        let free = self.free(at_ms);
        let fault = card.fault(self.spec.nodes, &free, &mut self.rng);
        let for_ms = self
            .rng
            .random_range(self.spec.duration_ms.clone())
            .min(end_ms - at_ms);
        let id =
            u32::try_from(self.faults.len()).expect("a fault takes a millisecond at least") + 1;
        self.faults.push(PlannedFault {
            id,
            at_ms,
            for_ms,
            fault,
        });
    }

    /// The processes that may be hit at this time.
    fn free(&self, at_ms: u64) -> Free {
        let count = self.spec.nodes;
        let active = self
            .faults
            .iter()
            .filter(|planned| planned.heal_ms() > at_ms);
        let busy: Vec<Node> = active
            .flat_map(|planned| hits(&planned.fault, count))
            .collect();
        let minority = usize::from((count.saturating_sub(1) / 2).max(1));
        Free {
            nodes: Node::first(count)
                .filter(|node| !busy.contains(node))
                .collect(),
            budget: minority.saturating_sub(busy.len()),
            nobody_is_hit: busy.is_empty(),
        }
    }

    /// When the next process fault heals, after `at_ms`.
    fn next_heal(&self, at_ms: u64) -> u64 {
        let processes = self
            .faults
            .iter()
            .filter(|planned| planned.fault.class() != FaultClass::Partition);
        let heals = processes
            .map(PlannedFault::heal_ms)
            .filter(|heal| *heal > at_ms);
        heals
            .min()
            .expect("a card waits only for a process fault that is in force")
    }
}

/// Moves the first card of each class to the front, in the order in which they lie.
fn one_of_each_class_first(deck: Vec<Card>) -> Vec<Card> {
    let mut seen = Vec::new();
    let (mut front, mut rest) = (Vec::new(), Vec::new());
    for card in deck {
        if seen.contains(&card.class()) {
            rest.push(card);
        } else {
            seen.push(card.class());
            front.push(card);
        }
    }
    front.append(&mut rest);
    front
}

impl Nemesis {
    /// Every nemesis, in the order in which they are listed.
    pub const ALL: [Nemesis; 15] = [
        Self::None,
        Self::Kill,
        Self::KillLeader,
        Self::KillAll,
        Self::Pause,
        Self::PauseLeader,
        Self::PauseAll,
        Self::Partition,
        Self::Halves,
        Self::Isolate,
        Self::IsolateLeader,
        Self::Ring,
        Self::OneWay,
        Self::ClientCut,
        Self::Mixed,
    ];

    /// What its deck holds.
    fn cards(self) -> &'static [Card] {
        match self {
            Self::None => &[],
            Self::Kill => &[Card::Kill],
            Self::KillLeader => &[Card::KillLeader],
            Self::KillAll => &[Card::KillAll],
            Self::Pause => &[Card::Pause],
            Self::PauseLeader => &[Card::PauseLeader],
            Self::PauseAll => &[Card::PauseAll],
            Self::Partition => &Card::PARTITIONS,
            Self::Halves => &[Card::Halves],
            Self::Isolate => &[Card::Isolate],
            Self::IsolateLeader => &[Card::IsolateLeader],
            Self::Ring => &[Card::Ring],
            Self::OneWay => &[Card::OneWay],
            Self::ClientCut => &[Card::Clients],
            Self::Mixed => &Card::MIXED,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::KillLeader => "kill-leader",
            Self::KillAll => "kill-all",
            Self::Pause => "pause",
            Self::PauseLeader => "pause-leader",
            Self::PauseAll => "pause-all",
            Self::Partition => "partition",
            Self::Halves => "halves",
            Self::Isolate => "isolate",
            Self::IsolateLeader => "isolate-leader",
            Self::Ring => "ring",
            Self::OneWay => "one-way",
            Self::ClientCut => "client-cut",
            Self::Mixed => "mixed",
        }
    }

    /// What it does, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::None => "no fault at all",
            Self::Kill => "SIGKILL for up to a minority of the nodes, then start them again",
            Self::KillLeader => "SIGKILL for whoever leads at that moment, then start it again",
            Self::KillAll => "SIGKILL for every node at once, then start them all again",
            Self::Pause => "SIGSTOP for up to a minority of the nodes, then SIGCONT",
            Self::PauseLeader => "SIGSTOP for whoever leads at that moment, then SIGCONT",
            Self::PauseAll => "SIGSTOP for every node at once, then SIGCONT",
            Self::Partition => "cuts of every shape below, in turn",
            Self::Halves => "the cluster in two random sides",
            Self::Isolate => "one random node cut off from all others",
            Self::IsolateLeader => {
                "whoever leads cut off from all other nodes; clients still reach it"
            }
            Self::Ring => "majorities ring: each node sees a majority, no two see the same one",
            Self::OneWay => "some nodes are not heard by some others; the way back is open",
            Self::ClientCut => "clients cut off from some of the nodes, which hear each other",
            Self::Mixed => "kills, pauses and cuts of every shape, overlapping",
        }
    }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Nemesis {
    type Err = NemesisNameError;

    fn from_str(text: &str) -> Result<Self, NemesisNameError> {
        let found = Self::ALL.into_iter().find(|nemesis| nemesis.name() == text);
        found.ok_or_else(|| NemesisNameError(text.to_owned()))
    }
}

impl From<Nemesis> for String {
    fn from(nemesis: Nemesis) -> String {
        nemesis.name().to_owned()
    }
}

impl TryFrom<String> for Nemesis {
    type Error = NemesisNameError;

    fn try_from(text: String) -> Result<Self, NemesisNameError> {
        text.parse()
    }
}
