//! When connections send again what they lost, by the kernel's own timers.
//!
//! Nothing is sent for it, so that no fault meets a packet of ours, and nothing is waited for: how
//! long a connection waits with its next attempt is known at any time.
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout …
//!    0: 01004D0A:1F40 02004D0A:A1B2 01 00000001:00000000 01:0000002A 00000003   0       0 …
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{CLIENT_ADDRESS, Network, NetworkError, endpoint::failed};
use crate::node::{Edge, Endpoint};

/// The unit of `tm->when`, a hundredth of a second, to which the kernel rounds.
const TICK: Duration = Duration::from_millis(10);

/// When the last of the connections over these edges sends again that have done so already; `None`
/// where there is none.
///
/// # Errors
///
/// When the connections of an end cannot be read.
pub(crate) fn last_attempt(
    network: &dyn Network,
    edges: impl Iterator<Item = Edge>,
) -> Result<Option<Instant>, NetworkError> {
    let mut peers: BTreeMap<Endpoint, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for Edge { from, to } in edges {
        // On the one way what it sends is lost, on the other the answer that it has come.
        for (end, peer) in [(from, to), (to, from)] {
            let address = peer.node().map_or(CLIENT_ADDRESS, |n| network.address(n));
            peers.entry(end).or_default().insert(address);
        }
    }
    let mut last = None;
    for (end, peers) in peers {
        let attempt = match end.node() {
            None => read(&peers),
            Some(node) => network
                .namespace(node)
                .spawn("read timers", move || read(&peers))
                .and_then(|reading| reading.join().expect("reading /proc does not panic")),
        };
        last = last.max(attempt.map_err(|source| failed(end, ("read its connections", source)))?);
    }
    Ok(last)
}

/// The last attempt in the calling thread's namespace.
fn read(peers: &BTreeSet<Ipv4Addr>) -> io::Result<Option<Instant>> {
    let sockets = sockets()?;
    let now = Instant::now();
    let waits = sockets.lines().filter_map(|line| wait(line, peers));
    Ok(waits.max().map(|wait| now + wait))
}

/// The sockets of the calling thread's namespace, a line each.
pub(super) fn sockets() -> io::Result<String> {
    let mut sockets = fs::read_to_string("/proc/thread-self/net/tcp")?;
    // Who listens on `::` has its connections here. A kernel without IPv6 has no such file.
    match fs::read_to_string("/proc/thread-self/net/tcp6") {
        Ok(six) => sockets.push_str(&six),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(sockets)
}

/// How long the connection of this line waits, if it is to one of these peers, a process still has
/// it, and it has sent something again.
fn wait(line: &str, peers: &BTreeSet<Ipv4Addr>) -> Option<Duration> {
    const ESTABLISHED: &str = "01";
    const SYN_SENT: &str = "02";
    const CLOSE_WAIT: &str = "08";
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, _, remote, state, _, timer, resent, _, probes, ..] = words[..] else {
        return None;
    };
    let is_peer = ipv4(remote).is_some_and(|remote| peers.contains(&remote));
    if !is_peer || ![ESTABLISHED, SYN_SENT, CLOSE_WAIT].contains(&state) {
        return None;
    }
    let (timer, when) = timer.split_once(':')?;
    let again = match timer {
        "01" => u32::from_str_radix(resent, 16).ok()?,
        // The peer had no room, and may have told since that it has.
        "04" => probes.parse().ok()?,
        _ => 0,
    };
    let ticks = u32::from_str_radix(when, 16).ok()?;
    (again > 0).then(|| TICK * ticks.saturating_add(1))
}

/// The address in `ADDRESS:PORT`, where it is one of IPv4, also in the way of IPv6.
pub(super) fn ipv4(remote: &str) -> Option<Ipv4Addr> {
    let (address, _) = remote.split_once(':')?;
    let mapped = format!("{:016X}{:08X}", 0, u32::from_ne_bytes([0, 0, 0xFF, 0xFF]));
    let word = address.strip_prefix(&mapped).unwrap_or(address);
    let word = (word.len() == 8).then(|| u32::from_str_radix(word, 16).ok())??;
    Some(Ipv4Addr::from(word.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(address: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(address))
    }

    fn waits(remote: &str, state: &str, timer: &str, resent: &str, probes: &str) -> Option<u128> {
        let local = word([10, 77, 0, 1]);
        let line = format!(
            "   0: {local}:1F40 {remote}:A1B2 {state} 00000001:00000000 {timer} {resent}     0 \
             {probes} 1570 2 00000000f0306878 100 0 0 10 0"
        );
        let peers = [Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 77, 0, 3)];
        wait(&line, &peers.into()).map(|wait| wait.as_millis())
    }

    #[test]
    fn who_sends_again_waits_as_long_as_its_timer_says() {
        let peer = word([10, 77, 0, 2]);
        let [none, one, three] = ["00000000", "00000001", "00000003"];
        for state in ["01", "02", "08"] {
            let told = waits(&peer, state, "01:0000002A", three, "0");
            assert_eq!(told, Some(430), "{state}");
        }
        assert_eq!(waits(&peer, "01", "01:00000014", none, "0"), None, "once");
        assert_eq!(
            waits(&peer, "01", "00:00000000", one, "0"),
            None,
            "no timer"
        );
        assert_eq!(waits(&peer, "01", "02:00000014", one, "0"), None, "idle");
        assert_eq!(waits(&peer, "01", "04:00000014", none, "2"), Some(210));
        assert_eq!(waits(&peer, "01", "04:00000014", none, "0"), None);
        assert_eq!(
            waits(&peer, "04", "01:00000014", one, "0"),
            None,
            "nobody's"
        );
    }

    #[test]
    fn only_connections_over_the_edges_count() {
        let told = |remote: &str| waits(remote, "01", "01:00000000", "00000001", "0");
        assert_eq!(told(&word([10, 77, 0, 3])), Some(10));
        assert_eq!(told(&word([10, 77, 0, 4])), None);
        let mapped = word([0; 4]).repeat(2) + &word([0, 0, 255, 255]);
        assert_eq!(told(&format!("{mapped}{}", word([10, 77, 0, 3]))), Some(10));
        let other = word([0xFE, 0x80, 0, 0]).repeat(3);
        assert_eq!(told(&format!("{other}{}", word([10, 77, 0, 3]))), None);
    }

    #[test]
    fn what_is_no_connection_is_passed_over() {
        let peers = BTreeSet::new();
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";
        for line in [head, "", "0: 1 2 3", "0: a:1 b:2 01 c d e f g h"] {
            assert_eq!(wait(line, &peers), None, "{line}");
        }
    }
}
