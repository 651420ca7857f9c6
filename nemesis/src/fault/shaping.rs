//! What is done to packets, as one line: `delay 50ms ±10ms, loss 20%, rate 1mbit`.
//!
//! | term | what happens to each packet |
//! |---|---|
//! | `delay 50ms`, `delay 50ms ±10ms` | it arrives so much later, evenly spread over the range |
//! | `loss 20%` | with this probability it is dropped |
//! | `duplicate 20%` | a second one follows, delayed on its own |
//! | `reorder 20%` | it is held back 10 ms longer, so that those behind it overtake it |
//! | `corrupt 20%` | one bit flips, and the receiver's checksum finds it: it is dropped there |
//! | `corrupt-deliver 20%` | one bit of its payload flips, and its checksum is made to fit |
//! | `reset 20%` | a TCP segment resets its connection, at both ends |
//! | `refuse 20%` | a TCP connection is refused when it is opened; open ones go on |
//! | `rate 1mbit` | so many bits a second pass, with half a second of room to wait in |

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::text::stored_as_text;

/// A kind of thing that can be done to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketEffect {
    /// It arrives later.
    Delay,
    /// It never arrives.
    Loss,
    /// It arrives twice.
    Duplicate,
    /// It arrives after one that was sent later.
    Reorder,
    /// It arrives broken, and is dropped by its receiver's checksum.
    Corrupt,
    /// It arrives with another payload, and a checksum that fits.
    CorruptDeliver,
    /// Its TCP connection is reset.
    Reset,
    /// It was to open a TCP connection, and is refused.
    Refuse,
    /// It waits until there is room for it on the line.
    Rate,
}

impl PacketEffect {
    /// Every effect, in the order in which they are written.
    pub const ALL: [PacketEffect; 9] = [
        Self::Delay,
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Corrupt,
        Self::CorruptDeliver,
        Self::Reset,
        Self::Refuse,
        Self::Rate,
    ];

    /// Its word in a shaping's text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Corrupt => "corrupt",
            Self::CorruptDeliver => "corrupt-deliver",
            Self::Reset => "reset",
            Self::Refuse => "refuse",
            Self::Rate => "rate",
        }
    }
}

impl fmt::Display for PacketEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is done to every packet of an edge. Never nothing: only [`FromStr`] and the planner, which
/// goes through it, make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shaping {
    delay: Option<Delay>,
    /// Effects that happen with a probability; neither delay nor rate is among them.
    shares: BTreeMap<PacketEffect, Share>,
    rate: Option<Rate>,
}

/// A delay, spread evenly from `by - jitter` to `by + jitter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delay {
    by_us: u32,
    /// At most `by_us`.
    jitter_us: u32,
}

/// A probability in parts of a million, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share(u32);

/// Bits a second, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate(u64);

/// A whole in parts of a million.
pub(crate) const WHOLE: u32 = 1_000_000;
/// Longer delays are cuts.
const DELAY_US_MAX: u32 = 60_000_000;

impl Shaping {
    /// The effects it has, in order.
    pub fn effects(&self) -> impl Iterator<Item = PacketEffect> + '_ {
        PacketEffect::ALL.into_iter().filter(|effect| match effect {
            PacketEffect::Delay => self.delay.is_some(),
            PacketEffect::Rate => self.rate.is_some(),
            share => self.shares.contains_key(share),
        })
    }

    /// How probable an effect is, in parts of a million.
    pub(crate) fn share(&self, effect: PacketEffect) -> u32 {
        self.shares.get(&effect).map_or(0, |share| share.0)
    }

    /// The shortest delay, and how far above it the longest is.
    pub(crate) fn delay(&self) -> Option<(Duration, Duration)> {
        let Delay { by_us, jitter_us } = self.delay?;
        let us = |us: u32| Duration::from_micros(us.into());
        Some((us(by_us - jitter_us), us(jitter_us) * 2))
    }

    /// How many bits pass a second, where a rate bounds them.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.rate.map(|rate| rate.0)
    }

    /// How long the line is busy with a packet of so many bytes.
    pub(crate) fn time_on_line(&self, bytes: usize) -> Option<Duration> {
        let Rate(bits_per_second) = self.rate?;
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        let nanos = bits.saturating_mul(1_000_000_000) / bits_per_second;
        Some(Duration::from_nanos(nanos))
    }
}

