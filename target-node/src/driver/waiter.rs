//! Who waits for which entry.
//!
//! A waiter is completed by the *name* of its entry, index and term. Another entry may be
//! committed at its index; the index alone would then give its client the outcome of somebody
//! else's command.

use std::collections::BTreeMap;
use std::mem;

use crate::raft::{Index, LogId};

use super::write::Asker;

/// Someone who waits for the commit of an entry.
#[derive(Debug)]
struct Waiter {
    id: LogId,
    asker: Asker,
    /// The tick at which this node stopped to lead with the entry in its log.
    lost_at: Option<u64>,
}

/// Those who wait for entries in this node's log.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_index: BTreeMap<Index, Waiter>,
}

/// What the commit of an entry means to the one who waited at its index.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is the entry waited for.
    Committed(Asker),
    /// It is another: the entry waited for, of this name, can never be committed.
    Superseded(Asker, LogId),
}

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.by_index.len()
    }

    /// Someone waits for a new entry. Who stood at its index until now waited for an entry of a
    /// term that is over, which was cut off here. That proves nothing: it may be in another log,
    /// and win there.
    pub(super) fn wait(&mut self, id: LogId, asker: Asker) -> Option<Asker> {
        let waiter = Waiter {
            id,
            asker,
            lost_at: None,
        };
        self.by_index
            .insert(id.index, waiter)
            .map(|displaced| displaced.asker)
    }

    /// An entry is committed.
    pub(super) fn committed(&mut self, id: LogId) -> Option<Fate> {
        let waiter = self.by_index.remove(&id.index)?;
        Some(match waiter.id == id {
            true => Fate::Committed(waiter.asker),
            false => Fate::Superseded(waiter.asker, waiter.id),
        })
    }

    /// This node stopped to lead. Its entries may yet be committed, or others in their place: the
    /// waiters stay a while to learn which.
    pub(super) fn lose(&mut self, now: u64) {
        for waiter in self.by_index.values_mut() {
            waiter.lost_at.get_or_insert(now);
        }
    }

    /// Those whose fate did not show within `patience` ticks of the loss.
    pub(super) fn take_expired(&mut self, now: u64, patience: u64) -> Vec<Asker> {
        let is_over = |_: &Index, waiter: &mut Waiter| {
            waiter
                .lost_at
                .is_some_and(|lost_at| lost_at + patience <= now)
        };
        self.by_index
            .extract_if(.., is_over)
            .map(|(_, waiter)| waiter.asker)
            .collect()
    }

    /// All of them.
    pub(super) fn take_all(&mut self) -> Vec<Asker> {
        mem::take(&mut self.by_index)
            .into_values()
            .map(|waiter| waiter.asker)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(ticket: u64) -> Asker {
        Asker::Peer { node: 2, ticket }
    }

    fn ticket(asker: &Asker) -> u64 {
        let Asker::Peer { ticket, .. } = asker else {
            panic!("only peers ask here")
        };
        *ticket
    }

    #[test]
    fn a_waiter_gets_the_outcome_of_its_own_entry_only() {
        let mut waiters = Waiters::default();
        waiters.wait(LogId::new(3, 7), asker(1));
        waiters.wait(LogId::new(3, 8), asker(2));
        let Some(Fate::Committed(first)) = waiters.committed(LogId::new(3, 7)) else {
            panic!()
        };
        assert_eq!(ticket(&first), 1);
        let fate = waiters.committed(LogId::new(4, 8));
        let Some(Fate::Superseded(second, own)) = fate else {
            panic!("{fate:?}")
        };
        assert_eq!((ticket(&second), own), (2, LogId::new(3, 8)));
        assert!(waiters.committed(LogId::new(4, 9)).is_none());
    }

    #[test]
    fn leading_again_at_the_same_index_displaces_without_a_verdict() {
        let mut waiters = Waiters::default();
        waiters.wait(LogId::new(3, 7), asker(1));
        let displaced = waiters.wait(LogId::new(5, 7), asker(2)).unwrap();
        assert_eq!(ticket(&displaced), 1);
        assert!(matches!(
            waiters.committed(LogId::new(5, 7)),
            Some(Fate::Committed(_))
        ));
    }

    #[test]
    fn a_lost_leadership_is_waited_out_for_a_while() {
        let mut waiters = Waiters::default();
        waiters.wait(LogId::new(3, 7), asker(1));
        waiters.lose(100);
        waiters.wait(LogId::new(5, 8), asker(2));
        waiters.lose(130);
        assert!(waiters.take_expired(159, 60).is_empty());
        let expired = waiters.take_expired(160, 60);
        assert_eq!(expired.iter().map(ticket).collect::<Vec<_>>(), [1]);
        assert_eq!(waiters.take_all().len(), 1);
        assert_eq!(waiters.len(), 0);
    }
}
