//! A contradiction in words, for somebody who has never seen this tool.

mod order;

use super::cast::drawn;
use crate::linearizability::{Contradiction, Early, Prefix, Step, Stuck, Telling};

/// How many stuck operations a message names; the rest is in the data.
const NAMED_MAX: usize = 4;
/// How many operations are drawn, and how many steps are told.
pub(super) const DRAWN_MAX: usize = 30;
/// Why one operation is wrong by itself.
const NOWHERE: &str =
    "cannot be explained: nothing that had begun by then, and did not fail, leads to it";
/// How many pairs are named that time puts in order.
const PAIRS_MAX: usize = 3;
/// Longer texts are told without their middle.
const BRIEF_MAX: usize = 60;
/// Longer lines are wrapped.
pub(super) const LINE_MAX: usize = 100;

/// How operations are named: by when they were, or where they stand in a file.
#[derive(Clone, Copy)]
pub(in crate::linearizability) struct Words<'w> {
    pub(in crate::linearizability) place: &'w dyn Fn(&Telling) -> String,
    /// What holds a state: `the object`, or `key 7`.
    pub(in crate::linearizability) holder: &'w str,
}

/// From when to when.
pub(in crate::linearizability) fn by_time(telling: &Telling) -> String {
    let invoked = telling.invoked;
    match telling.returned {
        Some(returned) => format!("{invoked} to {returned}"),
        None => format!("from {invoked}, never returned"),
    }
}

