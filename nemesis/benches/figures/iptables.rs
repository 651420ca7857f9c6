//! What cuts of the kernel's network cost.

use std::time::Duration;

use ordeal_nemesis::{
    Edge, Grudge, Node,
    network::{Iptables, IptablesOptions, Network, NetworkError, Variant},
    sandbox::Sandbox,
};

use super::{row, timed};

/// How long the kernel may take to free the rules of a cut that is healed.
const FREED: Duration = Duration::from_millis(30);

/// Cuts of the kernel's network: what a run of one of its programs in each namespace takes, and
/// one that begins while the kernel still frees what the heal before has removed.
pub(crate) fn cuts(sandbox: &Sandbox) {
    for variant in [Variant::Nft, Variant::Legacy] {
        let options = IptablesOptions {
            variant,
            ..IptablesOptions::default()
        };
        let network = match Iptables::create(sandbox, 5, &options) {
            Ok(network) => network,
            Err(error @ NetworkError::Missing { .. }) => {
                println!("| {variant}: {error} | | | | |");
                continue;
            }
            Err(error) => panic!("{variant}: {error}"),
        };
        let halves = Grudge::halves(&[1, 2].map(Node).into(), &[3, 4, 5].map(Node).into());
        for (what, grudge) in [
            (
                "one edge",
                [Edge::new(Node(1), Node(2))].into_iter().collect(),
            ),
            ("one of 5 off", Grudge::isolate(Node(1), 5)),
            ("5 in halves", halves),
        ] {
            let (cut, heal) = cut_and_heal(&network, &grudge, FREED);
            row(&format!("{variant}: cut {what}"), cut);
            row("… and heal it, verified", heal);
            let (cut, heal) = cut_and_heal(&network, &grudge, Duration::ZERO);
            row("… cut it right behind a heal", cut);
            row("… and heal it at once", heal);
        }
        drop(network);
        let make = || Iptables::create(sandbox, 5, &options).unwrap();
        row(
            &format!("{variant}: a network of 5 nodes"),
            (0..5).map(|_| timed(make)).collect(),
        );
    }
}

/// What 50 cuts and heals take, with a pause behind each.
fn cut_and_heal(
    network: &Iptables,
    grudge: &Grudge,
    pause: Duration,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut cut, mut heal) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let mut id = None;
        cut.push(timed(|| id = network.cut(grudge).ok()));
        std::thread::sleep(pause);
        let id = id.expect("these nodes are there");
        heal.push(timed(|| network.heal(id).unwrap()));
        std::thread::sleep(pause);
    }
    (cut, heal)
}
