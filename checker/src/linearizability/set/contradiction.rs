//! From a way through the order to the operations that contradict each other by themselves.

use rustc_hash::FxHashSet;

use super::super::problem::OPEN;
use super::super::zone::Zones;
use super::{Element, Fate, Kind, NONE, Set};

impl Set<'_> {
    /// Two reads that each saw what the other missed.
    pub(super) fn apart(&self, one: u32, other: u32) -> Zones {
        let only = |one: u32, other: u32| {
            let there: FxHashSet<u32> = self.staying(&self.reads[other as usize]).collect();
            self.staying(&self.reads[one as usize])
                .find(|element| !there.contains(element))
        };
        let elements = [only(one, other), only(other, one)];
        let adds = elements.into_iter().flatten();
        let adds = adds.map(|element| self.elements[element as usize].add);
        let reads = [one, other].map(|read| self.reads[read as usize].place);
        Zones::Contradiction(self.close(adds.chain(reads).collect()))
    }

    /// Operations along these ways contradict each other, if all the removes among them did
    /// something.
    pub(super) fn contradiction(&self, ways: &[Vec<u32>]) -> Zones {
        let core: Vec<u32> = ways.iter().flat_map(|way| self.shortened(way)).collect();
        let is_sure = |place: &u32| {
            self.kinds[*place as usize] != Kind::Remove
                || self.elements[self.about[*place as usize] as usize].is_sure
        };
        match core.iter().all(is_sure) {
            true => Zones::Contradiction(self.close(core)),
            false => Zones::Undecided,
        }
    }

    /// A way's operations. Where it leads along reads and the adds of what stays, first and last
    /// are enough, with one that shows which comes first.
    fn shortened(&self, way: &[u32]) -> Vec<u32> {
        let mut way: Vec<u32> = way
            .iter()
            .copied()
            .filter(|node| (*node as usize) < self.kinds.len())
            .collect();
        // In a circle somebody is not in that line: begin there.
        let start = way.iter().position(|place| self.level(*place).is_none());
        if self.is_circle(&way) {
            way.rotate_left(start.unwrap_or(0));
        }
        let mut core = Vec::new();
        for line in
            way.chunk_by(|one, other| self.level(*one).is_some() == self.level(*other).is_some())
        {
            match line {
                [first, .., last] if self.level(*first).is_some() => {
                    core.extend([*first, *last]);
                    core.extend(self.between(*first, *last));
                }
                line => core.extend(line),
            }
        }
        core
    }

    /// True where not even the windows of first and last show why they contradict each other.
    fn is_circle(&self, way: &[u32]) -> bool {
        match way {
            [first, .., last] => self.calls[*first as usize] < self.returns[*last as usize],
            _ => false,
        }
    }

    /// Where in the line of reads and adds of what stays, if there.
    fn level(&self, place: u32) -> Option<u32> {
        let about = self.about[place as usize] as usize;
        match self.kinds[place as usize] {
            Kind::Read => Some(2 * self.reads[about].group + 1),
            Kind::Add if self.elements[about].fate == Fate::Stays => {
                Some(2 * self.elements[about].group)
            }
            _ => None,
        }
    }

    /// Two reads are in that order because of an add, and two adds because of a read.
    fn between(&self, first: u32, last: u32) -> Option<u32> {
        let level = |place: u32| self.level(place).unwrap_or(0);
        match (self.kinds[first as usize], self.kinds[last as usize]) {
            (Kind::Read, Kind::Read) => {
                let fresh = |element: &&Element| {
                    element.fate == Fate::Stays && element.group == level(last) / 2
                };
                self.elements.iter().find(fresh).map(|element| element.add)
            }
            (Kind::Add, Kind::Add) => {
                let group = level(first) / 2;
                let read = self.reads.iter().find(|read| read.group == group);
                read.map(|read| read.place)
            }
            _ => None,
        }
    }

    /// With whatever added and removed the elements that they speak of, for without it they would
    /// not say the same.
    fn close(&self, mut places: Vec<u32>) -> Vec<u32> {
        let mut is_in = vec![false; self.kinds.len()];
        places.retain(|place| !std::mem::replace(&mut is_in[*place as usize], true));
        let mut at = 0;
        while let Some(place) = places.get(at).copied() {
            at += 1;
            let about = &self.about[place as usize];
            let elements = match self.kinds[place as usize] {
                Kind::Read => &self.reads[*about as usize].elements[..],
                _ => std::slice::from_ref(about),
            };
            for element in elements {
                let element = &self.elements[*element as usize];
                // Without who saw it first, an open add need not have happened, and a remove need
                // not have come after it; without who saw it last, it need not have come before.
                let is_doubtful = element.remove != NONE
                    || element.add != NONE && self.returns[element.add as usize] == OPEN;
                let seers = [element.first, element.last].map(|place| match is_doubtful {
                    true => place,
                    false => NONE,
                });
                for place in [element.add, element.remove].into_iter().chain(seers) {
                    if place != NONE && !std::mem::replace(&mut is_in[place as usize], true) {
                        places.push(place);
                    }
                }
            }
        }
        places
    }
}
