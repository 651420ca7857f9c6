//! Reads and writes of one key.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Meta, SessionTurn, is_false};

/// How a read is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// The leader confirms its leadership after the request came in (ReadIndex), and the node
    /// that was asked answers from its own state once it has applied that far.
    #[default]
    Linearizable,
    /// The leader answers from its lease, if it has one, and confirms its leadership if not.
    /// Linearizable as long as clocks keep the stated bound.
    Lease,
    /// The read waits for an entry of its own in the log.
    Log,
    /// Whatever this node has applied: may be old, and is not linearizable.
    Local,
}

/// Read one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetRequest {
    /// The key.
    pub key: String,
    /// How fresh the answer must be; left out: as the node was told with `--read-mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GetResponse {
    /// Whether the key holds something.
    pub found: bool,
    /// The value, where the key holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Log index at which the key came to be; 0 where it is absent.
    pub create_index: u64,
    /// Log index of the last change of the key; 0 where it is absent.
    pub mod_index: u64,
    /// How often the key was changed since it came to be; 0 where it is absent.
    pub version: u64,
    /// Who answered, and from where in the log.
    pub meta: Meta,
}

/// Set a key whatever it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutRequest {
    /// The key.
    pub key: String,
    /// Its new value: any JSON but `null`.
    pub value: Value,
    /// Whether the answer should tell what it held before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub prev: bool,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
}

/// A key was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PutResponse {
    /// How often the key was changed since it came to be, this time included.
    pub version: u64,
    /// What it held before, where that was asked for and it held something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Value>,
    /// Who answered, and where in the log the write stands.
    pub meta: Meta,
}

/// Remove a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    /// The key.
    pub key: String,
    /// Whether the answer should tell what it held before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub prev: bool,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
}

/// A key is absent now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteResponse {
    /// True where it was there.
    pub deleted: bool,
    /// What it held before, where that was asked for and it held something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Value>,
    /// Who answered, and where in the log the write stands.
    pub meta: Meta,
}

/// Set a key if it holds what is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CasRequest {
    /// The key.
    pub key: String,
    /// What it must hold; `null` or left out: it must be absent.
    #[serde(default)]
    pub expect: Option<Value>,
    /// Instead of that: how often it must have been changed since it came to be; 0: it must be
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_version: Option<u64>,
    /// Its new value: any JSON but `null`.
    pub value: Value,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
}

/// The outcome of a compare-and-set; finding another value is an outcome too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CasResponse {
    /// True where the key held what was expected and was set.
    pub succeeded: bool,
    /// What the key held before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Value>,
    /// Who answered, and where in the log the decision stands.
    pub meta: Meta,
}

/// Put an element at the end of the list in a key, which begins empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendRequest {
    /// The key.
    pub key: String,
    /// The element: any JSON but `null`.
    pub element: Value,
    /// Whether the answer should have the whole list.
    #[serde(default, skip_serializing_if = "is_false")]
    pub list: bool,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
}

/// An element was put at the end of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppendResponse {
    /// How long the list is with it.
    pub length: u64,
    /// The whole list with it, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Value>,
    /// Who answered, and where in the log the append stands.
    pub meta: Meta,
}

/// Add to the number in a key, which begins at 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRequest {
    /// The key.
    pub key: String,
    /// How much; less than 0 to take away.
    pub delta: i64,
    /// Its place in a session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTurn>,
}

/// A number was added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddResponse {
    /// The number in the key now.
    pub value: i64,
    /// Who answered, and where in the log the addition stands.
    pub meta: Meta,
}

/// Read all keys that begin alike, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpRequest {
    /// How they begin; empty: all.
    #[serde(default)]
    pub prefix: String,
    /// How fresh the answer must be; left out: as the node was told with `--read-mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
}

/// The keys, and the moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DumpResponse {
    /// The keys, in order.
    pub keys: Vec<DumpedKey>,
    /// Who answered, and from where in the log.
    pub meta: Meta,
}

/// One key of a [`DumpResponse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DumpedKey {
    /// The key.
    pub key: String,
    /// What it holds.
    pub value: Value,
    /// Log index at which it came to be.
    pub create_index: u64,
    /// Log index of its last change.
    pub mod_index: u64,
    /// How often it was changed since it came to be.
    pub version: u64,
}
