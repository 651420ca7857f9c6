//! Switches of the nodes of a conversation, the time that passes for them, and what is
//! asked of them.

use target_node::defect::Defect;
use target_node::raft::{ConfChange, Effect, Jitter, Opaque, ReadMode};

use super::stage::Stage;
use super::words::Words;

impl Stage {
    /// Switches for the nodes that start from now on; off where they are not named.
    pub(super) fn set(&mut self, words: &Words<'_>) {
        let is_on = |name| words.options.get(name) == Some(&"on");
        (self.pre_vote, self.check_quorum) = (is_on("pre-vote"), is_on("check-quorum"));
        self.leases = is_on("leases");
        self.conf_change = match words.options.get("conf-change").copied() {
            None | Some("joint") => ConfChange::Joint,
            Some("single") => ConfChange::Single,
            Some("direct-unsafe") => ConfChange::DirectUnsafe,
            Some(other) => panic!("no change is made in the way {other:?}"),
        };
        self.conf_effective = match words.options.get("conf-effective").copied() {
            None | Some("append") => Effect::Append,
            Some("apply") => Effect::Apply,
            Some(other) => panic!("nothing takes effect on {other:?}"),
        };
        let defect = words.options.get("defect");
        self.defects = defect
            .map(|name| name.parse::<Defect>().unwrap())
            .into_iter()
            .collect();
        self.jitter = match words.options.get("jitter").copied() {
            None | Some("etcd") => Jitter::Etcd,
            Some("sofa") => Jitter::Sofa,
            Some("none") => Jitter::None,
            Some(other) => panic!("no jitter is called {other:?}"),
        };
    }

    pub(super) fn change(&mut self, words: &Words<'_>) {
        let mut refusal = None;
        let change = words.change();
        self.input(words.node(), |raft| refusal = raft.change(&change).err());
        if let Some(refusal) = refusal {
            self.tell(&format!("n{}: refuses: {refusal}", words.node()));
        }
    }

    pub(super) fn transfer(&mut self, words: &Words<'_>) {
        let mut refusal = None;
        let to = words.number("to", 0);
        self.input(words.node(), |raft| refusal = raft.transfer(to).err());
        if let Some(refusal) = refusal {
            self.tell(&format!("n{}: refuses: {refusal}", words.node()));
        }
    }

    pub(super) fn propose(&mut self, words: &Words<'_>) {
        let command = Opaque::from(words.places[1].as_bytes());
        let mut refusal = None;
        self.input(words.node(), |raft| refusal = raft.propose(command).err());
        if let Some(refusal) = refusal {
            self.tell(&format!("n{}: refuses: {refusal}", words.node()));
        }
    }

    /// Lets time pass for all nodes, delivering and persisting all that there is; tells only what
    /// is asked for: elections and steps down.
    pub(super) fn quiet(&mut self, words: &Words<'_>) {
        for _ in 0..words.number("ticks", 1) {
            for id in self.ids.clone() {
                self.tick(id);
            }
            self.settle();
        }
        let told = std::mem::take(&mut self.told);
        let is_news = |line: &&str| {
            [
                "asks",
                "campaigns",
                "leads",
                "hands",
                "steps down",
                "has not heard",
                "configuration",
            ]
            .iter()
            .any(|word| line.starts_with('n') && line.contains(word))
        };
        for line in told.lines().filter(is_news) {
            self.tell(line);
        }
    }

    pub(super) fn read(&mut self, words: &Words<'_>) {
        let id = words.node();
        let mode = match words.options.get("mode").copied() {
            None | Some("index") => ReadMode::Index,
            Some("lease") => ReadMode::Lease,
            Some("log") => ReadMode::Log,
            Some(other) => panic!("no read is made in the way {other:?}"),
        };
        let mut answer = None;
        self.input(id, |raft| answer = Some(raft.read(mode)));
        match answer {
            Some(Ok(_)) | None => {}
            Some(Err(refusal)) => self.tell(&format!("n{id}: refuses: {refusal}")),
        }
    }
}
