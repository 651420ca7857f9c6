//! In which order cards lie.

use super::card::Card;
use crate::fault::FaultClass;

/// The first fault of a disk is one that hits no process: it waits for nobody, so that every class
/// has its turn in time also where few may be down at once.
pub(super) fn slow_disk_first(deck: &mut [Card]) {
    let first = deck
        .iter()
        .position(|card| card.class() == FaultClass::Disk);
    let slow = deck.iter().position(|card| *card == Card::SlowFsync);
    if let (Some(first), Some(slow)) = (first, slow) {
        deck.swap(first, slow);
    }
}

/// Moves the first card of each class to the front, in the order in which they lie.
pub(super) fn one_of_each_class_first(deck: Vec<Card>) -> Vec<Card> {
    let mut seen = Vec::new();
    let (mut front, mut rest) = (Vec::new(), Vec::new());
    for card in deck {
        if seen.contains(&card.class()) {
            rest.push(card);
        } else {
            seen.push(card.class());
            front.push(card);
        }
    }
    front.append(&mut rest);
    front
}
