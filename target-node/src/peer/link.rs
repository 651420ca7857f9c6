//! Dials a peer, keeps the connection, and sends; what cannot be sent now is dropped.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::frame::{self, Route};
use super::{Parcel, PeerEvent, Surroundings};
use crate::raft::NodeId;

/// How many parcels wait for one peer at most.
const QUEUE_MAX: usize = 4096;

/// How much is written at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A SYN that got no answer in this time was dropped; the kernel would repeat it after a second.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// How long sent bytes may stay without an acknowledgement. The kernel would double its pauses
/// for minutes; so a link would stay dead long after a partition has healed.
const USER_TIMEOUT_MS: u32 = 1000;

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// The links to all peers.
#[derive(Debug)]
pub(crate) struct Links {
    links: BTreeMap<NodeId, Link>,
}

#[derive(Debug)]
struct Link {
    queue: mpsc::Sender<Parcel>,
    is_up: Arc<AtomicBool>,
}

impl Links {
    /// Starts a task for each peer.
    pub(crate) fn dial(surroundings: &Surroundings) -> Self {
        let membership = &surroundings.membership;
        let peers = membership
            .addresses
            .iter()
            .filter(|&(&peer, _)| peer != membership.id);
        let links = peers.map(|(&peer, address)| {
            let (queue, parcels) = mpsc::channel(QUEUE_MAX);
            let is_up = Arc::new(AtomicBool::new(false));
            let dialler = Dialler {
                surroundings: surroundings.clone(),
                peer,
                address: address.clone(),
                parcels,
                is_up: Arc::clone(&is_up),
            };
            tokio::spawn(dialler.run());
            (peer, Link { queue, is_up })
        });
        Self {
            links: links.collect(),
        }
    }

    /// Puts a parcel on the way, unless the link is down or congested. False: it provably was not
    /// sent. True: it may arrive.
    pub(crate) fn send(&self, to: NodeId, parcel: Parcel) -> bool {
        let Some(link) = self.links.get(&to) else {
            return false;
        };
        link.is_up.load(Ordering::Acquire) && link.queue.try_send(parcel).is_ok()
    }
}

/// One link's task.
struct Dialler {
    surroundings: Surroundings,
    peer: NodeId,
    address: String,
    parcels: mpsc::Receiver<Parcel>,
    is_up: Arc<AtomicBool>,
}

impl Dialler {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        while !self.parcels.is_closed() {
            if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, self.connect()).await {
                let begin = Instant::now();
                self.use_up(stream).await;
                // Who refuses this node closes at once, and again at the next attempt.
                if begin.elapsed() >= BACKOFF_MAX {
                    backoff = BACKOFF_MIN;
                }
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS)?;
        Ok(stream)
    }

    /// Sends over a connection until it breaks.
    async fn use_up(&mut self, stream: TcpStream) {
        let (peer, address, console) = (self.peer, &self.address, self.surroundings.console);
        console.say(format_args!("link to n{peer} ({address}) is up"));
        self.is_up.store(true, Ordering::Release);
        let end = self.pump(stream).await;
        self.is_up.store(false, Ordering::Release);
        // What still waits is old by the time the link is up again.
        while self.parcels.try_recv().is_ok() {}
        if let Err(error) = end {
            console.say(format_args!("link to n{peer} is down: {error}"));
        }
        let _ = self
            .surroundings
            .events
            .send(PeerEvent::Lost { to: peer })
            .await;
    }

    async fn pump(&mut self, mut stream: TcpStream) -> io::Result<()> {
        let membership = &self.surroundings.membership;
        let cluster = frame::cluster_hash(&membership.realm());
        let route = Route {
            cluster,
            from: membership.id,
            to: self.peer,
        };
        let mut bytes = Vec::new();
        frame::encode(
            route,
            &Parcel::Hello {
                cluster: membership.realm(),
                client: membership.client.clone(),
                founders: membership.founders.clone(),
            },
            &mut bytes,
        );
        stream.write_all(&bytes).await?;
        let (mut incoming, mut outgoing) = stream.split();
        let mut nothing = [0; 1];
        loop {
            let parcel = tokio::select! {
                // The peer never speaks on this connection; if it can be read, it was closed.
                closed = incoming.read(&mut nothing) => {
                    closed?;
                    let why = "the peer closed the connection; its log says why if it refused";
                    return Err(io::Error::other(why));
                }
                parcel = self.parcels.recv() => parcel,
            };
            let Some(parcel) = parcel else { return Ok(()) };
            bytes.clear();
            frame::encode(route, &parcel, &mut bytes);
            while bytes.len() < CHUNK_BYTES
                && let Ok(parcel) = self.parcels.try_recv()
            {
                frame::encode(route, &parcel, &mut bytes);
            }
            outgoing.write_all(&bytes).await?;
        }
    }
}
