//! Which network a run gets, given what was asked for and what was seen to work.

use super::Row;
use crate::network::{Backend, Choice, Wanted};

/// Decides. `kernel` is what was tried with iptables and tc: a row for all that the plan needs of
/// them, none where it needs nothing.
pub(super) fn decide(wanted: Wanted, kernel: &[Row]) -> Choice {
    let missing = kernel.iter().find(|row| !row.is_available());
    let (backend, why) = match (wanted, missing) {
        (Wanted::Switch, _) => (Backend::Switch, "as asked for".to_owned()),
        (Wanted::Iptables, _) => (Backend::Iptables, "as asked for".to_owned()),
        (Wanted::Auto, Some(row)) => {
            let why = format!("iptables cannot do all that is planned: {}", row.summary());
            (Backend::Switch, why)
        }
        (Wanted::Auto, None) if kernel.is_empty() => {
            let why = "no fault of this plan is one of the network's".to_owned();
            (Backend::Switch, why)
        }
        (Wanted::Auto, None) => {
            let why = "it can do all that is planned, as was tried here".to_owned();
            (Backend::Iptables, why)
        }
    };
    Choice { backend, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultClass, PacketEffect};

    fn row(effects: &[PacketEffect], result: Result<&str, &str>) -> Row {
        Row {
            fault: match effects {
                [] => FaultClass::Partition,
                _ => FaultClass::Packet,
            },
            backend: Some(Backend::Iptables),
            effects: effects.to_vec(),
            mechanism: "some",
            probe: "try it".to_owned(),
            result: result.map(str::to_owned).map_err(str::to_owned),
        }
    }

    fn decided(wanted: Wanted, kernel: &[Row]) -> String {
        decide(wanted, kernel).to_string()
    }

    #[test]
    fn auto_takes_iptables_where_all_that_is_planned_was_seen_to_work() {
        let cut = row(&[], Ok("stopped"));
        let loss = row(&[PacketEffect::Loss], Ok("lost"));
        assert_eq!(
            decided(Wanted::Auto, &[cut, loss]),
            "iptables: it can do all that is planned, as was tried here"
        );
    }

    #[test]
    fn auto_takes_the_switch_where_one_was_not_and_says_which_and_why() {
        let cut = row(&[], Ok("stopped"));
        let netem = [PacketEffect::Delay, PacketEffect::Corrupt];
        let netem = row(
            &netem,
            Err("qdisc kind is unknown; this kernel has no netem"),
        );
        assert_eq!(
            decided(Wanted::Auto, &[cut.clone(), netem.clone()]),
            "switch: iptables cannot do all that is planned: delay, corrupt: qdisc kind is \
             unknown; this kernel has no netem"
        );
        let none = row(&[], Err("there is no iptables-restore here"));
        assert_eq!(
            decided(Wanted::Auto, &[none]),
            "switch: iptables cannot do all that is planned: partition: there is no \
             iptables-restore here"
        );
        // Who asks for one gets it, and the row that says no refuses the plan.
        assert_eq!(
            decided(Wanted::Iptables, &[cut, netem]),
            "iptables: as asked for"
        );
    }

    #[test]
    fn a_plan_without_faults_of_the_network_gets_the_switch() {
        assert_eq!(
            decided(Wanted::Auto, &[]),
            "switch: no fault of this plan is one of the network's"
        );
        assert_eq!(decided(Wanted::Switch, &[]), "switch: as asked for");
        assert_eq!(decided(Wanted::Iptables, &[]), "iptables: as asked for");
    }
}
