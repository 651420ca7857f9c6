//! The userspace switch: one TUN device per namespace, one thread that carries packets.

use crate::{
    grudge::Grudge,
    network::{CutId, Namespace, Network, NetworkError},
    node::Node,
    proof::Dropped,
    sandbox::Sandbox,
};

/// How to build a switch.
#[derive(Debug, Clone)]
pub struct SwitchOptions {
    /// Bytes in a packet, 576 to 65535.
    pub mtu: u16,
}

impl Default for SwitchOptions {
    fn default() -> Self {
        Self { mtu: 1500 }
    }
}

/// The network as a thread of ours: needs `/dev/net/tun`, no package and no kernel module.
#[derive(Debug)]
pub struct Switch {
    namespaces: Vec<Namespace>,
}

impl Switch {
    /// Builds namespaces and devices and starts carrying packets.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a namespace or a TUN device.
    pub fn create(
        sandbox: &Sandbox,
        nodes: u16,
        options: &SwitchOptions,
    ) -> Result<Self, NetworkError> {
        let _ = (sandbox, nodes, options);
        unimplemented!()
    }

    /// Whether TCP's retransmission back-off is bounded to 1 s in every namespace
    /// (`net.ipv4.tcp_rto_max_ms`, Linux 6.15): if not, an old connection may need as long as the
    /// cut lasted to recover after it, which is not the target's fault.
    pub fn bounds_tcp_backoff(&self) -> bool {
        unimplemented!()
    }
}

impl Network for Switch {
    fn nodes(&self) -> u16 {
        u16::try_from(self.namespaces.len()).expect("at most NODES_MAX nodes")
    }

    fn namespace(&self, node: Node) -> &Namespace {
        &self.namespaces[usize::from(node.0) - 1]
    }

    fn cut(&self, grudge: &Grudge) -> Result<CutId, NetworkError> {
        let _ = grudge;
        unimplemented!()
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let _ = cut;
        unimplemented!()
    }

    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        let _ = cut;
        unimplemented!()
    }

    fn cuts(&self) -> Vec<CutId> {
        unimplemented!()
    }
}
