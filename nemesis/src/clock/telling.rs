//! What a node says the time is, against what it is to be told.
//!
//! ```text
//!   asked ├───── told, at some moment ─────┤ answered      told: ahead by so much, ± half of this
//!     set ▲ … since then the clock is ahead by what its setting says of this whole stretch
//! ```
//!
//! No moment is guessed: only what no moment of the stretch allows is another time.

use std::ops::RangeInclusive;

use crate::{fault::Skew, lever::ClockTold};

/// What reading two clocks of one kernel one after the other may differ by, and more.
const SLACK_NS: i128 = 100_000;

/// What a node's words come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// Its clock is wrong, as it is to be.
    Wrong,
    /// So near to the right time that it may be either.
    Unclear,
    /// It tells a time that its process is not told.
    Otherwise,
}

/// What was heard of one node while its clock was to be wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// Whether it tells the time at all, as far as is known.
    pub(crate) tells: bool,
    /// How far ahead it said last that it is, where that is wrong.
    pub(crate) wrong_ns: Option<i64>,
    /// The same where it is not what its process is told.
    pub(crate) otherwise_ns: Option<i64>,
}

impl Heard {
    /// Takes in what the node said last, whose clock was set at some moment of `set_ns`.
    pub(crate) fn hear(&mut self, told: &ClockTold, skew: Skew, set_ns: (u64, u64)) {
        self.tells = true;
        if told.asked_ns <= set_ns.1 {
            return;
        }
        match words(told, skew, set_ns) {
            Words::Wrong => self.wrong_ns = Some(told.ahead_ns),
            Words::Unclear => {}
            Words::Otherwise => self.otherwise_ns = Some(told.ahead_ns),
        }
    }
}

/// What it comes to that a node told this, whose clock was set at some moment of `set_ns`.
fn words(told: &ClockTold, skew: Skew, set_ns: (u64, u64)) -> Words {
    let error = i128::from(told.within_ns) + SLACK_NS;
    let ahead = i128::from(told.ahead_ns);
    let since = (
        i128::from(told.asked_ns.saturating_sub(set_ns.1)),
        i128::from(told.answered_ns.saturating_sub(set_ns.0)),
    );
    let fits =
        |one: RangeInclusive<i128>| (one.start() - error..=one.end() + error).contains(&ahead);
    if !expected(skew, since).into_iter().any(fits) {
        Words::Otherwise
    } else if ahead.abs() > error {
        Words::Wrong
    } else {
        Words::Unclear
    }
}

/// How far ahead a clock may be that was set between so long and so long ago.
fn expected(skew: Skew, (least, most): (i128, i128)) -> Vec<RangeInclusive<i128>> {
    match skew {
        Skew::Offset { ns } => vec![i128::from(ns)..=i128::from(ns)],
        Skew::Rate { millionths } => {
            let ahead = |since: i128| since * (i128::from(millionths) - 1_000_000) / 1_000_000;
            let (one, other) = (ahead(least), ahead(most));
            vec![one.min(other)..=one.max(other)]
        }
        Skew::Strobe { ns, period_ns } => {
            let turn = |since: i128| since.div_euclid(i128::from(period_ns));
            let (first, last) = (turn(least - SLACK_NS), turn(most + SLACK_NS));
            let turns = first..=last.min(first + 1);
            let ahead = |turn: i128| if turn % 2 == 0 { i128::from(ns) } else { 0 };
            turns.map(|turn| ahead(turn)..=ahead(turn)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const SET_NS: (u64, u64) = (5_000_000_000, 5_000_200_000);

    /// What it comes to that a node tells this so long after its clock was set, its answer being
    /// two milliseconds under way.
    fn told(skew: &str, after_ms: u64, ahead_ms: i64) -> Words {
        let fault: crate::Fault = format!("clock n1: {skew}").parse().unwrap();
        let crate::Fault::Clock(fault) = fault else {
            panic!("{fault}")
        };
        let asked_ns = SET_NS.1 + after_ms * 1_000_000;
        let told = ClockTold {
            asked_ns,
            answered_ns: asked_ns + 2_000_000,
            ahead_ns: ahead_ms * MS,
            within_ns: 1_000_000,
        };
        words(&told, fault.skew, SET_NS)
    }

    #[test]
    fn a_time_that_is_right_is_no_wrong_one_however_little_it_was_to_be() {
        use Words::{Otherwise, Unclear, Wrong};
        for (skew, after_ms, ahead_ms, words) in [
            ("+900ms", 50, 900, Wrong),
            ("+900ms", 50, 0, Otherwise),
            ("+900ms", 50, 450, Otherwise),
            ("-11ms", 50, -11, Wrong),
            ("-11ms", 50, 0, Otherwise),
            ("-11ms", 50, 11, Otherwise),
            ("+1ms", 50, 1, Unclear),
            ("+3s", 50, 0, Otherwise),
            // Half a second a second.
            ("rate 1.5", 1, 0, Unclear),
            ("rate 1.5", 1000, 500, Wrong),
            ("rate 1.5", 1000, 0, Otherwise),
            ("rate 1.5", 1000, 1000, Otherwise),
            ("rate 0.5", 1000, -500, Wrong),
            ("rate 0.5", 1000, 0, Otherwise),
            // Wrong for the first 100 ms of each 200.
            ("strobe +200ms every 100ms", 50, 200, Wrong),
            ("strobe +200ms every 100ms", 50, 0, Otherwise),
            ("strobe +200ms every 100ms", 150, 0, Unclear),
            ("strobe +200ms every 100ms", 150, 200, Otherwise),
            ("strobe +200ms every 100ms", 250, 0, Otherwise),
            // While it turns, and where it turns sooner than an answer takes, it may be either.
            ("strobe +200ms every 100ms", 99, 0, Unclear),
            ("strobe +200ms every 100ms", 99, 200, Wrong),
            ("strobe +200ms every 100ms", 99, 100, Otherwise),
            ("strobe +200ms every 1ms", 50, 0, Unclear),
            ("strobe +200ms every 1ms", 50, 200, Wrong),
        ] {
            let come_to = told(skew, after_ms, ahead_ms);
            assert_eq!(come_to, words, "{skew}, after {after_ms} ms: {ahead_ms} ms");
        }
    }

    #[test]
    fn what_was_asked_before_says_nothing_of_the_clock() {
        let told = ClockTold {
            asked_ns: SET_NS.1,
            answered_ns: SET_NS.1 + 10,
            ahead_ns: 0,
            within_ns: 5,
        };
        let mut heard = Heard::default();
        heard.hear(&told, Skew::Offset { ns: 9 * MS }, SET_NS);
        assert!(heard.tells && heard.wrong_ns.is_none() && heard.otherwise_ns.is_none());
    }
}
