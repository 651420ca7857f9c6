//! What a node tells about itself: lines for people, and its status.

use std::collections::BTreeSet;

use super::clock::wall_ns;
use super::observer::told;
use super::{Driver, Parts, ReplicatedLog};
use crate::protocol::{
    ErrorCode, ErrorInfo, FollowerProgress, LogResponse, LoggedEntry, StateHash, Status,
};
use crate::raft::{Entry, Event, Index, Members, NodeId, Payload};

/// How many entries of the log one answer has at most.
const LOGGED_MAX: u64 = 1000;

fn listed(nodes: &BTreeSet<NodeId>) -> Vec<NodeId> {
    nodes.iter().copied().collect()
}

impl<C: ReplicatedLog> Driver<C> {
    pub(super) fn take_event(&mut self, event: Event) {
        let console = self.parts.console;
        match event {
            Event::PreCampaigned { campaign, last } => {
                console.say(format_args!(
                    "asks whether it would win term {campaign}, log ends at {last}"
                ));
            }
            Event::LostQuorum { term } => {
                console.say(format_args!("has not heard a majority in term {term}"));
            }
            Event::Campaigned { term, last } => {
                console.say(format_args!("campaigns in term {term}, log ends at {last}"));
            }
            Event::Voted { term, candidate } => {
                console.say(format_args!("votes for n{candidate} in term {term}"));
            }
            Event::BecameLeader { term, last } => {
                console.say(format_args!("leads term {term}, log ends at {last}"));
                self.start_log_clock();
            }
            Event::TransferBegan { term, to } => {
                console.say(format_args!("hands term {term} over to n{to}"));
            }
            Event::TransferFailed { term, to } => {
                console.say(format_args!(
                    "leads term {term} on: n{to} did not take over"
                ));
            }
            Event::BecameFollower { term } => {
                console.say(format_args!("steps down in term {term}"));
                self.lose_leadership();
            }
            Event::Follows { term, leader } => {
                console.say(format_args!("follows n{leader} in term {term}"));
            }
            Event::Configured { index, members } => {
                console.say(format_args!(
                    "the configuration is {members} from {index} on"
                ));
            }
            Event::Compacted { last } => {
                console.say(format_args!("takes a snapshot of its state at {last}"));
            }
            Event::Installed { last } => {
                self.installed += 1;
                console.say(format_args!(
                    "takes the leader's snapshot at {last} for its log"
                ));
            }
            Event::WentAlone { term, last } => {
                console.say(format_args!(
                    "no backup answers in epoch {term}: goes on alone from {last}"
                ));
            }
            Event::Accompanied { term } => {
                console.say(format_args!("a backup has caught up in epoch {term}"));
            }
            Event::Truncated { from, last } => {
                console.say(format_args!("drops its entries from {from} to {last}"));
            }
        }
    }

    pub(super) fn status(&self) -> Status {
        let Parts {
            membership,
            boot,
            defects,
            modes,
            console,
            ..
        } = &self.parts;
        let core = &self.core;
        let (view, members) = (core.view(), self.members());
        Status {
            id: membership.id,
            cluster: membership.cluster.clone(),
            boot: *boot,
            pid: std::process::id(),
            role: told(view.role),
            is_alone: view.is_alone,
            lease_ms: view.lease.map(|left| left * self.parts.tick_ms() / 1000),
            silent_ms: view.silent_ticks.map(|ticks| ticks * self.parts.tick_ms()),
            term: core.term(),
            vote: view.vote,
            leader: core.leader(),
            commit: view.commit,
            applied: core.applied(),
            hash: self.machine.hash(),
            last: view.last,
            first: view.base + 1,
            snapshot: core.snapshot_index(),
            installed: self.installed,
            clock_rate: self.clock.rate(),
            voters: listed(&members.voters),
            outgoing: listed(&members.outgoing),
            learners: listed(&members.learners),
            members_index: core.members_index(),
            progress: self.progress(),
            defects: defects
                .iter()
                .map(|defect| defect.name().to_owned())
                .collect(),
            modes: modes.clone(),
            wall_ns: wall_ns(),
            uptime_ms: u64::try_from(console.uptime().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Who takes part: everyone, where the core has no say in it.
    pub(super) fn members(&self) -> Members {
        let everyone = || self.parts.membership.addresses.keys().copied();
        let members = self.core.members().cloned();
        members.unwrap_or_else(|| Members::of(everyone().collect()))
    }

    fn progress(&self) -> Vec<FollowerProgress> {
        let known = self.parts.membership.addresses.keys();
        let progress = known.filter_map(|&id| {
            let (matched, next, state) = self.core.progress(id)?;
            Some(FollowerProgress {
                id,
                matched,
                next,
                state: state.to_owned(),
            })
        });
        progress.collect()
    }

    pub(super) fn hash_at(&self, index: Option<Index>) -> Result<StateHash, ErrorInfo> {
        let applied = self.machine.index();
        let index = index.unwrap_or(applied);
        self.machine.hash_at(index).ok_or_else(|| {
            let message = format!(
                "the hash at {index} is not known: this node has applied up to {applied}, and \
                 keeps the hashes of a few thousand entries"
            );
            self.standing().read_error(ErrorCode::Invalid, message)
        })
    }

    pub(super) fn log(&self, from: Index, to: Index) -> LogResponse {
        let to = to.min(from.saturating_add(LOGGED_MAX - 1));
        let applied = self.core.applied();
        let entries = self.core.entries(from.max(self.core.view().base + 1), to);
        let tell = |entry: &Entry| {
            let (kind, command) = match &entry.payload {
                Payload::Noop => ("noop", None),
                Payload::Members(members) => ("members", serde_json::to_value(members).ok()),
                Payload::Command(bytes) => {
                    ("command", serde_json::from_slice(bytes.as_bytes()).ok())
                }
            };
            LoggedEntry {
                index: entry.id.index,
                term: entry.id.term,
                kind: kind.to_owned(),
                command,
                applied: entry.id.index <= applied,
                chain: self.machine.hash_at(entry.id.index).map(|hash| hash.chain),
            }
        };
        LogResponse {
            entries: entries.iter().map(tell).collect(),
        }
    }
}
