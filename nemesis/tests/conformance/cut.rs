//! Cuts of every shape: one datagram over every directed edge, before, during and after.

use ordeal_nemesis::{Edge, Endpoint, Grudge, Node, sandbox::Sandbox};

use crate::{
    backend::{Backend, network},
    support::probes::{Probes, of, set},
};

pub(crate) fn blocks_exactly_its_directions<B: Backend>(sandbox: &Sandbox) {
    let Some(network) = network::<B>(sandbox, 5) else {
        return;
    };
    let mut probes = Probes::new(&*network);
    probes.assert_blocked(&Grudge::default(), "without any cut");
    for grudge in [
        of("halves n1 n2 | n3 n4 n5"),
        of("isolate n3"),
        of("isolate leaders"),
        of("ring n3 n1 n5 n2 n4"),
        of("bridge n1 n2 | n3 | n4 n5"),
        of("one-way n2 n4 -> n1 n3 n5"),
        of("clients n1 n5"),
        of("cut n1 -> n2 n3, n4 | clients"),
        [
            Edge::new(Endpoint::Clients, Node(2)),
            Edge::new(Node(4), Endpoint::Clients),
        ]
        .into_iter()
        .collect(),
    ] {
        let cut = network.cut(&grudge).unwrap();
        probes.assert_blocked(&grudge, &format!("with cut {grudge}"));
        // One probe went over every blocked edge, so the proof must say exactly that.
        let dropped = network.heal(cut).unwrap();
        assert_eq!(dropped.packets.len(), grudge.len());
        let exact = dropped.packets.values().all(|packets| *packets == 1);
        assert!(exact, "{dropped:?}");
        probes.assert_blocked(&Grudge::default(), &format!("after healing {grudge}"));
    }
    assert!(network.cuts().is_empty());
}

pub(crate) fn overlap_as_a_union<B: Backend>(sandbox: &Sandbox) {
    let Some(network) = network::<B>(sandbox, 4) else {
        return;
    };
    let mut probes = Probes::new(&*network);
    let isolate = Grudge::isolate(Node(1), 4);
    let one_way = Grudge::one_way(&set(&[1, 2]), &set(&[3]));
    let union: Grudge = isolate.edges().chain(one_way.edges()).collect();
    let first = network.cut(&isolate).unwrap();
    let second = network.cut(&one_way).unwrap();
    probes.assert_blocked(&union, "both");
    let in_both = Edge::new(Node(1), Node(3));
    for cut in [first, second] {
        let dropped = network.dropped(cut).unwrap();
        assert_eq!(dropped.packets[&in_both], 1, "counted by each");
    }
    network.heal(first).unwrap();
    probes.assert_blocked(&one_way, "the second alone");
    assert_eq!(network.cuts(), [second]);
    network.heal(second).unwrap();
    probes.assert_blocked(&Grudge::default(), "none");
    assert!(network.heal(second).is_err());
}
