//! The kernel's own network: veth pairs and a bridge, cut by iptables, slowed by tc.
//!
//! ```text
//!  n1 eth0 ══ v1 ┐ br0
//!  n2 eth0 ══ v2 ┤        in every endpoint's namespace: chains of ours, see `rules`,
//!  clients ══ v0 ┘        and queues at `eth0`, see `queues`
//! ```
//!
//! What people know and can inspect (`nsenter -t PID -n iptables -nvL`), at the kernel's speed. In
//! return, a cut takes milliseconds rather than a microsecond, reaches one namespace after the
//! other, the kernel's dice have no seed, and what a machine lacks (netem above all) is refused.

mod bridge;
mod fault;
mod queues;
mod rules;
mod sites;
mod tools;

use std::{collections::BTreeSet, sync::Mutex};

pub use self::tools::Variant;
use self::{
    fault::{Cut, Faults, Installed, check_effects, check_nodes, dropped, ends_of, lock, shaped},
    sites::Failure,
    tools::Tools,
};
use super::{
    CutId, FateSeed, NODES_MAX, Namespace, Network, NetworkError, ShapingId, TcpBackoff,
    cables::Cables,
};
use crate::{
    fault::Shaping,
    grudge::Grudge,
    node::{Edge, Endpoint, Node},
    proof::{Dropped, Shaped},
    sandbox::Sandbox,
};

/// How to build the kernel's network.
#[derive(Debug, Clone, Default)]
pub struct IptablesOptions {
    /// Which iptables to use.
    pub variant: Variant,
    /// How long TCP waits before it sends again.
    pub backoff: TcpBackoff,
}

/// The network as the kernel has it: needs the programs of `iptables` and `iproute2`.
#[derive(Debug)]
pub struct Iptables {
    cables: Cables,
    tools: Tools,
    variant: Variant,
    /// Held while a fault comes or goes.
    faults: Mutex<Faults>,
}

impl Iptables {
    /// Builds namespaces, veth pairs, the bridge, and the chains that faults are hung into.
    ///
    /// # Errors
    ///
    /// When a program is missing, or the kernel refuses a namespace, an interface or a rule.
    pub fn create(
        _inside: &Sandbox,
        nodes: u16,
        options: &IptablesOptions,
    ) -> Result<Self, NetworkError> {
        if !(1..=NODES_MAX).contains(&nodes) {
            return Err(NetworkError::Nodes(nodes));
        }
        let tools = Tools::find(options.variant)?;
        let cables = Cables::lay(nodes, 1500, true, options.backoff)?;
        bridge::join(&cables.hub, nodes)?;
        cables.await_carrier()?;
        let network = Self {
            cables,
            tools,
            variant: options.variant,
            faults: Mutex::default(),
        };
        let scaffold = rules::scaffold();
        // One first, for which the kernel loads its modules: where several ask it to at once, it
        // may refuse the second.
        let mut everywhere: BTreeSet<Endpoint> = network.ends().collect();
        let first: BTreeSet<Endpoint> = everywhere.pop_first().into_iter().collect();
        for sites in [first, everywhere] {
            let done =
                network.at_each(&sites, |inside, _| network.tools.restore(inside, &scaffold));
            done.into_values().collect::<Result<Vec<String>, _>>()?;
        }
        Ok(network)
    }

    fn ends(&self) -> impl Iterator<Item = Endpoint> {
        let nodes = Node::first(self.nodes()).map(Endpoint::Node);
        std::iter::once(Endpoint::Clients).chain(nodes)
    }
}

impl Network for Iptables {
    fn nodes(&self) -> u16 {
        u16::try_from(self.cables.nodes.len()).expect("at most NODES_MAX nodes")
    }

    fn namespace(&self, node: Node) -> &Namespace {
        &self.cables.nodes[usize::from(node.0) - 1]
    }

    fn mechanism(&self) -> String {
        format!(
            "veth and bridge, {} and tc in a network namespace for each node",
            self.variant
        )
    }

    fn bounds_tcp_backoff(&self) -> bool {
        self.cables.bounds_tcp_backoff
    }

    /// Each look runs a program in every namespace concerned.
    fn look_interval(&self) -> std::time::Duration {
        std::time::Duration::from_millis(50)
    }

