//! What a cycle is called, and how it is told.

use super::super::object::Objects;
use super::super::reason::Reasons;
use super::super::words::{TRANSACTIONS_MAX, Words};
use super::super::{Kind, list, register};
use super::Cycle;

/// Said of an edge that no object explains, which there should not be.
const UNEXPLAINED: &str = "by what both did, though it is not clear to what";

/// What a cycle of such edges is called.
pub(super) fn name(cycle: &Cycle) -> String {
    let count = |why: Reasons| cycle.iter().filter(|(_, edge)| edge.meets(why)).count();
    let kind = match (count(Reasons::UNSEEN), count(Reasons::WR)) {
        (0, 0) => "G0",
        (0, _) => "G1c",
        (1, _) => "G-single",
        _ => "G2-item",
    };
    let order = match (count(Reasons::REAL_TIME), count(Reasons::PROCESS)) {
        (0, 0) => "",
        (0, _) => "-process",
        _ => "-realtime",
    };
    format!("{kind}{order}")
}

/// Who is in it, and why each came before the next.
pub(super) fn words(objects: &Objects<'_>, cycle: &Cycle) -> String {
    let places: Vec<u32> = cycle.iter().map(|(place, _)| *place).collect();
    let words = Words(objects.log);
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
    let (from, to) = places;
    if why == Reasons::PROCESS {
        return format!("{} did {t} and then {u}", words.who(from));
    }
    let log = objects.log;
    if why == Reasons::TIME {
        let completed = log.returned(from);
        let completed = completed.map_or(String::new(), |at| format!(" ({at})"));
        let invoked = log.invoked(to);
        return format!("{t} had completed{completed} before {u} was invoked ({invoked})");
    }
    let touched = log.did(to).into_iter();
    let mut touched = touched.filter_map(|did| objects.get(did));
    let told = touched.find_map(|object| match log.kind() {
        Kind::ListAppend => list::because(object, words, places, (t, u), why),
        Kind::RwRegister => register::because(object, words, places, (t, u), why),
    });
    told.unwrap_or_else(|| UNEXPLAINED.to_owned())
}
