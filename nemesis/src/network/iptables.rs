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
mod removal;
mod rules;
mod run;
mod sites;
mod tools;

use std::{collections::BTreeSet, sync::Mutex};

pub use self::tools::Variant;
use self::{
    fault::{
        Cut, Faults, Installed, Rules, check_effects, check_nodes, dropped, ends_of, lock, shaped,
    },
    queues::Egress,
    removal::Removal,
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
            done.into_values().collect::<Result<(), _>>()?;
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
        // Known before it is there, and until nothing of it is.
        let cut = Cut {
            edges: edges.clone(),
            rules: Rules::at(sites.clone()),
        };
        faults.cuts.insert(CutId(id), cut);
        let rules = |site| rules::cut(id, &into(&edges, site));
        let installed = self.install(id, &sites, rules, |site| uncut(id, &edges, site));
        installed.map_err(|failure| {
            match (&failure.left, faults.cuts.get_mut(&CutId(id))) {
                (Some(left), Some(cut)) => cut.rules.sites.clone_from(&left.rules),
                _ => drop(faults.cuts.remove(&CutId(id))),
            }
            failure.told(id)
        })?;
        Ok(CutId(id))
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let mut faults = lock(&self.faults);
        let installed = faults.cuts.get_mut(&cut);
        let Cut { edges, rules } = installed.ok_or(NetworkError::NoSuchCut(cut))?;
        let (unhooked, removed) = self.remove(cut.0, rules, |site| uncut(cut.0, edges, site));
        faults.disturb(&unhooked);
        removed?;
        let healed = faults.cuts.remove(&cut);
        let Cut { edges, rules } = healed.ok_or(NetworkError::NoSuchCut(cut))?;
        let dropped = dropped(&edges, &rules.counted);
        let says = dropped.to_string();
        rules.healed(cut.0, dropped, says)
    }

    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let faults = lock(&self.faults);
        let installed = faults.cuts.get(&cut).ok_or(NetworkError::NoSuchCut(cut))?;
        let counts = self.counts(cut.0, &installed.rules)?;
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
            rules: Rules::at(sites.clone()),
        };
        faults.shapings.insert(ShapingId(id), new);
        let [before, after] = [Some(ShapingId(id)), None];
        let [before, after] = [before, after].map(|but| faults.lines_out(&sites, but));
        let change = |site| (before[&site].clone(), after[&site].clone());
        let shape = |site| rules::shape(id, site, edges, shaping);
        let rules = |site| rules::batch(&(shape(site) + &rules::classify(&after[&site])));
        let removal = |site| unshape(id, &shape(site), &before[&site]);
        // Queues first, so that no packet is sent to one that is not there.
        let installed = self.queue(id, &sites, change).and_then(|()| {
            let installed = self.install(id, &sites, rules, removal);
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
                (Some(left), Some(shaping)) => shaping.rules.sites.clone_from(&left.rules),
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
        let (all, mut rules) = (ends_of(&installed.edges), installed.rules.clone());
        let [before, after] = [None, Some(shaping)].map(|but| faults.lines_out(&all, but));
        let (unhooked, removed) = self.remove(id, &mut rules, |site| {
            let shape = rules::shape(id, site, &installed.edges, &installed.shaping);
            unshape(id, &shape, &after[&site])
        });
        let removed = removed.and_then(|()| {
            let change = |site| (before[&site].clone(), after[&site].clone());
            self.requeue(id, &all, change)
        });
        if let Some(installed) = faults.shapings.get_mut(&shaping) {
            installed.rules = rules;
        }
        faults.disturb(&unhooked);
        removed?;
        let healed = faults.shapings.remove(&shaping);
        let healed = healed.ok_or(NetworkError::NoSuchShaping(shaping))?;
        let shaped = shaped(&healed, &healed.rules.counted);
        let says = shaped.to_string();
        healed.rules.healed(id, shaped, says)
    }

    fn shaped(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        let faults = lock(&self.faults);
        let installed = faults.shapings.get(&shaping);
        let installed = installed.ok_or(NetworkError::NoSuchShaping(shaping))?;
        let counts = self.counts(shaping.0, &installed.rules)?;
        Ok(shaped(installed, &counts))
    }

    fn shapings(&self) -> Vec<ShapingId> {
        lock(&self.faults).shapings.keys().copied().collect()
    }
}

/// Of these edges, those that lead to `site`.
fn into(edges: &BTreeSet<Edge>, site: Endpoint) -> Vec<Edge> {
    let into = edges.iter().filter(|edge| edge.to == site);
    into.copied().collect()
}

/// What takes a cut of these edges away at `site`.
fn uncut(id: u64, edges: &BTreeSet<Edge>, site: Endpoint) -> Removal {
    Removal {
        chains: vec![rules::chain(id)],
        undo: rules::uncut(id),
        counting: rules::counting(&rules::cut(id, &into(edges, site))),
    }
}

/// What takes a shaping away that was installed by the rules `shape`, where `after` waits then.
fn unshape(id: u64, shape: &str, after: &Egress) -> Removal {
    Removal {
        chains: vec![rules::chain(id), rules::chain_out(id)],
        undo: rules::unshape(id) + &rules::classify(after),
        counting: rules::counting(shape),
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
