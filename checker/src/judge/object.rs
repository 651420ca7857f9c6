//! The operations on an object, or on one under each key, packed as they come; and the verdict.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::packed::{Answered, Asked, Packed};
use super::reading::{key_of, same, says_something};
use super::source::{Source, locate};
use super::subject::{Wrong, wrong};
use super::{Judged, Sees, Unjudgeable};
use crate::budget::Budget;
use crate::history::{Event, EventKind, Operation, Process, Processes};
use crate::linearizability::{Telling, Told, check_each, explanation, finding};
use crate::model::{Keyed, Model};
use crate::verdict::Validity;

/// How an event is read as a question, and as the answer to one.
pub(super) type ReadOp<O> = fn(&Event) -> Result<Keyed<String, O>, Wrong>;
pub(super) type ReadRet<O, R> = fn(&Keyed<String, O>, &Event) -> Result<R, Wrong>;

/// A key in words, where there are several.
pub(super) type KeyWords = fn(&str) -> Option<String>;

/// One such object.
pub(super) const WHOLE: KeyWords = |_| None;

/// What a process asked, and by which name.
type Open<M> = (Named, Asked<Keyed<String, <M as Model>::Op>>);

/// The name of an operation, in few bytes.
type Named = u64;

fn named(event: &Event) -> Named {
    FxBuildHasher.hash_one(&event.f)
}

type Keys<M> = BTreeMap<String, Packed<<M as Model>::Op, <M as Model>::Ret>>;

/// What was read so far.
pub(super) struct Object<M: Model> {
    model: M,
    words: KeyWords,
    op: ReadOp<M::Op>,
    ret: ReadRet<M::Op, M::Ret>,
    keys: Keys<M>,
    /// What each process waits for.
    open: BTreeMap<Process, Open<M>>,
    processes: Processes,
    clients: Clients,
    source: Source,
}

/// What the number of a process says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clients {
    /// Nothing but its name.
    Any,
    /// Whose lock it is, in all its lives: a number that is too large to be a process's own has to
    /// be that of a later life.
    Counted,
}

impl<M: Model> Object<M> {
    /// One in all, or one under each key, as the model is and its keys are told.
    pub(super) fn new(
        words: KeyWords,
        model: M,
        op: ReadOp<M::Op>,
        ret: ReadRet<M::Op, M::Ret>,
    ) -> Self {
        Object {
            model,
            words,
            op,
            ret,
            keys: BTreeMap::new(),
            open: BTreeMap::new(),
            processes: Processes::default(),
            clients: Clients::Any,
            source: Source::default(),
        }
    }
}

impl<M: Model> Object<M> {
    /// The same, where processes are counted so.
    pub(super) fn of(self, clients: Clients) -> Self {
        Object { clients, ..self }
    }

    /// Nothing, or why this process is none that has a life before.
    fn stranger(&self, process: Process) -> Option<String> {
        let before = process.0.checked_sub(Process::LIFE).map(Process);
        let is_life = before.is_none_or(|before| self.processes.is_retired(before));
        let is_stranger = self.clients == Clients::Counted && !is_life;
        is_stranger.then(|| {
            format!(
                "its process has the number {}, and the clients of a lock are told apart by \
                 numbers below {}",
                process.0,
                Process::LIFE
            )
        })
    }
}

