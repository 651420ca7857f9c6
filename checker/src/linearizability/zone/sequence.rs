//! Writes one order down, block after block, with the failed compare-and-sets fitted in.
//!
//! At each point the block whose first return comes first goes next, unless another must come
//! before it: then the one whose last call comes first. A failed compare-and-set goes in as soon as
//! it is called and its value is not there. One that is stuck must get out before it returns, by
//! another block or, if need be, by an open write that nobody saw. Where that fails, the last
//! blocks are taken back and others tried first, as far as [`DEPTH_MAX`] and [`TRIES_MAX`] allow.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::super::meter::Meter;
use super::super::waiting::Waiting;
use super::block::Blocks;
use super::{NIL, Register, Step};

/// How many blocks are tried at one point.
const CHOICES_MAX: usize = 12;
/// How many blocks can be taken back.
const DEPTH_MAX: usize = 64;
/// How many are tried in all, beyond one for each.
const TRIES_MAX: usize = 200_000;

/// `None` where no order is found, or the budget is spent: each block that is tried again is a
/// configuration.
pub(super) fn write_down(
    register: &Register<'_>,
    blocks: &Blocks,
    meter: &mut Meter,
) -> Option<Vec<u32>> {
    let mut sequence = Sequence::new(register, blocks);
    sequence.advance();
    sequence.try_block(0)?;
    let mut undo: VecDeque<(Mark, Vec<usize>)> = VecDeque::new();
    let (mut choices, mut tries) = (sequence.choices(), 0);
    let bytes = super::BYTES * blocks.len();
    loop {
        if sequence.placed == blocks.len() && sequence.finish() {
            return Some(sequence.order);
        }
        let mut placed = None;
        while placed.is_none() && !choices.is_empty() {
            placed = sequence.try_or_fill(choices.remove(0));
            tries += 1;
            let is_again = tries > blocks.len();
            let may_go_on = match is_again {
                true => meter.visit(bytes),
                false => meter.tick(bytes),
            };
            if !may_go_on {
                return None;
            }
        }
        if let Some(mark) = placed {
            undo.push_back((mark, std::mem::replace(&mut choices, sequence.choices())));
            if undo.len() > DEPTH_MAX {
                undo.pop_front();
            }
        } else {
            let (mark, left) = undo
                .pop_back()
                .filter(|_| tries < TRIES_MAX + blocks.len())?;
            sequence.take_back(mark);
            choices = left;
        }
    }
}

/// Where to go back to, and which block went in there.
struct Mark {
    length: usize,
    front: usize,
    value: u32,
    used: usize,
    stuck: Vec<u32>,
    block: usize,
}

struct Sequence<'r, 'p> {
    register: &'r Register<'p>,
    blocks: &'r Blocks,
    order: Vec<u32>,
    placed: usize,
    is_placed: Vec<bool>,
    /// The first event whose return is still to be explained.
    front: usize,
    /// The value that is there.
    value: u32,
    /// Failed compare-and-sets from that value which are called.
    stuck: Vec<u32>,
    /// Open writes that nobody saw, by call, and how many were used.
    spare: Vec<u32>,
    used: usize,
    /// Swaps that nobody saw: from what, and which.
    spare_swaps: FxHashMap<u32, u32>,
    /// Blocks by last call, and by first return.
    by_last: (Vec<u32>, Waiting),
    by_first: (Vec<u32>, Waiting),
    rank_by_last: Vec<u32>,
    rank_by_first: Vec<u32>,
}

impl<'r, 'p> Sequence<'r, 'p> {
    fn new(register: &'r Register<'p>, blocks: &'r Blocks) -> Self {
        let (by_last, rank_by_last) = sorted(blocks, |block| blocks.last[block].rank);
        let (by_first, rank_by_first) = sorted(blocks, |block| blocks.first[block].rank);
        let is_spare = |(place, step): &(u32, Step)| {
            matches!(step, Step::Write(_)) && !register.takes_part(*place)
        };
        Sequence {
            register,
            blocks,
            order: Vec::with_capacity(register.steps.len()),
            placed: 0,
            is_placed: vec![false; register.steps.len()],
            front: 0,
            value: NIL,
            stuck: Vec::new(),
            spare: register
                .places()
                .filter(is_spare)
                .map(|(place, _)| place)
                .collect(),
            used: 0,
            spare_swaps: spare_swaps(register),
            by_last,
            by_first,
            rank_by_last,
            rank_by_first,
        }
    }

