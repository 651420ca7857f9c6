//! How messages, batches and events are told, and which messages a story leaves out.

use target_node::raft::{Batch, Entry, Event, HardState, Message, NodeId, Term};

/// What a node says in vain: to whom, and which kind; nothing means anyone, anything.
pub(crate) struct Mute {
    pub(crate) from: NodeId,
    to: Option<NodeId>,
    kind: Option<String>,
}

impl Mute {
    /// What `1`, or `1->2`, says of this kind.
    pub(crate) fn new(whose: &str, kind: Option<&str>) -> Self {
        let (from, to) = match whose.split_once("->") {
            Some((from, to)) => (from, Some(to.parse().unwrap())),
            None => (whose, None),
        };
        Self {
            from: from.parse().unwrap(),
            to,
            kind: kind.map(str::to_owned),
        }
    }

    pub(crate) fn covers(&self, message: &Message) -> bool {
        self.from == message.from
            && self.to.is_none_or(|to| to == message.to)
            && self
                .kind
                .as_ref()
                .is_none_or(|meant| *meant == kind(message))
    }
}

/// A message's first word: what it is.
pub(crate) fn kind(message: &Message) -> String {
    let body = message.body.to_string();
    body.split(' ').next().unwrap().to_owned()
}

pub(crate) fn named(name: &str, id: Option<NodeId>) -> String {
    id.map(|id| format!(" {name}={id}")).unwrap_or_default()
}

pub(crate) fn list(entries: &[Entry]) -> String {
    let entries: Vec<String> = entries.iter().map(Entry::to_string).collect();
    format!("[{}]", entries.join(" "))
}

pub(crate) fn shown(batch: &Batch) -> String {
    let mut text = format!("#{}", batch.id);
    if let Some(HardState { term, vote }) = batch.hard_state {
        text += &format!(" term={term}{}", named("vote", vote));
    }
    if let Some(first) = batch.truncate_from {
        text += &format!(" cut-from={first}");
    }
    if let Some(snapshot) = &batch.snapshot {
        let place = if batch.drops_log { " for-log" } else { "" };
        text += &format!(" snapshot={}{place}", snapshot.last);
    }
    if !batch.append.is_empty() {
        text += &format!(" append={}", list(&batch.append));
    }
    text
}

pub(crate) fn told(event: &Event) -> String {
    let in_term = |what: &str, term: Term| format!("{what} term {term}");
    match event {
        Event::Campaigned { term, last } => {
            in_term("campaigns in", *term) + &format!(", log ends at {last}")
        }
        Event::PreCampaigned { campaign, last } => {
            in_term("asks for", *campaign) + &format!(", log ends at {last}")
        }
        Event::LostQuorum { term } => in_term("has not heard a majority in", *term),
        Event::TransferBegan { term, to } => in_term("hands over", *term) + &format!(" to n{to}"),
        Event::TransferFailed { term, to } => {
            in_term("leads", *term) + &format!(" on: n{to} did not take over")
        }
        Event::Voted { term, candidate } => in_term(&format!("votes for n{candidate} in"), *term),
        Event::BecameLeader { term, .. } => in_term("leads", *term),
        Event::BecameFollower { term } => in_term("steps down in", *term),
        Event::Follows { term, leader } => in_term(&format!("follows n{leader} in"), *term),
        Event::Configured { index, members } => {
            format!("its configuration is {members} from {index}")
        }
        Event::Compacted { last } => format!("takes a snapshot at {last}"),
        Event::Installed { last } => format!("takes the snapshot at {last} for its log"),
        Event::WentAlone { term, last } => {
            format!("goes on alone in epoch {term}, log ends at {last}")
        }
        Event::Accompanied { term } => format!("waits for backups again in epoch {term}"),
        Event::Truncated { from, last } => format!("drops {from} to {last}"),
    }
}
