//! Sessions: a client that numbers its requests may repeat one, and it is applied once.

use serde::{Deserialize, Serialize};

use super::Meta;

/// Open a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenSessionRequest {
    /// For how long the client may be silent before the session ends, in milliseconds; left out:
    /// a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// Say that a session is still needed, or that it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// Its name.
    pub session: u64,
}

/// A session was opened, kept or closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResponse {
    /// Its name: the log index of the entry that opened it.
    pub session: u64,
    /// Who answered, and where in the log that stands.
    pub meta: Meta,
}

/// A write's place in a session. A write that is sent again with the same number is applied once,
/// and each time answered with what it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTurn {
    /// The session's name.
    pub id: u64,
    /// The write's number: another for each write.
    pub seq: u64,
    /// The client has the answers to all below this number and will not ask for them again; it is
    /// not above `seq`.
    #[serde(default)]
    pub acked_below: u64,
    /// True where this write was sent before. Then `SESSION_UNKNOWN` and `SEQ_TOO_OLD` prove
    /// nothing: it may have been applied while the session was known.
    #[serde(default)]
    pub retry: bool,
}
