//! What goes wrong in a world, and what is asked of it by those who run it.

use rand::RngExt;

use super::Broken;
use super::summary::Count;
use super::weather::Fault;
use super::world::{Happening, TICK, World, place};
use crate::raft::{Change, Raft};

impl World {
    pub(super) fn fault(&mut self) -> Result<(), Broken> {
        if self.is_healed || self.weather.faults.is_empty() {
            return Ok(());
        }
        let pause = self.rng.random_range(TICK..=self.weather.fault_pause);
        self.agenda.schedule(pause, Happening::Fault);
        let place = self.rng.random_range(0..self.weather.faults.len());
        match self.weather.faults[place] {
            Fault::Crash => {
                let id = self.any_node();
                return self.lose_power(id..=id);
            }
            Fault::PowerLoss => return self.lose_power(1..=self.nodes.len() as u64),
            Fault::Cut => self.network.change(&mut self.rng, &mut self.summary),
            Fault::Pause => self.pause(),
            Fault::Transfer => return self.transfer(),
            Fault::Nudge => return self.nudge(),
            Fault::Change => return self.change(),
        }
        Ok(())
    }

    fn lose_power(&mut self, victims: std::ops::RangeInclusive<u64>) -> Result<(), Broken> {
        for id in victims {
            self.crash(id)?;
            let pause = self.rng.random_range(1..=20 * TICK);
            self.agenda.schedule(pause, Happening::Restart(id));
        }
        Ok(())
    }

    /// A leader is asked to hand over, to whomever.
    fn transfer(&mut self) -> Result<(), Broken> {
        let to = self.any_node();
        self.ask_all(|raft| {
            // Whoever does not lead refuses.
            let _ = raft.transfer(to);
            None
        })
    }

    /// Asks every process that runs for something, one after the other, and has each do what
    /// follows before anything else happens to it.
    fn ask_all(&mut self, ask: impl Fn(&mut Raft) -> Option<Count>) -> Result<(), Broken> {
        for id in 1..=self.nodes.len() as u64 {
            if self.nodes[place(id)].is_stopped(self.now()) {
                continue;
            }
            self.observe(id);
            let told = self.node(id).raft.as_mut().and_then(&ask);
            if let Some(count) = told {
                self.summary.add(count, 1);
            }
            self.carry_out(id)?;
        }
        Ok(())
    }

    /// Somebody wants a node to campaign now, or to lead no more.
    fn nudge(&mut self) -> Result<(), Broken> {
        let id = self.any_node();
        if self.nodes[place(id)].is_stopped(self.now()) {
            return Ok(());
        }
        let steps_down = self.rng.random();
        self.observe(id);
        if let Some(raft) = &mut self.node(id).raft {
            let is_done = match steps_down {
                true => raft.step_down(),
                false => {
                    raft.campaign();
                    true
                }
            };
            self.summary.add(Count::Nudges, u64::from(is_done));
        }
        self.carry_out(id)
    }

    /// Whoever leads is asked for another configuration.
    fn change(&mut self) -> Result<(), Broken> {
        let id = self.any_node();
        let change = match self.rng.random_range(0..7) {
            0 => Change::AddLearner(id),
            1 | 2 => Change::AddVoter(id),
            3 => Change::Promote(id),
            4 | 5 => Change::Remove(id),
            _ => {
                let count = self.nodes.len() as u64;
                let mut some = || (1..=count).filter(|_| self.rng.random()).collect();
                let (voters, learners) = (some(), some());
                Change::Replace { voters, learners }
            }
        };
        self.ask_all(|raft| raft.change(&change).is_ok().then_some(Count::Changes))
    }

    /// A process stops for a while, and its clock does not.
    fn pause(&mut self) {
        let id = self.any_node();
        let pause = self.rng.random_range(1..=40 * TICK);
        let until = self.now() + pause;
        let node = self.node(id);
        if node.raft.is_none() || node.paused_until > until {
            return;
        }
        node.paused_until = until;
        self.agenda.schedule(pause, Happening::Resume(id));
        self.summary.add(Count::Pauses, 1);
    }

    /// What came while the process was stopped, it takes in now, in that order; nothing where it
    /// is still to be stopped.
    pub(super) fn resume(&mut self, id: u64) -> Result<(), Broken> {
        let now = self.now();
        let node = self.node(id);
        if node.paused_until > now {
            return Ok(());
        }
        for happening in std::mem::take(&mut node.backlog) {
            self.happen(happening)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    /// Else a late report of an early batch takes back what a later one has told: the last of these
    /// would be of a batch long known to be durable, and promises behind it would never leave.
    #[test]
    fn what_came_while_a_process_was_stopped_is_taken_in_in_that_order() {
        let mut world = World::new(1, Plan::default());
        let synced = |batch| Happening::Synced {
            node: 1,
            life: 1,
            batch,
        };
        let batches = |world: &World| -> Vec<u64> {
            let batch = |happening: &Happening| match happening {
                Happening::Synced { batch, .. } => *batch,
                _ => 0,
            };
            world.nodes[0].backlog.iter().map(batch).collect()
        };
        world.node(1).paused_until = 500;
        world.happen(synced(1)).unwrap();
        world.resume(1).unwrap();
        assert_eq!(batches(&world), [1], "it is still to be stopped");
        // It may go on, and comes to this before it was told.
        world.node(1).paused_until = 0;
        world.happen(synced(2)).unwrap();
        assert_eq!(batches(&world), [1, 2]);
        world.resume(1).unwrap();
        assert!(batches(&world).is_empty() && world.nodes[0].durable == 2);
    }
}
