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
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

pub use self::tools::Variant;
use self::{
    fault::{Cut, Faults, Installed, check_effects, dropped, egress, shaped},
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
        done.into_values().collect::<Result<Vec<()>, _>>()?;
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

    fn check_nodes(&self, edges: &BTreeSet<Edge>) -> Result<(), NetworkError> {
        let count = self.nodes();
        let mut nodes = edges
            .iter()
            .flat_map(|edge| [edge.from, edge.to])
            .filter_map(Endpoint::node);
        match nodes.find(|node| !(1..=count).contains(&node.0)) {
            Some(node) => Err(NetworkError::NoSuchNode(node)),
            None => Ok(()),
        }
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
    /// Everything of one namespace is done there one after the other, while the others do theirs:
    /// what takes long is that the kernel waits until nobody uses the rules any more, and that it
    /// does for all of them at once.
    fn remove<F>(
        &self,
        id: u64,
        sites: &mut BTreeSet<Endpoint>,
        rules: F,
    ) -> Result<Vec<Count>, NetworkError>
    where
        F: Fn(Endpoint) -> String + Sync,
    {
        let removed = self.at_each(sites, |inside, site| {
            let counts = rules::counts(&self.tools.save(inside)?, id);
            let counts = counts.ok_or(NetworkError::Gone { of: site, id })?;
            self.tools.restore(inside, &rules(site))?;
            match rules::counts(&self.tools.save(inside)?, id) {
                None => Ok(counts),
                Some(_) => Err(NetworkError::Stays { of: site, id }),
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
        id: u64,
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
                Ok(()) => drop(there.insert(site)),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            None => Ok(()),
            Some(error) => self.remove(id, &mut there, undo).and(Err(error)),
        }
    }

    /// Makes (or, `after` the rules have changed, removes) the queues of these sites.
    fn queue(
        &self,
        sites: &BTreeSet<Endpoint>,
        commands: impl Fn(Endpoint) -> String + Sync,
    ) -> Result<(), NetworkError> {
        let done = self.at_each(sites, |inside, site| self.tools.tc(inside, &commands(site)));
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
        self.check_nodes(&edges)?;
        let mut faults = lock(&self.faults);
        faults.next += 1;
        let id = faults.next;
        let sites: BTreeSet<Endpoint> = edges.iter().map(|edge| edge.to).collect();
        let of = |site| -> Vec<Edge> {
            let into = edges.iter().filter(|edge| edge.to == site);
            into.copied().collect()
        };
        let rules = |site| rules::cut(id, &of(site));
        self.install(id, &sites, rules, |_| rules::uncut(id))?;
        faults.cuts.insert(CutId(id), Cut { edges, sites });
        Ok(CutId(id))
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let mut faults = lock(&self.faults);
        let installed = faults.cuts.get_mut(&cut);
        let installed = installed.ok_or(NetworkError::NoSuchCut(cut))?;
        let counts = self.remove(cut.0, &mut installed.sites, |_| rules::uncut(cut.0))?;
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
        self.check_nodes(edges)?;
        check_effects(shaping)?;
        let mut faults = lock(&self.faults);
        faults.next += 1;
        let id = faults.next;
        let sites = edges.iter().flat_map(|edge| [edge.from, edge.to]).collect();
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
        let undo = |site| rules::batch(&(rules::unshape(id) + &rules::classify(&before(site))));
        let installed = self.install(id, &new.sites, rules, undo);
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
        let shaped = shaped(installed, &self.counts(id, &installed.sites)?);
        let (all, mut left) = (installed.sites.clone(), installed.sites.clone());
        let before = |site| egress(site, faults.shapings.values());
        let others = || {
            faults
                .shapings
                .iter()
                .filter(|(other, _)| **other != shaping)
        };
        let after = |site| egress(site, others().map(|(_, installed)| installed));
        let undo = |site| rules::batch(&(rules::unshape(id) + &rules::classify(&after(site))));
        let removed = self.remove(id, &mut left, undo).and_then(|_| {
            self.queue(&all, |site| {
                let (old, new) = (before(site), after(site));
                queues::prepare(&old, &new) + &queues::clear(&old, &new)
            })
        });
        match removed {
            Ok(()) => drop(faults.shapings.remove(&shaping)),
            Err(error) => {
                if let Some(installed) = faults.shapings.get_mut(&shaping) {
                    installed.sites = left;
                }
                return Err(error);
            }
        }
        Ok(shaped)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
