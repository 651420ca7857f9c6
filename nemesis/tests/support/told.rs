//! What became of the tests of one run, so far.

use std::{collections::BTreeMap, env, fmt};

/// Where a test finds the text of it.
pub(super) const VARIABLE: &str = "ORDEAL_TOLD";

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With what it printed.
    Failed(String),
    /// It could not look at what it is about, for this reason.
    Ignored(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("ok"),
            Self::Failed(_) => f.write_str("FAILED"),
            Self::Ignored(why) => write!(f, "ignored, {why}"),
        }
    }
}

/// By the tests' names; as text, a line a test.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<String, Outcome>);

impl Told {
    /// What this process was told of the tests before its own.
    pub(crate) fn before() -> Self {
        let text = env::var(VARIABLE).unwrap_or_default();
        let outcome = |word: &str| match word.split_once(", ") {
            Some((_, why)) => Outcome::Ignored(why.to_owned()),
            None if word == "ok" => Outcome::Passed,
            None => Outcome::Failed(String::new()),
        };
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Self(
            lines
                .map(|(name, word)| (name.to_owned(), outcome(word)))
                .collect(),
        )
    }

    pub(super) fn add(&mut self, name: &str, outcome: Outcome) {
        self.0.insert(name.to_owned(), outcome);
    }

    /// Nothing where it was not run.
    pub(crate) fn of(&self, name: &str) -> Option<&Outcome> {
        self.0.get(name)
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(output) => Some((name.as_str(), output.as_str())),
            _ => None,
        })
    }

    /// How many passed, failed and were ignored.
    pub(super) fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for outcome in self.0.values() {
            let place = match outcome {
                Outcome::Passed => 0,
                Outcome::Failed(_) => 1,
                Outcome::Ignored(_) => 2,
            };
            counts[place] += 1;
        }
        counts
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(name, outcome)| writeln!(f, "{name} {outcome}"))
    }
}
