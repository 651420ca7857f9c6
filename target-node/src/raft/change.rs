//! What may be asked of a configuration, and what is refused.
//!
//! See [`membership`](super::membership).

use std::collections::BTreeSet;

use thiserror::Error;

use super::Raft;
use super::entry::{Index, LogId, NodeId, Payload};
use super::members::Members;
use super::role::{Role, State};
use crate::defect::Defect;

/// How the voters are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfChange {
    /// Any change, with both majorities deciding while it lasts.
    #[default]
    Joint,
    /// One voter at a time.
    Single,
    /// Any change in one step. Two majorities may share no node: for demonstration only.
    DirectUnsafe,
}

/// When a configuration takes effect on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// When it stands in the log.
    #[default]
    Append,
    /// When it is applied.
    Apply,
}

/// What is wanted of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node gets the log from now on.
    AddLearner(NodeId),
    /// A node votes from now on, whatever it has of the log.
    AddVoter(NodeId),
    /// A learner votes from now on; it must have caught up.
    Promote(NodeId),
    /// A node takes no part any more.
    Remove(NodeId),
    /// These and nobody else.
    Replace {
        /// Who votes.
        voters: BTreeSet<NodeId>,
        /// Who only gets the log.
        learners: BTreeSet<NodeId>,
    },
}

impl Change {
    /// The nodes that it names.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let (one, voters, learners) = match self {
            Self::AddLearner(id) | Self::AddVoter(id) | Self::Promote(id) | Self::Remove(id) => {
                (Some(*id), None, None)
            }
            Self::Replace { voters, learners } => (None, Some(voters), Some(learners)),
        };
        let many = voters.into_iter().chain(learners).flatten().copied();
        one.into_iter().chain(many)
    }
}

/// Why a configuration is not changed. Nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// Only a leader changes it.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The leader is handing its leadership over.
    #[error("this node is handing its leadership over to node {to}")]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// The change before it is not over.
    #[error("the change at index {0} is not over yet")]
    Pending(Index),
    /// The leader has committed nothing of its own term yet.
    #[error("the leader has not committed an entry of its term yet: ask again in a moment")]
    NotReady,
    /// Nobody would vote.
    #[error("a cluster needs a voter")]
    NoVoters,
    /// More than one voter would change in one step.
    #[error("one voter can be added or removed at a time, not {0}")]
    TooMany(usize),
    /// It is so already.
    #[error("the configuration is {0} already")]
    NoChange(Members),
    /// The node takes no part, or not the one it would have to.
    #[error("node {0} is no learner")]
    NotALearner(NodeId),
    /// The learner is far behind: as a voter it would hold up what is to be committed.
    #[error("learner {id} is at {matched} of {last}: wait until it has caught up")]
    LearnerBehind {
        /// The learner.
        id: NodeId,
        /// How far it is.
        matched: Index,
        /// How far it would have to be, or nearly.
        last: Index,
    },
    /// This kind of replication has one configuration for ever.
    #[error("this mode of replication does not change its members")]
    Unsupported,
}

impl Raft {
    /// Changes the configuration; the returned entry begins it. It is over when a configuration
    /// that is not joint is in effect and committed.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing was appended then.
    pub fn change(&mut self, change: &Change) -> Result<LogId, ChangeError> {
        if self.role() != Role::Leader {
            return Err(ChangeError::NotLeader {
                leader: self.leader,
            });
        }
        if let Some(to) = self.transferring_to() {
            return Err(ChangeError::Transferring { to });
        }
        let pending = self.membership.latest_index();
        if self.members().is_joint() || pending > self.settled_index() {
            return Err(ChangeError::Pending(pending));
        }
        let may_skip = self.config.defects.has(Defect::ConfchangeNoNoop);
        if !may_skip && !self.has_committed_in_term() {
            return Err(ChangeError::NotReady);
        }
        let next = self.changed(change)?;
        Ok(self.push(Payload::Members(next)))
    }

    /// Up to where a configuration counts as settled.
    pub(super) fn settled_index(&self) -> Index {
        match self.config.conf_effective {
            Effect::Append => self.commit,
            Effect::Apply => self.applied,
        }
    }

    /// What the next entry has to say.
    fn changed(&self, change: &Change) -> Result<Members, ChangeError> {
        let current = self.members();
        let mut next = current.clone();
        match change {
            Change::AddLearner(id) => {
                if !next.voters.contains(id) {
                    next.learners.insert(*id);
                }
            }
            Change::AddVoter(id) => {
                next.learners.remove(id);
                next.voters.insert(*id);
            }
            Change::Promote(id) => {
                self.check_caught_up(*id)?;
                next.learners.remove(id);
                next.voters.insert(*id);
            }
            Change::Remove(id) => {
                next.voters.remove(id);
                next.learners.remove(id);
            }
            Change::Replace { voters, learners } => {
                next.voters.clone_from(voters);
                next.learners = learners.difference(voters).copied().collect();
            }
        }
        if next.voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        if next == *current {
            return Err(ChangeError::NoChange(next));
        }
        let turned = next.voters.symmetric_difference(&current.voters).count();
        match self.config.conf_change {
            _ if turned == 0 => {}
            ConfChange::Joint => next.outgoing.clone_from(&current.voters),
            ConfChange::Single if turned > 1 => return Err(ChangeError::TooMany(turned)),
            ConfChange::Single | ConfChange::DirectUnsafe => {}
        }
        Ok(next)
    }

    /// As etcd: a learner is ready with nine tenths of the leader's log.
    fn check_caught_up(&self, id: NodeId) -> Result<(), ChangeError> {
        let last = self.log.last().index;
        let State::Leader(leader) = &self.state else {
            return Ok(());
        };
        let progress = leader.progress.get(&id);
        let progress = progress.filter(|_| self.members().learners.contains(&id));
        let matched = progress.ok_or(ChangeError::NotALearner(id))?.matched();
        if matched.saturating_mul(10) < last.saturating_mul(9) {
            return Err(ChangeError::LearnerBehind { id, matched, last });
        }
        Ok(())
    }
}
