//! Packet faults: proven when every effect planned has met a packet.

use ordeal_nemesis::{fault::PacketEffect, network::FateSeed};

use super::*;

fn trial(cuts: Cuts) -> Trial {
    Trial {
        cuts: Arc::new(cuts),
        ..Trial::default()
    }
}

#[test]
fn a_packet_fault_is_proven_by_the_packets_that_met_with_it() {
    let trial = trial(Cuts::default());
    let records = trial.run(&["0+20 packets leader: delay 50ms, loss 10%"]);
    let Effect::Installed(Proof::Shaped(shaped)) = &records[0].effect else {
        panic!("{records:?}")
    };
    let edges: Vec<String> = shaped.edges.keys().map(ToString::to_string).collect();
    assert_eq!(edges, ["n1 -> n2", "n2 -> n1", "n2 -> n3", "n3 -> n2"]);
    assert_eq!(
        records[0].effect.to_string(),
        "installed: of 8 packets on 4 edges: delay 4, loss 4"
    );
    assert_eq!(trial.steps(), LIFE);
    assert!(records[0].healed && trial.cuts.shapings().is_empty());
    let seed = FateSeed { seed: 1, fault: 1 };
    assert_eq!(*trial.cuts.seeds.lock().unwrap(), [seed]);
}

#[test]
fn a_packet_fault_of_which_one_effect_met_no_packet_does_not_count() {
    let trial = trial(Cuts {
        unmet: Some(PacketEffect::Reorder),
        ..Cuts::default()
    });
    let records = trial.run(&["0+20 packets n1: delay 50ms, reorder 10%"]);
    assert_eq!(records[0].effect.status(), "no effect");
    assert_eq!(
        why(&records[0]),
        "no packet met with reorder while it was there (of 8 packets on 4 edges: delay 4, \
         reorder 0)"
    );
    assert!(records[0].healed);
}

#[test]
fn a_shaping_that_fails_or_stays_is_indeterminate() {
    let trial_of = |cutting_fails, healing_fails| {
        trial(Cuts {
            cutting_fails,
            healing_fails,
            ..Cuts::default()
        })
    };
    for (trial, healed) in [
        (trial_of(true, false), true),
        (trial_of(false, true), false),
    ] {
        let records = trial.run(&["0+20 packets all: loss 5%"]);
        assert_eq!(records[0].effect.status(), "indeterminate");
        assert!(why(&records[0]).contains("broken"));
        assert_eq!(records[0].healed, healed);
    }
}

#[test]
fn a_packet_fault_is_written_and_read_back_as_an_event() {
    let trial = trial(Cuts::default());
    let _ = trial.run(&["0+5 packets n1 -> n2: loss 5%"]);
    let last = trial.events.lock().unwrap().last().unwrap().clone();
    let line = serde_json::to_string(&last).unwrap();
    assert!(
        line.contains(
            r#""proof":{"kind":"shaped","edges":{"n1 -> n2":{"packets":2,"effects":{"loss":1}}}}"#
        ),
        "{line}"
    );
    assert_eq!(serde_json::from_str::<FaultEvent>(&line).unwrap(), last);
}
