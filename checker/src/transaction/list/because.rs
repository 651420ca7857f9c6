//! Why one transaction must come before another by what they did to one list, in words.

use super::super::graph::NONE;
use super::super::log::Fate;
use super::super::object::Object;
use super::super::reason::Reasons;
use super::super::words::Words;

/// Why the transaction `from` came before `to` by what they did to this list, in words.
pub(in super::super) fn because(
    object: &Object<'_>,
    words: Words<'_>,
    (from, to): (u32, u32),
    names: (&str, &str),
    why: Reasons,
) -> Option<String> {
    let (t, u, name) = (names.0, names.1, object.name);
    let value = |write: u32| object.writes[write as usize].value;
    let position = |write: u32| object.order.iter().position(|other| *other == write);
    let usable =
        |write: &&u32| **write != NONE && words.0.fate(object.place(**write)) != Fate::Fail;
    let next = |length: usize| object.order[length..].iter().find(usable).copied();
    let is_unseen = |write: &u32| position(*write).is_none();
    let mut theirs = object.writes_of(to);
    if why == Reasons::WW {
        return object.writes_of(from).find_map(|write| {
            let one = value(write);
            let after = position(write)? + 1;
            let Some(second) = next(after) else {
                let lost = value(object.writes_of(to).find(is_unseen)?);
                return Some(format!(
                    "{t} appended {one} to {name}, the last element that any read shows, and {u} \
                     appended {lost}, which none shows"
                ));
            };
            (object.place(second) == to).then(|| {
                let (two, at) = (value(second), position(second).unwrap_or(after));
                let mut reads = object.reads.iter();
                let saw = reads.find(|read| read.length != NONE && read.count() > at);
                let saw = saw.map_or(String::new(), |read| {
                    let who = words.who(read.reader);
                    format!(": {who} read it as {}", Words::list(&object.seen(read)))
                });
                format!("{t} appended {one} to {name}, and {u} then {two}{saw}")
            })
        });
    }
    if why == Reasons::WR {
        let read = object.read_of(to).filter(|read| read.length != NONE)?;
        let last = *object.order.get((read.length as usize).checked_sub(1)?)?;
        let is_theirs = last != NONE && object.place(last) == from;
        return is_theirs.then(|| {
            let (one, seen) = (value(last), Words::list(&object.seen(read)));
            format!("{t} appended {one} to {name}, and {u} read it as {seen}")
        });
    }
    let read = object.read_of(from).filter(|read| read.length != NONE)?;
    let seen = Words::list(&object.seen(read));
    match next(read.length as usize) {
        Some(next) if object.place(next) == to => {
            let one = value(next);
            Some(format!(
                "{t} read {name} as {seen}, without the {one} that {u} appended"
            ))
        }
        Some(_) => None,
        None => theirs.find(is_unseen).map(|lost| {
            let lost = value(lost);
            format!(
                "{t} read {name} as {seen}, without the {lost} that {u} appended and that no read \
                 shows"
            )
        }),
    }
}
