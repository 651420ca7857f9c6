//! The network between clients and nodes: what it must offer, whoever carries the packets.
//!
//! ```text
//!  clients (harness's own namespace)    n1 (own namespace)      n2 …
//!        10.77.0.254                        10.77.0.1            10.77.0.2
//!             └──────────────── backend ────────┴────────────────────┘
//! ```

mod backend;
mod backoff;
mod cables;
mod endpoint;
mod iptables;
mod namespace;
mod netlink;
mod orphan;
mod resend;
mod switch;

use std::{collections::BTreeSet, io, net::Ipv4Addr, time::Duration};

pub use backend::{Backend, Choice, NetworkNameError, Wanted};
pub use backoff::{OldConnection, TcpBackoff};
pub use iptables::{Iptables, IptablesOptions, Variant};
pub use namespace::Namespace;
pub(crate) use resend::last_attempt;
pub use switch::{Ports, Switch, SwitchOptions, Traffic};

use crate::{
    fault::{PacketEffect, Shaping},
    grudge::Grudge,
    node::{Edge, Endpoint, Node},
    proof::{Dropped, Shaped},
};

/// As many nodes as a network has room for.
pub const NODES_MAX: u16 = 50;

/// The clients' address.
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// One installed cut. Never reused within a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CutId(pub u64);

/// One installed shaping. Never reused within a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapingId(pub u64);

/// Where the fates of packets come from: with the same seed and fault, the n-th packet over an edge
/// meets with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FateSeed {
    /// The plan's seed.
    pub seed: u64,
    /// The fault's id.
    pub fault: u32,
}

/// A network backend.
pub trait Network: Send + Sync {
    /// How many nodes it has.
    fn nodes(&self) -> u16;

    /// Where a node listens: `10.77.0.N`.
    fn address(&self, node: Node) -> Ipv4Addr {
        address(node)
    }

    /// The namespace in which a node's process lives.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    fn namespace(&self, node: Node) -> &Namespace;

    /// What carries its packets and how faults come into them, in a few words.
    fn mechanism(&self) -> String;

    /// Whether TCP's retransmission back-off is bounded to 1 s in every namespace
    /// (`net.ipv4.tcp_rto_max_ms`, Linux 6.15; not where [`TcpBackoff::Kernel`] was asked for).
    /// If not, an old connection may need as long as the cut lasted to recover after it, which is
    /// not the target's fault.
    fn bounds_tcp_backoff(&self) -> bool;

    /// How many packets it has lost that no fault was to take; `None` where it cannot tell.
    fn lost_unasked(&self) -> Option<u64> {
        None
    }

    /// How long to wait from one look at a fault's counters to the next: what a look costs differs.
    fn look_interval(&self) -> Duration {
        Duration::from_millis(5)
    }

    /// Makes the node's namespace as it is when a machine comes back that was without power: the
    /// sockets of before reach nobody any more, and nobody hears that they end. Its process must be
    /// gone already, and the node cut off. Whoever looks at the node from inside may have to enter
    /// again ([`Namespace::renewals`]).
    ///
    /// # Errors
    ///
    /// When the backend failed.
    fn renew(&self, node: Node) -> Result<(), NetworkError> {
        orphan::outlive(self.namespace(node), node)
    }

    /// Blocks the edges of `grudge`, besides whatever other cuts block. When it returns, no packet
    /// that the backend had not yet forwarded crosses any of these edges.
    ///
    /// # Errors
    ///
    /// When an edge names a node that is not there, or the backend failed. Nothing of it is there
    /// then, but for [`NetworkError::Half`].
    fn cut(&self, grudge: &Grudge) -> Result<CutId, NetworkError>;

    /// Removes one cut and no other, and returns what it dropped.
    ///
    /// # Errors
    ///
    /// When the cut is not installed (any more), or the backend failed. With
    /// [`NetworkError::Disturbed`] it is healed.
    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError>;

    /// The packets that an installed cut has dropped so far: the proof that it works. Where cuts
    /// overlap, each counts the packet.
    ///
    /// # Errors
    ///
    /// When the cut is not installed (any more), or the backend failed.
    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError>;

    /// The cuts that are installed now; empty when all is healed.
    fn cuts(&self) -> Vec<CutId>;

    /// Does to every packet of these edges what `shaping` says, besides what others do to it. On
    /// all edges from one moment on.
    ///
    /// # Errors
    ///
    /// When an edge names a node that is not there, or the backend cannot do it or failed.
    fn shape(
        &self,
        edges: &BTreeSet<Edge>,
        shaping: &Shaping,
        seed: FateSeed,
    ) -> Result<ShapingId, NetworkError>;

