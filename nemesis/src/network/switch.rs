//! The userspace switch: one device per namespace, one thread that carries packets.
//!
//! ```text
//!  n1 eth0 ══ tun ─┐         ┌──────────┐   whose device is it from, whose address is it for?
//!  n2 eth0 ══ tun ─┼─ epoll ─┤ carrier  │   does a cut block that edge?  yes: count, drop
//!  clients ══ tun ─┘         └──────────┘   do links shape it?           yes: maybe later
//!                                           no: write to its device
//! ```
//!
//! The sender is the device a packet came from, never the address it claims. No offloads: a packet
//! here is a packet on the wire, at most one MTU long.

mod build;
mod carrier;
mod fate;
mod link;
mod matrix;
mod packet;
mod port;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use rustix::event::{EventfdFlags, eventfd};

use self::{
    build::Parts,
    carrier::Carrier,
    matrix::{Cut, Links, Matrix},
    port::Port,
};
use crate::{
    fault::Shaping,
    grudge::Grudge,
    network::{
        CutId, FateSeed, NODES_MAX, Namespace, Network, NetworkError, ShapingId, TcpBackoff,
        cables::Cables, endpoint::failed, orphan,
    },
    node::{Edge, Endpoint, Node},
    proof::{Dropped, Shaped},
    sandbox::Sandbox,
};

/// How to build a switch.
#[derive(Debug, Clone)]
pub struct SwitchOptions {
    /// Bytes in a packet, 576 to 65535.
    pub mtu: u16,
    /// By which devices it reaches the namespaces.
    pub ports: Ports,
    /// How long TCP waits before it sends again.
    pub backoff: TcpBackoff,
}

impl Default for SwitchOptions {
    fn default() -> Self {
        Self {
            mtu: 1500,
            ports: Ports::Auto,
            backoff: TcpBackoff::Bounded,
        }
    }
}

/// The devices between the switch and the namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ports {
    /// TUN where `/dev/net/tun` is accessible, else packet sockets.
    #[default]
    Auto,
    /// TUN devices: need `/dev/net/tun`.
    Tun,
    /// veth pairs with packet sockets (`AF_PACKET`): need no device node.
    Packet,
}

/// What the switch has done with packets since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Delivered to their receiver's device.
    pub forwarded: u64,
    /// Dropped by cuts.
    pub cut: u64,
    /// Refused by the receiver's device: not a fault of ours, and never expected.
    pub undelivered: u64,
    /// Dropped by the kernel before the switch read them, since too many waited for it: the
    /// switch's own loss, and never expected. Counted ten times a second while packets come.
    pub overrun: u64,
}

/// The network as a thread of ours: needs no package, and `/dev/net/tun` or the right to make veth
/// pairs.
#[derive(Debug)]
pub struct Switch {
    namespaces: Vec<Namespace>,
    mtu: u16,
    backoff: TcpBackoff,
    bounds_tcp_backoff: bool,
    /// Which devices carry its packets, in words.
    over: String,
    /// Held while a fault comes or goes, so that the matrix always matches the faults.
    faults: Mutex<Faults>,
    shared: Arc<Shared>,
    /// Rouses the carrier from its wait.
    rouse: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Last, so that they are there as long as the switch.
    cables: Option<Cables>,
}

#[derive(Debug, Default)]
struct Faults {
    cuts: BTreeMap<CutId, Cut>,
    shapings: BTreeMap<ShapingId, Links>,
    next: u64,
    /// How many shapings were removed so far.
    healed: u64,
}

/// What the carrying thread reads.
#[derive(Debug)]
struct Shared {
    /// Locked by the carrier for one batch of packets, and by others only to swap it.
    matrix: Mutex<Matrix>,
    quit: AtomicBool,
    /// Ports that are to take the place of the old ones, by their index.
    fresh: Mutex<Vec<(usize, Port)>>,
    counters: carrier::Counters,
}

impl Switch {
    /// Builds namespaces and devices and starts carrying packets.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a namespace or a TUN device.
    pub fn create(
        _inside: &Sandbox,
        nodes: u16,
        options: &SwitchOptions,
    ) -> Result<Self, NetworkError> {
        if !(1..=NODES_MAX).contains(&nodes) {
            return Err(NetworkError::Nodes(nodes));
        }
        let parts = build::parts(nodes, options)?;
        Self::start(parts).map_err(|source| failed(Endpoint::Clients, ("start the switch", source)))
    }

