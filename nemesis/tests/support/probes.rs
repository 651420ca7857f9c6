//! One datagram over every directed edge: which of them arrive?

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use ordeal_nemesis::{
    Edge, Endpoint, Fault, Grudge, Node,
    network::{CLIENT_ADDRESS, Network},
};

use super::line::PORT;

pub(crate) fn at(end: Endpoint) -> SocketAddr {
    let address = match end {
        Endpoint::Clients => CLIENT_ADDRESS,
        Endpoint::Node(node) => ordeal_nemesis::network::address(node),
    };
    SocketAddr::new(IpAddr::V4(address), PORT)
}

pub(crate) fn set(nodes: &[u16]) -> BTreeSet<Node> {
    nodes.iter().copied().map(Node).collect()
}

/// The grudge of a partition's text, in a cluster of five in which n2 and n4 say that they lead.
pub(crate) fn of(text: &str) -> Grudge {
    let Fault::Partition(shape) = text.parse().unwrap() else {
        panic!("{text} is no partition")
    };
    shape.grudge(5, &[Node(2), Node(4)]).unwrap()
}

/// One datagram socket at every endpoint.
pub(crate) struct Probes {
    sockets: Vec<(Endpoint, UdpSocket)>,
    round: u8,
}

impl Probes {
    pub(crate) fn new(network: &dyn Network) -> Self {
        let open = |end| {
            let socket = UdpSocket::bind(at(end)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            (end, socket)
        };
        let mut sockets = vec![open(Endpoint::Clients)];
        for node in Node::first(network.nodes()) {
            let inside = network
                .namespace(node)
                .spawn("probe", move || open(node.into()));
            sockets.push(inside.unwrap().join().unwrap());
        }
        Self { sockets, round: 0 }
    }

    pub(crate) fn edges(&self) -> BTreeSet<Edge> {
        let ends = || self.sockets.iter().map(|(end, _)| *end);
        let pairs = ends().flat_map(|from| ends().map(move |to| Edge::new(from, to)));
        pairs.filter(|edge| edge.from != edge.to).collect()
    }

    pub(crate) fn socket(&self, end: Endpoint) -> &UdpSocket {
        &self
            .sockets
            .iter()
            .find(|(other, _)| *other == end)
            .unwrap()
            .1
    }

    /// Sends one datagram over every edge; returns the edges over which one arrived.
    ///
    /// No timer decides what is lost. Each sender sends its probes first and then, over an edge
    /// known to be open, a fence; packets of one sender stay in order, so when its fence has
    /// arrived, the switch has decided about all its probes, and each was delivered before that
    /// or never will be.
    pub(crate) fn arrivals(&mut self, open: impl Fn(Edge) -> bool) -> BTreeSet<Edge> {
        self.round += 1;
        let edges = self.edges();
        for edge in &edges {
            self.socket(edge.from)
                .send_to(&[self.round, b'p'], at(edge.to))
                .unwrap();
        }
        // Whatever the kernel itself carries may take another way than the fence: what must arrive
        // is waited for.
        let mut awaited: BTreeSet<(u8, Edge)> = edges
            .iter()
            .filter(|edge| open(**edge))
            .map(|edge| (b'p', *edge))
            .collect();
        for (from, socket) in &self.sockets {
            let fence = edges.iter().find(|edge| edge.from == *from && open(**edge));
            let fence = fence.expect("every endpoint has an open way out in these tests");
            socket.send_to(&[self.round, b'f'], at(fence.to)).unwrap();
            awaited.insert((b'f', *fence));
        }
        let mut arrived = BTreeSet::new();
        while let Some((_, next)) = awaited.first().copied() {
            let (kind, edge) = self.receive(next.to);
            awaited.remove(&(kind, edge));
            if kind == b'p' {
                arrived.insert(edge);
            }
        }
        for (end, socket) in &self.sockets {
            socket.set_nonblocking(true).unwrap();
            while let Some((b'p', edge)) = self.try_receive(*end) {
                arrived.insert(edge);
            }
            socket.set_nonblocking(false).unwrap();
        }
        arrived
    }

    pub(crate) fn receive(&self, to: Endpoint) -> (u8, Edge) {
        self.try_receive(to).expect("nothing arrives within 5 s")
    }

    pub(crate) fn try_receive(&self, to: Endpoint) -> Option<(u8, Edge)> {
        let mut buffer = [0; 16];
        match self.socket(to).recv_from(&mut buffer) {
            Ok((2, sender)) => {
                assert_eq!(buffer[0], self.round, "a datagram of an earlier round");
                let from = self
                    .sockets
                    .iter()
                    .find(|(end, _)| at(*end) == sender)
                    .unwrap()
                    .0;
                Some((buffer[1], Edge::new(from, to)))
            }
            Ok(other) => panic!("a stray datagram: {other:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// Asserts that exactly the edges of `blocked` are blocked.
    pub(crate) fn assert_blocked(&mut self, blocked: &Grudge, when: &str) {
        let expected: BTreeSet<Edge> = self
            .edges()
            .into_iter()
            .filter(|edge| !blocked.contains(*edge))
            .collect();
        let arrived = self.arrivals(|edge| !blocked.contains(edge));
        assert_eq!(arrived, expected, "{when}");
    }
}
