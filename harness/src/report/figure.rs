//! Figures as people read them.

use ordeal_checker::history::Time;

/// `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 fault`, `12,345 faults`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// For drawing: exact up to 2^53, which as nanoseconds is 104 days.
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// Milliseconds with as many digits as an eye can use on any plot: 10 µs.
pub(super) fn millis(time: Time) -> f64 {
    (float(time.0) / 10_000.0).round() / 100.0
}

/// `12.345 s`: a point in time.
pub(super) fn at(time: Time) -> String {
    let ms = time.0 / 1_000_000;
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// `850 µs`, `4.2 ms`, `1.30 s`: a length of time.
pub(super) fn length(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{} µs", nanos / 1_000),
        100_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        1_000_000..100_000_000 => {
            let tenths = nanos / 100_000;
            if nanos.is_multiple_of(1_000_000) {
                return format!("{} ms", tenths / 10);
            }
            format!("{}.{} ms", tenths / 10, tenths % 10)
        }
        _ => {
            let hundredths = nanos / 10_000_000;
            format!("{}.{:02} s", hundredths / 100, hundredths % 100)
        }
    }
}

/// The text in one line and without anything that a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `least`; `least` is positive.
pub(super) fn nice(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps
        .into_iter()
        .find(|step| step * power >= least * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "fault"), "1 fault");
        assert_eq!(count(1_000, "fault"), "1,000 faults");
        assert_eq!(at(Time(12_345_678_901)), "12.345 s");
        assert_eq!(length(850_999), "850 µs");
        assert_eq!(length(4_249_000), "4.2 ms");
        assert_eq!(length(6_000_000), "6 ms");
        assert_eq!(length(800_000_000), "800 ms");
        assert_eq!(length(1_309_000_000), "1.30 s");
    }

    #[test]
    fn nice_steps_are_one_two_or_five() {
        for (least, step) in [
            (0.7, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (30.0, 50.0),
            (501.0, 1000.0),
        ] {
            assert!(
                (nice(least) - step).abs() < 1e-9,
                "{least}: {}",
                nice(least)
            );
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_in_plain_text() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
