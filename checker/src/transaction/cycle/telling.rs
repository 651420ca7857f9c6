//! What a cycle is called, and how it is told.

use super::super::object::{Objects, steps};
use super::super::reason::Reasons;
use super::super::words::{TRANSACTIONS_MAX, Words};
use super::super::{Kind, Step, list, register};
use super::Cycle;
use crate::history::OperationId;

/// Said of an edge that no object explains, which there should not be.
const UNEXPLAINED: &str = "by what both did, though it is not clear to what";

/// What a cycle of such edges is called.
pub(super) fn name(cycle: &Cycle) -> String {
    let count = |why: Reasons| cycle.iter().filter(|(_, edge)| *edge == why).count();
    let kind = match (count(Reasons::RW), count(Reasons::WR)) {
        (0, 0) => "G0",
        (0, _) => "G1c",
        (1, _) => "G-single",
        _ => "G2-item",
    };
    let order = match (count(Reasons::TIME), count(Reasons::PROCESS)) {
        (0, 0) => "",
        (0, _) => "-process",
        _ => "-realtime",
    };
    format!("{kind}{order}")
}

/// Who is in it, and why each came before the next.
pub(super) fn words(objects: &Objects<'_>, cycle: &Cycle) -> String {
    let places: Vec<u32> = cycle.iter().map(|(place, _)| *place).collect();
    let words = Words {
        kind: objects.kind,
        history: objects.history,
    };
    let mut parts = vec![words.introduce(&places)];
    for (at, (from, why)) in cycle.iter().enumerate() {
        // Of a long one its beginning, and what closes it.
        if at >= TRANSACTIONS_MAX && at + 1 < cycle.len() {
            continue;
        }
        let next = (at + 1) % cycle.len();
        let names = (format!("T{}", at + 1), format!("T{}", next + 1));
        let (t, u) = (names.0.as_str(), names.1.as_str());
        let because = because(objects, words, (*from, places[next]), (t, u), *why);
        parts.push(format!("{t} came before {u}: {because}"));
    }
    parts.push(format!("So {}: no order is like that", circle(cycle.len())));
    parts.join(".\n")
}

/// `T1 before T2 before T1`; of a long one its beginning and its end.
fn circle(length: usize) -> String {
    let name = |at: usize| format!("T{at}");
    let mut names: Vec<String> = (1..=length.min(TRANSACTIONS_MAX)).map(name).collect();
    if length > TRANSACTIONS_MAX {
        names.push("…".to_owned());
        names.push(name(length));
    }
    names.push(name(1));
    names.join(" before ")
}

fn because(
    objects: &Objects<'_>,
    words: Words<'_>,
    places: (u32, u32),
    (t, u): (&str, &str),
    why: Reasons,
) -> String {
    let operation = |place: u32| objects.history.get(OperationId(place as usize));
    let (from, to) = (operation(places.0), operation(places.1));
    if why == Reasons::PROCESS {
        return format!("{} did {t} and then {u}", from.process());
    }
    if why == Reasons::TIME {
        let completed = from
            .returned()
            .map_or(String::new(), |at| format!(" ({at})"));
        let invoked = to.invoked();
        return format!("{t} had completed{completed} before {u} was invoked ({invoked})");
    }
    let touched = steps(to).iter().map(Step::name);
    let mut objects = touched.filter_map(|name| objects.named(name));
    let told = objects.find_map(|object| match words.kind {
        Kind::ListAppend => list::because(object, words, places, (t, u), why),
        Kind::RwRegister => register::because(object, places, (t, u), why),
    });
    told.unwrap_or_else(|| UNEXPLAINED.to_owned())
}
