//! Values joined by compare-and-sets, as blocks that must not be interrupted.

use super::{Bound, Contradiction, NIL, NONE, Register, Step};

/// All blocks, each with its operations in a possible order. Block 0 is that of nil.
pub(super) struct Blocks {
    /// Operations of all blocks, one block after the other.
    pub(super) places: Vec<u32>,
    /// Where each block begins in `places`, and the end.
    pub(super) starts: Vec<u32>,
    /// The first return of each, and the last call.
    pub(super) first: Vec<Bound>,
    pub(super) last: Vec<Bound>,
}

impl Blocks {
    /// # Errors
    /// With operations that contradict each other.
    pub(super) fn new(register: &Register<'_>) -> Result<Self, Contradiction> {
        let (readers, begins) = readers(register);
        let mut blocks = Blocks {
            places: Vec::with_capacity(register.steps.len()),
            starts: vec![0],
            first: Vec::new(),
            last: Vec::new(),
        };
        let mut reached = 0;
        for (start, value) in (0..).zip(&register.values) {
            let begins_block = start == NIL
                || value.writer != NONE
                    && matches!(register.steps[value.writer as usize], Step::Write(_));
            if !value.is_present || !begins_block {
                continue;
            }
            let mut at = start;
            loop {
                reached += 1;
                let of = &register.values[at as usize];
                blocks
                    .places
                    .extend((of.writer != NONE).then_some(of.writer));
                let reads = begins[at as usize] as usize..begins[at as usize + 1] as usize;
                blocks.places.extend(&readers[reads]);
                let Some(consumer) = Some(of.consumer).filter(|consumer| *consumer != NONE) else {
                    break;
                };
                let Step::Swap(_, to) = register.steps[consumer as usize] else {
                    unreachable!("only swaps consume")
                };
                at = to;
            }
            blocks.close(register, start)?;
        }
        if reached
            < register
                .values
                .iter()
                .filter(|value| value.is_present)
                .count()
        {
            return Err(cycle(register, &blocks));
        }
        blocks.disagree(register).map_or(Ok(blocks), Err)
    }

    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    pub(super) fn places(&self, block: usize) -> &[u32] {
        &self.places[self.starts[block] as usize..self.starts[block + 1] as usize]
    }

    /// Ends the block, and looks whether its own operations can be in that order.
    fn close(&mut self, register: &Register<'_>, start: u32) -> Result<(), Contradiction> {
        let begin = *self.starts.last().expect("it begins with one") as usize;
        let mut first = Bound {
            rank: i64::MAX,
            place: NONE,
        };
        let mut last = Bound {
            rank: -1,
            place: NONE,
        };
        if start == NIL {
            first.rank = -1;
        }
        // The last call among those that must come strictly before the next group.
        let (mut before, mut within) = (last, last);
        for place in &self.places[begin..] {
            let step = register.steps[*place as usize];
            let (call, ret) = (register.call(*place), register.ret(*place));
            if matches!(step, Step::Read(_)) {
                within = within.max(Bound {
                    rank: call,
                    place: *place,
                });
            } else {
                before = before.max(within);
            }
            if ret < before.rank {
                return Err(chain(register, &self.places[begin..], before.place, *place));
            }
            if !matches!(step, Step::Read(_)) {
                before = before.max(Bound {
                    rank: call,
                    place: *place,
                });
            }
            first = first.min(Bound {
                rank: ret,
                place: *place,
            });
            last = last.max(Bound {
                rank: call,
                place: *place,
            });
            if let Step::Write(value) | Step::Swap(_, value) = step {
                let known = &register.values[value as usize];
                first = first.min(known.early);
                last = last.max(known.late);
            }
        }
        self.starts
            .push(u32::try_from(self.places.len()).expect("places are 32 bits"));
        self.first.push(first);
        self.last.push(last);
        Ok(())
    }

    /// Two blocks that each must come before the other, by a sweep over forward zones.
    fn disagree(&self, register: &Register<'_>) -> Option<Contradiction> {
        let mut by_first: Vec<usize> = (0..self.len()).collect();
        by_first.sort_unstable_by_key(|block| self.first[*block].rank);
        // The forward zone, among those that began before, that ends last.
        let mut widest: Option<usize> = None;
        let mut clash = None;
        for block in by_first {
            if let Some(open) = widest
                && self.last[open].rank > self.first[block].rank
                && self.first[open].rank < self.last[block].rank
            {
                clash = Some((open, block));
                break;
            }
            let ends = |block: usize| self.last[block].rank;
            if widest.is_none_or(|open| ends(block) > ends(open)) {
                widest = Some(block);
            }
        }
        let (one, other) = clash?;
        Some(
            [
                self.witnesses(register, one),
                self.witnesses(register, other),
            ]
            .concat()
            .into_iter()
            .filter(|place| *place != NONE)
            .collect(),
        )
    }

    fn witnesses(&self, register: &Register<'_>, block: usize) -> Contradiction {
        let ends = [self.first[block].place, self.last[block].place];
        let is_link = |place: &&u32| !matches!(register.steps[**place as usize], Step::Read(_));
        let links = self.places(block).iter().filter(is_link).copied();
        links.chain(ends).collect()
    }
}

/// Readers of each value, value after value, and where each begins.
fn readers(register: &Register<'_>) -> (Vec<u32>, Vec<u32>) {
    let mut begins = vec![0_u32; register.values.len() + 1];
    for step in &register.steps {
        if let Step::Read(value) = step {
            begins[*value as usize + 1] += 1;
        }
    }
    for value in 0..register.values.len() {
        begins[value + 1] += begins[value];
    }
    let mut next = begins.clone();
    let mut readers = vec![0; begins[register.values.len()] as usize];
    for (place, step) in register.places() {
        if let Step::Read(value) = step {
            readers[next[value as usize] as usize] = place;
            next[value as usize] += 1;
        }
    }
    (readers, begins)
}

/// Everything that links two operations of one block.
fn chain(register: &Register<'_>, places: &[u32], one: u32, other: u32) -> Contradiction {
    let position = |wanted| places.iter().position(|place| *place == wanted);
    let (one_at, other_at) = (position(one).unwrap_or(0), position(other).unwrap_or(0));
    let last = one_at.max(other_at);
    let is_link = |place: &&u32| !matches!(register.steps[**place as usize], Step::Read(_));
    places[..=last]
        .iter()
        .filter(is_link)
        .copied()
        .chain([one, other])
        .collect()
}

/// Swaps that need each other first.
fn cycle(register: &Register<'_>, blocks: &Blocks) -> Contradiction {
    let mut is_reached = vec![false; register.steps.len()];
    for place in &blocks.places {
        is_reached[*place as usize] = true;
    }
    let stray = |place: u32| {
        matches!(register.steps[place as usize], Step::Swap(..))
            && register.takes_part(place)
            && !is_reached[place as usize]
    };
    let reads = register.places().filter(|(place, step)| match step {
        Step::Read(value) => {
            let writer = register.values[*value as usize].writer;
            !register.is_open(*place) && writer != NONE && stray(writer)
        }
        _ => stray(*place),
    });
    reads.map(|(place, _)| place).collect()
}
