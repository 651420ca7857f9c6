//! What is still in force when all faults are over, since healing it failed: tried once more.

use std::{collections::BTreeSet, time::Instant};

use super::{FaultEvent, FaultRecord, Injector, Step, attempt::Attempt};
use crate::{fault::FaultClass, network::Network, node::Node};

impl Injector<'_> {
    /// Heals what failed heals have left in the network and then of the members, which a fault of
    /// the network may have kept from coming back, and says what came of it. To be called when
    /// every fault is over.
    pub fn heal_left(&self, records: &mut [FaultRecord]) {
        let still = self.heal_network(records);
        if still.is_none() {
            self.heal_members(records);
        }
    }

    /// What is left in the network all the same; tells of every fault that it may be of.
    fn heal_network(&self, records: &mut [FaultRecord]) -> Option<String> {
        let network = self.levers.network.as_deref()?;
        if is_clean(network) {
            return None;
        }
        let trouble = heal_all(network);
        let still = (!is_clean(network)).then(|| trouble.join("; "));
        for record in records.iter_mut().filter(|record| !record.healed) {
            // Others may leave more than what is in the network.
            let is_all = match record.planned.fault.class() {
                FaultClass::Partition | FaultClass::Packet => true,
                FaultClass::PowerLoss | FaultClass::Membership | FaultClass::Admin => false,
                _ => continue,
            };
            record.healed = is_all && still.is_none();
            let message = match &still {
                Some(why) => format!("it may still be in force at the end of the run: {why}"),
                None if is_all => "healed at the end of the run".to_owned(),
                None => continue,
            };
            self.tell_left(record, message);
        }
        still
    }

    /// The first members again, now that nothing separates them.
    fn heal_members(&self, records: &mut [FaultRecord]) {
        let is_left = |record: &&mut FaultRecord| {
            !record.healed && record.planned.fault.class() == FaultClass::Membership
        };
        let mut left: Vec<&mut FaultRecord> = records.iter_mut().filter(is_left).collect();
        let (Some(admin), Some(one)) = (self.levers.admin.as_deref(), left.first()) else {
            return;
        };
        let first: BTreeSet<Node> = Node::first(self.nodes).collect();
        let planned = one.planned.clone();
        let back = Attempt::new(self, &planned, Instant::now()).bring_members_back(admin, &first);
        for record in &mut left {
            record.healed = back.is_ok();
            let message = match &back {
                Ok(members) => {
                    format!("the first members are back at the end of the run: {members}")
                }
                Err(why) => format!("it may still be in force at the end of the run: {why}"),
            };
            self.tell_left(record, message);
        }
    }

    fn tell_left(&self, record: &FaultRecord, message: String) {
        (self.sink)(FaultEvent {
            time_ns: (self.clock)(),
            fault: record.planned.id,
            class: record.planned.fault.class(),
            what: Step::Indeterminate,
            nodes: record.nodes.clone(),
            edges: Vec::new(),
            proof: None,
            message,
        });
    }
}

fn is_clean(network: &dyn Network) -> bool {
    network.cuts().is_empty() && network.shapings().is_empty()
}

/// Heals whatever is in force; returns what went wrong.
fn heal_all(network: &dyn Network) -> Vec<String> {
    let cuts = network.cuts().into_iter();
    let cuts = cuts.filter_map(|cut| network.heal(cut).err());
    let shapings = network.shapings().into_iter();
    let shapings = shapings.filter_map(|shaping| network.unshape(shaping).err());
    let all = cuts.chain(shapings);
    all.map(|error| error.to_string()).collect()
}
