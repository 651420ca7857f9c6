//! The bridge that joins all cables in the hub.

use crate::{
    network::{Namespace, NetworkError, cables::plug, endpoint::failed, netlink},
    node::{Endpoint, Node},
};

/// Joins all cables in the hub.
pub(super) fn join(hub: &Namespace, nodes: u16) -> Result<(), NetworkError> {
    const BRIDGE: &str = "br0";
    let work = move || {
        // What is bridged here is no business of this namespace's own iptables. A kernel that
        // would ask it anyway has this setting, and no other has it.
        let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
        netlink::add_bridge(BRIDGE).map_err(|source| ("make a bridge", source))?;
        netlink::raise(BRIDGE).map_err(|source| ("raise the bridge", source))?;
        let index = nix::net::if_::if_nametoindex(BRIDGE)
            .map_err(|errno| ("find the bridge", errno.into()))?;
        let nodes = Node::first(nodes).map(Endpoint::Node);
        for end in std::iter::once(Endpoint::Clients).chain(nodes) {
            netlink::enslave(&plug(end), index).map_err(|source| ("join the bridge", source))?;
        }
        Ok(())
    };
    let thread = hub.spawn("bridge", work);
    let thread = thread.map_err(|source| failed(Endpoint::Clients, ("enter the hub", source)))?;
    let joined = thread.join().expect("joining a bridge does not panic");
    joined.map_err(|error| failed(Endpoint::Clients, error))
}