    fn start(parts: Parts) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            matrix: Mutex::new(Matrix::open(parts.ports.len())),
            quit: AtomicBool::new(false),
            fresh: Mutex::default(),
            counters: carrier::Counters::default(),
        });
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let rouse = Arc::new(eventfd(0, flags)?);
        let carrier = Carrier::new(parts.ports, Arc::clone(&shared), Arc::clone(&rouse))?;
        let thread = std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || carrier.carry())?;
        Ok(Self {
            namespaces: parts.namespaces,
            bounds_tcp_backoff: parts.bounds_tcp_backoff,
            over: parts.over,
            faults: Mutex::default(),
            shared,
            rouse,
            thread: Some(thread),
            cables: parts.cables,
            mtu: parts.mtu,
            backoff: parts.backoff,
        })
    }

    /// What became of packets so far.
    pub fn traffic(&self) -> Traffic {
        let counters = &self.shared.counters;
        Traffic {
            forwarded: counters.forwarded.load(Relaxed),
            cut: counters.cut.load(Relaxed),
            undelivered: counters.undelivered.load(Relaxed),
            overrun: counters.overrun.load(Relaxed),
        }
    }

    /// Puts the matrix that `faults` ask for in the place of the old one.
    ///
    /// It is built beforehand, so that the carrier never waits for more than a swap. Once this has
    /// returned, every packet that the carrier takes from a device meets the new matrix.
    fn apply(&self, faults: &Faults) {
        let ports = self.namespaces.len() + 1;
        let mut matrix = Matrix::of(ports, faults.cuts.values(), faults.shapings.values());
        matrix.healed = faults.healed;
        std::mem::swap(&mut *lock(&self.shared.matrix), &mut matrix);
    }

    fn check_nodes(&self, edges: impl IntoIterator<Item = Edge>) -> Result<(), NetworkError> {
        let count = self.nodes();
        let ends = edges.into_iter().flat_map(|edge| [edge.from, edge.to]);
        let mut nodes = ends.filter_map(Endpoint::node);
        match nodes.find(|node| !(1..=count).contains(&node.0)) {
            Some(node) => Err(NetworkError::NoSuchNode(node)),
            None => Ok(()),
        }
    }

    fn rouse(&self) {
        // An eventfd takes this write unless its counter is full, which takes 2^64 of them.
        let _ = rustix::io::write(&self.rouse, &1_u64.to_ne_bytes());
    }
}

impl Network for Switch {
    fn nodes(&self) -> u16 {
        u16::try_from(self.namespaces.len()).expect("at most NODES_MAX nodes")
    }

    fn namespace(&self, node: Node) -> &Namespace {
        &self.namespaces[usize::from(node.0) - 1]
    }

    fn mechanism(&self) -> String {
        let over = &self.over;
        format!("userspace switch over {over}, a network namespace for each node")
    }

    fn bounds_tcp_backoff(&self) -> bool {
        self.bounds_tcp_backoff
    }

    fn lost_unasked(&self) -> Option<u64> {
        let traffic = self.traffic();
        Some(traffic.undelivered + traffic.overrun)
    }

    fn renew(&self, node: Node) -> Result<(), NetworkError> {
        self.check_nodes([Edge::new(node, Endpoint::Clients)])?;
        if self.cables.is_some() {
            return orphan::outlive(self.namespace(node), node);
        }
        let (namespace, port) = build::fresh(node, self.mtu, self.backoff)?;
        self.namespace(node).renew(&namespace);
        lock(&self.shared.fresh).push((usize::from(node.0), port));
        self.rouse();
        Ok(())
    }

    fn cut(&self, grudge: &Grudge) -> Result<CutId, NetworkError> {
        self.check_nodes(grudge.edges())?;
        let mut faults = lock(&self.faults);
        faults.next += 1;
        let id = CutId(faults.next);
        faults.cuts.insert(id, Cut::new(grudge));
        self.apply(&faults);
        Ok(id)
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let mut faults = lock(&self.faults);
        let healed = faults
            .cuts
            .remove(&cut)
            .ok_or(NetworkError::NoSuchCut(cut))?;
        self.apply(&faults);
        Ok(healed.dropped())
    }

    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let faults = lock(&self.faults);
        let installed = faults.cuts.get(&cut);
        installed
            .map(Cut::dropped)
            .ok_or(NetworkError::NoSuchCut(cut))
    }

    fn cuts(&self) -> Vec<CutId> {
        lock(&self.faults).cuts.keys().copied().collect()
    }

    fn shape(
        &self,
        edges: &BTreeSet<Edge>,
        shaping: &Shaping,
        seed: FateSeed,
    ) -> Result<ShapingId, NetworkError> {
        self.check_nodes(edges.iter().copied())?;
        let mut faults = lock(&self.faults);
        faults.next += 1;
        let id = ShapingId(faults.next);
        let links = Links::new(edges.iter().copied(), shaping, seed);
        faults.shapings.insert(id, links);
        self.apply(&faults);
        Ok(id)
    }

    fn unshape(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        let mut faults = lock(&self.faults);
        let healed = faults
            .shapings
            .remove(&shaping)
            .ok_or(NetworkError::NoSuchShaping(shaping))?;
        faults.healed += 1;
        self.apply(&faults);
        self.rouse();
        Ok(healed.shaped())
    }

    fn shaped(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        let faults = lock(&self.faults);
        let installed = faults.shapings.get(&shaping);
        installed
            .map(Links::shaped)
            .ok_or(NetworkError::NoSuchShaping(shaping))
    }

    fn shapings(&self) -> Vec<ShapingId> {
        lock(&self.faults).shapings.keys().copied().collect()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.quit.store(true, Relaxed);
        self.rouse();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// No holder of these locks leaves anything half done, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
