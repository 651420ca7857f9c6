//! IPv4 packets as bytes: flipping bits, and forging TCP resets.
//!
//! Every function takes any bytes whatever; what is no packet of its kind is left as it is.

/// Where the payload of the IP header begins, for an unfragmented packet of IPv4.
fn transport_at(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let at = usize::from(first & 0xf) * 4;
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
    (first >> 4 == 4 && at >= 20 && at < packet.len() && fragment == 0).then_some(at)
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Flips one bit behind the IP header, which the receiver's transport checksum finds. Returns
/// whether there was one to flip.
pub(super) fn corrupt(packet: &mut [u8], bit: u32) -> bool {
    let Some(at) = transport_at(packet) else {
        return false;
    };
    flip(&mut packet[at..], bit);
    true
}

/// Flips one bit of what TCP or UDP carries, and makes the checksum fit. Returns whether it
/// carries anything, with a checksum.
pub(super) fn alter(packet: &mut [u8], bit: u32) -> bool {
    let Some(at) = transport_at(packet) else {
        return false;
    };
    let protocol = packet[9];
    let segment = &mut packet[at..];
    let (payload_at, checksum_at) = match (protocol, segment.get(12)) {
        (TCP, Some(offset)) => (usize::from(offset >> 4) * 4, 16),
        (UDP, _) => (8, 6),
        _ => return false,
    };
    if payload_at < checksum_at + 2 || payload_at >= segment.len() {
        return false;
    }
    let old_sum = word(segment, checksum_at);
    let flipped = payload_at + flip(&mut segment[payload_at..], bit);
    // Words of the checksum are counted from the start of the segment; a last odd byte stands
    // alone, as if a zero followed.
    let word_at = flipped & !1;
    let mask = 1_u16 << (bit % 8) << if flipped == word_at { 8 } else { 0 };
    let new = word(segment, word_at);
    // UDP without a checksum says so with 0, and a sum of 0 is written as its other zero.
    if protocol == UDP && old_sum == 0 {
        return true;
    }
    let new_sum = match (protocol, updated_sum(old_sum, new ^ mask, new)) {
        (UDP, 0) => u16::MAX,
        (_, sum) => sum,
    };
    segment[checksum_at..checksum_at + 2].copy_from_slice(&new_sum.to_be_bytes());
    true
}

/// The checksum after one of its words has changed: equation 3 of RFC 1624.
fn updated_sum(sum: u16, old: u16, new: u16) -> u16 {
    !folded(u32::from(!sum) + u32::from(!old) + u32::from(new))
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to 16 bits")
}

/// Flips the bit, modulo those there are, and returns the index of its byte.
fn flip(bytes: &mut [u8], bit: u32) -> usize {
    let byte = usize::try_from(bit / 8).expect("32 bits fit") % bytes.len();
    bytes[byte] ^= 1 << (bit % 8);
    byte
}

fn word(bytes: &[u8], at: usize) -> u16 {
    let low = bytes.get(at + 1).copied().unwrap_or(0);
    u16::from_be_bytes([bytes[at], low])
}

/// Whether it is the first segment of a TCP connection.
pub(super) fn opens_connection(packet: &[u8]) -> bool {
    let flags = transport_at(packet).and_then(|at| packet.get(at + 13));
    flags.is_some_and(|flags| packet[9] == TCP && flags & (SYN | ACK | RST) == SYN)
}

/// Two resets in the place of one TCP segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resets {
    /// To who sent it, as if from its receiver.
    pub(super) back: Vec<u8>,
    /// To its receiver, as if from who sent it.
    pub(super) onward: Vec<u8>,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What resets the connection of a TCP segment at both ends (RFC 9293, sections 3.5.2 and 3.5.3);
/// nothing for any other packet, or a reset.
pub(super) fn resets(packet: &[u8]) -> Option<Resets> {
    let at = transport_at(packet)?;
    let segment = &packet[at..];
    if packet[9] != TCP || segment.len() < 20 {
        return None;
    }
    let flags = segment[13];
    if flags & RST != 0 {
        return None;
    }
    let number = |at: usize| {
        let bytes = segment[at..at + 4].try_into();
        u32::from_be_bytes(bytes.expect("four bytes"))
    };
    let (sequence, acknowledged) = (number(4), number(8));
    let offset = usize::from(segment[12] >> 4) * 4;
    let payload = u32::try_from(segment.len().saturating_sub(offset)).expect("a packet is short");
    let length = payload + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let (here, there) = (
        Ends::of(packet, segment),
        Ends::of(packet, segment).swapped(),
    );
    let back = match flags & ACK {
        // Without an acknowledgement, the reset shows whose it is by acknowledging.
        0 => there.reset(0, sequence.wrapping_add(length), RST | ACK),
        _ => there.reset(acknowledged, 0, RST),
    };
    let onward = here.reset(sequence, acknowledged, RST | (flags & ACK));
    Some(Resets { back, onward })
}

/// Addresses and ports, as they stand in a packet: sender's, receiver's.
#[derive(Clone, Copy)]
struct Ends {
    addresses: [[u8; 4]; 2],
    ports: [[u8; 2]; 2],
}

impl Ends {
    fn of(packet: &[u8], segment: &[u8]) -> Self {
        let address = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
        let port = |at: usize| [segment[at], segment[at + 1]];
        Self {
            addresses: [address(12), address(16)],
            ports: [port(0), port(2)],
        }
    }

    fn swapped(self) -> Self {
        let ([a, b], [p, q]) = (self.addresses, self.ports);
        Self {
            addresses: [b, a],
            ports: [q, p],
        }
    }

    /// A packet of 40 bytes, with both its checksums.
    fn reset(self, sequence: u32, acknowledged: u32, flags: u8) -> Vec<u8> {
        let [source, destination] = self.addresses;
        // Version and length, total length, no fragment, 64 hops, TCP.
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0];
        packet.extend(source);
        packet.extend(destination);
        let sum = checksum(&packet, 0);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(self.ports.as_flattened());
        packet.extend(sequence.to_be_bytes());
        packet.extend(acknowledged.to_be_bytes());
        packet.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
        // The pseudo header: both addresses, the protocol, the segment's length.
        let pseudo = [source, destination].concat();
        let start = u32::from(!checksum(&pseudo, 0)) + u32::from(TCP) + 20;
        let sum = checksum(&packet[20..], start);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }
}

