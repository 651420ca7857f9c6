//! Looks at every node from inside its own namespace, where no fault is in the way.
//!
//! Tells the nemesis who leads and who serves, and takes down who led when. What it sees is for
//! aiming and for the eye; no verdict rests on it. Where the plan asks for it, it also plays the
//! operator of a target whose leaders are promoted from outside ([`Cluster::is_successor`]).

use super::Setting;
use super::recorder::Recorder;
use super::rig::{Rig, RigError};
use super::wall::{ClockReading, Reader};
use crate::clock::Clock;
use crate::target::{Ahead, Probe, View};
use ordeal_checker::history::Time;
use ordeal_nemesis::Node;
use ordeal_nemesis::lever::{ClockTold, Observer};
use ordeal_nemesis::network::Namespace;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
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
    /// When the look at each node began from which its view is.
    begun: Mutex<Vec<Option<Instant>>>,
    /// What each said of its wall clock last.
    told: Mutex<Vec<Option<ClockTold>>>,
}

impl Cluster {
    /// So many nodes, none of which has been looked at.
    pub(crate) fn new(nodes: u16) -> Self {
        Cluster {
            views: Mutex::new(vec![None; usize::from(nodes)]),
            begun: Mutex::new(vec![None; usize::from(nodes)]),
            told: Mutex::new(vec![None; usize::from(nodes)]),
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

    /// Whether an operator would promote this node now: a majority of all nodes have not heard
    /// who leads them for so long, and of these it has the most. The rule of a sentinel: what the
    /// old primary thinks of itself does not count.
    fn is_successor(&self, place: usize, after: Duration) -> bool {
        let views = self.views();
        let nodes = views.iter().enumerate();
        let orphans = nodes.filter_map(|(node, view)| {
            let silent_ms = view.as_ref()?.silent_ms?;
            let last = view.as_ref()?.last;
            (u128::from(silent_ms) >= after.as_millis()).then_some((last, Reverse(node)))
        });
        let orphans: Vec<_> = orphans.collect();
        let successor = orphans.iter().max().map(|(_, Reverse(node))| *node);
        orphans.len() > views.len() / 2 && successor == Some(place)
    }

    /// What that node said of itself last.
    pub(super) fn view(&self, node: Node) -> Option<View> {
        self.views().get(usize::from(node.0) - 1).cloned().flatten()
    }

    /// Whether every view is from a look that began after that moment.
    pub(super) fn is_from_after(&self, moment: Instant) -> bool {
        let is_fresh = |begun: &Option<Instant>| begun.is_some_and(|begun| begun > moment);
        self.begun().iter().all(is_fresh)
    }

    fn take(&self, place: usize, begun: Instant, view: Option<View>) {
        self.views()[place] = view;
        self.begun()[place] = Some(begun);
    }

    fn take_told(&self, place: usize, (asked, answered): (Time, Time), ahead: Option<Ahead>) {
        let told = ahead.map(|ahead| ClockTold {
            asked_ns: asked.0,
            answered_ns: answered.0,
            ahead_ns: ahead.ns,
            within_ns: ahead.within_ns,
        });
        self.told()[place] = told;
    }

    fn told(&self) -> MutexGuard<'_, Vec<Option<ClockTold>>> {
        self.told
            .lock()
            .expect("no observer panics with the clocks in hand")
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Option<Instant>>> {
        self.begun
            .lock()
            .expect("no observer panics with the times in hand")
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

    fn clock_told(&self, node: Node) -> Option<ClockTold> {
        self.told().get(usize::from(node.0) - 1).copied().flatten()
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
        promote_after: Option<Duration>,
        lines: &Recorder<Observation>,
        readings: Option<&Recorder<ClockReading>>,
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
            let inside = rig.network.namespace(node).clone();
            let reader = rig.clocks.clone().zip(readings.cloned());
            let reader = reader.map(|(clocks, lines)| Reader::new(node, clocks, lines));
            let look = move || {
                let enter = Entrance::of(inside);
                let watched = Watched {
                    place,
                    promote_after,
                    reader,
                };
                runtime.block_on(observe(
                    probe, watched, &cluster, clock, &lines, &stop, enter,
                ));
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

/// Keeps a thread in a namespace, also when that is replaced by a fresh one after a power loss.
pub(crate) struct Entrance {
    namespace: Option<Namespace>,
    renewals: u64,
}

impl Entrance {
    /// For a thread that is inside already.
    fn of(namespace: Namespace) -> Self {
        Entrance {
            renewals: namespace.renewals(),
            namespace: Some(namespace),
        }
    }

    fn keep_inside(&mut self) {
        let Some(namespace) = &self.namespace else {
            return;
        };
        let renewals = namespace.renewals();
        // Where that fails the node stays silent to us, and the next look tries again.
        if renewals != self.renewals && namespace.enter().is_ok() {
            self.renewals = renewals;
        }
    }
}

/// The node that an observer looks at.
struct Watched {
    /// Counted from 0.
    place: usize,
    /// When to promote it; never, where the target elects its leaders.
    promote_after: Option<Duration>,
    /// Takes its wall clock down, where faults make that wrong.
    reader: Option<Reader>,
}

/// Looks at one node until told to stop.
async fn observe(
    mut probe: Box<dyn Probe>,
    watched: Watched,
    cluster: &Cluster,
    clock: Clock,
    lines: &Recorder<Observation>,
    stop: &CancellationToken,
    mut entrance: Entrance,
) {
    let node = watched.place;
    let mut last = None;
    while !stop.is_cancelled() {
        entrance.keep_inside();
        let (begun, asked) = (Instant::now(), clock.now());
        let view = probe.look().await;
        let ahead = view.as_ref().and_then(|view| view.ahead);
        cluster.take_told(node, (asked, clock.now()), ahead);
        if let Some(reader) = &watched.reader {
            reader.read(asked, ahead.map(|ahead| ahead.ns));
        }
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
        cluster.take(node, begun, view);
        if let Some(after) = watched.promote_after
            && cluster.is_successor(node, after)
        {
            // A node that cannot be promoted is asked again at the next look.
            let role = match probe.promote().await {
                Ok(epoch) => format!("promoted to epoch {epoch}"),
                Err(why) => format!("not promoted: {why}"),
            };
            lines.record(Observation {
                time: clock.now(),
                node: format!("n{}", node + 1),
                role,
                term: None,
            });
        }
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
                silent_ms: None,
                last: 0,
                applied: None,
                ahead: None,
                installed: None,
            })
        };
        *cluster.views() = vec![view(true, 3), view(false, 9), view(true, 4)];
        assert_eq!(cluster.leader(), Some((2, 4)));
        assert_eq!(Observer::leaders(&cluster), [Node(3), Node(1)]);
    }

    #[test]
    fn views_are_fresh_when_the_last_of_them_is() {
        let cluster = Cluster::new(2);
        let moment = Instant::now();
        let later = moment + Duration::from_millis(1);
        assert!(!cluster.is_from_after(moment), "nobody has looked");
        cluster.take(0, later, None);
        cluster.take(1, moment, None);
        assert!(!cluster.is_from_after(moment), "n2 was looked at before");
        cluster.take(1, later, None);
        assert!(cluster.is_from_after(moment));
    }

    #[test]
    fn a_majority_without_its_primary_gets_the_one_that_has_the_most() {
        let cluster = Cluster::new(3);
        let view = |silent_ms: Option<u64>, last| {
            Some(View {
                role: "x".into(),
                leads: silent_ms.is_none(),
                term: 1,
                pid: None,
                defects: Vec::new(),
                silent_ms,
                last,
                applied: None,
                ahead: None,
                installed: None,
            })
        };
        let is_successor = |place| cluster.is_successor(place, Duration::from_millis(500));
        *cluster.views() = vec![view(None, 9), view(Some(600), 7), view(Some(700), 8)];
        assert_eq!([0, 1, 2].map(is_successor), [false, false, true]);
        *cluster.views() = vec![None, view(Some(600), 8), view(Some(700), 8)];
        assert_eq!([0, 1, 2].map(is_successor), [false, true, false]);
        *cluster.views() = vec![view(None, 9), view(Some(20), 7), view(Some(700), 8)];
        assert_eq!([0, 1, 2].map(is_successor), [false; 3]);
    }
}
