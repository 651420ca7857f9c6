//! Whatever is told of a violation is true of its history: each step of an order is one that the
//! object can make, with the result that stands there; what was too late or too early was; and what
//! is needed is, by exhaustive search.

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{History, HistoryBuilder, OperationId, Outcome, Process, Time};
use ordeal_checker::linearizability::{Contradiction, Decision, Telling, check};
use ordeal_checker::model::Model;

use crate::support::play::{NAMES, Play, Visit, history_of, visit};
use crate::support::{exhaustive, seeds};

/// An operation may be known to have happened, and nothing of what came back.
struct Partly<'m, M>(&'m M);

impl<M: Model> Model for Partly<'_, M> {
    type Op = M::Op;
    type Ret = Option<M::Ret>;
    type State = M::State;
    type Key = M::Key;

    fn init(&self) -> M::State {
        self.0.init()
    }

    fn step(&self, state: &M::State, op: &M::Op, ret: Option<&Option<M::Ret>>) -> Option<M::State> {
        self.0.step(state, op, ret.and_then(Option::as_ref))
    }

    fn key(&self, op: &M::Op) -> M::Key {
        self.0.key(op)
    }
}

/// How much is known of whom; of all others nothing.
#[derive(Default)]
struct Facts {
    known: Vec<OperationId>,
    timed: Vec<OperationId>,
    left_out: Vec<OperationId>,
    /// Known, but as if it had begun at first.
    early: Option<OperationId>,
}

struct Told<'h, M: Model> {
    model: &'h M,
    history: &'h History<M::Op, M::Ret>,
    contradiction: &'h Contradiction,
    text: String,
    of: String,
}

impl<M: Model> Told<'_, M>
where
    M::Op: Clone,
    M::Ret: Clone,
{
    fn is_explained(&self, facts: &Facts) -> bool {
        let first = self.contradiction.minimal[0].operation;
        let key = self.model.key(self.history.get(first).op());
        let until = self.contradiction.until;
        let mut builder = HistoryBuilder::new();
        for operation in self.history.operations() {
            let id = operation.id();
            let is_early = facts.early == Some(id);
            let is_out = facts.left_out.contains(&id)
                || matches!(operation.outcome(), Outcome::Fail(_))
                || self.model.key(operation.op()) != key
                || operation.invoked() > until && !is_early;
            if is_out {
                continue;
            }
            let (is_known, is_timed) = (facts.known.contains(&id), facts.timed.contains(&id));
            let invoked = match is_known || is_timed {
                true => operation.invoked(),
                false => Time(0),
            };
            // Each under a process of its own, so that any of them may be forgotten.
            let process = Process(id.0 as u64);
            builder
                .invoke(process, invoked, operation.op().clone())
                .unwrap();
            let ret = operation.outcome().ok().cloned();
            let ret = match operation.returned() {
                Some(at) if is_early || is_known && at <= until => Some((at, Some(ret.unwrap()))),
                Some(at) if is_timed => Some((at, None)),
                _ => None,
            };
            if let Some((at, ret)) = ret {
                builder.complete(process, at, Outcome::Ok(ret)).unwrap();
            }
        }
        exhaustive(&Partly(self.model), &builder.finish())
    }

    fn ids(tellings: &[Telling]) -> Vec<OperationId> {
        tellings.iter().map(|telling| telling.operation).collect()
    }

    fn check(&self) {
        let contradiction = self.contradiction;
        assert!(contradiction.is_minimal, "{}: {}", self.of, self.text);
        self.check_facts();
        self.check_order();
        self.check_sentences();
        if let Some(late) = &contradiction.late {
            let facts = Facts {
                known: Self::ids(&contradiction.minimal),
                timed: self.early(),
                early: Some(late.operation),
                ..Facts::default()
            };
            assert!(late.invoked > contradiction.until, "{}", self.of);
            assert!(self.is_explained(&facts), "{}: {}", self.of, self.text);
        }
    }

    fn early(&self) -> Vec<OperationId> {
        let groups = self.contradiction.early.iter();
        groups
            .flat_map(|early| Self::ids(&early.operations))
            .collect()
    }

    /// Enough, and minimal.
    fn check_facts(&self) {
        let needed = Self::ids(&self.contradiction.minimal);
        let (early, of, text) = (self.early(), &self.of, &self.text);
        let facts = |known: &[OperationId]| Facts {
            known: known.to_vec(),
            timed: early.clone(),
            ..Facts::default()
        };
        assert!(!self.is_explained(&facts(&needed)), "{of}: {text}");
        for left in &needed {
            let fewer: Vec<_> = needed.iter().filter(|id| *id != left).copied().collect();
            assert!(
                self.is_explained(&facts(&fewer)),
                "{of}: {left:?} is not needed: {text}"
            );
        }
        let without = Facts {
            timed: Vec::new(),
            left_out: early.clone(),
            ..facts(&needed)
        };
        assert!(!self.is_explained(&without), "{of}: {text}");
        for early in &self.contradiction.early {
            assert!(needed.contains(&early.before.operation), "{of}");
            let mut group = early.operations.iter();
            assert!(
                group.all(|one| one.returned.unwrap() < early.before.invoked),
                "{of}: {text}"
            );
        }
    }

    /// Step by step, with the results that stand there, and no other.
    fn check_order(&self) {
        let (contradiction, of, text) = (self.contradiction, &self.of, &self.text);
        let mut state = self.model.init();
        for (rank, step) in contradiction.steps.iter().enumerate() {
            let operation = self.history.get(step.telling.operation);
            let returned = operation.returned();
            let is_known = step.is_needed && returned.is_some_and(|at| at <= contradiction.until);
            let ret = operation.outcome().ok().filter(|_| is_known);
            let what = self.model.describe(operation.op(), ret);
            match is_known {
                true => assert_eq!(step.telling.what, what, "{of}"),
                false => assert!(what.starts_with(&step.telling.what), "{of}: {text}"),
            }
            let next = self.model.step(&state, operation.op(), ret);
            let next = next.unwrap_or_else(|| panic!("{of}: step {} is none: {text}", rank + 1));
            let told = (next != state).then(|| self.model.describe_state(&next));
            assert_eq!(step.state, told, "{of}: {text}");
            state = next;
            let mut later = contradiction.steps[rank + 1..].iter();
            let is_before = |later: &Telling| self.history.get(later.operation).precedes(operation);
            assert!(
                !step.is_needed || !later.any(|later| later.is_needed && is_before(&later.telling)),
                "{of}: {text}"
            );
        }
        assert!(!contradiction.prefix.stuck.is_empty(), "{of}: {text}");
        for stuck in &contradiction.prefix.stuck {
            let operation = self.history.get(stuck.telling.operation);
            let (op, ret) = (operation.op(), operation.outcome().ok());
            let follows = self.model.step(&state, op, ret).is_some();
            assert_eq!(stuck.can_follow, follows, "{of}: {text}");
            let instead = self.model.describe_instead(&state, op, ret);
            assert_eq!(stuck.instead, instead, "{of}: {text}");
        }
    }

    /// Who ended before whom began, as it stands in the text.
    fn check_sentences(&self) {
        let contradiction = self.contradiction;
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let words = words.join(" ");
        for opening in ["The order is forced: ", "Forced by their times: "] {
            let Some((_, pairs)) = words.split_once(opening) else {
                continue;
            };
            let (pairs, _) = pairs.split_once(" began.").expect("the last of the pairs");
            for pair in pairs.split(" began; ") {
                let (a, b) = pair.split_once(" ended before ").expect("two of them");
                let (a, b) = (self.named(a), self.named(b));
                assert!(a.precedes(b), "{}: {pair}: {}", self.of, self.text);
            }
            if opening.starts_with("The order") {
                let told = &contradiction.minimal;
                let ends = told.iter().zip(told.iter().skip(1));
                let mut ends = ends.map(|(a, b)| a.returned.unwrap() < b.invoked);
                assert!(
                    ends.all(|is_before| is_before),
                    "{}: {}",
                    self.of,
                    self.text
                );
            }
        }
        if let Some((_, end)) = words.split_once(" it began only after ") {
            let (name, _) = end.split_once(" had ended.").expect("an end");
            let late = contradiction.late.as_ref().expect("it is told");
            let mut named = contradiction
                .minimal
                .iter()
                .filter(|one| is_named(one, name));
            assert!(
                named.any(|one| one.returned.is_some_and(|returned| returned < late.invoked)),
                "{}: {}",
                self.of,
                self.text
            );
        }
    }

    /// The one of the contradiction that is called so.
    fn named(&self, name: &str) -> &ordeal_checker::history::Operation<M::Op, M::Ret> {
        let minimal = &self.contradiction.minimal;
        let named: Vec<_> = minimal.iter().filter(|one| is_named(one, name)).collect();
        assert_eq!(named.len(), 1, "{}: {name}: {}", self.of, self.text);
        self.history.get(named[0].operation)
    }
}