impl<M> Sees for Object<M>
where
    M: Model + Send,
    M::Op: Serialize + DeserializeOwned + Send,
    M::Ret: Serialize + DeserializeOwned + Send,
{
    fn see(&mut self, line: usize, event: &Event) -> Result<(), Unjudgeable> {
        let malformed = |source| Unjudgeable::Malformed { line, source };
        let process = event.process;
        if event.kind == EventKind::Invoke {
            let op = (self.op)(event).map_err(|what| wrong(line, event, &what))?;
            if let Some(what) = self.stranger(process) {
                return Err(wrong(line, event, &what).into());
            }
            let state = self.processes.invoke(process, event.time, 0);
            state.map_err(malformed)?;
            let asked = Asked {
                process,
                op,
                invoked: event.time,
                at: self.source.read(line, event),
            };
            self.open.insert(process, (named(event), asked));
            return Ok(());
        }
        let asked = match self.open.remove(&process) {
            Some((name, _)) if name != named(event) => {
                let what = "answers what its process did not ask";
                return Err(wrong(line, event, what).into());
            }
            asked => asked.map(|(_, asked)| asked),
        };
        let key = asked.as_ref().map(|asked| &asked.op.key);
        if event.key.is_some() && key.is_some_and(|key| *key != key_of(event, false)) {
            return Err(wrong(line, event, "answers for another key than was asked for").into());
        }
        let ret = match &asked {
            Some(asked) if event.kind == EventKind::Ok => {
                // An answer need not repeat the question, and may have a result in its place.
                if says_something(event)
                    && let Ok(again) = (self.op)(event)
                {
                    let same = same(&self.model, &asked.op, &again, event);
                    same.map_err(|what| wrong(line, event, &what))?;
                }
                let ret = (self.ret)(&asked.op, event);
                Some(ret.map_err(|what| wrong(line, event, &what))?)
            }
            _ => None,
        };
        let is_info = event.kind == EventKind::Info;
        let state = self.processes.complete(process, event.time, is_info);
        state.map_err(malformed)?;
        let at = self.source.read(line, event);
        let Some(asked) = asked else {
            return Ok(());
        };
        let answered = ret.map(|ret| Answered {
            completed: event.time,
            at,
            ret,
        });
        match event.kind {
            EventKind::Ok => self.pack(asked, answered.as_ref()),
            EventKind::Info => self.pack(asked, None),
            // It did not happen.
            EventKind::Fail | EventKind::Invoke => {}
        }
        Ok(())
    }

    /// What is open still stays so.
    fn finish(mut self: Box<Self>, budget: &Budget) -> Judged {
        for (_, asked) in std::mem::take(&mut self.open).into_values() {
            self.pack(asked, None);
        }
        let (words, source) = (self.words, self.source);
        let is_only = self.keys.len() == 1;
        let told: Vec<Told> = check_each(
            &self.model,
            self.keys.into_iter().collect(),
            budget,
            |(key, packed)| (words(key), packed.operations()),
            |(_, packed), verdict| {
                let places = std::cell::OnceCell::new();
                let places = || places.get_or_init(|| packed.places());
                let place = |telling: &Telling| {
                    let place = &places()[telling.operation.0];
                    source.place(place, telling)
                };
                let moment = |time| {
                    source.moment(time, || {
                        let returned = |op: &Operation<_, _>| op.returned() == Some(time);
                        let rank = packed.operations().iter().position(returned);
                        rank.and_then(|rank| places()[rank].end)
                    })
                };
                let mut told = verdict.told(is_only, &place, &moment);
                if let Some(anomaly) = told.anomaly_mut() {
                    locate(anomaly, places());
                }
                told
            },
        );
        let explanation = explanation(&told);
        let mut finding = finding(told);
        if finding.statistics["operations"] == 0 {
            finding.validity = Validity::Unknown;
            finding.summary = "nothing to judge: no operation is known to have happened, and none \
                               that may have could change anything"
                .to_owned();
        }
        Judged {
            events: source.events(),
            explanation,
            finding,
        }
    }
}

impl<M> Object<M>
where
    M: Model,
    M::Op: Serialize,
    M::Ret: Serialize,
{
    fn pack(&mut self, asked: Asked<Keyed<String, M::Op>>, answered: Option<&Answered<M::Ret>>) {
        let Keyed { key, op } = asked.op;
        // Nobody knows its answer, and it changed nothing.
        if answered.is_none() && self.model.is_read(&op, None) {
            return;
        }
        let asked = Asked {
            process: asked.process,
            op,
            invoked: asked.invoked,
            at: asked.at,
        };
        match self.keys.get_mut(&key) {
            Some(packed) => packed.push(&asked, answered),
            None => self.keys.entry(key).or_default().push(&asked, answered),
        }
    }
}
