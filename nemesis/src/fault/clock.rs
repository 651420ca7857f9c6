//! Wall clocks that are wrong: `clock n1: +288s`, `clock leader: rate 1.05`.
//!
//! | text | what happens, and what heals it |
//! |---|---|
//! | `clock n1 n2: +288s`, `clock leader: -11ms` | so far ahead, or behind; right again |
//! | `clock all: rate 1.05`, `clock n1: rate 0.5` | so fast, from now on; right again |
//! | `clock n1: strobe +200ms every 10ms` | so long wrong, so long right, in turn; right again |

use std::fmt;

use super::{Problem, Targets, targets};

/// A clock that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockFault {
    /// Whose.
    pub targets: Targets,
    /// How.
    pub skew: Skew,
}

/// How a wall clock is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skew {
    /// So far ahead; negative: behind.
    Offset {
        /// In nanoseconds.
        ns: i64,
    },
    /// So fast from now on.
    Rate {
        /// A million is right.
        millionths: u32,
    },
    /// Wrong and right in turn.
    Strobe {
        /// So far ahead while it is wrong, in nanoseconds.
        ns: i64,
        /// For so long each, in nanoseconds.
        period_ns: i64,
    },
}

const MS: i64 = 1_000_000;

/// Ten years: what a clock that forgot the year is off by.
const OFFSET_MS_MAX: i64 = 315_360_000_000;
/// A hundredth to a hundredfold, in millionths.
const RATE: std::ops::RangeInclusive<u32> = 10_000..=100_000_000;
const PERIOD_MS_MAX: i64 = 60_000;

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clock {}: {}", self.targets, self.skew)
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { ns } => signed(f, *ns),
            Self::Rate { millionths } => {
                let (whole, part) = (millionths / 1_000_000, millionths % 1_000_000);
                let part = format!("{part:06}");
                match part.trim_end_matches('0') {
                    "" => write!(f, "rate {whole}"),
                    part => write!(f, "rate {whole}.{part}"),
                }
            }
            Self::Strobe { ns, period_ns } => {
                f.write_str("strobe ")?;
                signed(f, *ns)?;
                write!(f, " every {}ms", period_ns / MS)
            }
        }
    }
}

/// With its sign, in the larger unit that fits.
fn signed(f: &mut fmt::Formatter<'_>, ns: i64) -> fmt::Result {
    let ms = ns / MS;
    match ms % 1000 {
        0 => write!(f, "{:+}s", ms / 1000),
        _ => write!(f, "{ms:+}ms"),
    }
}

const CLOCK: &str = "clock n1: +288s` or `clock leader: -11ms` or `clock all: rate 1.05` or \
                     `clock n1: strobe +200ms every 10ms";

const OFFSET: &str = "clock n1: +288s` (with its sign, 1ms to 315360000s) or `clock leader: -11ms";
const RATES: &str = "clock all: rate 1.05` (0.01 to 100 and not 1, at most six decimals) or \
                     `clock n1: rate 0.5";
const STROBE: &str = "clock n1: strobe +200ms every 10ms` (by 1ms to 315360000s, every 1ms to \
                      60000ms) or `clock all: strobe -5s every 40ms";

/// Reads what follows the word `clock`.
pub(super) fn parse(text: &str) -> Result<ClockFault, Problem> {
    let (who, how) = text.split_once(':').ok_or(Problem::Form(CLOCK))?;
    let skew = skew(how.trim()).ok_or(Problem::Form(form_of(how.trim())))?;
    let targets = targets(who.trim(), CLOCK)?;
    Ok(ClockFault { targets, skew })
}

/// How to write what this was meant to be.
fn form_of(how: &str) -> &'static str {
    match how.split_whitespace().next() {
        Some("rate") => RATES,
        Some("strobe") => STROBE,
        Some(word) if word.ends_with('s') => OFFSET,
        _ => CLOCK,
    }
}

fn skew(text: &str) -> Option<Skew> {
    let words: Vec<&str> = text.split_whitespace().collect();
    Some(match words.as_slice() {
        ["rate", rate] => Skew::Rate {
            millionths: millionths(rate)?,
        },
        ["strobe", offset, "every", period] => {
            let period_ms: i64 = period.strip_suffix("ms")?.parse().ok()?;
            if !(1..=PERIOD_MS_MAX).contains(&period_ms) {
                return None;
            }
            Skew::Strobe {
                ns: offset_ns(offset)?,
                period_ns: period_ms * MS,
            }
        }
        [offset] => Skew::Offset {
            ns: offset_ns(offset)?,
        },
        _ => return None,
    })
}

/// `+288s`, `-11ms`: with a sign, and not nothing.
fn offset_ns(text: &str) -> Option<i64> {
    if !text.starts_with(['+', '-']) {
        return None;
    }
    let ms = match text.strip_suffix("ms") {
        Some(ms) => ms.parse::<i64>().ok()?,
        None => text
            .strip_suffix('s')?
            .parse::<i64>()
            .ok()?
            .checked_mul(1000)?,
    };
    let is_within = ms != 0 && (-OFFSET_MS_MAX..=OFFSET_MS_MAX).contains(&ms);
    is_within.then_some(ms * MS)
}

/// `1.05`, `2`: at most six digits behind the point, and other than 1.
fn millionths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 6 {
        return None;
    }
    let (whole, part): (u32, u32) = (whole.parse().ok()?, format!("{part:0<6}").parse().ok()?);
    let rate = whole.checked_mul(1_000_000)?.checked_add(part)?;
    (rate != 1_000_000 && RATE.contains(&rate)).then_some(rate)
}
