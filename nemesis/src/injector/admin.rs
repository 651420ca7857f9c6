//! Orders without anything to undo: proven by who leads afterwards, and by what logs keep.
//!
//! The window of such a fault is as long as it was planned: what an order does to clients shows
//! after it was taken.

use std::{collections::BTreeSet, time::Duration};

use rand::{SeedableRng, rngs::ChaCha8Rng, seq::IteratorRandom};

use super::{
    FaultRecord,
    attempt::Attempt,
    member::{NO_ADMIN, Unasked, Unled},
    processes::spaced,
};
use crate::{
    fault::{Asked, Whom},
    lever::{Admin, Order, OrderError, Standing},
    node::Node,
    proof::{Effect, LogKept, Proof},
};

/// Between two looks at who leads: each is a request to every node.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Attempt<'_> {
    pub(super) fn transfer(mut self, to: Whom, asked: Asked) -> FaultRecord {
        let Some(admin) = self.injector.levers.admin.as_deref() else {
            return self.skip(NO_ADMIN);
        };
        if asked == Asked::Isolated {
            let members: BTreeSet<Node> = Node::first(self.injector.nodes).collect();
            let seed = self.seed_of(Node(0));
            let order = |leader| other(to, leader, &members, seed).map(Order::Transfer);
            return match self.ask_alone(admin, order) {
                Ok(alone) => {
                    let healed = alone.is_healed;
                    self.finish(alone.effect(None, None), healed)
                }
                Err(Unasked::Skipped(why)) => self.skip(&why),
                Err(Unasked::Failed { why, healed }) => self.fail(&why).unless_healed(healed),
            };
        }
        let (leader, standing) = match self.await_leader(admin) {
            Ok(found) => found,
            Err(unled) => return self.unled(unled),
        };
        let seed = self.seed_of(leader);
        let Some(heir) = other(to, leader, &standing.voters, seed) else {
            return self.skip(&format!("{leader} leads already"));
        };
        let what = format!("{leader} is to hand over to {heir}");
        self.injecting(vec![leader, heir], Vec::new(), &what);
        let order = Order::Transfer(heir);
        self.new_term(admin, leader, (leader, standing.term), &order, Some(heir))
    }

    pub(super) fn step_down(mut self) -> FaultRecord {
        let Some(admin) = self.injector.levers.admin.as_deref() else {
            return self.skip(NO_ADMIN);
        };
        let (leader, standing) = match self.await_leader(admin) {
            Ok(found) => found,
            Err(unled) => return self.unled(unled),
        };
        self.injecting(
            vec![leader],
            Vec::new(),
            &format!("{leader} is to step down"),
        );
        let before = (leader, standing.term);
        self.new_term(admin, leader, before, &Order::StepDown, None)
    }

    pub(super) fn campaign(mut self, who: Whom) -> FaultRecord {
        let Some(admin) = self.injector.levers.admin.as_deref() else {
            return self.skip(NO_ADMIN);
        };
        let (leader, standing) = match self.await_leader(admin) {
            Ok(found) => found,
            Err(unled) => return self.unled(unled),
        };
        let seed = self.seed_of(leader);
        let Some(candidate) = other(who, leader, &standing.voters, seed) else {
            return self.skip(&format!("{leader} leads already"));
        };
        let what = format!("{candidate} is to begin an election");
        self.injecting(vec![candidate], Vec::new(), &what);
        let before = (leader, standing.term);
        self.new_term(admin, candidate, before, &Order::Campaign, Some(candidate))
    }

    /// Gives an order that is to lead to a later term, led by `heir` where that is said. Who is
    /// ordered to begin an election may lose it, and is ordered again as long as there is time.
    fn new_term(
        mut self,
        admin: &dyn Admin,
        asked: Node,
        before: (Node, u64),
        order: &Order,
        heir: Option<Node>,
    ) -> FaultRecord {
        let mut taken = admin.order(asked, order);
        self.pulled();
        let mut after = match &taken {
            Err(error) if error.is_refusal() => None,
            _ => self.await_term_after(admin, before.1, heir),
        };
        while let Some((node, term)) = after
            && *order == Order::Campaign
            && node != asked
            && !self.is_over()
        {
            match admin.order(asked, order) {
                // It leads by now, or cannot be reached any more.
                Err(error) if error.is_refusal() => drop(self.look_again_in(LOOK_INTERVAL)),
                answer => taken = answer,
            }
            after = self.await_term_after(admin, term, heir).or(after);
        }
        let effect = ended(before, after, heir, taken);
        if let Effect::Installed(proof) = &effect {
            self.installed(proof);
        }
        self.hold();
        self.healing();
        self.finish(effect, true)
    }

    /// Whoever leads a later term, if anybody does before the fault's time is over: the heir, where
    /// several say that they do.
    fn await_term_after(
        &self,
        admin: &dyn Admin,
        term: u64,
        heir: Option<Node>,
    ) -> Option<(Node, u64)> {
        let others = Node::first(self.injector.nodes + self.injector.spares);
        let others = others.filter(|node| Some(*node) != heir);
        let all: Vec<Node> = heir.into_iter().chain(others).collect();
        loop {
            let leads = all.iter().find_map(|node| {
                let standing = admin.standing(*node).ok()?;
                (standing.leads && standing.term > term).then_some((*node, standing.term))
            });
            if leads.is_some() || self.is_over() {
                return leads;
            }
            self.look_again_in(LOOK_INTERVAL);
        }
    }

    /// Whoever leads, and says so itself.
    fn await_leader(&self, admin: &dyn Admin) -> Result<(Node, Standing), Unled> {
        if self.find_leaders().is_empty() {
            return Err(Unled::default());
        }
        loop {
            let why = match self.leader_standing(admin) {
                Ok(found) => return Ok(found),
                Err(why) => why.unwrap_or_default(),
            };
            if self.is_over() {
                return Err(why);
            }
            self.look_again_in(LOOK_INTERVAL);
        }
    }

    /// Gives each node these orders, and sees what it keeps of its log then.
    pub(super) fn cut_logs(mut self, nodes: &BTreeSet<Node>, orders: &[Order]) -> FaultRecord {
        let Some(admin) = self.injector.levers.admin.as_deref() else {
            return self.skip(NO_ADMIN);
        };
        let words: Vec<String> = orders.iter().map(ToString::to_string).collect();
        let what = format!("{} on {}", words.join(" and "), spaced(nodes));
        self.injecting(nodes.iter().copied().collect(), Vec::new(), &what);
        self.pulled();
        let (mut kept, mut trouble) = (Vec::new(), Vec::new());
        for node in nodes {
            match cut_log(admin, *node, orders) {
                Ok(log) => kept.push(log),
                Err(error) => trouble.push(error),
            }
        }
        let moved = |log: &LogKept| log.first.0 != log.first.1 || log.snapshot.0 != log.snapshot.1;
        let effect = logs(kept, moved, &trouble);
        if let Effect::Installed(proof) = &effect {
            self.installed(proof);
        }
        self.hold();
        self.healing();
        self.finish(effect, true)
    }
}

