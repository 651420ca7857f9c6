//! The sockets that a killed process leaves: the kernel goes on telling their peers that they end.
//!
//! A machine without power tells nobody. Where a namespace cannot be replaced by a fresh one, its
//! orphans are outlived instead: the node is cut off, so that no peer hears them, and the kernel is
//! told to give up early.

use std::{
    fs, io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{
    Namespace, NetworkError, address,
    endpoint::failed,
    resend::{self, ipv4},
};
use crate::node::Node;

/// The kernel gives up within a second; more time is for a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(5);

/// Waits until no connection of the node to anybody else is left in its namespace.
pub(super) fn outlive(namespace: &Namespace, node: Node) -> Result<(), NetworkError> {
    let call = |call| move |source| failed(node.into(), (call, source));
    let own = address(node);
    let waiting = namespace
        .spawn("outlive orphans", move || wait(own))
        .map_err(call("enter the namespace"))?;
    let waited = waiting.join().expect("reading /proc does not panic");
    waited.map_err(call("wait for the end of orphaned connections"))
}

fn wait(own: Ipv4Addr) -> io::Result<()> {
    const RETRIES: &str = "/proc/sys/net/ipv4/tcp_orphan_retries";
    let usual = fs::read_to_string(RETRIES)?;
    // Once: half a second of silence is the end.
    fs::write(RETRIES, "1")?;
    let began = Instant::now();
    let gone = loop {
        if !resend::sockets()?.lines().any(|line| is_open(line, own)) {
            break Ok(());
        }
        if began.elapsed() > DEADLINE {
            break Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    fs::write(RETRIES, usual.trim())?;
    gone
}

/// Whether this line of `/proc/net/tcp` or `tcp6` is a connection to somebody else that is still
/// told of.
///
/// ```text
///   sl  local_address rem_address   st …
///    0: 01004D0A:1F40 02004D0A:A1B2 04 …
/// ```
fn is_open(line: &str, own: Ipv4Addr) -> bool {
    const TIME_WAIT: &str = "06";
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace().skip(2);
    let (Some(remote), Some(state)) = (words.next(), words.next()) else {
        return false;
    };
    let elsewhere = ipv4(remote).is_some_and(|remote| remote != own && !remote.is_loopback());
    elsewhere && state != TIME_WAIT && state != LISTEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_somebody_else_is_one() {
        let own = Ipv4Addr::new(10, 77, 0, 1);
        let word = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let line = |remote, state| {
            let (local, remote) = (word([10, 77, 0, 1]), word(remote));
            format!("   0: {local}:1F40 {remote}:A1B2 {state} 00000000:00000000 00:00000000")
        };
        assert!(is_open(&line([10, 77, 0, 2], "01"), own));
        assert!(is_open(&line([10, 77, 0, 254], "04"), own));
        assert!(!is_open(&line([10, 77, 0, 2], "06"), own));
        assert!(!is_open(&line([10, 77, 0, 1], "01"), own));
        assert!(!is_open(&line([0, 0, 0, 0], "0A"), own));
        // Of a socket that is one of IPv6.
        let mapped = |address, state| {
            let (local, of_ipv4) = (word([10, 77, 0, 1]), word([0, 0, 0xFF, 0xFF]));
            let none = word([0; 4]).repeat(2);
            let (local, remote) = (format!("{none}{of_ipv4}{local}"), word(address));
            format!("   0: {local}:1F40 {none}{of_ipv4}{remote}:A1B2 {state} 00000000:00000000")
        };
        assert!(is_open(&mapped([10, 77, 0, 2], "01"), own));
        assert!(is_open(&mapped([10, 77, 0, 254], "04"), own));
        assert!(!is_open(&mapped([10, 77, 0, 2], "06"), own));
        assert!(!is_open(&mapped([10, 77, 0, 1], "01"), own));
        assert!(!is_open(
            "  sl  local_address rem_address   st tx_queue",
            own
        ));
    }
}
