//! What iptables and tc can do here, effect by effect: each needs something of its own.

use std::collections::BTreeSet;

use super::{Row, cut, packets};
use crate::{
    fault::{FaultClass, PacketEffect},
    network::{Backend, Iptables, IptablesOptions},
    sandbox::Sandbox,
};

/// What is done by one means.
struct Means {
    fault: FaultClass,
    effects: &'static [PacketEffect],
    mechanism: &'static str,
}

const MEANS: [Means; 7] = [
    Means {
        fault: FaultClass::Partition,
        effects: &[],
        mechanism: "iptables: a chain that marks, DROP",
    },
    Means {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Loss],
        mechanism: "iptables -m statistic, DROP",
    },
    Means {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Duplicate],
        mechanism: "iptables TEE",
    },
    Means {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Reset, PacketEffect::Refuse],
        mechanism: "iptables REJECT --reject-with tcp-reset",
    },
    Means {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::Rate],
        mechanism: "tc htb",
    },
    Means {
        fault: FaultClass::Packet,
        effects: &[
            PacketEffect::Delay,
            PacketEffect::Reorder,
            PacketEffect::Corrupt,
        ],
        mechanism: NETEM,
    },
    Means {
        fault: FaultClass::Packet,
        effects: &[PacketEffect::CorruptDeliver],
        mechanism: "none",
    },
];

const NETEM: &str = "tc netem";

impl Means {
    /// A cut as a whole, and of effects each that is asked for.
    fn wanted(&self, effects: &BTreeSet<PacketEffect>) -> Vec<PacketEffect> {
        let wanted = self.effects.iter().copied();
        wanted.filter(|effect| effects.contains(effect)).collect()
    }

    fn attempt(&self, network: &Iptables, effects: &[PacketEffect]) -> Result<String, String> {
        if effects.is_empty() {
            return cut(network);
        }
        let tried = packets::attempt(network, effects.iter().copied());
        tried.map_err(|why| match self.mechanism {
            NETEM => with_netem(why),
            _ => why,
        })
    }
}

/// Tries what these faults need of iptables and tc.
pub(super) fn examine(
    inside: &Sandbox,
    classes: &BTreeSet<FaultClass>,
    effects: &BTreeSet<PacketEffect>,
) -> Vec<Row> {
    let needed: Vec<(&Means, Vec<PacketEffect>)> = MEANS
        .iter()
        .map(|means| (means, means.wanted(effects)))
        .filter(|(means, wanted)| means.effects.is_empty() || !wanted.is_empty())
        .filter(|(means, _)| classes.contains(&means.fault))
        .collect();
    if needed.is_empty() {
        return Vec::new();
    }
    let network = Iptables::create(inside, 1, &IptablesOptions::default());
    let row = |(means, wanted): (&Means, Vec<PacketEffect>)| Row {
        fault: means.fault,
        backend: Some(Backend::Iptables),
        mechanism: means.mechanism,
        probe: match means.effects {
            [] => super::CUT.to_owned(),
            _ => packets::probes(&wanted),
        },
        result: match &network {
            Ok(network) => means.attempt(network, &wanted),
            Err(error) => Err(error.to_string()),
        },
        effects: wanted,
    };
    needed.into_iter().map(row).collect()
}

fn with_netem(why: String) -> String {
    if !why.contains("qdisc") {
        return why;
    }
    format!(
        "{why}; this kernel has no netem: try `sudo modprobe sch_netem`, on Ubuntu after `sudo apt \
         install linux-modules-extra-$(uname -r)`, or use the switch"
    )
}
