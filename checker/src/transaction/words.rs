//! Transactions, and what they saw, in words.

use super::log::{Fate, Log, Seen};
use super::{Elements, Kind, Step};

/// So many elements of a list are written out; of a longer one its end.
const ELEMENTS_MAX: usize = 8;
/// So many transactions are introduced.
pub(crate) const TRANSACTIONS_MAX: usize = 12;
/// So many steps of a transaction are written out.
const STEPS_MAX: usize = 12;

/// How transactions are told.
#[derive(Clone, Copy)]
pub(super) struct Words<'h>(pub(super) &'h Log);

/// What a kind of violation is, for somebody who does not know its name.
pub(super) fn title(kind: &str) -> String {
    let orders = [
        ("-process", ", with the order within a process"),
        ("-realtime", ", with the order in time"),
    ];
    let mut with_order = orders.iter();
    let with_order = with_order.find_map(|(end, order)| Some((kind.strip_suffix(end)?, *order)));
    let (name, order) = with_order.unwrap_or((kind, ""));
    let title = match name {
        "G-single" if !order.is_empty() => {
            "Stale read: one of them missed a write that it must come after"
        }
        "G0" => "Dirty write: what they wrote is in no one order",
        "G1c" => "Circular flow: each of them comes after the other, by what it saw or overwrote",
        "G-single" => "Read skew: one of them missed a write that it must come after",
        "G2-item" => "Write skew: they missed each other's writes",
        "G1a" => "Aborted read: what a failed transaction wrote was seen",
        "G1b" => "Intermediate read: only a part of what was written together was seen",
        "internal" => "A transaction that contradicts itself",
        "incompatible-order" => "One list, seen in two orders",
        "duplicate-elements" => "One element, seen twice in a list",
        "garbage-read" => "A read of what nobody wrote",
        "lost-update" => "Lost update: two of them went on from the same version",
        other => other,
    };
    format!("{title}{order}")
}

impl Words<'_> {
    /// `[1, 2]`; of a long list how much there is, and its end.
    pub(super) fn list(elements: &Elements) -> String {
        let length = elements.len();
        let left_out = match length > ELEMENTS_MAX {
            true => length - ELEMENTS_MAX / 2,
            false => 0,
        };
        let mut words: Vec<String> = Vec::new();
        if left_out > 0 {
            words.push(format!("({left_out} more)"));
        }
        words.extend(elements.iter().skip(left_out).map(|one| one.to_string()));
        format!("[{}]", words.join(", "))
    }

    /// A register's value, or that it has none.
    pub(super) fn value(value: Option<i64>) -> String {
        value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
    }

    /// Whose transaction that is.
    pub(super) fn who(self, place: u32) -> String {
        self.0.process(place).to_string()
    }

    /// What a read saw of the object of that number.
    pub(super) fn seen(self, object: u32, seen: Seen) -> String {
        match seen {
            Seen::List(version) => Words::list(&self.0.versions(object).elements(version)),
            Seen::Value(value) => Words::value(value),
        }
    }

    fn step(self, step: &Step) -> String {
        match step {
            Step::Append(name, value) => format!("append {name} {value}"),
            Step::Write(name, value) => format!("write {name} {value}"),
            Step::Read(name, Some(seen)) => {
                let seen = match self.0.kind() {
                    Kind::ListAppend => Words::list(seen),
                    Kind::RwRegister => Words::value(seen.iter().next()),
                };
                format!("read {name} → {seen}")
            }
            Step::Read(name, None) => format!("read {name}"),
        }
    }

    /// `T1 is p3's (append x 1)`, `T2 is p4's (read x → [1]), whose result is unknown`, each on a
    /// line.
    pub(super) fn introduce(self, places: &[u32]) -> String {
        let first = (1..).zip(places).take(TRANSACTIONS_MAX);
        let each = first.map(|(number, place)| {
            let all = self.0.steps(*place);
            let mut words: Vec<String> = all
                .iter()
                .take(STEPS_MAX)
                .map(|step| self.step(step))
                .collect();
            if all.len() > STEPS_MAX {
                words.push(format!("{} more steps", all.len() - STEPS_MAX));
            }
            let ended = match self.0.fate(*place) {
                Fate::Ok => "",
                Fate::Fail => ", which certainly failed",
                Fate::Info => ", whose result is unknown",
            };
            let who = self.who(*place);
            format!("T{number} is {who}'s ({}){ended}", words.join(", "))
        });
        let mut each: Vec<String> = each.collect();
        if places.len() > TRANSACTIONS_MAX {
            each.push(format!(
                "There are {} more",
                places.len() - TRANSACTIONS_MAX
            ));
        }
        each.join(".\n")
    }
}
