//! What is still in force when all faults are over, since healing it failed: tried once more.

use super::{FaultEvent, FaultRecord, Injector, Step};
use crate::{fault::FaultClass, network::Network};

impl Injector<'_> {
    /// Heals what failed heals have left in the network, and says what came of it. To be called
    /// when every fault is over.
    pub fn heal_left(&self, records: &mut [FaultRecord]) {
        let Some(network) = self.levers.network.as_deref() else {
            return;
        };
        if is_clean(network) {
            return;
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
