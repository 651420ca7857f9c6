//! What goes wrong in a world, and what is asked of it by those who run it.

use std::collections::BTreeSet;

use rand::RngExt;

use super::Broken;
use super::world::{Happening, TICK, World};
use crate::raft::Change;

impl World {
    pub(super) fn fault(&mut self) -> Result<(), Broken> {
        if self.is_healed {
            return Ok(());
        }
        let pause = self.rng.random_range(TICK..=self.weather.fault_pause);
        self.schedule(pause, Happening::Fault);
        match self.rng.random_range(0..8) {
            0 => self.transfer(),
            1 => self.pause(),
            2..=4 if self.weather.is_changing => self.change(),
            _ => return self.crash_or_cut(),
        }
        Ok(())
    }

    fn crash_or_cut(&mut self) -> Result<(), Broken> {
        if self.rng.random_bool(self.weather.crash_share) {
            let everyone = self.rng.random_bool(0.1);
            let victims = match everyone {
                true => self.network.ids().clone(),
                false => BTreeSet::from([self.any_node()]),
            };
            for id in victims {
                self.crash(id)?;
                let pause = self.rng.random_range(1..=20 * TICK);
                self.schedule(pause, Happening::Restart(id));
            }
        } else {
            self.network.change(&mut self.rng);
        }
        Ok(())
    }

    /// A leader is asked to hand over, to whomever.
    fn transfer(&mut self) {
        let to = self.any_node();
        for node in self.nodes.values_mut() {
            if let Some(raft) = &mut node.raft {
                // Whoever does not lead refuses.
                let _ = raft.transfer(to);
            }
        }
    }

    /// Whoever leads is asked for another configuration.
    fn change(&mut self) {
        let id = self.any_node();
        let change = match self.rng.random_range(0..7) {
            0 => Change::AddLearner(id),
            1 | 2 => Change::AddVoter(id),
            3 => Change::Promote(id),
            4 | 5 => Change::Remove(id),
            _ => {
                let mut some = || {
                    let ids = self.network.ids().iter().copied();
                    ids.filter(|_| self.rng.random_bool(0.5)).collect()
                };
                let (voters, learners) = (some(), some());
                Change::Replace { voters, learners }
            }
        };
        for node in self.nodes.values_mut() {
            if let Some(raft) = &mut node.raft
                && raft.change(&change).is_ok()
            {
                self.summary.changes += 1;
            }
        }
    }

    /// A process stops for a while, and its clock does not.
    fn pause(&mut self) {
        let id = self.any_node();
        let pause = self.rng.random_range(1..=40 * TICK);
        self.node(id).paused_until = self.now + pause;
    }

    /// From here on the world is as Raft needs it to make progress: a message and a sync take
    /// little time beside an election time-out (Raft paper, section 5.6).
    pub(super) fn heal(&mut self) -> Result<(), Broken> {
        self.is_healed = true;
        self.network.heal();
        for node in self.nodes.values_mut() {
            node.paused_until = 0;
        }
        self.weather.sync_max = self.weather.sync_max.min(TICK / 2);
        for id in self.network.ids().clone() {
            self.start(id)?;
        }
        Ok(())
    }
}
