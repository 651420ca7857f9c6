//! veth pairs from every endpoint to one namespace in their middle, the hub.
//!
//! ```text
//!  n1 eth0 ══ v1 ┐
//!  n2 eth0 ══ v2 ┤ hub: joined by a bridge (iptables), or by sockets on each (switch)
//!  clients ══ v0 ┘
//! ```
//!
//! No offloads: a packet is one on the wire, at most one MTU long and with its checksums complete.
//! So a corrupted one is found broken, and a lost one is one, not forty merged into one.

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use super::{
    CLIENT_ADDRESS, Namespace, NetworkError, TcpBackoff, address,
    endpoint::{QUEUE_PACKETS, failed, prepare, take_in_by_one_processor},
    netlink::{self, Mac},
};
use crate::{
    node::{Endpoint, Node},
    sys,
};

/// The namespaces of one network, joined to a hub. Dropping it takes the clients' interface away;
/// all others go with their namespaces.
#[derive(Debug)]
pub(super) struct Cables {
    pub(super) hub: Namespace,
    pub(super) clients: Namespace,
    pub(super) nodes: Vec<Namespace>,
    pub(super) bounds_tcp_backoff: bool,
}

/// The name of every endpoint's interface.
pub(super) const INTERFACE: &str = "eth0";

/// The place of an endpoint among others: clients have the first.
pub(super) fn place(of: Endpoint) -> u16 {
    of.node().map_or(0, |node| node.0)
}

/// The name of the hub's end of an endpoint's cable.
pub(super) fn plug(of: Endpoint) -> String {
    format!("v{}", place(of))
}

/// The hardware address of an endpoint's `eth0`: known beforehand, locally administered.
pub(super) fn mac(of: Endpoint) -> Mac {
    let [high, low] = place(of).to_be_bytes();
    [0x02, 0, 10, 77, high, low]
}

impl Cables {
    /// Makes the namespaces and lays a cable to each. With `arp`, endpoints ask for each other's
    /// hardware addresses; without, whatever they send is for the hub.
    pub(super) fn lay(
        nodes: u16,
        mtu: u16,
        arp: bool,
        backoff: TcpBackoff,
    ) -> Result<Self, NetworkError> {
        let here = Endpoint::Clients;
        let call = |of: Endpoint, what| move |source| failed(of, (what, source));
        let mut bounds_tcp_backoff = prepare(here, backoff)?;
        take_in_by_one_processor(place(here));
        let clients = Namespace::of_this_thread().map_err(call(here, "open the namespace"))?;
        // All start before the first is waited for: namespaces are made in parallel.
        let starting: Vec<_> = Node::first(nodes)
            .map(|node| {
                let prepare = move || {
                    take_in_by_one_processor(place(node.into()));
                    prepare(node.into(), backoff)
                };
                (node, Namespace::create(&format!("make {node}"), prepare))
            })
            .collect();
        let mut namespaces = Vec::new();
        for (node, thread) in starting {
            let made = thread.and_then(|thread| thread.join().expect("preparing does not panic"));
            let (namespace, bounds) = made.map_err(call(node.into(), "unshare"))?;
            namespaces.push(namespace);
            bounds_tcp_backoff &= bounds?;
        }
        let mut ends = vec![(here, clients.clone())];
        let of_nodes = Node::first(nodes).map(Endpoint::Node).zip(&namespaces);
        ends.extend(of_nodes.map(|(end, namespace)| (end, namespace.clone())));
        let hub = lay_from_hub(&ends, mtu)?;
        let cables = Self {
            hub,
            clients,
            nodes: namespaces,
            bounds_tcp_backoff,
        };
        configure(&ends, mtu, arp)?;
        Ok(cables)
    }
}

