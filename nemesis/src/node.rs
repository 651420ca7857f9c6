//! The parties of a cluster and the directed edges between them, with their names as text.
//!
//! Everything that is written to a plan, an event or a report uses these names (`n1`, `clients`,
//! `n1 -> n2`), and everything that reads one of them back goes through the same `FromStr`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::text::stored_as_text;

/// A node of the cluster, counted from 1 and written `n1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Node(pub u16);

impl Node {
    /// The nodes `n1 … nCOUNT`, in order.
    pub fn first(count: u16) -> impl Iterator<Item = Node> + Clone {
        (1..=count).map(Node)
    }
}

/// One end of an edge: a node, or the clients taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Endpoint {
    /// The harness's clients, who share one network namespace and address.
    Clients,
    /// A node.
    Node(Node),
}

impl Endpoint {
    /// The node, unless it is the clients.
    pub fn node(self) -> Option<Node> {
        match self {
            Self::Clients => None,
            Self::Node(node) => Some(node),
        }
    }
}

/// A direction in which packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Edge {
    /// Who sends.
    pub from: Endpoint,
    /// Who receives.
    pub to: Endpoint,
}

impl Edge {
    /// The edge from `from` to `to`.
    pub fn new(from: impl Into<Endpoint>, to: impl Into<Endpoint>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
        }
    }

    /// The same edge in the other direction.
    pub fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

/// A name that is none of a node, an endpoint or an edge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NameError {
    text: String,
    expected: &'static str,
}

impl NameError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl FromStr for Node {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError::new(text, "a node (n1, n2, …)");
        let digits = text.strip_prefix('n').ok_or_else(error)?;
        // `u16::from_str` would take `+1` and `01` too; a name has one spelling.
        if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        digits.parse().map(Node).map_err(|_| error())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients => f.write_str("clients"),
            Self::Node(node) => node.fmt(f),
        }
    }
}

impl FromStr for Endpoint {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "clients" {
            return Ok(Self::Clients);
        }
        text.parse()
            .map(Self::Node)
            .map_err(|_| NameError::new(text, "a node (n1, n2, …) or `clients`"))
    }
}

impl From<Node> for Endpoint {
    fn from(node: Node) -> Self {
        Self::Node(node)
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

impl FromStr for Edge {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (from, to) = text
            .split_once("->")
            .ok_or_else(|| NameError::new(text, "an edge (n1 -> n2)"))?;
        Ok(Self {
            from: from.trim().parse()?,
            to: to.trim().parse()?,
        })
    }
}

stored_as_text!(Node, Endpoint, Edge);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_as_written() {
        let edge = Edge::new(Node(12), Endpoint::Clients);
        assert_eq!(edge.to_string(), "n12 -> clients");
        assert_eq!("n12->clients".parse::<Edge>(), Ok(edge));
        assert_eq!(serde_json::to_string(&edge).unwrap(), "\"n12 -> clients\"");
    }

    #[test]
    fn a_name_has_one_spelling() {
        for text in [
            "", "n", "n0", "n01", "n+1", "n-1", "1", "N1", "n65536", "n1 ", "node1",
        ] {
            assert!(text.parse::<Node>().is_err(), "{text:?} was taken");
        }
        let error = "m1".parse::<Endpoint>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`m1` is not a node (n1, n2, …) or `clients`"
        );
    }
}
