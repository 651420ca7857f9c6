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
mod tools;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread,
};

pub use self::tools::Variant;
use self::{
    fault::{
        Cut, Faults, Installed, check_effects, check_nodes, dropped, egress, ends_of, lock, shaped,
    },
    queues::Egress,
    rules::Count,
    tools::Tools,
};
use super::{
    CutId, FateSeed, NODES_MAX, Namespace, Network, NetworkError, ShapingId, cables::Cables,
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
        let cables = Cables::lay(nodes, 1500, true)?;
        bridge::join(&cables.hub, nodes)?;
        cables.await_carrier()?;
        let network = Self {
            cables,
            tools,
            variant: options.variant,
            faults: Mutex::default(),
        };
        let everywhere: BTreeSet<Endpoint> = network.ends().collect();
        let scaffold = rules::scaffold();
        let done = network.at_each(&everywhere, |inside, _| {
            network.tools.restore(inside, &scaffold)
        });
        done.into_values().collect::<Result<Vec<String>, _>>()?;
        Ok(network)
    }

    fn ends(&self) -> impl Iterator<Item = Endpoint> {
        let nodes = Node::first(self.nodes()).map(Endpoint::Node);
        std::iter::once(Endpoint::Clients).chain(nodes)
    }

    fn inside(&self, end: Endpoint) -> &Namespace {
        match end {
            Endpoint::Clients => &self.cables.clients,
            Endpoint::Node(node) => self.namespace(node),
        }
    }

    /// Does the same in several namespaces, all at once.
    fn at_each<T, F>(&self, sites: &BTreeSet<Endpoint>, work: F) -> BTreeMap<Endpoint, T>
    where
        T: Send,
        F: Fn(&Namespace, Endpoint) -> T + Sync,
    {
        thread::scope(|scope| {
            let work = &work;
            let running: Vec<_> = sites
                .iter()
                .map(|site| (*site, scope.spawn(move || work(self.inside(*site), *site))))
                .collect();
            let ended = running.into_iter().map(|(site, thread)| {
                let done = thread.join().expect("running a program does not panic");
                (site, done)
            });
            ended.collect()
        })
    }

    /// What a fault's rules have counted, at all of its sites.
    fn counts(&self, id: u64, sites: &BTreeSet<Endpoint>) -> Result<Vec<Count>, NetworkError> {
        let mut all = Vec::new();
        for (site, saved) in self.at_each(sites, |inside, _| self.tools.save(inside)) {
            let counts = rules::counts(&saved?, id).ok_or(NetworkError::Gone { of: site, id })?;
            all.extend(counts);
        }
        Ok(all)
    }

    /// Removes a fault's chains, and looks whether they are gone; of `sites`, those remain where
    /// that failed. Returns what the rules had counted.
    ///
    /// One program does all of it in a namespace, while others do theirs: what takes long is that
    /// the kernel waits until nobody uses the rules any more, and that it does for all at once.
    fn remove<F>(
        &self,
        (id, chains): (u64, &[String]),
        sites: &mut BTreeSet<Endpoint>,
        undo: F,
    ) -> Result<Vec<Count>, NetworkError>
    where
        F: Fn(Endpoint) -> String + Sync,
    {
        let removed = self.at_each(sites, |inside, site| {
            let batch = rules::removal(chains, &undo(site));
            let answer = self.tools.restore(inside, &batch).map_err(|error| {
                // Rules that somebody else has taken away are why nothing could be removed.
                let left = self.tools.save(inside);
                match left.map(|saved| rules::counts(&saved, id)) {
                    Ok(None) => NetworkError::Gone { of: site, id },
                    _ => error,
                }
            })?;
            match rules::removed(&answer, chains) {
                Some((counts, true)) => Ok(counts),
                Some((_, false)) => Err(NetworkError::Stays { of: site, id }),
                None => Err(self.tools.unreadable(&answer)),
            }
        });
        let (mut all, mut trouble) = (Vec::new(), None);
        for (site, removed) in removed {
            match removed {
                Ok(counts) => {
                    sites.remove(&site);
                    all.extend(counts);
                }
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(all), Err)
    }

    /// Installs a fault's rules at its sites; where that fails at one, takes them away at the
    /// others.
    fn install<F, U>(
        &self,
        fault: (u64, &[String]),
        sites: &BTreeSet<Endpoint>,
        rules: F,
        undo: U,
    ) -> Result<(), NetworkError>
    where
        F: Fn(Endpoint) -> String + Sync,
        U: Fn(Endpoint) -> String + Sync,
    {
        let done = self.at_each(sites, |inside, site| {
            self.tools.restore(inside, &rules(site))
        });
        let (mut there, mut trouble) = (BTreeSet::new(), None);
        for (site, result) in done {
            match result {
                Ok(_) => drop(there.insert(site)),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            None => Ok(()),
            Some(error) => self.remove(fault, &mut there, undo).and(Err(error)),
        }
    }

    /// Makes (or, `after` the rules have changed, removes) the queues of these sites.
    fn queue(
        &self,
        sites: &BTreeSet<Endpoint>,
        commands: impl Fn(Endpoint) -> String + Sync,
    ) -> Result<(), NetworkError> {
        let run = |inside: &Namespace, site| self.tools.tc(inside, &commands(site)).map(drop);
        self.at_each(sites, run).into_values().collect()
    }

    /// Makes queues of the one kind to such of the other, and looks whether they are.
    fn requeue(
        &self,
        id: u64,
        sites: &BTreeSet<Endpoint>,
        change: impl Fn(Endpoint) -> (Egress, Egress) + Sync,
    ) -> Result<(), NetworkError> {
        let done = self.at_each(sites, |inside, site| {
            let (old, new) = change(site);
            if old.is_empty() && new.is_empty() {
                return Ok(());
            }
            let commands = queues::prepare(&old, &new) + &queues::clear(&old, &new);
            let shown = self.tools.tc(inside, &(commands + &queues::look()))?;
            let stays = || NetworkError::Stays { of: site, id };
            queues::are(&new, &shown).then_some(()).ok_or_else(stays)
        });
        done.into_values().collect()
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
        self.install((id, &chains), &sites, rules, |_| rules::uncut(id))?;
        faults.cuts.insert(CutId(id), Cut { edges, sites });
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
        let new = Installed {
            edges: edges.clone(),
            shaping: shaping.clone(),
            sites,
        };
        let before = |site| egress(site, faults.shapings.values());
        let after = |site| egress(site, faults.shapings.values().chain([&new]));
        let clear = |site| queues::clear(&after(site), &before(site));
        let made = self.queue(&new.sites, |site| {
            queues::prepare(&before(site), &after(site))
        });
        if let Err(error) = made {
            // What was made up to the failure goes again; the rest was never there.
            let _ = self.queue(&new.sites, clear);
            return Err(error);
        }
        let list: Vec<Edge> = edges.iter().copied().collect();
        let rules = |site| {
            let lines = rules::shape(id, site, &list, shaping) + &rules::classify(&after(site));
            rules::batch(&lines)
        };
        let undo = |site| rules::unshape(id) + &rules::classify(&before(site));
        let chains = [rules::chain(id), rules::chain_out(id)];
        let installed = self.install((id, &chains), &new.sites, rules, undo);
        if let Err(error) = installed {
            self.queue(&new.sites, clear)?;
            return Err(error);
        }
        faults.shapings.insert(ShapingId(id), new);
        Ok(ShapingId(id))
    }

    fn unshape(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        let id = shaping.0;
        let mut faults = lock(&self.faults);
        let installed = faults.shapings.get(&shaping);
        let installed = installed.ok_or(NetworkError::NoSuchShaping(shaping))?;
        // Rules may be gone since an attempt before; its queues go after the last of them.
        let (all, mut left) = (ends_of(&installed.edges), installed.sites.clone());
        let before = |site| egress(site, faults.shapings.values());
        let others = || {
            faults
                .shapings
                .iter()
                .filter(|(other, _)| **other != shaping)
        };
        let after = |site| egress(site, others().map(|(_, installed)| installed));
        let undo = |site| rules::unshape(id) + &rules::classify(&after(site));
        let chains = [rules::chain(id), rules::chain_out(id)];
        let removed = self.remove((id, &chains), &mut left, undo);
        let removed = removed.and_then(|counts| {
            self.requeue(id, &all, |site| (before(site), after(site)))?;
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
