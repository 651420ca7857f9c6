//! Accepts connections of peers, and of nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::frame::{self, FrameError, Route};
use super::{Parcel, PeerEvent, Surroundings};
use crate::raft::NodeId;

/// How long a stranger may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);

/// After a failed accept, which is for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connection that each peer speaks on. A peer has one: when it dials anew, the old one is
/// dead, even if this side has not noticed because a partition swallowed the goodbye.
type Speakers = Arc<Mutex<BTreeMap<NodeId, AbortHandle>>>;

/// Why a connection is dropped.
#[derive(Debug, Error)]
enum Refusal {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("it did not say who it is")]
    Silent,
    #[error("it speaks for cluster {0:?}")]
    Cluster(String),
    #[error("node {0} is not a member")]
    Stranger(NodeId),
    #[error(
        "it was founded by the voters {theirs:?}, and this node by {ours:?}: two clusters of one \
         name; give all nodes the same --peer and --initial-voters, or the new ones --join, and \
         those that were started wrongly an empty data directory"
    )]
    Founders {
        theirs: BTreeSet<NodeId>,
        ours: BTreeSet<NodeId>,
    },
    #[error("it wants node {0}")]
    Misdirected(NodeId),
    #[error("it changed who it is")]
    Changed,
}

/// Accepts for ever.
pub(crate) async fn listen(listener: TcpListener, surroundings: Surroundings) {
    let speakers = Speakers::default();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let connection = Connection {
                    stream,
                    bytes: Vec::new(),
                    taken: 0,
                    surroundings: surroundings.clone(),
                };
                tokio::spawn(connection.receive(address, Arc::clone(&speakers)));
            }
            Err(error) => {
                surroundings
                    .console
                    .say(format_args!("cannot accept a peer: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn replace(speakers: &Speakers, peer: NodeId, this: AbortHandle) {
    let mut speakers = speakers.lock().expect("no holder of this lock panics");
    if let Some(old) = speakers.insert(peer, this) {
        old.abort();
    }
}

struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
    /// How much of `bytes` was taken already.
    taken: usize,
    surroundings: Surroundings,
}

impl Connection {
    async fn receive(mut self, address: SocketAddr, speakers: Speakers) {
        let console = self.surroundings.console;
        let greeting = timeout(HELLO_TIMEOUT, self.greet())
            .await
            .unwrap_or(Err(Refusal::Silent));
        let end = match greeting {
            Ok(peer) => {
                let this = tokio::spawn(async move { self.pass_on(peer).await });
                replace(&speakers, peer, this.abort_handle());
                this.await.unwrap_or(Ok(()))
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = end {
            console.say(format_args!(
                "refused a connection from {address}: {refusal}"
            ));
        }
    }

    /// Learns who speaks; refuses strangers and other clusters.
    async fn greet(&mut self) -> Result<NodeId, Refusal> {
        let Some((route, parcel)) = self.next().await? else {
            return Err(Refusal::Silent);
        };
        let Parcel::Hello {
            cluster,
            client,
            founders: theirs,
        } = parcel
        else {
            return Err(Refusal::Silent);
        };
        let membership = &self.surroundings.membership;
        if cluster != membership.realm() {
            return Err(Refusal::Cluster(cluster));
        }
        if route.from == membership.id || !membership.addresses.contains_key(&route.from) {
            return Err(Refusal::Stranger(route.from));
        }
        if route.to != membership.id {
            return Err(Refusal::Misdirected(route.to));
        }
        let ours = &membership.founders;
        if !theirs.is_empty() && !ours.is_empty() && theirs != *ours {
            let ours = ours.clone();
            return Err(Refusal::Founders { theirs, ours });
        }
        self.surroundings.directory.insert(route.from, client);
        Ok(route.from)
    }

    /// Passes on what the peer says until it closes. What the node is too busy for is dropped.
    async fn pass_on(&mut self, peer: NodeId) -> Result<(), Refusal> {
        let membership = &self.surroundings.membership;
        let cluster = frame::cluster_hash(&membership.realm());
        let expected = Route {
            cluster,
            from: peer,
            to: membership.id,
        };
        while let Some((route, parcel)) = self.next().await? {
            if route != expected {
                return Err(Refusal::Changed);
            }
            if parcel.speaker().is_some_and(|speaker| speaker != peer) {
                return Err(Refusal::Changed);
            }
            let _ = self
                .surroundings
                .events
                .try_send(PeerEvent::Arrived { from: peer, parcel });
        }
        Ok(())
    }

    /// The next frame; none once the connection is closed or broken.
    async fn next(&mut self) -> Result<Option<(Route, Parcel)>, Refusal> {
        loop {
            if let Some((route, parcel, used)) = frame::decode(&self.bytes[self.taken..])? {
                self.taken += used;
                return Ok(Some((route, parcel)));
            }
            self.bytes.drain(..self.taken);
            self.taken = 0;
            match self.stream.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }
}
