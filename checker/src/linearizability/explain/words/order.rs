//! How far an order gets, in words.
//!
//! ```text
//!   1. p1's write 3: the object holds 3
//!   (2–41) let p2's add 2 and 39 more like it, the last p3's, take effect here: it holds 83
//!   42. p1's read → 83
//!   43–45. the same by p2, p3, p4
//! ```

use super::{DRAWN_MAX, Words, brief};
use crate::linearizability::Step;

impl Words<'_> {
    /// Step by step, the last of them.
    pub(super) fn order(self, steps: &[Step]) -> String {
        let mut rank = first_told(steps);
        let mut text = match rank {
            0 => String::new(),
            _ => format!("  … after {rank} steps that are not told\n"),
        };
        while rank < steps.len() {
            let (line, told) = self.steps(rank, &steps[rank..]);
            text.push_str(&line);
            rank += told;
        }
        text
    }

    /// The first of these steps, with all that only repeat it; and how many those are.
    fn steps(self, rank: usize, steps: &[Step]) -> (String, usize) {
        let (first, rest) = steps.split_first().expect("asked of a step");
        let again = rest.iter().take_while(|step| repeats(step, first)).count();
        let (again, told) = match again {
            0 | 1 => (&[][..], 1),
            _ => (&rest[..again], 1 + again),
        };
        let text = match first.is_needed {
            true => self.needed(rank + 1, first, again),
            false => self.helpers(rank + 1, first, again),
        };
        (text, told)
    }

    /// What is in the order because it is needed.
    fn needed(self, number: usize, first: &Step, again: &[Step]) -> String {
        let (phrase, state) = (self.phrase(&first.telling), self.state_after(first));
        let mut text = format!("  {number}. {phrase}{state}\n");
        let others = again
            .iter()
            .map(|step| format!("{} ({})", step.telling.process, (self.place)(&step.telling)));
        let others = others.collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            let last = number + again.len();
            text.push_str(&format!("  {}–{last}. the same by {others}\n", number + 1));
        }
        text
    }

    /// What is in the order because it helps.
    fn helpers(self, number: usize, first: &Step, again: &[Step]) -> String {
        let phrase = self.phrase(&first.telling);
        let Some(last) = again.last() else {
            let state = self.state_after(first);
            return format!("  ({number}) let {phrase} take effect here, whenever it was{state}\n");
        };
        let (count, to) = (again.len(), number + again.len());
        let (process, place) = (&last.telling.process, (self.place)(&last.telling));
        let state = self.state_after(last);
        format!(
            "  ({number}–{to}) let {phrase} and {count} more like it, the last {process}'s \
             ({place}), take effect here, whenever they were{state}\n"
        )
    }

    fn state_after(self, step: &Step) -> String {
        match &step.state {
            Some(state) => format!(": {} holds {}", self.holder, brief(state)),
            None => String::new(),
        }
    }
}

/// Whether a step is told with that one: of what is needed only what changes nothing.
fn repeats(step: &Step, first: &Step) -> bool {
    let is_quiet = !step.is_needed || step.state.is_none();
    step.is_needed == first.is_needed && is_quiet && step.telling.what == first.telling.what
}

/// The first step that is told: the last few, and those that are told with the first of them.
fn first_told(steps: &[Step]) -> usize {
    let mut rank = steps.len().saturating_sub(DRAWN_MAX);
    while rank > 0 && !steps[rank].is_needed && repeats(&steps[rank - 1], &steps[rank]) {
        rank -= 1;
    }
    rank
}
