//! What a history is of, and how its events are read as that object's operations.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Sees;
use super::object::{Clients, KeyWords, Object, ReadOp, ReadRet, WHOLE};
use super::reading::{
    append_op, append_ret, counter_op, counter_ret, fenced_ret, lock_op, register_op, register_ret,
    registers_op, registers_ret, sequence_op, sequence_ret, set_op, set_ret, unkeyed,
};
use super::transactions::Transactions;
use crate::format::FormatError;
use crate::history::{Event, EventKind};
use crate::model::{
    AppendString, CasRegister, Counter, FencedLock, FifoQueue, LockRet, Model, Mutex, Registers,
    Set, Stack,
};
use crate::transaction;

/// An object that a file can be judged as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Registers with compare-and-set, one or one per key.
    Register,
    /// Strings with append, one per key.
    Kv,
    /// A set, read as a whole.
    Set,
    /// A first-in first-out queue.
    Queue,
    /// A last-in first-out stack.
    Stack,
    /// A counter.
    Counter,
    /// A lock.
    Mutex,
    /// A lock that gives a larger token to each holder.
    FencedLock,
    /// Transactions on registers, searched for an order as one object: any values will do.
    Registers,
    /// Transactions that append to lists and read them.
    ListAppend,
    /// Transactions that write registers and read them.
    RwRegister,
}

/// Every name of an operation that some model has.
const KNOWN: [&str; 17] = [
    "acquire", "add", "append", "cas", "contains", "dequeue", "enqueue", "get", "pop", "push",
    "put", "read", "read-set", "release", "remove", "txn", "write",
];

/// What is wrong with an event, in words.
pub(super) type Wrong = String;

/// The same, with where and of what.
pub(super) fn wrong(line: usize, event: &Event, what: &str) -> FormatError {
    FormatError::new(line, format!("{} {}: {what}", event.process, event.f))
}