/// A shaping's text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapingTextError {
    /// The first word of a term is unknown.
    #[error("`{0}` is nothing that is done to packets: use {list}", list = names())]
    Effect(String),
    /// The value of a term cannot be read, or is out of its bounds.
    #[error("write it as `{0}`")]
    Form(&'static str),
    /// A share of packets cannot be read, or is out of its bounds.
    #[error("write it as `{0} 20%` (0.0001% to 100%) or `{0} 0.5%`")]
    Share(PacketEffect),
    /// A term stands there twice.
    #[error("{0} is given twice")]
    Twice(PacketEffect),
}

fn names() -> String {
    PacketEffect::ALL.map(PacketEffect::name).join(", ")
}

impl fmt::Display for Shaping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<String> = self
            .effects()
            .map(|effect| match (effect, self.delay, self.rate) {
                (PacketEffect::Delay, Some(delay), _) => format!("{effect} {delay}"),
                (PacketEffect::Rate, _, Some(rate)) => format!("{effect} {rate}"),
                _ => format!("{effect} {}", Share(self.share(effect))),
            })
            .collect();
        f.write_str(&terms.join(", "))
    }
}

impl FromStr for Shaping {
    type Err = ShapingTextError;

    fn from_str(text: &str) -> Result<Self, ShapingTextError> {
        let mut shaping = Self {
            delay: None,
            shares: BTreeMap::new(),
            rate: None,
        };
        for term in text.split(',') {
            let term = term.trim();
            let (word, value) = term.split_once(char::is_whitespace).unwrap_or((term, ""));
            let effect = PacketEffect::ALL
                .into_iter()
                .find(|effect| effect.name() == word)
                .ok_or_else(|| ShapingTextError::Effect(word.to_owned()))?;
            if shaping.effects().any(|given| given == effect) {
                return Err(ShapingTextError::Twice(effect));
            }
            let value = value.trim();
            match effect {
                PacketEffect::Delay => shaping.delay = Some(value.parse()?),
                PacketEffect::Rate => shaping.rate = Some(value.parse()?),
                share => {
                    let probable = Share::read(value).ok_or(ShapingTextError::Share(share))?;
                    shaping.shares.insert(share, probable);
                }
            }
        }
        Ok(shaping)
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.jitter_us {
            0 => f.write_str(&span(self.by_us)),
            jitter_us => write!(f, "{} ±{}", span(self.by_us), span(jitter_us)),
        }
    }
}

impl FromStr for Delay {
    type Err = ShapingTextError;

    fn from_str(text: &str) -> Result<Self, ShapingTextError> {
        let error = || {
            ShapingTextError::Form(
                "delay 50ms` (1us to 60s) or `delay 50ms ±10ms` (no longer than the delay) or \
                 `delay 100us",
            )
        };
        let mut words = text.split_whitespace();
        let by_us = words.next().and_then(read_span).ok_or_else(error)?;
        let jitter_us = match words.next() {
            None => 0,
            // `+-` for keyboards without `±`.
            Some(word) => word
                .strip_prefix('±')
                .or_else(|| word.strip_prefix("+-"))
                .and_then(read_span)
                .ok_or_else(error)?,
        };
        let in_bounds = jitter_us <= by_us && by_us <= DELAY_US_MAX;
        if by_us == 0 || !in_bounds || words.next().is_some() {
            return Err(error());
        }
        Ok(Self { by_us, jitter_us })
    }
}

fn span(us: u32) -> String {
    if us.is_multiple_of(1000) {
        format!("{}ms", us / 1000)
    } else {
        format!("{us}us")
    }
}

