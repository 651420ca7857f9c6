//! One device of the switch: made and configured by a thread that lives in its namespace.

use std::{fs, io, net::Ipv4Addr, os::fd::OwnedFd};

use super::queue;
use crate::{network::NetworkError, node::Endpoint, sys};

/// Packets that wait for the switch before the kernel drops any: enough for every TCP window of a
/// cluster, so that nothing but a fault loses packets.
const QUEUE_PACKETS: u32 = 10_000;

/// A TUN device whose other side is the interface `eth0` of a namespace.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) device: OwnedFd,
    /// Whether the namespace bounds TCP's retransmission back-off.
    pub(super) bounds_tcp_backoff: bool,
}

impl Port {
    /// Opens and configures `eth0` in the calling thread's namespace.
    pub(super) fn open(of: Endpoint, address: Ipv4Addr, mtu: u16) -> Result<Self, NetworkError> {
        let failed = |(call, source): (_, io::Error)| match source.kind() {
            io::ErrorKind::ResourceBusy => NetworkError::Twice,
            _ => NetworkError::Call {
                of: of.to_string(),
                call,
                source,
            },
        };
        let tun = sys::open_tun().map_err(|source| NetworkError::Tun {
            advice: advice(&source),
            source,
        })?;
        sys::raise_loopback().map_err(failed)?;
        // Without IPv6 there are no router solicitations to carry. A kernel without IPv6 has no
        // such setting, and needs none.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        // Sockets opened later take the bound from here; older kernels have none.
        let bounds_tcp_backoff = fs::write("/proc/sys/net/ipv4/tcp_rto_max_ms", "1000").is_ok();
        let device = sys::configure_interface(tun, "eth0", address, mtu).map_err(failed)?;
        queue::set_length("eth0", QUEUE_PACKETS)
            .map_err(|source| failed(("set the queue's length", source)))?;
        Ok(Self {
            device,
            bounds_tcp_backoff,
        })
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "load the module (`sudo modprobe tun`), or start the container with \
             `--device /dev/net/tun`"
        }
        io::ErrorKind::PermissionDenied => {
            "run as root, or `sudo chmod 0666 /dev/net/tun` (the mode that udev gives it)"
        }
        _ => "the switch needs a TUN device for each node",
    }
}
