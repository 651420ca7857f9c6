//! The command line.

mod replication;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use thiserror::Error;

use crate::defect::{Defect, Defects};
use crate::driver::Routing;
use crate::failpoint::{FailpointError, Failpoints};
use crate::peer::Membership;
use crate::protocol::{Consistency, FailpointRequest, Modes};
use crate::raft::{ConfChange, Effect, Jitter, NodeId};
use replication::ReplicationArgs;

pub(crate) use replication::{Conditional, QuorumFlags, Replication};

/// The flags of a node.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    /// This node's number, from 1
    #[arg(long, value_name = "N")]
    id: NodeId,
    /// The cluster's name; nodes of another cluster are refused
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// A member and where its peers reach it; once for every member, this node included
    #[arg(long = "peer", value_name = "ID=HOST:PORT", required = true)]
    peers: Vec<Peer>,
    /// Where clients reach this node
    #[arg(long, value_name = "HOST:PORT")]
    listen_client: String,
    /// Where an administrator, or a harness, reaches this node: HOST:PORT or unix:PATH; left out:
    /// nowhere. Who reaches it can do anything to the node
    #[arg(long, value_name = "ADDRESS", overrides_with = "listen_admin")]
    listen_admin: Option<String>,
    /// Write down all that this node does, as NDJSON, at the end of this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// What to do at a place in the code, as /v1/admin/failpoints takes it, from the start on:
    /// '{"site": "before_recover", "action": "crash"}'; may be given more than once
    #[arg(long = "failpoint", value_name = "JSON", value_parser = failpoint)]
    failpoints: Vec<FailpointRequest>,
    /// Where clients are told to reach this node; left out: where it listens for them
    #[arg(long, value_name = "HOST:PORT")]
    advertise_client: Option<String>,
    /// Where this node keeps its log; made if missing
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Seeds the election time-outs
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How long a tick is, how many make an election time-out, and what is switched on. Where it
    /// is given twice, the last one counts
    #[arg(long, value_enum, default_value_t = Profile::Fast, overrides_with = "profile")]
    profile: Profile,
    /// What to do with a write when another node leads [default: forward]
    #[arg(long, value_enum)]
    client_routing: Option<Routing>,
    /// Ask first whether an election could be won, without raising the term [default: on, but for
    /// the profile source-defaults]
    #[arg(long, value_enum)]
    pre_vote: Option<Switch>,
    /// A leader without a majority steps down, and nobody votes who still hears a leader
    /// [default: on]
    #[arg(long, value_enum)]
    check_quorum: Option<Switch>,
    /// How election time-outs are kept apart [default: etcd]
    #[arg(long, value_enum)]
    election_jitter: Option<ElectionJitter>,
    /// How to make reads that do not say how: a majority confirms the leader, or its lease does, or
    /// an entry of the log does, or nothing [default: linearizable]
    #[arg(long, value_enum)]
    read_mode: Option<ReadDefault>,
    /// Who votes at first, where that is not every --peer: `1,2,3`; the others are started with
    /// --join. What the log says goes before it
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        conflicts_with = "join"
    )]
    initial_voters: Vec<NodeId>,
    /// Wait to be taken into the cluster
    #[arg(long)]
    join: bool,
    /// How the voters are changed [default: joint]
    #[arg(long, value_enum)]
    conf_change: Option<ConfChangeKind>,
    /// When a configuration takes effect; the same on all nodes [default: append]
    #[arg(long, value_enum)]
    conf_effective: Option<ConfEffective>,
    /// Take a snapshot after so many applied entries
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_entries: u64,
    /// How many entries to keep below a snapshot, for followers that are only a little behind
    /// [default: 500]
    #[arg(long, value_name = "N")]
    snapshot_trailing: Option<u64>,
    #[command(flatten)]
    replication: ReplicationArgs,
    /// Switch on a seeded defect; may be given more than once
    #[arg(long = "defect", value_name = "NAME")]
    defects: Vec<Defect>,
}

/// One `ID=HOST:PORT`.
#[derive(Clone, Debug)]
struct Peer {
    id: NodeId,
    address: String,
}

