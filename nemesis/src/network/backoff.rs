//! Whether TCP's own back-off is bounded in a network, and a connection that shows how long it
//! outlasts a cut.
//!
//! What a connection has sent into a cut is sent again after 0.2 s, 0.4 s, 0.8 s, …: when the cut
//! is healed, the next attempt may be as far away as the cut was long. Nodes that keep a connection
//! wait so long, and it is not their fault. During a run nobody connects for that: the timers of
//! the nodes' own connections are read.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{Network, address};
use crate::{
    grudge::Grudge,
    node::{Edge, Node},
};

/// How long TCP may wait before it sends again what was lost, in the namespaces of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpBackoff {
    /// A second at most, where the kernel can bound it (Linux 6.15): what comes late after a cut is
    /// the target's doing.
    #[default]
    Bounded,
    /// As the kernel has it, as in production: up to 120 s. How long it outlasts a cut is read from
    /// the kernel's timers.
    Kernel,
}

/// Between two nodes whose way is open takes less.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// A connection from before a cut, for whoever examines a network that carries nothing else: what
/// it sends meets the cut.
#[derive(Debug)]
pub struct OldConnection {
    near: TcpStream,
    far: TcpStream,
}

impl OldConnection {
    /// Connects the ends of one edge that is to be cut; `None` where none of them are two nodes, or
    /// their way is cut already.
    pub fn over(network: &dyn Network, grudge: &Grudge) -> Option<Self> {
        let ends = |edge: Edge| Some((edge.from.node()?, edge.to.node()?));
        let (from, to) = grudge.edges().find_map(ends)?;
        Self::between(network, from, to).ok()
    }

    /// From one node's namespace to another's.
    fn between(network: &dyn Network, from: Node, to: Node) -> io::Result<Self> {
        let listen = move || TcpListener::bind((address(to), 0));
        let listening = network.namespace(to).spawn("listen", listen)?;
        let listener = listening.join().expect("listening does not panic")?;
        let at: SocketAddr = listener.local_addr()?;
        let connect = move || TcpStream::connect_timeout(&at, CONNECT_WITHIN);
        let connecting = network.namespace(from).spawn("connect", connect)?;
        let near = connecting.join().expect("connecting does not panic")?;
        let (far, _) = listener.accept()?;
        Ok(Self { near, far })
    }

    /// Sends into the cut.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the byte.
    pub fn send(&mut self) -> io::Result<()> {
        self.near.write_all(&[1])
    }

    /// How long from now, when the cut was just healed, until what was sent has arrived; `None`:
    /// not within this time.
    pub fn resumes(mut self, within: Duration) -> Option<Duration> {
        let healed = Instant::now();
        self.far.set_read_timeout(Some(within)).ok()?;
        self.far.read_exact(&mut [0]).ok()?;
        Some(healed.elapsed())
    }
}