/// The node meant, which is not the leader.
fn other(who: Whom, leader: Node, voters: &BTreeSet<Node>, seed: u64) -> Option<Node> {
    match who {
        Whom::Node(node) => (node != leader).then_some(node),
        Whom::Any => {
            let others = voters.iter().copied().filter(|node| *node != leader);
            others.choose(&mut ChaCha8Rng::seed_from_u64(seed))
        }
    }
}

/// What an order came to that was to lead to a later term. Terms pass for many reasons: it counts
/// only where the order was answered, and the one leads who was to.
fn ended(
    before: (Node, u64),
    after: Option<(Node, u64)>,
    heir: Option<Node>,
    taken: Result<(), OrderError>,
) -> Effect {
    match (after, taken) {
        (Some(after), Ok(())) if heir.is_none_or(|heir| heir == after.0) => {
            Effect::Installed(Proof::Led { before, after })
        }
        (Some((node, term)), Ok(())) => {
            Effect::Indeterminate(format!("{node} leads term {term} instead"))
        }
        (Some((node, term)), Err(error)) => {
            Effect::Indeterminate(format!("{error}; {node} leads term {term}"))
        }
        (None, Err(error)) if error.is_refusal() => Effect::NoEffect(error.to_string()),
        (None, Err(error)) => Effect::Indeterminate(error.to_string()),
        (None, Ok(())) => {
            let (node, term) = before;
            Effect::NoEffect(format!("no later term than {term}, of {node}, was led"))
        }
    }
}

fn cut_log(admin: &dyn Admin, node: Node, orders: &[Order]) -> Result<LogKept, OrderError> {
    let before = admin.standing(node)?;
    for order in orders {
        admin.order(node, order)?;
    }
    let after = admin.standing(node)?;
    Ok(LogKept {
        node,
        first: (before.first, after.first),
        snapshot: (before.snapshot, after.snapshot),
    })
}

fn logs(kept: Vec<LogKept>, moved: impl Fn(&LogKept) -> bool, trouble: &[OrderError]) -> Effect {
    let words: Vec<String> = trouble.iter().map(ToString::to_string).collect();
    let has_moved = kept.iter().any(moved);
    let proof = Proof::Logs { nodes: kept };
    match (has_moved, trouble.is_empty()) {
        (true, true) => Effect::Installed(proof),
        (true, false) => Effect::Indeterminate(format!("{proof}; {}", words.join("; "))),
        (false, true) => Effect::NoEffect("no log keeps less than before".to_owned()),
        (false, false) if trouble.iter().all(OrderError::is_refusal) => {
            Effect::NoEffect(words.join("; "))
        }
        (false, false) => Effect::Indeterminate(words.join("; ")),
    }
}
