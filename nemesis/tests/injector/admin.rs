//! Orders to a cluster that takes them, refuses them, or says nothing.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use ordeal_nemesis::{
    Effect, Node, Proof,
    injector::{FaultRecord, Step},
    lever::{Admin, Levers, Order, OrderError, Standing},
    network::Network,
};

use crate::{LIFE, Trial, levers::Cuts, why};

/// Three nodes of which n2 leads, who do as told at once.
pub(crate) struct Told {
    state: Mutex<Standing>,
    leader: Mutex<Node>,
    orders: Mutex<Vec<String>>,
    /// What it does with an order that it does not carry out.
    mood: Mood,
    /// While there is one of these, the last way back is refused.
    cuts: Option<Arc<Cuts>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Obeys,
    Refuses,
    SaysNothing,
    /// Changes of several voters at once are refused.
    OneByOne,
    /// Takes every change but the last way back.
    Sticks,
    /// Somebody else wins the first so many elections that a node is told to begin.
    Loses(u64),
    /// A later term is led by whoever was told to campaign, who has not answered.
    LeadsUnasked,
}

impl Told {
    pub(crate) fn new(mood: Mood) -> Arc<Self> {
        let standing = Standing {
            leads: true,
            term: 1,
            voters: Node::first(3).collect(),
            is_settled: true,
            last: 10,
            first: 1,
            applied: 10,
            ..Standing::default()
        };
        Arc::new(Self {
            state: Mutex::new(standing),
            leader: Mutex::new(Node(2)),
            orders: Mutex::default(),
            mood,
            cuts: None,
        })
    }

    /// Obeys, but does not get back while anything is cut.
    fn parted_by(cuts: &Arc<Cuts>) -> Arc<Self> {
        let told = Arc::into_inner(Self::new(Mood::Obeys)).unwrap();
        Arc::new(Self {
            cuts: Some(cuts.clone()),
            ..told
        })
    }

    fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }

    fn voters(&self) -> BTreeSet<Node> {
        self.state.lock().unwrap().voters.clone()
    }
}

impl Admin for Told {
    fn order(&self, node: Node, order: &Order) -> Result<(), OrderError> {
        self.orders.lock().unwrap().push(format!("{node}: {order}"));
        let mut state = self.state.lock().unwrap();
        let (text, why) = (order.to_string(), "it is in no mood".to_owned());
        let refused = Err(OrderError::Refused {
            node,
            order: text.clone(),
            why: why.clone(),
        });
        let is_parted = self
            .cuts
            .as_ref()
            .is_some_and(|cuts| !cuts.cuts().is_empty());
        match (self.mood, order) {
            (_, Order::Remove(Node(4))) if is_parted => return refused,
            (Mood::Refuses, _) | (Mood::OneByOne, Order::Change(_)) => return refused,
            (Mood::Sticks, Order::Remove(Node(4))) => return refused,
            (Mood::SaysNothing | Mood::LeadsUnasked, _) => {
                if self.mood == Mood::LeadsUnasked {
                    *self.leader.lock().unwrap() = node;
                    state.term += 1;
                }
                return Err(OrderError::Unclear {
                    node,
                    order: text,
                    why,
                });
            }
            _ => {}
        }
        state.members_index += 1;
        match order {
            Order::AddLearner(node) => drop(state.learners.insert(*node)),
            Order::Promote(node) => {
                assert!(state.learners.remove(node));
                state.voters.insert(*node);
            }
            Order::Remove(node) => {
                assert!(state.voters.remove(node) || state.learners.remove(node));
            }
            Order::Change(voters) => {
                state.voters.clone_from(voters);
                state.learners.clear();
            }
            Order::Transfer(to) => {
                *self.leader.lock().unwrap() = *to;
                state.term += 1;
            }
            Order::Campaign => {
                let loses = matches!(self.mood, Mood::Loses(times) if state.term <= times);
                *self.leader.lock().unwrap() = if loses { Node(1) } else { node };
                state.term += 1;
            }
            Order::StepDown => state.term += 1,
            Order::Snapshot => state.snapshot = state.applied,
            Order::Compact => state.first = state.snapshot + 1,
        }
        Ok(())
    }