fn is_named(one: &Telling, name: &str) -> bool {
    let told = format!("{}'s {}", one.process, one.what);
    told == name || format!("{told} ({})", place(one)) == name
}

fn place(telling: &Telling) -> String {
    format!("no. {}", telling.operation.0)
}

struct Telltale {
    name: &'static str,
    seeds: std::ops::Range<u64>,
    violations: usize,
    early: usize,
    late: usize,
}

impl Visit for Telltale {
    fn visit<M: Model + Default>(&mut self, play: &Play<M>)
    where
        M::Op: Clone,
        M::Ret: Clone,
    {
        for seed in self.seeds.clone() {
            let history = history_of(play, seed, 4 + seed % 5, 1 + seed % 4);
            let verdict = check(&play.model, &history, &Budget::default());
            for key in 0..verdict.keys.len() {
                let Decision::Invalid(contradiction) = &verdict.keys[key].decision else {
                    continue;
                };
                let mut alone = verdict.clone();
                alone.keys = vec![alone.keys.swap_remove(key)];
                self.violations += 1;
                self.early += contradiction.early.len();
                self.late += usize::from(contradiction.late.is_some());
                let told = Told {
                    model: &play.model,
                    history: &history,
                    contradiction,
                    text: alone.explain_by(&place).unwrap(),
                    of: format!("{}, seed {seed}", self.name),
                };
                told.check();
            }
        }
    }
}

/// With `ORDEAL_SEEDS=0..100000` on as many histories of each model as that.
#[test]
fn whatever_is_told_of_a_violation_is_true_of_its_history() {
    let (mut early, mut late) = (0, 0);
    for name in NAMES {
        let mut telltale = Telltale {
            name,
            seeds: seeds("ORDEAL_SEEDS", 0..200),
            violations: 0,
            early: 0,
            late: 0,
        };
        visit(name, &mut telltale);
        assert!(telltale.violations > 5, "{name}: too few violations");
        early += telltale.early;
        late += telltale.late;
    }
    println!("{early} were too early, {late} too late");
    assert!(
        early > 5 && late > 10,
        "{early} were too early, {late} too late"
    );
}