/// How fast the clock of elections runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// Ticks of 10 ms, heartbeats every 30 ms, elections after 300 to 590 ms
    Fast,
    /// The pace of etcd: heartbeats every 100 ms, elections after 1 to 1.9 s
    #[value(alias = "etcd")]
    EtcdDefault,
    /// As etcd 3.4 comes: its pace, and no pre-vote
    SourceDefaults,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Switch {
    fn is_on(self) -> bool {
        self == Self::On
    }
}

/// How election time-outs are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ElectionJitter {
    /// Drawn once for each role that the node takes on
    Etcd,
    /// Drawn anew for each silence
    Sofa,
    /// None at all: votes may split for ever
    None,
}

/// How reads are made that do not say how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReadDefault {
    /// The leader confirms its leadership
    #[value(alias = "index")]
    Linearizable,
    /// The leader relies on its lease, and so on clocks
    Lease,
    /// An entry of the log stands for the read
    Log,
    /// From what this node has applied: may be old
    Local,
}

/// How the voters are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConfChangeKind {
    /// Any change; the majorities of both configurations decide while it lasts
    Joint,
    /// One voter at a time
    Single,
    /// Any change in one step: unsafe, for demonstration
    DirectUnsafe,
}

/// When a configuration takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConfEffective {
    /// When it stands in the log
    Append,
    /// When it is applied
    Apply,
}

/// What a profile stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) tick: Duration,
    pub(crate) heartbeat_ticks: u32,
    pub(crate) election_ticks: u32,
}

/// Why flags make no sense, beyond what a parser of flags can tell.
#[derive(Debug, Error)]
pub(crate) enum ArgsError {
    #[error("{0:?} is not a peer: write ID=HOST:PORT, such as 1=127.0.0.1:7001")]
    Peer(String),
    #[error("node ids begin at 1")]
    ZeroId,
    #[error("--peer {0} is given twice")]
    PeerTwice(NodeId),
    #[error("--peer gives nodes {0} and {1} one address, {2}")]
    AddressTwice(NodeId, NodeId, String),
    #[error("--id {0} has no --peer of its own: it tells where this node listens for its peers")]
    NoOwnPeer(NodeId),
    #[error("--initial-voters names {0}, which has no --peer")]
    VoterWithoutPeer(NodeId),
    #[error("--cluster must be one line of 1 to 100 characters, without parentheses")]
    Cluster,
    #[error("{0} is for --replication {1}; leave it out, or choose that mode")]
    OtherMode(&'static str, &'static str),
    #[error("{0} has no effect with --replication {1}; leave it out")]
    NoEffect(&'static str, &'static str),
    #[error("defects are mistakes of Raft's: leave --defect out, or use --replication raft")]
    DefectsOfRaft,
    #[error("--failpoint: {0}")]
    Failpoint(#[from] FailpointError),
    #[error("this build carries no defects; build it with the feature `defects`")]
    NoDefects,
}

impl FromStr for Peer {
    type Err = ArgsError;

    fn from_str(text: &str) -> Result<Self, ArgsError> {
        let wrong = || ArgsError::Peer(text.to_owned());
        let (id, address) = text.split_once('=').ok_or_else(wrong)?;
        let id = id.parse().map_err(|_| wrong())?;
        if id == 0 {
            return Err(ArgsError::ZeroId);
        }
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Self {
            id,
            address: address.to_owned(),
        })
    }
}

/// The flags, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) membership: Membership,
    pub(crate) listen_client: String,
    pub(crate) listen_admin: Option<String>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) failpoints: Failpoints,
    pub(crate) data_dir: PathBuf,
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
    pub(crate) routing: Routing,
    pub(crate) pre_vote: bool,
    pub(crate) check_quorum: bool,
    pub(crate) jitter: Jitter,
    pub(crate) consistency: Consistency,
    /// Who votes at first; empty for a node that waits to be taken in.
    pub(crate) initial_voters: BTreeSet<NodeId>,
    pub(crate) conf_change: ConfChange,
    pub(crate) conf_effective: Effect,
    pub(crate) snapshot_entries: u64,
    pub(crate) snapshot_trailing: u64,
    pub(crate) replication: Replication,
    pub(crate) defects: Defects,
}

