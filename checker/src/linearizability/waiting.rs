//! Operations that are still to be done: a list in order of call from which any can be taken out,
//! and put back in reverse order of taking, each in constant time (Knuth's dancing links).

/// Places in order of call.
pub(crate) struct Waiting {
    next: Vec<u32>,
    previous: Vec<u32>,
    end: u32,
}

impl Waiting {
    /// A list of those places, of `total` that there are.
    pub(crate) fn new(places: impl Iterator<Item = u32>, total: u32) -> Self {
        let mut list = Waiting {
            next: vec![total; total as usize + 1],
            previous: vec![total; total as usize + 1],
            end: total,
        };
        let mut last = total;
        for place in places {
            list.next[last as usize] = place;
            list.previous[place as usize] = last;
            last = place;
        }
        list.previous[total as usize] = last;
        list
    }

    /// The first, or the one after `place`, which must be in; `None` at the end.
    pub(crate) fn after(&self, place: Option<u32>) -> Option<u32> {
        let next = self.next[place.unwrap_or(self.end) as usize];
        (next != self.end).then_some(next)
    }

    pub(crate) fn remove(&mut self, place: u32) {
        let (previous, next) = (self.previous[place as usize], self.next[place as usize]);
        self.next[previous as usize] = next;
        self.previous[next as usize] = previous;
    }

    /// Puts back the last one taken.
    pub(crate) fn restore(&mut self, place: u32) {
        let (previous, next) = (self.previous[place as usize], self.next[place as usize]);
        self.next[previous as usize] = place;
        self.previous[next as usize] = place;
    }
}
