//! What every endpoint's namespace needs before its `eth0` comes, whoever carries its packets.

use std::{fs, io};

use super::{NetworkError, TcpBackoff};
use crate::{node::Endpoint, sys};

/// Packets that wait in a queue of an interface before the kernel drops any: enough for every TCP
/// window of a cluster, so that nothing but a fault loses packets.
pub(super) const QUEUE_PACKETS: u32 = 10_000;

/// Has the calling thread's namespace take in what comes over a cable on one processor, in its
/// order; for interfaces that are made from here on. Cables are spread over the processors by their
/// `place`.
///
/// A veth puts a packet in the queue of the processor that sent it. What one thread sends from two
/// processors, because it was moved in between, would be taken in by two, and on a busy machine the
/// later packet before the earlier one: packets would overtake each other without any fault. Where
/// the kernel has no such setting (before Linux 6.3), they may.
pub(super) fn take_in_by_one_processor(place: u16) {
    let Ok(processors) = std::thread::available_parallelism() else {
        return;
    };
    // The mask is read as groups of 32 bits; the first 32 processors are enough to choose from.
    let chosen = usize::from(place) % processors.get().min(32);
    let mask = format!("{:x}", 1_u32 << chosen);
    let _ = fs::write("/proc/sys/net/core/rps_default_mask", mask);
}

/// Prepares the calling thread's namespace; returns whether it bounds TCP's retransmission
/// back-off.
pub(super) fn prepare(of: Endpoint, backoff: TcpBackoff) -> Result<bool, NetworkError> {
    sys::raise_loopback().map_err(|error| failed(of, error))?;
    // Without IPv6 there are no router solicitations to carry. A kernel without IPv6 has no
    // such setting, and needs none.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    if backoff == TcpBackoff::Kernel {
        return Ok(false);
    }
    // Sockets opened later take the bound from here; older kernels have none.
    Ok(fs::write("/proc/sys/net/ipv4/tcp_rto_max_ms", "1000").is_ok())
}

/// A call that failed at an endpoint. What is busy or exists there already is an earlier network.
pub(super) fn failed(of: Endpoint, (call, source): (&'static str, io::Error)) -> NetworkError {
    match source.kind() {
        io::ErrorKind::ResourceBusy | io::ErrorKind::AlreadyExists => NetworkError::Twice,
        _ => NetworkError::Call {
            of: of.to_string(),
            call,
            source,
        },
    }
}