/// The Internet checksum (RFC 1071), begun at `start`.
fn checksum(bytes: &[u8], start: u32) -> u16 {
    let words = (0..bytes.len()).step_by(2).map(|at| word(bytes, at));
    !folded(start + words.map(u32::from).sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with a payload and right checksums.
    fn packet(protocol: u8, header: usize, payload: &[u8]) -> Vec<u8> {
        let ends = Ends {
            addresses: [[10, 77, 0, 1], [10, 77, 0, 2]],
            ports: [[1, 2], [3, 4]],
        };
        let mut packet = ends.reset(7, 9, ACK);
        packet.truncate(20);
        packet[9] = protocol;
        let mut segment = vec![0; header];
        segment[..4].copy_from_slice(&[1, 2, 3, 4]);
        if protocol == TCP {
            segment[4..12].copy_from_slice(&[0, 0, 0, 7, 0, 0, 0, 9]);
            (segment[12], segment[13]) = (0x50, ACK);
        }
        segment.extend(payload);
        packet.extend(segment);
        let sum = transport_sum(&packet);
        let at = 20 + if protocol == TCP { 16 } else { 6 };
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// 0 when the checksum that stands in the packet is right.
    fn transport_sum(packet: &[u8]) -> u16 {
        let pseudo = checksum(&packet[12..20], 0);
        let length = u32::try_from(packet.len() - 20).unwrap();
        checksum(
            &packet[20..],
            u32::from(!pseudo) + u32::from(packet[9]) + length,
        )
    }

    #[test]
    fn a_corrupted_packet_has_a_wrong_checksum_and_an_altered_one_a_right_one() {
        for (protocol, header) in [(TCP, 20), (UDP, 8)] {
            for payload in [&b"odd"[..], b"even"] {
                let sent = packet(protocol, header, payload);
                assert_eq!(transport_sum(&sent), 0);
                for bit in 0..200 {
                    let mut got = sent.clone();
                    assert!(corrupt(&mut got, bit));
                    assert_ne!(transport_sum(&got), 0);
                    let mut got = sent.clone();
                    assert!(alter(&mut got, bit));
                    assert_eq!(transport_sum(&got), 0, "{payload:?} {bit}");
                    assert_ne!(got[20 + header..], sent[20 + header..]);
                    let header = 20..20 + if protocol == TCP { 16 } else { 6 };
                    assert_eq!(got[header.clone()], sent[header]);
                }
            }
        }
    }

    #[test]
    fn what_carries_nothing_is_not_altered() {
        let mut ack = packet(TCP, 20, b"");
        assert!(!alter(&mut ack, 5));
        let mut udp = packet(UDP, 8, b"");
        assert!(!alter(&mut udp, 5));
    }

    #[test]
    fn a_segment_is_answered_with_resets_that_both_ends_take() {
        let resets = resets(&packet(TCP, 20, b"abc")).unwrap();
        for reset in [&resets.back, &resets.onward] {
            assert_eq!((checksum(&reset[..20], 0), transport_sum(reset)), (0, 0));
        }
        assert_eq!(
            resets.back[12..24],
            [10, 77, 0, 2, 10, 77, 0, 1, 3, 4, 1, 2]
        );
        assert_eq!(
            resets.back[24..28],
            [0, 0, 0, 9],
            "what the sender awaits next"
        );
        assert_eq!(
            resets.onward[12..24],
            [10, 77, 0, 1, 10, 77, 0, 2, 1, 2, 3, 4]
        );
        assert_eq!(
            resets.onward[24..28],
            [0, 0, 0, 7],
            "what the receiver awaits next"
        );
    }

    #[test]
    fn a_reset_is_not_answered_and_a_syn_is_refused() {
        let mut syn = packet(TCP, 20, b"");
        syn[33] = SYN;
        assert!(opens_connection(&syn) && !opens_connection(&packet(TCP, 20, b"")));
        let refusal = resets(&syn).unwrap().back;
        assert_eq!(refusal[33], RST | ACK);
        assert_eq!(refusal[28..32], [0, 0, 0, 8], "one after the SYN");
        assert_eq!(resets(&refusal), None);
        assert_eq!(resets(&packet(UDP, 8, b"abc")), None);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = packet(TCP, 20, b"abc");
        for length in 0..whole.len() {
            for first in [0x45, 0x4f, 0x40, 0x60] {
                let mut bytes = whole[..length].to_vec();
                bytes.iter_mut().take(1).for_each(|byte| *byte = first);
                corrupt(&mut bytes.clone(), 77);
                alter(&mut bytes.clone(), 77);
                let _ = (resets(&bytes), opens_connection(&bytes));
            }
        }
    }
}
