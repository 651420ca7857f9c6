//! The planner: nemesis × nodes × time × seed → schedule. Pure: same input, same bytes.
//!
//! How a schedule comes about: each nemesis is a deck of cards, one a kind of fault. Cards are
//! drawn without putting back, so every kind has its turn before any has a second one; `mixed`
//! stacks its first deck so that every *class* comes among the first three faults. Between two
//! injections lies a random interval; each fault lasts a random time, so faults overlap. `swarm`
//! first draws which cards are in the deck at all, how hard each kind of fault hits (see
//! `card/strength.rs`), and a narrower range of intervals and durations: what is left out lets the
//! rest interact (Groce et al., Swarm Testing, ISSTA 2012). `flip-flop`
//! draws one length, for which each fault lasts and after which nothing does. The bounds that hold
//! throughout:
//!
//! - two process faults never hit the same node at the same time, nor within a second of a heal, or
//!   four where a disk was concerned: what was started again must be seen to serve;
//! - explicit targets down or paused at the same time are at most a minority (one, in a cluster of
//!   one or two);
//! - a fault on `leader` or `all` stands alone among process faults, since it may hit anybody;
//! - a node that was taken out of the cluster counts as down, and the members change one fault at
//!   a time: each heals by bringing back the first ones;
//! - one fault at a time has clocks in hand;
//! - at most a minority of the disks is ever damaged, over the whole run, and each while nothing
//!   keeps any other node from having what that one forgets: see [`atlas`];
//! - no card is played that would change nothing in a cluster of this size;
//! - everything heals before the end of the main phase.

pub mod atlas;
mod card;
mod deck;
mod nemesis;
mod pace;

use std::{collections::BTreeSet, ops::RangeInclusive};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

pub use self::nemesis::{Nemesis, NemesisNameError};

