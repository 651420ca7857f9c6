//! Seeded defects: mistakes that real systems have made, behind a switch each.
//!
//! A test of a tester needs something to find. Each defect is real behaviour of real code, at the
//! place where the mistake would be made, guarded by [`Defects::has`]. Without the cargo feature
//! `defects` that is a constant `false`, and the compiler drops the wrong code.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Declares the closed list: one line a defect, with what the code does wrong.
macro_rules! defects {
    ($($variant:ident $name:literal $summary:literal)*) => {
        /// One seeded defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Defect {
            $(#[doc = $summary] $variant,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line, in the status and in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the code does wrong, in a line.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }
        }
    };
}

defects! {
    ReadLeaderLocal "read_leader_local"
        "a leader answers reads from its own state without asking whether it still leads"
    AckOnAppend "ack_on_append"
        "a leader acknowledges a write once it is in its own log, before it is committed"
    CommitPriorTerm "commit_prior_term"
        "a leader commits entries of earlier terms by counting who holds them"
    ConfchangeNoNoop "confchange_no_noop"
        "a leader changes the configuration before an entry of its own term is committed"
    ConfCampaignUnapplied "conf_campaign_unapplied"
        "a node campaigns with a committed configuration that it has not applied"
    NoLogCheckInVote "no_log_check_in_vote"
        "a vote is granted to a candidate whose log is behind the voter's"
    NoStaleTermNudge "no_stale_term_nudge"
        "a leader of an earlier term is not told of the later one, and leads on without the teller"
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Defect {
    /// Those that show only on a schedule too rare for chance, or only where switches are set for
    /// it: conversations, the simulation or a scenario find them, and no recipe for a run with
    /// drawn faults does.
    pub const SCRIPTED: &[Self] = &[
        Self::CommitPriorTerm,
        Self::ConfchangeNoNoop,
        Self::ConfCampaignUnapplied,
        Self::NoStaleTermNudge,
    ];
}

/// A name that no defect has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no defect is called {name:?}; there are: {}", names())]
pub struct UnknownDefect {
    name: String,
}

fn names() -> String {
    Defect::ALL
        .iter()
        .map(|defect| defect.name())
        .collect::<Vec<_>>()
        .join(", ")
}

impl FromStr for Defect {
    type Err = UnknownDefect;

    fn from_str(name: &str) -> Result<Self, UnknownDefect> {
        let found = Self::ALL
            .iter()
            .copied()
            .find(|defect| defect.name() == name);
        found.ok_or_else(|| UnknownDefect {
            name: name.to_owned(),
        })
    }
}

/// A set of defects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects(u128);

impl Defects {
    /// A node that means well.
    pub const NONE: Self = Self(0);

    /// False in a build that carries no defects at all.
    pub const COMPILED_IN: bool = cfg!(feature = "defects");

    /// True where this defect is switched on.
    #[must_use]
    pub const fn has(self, defect: Defect) -> bool {
        Self::COMPILED_IN && self.0 & (1 << defect as u32) != 0
    }

    /// True where none is switched on.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !Self::COMPILED_IN || self.0 == 0
    }

    /// Those that are switched on.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL
            .iter()
            .copied()
            .filter(move |&defect| self.has(defect))
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        Self(
            defects
                .into_iter()
                .fold(0, |set, defect| set | 1 << defect as u32),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_is_found_by_its_name() {
        for &defect in Defect::ALL {
            assert_eq!(defect.name().parse(), Ok(defect));
        }
        assert!(Defect::ALL.len() <= 128, "the set has 128 places");
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let message = "read_any_loca".parse::<Defect>().unwrap_err().to_string();
        assert!(
            message.contains("read_any_loca") && message.contains("ack_on_append"),
            "{message}"
        );
    }

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let set: Defects = [Defect::AckOnAppend].into_iter().collect();
        assert_eq!(set.has(Defect::AckOnAppend), Defects::COMPILED_IN);
        assert!(!set.has(Defect::ReadLeaderLocal));
        assert!(Defects::NONE.is_empty());
    }
}
