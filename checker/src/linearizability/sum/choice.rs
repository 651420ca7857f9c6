//! Which adds make up a sum: subset sum, by branch and bound (Horowitz and Sahni 1974).
//!
//! ```text
//!   missing 7 of 9 5 4 3 2        9 is more than 7, with 5 there are 2 missing: 2; without 5
//!                                 4 3 2 come to 9, so go on: 4 and 3; without 4 only to 5: stop
//! ```

use smallvec::SmallVec;

use crate::linearizability::meter::Meter;

/// Per amount, by number: how many open adds were used.
pub(super) type Used = SmallVec<[u16; 24]>;

/// Open adds of one amount.
pub(super) struct Amount {
    pub(super) by: i64,
    pub(super) called: Vec<u32>,
}

pub(super) type Chosen = SmallVec<[u32; 2]>;

/// The choices of adds that make up a sum.
pub(super) struct Choices<'f> {
    pub(super) amounts: &'f [Amount],
    pub(super) used: &'f Used,
    /// In flight, with a known result.
    pub(super) adds: &'f [(u32, i64)],
    pub(super) chosen: Chosen,
    pub(super) more: Used,
    pub(super) found: Vec<(Chosen, Used)>,
}

impl Choices<'_> {
    fn left(&self, at: usize) -> i64 {
        let called = i64::try_from(self.amounts[at].called.len()).unwrap_or(i64::MAX);
        called - i64::from(self.used[at])
    }

    /// Of those in flight from `at` on, and then of open ones; `None` if the budget ran out.
    pub(super) fn choose(&mut self, at: usize, missing: i64, meter: &mut Meter) -> Option<()> {
        if !meter.visit(0) {
            return None;
        }
        let (mut least, mut most) = self.bounds(0);
        for (_, by) in &self.adds[at..] {
            least += (*by).min(0);
            most += (*by).max(0);
        }
        if !(least..=most).contains(&missing) {
            return Some(());
        }
        let Some((place, by)) = self.adds.get(at) else {
            return self.look(0, missing, meter);
        };
        self.choose(at + 1, missing, meter)?;
        self.chosen.push(*place);
        self.choose(at + 1, missing - by, meter)?;
        self.chosen.pop();
        Some(())
    }

    /// What open adds of the amounts from `at` on can come to.
    fn bounds(&self, at: usize) -> (i64, i64) {
        let (mut least, mut most) = (0, 0);
        for rest in at..self.amounts.len() {
            let all = self.amounts[rest].by * self.left(rest);
            least += all.min(0);
            most += all.max(0);
        }
        (least, most)
    }

    /// Of the amounts from `at` on; `None` if the budget ran out.
    fn look(&mut self, at: usize, missing: i64, meter: &mut Meter) -> Option<()> {
        if missing == 0 {
            // More of them would come to nothing together.
            self.found.push((self.chosen.clone(), self.more.clone()));
            return Some(());
        }
        let (least, most) = self.bounds(at);
        if !(least..=most).contains(&missing) {
            return Some(());
        }
        for first in at..self.amounts.len() {
            let by = self.amounts[first].by;
            let (least, most) = self.bounds(first + 1);
            let fits = |count: &i64| (least..=most).contains(&(missing - by * count));
            for count in (1..=self.left(first)).filter(fits) {
                if !meter.visit(0) {
                    return None;
                }
                self.more[first] = u16::try_from(count).expect("fewer are open");
                self.look(first + 1, missing - by * count, meter)?;
            }
            self.more[first] = 0;
        }
        Some(())
    }
}
