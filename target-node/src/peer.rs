//! The way between nodes: one TCP connection for each ordered pair, dialled by the sender.
//!
//! A frame arrives once, or not at all: what was written to a connection that broke is never
//! written again. Raft needs no more, and a forwarded request must not come twice.
//!
//! | file | what |
//! |---|---|
//! | [`frame`] | a parcel as bytes: pure |
//! | [`link`] | dials a peer and sends |
//! | [`rule`] | loses, holds and doubles single messages, where told to: pure |
//! | [`listener`] | accepts peers and receives |

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "links and listeners own sockets and time-outs"
)]

mod frame;
mod link;
mod listener;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub(crate) use link::Links;
pub(crate) use listener::listen;
pub(crate) use rule::{Passage, RuleError, Rules};

use crate::console::Console;
use crate::primary_backup;
use crate::quorum;
use crate::raft::{AppendOutcome, Body, Index, Message, NodeId, Opaque, Term};

/// What nodes send each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Parcel {
    /// The first on every connection: who speaks, for which cluster, where its clients reach it,
    /// and who voted at first as it was told; nobody for a node that waited to be taken in.
    Hello {
        cluster: String,
        client: String,
        founders: BTreeSet<NodeId>,
    },
    /// A word between the cores.
    Raft(Message),
    /// A word between a primary and its backups.
    PrimaryBackup(primary_backup::Message),
    /// A word between a coordinator and replicas.
    Quorum(quorum::Message),
    /// Propose this for a client of mine.
    Propose { ticket: u64, command: Opaque },
    /// What became of that: JSON, because a value is.
    Proposed { ticket: u64, result: Opaque },
}

impl Parcel {
    /// What parcels are called that are no words between Raft's cores.
    const KINDS: &[&str] = &[
        "propose",
        "proposed",
        "accepted",
        "rejected",
        "diverged",
        "heartbeat_answer",
        "received",
        "read_index_answer",
        "fenced",
        "query",
        "value",
        "store",
        "stored",
    ];

    /// What it is called, and the term that it speaks in, if any.
    fn label(&self) -> (&'static str, Option<Term>) {
        match self {
            Self::Hello { .. } => ("hello", None),
            Self::Raft(message) => (message.body.kind(), Some(message.term)),
            Self::PrimaryBackup(message) => (message.body.kind(), Some(message.epoch)),
            Self::Quorum(message) => (message.body.kind(), None),
            Self::Propose { .. } => ("propose", None),
            Self::Proposed { .. } => ("proposed", None),
        }
    }

    /// What it binds its sender to: its kind, the term, and up to where a log is acknowledged.
    pub(crate) fn promise(&self) -> Option<(&'static str, Term, Option<Index>)> {
        let Self::Raft(Message { term, body, .. }) = self else {
            return None;
        };
        let matched = match body {
            Body::Vote { .. } | Body::VoteResponse { granted: true, .. } => None,
            Body::AppendResponse(AppendOutcome::Accepted { matched }) => Some(*matched),
            _ => return None,
        };
        Some((body.kind(), *term, matched))
    }

    /// False for a write on its way to the leader and its answer: they travel on one connection,
    /// which does not double, and nobody who takes them has to tell a second one from the first.
    fn may_come_twice(&self) -> bool {
        !matches!(self, Self::Propose { .. } | Self::Proposed { .. })
    }

    /// Who claims to speak, where the parcel tells it.
    fn speaker(&self) -> Option<NodeId> {
        match self {
            Self::Raft(message) => Some(message.from),
            Self::PrimaryBackup(message) => Some(message.from),
            Self::Quorum(message) => Some(message.from),
            Self::Hello { .. } | Self::Propose { .. } | Self::Proposed { .. } => None,
        }
    }
}

/// A word between two cores, as a parcel.
pub(crate) trait Envelope {
    /// To whom.
    fn to(&self) -> NodeId;
    /// The parcel.
    fn into_parcel(self) -> Parcel;
}

impl Envelope for Message {
    fn to(&self) -> NodeId {
        self.to
    }

    fn into_parcel(self) -> Parcel {
        Parcel::Raft(self)
    }
}

impl Envelope for primary_backup::Message {
    fn to(&self) -> NodeId {
        self.to
    }

    fn into_parcel(self) -> Parcel {
        Parcel::PrimaryBackup(self)
    }
}

impl Envelope for quorum::Message {
    fn to(&self) -> NodeId {
        self.to
    }

    fn into_parcel(self) -> Parcel {
        Parcel::Quorum(self)
    }
}

/// What happened on the links, told to the driver.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// A parcel came.
    Arrived { from: NodeId, parcel: Parcel },
    /// The connection to a peer broke: what was sent last may or may not have come.
    Lost { to: NodeId },
}

/// Who this node is and whom it knows.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) id: NodeId,
    pub(crate) cluster: String,
    /// What its modes of replication have in common, where that is not Raft.
    pub(crate) family: Option<&'static str>,
    /// Every member's peer address, this node's own among them.
    pub(crate) addresses: BTreeMap<NodeId, String>,
    /// Who voted at first; empty for a node that waited to be taken in.
    pub(crate) founders: BTreeSet<NodeId>,
    /// Where clients reach this node.
    pub(crate) client: String,
}

/// Where clients reach each node, as far as its peers have been told.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    clients: Mutex<BTreeMap<NodeId, String>>,
}

impl Directory {
    /// What a node knows that has heard nobody yet: where it is itself.
    pub(crate) fn of(membership: &Membership) -> Self {
        let directory = Self::default();
        directory.insert(membership.id, membership.client.clone());
        directory
    }

    fn insert(&self, node: NodeId, client: String) {
        self.clients().insert(node, client);
    }

    /// `HOST:PORT`.
    pub(crate) fn client(&self, node: NodeId) -> Option<String> {
        self.clients().get(&node).cloned()
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.clients.lock().expect("no holder of this lock panics")
    }
}

impl Membership {
    /// What nodes must agree on to understand each other, and each other's disks: the cluster,
    /// and the family of its replication.
    pub(crate) fn realm(&self) -> String {
        match self.family {
            None => self.cluster.clone(),
            Some(family) => format!("{} ({family})", self.cluster),
        }
    }
}

/// What links and listeners need of the node.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) membership: Membership,
    pub(crate) console: Console,
    pub(crate) events: mpsc::Sender<PeerEvent>,
    pub(crate) directory: Arc<Directory>,
}