/// Microseconds of `10us`, `50ms` or `2s`.
fn read_span(text: &str) -> Option<u32> {
    let units = [("us", 1), ("ms", 1000), ("s", 1_000_000)];
    let (digits, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    digits_only(digits)?
        .parse::<u32>()
        .ok()?
        .checked_mul(factor)
}

/// `u32::from_str` would take a sign too.
fn digits_only(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.0 / 10_000, self.0 % 10_000);
        let decimals = format!("{rest:04}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{percent}%"),
            decimals => write!(f, "{percent}.{decimals}%"),
        }
    }
}

impl Share {
    /// `20%`, `0.5%`: at most four decimals.
    fn read(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (percent, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let parts = (digits_only(percent)?, digits_only(decimals)?);
        if decimals.len() > 4 {
            return None;
        }
        let millionths: u32 = format!("{:0<4}", parts.1).parse().ok()?;
        let whole = parts.0.parse::<u32>().ok()?.checked_mul(10_000)?;
        let share = whole.checked_add(millionths)?;
        (1..=WHOLE).contains(&share).then_some(Self(share))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits.is_multiple_of(1_000_000) => write!(f, "{}mbit", bits / 1_000_000),
            bits if bits.is_multiple_of(1000) => write!(f, "{}kbit", bits / 1000),
            bits => write!(f, "{bits}bit"),
        }
    }
}

impl FromStr for Rate {
    type Err = ShapingTextError;

    fn from_str(text: &str) -> Result<Self, ShapingTextError> {
        let units = [("mbit", 1_000_000), ("kbit", 1000), ("bit", 1)];
        let read = || {
            let (digits, factor) = units
                .into_iter()
                .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
            let rate = digits_only(digits)?
                .parse::<u64>()
                .ok()?
                .checked_mul(factor)?;
            (rate > 0).then_some(Self(rate))
        };
        read().ok_or(ShapingTextError::Form(
            "rate 1mbit` (1bit or more) or `rate 500kbit",
        ))
    }
}

stored_as_text!(Shaping);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shaping_is_read_back_from_the_text_it_prints() {
        for text in [
            "delay 50ms",
            "delay 1500us ±250us",
            "delay 50ms ±10ms, loss 20%, duplicate 0.5%, reorder 12.25%, corrupt 1%, \
             corrupt-deliver 0.0001%, reset 100%, refuse 5%, rate 1mbit",
            "rate 500kbit",
            "rate 999bit",
        ] {
            assert_eq!(text.parse::<Shaping>().unwrap().to_string(), text);
        }
        let typed: Shaping = " rate 1000kbit ,delay 2s +-10ms ".parse().unwrap();
        assert_eq!(typed.to_string(), "delay 2000ms ±10ms, rate 1mbit");
    }

    #[test]
    fn a_wrong_text_is_refused_with_the_form_to_use() {
        for (text, part) in [
            (
                "",
                "`` is nothing that is done to packets: use delay, loss,",
            ),
            ("lag 5ms", "`lag` is nothing"),
            ("delay", "write it as `delay 50ms`"),
            ("delay 0ms", "write it as `delay 50ms`"),
            ("delay 5", "write it as `delay 50ms`"),
            (
                "delay 5ms ±6ms",
                "`delay 50ms ±10ms` (no longer than the delay)",
            ),
            ("delay 61s", "(1us to 60s)"),
            ("delay 5ms ±1ms 3", "write it as `delay 50ms`"),
            ("delay 99999999s", "write it as `delay 50ms`"),
            ("loss 0%", "`loss 20%` (0.0001% to 100%)"),
            ("duplicate 101%", "`duplicate 20%` (0.0001% to 100%)"),
            ("loss 20", "write it as `loss 20%`"),
            ("loss +2%", "write it as `loss 20%`"),
            ("loss 0.00001%", "write it as `loss 20%`"),
            ("rate 0mbit", "write it as `rate 1mbit` (1bit or more)"),
            ("rate 99999999999999999mbit", "write it as `rate 1mbit`"),
            ("loss 1%, loss 2%", "loss is given twice"),
        ] {
            let message = text.parse::<Shaping>().unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}`");
        }
    }
}