impl Settings {
    /// The switches, as the status tells them.
    pub(crate) fn modes(&self) -> Modes {
        let (jitter, routing) = (self.jitter, self.routing);
        Modes {
            pre_vote: self.pre_vote,
            check_quorum: self.check_quorum,
            election_jitter: format!("{jitter:?}").to_lowercase(),
            client_routing: format!("{routing:?}").to_lowercase(),
            replication: self.replication.name().to_owned(),
            replication_flags: self.replication.describe(),
            read_mode: format!("{:?}", self.consistency).to_lowercase(),
        }
    }
}

impl NodeArgs {
    /// Refuses what makes no sense.
    pub(crate) fn into_settings(self) -> Result<Settings, ArgsError> {
        if self.id == 0 {
            return Err(ArgsError::ZeroId);
        }
        if !is_name(&self.cluster) {
            return Err(ArgsError::Cluster);
        }
        let replication = self.replication.clone().into_mode(self.peers.len())?;
        self.check_effect(replication)?;
        let addresses = addresses(self.id, self.peers)?;
        let initial_voters = founders(self.join, self.initial_voters, &addresses)?;
        if !self.defects.is_empty() && !Defects::COMPILED_IN {
            return Err(ArgsError::NoDefects);
        }
        if !self.defects.is_empty() && replication != Replication::Raft {
            return Err(ArgsError::DefectsOfRaft);
        }
        Ok(Settings {
            membership: Membership {
                id: self.id,
                cluster: self.cluster,
                family: replication.family(),
                addresses,
                founders: initial_voters.clone(),
                client: self
                    .advertise_client
                    .unwrap_or_else(|| self.listen_client.clone()),
            },
            replication,
            listen_client: self.listen_client,
            listen_admin: self.listen_admin,
            trace: self.trace,
            failpoints: Failpoints::of(&self.failpoints)?,
            data_dir: self.data_dir,
            seed: self.seed,
            pace: self.profile.pace(),
            routing: self.client_routing.unwrap_or(Routing::Forward),
            pre_vote: self
                .pre_vote
                .map_or(self.profile != Profile::SourceDefaults, Switch::is_on),
            check_quorum: self.check_quorum.is_none_or(Switch::is_on),
            jitter: match self.election_jitter.unwrap_or(ElectionJitter::Etcd) {
                ElectionJitter::Etcd => Jitter::Etcd,
                ElectionJitter::Sofa => Jitter::Sofa,
                ElectionJitter::None => Jitter::None,
            },
            initial_voters,
            conf_change: match self.conf_change.unwrap_or(ConfChangeKind::Joint) {
                ConfChangeKind::Joint => ConfChange::Joint,
                ConfChangeKind::Single => ConfChange::Single,
                ConfChangeKind::DirectUnsafe => ConfChange::DirectUnsafe,
            },
            conf_effective: self
                .conf_effective
                .unwrap_or(ConfEffective::Append)
                .effect(),
            consistency: match self.read_mode.unwrap_or(ReadDefault::Linearizable) {
                ReadDefault::Linearizable => Consistency::Linearizable,
                ReadDefault::Lease => Consistency::Lease,
                ReadDefault::Log => Consistency::Log,
                ReadDefault::Local => Consistency::Local,
            },
            snapshot_entries: self.snapshot_entries,
            snapshot_trailing: self.snapshot_trailing.unwrap_or(500),
            defects: self.defects.into_iter().collect(),
        })
    }
}