    fn standing(&self, node: Node) -> Result<Standing, OrderError> {
        let state = self.state.lock().unwrap().clone();
        let leads = node == *self.leader.lock().unwrap();
        Ok(Standing { leads, ..state })
    }
}

fn run(told: &Arc<Told>, trial: &Trial, faults: &[&str]) -> Vec<FaultRecord> {
    let admin = Some(told.clone() as Arc<dyn Admin>);
    let levers = Levers {
        admin,
        ..trial.levers()
    };
    trial.run_with(&levers, faults)
}

fn first() -> BTreeSet<Node> {
    Node::first(3).collect()
}

#[test]
fn members_change_by_orders_to_the_leader_and_are_the_first_ones_after_the_heal() {
    for (fault, orders) in [
        (
            "0+60 grow n4",
            &["n2: add-learner n4", "n2: promote n4", "n2: remove n4"][..],
        ),
        (
            "0+60 shrink n1",
            &["n2: remove n1", "n2: add-learner n1", "n2: promote n1"],
        ),
        (
            "0+60 replace n3 -> n4",
            &[
                "n2: add-learner n4",
                "n2: change n1 n2 n4",
                "n2: add-learner n3",
                "n2: change n1 n2 n3",
            ],
        ),
    ] {
        let (told, trial) = (Told::new(Mood::Obeys), Trial::default());
        let records = run(&told, &trial, &[fault]);
        let Effect::Installed(Proof::Members {
            before,
            during,
            after: Some(after),
        }) = &records[0].effect
        else {
            panic!("{records:?}")
        };
        assert_eq!((&before.voters, &after.voters), (&first(), &first()));
        assert_ne!(during.voters, first());
        assert_eq!(told.orders(), orders);
        assert_eq!((told.voters(), records[0].healed), (first(), true));
        assert_eq!(trial.steps(), LIFE);
    }
}

#[test]
fn a_target_that_changes_one_voter_at_a_time_gets_there_in_steps() {
    let (told, trial) = (Told::new(Mood::OneByOne), Trial::default());
    let records = run(&told, &trial, &["0+200 replace n3 -> n4"]);
    assert!(records[0].effect.is_installed(), "{records:?}");
    let orders = told.orders();
    assert!(orders.contains(&"n2: remove n3".to_owned()), "{orders:?}");
    assert_eq!(told.voters(), first());
}

#[test]
fn what_is_refused_has_no_effect_and_what_is_unclear_is_indeterminate() {
    let trial = Trial::default();
    let refused = run(&Told::new(Mood::Refuses), &trial, &["0+30 shrink n1"]);
    assert!(matches!(refused[0].effect, Effect::NoEffect(_)));
    assert_eq!(
        why(&refused[0]),
        "n2 refused to remove n1: it is in no mood"
    );
    assert!(refused[0].healed);
    let unclear = run(&Told::new(Mood::SaysNothing), &trial, &["0+30 shrink n1"]);
    assert!(matches!(unclear[0].effect, Effect::Indeterminate(_)));
    assert_eq!(
        why(&unclear[0]),
        "n2 did not answer when told to remove n1: it is in no mood"
    );
    let refused = run(&Told::new(Mood::Refuses), &trial, &["0+30 transfer any"]);
    assert!(matches!(refused[0].effect, Effect::NoEffect(_)));
    let refused = run(&Told::new(Mood::Refuses), &trial, &["0+30 compact n1"]);
    assert!(matches!(refused[0].effect, Effect::NoEffect(_)));
}

#[test]
fn members_that_do_not_come_back_are_told_as_not_healed() {
    let (told, trial) = (Told::new(Mood::Sticks), Trial::default());
    let records = run(&told, &trial, &["0+60 grow n4"]);
    assert!(!records[0].healed);
    assert!(
        why(&records[0])
            .contains("the first members are not back: n2 refused to remove n4: it is in no mood"),
        "{records:?}"
    );
    // Nor when they are tried again at the end.
    let events = trial.events.lock().unwrap();
    let last = &events.last().unwrap().message;
    assert!(last.contains("may still be in force at the end"), "{last}");
}

