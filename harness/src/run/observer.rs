//! Looks at every node from inside its own namespace, where no fault is in the way.
//!
//! Tells the nemesis who leads and who serves, and takes down who led when. What it sees is for
//! aiming and for the eye; no verdict rests on it.

use super::Setting;
use super::recorder::Recorder;
use super::rig::{Rig, RigError};
use crate::clock::Clock;
use crate::target::{Probe, View};
use ordeal_checker::history::Time;
use ordeal_nemesis::Node;
use ordeal_nemesis::lever::Observer;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a node is looked at.
const EVERY: Duration = Duration::from_millis(50);
/// How long a node may take to answer before it counts as not serving.
const PATIENCE: Duration = Duration::from_millis(250);

/// One line of `cluster.jsonl`: what a node said of itself when that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Observation {
    /// When it was seen.
    pub(crate) time: Time,
    /// Which node.
    pub(crate) node: String,
    /// Its role, or `silent` where it did not answer.
    pub(crate) role: String,
    /// Its term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) term: Option<u64>,
}

/// What every node said of itself last; `None` where it does not answer.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    views: Mutex<Vec<Option<View>>>,
}

impl Cluster {
    /// So many nodes, none of which has been looked at.
    pub(crate) fn new(nodes: u16) -> Self {
        Cluster {
            views: Mutex::new(vec![None; usize::from(nodes)]),
        }
    }

    /// The nodes whose defects differ from those asked for, with what they say.
    pub(crate) fn other_defects(&self, asked: &[String]) -> Option<(Node, Vec<String>)> {
        let views = self.views();
        let set = |defects: &[String]| defects.iter().cloned().collect::<BTreeSet<String>>();
        let odd = |view: &&Option<View>| {
            view.as_ref()
                .is_some_and(|view| set(&view.defects) != set(asked))
        };
        let place = views.iter().position(|view| odd(&view))?;
        let defects = views[place].as_ref().map(|view| view.defects.clone());
        Some((node_at(place), defects.unwrap_or_default()))
    }

    fn views(&self) -> MutexGuard<'_, Vec<Option<View>>> {
        self.views
            .lock()
            .expect("no observer panics with the views in hand")
    }

    /// The leader of the highest term, counted from 0, with that term.
    pub(crate) fn leader(&self) -> Option<(usize, u64)> {
        self.leaders().first().copied()
    }

    /// All who say that they lead, with their terms; the highest first.
    fn leaders(&self) -> Vec<(usize, u64)> {
        let views = self.views();
        let leaders = views.iter().enumerate().filter_map(|(node, view)| {
            view.as_ref()
                .filter(|view| view.leads)
                .map(|view| (node, view.term))
        });
        let mut leaders: Vec<_> = leaders.collect();
        leaders.sort_by_key(|(node, term)| (Reverse(*term), Reverse(*node)));
        leaders
    }
}

impl Observer for Cluster {
    fn leader(&self) -> Option<Node> {
        Cluster::leader(self).map(|(place, _)| node_at(place))
    }

    fn leaders(&self) -> Vec<Node> {
        let leaders = Cluster::leaders(self).into_iter();
        leaders.map(|(place, _)| node_at(place)).collect()
    }

    fn serving(&self, node: Node, pid: u32) -> bool {
        let views = self.views();
        // A target that does not tell its pid is believed: its predecessor was seen to be gone.
        let view = views[usize::from(node.0) - 1].as_ref();
        view.is_some_and(|view| view.pid.is_none_or(|serves| serves == pid))
    }
}

fn node_at(place: usize) -> Node {
    Node(u16::try_from(place + 1).expect("at most 50 nodes"))
}

/// The threads that look at the nodes.
pub(super) struct Watch {
    /// What they see.
    pub(crate) cluster: Arc<Cluster>,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Starts looking at every node, from inside its own namespace.
    ///
    /// # Errors
    /// If a thread or a client cannot be made.
    pub(super) fn start(
        rig: &Rig,
        setting: &Setting,
        lines: &Recorder<Observation>,
    ) -> Result<Self, RigError> {
        let nodes = rig.network.nodes();
        let mut watch = Watch {
            cluster: Arc::new(Cluster::new(nodes)),
            stop: CancellationToken::new(),
            threads: Vec::new(),
        };
        for node in Node::first(nodes) {
            let place = usize::from(node.0) - 1;
            let probe = setting
                .target
                .probe(rig.client_addresses[place], PATIENCE)?;
            let (cluster, stop) = (watch.cluster.clone(), watch.stop.clone());
            let (clock, lines) = (setting.clock, lines.clone());
            let name = format!("observer {node}");
            let fails = |source| RigError::Thread {
                name: name.clone(),
                source,
            };
            // Sockets belong to the namespace of the thread that opens them: one thread a node.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(fails)?;
            let look = move || {
                runtime.block_on(observe(probe, place, &cluster, clock, &lines, &stop));
            };
            let thread = rig
                .network
                .namespace(node)
                .spawn(&name, look)
                .map_err(fails)?;
            watch.threads.push(thread);
        }
        Ok(watch)
    }

    /// Stops looking.
    pub(super) fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            // A panic of an observer only ends its own line of observations.
            drop(thread.join());
        }
    }
}

/// Looks at one node until told to stop.
pub(crate) async fn observe(
    mut probe: Box<dyn Probe>,
    node: usize,
    cluster: &Cluster,
    clock: Clock,
    lines: &Recorder<Observation>,
    stop: &CancellationToken,
) {
    let mut last = None;
    while !stop.is_cancelled() {
        let view = probe.look().await;
        let seen = view.as_ref().map(|view| (view.role.clone(), view.term));
        if last.as_ref() != Some(&seen) {
            lines.record(Observation {
                time: clock.now(),
                node: format!("n{}", node + 1),
                role: seen
                    .as_ref()
                    .map_or_else(|| "silent".to_owned(), |(role, _)| role.clone()),
                term: seen.as_ref().map(|(_, term)| *term),
            });
            last = Some(seen);
        }
        cluster.views()[node] = view;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_leaders_the_one_of_the_higher_term_counts() {
        let cluster = Cluster::new(3);
        assert_eq!(cluster.leader(), None);
        let view = |leads, term| {
            Some(View {
                role: "x".into(),
                leads,
                term,
                pid: None,
                defects: Vec::new(),
            })
        };
        *cluster.views() = vec![view(true, 3), view(false, 9), view(true, 4)];
        assert_eq!(cluster.leader(), Some((2, 4)));
        assert_eq!(Observer::leaders(&cluster), [Node(3), Node(1)]);
    }
}
