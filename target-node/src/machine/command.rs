//! Proposals as they stand in the log, and what they come to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::session::{LogTime, SessionId, Turn};
use crate::protocol::{Guard, MicroOp};
use crate::raft::{LogId, Opaque};

/// What an entry asks for, as it stands in the log: JSON, so that a person can read a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) command: Command,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) turn: Option<Turn>,
    /// How late it is, where that matters: the leader says it when it appends the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<LogTime>,
}

impl From<Command> for Proposal {
    fn from(command: Command) -> Self {
        Self {
            command,
            turn: None,
            at: None,
        }
    }
}

impl Proposal {
    pub(crate) fn encode(&self) -> Opaque {
        let bytes = serde_json::to_vec(self).expect("JSON values can be written as JSON");
        Opaque::from(bytes)
    }

    /// The proposal; none where the bytes are none of this version.
    pub(crate) fn decode(bytes: &Opaque) -> Option<Self> {
        serde_json::from_slice(bytes.as_bytes()).ok()
    }

    /// True where the leader has to say how late it is.
    pub(crate) fn needs_time(&self) -> bool {
        self.turn.is_some() || self.command.is_about_sessions()
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Set the key.
    Put {
        key: String,
        value: Value,
        /// Tell what it held before.
        #[serde(default, skip_serializing_if = "is_false")]
        prev: bool,
    },
    /// Remove the key.
    Delete {
        key: String,
        /// Tell what it held before.
        #[serde(default, skip_serializing_if = "is_false")]
        prev: bool,
    },
    /// Set the key if it holds what is expected.
    Cas {
        key: String,
        expect: Expect,
        value: Value,
    },
    /// Put an element at the end of the list in the key.
    Append {
        key: String,
        element: Value,
        /// Tell the whole list.
        #[serde(default, skip_serializing_if = "is_false")]
        list: bool,
    },
    /// Add to the number in the key.
    Add { key: String, delta: i64 },
    /// Several operations as one.
    Transaction {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        guards: Vec<Guard>,
        then: Vec<MicroOp>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        otherwise: Vec<MicroOp>,
    },
    /// Open a session, named by the entry's index.
    OpenSession { ttl_ms: u64 },
    /// The client of the session lives.
    KeepSession { session: SessionId },
    /// The client needs the session no more.
    CloseSession { session: SessionId },
    /// End the sessions that have been silent for too long.
    ExpireSessions,
}

/// What a compare-and-set expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expect {
    /// The key is absent.
    Absent,
    /// It holds this value.
    Value(Value),
    /// It was changed so often since it came to be.
    Version(u64),
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Command {
    /// The key that it is about; none where it is about several, or about none.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Put { key, .. }
            | Self::Delete { key, .. }
            | Self::Cas { key, .. }
            | Self::Append { key, .. }
            | Self::Add { key, .. } => Some(key),
            Self::Transaction { .. }
            | Self::OpenSession { .. }
            | Self::KeepSession { .. }
            | Self::CloseSession { .. }
            | Self::ExpireSessions => None,
        }
    }

    /// True where neither what it does nor what it answers depends on what the key holds.
    pub(crate) fn is_blind(&self) -> bool {
        match self {
            Self::Put { prev, .. } => !prev,
            Self::Delete { .. }
            | Self::Cas { .. }
            | Self::Append { .. }
            | Self::Add { .. }
            | Self::Transaction { .. }
            | Self::OpenSession { .. }
            | Self::KeepSession { .. }
            | Self::CloseSession { .. }
            | Self::ExpireSessions => false,
        }
    }

    fn is_about_sessions(&self) -> bool {
        match self {
            Self::OpenSession { .. }
            | Self::KeepSession { .. }
            | Self::CloseSession { .. }
            | Self::ExpireSessions => true,
            Self::Put { .. }
            | Self::Delete { .. }
            | Self::Cas { .. }
            | Self::Append { .. }
            | Self::Add { .. }
            | Self::Transaction { .. } => false,
        }
    }
}

/// A proposal that was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The entry: of a repeated one the first that carried it.
    pub(crate) id: LogId,
    /// What it came to.
    pub(crate) outcome: Outcome,
    /// True where it was applied before, and this is the answer of then.
    #[serde(default)]
    pub(crate) is_repeat: bool,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The key was set.
    Put {
        /// How often it was changed since it came to be.
        version: u64,
        /// What it held, where that was asked for.
        prev: Option<Value>,
    },
    /// The key is absent now.
    Delete {
        /// Whether it was there.
        deleted: bool,
        /// What it held, where that was asked for.
        prev: Option<Value>,
    },
    /// Whether the key held what was expected, and what it held.
    Cas {
        succeeded: bool,
        current: Option<Value>,
    },
    /// How long the list is now.
    Append {
        length: u64,
        /// All of it, where that was asked for.
        list: Option<Value>,
    },
    /// The number in the key now.
    Add { value: i64 },
    /// Whether the guards held, and what was then done.
    Transaction { succeeded: bool, ops: Vec<MicroOp> },
    /// The session is there, or was until now.
    Session { id: SessionId },
    /// So many sessions have ended.
    Expired { count: u64 },
    /// There is no such session, or no more; nothing was done.
    NoSession,
    /// The client has said that it has the answer, so it was forgotten; nothing was done.
    SeqTooOld { acked_below: u64 },
    /// The command could not be applied to this state, on no node, and changed nothing.
    Refused { reason: String },
    /// The same, because what it would lead to is too large.
    TooLarge { reason: String },
}

impl Outcome {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proposal_survives_the_log_and_other_bytes_are_none() {
        let commands = [
            Command::Cas {
                key: "k".to_owned(),
                expect: Expect::Value(json!([1, "two"])),
                value: json!({"three": 3.5}),
            },
            Command::Put {
                key: "k".to_owned(),
                value: json!(1),
                prev: true,
            },
            Command::Transaction {
                guards: Vec::new(),
                then: vec![MicroOp::Add {
                    key: "n".to_owned(),
                    delta: i64::MIN,
                }],
                otherwise: Vec::new(),
            },
            Command::ExpireSessions,
        ];
        for command in commands {
            let mut proposal = Proposal::from(command);
            assert_eq!(Proposal::decode(&proposal.encode()), Some(proposal.clone()));
            proposal.at = Some(9);
            proposal.turn = Some(Turn {
                session: 3,
                seq: 2,
                acked_below: 1,
            });
            assert_eq!(Proposal::decode(&proposal.encode()), Some(proposal));
        }
        assert_eq!(Proposal::decode(&Opaque::from(&b"{}"[..])), None);
    }
}
