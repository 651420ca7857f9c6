//! One seed, many streams: every random choice derives its own generator by name.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The generator for the choice called `name`, with `stream` telling several of a kind apart.
///
/// ChaCha8 with a fixed key schedule: the same numbers on every machine and in every version.
/// The name is folded into the key, so that two choices never share a stream by accident.
pub fn derive(seed: u64, name: &str, stream: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&stream.to_le_bytes());
    key[16..24].copy_from_slice(&fnv1a(name).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// FNV-1a, 64 bit: stable for ever, which `Hash` is not.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn name_and_stream_tell_choices_apart() {
        let first = derive(1, "workload", 0).next_u64();
        assert_eq!(derive(1, "workload", 0).next_u64(), first);
        assert_ne!(derive(1, "workload", 1).next_u64(), first);
        assert_ne!(derive(1, "nemesis", 0).next_u64(), first);
        assert_ne!(derive(2, "workload", 0).next_u64(), first);
    }
}