#[test]
fn without_the_lever_it_is_skipped() {
    let trial = Trial::default();
    for fault in ["0+20 grow n4", "0+20 transfer n1", "0+20 snapshot all"] {
        let records = trial.run(&[fault]);
        assert_eq!(
            why(&records[0]),
            "the target takes no orders of an administrator"
        );
    }
}

#[test]
fn a_leader_that_is_cut_off_is_asked_all_the_same() {
    let (told, trial) = (Told::new(Mood::Obeys), Trial::default());
    let faults = ["0+30 shrink n1 n2: isolated", "80+30 transfer n3: isolated"];
    let records = run(&told, &trial, &faults);
    let Effect::Installed(Proof::AskedAlone {
        node,
        order,
        dropped,
        after: Some(after),
    }) = &records[0].effect
    else {
        panic!("{records:?}")
    };
    // It is not told to remove itself, and the spare does not hear it either.
    assert_eq!((*node, order.as_str()), (Node(2), "change n2 n3"));
    assert_eq!(dropped.packets.len(), 6);
    assert_eq!(after.voters, first());
    assert!(records[1].effect.is_installed(), "{records:?}");
    assert!(records.iter().all(|record| record.healed) && trial.all_run());
}

#[test]
fn who_leads_and_what_logs_keep_is_proven_by_what_nodes_say_afterwards() {
    let (told, trial) = (Told::new(Mood::Obeys), Trial::default());
    let faults = ["0+20 compact n1 n3", "40+20 step-down", "80+20 transfer n3"];
    let records = run(&told, &trial, &faults);
    let proofs: Vec<String> = records
        .iter()
        .map(|record| record.effect.to_string())
        .collect();
    assert_eq!(
        proofs,
        [
            "installed: n1 snapshot from 0 to 10, log begins from 1 to 11, \
             n3 snapshot at 10, log begins at 11",
            "installed: n2 led term 1, n2 led term 2",
            "installed: n2 led term 2, n3 led term 3",
        ]
    );
    let again = run(&told, &trial, &["0+20 snapshot n1"]);
    assert_eq!(why(&again[0]), "no log keeps less than before");
}

#[test]
fn an_election_counts_only_where_whoever_was_told_to_begin_it_answered_and_won() {
    let effect = |mood: Mood| {
        let (told, trial) = (Told::new(mood), Trial::default());
        let records = run(&told, &trial, &["0+60 campaign n3"]);
        (records[0].effect.to_string(), told.orders())
    };
    let (effect_of, orders) = (effect(Mood::Obeys), vec!["n3: campaign".to_owned()]);
    let proof = "installed: n2 led term 1, n3 led term 2".to_owned();
    assert_eq!(effect_of, (proof, orders.clone()));
    // Whoever loses is told again.
    let (lost_once, twice) = (effect(Mood::Loses(1)), [&orders[..], &orders[..]].concat());
    let proof = "installed: n2 led term 1, n3 led term 3".to_owned();
    assert_eq!(lost_once, (proof, twice));
    let (always_lost, orders) = effect(Mood::Loses(u64::MAX));
    assert!(
        always_lost.starts_with("indeterminate: n1 leads term "),
        "{always_lost}"
    );
    assert!(orders.len() > 1, "{orders:?}");
    let (unanswered, _) = effect(Mood::LeadsUnasked);
    assert_eq!(
        unanswered,
        "indeterminate: n3 did not answer when told to campaign: it is in no mood; n3 leads term 2"
    );
}

#[test]
fn members_that_could_not_come_back_while_parted_are_back_in_the_end() {
    let trial = Trial::default();
    let told = Told::parted_by(&trial.cuts);
    let records = run(&told, &trial, &["0+60 grow n4", "0+600 isolate n1"]);
    let why = why(&records[0]);
    assert!(why.contains("the first members are not back"), "{why}");
    assert!(records[0].healed, "{records:?}");
    assert_eq!(told.voters(), first());
    let events = trial.events.lock().unwrap();
    let last = events.iter().rfind(|event| event.fault == 1).unwrap();
    assert_eq!(last.what, Step::Indeterminate);
    assert!(
        last.message.contains("are back at the end of the run"),
        "{}",
        last.message
    );
}
