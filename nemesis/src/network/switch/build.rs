//! The switch's devices: TUN where it is to be had, and packet sockets on veth pairs where not.

use std::io;

use super::{Ports, SwitchOptions, port::Port};
use crate::{
    network::{
        CLIENT_ADDRESS, Namespace, NetworkError, TcpBackoff, address, cables::Cables,
        endpoint::failed,
    },
    node::{Endpoint, Node},
    sys,
};

/// What a switch is made of: the clients' port first, then n1's, …
pub(super) struct Parts {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) ports: Vec<Port>,
    pub(super) bounds_tcp_backoff: bool,
    pub(super) over: String,
    /// Bytes in a packet.
    pub(super) mtu: u16,
    pub(super) backoff: TcpBackoff,
    /// Where packet sockets are used.
    pub(super) cables: Option<Cables>,
}

pub(super) fn parts(nodes: u16, options: &SwitchOptions) -> Result<Parts, NetworkError> {
    let (mtu, backoff) = (options.mtu.max(576), options.backoff);
    match options.ports {
        Ports::Tun => over_tun(nodes, mtu, backoff),
        Ports::Packet => over_packet_sockets(nodes, mtu, backoff, "as asked for"),
        Ports::Auto => match sys::open_tun() {
            Ok(_) => over_tun(nodes, mtu, backoff),
            Err(error) if is_inaccessible(&error) => {
                over_packet_sockets(nodes, mtu, backoff, &format!("/dev/net/tun: {error}"))
            }
            // Says what to do.
            Err(_) => over_tun(nodes, mtu, backoff),
        },
    }
}

/// Whether there is no way to TUN for us, rather than something wrong with it.
fn is_inaccessible(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::NotFound
        || kind == io::ErrorKind::PermissionDenied
        || error.raw_os_error() == Some(libc::ENODEV)
        || error.raw_os_error() == Some(libc::ENXIO)
}

fn over_tun(nodes: u16, mtu: u16, backoff: TcpBackoff) -> Result<Parts, NetworkError> {
    // All start before the first is waited for: namespaces are made in parallel.
    let starting: Vec<_> = Node::first(nodes)
        .map(|node| {
            let open = move || Port::open_tun(node.into(), address(node), mtu, backoff);
            (node, Namespace::create(&format!("make {node}"), open))
        })
        .collect();
    let (port, mut bounds_tcp_backoff) =
        Port::open_tun(Endpoint::Clients, CLIENT_ADDRESS, mtu, backoff)?;
    let (mut ports, mut namespaces) = (vec![port], Vec::new());
    for (node, thread) in starting {
        let made = thread.and_then(|thread| {
            thread
                .join()
                .expect("setting a namespace up does not panic")
        });
        let (namespace, opened) =
            made.map_err(|source| failed(node.into(), ("unshare", source)))?;
        let (port, bounds) = opened?;
        namespaces.push(namespace);
        ports.push(port);
        bounds_tcp_backoff &= bounds;
    }
    Ok(Parts {
        namespaces,
        ports,
        bounds_tcp_backoff,
        over: "TUN".to_owned(),
        mtu,
        backoff,
        cables: None,
    })
}

/// A fresh namespace for a node, and its port.
pub(super) fn fresh(
    node: Node,
    mtu: u16,
    backoff: TcpBackoff,
) -> Result<(Namespace, Port), NetworkError> {
    let open = move || Port::open_tun(node.into(), address(node), mtu, backoff);
    let made = Namespace::create(&format!("make {node}"), open).and_then(|thread| {
        thread
            .join()
            .expect("setting a namespace up does not panic")
    });
    let (namespace, opened) = made.map_err(|source| failed(node.into(), ("unshare", source)))?;
    let (port, _) = opened?;
    Ok((namespace, port))
}

fn over_packet_sockets(
    nodes: u16,
    mtu: u16,
    backoff: TcpBackoff,
    why: &str,
) -> Result<Parts, NetworkError> {
    let cables = Cables::lay(nodes, mtu, false, backoff)?;
    let open = move || {
        let nodes = Node::first(nodes).map(Endpoint::Node);
        let ends = std::iter::once(Endpoint::Clients).chain(nodes);
        ends.map(Port::open_packet).collect::<Result<Vec<_>, _>>()
    };
    let clients = |call| move |source| failed(Endpoint::Clients, (call, source));
    let opening = cables.hub.spawn("open ports", open);
    let opening = opening.map_err(clients("enter the hub"))?;
    let ports = opening.join().expect("opening ports does not panic")?;
    cables.await_carrier()?;
    Ok(Parts {
        namespaces: cables.nodes.clone(),
        ports,
        bounds_tcp_backoff: cables.bounds_tcp_backoff,
        over: format!("packet sockets and veth ({why})"),
        mtu,
        backoff,
        cables: Some(cables),
    })
}
