//! What coordinators and replicas say to each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::register::Register;
use crate::raft::NodeId;

/// One message. Any of them may be lost, late, doubled or out of order; none is ever changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The coordinator's number for the operation, unique over all its lives.
    pub operation: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// What do you hold for this key?
    Query {
        /// The key.
        key: String,
    },
    /// The answer to [`Body::Query`].
    Value {
        /// What the replica holds on its disk; none where it never got anything.
        register: Option<Register>,
    },
    /// Keep this, unless you have something newer.
    Store {
        /// The key.
        key: String,
        /// What to keep.
        register: Register,
    },
    /// The answer to [`Body::Store`]: this, or something newer, is on the replica's disk.
    Stored,
}

impl Body {
    /// What the message is called.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Query { .. } => "query",
            Self::Value { .. } => "value",
            Self::Store { .. } => "store",
            Self::Stored => "stored",
        }
    }

    /// True where the message must not leave before everything handed out for persisting so far
    /// is durable: a replica that forgets what it has answered breaks every quorum it was in.
    #[must_use]
    pub const fn is_promise(&self) -> bool {
        matches!(self, Self::Value { .. } | Self::Stored)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            operation,
            body,
        } = self;
        write!(f, "{from}->{to} op={operation} {body}")
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query { key } => write!(f, "query {key}"),
            Self::Value { register: None } => write!(f, "value nothing"),
            Self::Value {
                register: Some(register),
            } => write!(f, "value {register}"),
            Self::Store { key, register } => write!(f, "store {key} {register}"),
            Self::Stored => write!(f, "stored"),
        }
    }
}