use self::{
    card::{Card, Free, Strength},
    deck::{one_of_each_class_first, slow_disk_first},
    pace::Pace,
};
use crate::{
    fault::{Fault, FaultClass},
    network::NODES_MAX,
    node::Node,
    schedule::{PlannedFault, Schedule, missing},
};

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
    /// Classes that cannot be injected here, or that the target does not offer: a nemesis that is a
    /// choice of many does without them. One that was asked for by its name does not.
    pub without: BTreeSet<FaultClass>,
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
            without: BTreeSet::new(),
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
    let mut cards = all.clone();
    cards.retain(|card| (card.least()..=card.most()).contains(&nodes));
    if nemesis.is_a_choice() {
        cards.retain(|card| !spec.without.contains(&card.class()));
    }
    if nodes == 0 || nodes > NODES_MAX || (cards.is_empty() && !all.is_empty()) {
        let least = all.iter().map(|card| card.least()).min().unwrap_or(1);
        let most = all.iter().map(|card| card.most()).max();
        return Err(PlanError::Nodes {
            nemesis,
            least,
            most: most.unwrap_or(NODES_MAX),
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

/// After a process fault has healed, its nodes are left alone for so long.
const REST_MS: u64 = 1000;

/// As long after one that a node may refuse to run on with: it is looked at, and started again.
const REST_OF_DISK_MS: u64 = 4000;

/// As long after a change of the members: those that were away catch up.
const REST_OF_MEMBERS_MS: u64 = 2000;

fn rest_ms(class: FaultClass) -> u64 {
    match class {
        FaultClass::Disk | FaultClass::Damage => REST_OF_DISK_MS,
        FaultClass::Membership => REST_OF_MEMBERS_MS,
        _ => REST_MS,
    }
}

/// A schedule in the making.
struct Draw<'a> {
    spec: &'a PlanSpec,
    pace: Pace,
    strength: Strength,
    rng: ChaCha8Rng,
    cards: Vec<Card>,
    deck: Vec<Card>,
    faults: Vec<PlannedFault>,
    /// Whose disks may be damaged.
    expendable: BTreeSet<Node>,
    /// Nodes in a process fault, or at rest after one, and until when.
    busy: Vec<(u64, BTreeSet<Node>)>,
    /// Until when the members are other than the first ones, or just were.
    members_until_ms: u64,
    /// Until when some clock is wrong.
    clocks_until_ms: u64,
    /// Until when some node may not have what the others have.
    uneven_until_ms: u64,
    /// Until when some node has forgotten what it had.
    forgetting_until_ms: u64,
}

impl<'a> Draw<'a> {
    fn new(spec: &'a PlanSpec, mut cards: Vec<Card>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        if spec.nemesis == Nemesis::Swarm {
            cards.shuffle(&mut rng);
            cards.truncate(rng.random_range(1..=cards.len()));
        }
        let pace = Pace::draw(spec, &mut rng);
        let strength = match spec.nemesis {
            Nemesis::Swarm => Strength::Swarm(spec.seed),
            _ => Strength::Usual,
        };
        let mut deck = cards.clone();
        deck.shuffle(&mut rng);
        let mut deck = one_of_each_class_first(deck);
        if spec.nemesis == Nemesis::Mixed {
            slow_disk_first(&mut deck);
        }
        // A lie is worth nothing once it is over: it comes first and stays.
        deck.sort_by_key(|card| *card != Card::LyingFsync);
        // Dice of its own, so that a schedule without damage does not depend on it.
        let mut dice = ChaCha8Rng::seed_from_u64(spec.seed);
        dice.set_stream(1);
        let expendable = atlas::expendable(spec.nodes, &mut dice);
        Self {
            spec,
            pace,
            strength,
            rng,
            cards,
            deck,
            faults: Vec::new(),
            expendable,
            busy: Vec::new(),
            members_until_ms: 0,
            clocks_until_ms: 0,
            uneven_until_ms: 0,
            forgetting_until_ms: 0,
        }
    }

    fn schedule(mut self) -> Schedule {
        let (soonest, latest) = (*self.pace.interval_ms.start(), *self.pace.interval_ms.end());
        let end_ms = self.spec.time_ms - CALM_MS;
        let (first_ms, shortest) = (self.pace.first_ms, *self.pace.duration_ms.start());
        let mut at_ms = self.rng.random_range(first_ms.div_ceil(2)..=first_ms);
        while at_ms.saturating_add(shortest) <= end_ms {
            self.busy.retain(|(until_ms, _)| *until_ms > at_ms);
            let Some(card) = self.draw(at_ms) else {
                // Every card waits for nodes that are busy: on to when the first are not.
                let busy = self.busy.iter().map(|(until_ms, _)| *until_ms);
                let until_ms = busy.chain([
                    self.members_until_ms,
                    self.clocks_until_ms,
                    self.uneven_until_ms,
                    self.forgetting_until_ms,
                ]);
                let until_ms = until_ms.filter(|until_ms| *until_ms > at_ms).min();
                at_ms = until_ms.expect("a card waits only for what is over at some time");
                continue;
            };
            self.play(card, at_ms, end_ms);
            at_ms = at_ms.saturating_add(self.rng.random_range(soonest..=latest));
        }
        Schedule {
            faults: self.faults,
        }
    }

    /// The card whose turn it is. A deck in which none can have it is renewed: whole when it is
    /// empty, by partitions alone while process faults still wait in it.
    fn draw(&mut self, at_ms: u64) -> Option<Card> {
        let free = self.free(at_ms);
        if self.turn(&free).is_none() && !self.waits_to_be_level(&free) {
            let mut fresh = self.cards.clone();
            fresh.retain(|card| self.deck.is_empty() || !card.hits_processes());
            let is_clock = |card: &Card| card.class() == FaultClass::Clock;
            fresh.retain(|card| self.deck.is_empty() || free.clocks_are_right || !is_clock(card));
            fresh.retain(|card| *card != Card::LyingFsync);
            fresh.shuffle(&mut self.rng);
            self.deck.append(&mut fresh);
        }
        self.turn(&free).map(|index| self.deck.remove(index))
    }

    /// Where the first playable card lies. Partitions may overtake a process fault that waits for
    /// busy nodes; process faults do not, or those that need everybody would wait for ever.
    fn turn(&self, free: &Free) -> Option<usize> {
        let first_process = self.first_process();
        let waits_to_be_level = self.waits_to_be_level(free);
        self.deck.iter().enumerate().position(|(index, card)| {
            card.is_playable(free)
                && (!card.hits_processes() || Some(index) == first_process)
                && (card.is_beside() || !waits_to_be_level)
        })
    }

    fn first_process(&self) -> Option<usize> {
        self.deck.iter().position(|card| card.hits_processes())
    }

    /// Whether it is the turn of damage once every node has what the others have: nothing may
    /// overtake it that keeps them uneven.
    fn waits_to_be_level(&self, free: &Free) -> bool {
        let first = self.first_process().map(|index| self.deck[index]);
        first.is_some_and(|card| card.class() == FaultClass::Damage) && !free.is_level
    }

    fn play(&mut self, card: Card, at_ms: u64, end_ms: u64) {
        let free = self.free(at_ms);
        let fault = card.fault(self.spec.nodes, &free, self.strength, &mut self.rng);
        let drawn = self.rng.random_range(self.pace.duration_ms.clone());
        let for_ms = match card {
            Card::LyingFsync => end_ms - at_ms,
            _ => drawn.min(end_ms - at_ms),
        };
        if matches!(fault, Fault::Member(_)) {
            let until_ms = at_ms.saturating_add(for_ms);
            self.members_until_ms = until_ms.saturating_add(REST_OF_MEMBERS_MS);
        }
        if matches!(fault, Fault::Clock(_)) {
            // Heals take a moment, and nobody else is to set that clock meanwhile.
            self.clocks_until_ms = at_ms.saturating_add(for_ms).saturating_add(REST_MS);
        }
        let over_ms = at_ms.saturating_add(for_ms);
        let level_ms = over_ms.saturating_add(atlas::CATCH_UP_MS);
        if !atlas::is_beside(&fault) {
            self.uneven_until_ms = self.uneven_until_ms.max(level_ms);
        }
        if matches!(fault, Fault::Damage(_)) {
            self.forgetting_until_ms = level_ms;
        }
        let hit = missing(&fault, self.spec.nodes);
        if !hit.is_empty() {
            let rest_ms = rest_ms(card.class());
            self.busy
                .push((at_ms.saturating_add(for_ms).saturating_add(rest_ms), hit));
        }
        let id = u32::try_from(self.faults.len() + 1).expect("a plan has few faults");
        self.faults.push(PlannedFault {
            id,
            at_ms,
            for_ms,
            fault,
        });
    }

    /// The processes that may be hit now.
    fn free(&self, at_ms: u64) -> Free {
        let count = self.spec.nodes;
        let busy: BTreeSet<Node> = self
            .busy
            .iter()
            .flat_map(|(_, nodes)| nodes)
            .copied()
            .collect();
        let minority = usize::from((count.saturating_sub(1) / 2).max(1));
        Free {
            nodes: Node::first(count)
                .filter(|node| !busy.contains(node))
                .collect(),
            budget: minority.saturating_sub(busy.len()),
            nobody_is_hit: busy.is_empty(),
            expendable: self.expendable.clone(),
            members_are_first: self.members_until_ms <= at_ms,
            clocks_are_right: self.clocks_until_ms <= at_ms,
            is_level: self.uneven_until_ms <= at_ms,
            is_forgetting: self.forgetting_until_ms > at_ms,
        }
    }
}