    /// Removes one shaping and no other, and returns what it did. Packets that still wait on an
    /// edge which nothing shapes any more go out at once, or are lost if the backend cannot have
    /// them do so.
    ///
    /// # Errors
    ///
    /// When the shaping is not installed (any more), or the backend failed. With
    /// [`NetworkError::Disturbed`] it is removed.
    fn unshape(&self, shaping: ShapingId) -> Result<Shaped, NetworkError>;

    /// What an installed shaping has done so far: the proof that it works.
    ///
    /// # Errors
    ///
    /// When the shaping is not installed (any more), or the backend failed.
    fn shaped(&self, shaping: ShapingId) -> Result<Shaped, NetworkError>;

    /// The shapings that are installed now; empty when all is healed.
    fn shapings(&self) -> Vec<ShapingId>;
}

/// A network that cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No, or too many, nodes.
    #[error("a network has 1 to {NODES_MAX} nodes, not {0}")]
    Nodes(u16),
    /// The device node of TUN is missing or not accessible.
    #[error("cannot open /dev/net/tun: {source}; {advice}")]
    Tun {
        /// How it failed.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The clients have a network already.
    #[error("there is a network in this sandbox already; drop it first")]
    Twice,
    /// An edge names a node that the network has not.
    #[error("there is no {0} in this network")]
    NoSuchNode(Node),
    /// The cut was never installed or is healed.
    #[error("cut {} is not installed", .0.0)]
    NoSuchCut(CutId),
    /// The shaping was never installed or is healed.
    #[error("shaping {} is not installed", .0.0)]
    NoSuchShaping(ShapingId),
    /// A program that the backend needs is not installed.
    #[error("there is no {program} here; install it (`sudo apt install {package}`)")]
    Missing {
        /// Which.
        program: String,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A program that the backend runs is not there any more, or is none: nothing was done.
    #[error("{program}: cannot be started: {source}")]
    NotStarted {
        /// Which.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program that the backend runs has failed.
    #[error("{program}: {said}")]
    Tool {
        /// Which.
        program: String,
        /// How it ended, and what it said.
        said: String,
    },
    /// The backend has no means for an effect.
    #[error(
        "no rule of iptables and no qdisc does `{effect}`; the switch does (`--network switch`)"
    )]
    Cannot {
        /// Which.
        effect: PacketEffect,
    },
    /// Rules of a fault are not there any more: somebody else has removed them.
    #[error("the rules of fault {id} are gone at {of}: somebody else has removed them")]
    Gone {
        /// In whose namespace.
        of: Endpoint,
        /// The cut's or the shaping's number.
        id: u64,
    },
    /// A fault is healed, and nothing of it is left; but somebody else had removed rules of it
    /// before, or what led packets to them.
    #[error(
        "somebody else had removed rules at {at} before fault {id} was healed: how long all of it \
         was in force is unknown; nothing of it is left ({met})"
    )]
    Disturbed {
        /// The cut's or the shaping's number.
        id: u64,
        /// In whose namespaces.
        at: String,
        /// What the rules had counted that were still there.
        met: String,
    },
    /// A fault could not be installed everywhere, and not be taken back everywhere either: it stays
    /// known ([`Network::cuts`], [`Network::shapings`]), so that its heal can be tried again.
    #[error(
        "{error}; fault {id} is in force at {at} all the same, as taking it back failed: {why}"
    )]
    Half {
        /// The cut's or the shaping's number.
        id: u64,
        /// In whose namespaces.
        at: String,
        /// How installing it failed.
        error: Box<NetworkError>,
        /// How taking it back failed.
        why: Box<NetworkError>,
    },
    /// Rules or queues of a fault are still there after they were removed.
    #[error("the rules or queues of fault {id} are still there at {of} after their removal")]
    Stays {
        /// In whose namespace.
        of: Endpoint,
        /// The cut's or the shaping's number.
        id: u64,
    },
    /// A system call failed that should not have.
    #[error("network of {of}: {call}: {source}")]
    Call {
        /// Whose part of the network.
        of: String,
        /// Which call.
        call: &'static str,
        /// How it failed.
        source: io::Error,
    },
}

/// Where a node listens.
pub fn address(node: Node) -> Ipv4Addr {
    let [high, low] = node.0.to_be_bytes();
    Ipv4Addr::new(10, 77, high, low)
}
