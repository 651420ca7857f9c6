//! What is going to happen, in the order of time.

use super::world::Time;

/// No delay is as long as this.
const HORIZON: usize = 1024;

/// Ends a list.
const NONE: usize = usize::MAX;

/// A wheel of the near future: a list for each moment, in the order in which things were put
/// there. What happens at the same time happens in the order in which it was scheduled.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    now: Time,
    /// For each moment modulo [`HORIZON`] the first and the last place of its list.
    moments: Vec<(usize, usize)>,
    /// Each with the place of the next in its list.
    places: Vec<(Option<T>, usize)>,
    /// The first unused place; the others follow in its list.
    unused: usize,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            moments: vec![(NONE, NONE); HORIZON],
            places: Vec::new(),
            unused: NONE,
        }
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    fn moment(&self, time: Time) -> usize {
        usize::try_from(time).expect("simulated time is short") % self.moments.len()
    }

    /// Puts something so far into the future; 0 is after everything else that happens now.
    ///
    /// # Panics
    /// Where that is beyond the horizon.
    pub(super) fn schedule(&mut self, delay: Time, what: T) {
        assert!(delay < HORIZON as Time, "a delay is within the horizon");
        let place = match self.unused {
            NONE => {
                self.places.push((Some(what), NONE));
                self.places.len() - 1
            }
            place => {
                self.unused = self.places[place].1;
                self.places[place] = (Some(what), NONE);
                place
            }
        };
        let moment = self.moment(self.now + delay);
        let (first, last) = &mut self.moments[moment];
        match *last {
            NONE => *first = place,
            last => self.places[last].1 = place,
        }
        *last = place;
    }

    /// The next that happens until `end`, that included; none where there is nothing, and then it
    /// is `end`.
    pub(super) fn next(&mut self, end: Time) -> Option<T> {
        loop {
            let moment = self.moment(self.now);
            let (place, last) = self.moments[moment];
            if place != NONE {
                let (what, next) = &mut self.places[place];
                let what = what.take();
                self.moments[moment] = match *next {
                    NONE => (NONE, NONE),
                    next => (next, last),
                };
                *next = self.unused;
                self.unused = place;
                return what;
            }
            if self.now >= end {
                return None;
            }
            self.now += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_at_the_same_time_happens_in_the_order_in_which_it_was_scheduled() {
        let mut agenda = Agenda::new();
        for (delay, what) in [(7, "d"), (3, "b"), (7, "e"), (0, "a"), (3, "c")] {
            agenda.schedule(delay, what);
        }
        let mut seen = Vec::new();
        while let Some(what) = agenda.next(6) {
            seen.push((agenda.now(), what));
            if what == "b" {
                agenda.schedule(0, "then");
            }
        }
        assert_eq!(seen, [(0, "a"), (3, "b"), (3, "c"), (3, "then")]);
        assert_eq!(agenda.now(), 6);
        assert_eq!((agenda.next(7), agenda.next(7)), (Some("d"), Some("e")));
        assert_eq!((agenda.next(7), agenda.now()), (None, 7));
    }

    #[test]
    fn places_are_used_again_all_around_the_wheel() {
        let mut agenda = Agenda::new();
        let mut seen = 0;
        agenda.schedule(1, 0);
        while let Some(number) = agenda.next(10_000) {
            assert_eq!((number, agenda.now()), (seen, 1 + 999 * seen));
            seen += 1;
            agenda.schedule(999, seen);
        }
        assert_eq!((seen, agenda.places.len()), (11, 1));
    }
}
