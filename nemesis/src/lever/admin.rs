//! What an administrator can order of a target, as a lever that it may offer.
//!
//! An order goes to one node, over a way that no fault blocks: so a leader that is cut off can be
//! asked too. An order that was taken has only begun; what came of it is seen by looking at nodes.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{node::Node, text::stored_as_text};

/// Orders to single nodes, and a look at where one stands.
///
/// Both block until the node has answered or a deadline of the lever's own has passed.
pub trait Admin: Send + Sync {
    /// Tells one node to do something.
    ///
    /// # Errors
    ///
    /// When the node refuses, or nobody knows whether it took the order.
    fn order(&self, at: Node, order: &Order) -> Result<(), OrderError>;

    /// Where a node stands, by its own account.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    fn standing(&self, node: Node) -> Result<Standing, OrderError>;
}

/// Something that an administrator can tell a node to do; its text is read back from what it
/// prints: `add-learner n6`, `change n1 n2 n6`, `transfer n3`, `compact`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Order {
    /// Give a node the log, and no vote.
    AddLearner(Node),
    /// Give a learner a vote.
    Promote(Node),
    /// Take a member out.
    Remove(Node),
    /// Make exactly these the voters.
    Change(BTreeSet<Node>),
    /// Hand the leadership over to this node.
    Transfer(Node),
    /// Begin an election, without asking first whether it could be won.
    Campaign,
    /// Stop to lead.
    StepDown,
    /// Take a snapshot now.
    Snapshot,
    /// Drop all log entries that the newest snapshot stands for.
    Compact,
}

/// The kinds of orders: what a target says that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderKind {
    /// Who is a member.
    Membership,
    /// [`Order::Transfer`].
    Transfer,
    /// [`Order::Campaign`].
    Campaign,
    /// [`Order::StepDown`].
    StepDown,
    /// [`Order::Snapshot`].
    Snapshot,
    /// [`Order::Compact`].
    Compact,
}

impl OrderKind {
    /// Every kind, in order.
    pub const ALL: [OrderKind; 6] = [
        Self::Membership,
        Self::Transfer,
        Self::Campaign,
        Self::StepDown,
        Self::Snapshot,
        Self::Compact,
    ];
}

impl fmt::Display for OrderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Membership => "membership",
            Self::Transfer => "transfer",
            Self::Campaign => "campaign",
            Self::StepDown => "step-down",
            Self::Snapshot => "snapshot",
            Self::Compact => "compact",
        })
    }
}

impl Order {
    /// Its kind.
    pub fn kind(&self) -> OrderKind {
        match self {
            Self::AddLearner(_) | Self::Promote(_) | Self::Remove(_) | Self::Change(_) => {
                OrderKind::Membership
            }
            Self::Transfer(_) => OrderKind::Transfer,
            Self::Campaign => OrderKind::Campaign,
            Self::StepDown => OrderKind::StepDown,
            Self::Snapshot => OrderKind::Snapshot,
            Self::Compact => OrderKind::Compact,
        }
    }
}

/// An order that was not, or not surely, taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The node said no; nothing has changed by this order.
    #[error("{node} refused to {order}: {why}")]
    Refused {
        /// Which node.
        node: Node,
        /// What it was told.
        order: String,
        /// Why, in its words.
        why: String,
    },
    /// No answer, or none that says: the order may have been taken.
    #[error("{node} did not answer when told to {order}: {why}")]
    Unclear {
        /// Which node.
        node: Node,
        /// What it was told.
        order: String,
        /// What came instead of an answer.
        why: String,
    },
}

impl OrderError {
    /// Whether the order surely did nothing.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// Where a node stands, by its own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether it believes that it leads.
    pub leads: bool,
    /// Its term.
    pub term: u64,
    /// Who votes in the configuration that it goes by.
    pub voters: BTreeSet<Node>,
    /// Who gets the log without a vote.
    pub learners: BTreeSet<Node>,
    /// Whether that configuration is committed, and no change under way.
    pub is_settled: bool,
    /// Where in the log that configuration stands.
    pub members_index: u64,
    /// The end of its log.
    pub last: u64,
    /// Lowest index that is still in its log.
    pub first: u64,
    /// Last index in its newest snapshot, 0 where there is none.
    pub snapshot: u64,
    /// Highest index applied.
    pub applied: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLearner(node) => write!(f, "add-learner {node}"),
            Self::Promote(node) => write!(f, "promote {node}"),
            Self::Remove(node) => write!(f, "remove {node}"),
            Self::Change(voters) => {
                f.write_str("change")?;
                voters.iter().try_for_each(|node| write!(f, " {node}"))
            }
            Self::Transfer(to) => write!(f, "transfer {to}"),
            Self::Campaign => f.write_str("campaign"),
            Self::StepDown => f.write_str("step-down"),
            Self::Snapshot => f.write_str("snapshot"),
            Self::Compact => f.write_str("compact"),
        }
    }
}

/// A text that is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no order: use `add-learner n6`, `promote n6`, `remove n2`, `change n1 n2 n6`, \
     `transfer n3`, `campaign`, `step-down`, `snapshot` or `compact`"
)]
pub struct OrderTextError(String);

impl FromStr for Order {
    type Err = OrderTextError;

    fn from_str(text: &str) -> Result<Self, OrderTextError> {
        let wrong = || OrderTextError(text.to_owned());
        let mut words = text.split_whitespace();
        let verb = words.next().ok_or_else(wrong)?;
        let nodes = words.map(str::parse).collect::<Result<Vec<Node>, _>>();
        let nodes = nodes.map_err(|_| wrong())?;
        Ok(match (verb, nodes.as_slice()) {
            ("add-learner", [node]) => Self::AddLearner(*node),
            ("promote", [node]) => Self::Promote(*node),
            ("remove", [node]) => Self::Remove(*node),
            ("change", [_, ..]) => Self::Change(nodes.iter().copied().collect()),
            ("transfer", [node]) => Self::Transfer(*node),
            ("campaign", []) => Self::Campaign,
            ("step-down", []) => Self::StepDown,
            ("snapshot", []) => Self::Snapshot,
            ("compact", []) => Self::Compact,
            _ => return Err(wrong()),
        })
    }
}

stored_as_text!(Order);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_back_from_the_text_it_prints() {
        for text in [
            "add-learner n6",
            "promote n6",
            "remove n2",
            "change n1 n2 n6",
            "transfer n3",
            "campaign",
            "step-down",
            "snapshot",
            "compact",
        ] {
            assert_eq!(text.parse::<Order>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "promote",
            "remove n1 n2",
            "compact n1",
            "change",
            "transfer x",
        ] {
            assert!(text.parse::<Order>().is_err(), "{text}");
        }
    }
}