impl Subject {
    /// All, with the names that a command line takes.
    pub const ALL: [(&'static str, Subject); 11] = [
        ("register", Subject::Register),
        ("kv", Subject::Kv),
        ("set", Subject::Set),
        ("queue", Subject::Queue),
        ("stack", Subject::Stack),
        ("counter", Subject::Counter),
        ("mutex", Subject::Mutex),
        ("fenced-lock", Subject::FencedLock),
        ("registers", Subject::Registers),
        ("list-append", Subject::ListAppend),
        ("rw-register", Subject::RwRegister),
    ];

    /// What is judged, and by which names of operations it is known, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Subject::Register => "registers with compare-and-set: read, write, cas",
            Subject::Kv => "strings under keys: get, put, append",
            Subject::Set => "sets: add, remove, contains, and read of the whole",
            Subject::Queue => "a first-in first-out queue: enqueue, dequeue",
            Subject::Stack => "a last-in first-out stack: push, pop",
            Subject::Counter => "a counter: add, read",
            Subject::Mutex => "a lock with one holder: acquire, release",
            Subject::FencedLock => "a lock with tokens: acquire, which returns one, and release",
            Subject::Registers => "few transactions on registers of any values: txn of w and r",
            Subject::ListAppend => "transactions on lists: txn of append and r",
            Subject::RwRegister => "transactions on registers: txn of w and r",
        }
    }

    /// What these events are of, if it can be told from the names of their operations.
    pub fn guess<'e>(events: impl Iterator<Item = &'e Event>) -> Option<Subject> {
        let (mut names, mut reads, mut adds_pairs) = (BTreeSet::new(), Vec::new(), false);
        let (mut steps, mut gives_tokens) = (BTreeSet::new(), false);
        for event in events {
            names.insert(event.f.as_str());
            if event.f == "read" && event.kind == EventKind::Ok {
                reads.push(&event.value);
            }
            adds_pairs |= event.f == "add" && event.key.is_none() && event.value.is_array();
            gives_tokens |=
                event.f == "acquire" && event.kind == EventKind::Ok && event.value.is_i64();
            if event.f == "txn" {
                let micro = event.value.as_array().into_iter().flatten();
                steps.extend(micro.filter_map(|step| step.get(0)?.as_str()));
            }
        }
        // Of `[key value]` pairs where the questions are such.
        let read = |value: &&Value| match value.as_array().map(Vec::as_slice) {
            Some([_, value]) if adds_pairs => value.clone(),
            _ => unkeyed(value).clone(),
        };
        let reads_many = reads.iter().any(|value| read(value).is_array());
        let adds_many = reads.iter().any(|value| read(value).is_i64());
        let only = |allowed: &[&str]| names.iter().all(|name| allowed.contains(name));
        let has = |name: &str| names.contains(name);
        Some(match () {
            () if only(&["txn"]) && steps.contains("append") => Subject::ListAppend,
            () if only(&["txn"]) && steps.contains("w") => Subject::RwRegister,
            () if only(&["add", "read-set", "remove", "contains"])
                && ["read-set", "remove", "contains"].into_iter().any(has) =>
            {
                Subject::Set
            }
            () if only(&["add", "read"]) && has("add") && reads_many => Subject::Set,
            () if only(&["add", "read"]) && has("add") && adds_many => Subject::Counter,
            () if only(&["get", "put", "append"]) && !names.is_empty() => Subject::Kv,
            () if only(&["enqueue", "dequeue"]) && !names.is_empty() => Subject::Queue,
            () if only(&["push", "pop"]) && !names.is_empty() => Subject::Stack,
            () if only(&["acquire", "release"]) && gives_tokens => Subject::FencedLock,
            () if only(&["acquire", "release"]) && !names.is_empty() => Subject::Mutex,
            () if only(&["read", "write", "cas"]) && !names.is_empty() => Subject::Register,
            () => return None,
        })
    }

    /// Why [`Subject::guess`] could not tell.
    pub(crate) fn no_guess<'e>(events: impl Iterator<Item = &'e Event>) -> String {
        let names: BTreeSet<&str> = events.map(|event| event.f.as_str()).collect();
        let foreign: Vec<&str> = names
            .iter()
            .filter(|name| !KNOWN.contains(name))
            .copied()
            .collect();
        match foreign.as_slice() {
            _ if names.is_empty() => "there are none".to_owned(),
            [] if names.iter().all(|name| ["add", "read"].contains(name)) => {
                "a set and a counter both have them, and no read shows which it is".to_owned()
            }
            [] => "no model has all of them".to_owned(),
            foreign => format!("no model has {}", foreign.join(" or ")),
        }
    }

    /// Nothing read of it yet; keys are told in those words.
    pub(super) fn begin(self, keys: KeyWords) -> Box<dyn Sees> {
        use transaction::Kind::{ListAppend, RwRegister};
        match self {
            Subject::Register => boxed(keys, CasRegister, register_op, register_ret),
            Subject::Kv => boxed(keys, AppendString, append_op, append_ret),
            Subject::Set => boxed(keys, Set, set_op, set_ret),
            Subject::Queue => boxed(keys, FifoQueue, sequence_op, sequence_ret),
            Subject::Stack => boxed(keys, Stack, sequence_op, sequence_ret),
            Subject::Counter => boxed(keys, Counter, counter_op, counter_ret),
            Subject::Mutex => locks(keys, Mutex, lock_op, |_, _| Ok(LockRet::Done(None))),
            Subject::FencedLock => locks(keys, FencedLock, lock_op, fenced_ret),
            Subject::Registers => boxed(WHOLE, Registers, registers_op, registers_ret),
            Subject::ListAppend => Box::new(Transactions::new(ListAppend)),
            Subject::RwRegister => Box::new(Transactions::new(RwRegister)),
        }
    }
}

fn boxed<M>(
    words: KeyWords,
    model: M,
    op: ReadOp<M::Op>,
    ret: ReadRet<M::Op, M::Ret>,
) -> Box<dyn Sees>
where
    M: Model + Send + 'static,
    M::Op: Serialize + DeserializeOwned + Send,
    M::Ret: Serialize + DeserializeOwned + Send,
{
    Box::new(Object::new(words, model, op, ret))
}

/// The same of objects that know their clients.
fn locks<M>(
    words: KeyWords,
    model: M,
    op: ReadOp<M::Op>,
    ret: ReadRet<M::Op, M::Ret>,
) -> Box<dyn Sees>
where
    M: Model + Send + 'static,
    M::Op: Serialize + DeserializeOwned + Send,
    M::Ret: Serialize + DeserializeOwned + Send,
{
    Box::new(Object::new(words, model, op, ret).of(Clients::Counted))
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Subject::ALL.iter().find(|(_, subject)| subject == self);
        f.pad(name.map_or("?", |(name, _)| name))
    }
}