impl NodeArgs {
    /// Refuses flags that the mode of replication has no use for: who gives them expects something
    /// of them.
    fn check_effect(&self, replication: Replication) -> Result<(), ArgsError> {
        let of_raft = [
            ("--join", self.join),
            ("--initial-voters", !self.initial_voters.is_empty()),
            ("--pre-vote", self.pre_vote.is_some()),
            ("--check-quorum", self.check_quorum.is_some()),
            ("--election-jitter", self.election_jitter.is_some()),
            ("--conf-change", self.conf_change.is_some()),
            ("--conf-effective", self.conf_effective.is_some()),
        ];
        let of_a_log = [
            ("--client-routing", self.client_routing.is_some()),
            ("--read-mode", self.read_mode.is_some()),
            ("--snapshot-trailing", self.snapshot_trailing.is_some()),
        ];
        let useless: &[&[(&'static str, bool)]] = match replication {
            Replication::Raft => &[],
            Replication::Quorum(_) => &[&of_raft, &of_a_log],
            _ => &[&of_raft],
        };
        let given = useless.iter().copied().flatten().find(|(_, given)| *given);
        match given {
            Some(&(flag, _)) => Err(ArgsError::NoEffect(flag, replication.name())),
            None => Ok(()),
        }
    }
}

fn failpoint(json: &str) -> Result<FailpointRequest, serde_json::Error> {
    serde_json::from_str(json)
}

fn is_name(cluster: &str) -> bool {
    // What is in parentheses names the way of replication on disk and on the wire.
    let is_one_line = !cluster.contains(|c: char| c.is_control() || "()".contains(c));
    is_one_line && (1..=100).contains(&cluster.chars().count())
}

/// Who votes at first: those who are named, and otherwise everyone; nobody where the node joins.
fn founders(
    joins: bool,
    named: Vec<NodeId>,
    addresses: &BTreeMap<NodeId, String>,
) -> Result<BTreeSet<NodeId>, ArgsError> {
    let founders: BTreeSet<NodeId> = match (joins, named.is_empty()) {
        (true, _) => BTreeSet::new(),
        (false, true) => addresses.keys().copied().collect(),
        (false, false) => named.into_iter().collect(),
    };
    match founders.iter().find(|id| !addresses.contains_key(id)) {
        Some(&id) => Err(ArgsError::VoterWithoutPeer(id)),
        None => Ok(founders),
    }
}

/// Where each node is; `id` has to be among them.
fn addresses(id: NodeId, peers: Vec<Peer>) -> Result<BTreeMap<NodeId, String>, ArgsError> {
    let mut addresses = BTreeMap::new();
    for Peer { id: peer, address } in peers {
        // A node may listen wherever there is room, but nobody can be reached there.
        if peer != id && address.ends_with(":0") {
            return Err(ArgsError::Peer(format!("{peer}={address}")));
        }
        if addresses.insert(peer, address).is_some() {
            return Err(ArgsError::PeerTwice(peer));
        }
    }
    for (one, address) in &addresses {
        let mut others = addresses.range(one + 1..);
        if let Some((other, _)) = others.find(|&(_, other)| other == address) {
            return Err(ArgsError::AddressTwice(*one, *other, address.clone()));
        }
    }
    match addresses.contains_key(&id) {
        true => Ok(addresses),
        false => Err(ArgsError::NoOwnPeer(id)),
    }
}

impl ConfEffective {
    const fn effect(self) -> Effect {
        match self {
            Self::Append => Effect::Append,
            Self::Apply => Effect::Apply,
        }
    }
}

impl Profile {
    const fn pace(self) -> Pace {
        let (tick_ms, heartbeat_ticks, election_ticks) = match self {
            Self::Fast => (10, 3, 30),
            Self::EtcdDefault | Self::SourceDefaults => (100, 1, 10),
        };
        Pace {
            tick: Duration::from_millis(tick_ms),
            heartbeat_ticks,
            election_ticks,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        node: NodeArgs,
    }

    fn settings(extra: &[&str]) -> Result<Settings, String> {
        let flags = ["node", "--listen-client", "127.0.0.1:0", "--data-dir", "d"];
        let cli = Cli::try_parse_from(flags.iter().chain(extra)).map_err(|e| e.to_string())?;
        cli.node.into_settings().map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_line_is_understood() {
        let line = [
            "--id",
            "2",
            "--cluster",
            "demo",
            "--peer",
            "1=a:1",
            "--peer",
            "2=[::1]:2",
        ];
        let settings = settings(&line).unwrap();
        assert_eq!(settings.membership.addresses[&2], "[::1]:2");
        assert_eq!(settings.pace.election_ticks, 30);
        assert_eq!(settings.routing, Routing::Forward);
        assert_eq!(settings.jitter, Jitter::Etcd);
    }

    #[test]
    fn the_switches_of_elections_are_told_as_they_were_given() {
        let base = ["--id", "1", "--cluster", "demo", "--peer", "1=a:1"];
        let modes = |extra: &[&str]| settings(&[&base[..], extra].concat()).unwrap().modes();
        assert!(modes(&[]).pre_vote && modes(&[]).check_quorum);
        let off = modes(&["--pre-vote", "off", "--check-quorum", "off"]);
        assert!(!off.pre_vote && !off.check_quorum);
        assert_eq!(
            modes(&["--election-jitter", "sofa"]).election_jitter,
            "sofa"
        );
        assert_eq!(modes(&[]).client_routing, "forward");
    }

    #[test]
    fn a_profile_sets_the_pace_and_a_switch_of_its_own_wins() {
        let base = ["--id", "1", "--cluster", "demo", "--peer", "1=a:1"];
        let of = |extra: &[&str]| settings(&[&base[..], extra].concat()).unwrap();
        let etcd = of(&["--profile", "fast", "--profile", "etcd-default"]);
        assert_eq!((etcd.pace.election_ticks, etcd.pre_vote), (10, true));
        assert_eq!(
            etcd.pace.tick * etcd.pace.heartbeat_ticks,
            Duration::from_millis(100)
        );
        let source = of(&["--profile", "source-defaults"]);
        assert!(!source.pre_vote && source.check_quorum);
        assert!(of(&["--profile", "source-defaults", "--pre-vote", "on"]).pre_vote);
    }

    #[test]
    fn a_quorum_is_a_majority_unless_it_is_told_otherwise() {
        let mut line = vec!["--id", "1", "--cluster", "demo", "--replication", "quorum"];
        for peer in ["1=a:1", "2=a:2", "3=a:3", "4=a:4"] {
            line.extend(["--peer", peer]);
        }
        let mode = |extra: &[&str]| settings(&[&line[..], extra].concat()).unwrap().replication;
        let told = mode(&[]).describe();
        assert!(
            told.starts_with("n 4, w 3, r 3, read-repair none"),
            "{told}"
        );
        let told = mode(&["--n", "3", "--r", "1", "--read-repair", "abd"]).describe();
        assert!(told.starts_with("n 3, w 2, r 1, read-repair abd"), "{told}");
    }

    #[test]
    fn each_mistake_has_its_own_message() {
        let base = ["--id", "1", "--cluster", "demo", "--peer", "1=a:1"];
        let with = |extra: &[&str]| settings(&[&base, extra].concat()).unwrap_err();
        assert!(with(&["--peer", "1=b:2"]).contains("twice"));
        assert!(with(&["--peer", "2=a:1"]).contains("1 and 2 one address, a:1"));
        assert!(with(&["--peer", "2"]).contains("ID=HOST:PORT"));
        assert!(with(&["--peer", "2=b:99999"]).contains("ID=HOST:PORT"));
        assert!(with(&["--peer", "2=b:0"]).contains("ID=HOST:PORT"));
        assert!(with(&["--peer", "0=b:1"]).contains("begin at 1"));
        assert!(with(&["--defect", "gremlins"]).contains("read_leader_local"));
        assert!(with(&["--profile", "slow"]).contains("fast"));
        assert!(with(&["--replication", "paxos"]).contains("semisync"));
        assert!(with(&["--w", "2"]).contains("--replication quorum"));
        let timeout = ["--replication", "sync", "--semisync-timeout-ms", "9"];
        assert!(with(&timeout).contains("--replication semisync"));
        let defect = ["--replication", "async", "--defect", "ack_on_append"];
        assert!(with(&defect).contains("mistakes of Raft"));
        let useless = with(&["--replication", "quorum", "--join"]);
        assert!(useless.contains("--join has no effect"), "{useless}");
        let useless = with(&["--replication", "sync", "--conf-change", "joint"]);
        assert!(useless.contains("--replication sync"), "{useless}");
        let useless = with(&["--replication", "quorum", "--read-mode", "log"]);
        assert!(useless.contains("--read-mode"), "{useless}");
        assert!(with(&["--pre-vote", "maybe"]).contains("off"));
        assert!(with(&["--snapshot-entries", "0"]).contains("--snapshot-entries"));
        assert!(with(&["--election-jitter", "lots"]).contains("sofa"));
        let lonely = settings(&["--id", "3", "--cluster", "demo", "--peer", "1=a:1"]).unwrap_err();
        assert!(lonely.contains("--id 3"), "{lonely}");
        let nameless = settings(&["--id", "1", "--cluster", "", "--peer", "1=a:1"]).unwrap_err();
        assert!(nameless.contains("--cluster"), "{nameless}");
    }
}