    /// Blocks that may come next, the most urgent first.
    fn choices(&self) -> Vec<usize> {
        let (by_first, first_left) = (&self.by_first.0, &self.by_first.1);
        let Some(urgent_rank) = first_left.after(None) else {
            return Vec::new();
        };
        let urgent = by_first[urgent_rank as usize] as usize;
        let second = first_left.after(Some(urgent_rank));
        let bound = |rank: Option<u32>| {
            rank.map_or(i64::MAX, |rank| {
                self.blocks.first[by_first[rank as usize] as usize].rank
            })
        };
        let mut choices = Vec::new();
        if self.blocks.last[urgent].rank < bound(second) {
            choices.push(urgent);
        }
        let mut at = self.by_last.1.after(None);
        while let Some(rank) = at.filter(|_| choices.len() < CHOICES_MAX) {
            let block = self.by_last.0[rank as usize] as usize;
            if self.blocks.last[block].rank > self.blocks.first[urgent].rank {
                break;
            }
            if block != urgent {
                choices.push(block);
            }
            at = self.by_last.1.after(Some(rank));
        }
        choices
    }

    /// Places a whole block, or nothing.
    fn try_block(&mut self, block: usize) -> Option<Mark> {
        let mark = self.mark(block);
        for place in self.blocks.places(block) {
            if !self.place(*place) {
                self.rewind(mark);
                return None;
            }
        }
        self.by_last.1.remove(self.rank_by_last[block]);
        self.by_first.1.remove(self.rank_by_first[block]);
        self.placed += 1;
        Some(mark)
    }

    /// The same, if need be after open writes.
    fn try_or_fill(&mut self, block: usize) -> Option<Mark> {
        if let Some(mark) = self.try_block(block) {
            return Some(mark);
        }
        let mark = self.mark(block);
        while self.fill() {
            if self.try_block(block).is_some() {
                return Some(mark);
            }
        }
        self.rewind(mark);
        None
    }

    /// Lets everything that is still stuck get out.
    fn finish(&mut self) -> bool {
        let mark = self.mark(0);
        while !self.stuck.is_empty() {
            if !self.fill() {
                self.rewind(mark);
                return false;
            }
        }
        true
    }

    fn mark(&self, block: usize) -> Mark {
        Mark {
            length: self.order.len(),
            front: self.front,
            value: self.value,
            used: self.used,
            stuck: self.stuck.clone(),
            block,
        }
    }

    fn rewind(&mut self, mark: Mark) {
        for place in self.order.drain(mark.length..) {
            self.is_placed[place as usize] = false;
        }
        (self.front, self.value, self.used) = (mark.front, mark.value, mark.used);
        self.stuck = mark.stuck;
    }

    /// Takes the last block out again.
    fn take_back(&mut self, mark: Mark) {
        self.by_first.1.restore(self.rank_by_first[mark.block]);
        self.by_last.1.restore(self.rank_by_last[mark.block]);
        self.placed -= 1;
        self.rewind(mark);
    }

    /// Puts an unseen open swap or write, to get rid of the value that is there.
    fn fill(&mut self) -> bool {
        if let Some(swap) = self.spare_swaps.get(&self.value).copied()
            && self.place(swap)
        {
            return true;
        }
        let Some(place) = self
            .spare
            .get(self.used)
            .copied()
            .filter(|_| !self.stuck.is_empty())
        else {
            return false;
        };
        self.used += 1;
        self.place(place)
    }

    /// Puts one operation, and every failed compare-and-set that fits then.
    fn place(&mut self, place: u32) -> bool {
        if self.register.calls[place as usize] as usize >= self.front {
            return false;
        }
        self.put(place);
        if let Step::Write(new) | Step::Swap(_, new) = self.register.steps[place as usize] {
            self.value = new;
            for miss in std::mem::take(&mut self.stuck) {
                self.put(miss);
            }
        }
        self.advance();
        true
    }

    fn put(&mut self, place: u32) {
        self.order.push(place);
        self.is_placed[place as usize] = true;
    }

    /// Moves the front to the first return that is still to be explained.
    fn advance(&mut self) {
        while let Some(event) = self.register.events.get(self.front) {
            let place = event.place();
            if event.is_return() && !self.is_placed[place as usize] {
                return;
            }
            if let Step::Miss(value) = self.register.steps[place as usize]
                && !event.is_return()
            {
                if value == self.value {
                    self.stuck.push(place);
                } else {
                    self.put(place);
                }
            }
            self.front += 1;
        }
    }
}

/// Each value is there once, so one swap from it is enough: the first that was called.
fn spare_swaps(register: &Register<'_>) -> FxHashMap<u32, u32> {
    let mut swaps = FxHashMap::default();
    for (place, step) in register.places() {
        if let Step::Swap(from, _) = step
            && !register.takes_part(place)
        {
            swaps.entry(from).or_insert(place);
        }
    }
    swaps
}

/// Blocks in that order, as a list, and the rank of each in it.
fn sorted(blocks: &Blocks, key: impl Fn(usize) -> i64) -> ((Vec<u32>, Waiting), Vec<u32>) {
    let count = u32::try_from(blocks.len()).expect("fewer than places");
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by_key(|block| key(*block as usize));
    let mut ranks = vec![0; order.len()];
    for (rank, block) in (0..).zip(&order) {
        ranks[*block as usize] = rank;
    }
    ((order, Waiting::new(0..count, count)), ranks)
}
