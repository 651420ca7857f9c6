//! Packets that arrive later: in the order in which they are due.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

/// As many as may wait: one second of what a switch can carry.
const WAITING_MAX: usize = 100_000;

/// A packet that waits.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    due: Instant,
    /// Packets due at the same time keep their order.
    turn: u64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) bytes: Vec<u8>,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingRoom {
    heap: BinaryHeap<Reverse<Waiting>>,
    turns: u64,
}

impl WaitingRoom {
    /// Lets a packet wait; returns whether there was room for it.
    pub(super) fn enter(&mut self, due: Instant, from: usize, to: usize, bytes: Vec<u8>) -> bool {
        if self.heap.len() >= WAITING_MAX {
            return false;
        }
        self.turns += 1;
        let turn = self.turns;
        self.heap.push(Reverse(Waiting {
            due,
            turn,
            from,
            to,
            bytes,
        }));
        true
    }

    /// When the first is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(first)| first.due)
    }

    /// Takes the first, if it is due.
    pub(super) fn leave(&mut self, now: Instant) -> Option<Waiting> {
        if self.first_due()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(first)| first)
    }

    /// Takes those for whose edge there is nothing to wait for any more, in order.
    pub(super) fn release(&mut self, is_shaped: impl Fn(usize, usize) -> bool) -> Vec<Waiting> {
        let all = std::mem::take(&mut self.heap);
        let (stay, mut free): (Vec<_>, Vec<_>) = all
            .into_iter()
            .map(|Reverse(waiting)| waiting)
            .partition(|waiting| is_shaped(waiting.from, waiting.to));
        self.heap = stay.into_iter().map(Reverse).collect();
        free.sort();
        free
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_leave_when_they_are_due_and_in_order_at_the_same_time() {
        let (now, mut room) = (Instant::now(), WaitingRoom::default());
        let at = |ms| now + Duration::from_millis(ms);
        for (ms, name) in [(2, b'c'), (1, b'a'), (1, b'b'), (9, b'd')] {
            assert!(room.enter(at(ms), 1, 2, vec![name]));
        }
        assert_eq!(room.first_due(), Some(at(1)));
        let mut left = Vec::new();
        while let Some(packet) = room.leave(at(2)) {
            left.extend(packet.bytes);
        }
        assert_eq!(left, b"abc");
        assert_eq!(room.first_due(), Some(at(9)));
    }

    #[test]
    fn a_healed_edge_releases_its_packets_and_no_others() {
        let (now, mut room) = (Instant::now(), WaitingRoom::default());
        for (to, name) in [(2, b'a'), (3, b'x'), (2, b'b')] {
            room.enter(now, 1, to, vec![name]);
        }
        let released = room.release(|_, to| to == 3);
        let bytes: Vec<u8> = released
            .into_iter()
            .flat_map(|packet| packet.bytes)
            .collect();
        assert_eq!(bytes, b"ab");
        assert_eq!(room.leave(now).map(|packet| packet.to), Some(3));
    }
}