impl Cables {
    /// Waits until packets pass every cable, once the hub has raised its ends: the kernel notices
    /// that both ends are up a little later, and drops what comes before.
    pub(super) fn await_carrier(&self) -> Result<(), NetworkError> {
        let nodes = (1..).map(Node).map(Endpoint::Node).zip(&self.nodes);
        let ends = std::iter::once((Endpoint::Clients, &self.clients)).chain(nodes);
        for (end, namespace) in ends {
            for (place, interface) in [(namespace, INTERFACE.to_owned()), (&self.hub, plug(end))] {
                let wait = move || await_operation(&interface);
                let waiting = place.spawn("await a cable", wait);
                let waiting = waiting.map_err(|source| failed(end, ("start a thread", source)))?;
                let ready = waiting.join().expect("waiting does not panic");
                ready.map_err(|source| failed(end, ("await the cable", source)))?;
            }
        }
        Ok(())
    }
}

/// The kernel takes milliseconds.
const CARRIER_DEADLINE: Duration = Duration::from_secs(5);

fn await_operation(interface: &str) -> io::Result<()> {
    let until = Instant::now() + CARRIER_DEADLINE;
    while !netlink::is_in_operation(interface)? {
        if Instant::now() > until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // Says so just before its queue works, in one step that no other request gets into.
    netlink::set_queue_length(interface, QUEUE_PACKETS)
}

impl Drop for Cables {
    fn drop(&mut self) {
        // Where it is gone already there is nothing to do.
        let removing = self
            .clients
            .spawn("remove eth0", || drop(netlink::remove(INTERFACE)));
        if let Ok(removing) = removing {
            let _ = removing.join();
        }
    }
}

fn lay_from_hub(ends: &[(Endpoint, Namespace)], mtu: u16) -> Result<Namespace, NetworkError> {
    let cables = ends.to_vec();
    let lay = move || {
        take_in_by_one_processor(0);
        for (end, namespace) in &cables {
            let plug = plug(*end);
            netlink::add_veth(&plug, INTERFACE, mac(*end), namespace.fd().as_fd())
                .map_err(|source| failed(*end, ("make a veth pair", source)))?;
            let queue = netlink::set_queue_length(&plug, QUEUE_PACKETS);
            queue.map_err(|source| failed(*end, ("set the queue's length", source)))?;
            sys::switch_offloads_off(&plug)
                .and_then(|()| sys::set_mtu(&plug, mtu))
                .map_err(|error| failed(*end, error))?;
        }
        Ok(())
    };
    let thread = Namespace::create("make the hub", lay);
    let made = thread.and_then(|thread| thread.join().expect("laying cables does not panic"));
    let (hub, laid) =
        made.map_err(|source| failed(Endpoint::Clients, ("unshare the hub", source)))?;
    laid.map(|()| hub)
}

/// Raises every `eth0`, all at once.
fn configure(ends: &[(Endpoint, Namespace)], mtu: u16, arp: bool) -> Result<(), NetworkError> {
    let starting: Vec<_> = ends
        .iter()
        .map(|(end, namespace)| {
            let end = *end;
            let raise = move || configure_one(end, mtu, arp);
            (end, namespace.spawn("raise eth0", raise))
        })
        .collect();
    for (end, thread) in starting {
        let thread = thread.map_err(|source| failed(end, ("start a thread", source)))?;
        thread.join().expect("configuring does not panic")?;
    }
    Ok(())
}

fn configure_one(of: Endpoint, mtu: u16, arp: bool) -> Result<(), NetworkError> {
    let address = of.node().map_or(CLIENT_ADDRESS, address);
    sys::switch_offloads_off(INTERFACE)
        .and_then(|()| sys::assign(INTERFACE, address, mtu))
        .map_err(|error| failed(of, error))?;
    // Last: raising an interface resets its flags.
    if !arp {
        let set = netlink::set_no_arp(INTERFACE);
        set.map_err(|source| failed(of, ("switch ARP off", source)))?;
    }
    let queue = netlink::set_queue_length(INTERFACE, QUEUE_PACKETS);
    queue.map_err(|source| failed(of, ("set the queue's length", source)))
}