    fn cut(&self, grudge: &Grudge) -> Result<CutId, NetworkError> {
        let edges: BTreeSet<Edge> = grudge.edges().collect();
        check_nodes(&edges, self.nodes())?;
        let mut faults = lock(&self.faults);
        faults.next += 1;
        let id = faults.next;
        let sites: BTreeSet<Endpoint> = edges.iter().map(|edge| edge.to).collect();
        let of = |site| -> Vec<Edge> {
            let into = edges.iter().filter(|edge| edge.to == site);
            into.copied().collect()
        };
        let rules = |site| rules::cut(id, &of(site));
        let chains = [rules::chain(id)];
        // Known before it is there, and until nothing of it is.
        let cut = Cut {
            edges: edges.clone(),
            sites: sites.clone(),
        };
        faults.cuts.insert(CutId(id), cut);
        let installed = self.install((id, &chains), &sites, rules, |_| rules::uncut(id));
        installed.map_err(|failure| {
            match (&failure.left, faults.cuts.get_mut(&CutId(id))) {
                (Some(left), Some(cut)) => cut.sites.clone_from(&left.rules),
                _ => drop(faults.cuts.remove(&CutId(id))),
            }
            failure.told(id)
        })?;
        Ok(CutId(id))
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let mut faults = lock(&self.faults);
        let installed = faults.cuts.get_mut(&cut);
        let installed = installed.ok_or(NetworkError::NoSuchCut(cut))?;
        let fault = (cut.0, &[rules::chain(cut.0)][..]);
        let counts = self.remove(fault, &mut installed.sites, |_| rules::uncut(cut.0))?;
        let dropped = dropped(&installed.edges, &counts);
        faults.cuts.remove(&cut);
        Ok(dropped)
    }

    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let faults = lock(&self.faults);
        let installed = faults.cuts.get(&cut).ok_or(NetworkError::NoSuchCut(cut))?;
        let counts = self.counts(cut.0, &installed.sites)?;
        Ok(dropped(&installed.edges, &counts))
    }

    fn cuts(&self) -> Vec<CutId> {
        lock(&self.faults).cuts.keys().copied().collect()
    }

    /// The kernel's dice have no seed: `_seed` is not used.
    fn shape(
        &self,
        edges: &BTreeSet<Edge>,
        shaping: &Shaping,
        _seed: FateSeed,
    ) -> Result<ShapingId, NetworkError> {
        check_nodes(edges, self.nodes())?;
        check_effects(shaping)?;
        let mut faults = lock(&self.faults);
        faults.next += 1;
        let id = faults.next;
        let sites = ends_of(edges);
        // Known before it is there, and until nothing of it is.
        let new = Installed {
            edges: edges.clone(),
            shaping: shaping.clone(),
            sites: sites.clone(),
        };
        faults.shapings.insert(ShapingId(id), new);
        let [before, after] = [Some(ShapingId(id)), None];
        let [before, after] = [before, after].map(|but| faults.lines_out(&sites, but));
        let change = |site| (before[&site].clone(), after[&site].clone());
        let list: Vec<Edge> = edges.iter().copied().collect();
        let rules = |site| {
            let classes = rules::classify(&after[&site]);
            rules::batch(&(rules::shape(id, site, &list, shaping) + &classes))
        };
        let undo = |site| rules::unshape(id) + &rules::classify(&before[&site]);
        let chains = [rules::chain(id), rules::chain_out(id)];
        // Queues first, so that no packet is sent to one that is not there.
        let installed = self.queue(id, &sites, change).and_then(|()| {
            let installed = self.install((id, &chains), &sites, rules, undo);
            installed.map_err(|failure| match failure.left {
                Some(_) => failure,
                None => Failure {
                    left: self.unqueue(id, &sites, change),
                    ..failure
                },
            })
        });
        installed.map_err(|failure| {
            match (&failure.left, faults.shapings.get_mut(&ShapingId(id))) {
                (Some(left), Some(shaping)) => shaping.sites.clone_from(&left.rules),
                _ => drop(faults.shapings.remove(&ShapingId(id))),
            }
            failure.told(id)
        })?;
        Ok(ShapingId(id))
    }

    fn unshape(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        let id = shaping.0;
        let mut faults = lock(&self.faults);
        let installed = faults.shapings.get(&shaping);
        let installed = installed.ok_or(NetworkError::NoSuchShaping(shaping))?;
        // Rules may be gone since an attempt before; its queues go after the last of them.
        let (all, mut left) = (ends_of(&installed.edges), installed.sites.clone());
        let [before, after] = [None, Some(shaping)].map(|but| faults.lines_out(&all, but));
        let undo = |site| rules::unshape(id) + &rules::classify(&after[&site]);
        let chains = [rules::chain(id), rules::chain_out(id)];
        let removed = self.remove((id, &chains), &mut left, undo);
        let removed = removed.and_then(|counts| {
            let change = |site| (before[&site].clone(), after[&site].clone());
            self.requeue(id, &all, change)?;
            Ok(shaped(installed, &counts))
        });
        if removed.is_ok() {
            faults.shapings.remove(&shaping);
        } else if let Some(installed) = faults.shapings.get_mut(&shaping) {
            installed.sites = left;
        }
        removed
    }

    fn shaped(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        let faults = lock(&self.faults);
        let installed = faults.shapings.get(&shaping);
        let installed = installed.ok_or(NetworkError::NoSuchShaping(shaping))?;
        let counts = self.counts(shaping.0, &installed.sites)?;
        Ok(shaped(installed, &counts))
    }

    fn shapings(&self) -> Vec<ShapingId> {
        lock(&self.faults).shapings.keys().copied().collect()
    }
}

impl Drop for Iptables {
    fn drop(&mut self) {
        // The nodes' namespaces go with all that is in them; the clients' is the harness's own.
        let _ = self
            .tools
            .restore(&self.cables.clients, &rules::dismantle());
    }
}