impl Words<'_> {
    /// An operation as one phrase: who, what, when.
    fn phrase(self, telling: &Telling) -> String {
        format!("{} ({})", name(telling), (self.place)(telling))
    }

    /// Why nothing can follow the longest consistent order, in which some of these were put where
    /// they help most; `is_alone` where one operation is wrong by itself.
    pub(in crate::linearizability) fn reasons(
        self,
        prefix: &Prefix,
        steps: &[Step],
        is_alone: bool,
    ) -> Vec<String> {
        let named = prefix.stuck.iter().take(NAMED_MAX);
        let mut reasons: Vec<String> = named
            .map(|stuck| {
                let why = match is_alone {
                    true => NOWHERE.to_owned(),
                    false => self.why(stuck, prefix, steps),
                };
                format!("{} {why}.", self.phrase(&stuck.telling))
            })
            .collect();
        match prefix.stuck.len().saturating_sub(NAMED_MAX) {
            0 => {}
            1 => reasons.push("1 more is stuck there.".to_owned()),
            more => reasons.push(format!("{more} more are stuck there.")),
        }
        reasons
    }

    fn why(self, stuck: &Stuck, prefix: &Prefix, steps: &[Step]) -> String {
        let (holder, holds) = (self.holder, &prefix.state);
        let is_supposed = |writer: &Telling| {
            let mut helpers = steps.iter().filter(|step| !step.is_needed);
            helpers.any(|step| step.telling.operation == writer.operation)
        };
        match &prefix.writer {
            // An order was found to lead on, or was not tried in time.
            _ if stuck.can_follow => "could follow, but no order was found from there".to_owned(),
            Some(writer) if is_supposed(writer) => {
                let writer = self.phrase(writer);
                format!(
                    "cannot follow: {holder} holds {holds} even with {writer} put where it helps \
                     most, whatever came of it"
                )
            }
            Some(writer) => {
                let writer = self.phrase(writer);
                format!("cannot follow: {holder} holds {holds}, since {writer}")
            }
            None => format!("cannot follow: {holder} still holds {holds}"),
        }
    }

    /// All of it: how much is needed, the drawing, the order, and what contradicts it.
    pub(in crate::linearizability) fn tell(
        self,
        object: &str,
        operations: usize,
        contradiction: &Contradiction,
    ) -> String {
        let mut text = format!("{object} is not linearizable");
        text[..1].make_ascii_uppercase();
        let culprits = self.culprits(contradiction);
        let culprits = culprits.map_or(String::new(), |culprits| format!(": {culprits}"));
        text.push_str(&format!("{culprits}.\n"));
        text.push_str(
            "There is no order of its operations, each taking effect at one moment between its \
             call and its return, that gives all of them the results that they got.\n",
        );
        if contradiction.minimal.is_empty() {
            text.push_str("The history is too long to be narrowed down.\n");
            for reason in self.reasons(&contradiction.prefix, &[], false) {
                text.push_str(&format!("{reason}\n"));
            }
            return wrapped(&text);
        }
        text.push_str(&claim(contradiction, operations));
        let (text, story) = (wrapped(&text), wrapped(&self.story(contradiction)));
        format!("{text}\n{}\n{story}", drawn(contradiction))
    }

    /// What is wrong, in one line: which operations cannot be explained.
    fn culprits(self, contradiction: &Contradiction) -> Option<String> {
        let mut stuck = contradiction.prefix.stuck.iter();
        let phrase = |stuck: &Stuck| self.phrase(&stuck.telling);
        match (stuck.next()?, stuck.next(), stuck.len()) {
            (one, None, _) => Some(format!("{} cannot be explained", phrase(one))),
            (one, Some(two), 0) => Some(format!(
                "{} and {} cannot both be explained",
                phrase(one),
                phrase(two)
            )),
            (one, Some(_), more) => Some(format!(
                "{} and {} others cannot all be explained",
                phrase(one),
                more + 1
            )),
        }
    }

    fn story(self, contradiction: &Contradiction) -> String {
        let mut text = String::new();
        if !contradiction.steps.is_empty() {
            text.push_str("How far an order of these gets:\n");
        }
        text.push_str(&self.order(&contradiction.steps));
        for stuck in &contradiction.prefix.stuck {
            let (phrase, why) = (
                self.phrase(&stuck.telling),
                self.ending(contradiction, stuck),
            );
            text.push_str(&format!("  ✗  {phrase} {why}.\n"));
        }
        if let Some(pairs) = self.pairs(&contradiction.minimal) {
            let opening = match is_forced(contradiction) {
                true => "The order is forced",
                false => "Forced by their times",
            };
            text.push_str(&format!("{opening}: {pairs}.\n"));
        }
        for early in &contradiction.early {
            text.push_str(&self.early(early));
        }
        if let Some(late) = &contradiction.late {
            let until = contradiction.until;
            let last = contradiction.minimal.iter();
            let last = last.filter(|one| one.returned.is_some_and(|returned| returned <= until));
            let last = last.max_by_key(|telling| telling.returned);
            let ended = last.map_or("later".to_owned(), |last| {
                format!("after {} had ended", name(last))
            });
            let late = self.phrase(late);
            text.push_str(&format!(
                "{late} would have explained it, had it begun earlier: it began only {ended}.\n"
            ));
        }
        text
    }

    /// What was over too early.
    fn early(self, early: &Early) -> String {
        let before = name(&early.before);
        match early.operations.as_slice() {
            [] => String::new(),
            [one] => format!(
                "{} was over before {before} began, and does not help.\n",
                self.phrase(one)
            ),
            [one, two] => format!(
                "{} and {} were over before {before} began, and do not help.\n",
                self.phrase(one),
                self.phrase(two)
            ),
            [first, .., last] => format!(
                "{} and {} more like it, the last {}'s ({}), were over before {before} began, and \
                 do not help.\n",
                self.phrase(first),
                early.operations.len() - 1,
                last.process,
                (self.place)(last)
            ),
        }
    }

    /// Why an operation cannot be the next one.
    fn ending(self, contradiction: &Contradiction, stuck: &Stuck) -> String {
        let (holder, state) = (self.holder, brief(&contradiction.prefix.state));
        let instead = stuck.instead.as_deref().map(brief);
        let is_alone = contradiction.minimal.len() == 1 && contradiction.steps.is_empty();
        if stuck.can_follow {
            "could come next, but then the others cannot".to_owned()
        } else if is_alone && contradiction.is_whole && contradiction.early.is_empty() {
            let there = match instead {
                Some(instead) => format!("there it would {instead}"),
                None => format!("{holder} still holds {state}"),
            };
            format!(
                "cannot come first: {there}, and nothing that had begun by then, and did not fail, \
                 leads to it"
            )
        } else if let Some(instead) = instead {
            let place = match contradiction.steps.is_empty() {
                true => "first",
                false => "next",
            };
            format!("cannot come {place}: there it would {instead}")
        } else if contradiction.steps.is_empty() {
            format!("cannot come first: {holder} still holds {state}")
        } else {
            format!("cannot come next: {holder} holds {state}")
        }
    }

    /// Which of these ended before which began, those that follow from others left out.
    fn pairs(self, tellings: &[Telling]) -> Option<String> {
        let before = |a: &Telling, b: &Telling| a.returned.is_some_and(|ended| ended < b.invoked);
        let mut pairs = Vec::new();
        for a in tellings {
            for b in tellings.iter().filter(|b| before(a, b)) {
                let is_implied = tellings.iter().any(|mid| before(a, mid) && before(mid, b));
                if !is_implied {
                    pairs.push((a, b));
                }
                if pairs.len() > PAIRS_MAX {
                    return None;
                }
            }
        }
        let told = pairs.iter();
        // Two of one name are told by their places.
        let are_alike = |a: &Telling, b: &Telling| name(a) == name(b);
        let is_common = |one: &Telling| tellings.iter().filter(|b| are_alike(one, b)).count() > 1;
        let word = |one: &Telling| match is_common(one) {
            true => self.phrase(one),
            false => name(one),
        };
        let told = told.map(|(a, b)| format!("{} ended before {} began", word(a), word(b)));
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// True where each of these ended before the next one began, and no other has a place among them.
fn is_forced(contradiction: &Contradiction) -> bool {
    let told = &contradiction.minimal;
    let before = |a: &Telling, b: &Telling| a.returned.is_some_and(|ended| ended < b.invoked);
    let mut pairs = told.windows(2);
    contradiction.steps.iter().all(|step| step.is_needed)
        && pairs.all(|pair| before(&pair[0], &pair[1]))
}

/// `p3's read → 1`.
fn name(telling: &Telling) -> String {
    format!("{}'s {}", telling.process, brief(&telling.what))
}

/// The beginning and the end of a long text.
pub(super) fn brief(text: &str) -> String {
    let count = text.chars().count();
    if count <= BRIEF_MAX {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - BRIEF_MAX / 2).collect();
    let beginning: String = text.chars().take(BRIEF_MAX / 2).collect();
    format!("{beginning}…{end}")
}

fn claim(contradiction: &Contradiction, operations: usize) -> String {
    let needed = contradiction.minimal.len();
    let early: usize = contradiction.early.iter().map(|e| e.operations.len()).sum();
    let others = operations - needed - early;
    let these = match (needed, operations - needed) {
        (1, 0) => "Its one operation shows it".to_owned(),
        (2, 0) => "Its two operations show it".to_owned(),
        (needed, 0) => format!("All {needed} of its operations together show it"),
        (1, _) => format!("This one of its {operations} operations shows it"),
        (needed, _) => format!("These {needed} of its {operations} operations show it"),
    };
    let is_late = |late: &Telling| {
        contradiction
            .minimal
            .iter()
            .all(|one| one.operation != late.operation)
    };
    let alone_late = others == 1 && contradiction.late.as_ref().is_some_and(is_late);
    let whatever = match others {
        0 => "",
        _ if !contradiction.is_whole => ", taken by themselves",
        1 if alone_late => "; the other one came too late to help",
        1 => "; the other one does not help, whenever it took effect and whatever came of it",
        _ => {
            "; the others that had begun by then do not help, whenever they took effect and \
             whatever came of them"
        }
    };
    let too_early = match early {
        0 => "",
        1 => "; one was over too early to help",
        _ => "; {early} were over too early to help",
    };
    let too_early = too_early.replace("{early}", &early.to_string());
    let each = match (contradiction.is_minimal, needed) {
        (_, 1) => "",
        (true, 2) => {
            " Both are needed: if either of them could have happened at any time, or not at all, \
             there would be no contradiction."
        }
        (true, _) => {
            " All of them are needed: if any one of them could have happened at any time, or not \
             at all, there would be no contradiction."
        }
        (false, _) => " Fewer may be enough: that would have taken too long to find out.",
    };
    format!("{these}{too_early}{whatever}.{each}\n")
}

/// The same lines, none too long; what is left of one is indented under it.
pub(super) fn wrapped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for line in text.lines() {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        let hanging = if indent == 0 { 0 } else { indent + 3 };
        let mut column = indent;
        all.push_str(&line[..indent]);
        for (place, word) in words.split(' ').enumerate() {
            let width = word.chars().count();
            if place > 0 && column + 1 + width > LINE_MAX {
                all.push('\n');
                all.push_str(&" ".repeat(hanging));
                column = hanging;
            } else if place > 0 {
                all.push(' ');
                column += 1;
            }
            all.push_str(word);
            column += width;
        }
        all.push('\n');
    }
    all
}
