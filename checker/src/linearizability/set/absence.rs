//! Who misses an element that is added and removed: before the one, or after the other?
//!
//! ```text
//!   add 1        ├────┤
//!   remove 1               ├────┤
//!   read → {} ├────────────────────┤    before the add, or after the remove
//!   read → {}         ├───────────┤     its call is after the add's return: after the remove
//!   read → {}          ├──┤             and it returned before the remove was called: neither
//! ```
//!
//! Only pairs whose windows overlap matter, and there are few of them where few operations are in
//! flight at a time. Where there are more than [`PAIRS_PER_OPERATION`], nothing is said.

use super::super::meter::Meter;
use super::super::zone::Zones;
use super::precedence::{Precedence, Windows};
use super::{Fate, Kind, Set};

/// So many pairs of a read and an element that it missed, for each operation and element seen.
const PAIRS_PER_OPERATION: usize = 8;
/// How often what is settled narrows the windows of what is not.
const ROUNDS: usize = 16;

/// Somebody who did not see an element.
#[derive(Clone, Copy)]
struct Absence {
    place: u32,
    add: u32,
    remove: u32,
}

/// Windows in which everybody who missed an element did so while it was not there.
pub(super) fn settle(
    set: &Set<'_>,
    precedence: &mut Precedence,
    mut windows: Windows,
    meter: &mut Meter,
) -> Result<Windows, Zones> {
    let mut absences = absences(set, &windows, meter)?;
    let everything = || match set.elements.iter().all(|element| element.is_sure) {
        true => Zones::Contradiction((0..).take(set.kinds.len()).collect()),
        false => Zones::Undecided,
    };
    for round in 0..ROUNDS {
        let mut left = Vec::with_capacity(absences.len());
        for absence in &absences {
            if !meter.tick(size_of::<Absence>() * absences.len()) {
                return Err(Zones::Undecided);
            }
            match absence.possible(&windows) {
                (true, true) => left.push(*absence),
                (true, false) => precedence.put(absence.place, absence.add),
                (false, true) => precedence.put(absence.remove, absence.place),
                (false, false) if round == 0 => {
                    let ends = [absence.add, absence.place, absence.remove];
                    return Err(set.contradiction(&ends.map(|node| windows.ways(node)).concat()));
                }
                (false, false) => return Err(everything()),
            }
        }
        if left.len() == absences.len() {
            break;
        }
        absences = left;
        windows = precedence.windows().map_err(|_| everything())?;
    }
    if absences.is_empty() {
        return Ok(windows);
    }
    let certain = precedence.len();
    for is_before in [true, false] {
        for absence in &absences {
            match absence.possible(&windows) {
                (is_possible, true) if !(is_possible && is_before) => {
                    precedence.put(absence.remove, absence.place);
                }
                _ => precedence.put(absence.place, absence.add),
            }
        }
        if let Ok(windows) = precedence.windows() {
            return Ok(windows);
        }
        precedence.truncate(certain);
    }
    Err(Zones::Undecided)
}

impl Absence {
    /// Whether it can be before the add, and after the remove.
    fn possible(self, windows: &Windows) -> (bool, bool) {
        let can_be =
            |before: u32, after: u32| windows.early[before as usize] < windows.late[after as usize];
        (
            can_be(self.place, self.add),
            can_be(self.remove, self.place),
        )
    }
}

fn absences(set: &Set<'_>, windows: &Windows, meter: &mut Meter) -> Result<Vec<Absence>, Zones> {
    let mut absences: Vec<Absence> = (0..)
        .zip(set.kinds.iter().zip(&set.about))
        .filter(|(_, (kind, _))| **kind == Kind::Missed)
        .map(|(place, (_, about))| (place, &set.elements[*about as usize]))
        .filter(|(_, element)| element.fate == Fate::Leaves)
        .map(|(place, element)| Absence {
            place,
            add: element.add,
            remove: element.remove,
        })
        .collect();
    let seen: usize = set.reads.iter().map(|read| read.elements.len()).sum();
    let pairs_max = PAIRS_PER_OPERATION * (set.kinds.len() + seen);
    let early = |place: u32| windows.early[place as usize];
    let late = |place: u32| windows.late[place as usize];
    let mut coming: Vec<u32> = (0..)
        .zip(&set.elements)
        .filter(|(_, element)| element.fate == Fate::Leaves)
        .map(|(number, _)| number)
        .collect();
    let of = |number: u32| &set.elements[number as usize];
    coming.sort_unstable_by_key(|number| early(of(*number).add));
    let mut reads: Vec<usize> = (0..set.reads.len()).collect();
    reads.sort_unstable_by_key(|read| early(set.reads[*read].place));
    let mut seen_by = vec![usize::MAX; set.elements.len()];
    let (mut came, mut there): (usize, Vec<u32>) = (0, Vec::new());
    for number in reads {
        let read = &set.reads[number];
        for element in &read.elements {
            seen_by[*element as usize] = number;
        }
        while let Some(element) = coming.get(came)
            && early(of(*element).add) <= early(read.place)
        {
            there.push(*element);
            came += 1;
        }
        there.retain(|element| late(of(*element).remove) > early(read.place));
        let soon = coming[came..].iter();
        let soon = soon.take_while(|element| early(of(**element).add) < late(read.place));
        for element in there.iter().chain(soon) {
            if seen_by[*element as usize] != number {
                absences.push(Absence {
                    place: read.place,
                    add: of(*element).add,
                    remove: of(*element).remove,
                });
            }
        }
        if absences.len() > pairs_max || !meter.tick(size_of::<Absence>() * absences.len()) {
            return Err(Zones::Undecided);
        }
    }
    Ok(absences)
}
