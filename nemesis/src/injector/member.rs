//! Changes of the members: proven by a configuration that a leader says is committed.
//!
//! ```text
//!   first members ──one order after another──▶ others ──until healed──▶ first members
//!                       └ each looked at again: whoever leads, with what configuration?
//! ```
//!
//! A leader may change in mid-change, and a change may be lost with it; so nothing is remembered of
//! what was ordered: the next order follows from what the leader says now.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    FaultRecord,
    attempt::Attempt,
    cut::{heal, nodes},
    processes::spaced,
};
use crate::{
    fault::Asked,
    grudge::Grudge,
    lever::{Admin, Order, OrderError, Standing},
    network::NetworkError,
    node::Node,
    proof::{Dropped, Effect, Members, Proof},
};

pub(super) const NO_ADMIN: &str = "the target takes no orders of an administrator";

/// Between two looks at a change under way: each is a request to a node.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What came of trying to get to other members.
enum Change {
    /// A leader has committed them.
    Done(Members),
    /// Not in time.
    Open {
        /// Whether any order may have been taken.
        may_have_begun: bool,
        /// What the last attempt heard.
        why: String,
    },
}

impl Attempt<'_> {
    pub(super) fn reconfigure(
        mut self,
        old: &BTreeSet<Node>,
        new: &BTreeSet<Node>,
        asked: Asked,
    ) -> FaultRecord {
        let Some(admin) = self.injector.levers.admin.as_deref() else {
            return self.skip(NO_ADMIN);
        };
        let first: BTreeSet<Node> = Node::first(self.injector.nodes).collect();
        let wanted = &(&first - old) | new;
        if wanted == first {
            return self.skip("it would change nothing");
        }
        if asked == Asked::Isolated {
            return self.reconfigure_alone(admin, &first, &wanted);
        }
        let what = format!("members {} become {}", spaced(&first), spaced(&wanted));
        self.injecting((old | new).iter().copied().collect(), Vec::new(), &what);
        let before = match self.members(admin, &|| self.is_over()) {
            Ok(before) => before,
            Err(unled) => return self.unled(unled),
        };
        self.pulled();
        let change = self.change_to(admin, &wanted, &|| self.is_over());
        if let Change::Done(during) = &change {
            self.installed(&Proof::Members {
                before: before.clone(),
                during: during.clone(),
                after: None,
            });
        }
        self.hold();
        self.healing();
        let back = self.bring_members_back(admin, &first);
        let healed = back.is_ok();
        let effect = match (change, back) {
            (Change::Done(during), back) => {
                let proof = Proof::Members {
                    before,
                    during,
                    after: back.as_ref().ok().cloned(),
                };
                match back {
                    Ok(_) => Effect::Installed(proof),
                    Err(why) => Effect::Indeterminate(format!("{proof}; {why}")),
                }
            }
            (
                Change::Open {
                    may_have_begun: false,
                    why,
                },
                Ok(_),
            ) => Effect::NoEffect(why),
            (Change::Open { why, .. }, Ok(_)) => Effect::Indeterminate(why),
            (Change::Open { why, .. }, Err(still)) => {
                Effect::Indeterminate(format!("{why}; {still}"))
            }
        };
        self.finish(effect, healed)
    }

    /// Cuts the leader off and asks it then.
    fn reconfigure_alone(
        mut self,
        admin: &dyn Admin,
        first: &BTreeSet<Node>,
        wanted: &BTreeSet<Node>,
    ) -> FaultRecord {
        let order = |leader: Node| {
            // Whoever is asked stays: a cluster without it could not hear of the order.
            let mut voters = wanted.clone();
            voters.insert(leader);
            (voters != *first).then_some(Order::Change(voters))
        };
        let alone = match self.ask_alone(admin, order) {
            Ok(alone) => alone,
            Err(Unasked::Skipped(why)) => return self.skip(&why),
            Err(Unasked::Failed { why, healed }) => return self.fail(&why).unless_healed(healed),
        };
        let after = self.bring_members_back(admin, first);
        let healed = alone.is_healed && after.is_ok();
        let trouble = after.as_ref().err().cloned();
        let effect = alone.effect(after.ok(), trouble);
        self.finish(effect, healed)
    }

    /// Cuts the leader off from all other nodes, gives it an order, holds, and heals the cut.
    pub(super) fn ask_alone(
        &mut self,
        admin: &dyn Admin,
        order: impl FnOnce(Node) -> Option<Order>,
    ) -> Result<Alone, Unasked> {
        let Some(network) = self.injector.levers.network.as_deref() else {
            return Err(Unasked::Skipped(
                "there is no network that can be cut here".into(),
            ));
        };
        let Some(leader) = self.find_leaders().first().copied() else {
            return Err(Unasked::Skipped("nobody was known to lead".into()));
        };
        let Some(order) = order(leader) else {
            let why = format!("{leader} leads, and of it the order would ask nothing");
            return Err(Unasked::Skipped(why));
        };
        let count = self.injector.nodes + self.injector.spares;
        let grudge = Grudge::isolate(leader, count);
        let what = format!("cut {leader} off, and tell it to {order}");
        self.injecting(nodes(grudge.edges()), grudge.edges().collect(), &what);
        let failed = |error: NetworkError| Unasked::Failed {
            why: format!("cutting failed: {error}"),
            healed: !matches!(error, NetworkError::Half { .. }),
        };
        let cut = network.cut(&grudge).map_err(failed)?;
        self.pulled();
        let taken = admin.order(leader, &order);
        self.hold();
        self.healing();
        let (dropped, is_healed) = heal(network, cut, &grudge);
        Ok(Alone {
            leader,
            order,
            taken,
            dropped,
            is_healed,
        })
    }

    /// The first members again, whoever leads now; waits longer than a fault lasts, since others
    /// may be in the way.
    pub(super) fn bring_members_back(
        &self,
        admin: &dyn Admin,
        first: &BTreeSet<Node>,
    ) -> Result<Members, String> {
        let until = Instant::now() + self.injector.patience.members;
        match self.change_to(admin, first, &|| Instant::now() >= until) {
            Change::Done(members) => Ok(members),
            Change::Open { why, .. } => Err(format!("the first members are not back: {why}")),
        }
    }

    /// Who the members are, by a leader's account.
    fn members(&self, admin: &dyn Admin, is_over: &dyn Fn() -> bool) -> Result<Members, Unled> {
        let mut why = Unled::default();
        loop {
            match self.leader_standing(admin) {
                Ok((leader, standing)) if standing.is_settled => {
                    return Ok(members(leader, &standing));
                }
                Ok((leader, _)) => why = Unled::Nobody(format!("{leader} has a change under way")),
                Err(said) => why = said.unwrap_or(why),
            }
            if is_over() {
                return Err(why);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Gives whoever leads one order after another until exactly these are the committed voters.
    fn change_to(
        &self,
        admin: &dyn Admin,
        wanted: &BTreeSet<Node>,
        is_over: &dyn Fn() -> bool,
    ) -> Change {
        let mut way = Way::default();
        let mut may_have_begun = false;
        let mut why = "nobody was known to lead".to_owned();
        loop {
            match self.leader_standing(admin) {
                Ok((leader, standing)) if standing.is_settled => {
                    let Some(order) = way.next(&standing, wanted, admin) else {
                        return Change::Done(members(leader, &standing));
                    };
                    match admin.order(leader, &order) {
                        Ok(()) => {
                            may_have_begun = true;
                            why = format!("{leader} took `{order}`, and did not commit it in time");
                        }
                        Err(error) => {
                            may_have_begun |= !error.is_refusal();
                            way.refused(&order, &error);
                            why = error.to_string();
                        }
                    }
                }
                Ok((leader, _)) => why = format!("{leader} did not commit the change in time"),
                Err(said) => why = said.map_or(why, Unled::into_words),
            }
            if is_over() {
                return Change::Open {
                    may_have_begun,
                    why,
                };
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Whoever leads by what is observed, if it says so itself; else what it says instead.
    pub(super) fn leader_standing(
        &self,
        admin: &dyn Admin,
    ) -> Result<(Node, Standing), Option<Unled>> {
        let leader = self.injector.observer.leader().ok_or(None)?;
        match admin.standing(leader) {
            Ok(standing) if standing.leads => Ok((leader, standing)),
            Ok(_) => {
                let why = format!("{leader} does not lead any more");
                Err(Some(Unled::Nobody(why)))
            }
            Err(error) => Err(Some(Unled::Unanswered(error.to_string()))),
        }
    }

    /// The end of a fault for which there was no leader.
    pub(super) fn unled(self, unled: Unled) -> FaultRecord {
        match unled {
            Unled::Nobody(why) => self.skip(&why),
            Unled::Unanswered(why) => self.fail(&why),
        }
    }
}

/// Why it is not known who leads, with which members.
pub(super) enum Unled {
    /// Nobody says that they lead, or with members that are settled.
    Nobody(String),
    /// The lever has failed: whoever was asked did not answer.
    Unanswered(String),
}

impl Unled {
    fn into_words(self) -> String {
        let (Self::Nobody(why) | Self::Unanswered(why)) = self;
        why
    }
}

impl Default for Unled {
    fn default() -> Self {
        Self::Nobody("nobody was known to lead".to_owned())
    }
}

/// Why a leader was not asked alone.
pub(super) enum Unasked {
    Skipped(String),
    Failed {
        why: String,
        /// Whether nothing of the cut is there.
        healed: bool,
    },
}

/// What came of asking a leader that nobody heard.
pub(super) struct Alone {
    leader: Node,
    order: Order,
    taken: Result<(), OrderError>,
    dropped: Result<Dropped, String>,
    pub(super) is_healed: bool,
}

impl Alone {
    /// Proven where it took the order while packets met the cut.
    pub(super) fn effect(self, after: Option<Members>, trouble: Option<String>) -> Effect {
        let dropped = match (self.dropped, trouble) {
            (Ok(dropped), None) => dropped,
            (Err(why), _) | (_, Some(why)) => return Effect::Indeterminate(why),
        };
        match self.taken {
            Ok(()) if dropped.total() > 0 => Effect::Installed(Proof::AskedAlone {
                node: self.leader,
                order: self.order.to_string(),
                dropped,
                after,
            }),
            Ok(()) => Effect::NoEffect("no packet met the cut while it was there".to_owned()),
            Err(error) if error.is_refusal() => Effect::NoEffect(error.to_string()),
            Err(error) => Effect::Indeterminate(error.to_string()),
        }
    }
}

fn members(leader: Node, standing: &Standing) -> Members {
    Members {
        voters: standing.voters.clone(),
        leader,
        term: standing.term,
        index: standing.members_index,
    }
}

/// How to get from the members that there are to those that are wanted.
#[derive(Default)]
struct Way {
    /// Whether a change of several at once was refused: some targets change one at a time.
    is_one_by_one: bool,
}

impl Way {
    /// The next order; `None` where nothing is left to do.
    fn next(
        &self,
        standing: &Standing,
        wanted: &BTreeSet<Node>,
        admin: &dyn Admin,
    ) -> Option<Order> {
        let Standing {
            voters, learners, ..
        } = standing;
        let (joining, leaving) = (wanted - voters, voters - wanted);
        if let Some(node) = joining.difference(learners).next() {
            return Some(Order::AddLearner(*node));
        }
        let turned = joining.len() + leaving.len();
        let has_log = |node: &Node| {
            let last = admin.standing(*node).map_or(0, |learner| learner.last);
            last.saturating_mul(10) >= standing.last.saturating_mul(9)
        };
        if turned > 1 && !self.is_one_by_one && joining.iter().all(has_log) {
            return Some(Order::Change(wanted.clone()));
        }
        // A learner that lags is refused: it is promoted as soon as it has caught up.
        let next = joining.first().map(|node| Order::Promote(*node));
        let next = next.or_else(|| leaving.first().map(|node| Order::Remove(*node)));
        next.or_else(|| {
            learners
                .difference(wanted)
                .next()
                .map(|node| Order::Remove(*node))
        })
    }

    fn refused(&mut self, order: &Order, error: &OrderError) {
        self.is_one_by_one |= matches!(order, Order::Change(_)) && error.is_refusal();
    }
}
