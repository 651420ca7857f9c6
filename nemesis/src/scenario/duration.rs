//! Lengths of time in a step: `500ms`, `2s`, `1m`.

use std::time::Duration;

/// An hour: a scenario is watched from its beginning to its end.
const MOST: Duration = Duration::from_secs(3600);

/// Reads a length of time above nothing.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    let time = Duration::from_millis(number.checked_mul(millis)?);
    (!time.is_zero() && time <= MOST).then_some(time)
}

/// As [`parse`] reads it.
pub(super) fn print(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_back_as_it_is_printed() {
        for text in ["1ms", "1500ms", "2s", "1m"] {
            assert_eq!(print(parse(text).unwrap()), text);
        }
        for text in [
            "",
            "5",
            "0s",
            "-1s",
            "2h",
            "61m",
            "1.5s",
            "99999999999999999999s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
