//! Short cycles of dependencies, and what they are called.
//!
//! ```text
//!   all edges        ( T1 ⇄ T2 ⇄ T3 )      ( T7 → T8 → T9 → T7 )      components: a cycle in each
//!   ww               ( T1 ⇄ T2 )                                      G0
//!   ww wr            ( T1 ⇄ T2 )                                      told above
//!   ww wr rw         ( T1 ⇄ T2 ⇄ T3 )      ( T7 → T8 → T9 → T7 )      told above; G-single or G2
//!   + process, + time …
//! ```
//!
//! Every cycle lies within a strongly connected component, and where there is none, there is no
//! cycle. In those that there are the search goes from the strongest anomaly to the weakest (Adya
//! 1999; Kingsbury and Alvaro 2020, Elle): components by fewer kinds of edges
//! first, each of which is told by one short cycle, and a component around one that is told by then
//! is not told again. In one breadth-first search finds the shortest cycle through a given
//! transaction; over all starting points it is the shortest of all, as long as there is effort
//! left, and otherwise the shortest yet. One with a single `rw` is looked for before others.

mod telling;

use std::collections::VecDeque;

use super::effort::Effort;
use super::graph::{Graph, NONE, View};
use super::object::Objects;
use super::reason::Reasons;
use super::violations::Violations;
use telling::{name, words};

/// Components that are told of.
const COMPONENTS_MAX: usize = 16;
/// Transactions that a search for shorter cycles may come across, in each component.
const VISITS_MAX: u64 = 1_000_000;

/// Without and with the order of each process, and of time.
const ORDERS: [Reasons; 3] = [
    DEPENDENCIES,
    DEPENDENCIES.and(Reasons::PROCESS),
    DEPENDENCIES.and(Reasons::PROCESS).and(Reasons::REAL_TIME),
];
const DEPENDENCIES: Reasons = Reasons::WW.and(Reasons::WR).and(Reasons::RW);
/// What is left out for G0, and for G1c. What was overwritten is only known by somebody's read: if
/// that is a part of it, it tells more.
const WITHOUT: [Reasons; 2] = [
    Reasons::WR.and(Reasons::UNSEEN).and(Reasons::OVER),
    Reasons::UNSEEN.and(Reasons::OVER),
];

/// Transactions, by their nodes or places, and why each came before the next; the last before the
/// first.
type Cycle = Vec<(u32, Reasons)>;

/// Tells cycles; gives the number of components with one that is not told, `None` where the effort
/// was spent before it was known whether there are any.
pub(super) fn find(
    graph: &Graph,
    objects: &Objects<'_>,
    effort: &Effort,
    violations: &mut Violations,
) -> Option<usize> {
    let nodes: Vec<u32> = (0..).take(graph.node_count()).collect();
    let all = View {
        graph,
        nodes: &nodes,
        allowed: Reasons::ANY,
        component: &[],
        effort,
    };
    let components = all.components()?;
    if components.is_empty() {
        return Some(0);
    }
    let mut search = Search::new(graph, objects, effort);
    let inner = within(&components, graph);
    for allowed in ORDERS {
        let nodes: Vec<u32> = components.iter().flatten().copied().collect();
        let view = View {
            nodes: &nodes,
            allowed,
            component: &inner,
            ..all
        };
        let Some(wholes) = view.components() else {
            break;
        };
        let nodes: Vec<u32> = wholes.iter().flatten().copied().collect();
        let inner = within(&wholes, graph);
        for left_out in WITHOUT {
            let view = View {
                nodes: &nodes,
                allowed: allowed.without(left_out),
                component: &inner,
                ..all
            };
            for part in view.components().into_iter().flatten() {
                search.tell(&part, view.allowed, violations);
            }
        }
        for whole in &wholes {
            search.tell(whole, allowed, violations);
        }
    }
    // What the effort did not suffice to name has a cycle nevertheless.
    for whole in &components {
        search.tell(whole, Reasons::ANY, violations);
    }
    Some(search.untold)
}

/// The effort, before a search was over.
struct Spent;

/// The number of the component that each node is in.
fn within(components: &[Vec<u32>], graph: &Graph) -> Vec<u32> {
    let mut component = vec![NONE; graph.node_count()];
    for (number, nodes) in (0..).zip(components) {
        for node in nodes {
            component[*node as usize] = number;
        }
    }
    component
}

struct Search<'a, 'h> {
    graph: &'a Graph,
    objects: &'a Objects<'h>,
    effort: &'a Effort,
    /// True for transactions in a cycle that was told, and one of each that was not.
    is_told: Vec<bool>,
    told: usize,
    untold: usize,
    /// The number of the part that a node is in, if it was looked at.
    part: Vec<u32>,
    parts: u32,
    /// How each node was reached, if it was in this search.
    reached: Vec<Reached>,
    searches: u32,
}

#[derive(Clone, Copy)]
struct Reached {
    search: u32,
    from: u32,
    why: Reasons,
    /// How many transactions there are up to this one.
    length: u32,
}

impl<'a, 'h> Search<'a, 'h> {
    fn new(graph: &'a Graph, objects: &'a Objects<'h>, effort: &'a Effort) -> Self {
        let nodes = graph.node_count();
        effort.hold(nodes * (size_of::<Reached>() + 5));
        let reached = Reached {
            search: 0,
            from: NONE,
            why: Reasons::ANY,
            length: 0,
        };
        Search {
            graph,
            objects,
            effort,
            is_told: vec![false; nodes],
            told: 0,
            untold: 0,
            part: vec![NONE; nodes],
            parts: 0,
            reached: vec![reached; nodes],
            searches: 0,
        }
    }

    /// Tells one cycle of that component by those edges, unless it has one that is told.
    fn tell(&mut self, part: &[u32], allowed: Reasons, violations: &mut Violations) {
        if part.iter().any(|node| self.is_told[*node as usize]) {
            return;
        }
        if self.told == COMPONENTS_MAX {
            self.untold += 1;
            self.is_told[part[0] as usize] = true;
            return;
        }
        self.parts += 1;
        for node in part {
            self.part[*node as usize] = self.parts;
        }
        let cycle = self.shortest(part, allowed);
        for (node, _) in &cycle {
            self.is_told[*node as usize] = true;
        }
        let steps = cycle.into_iter();
        let cycle: Cycle = steps
            .map(|(node, why)| (self.graph.place(node), why))
            .collect();
        let places: Vec<u32> = cycle.iter().map(|(place, _)| *place).collect();
        // Told as such, and with the same two transactions.
        if violations.is_lost_update(&places) {
            return;
        }
        self.told += 1;
        violations.push(&name(&cycle), || (places, words(self.objects, &cycle)));
    }

    /// The shortest cycle that there is effort to find, of the strongest kind.
    fn shortest(&mut self, part: &[u32], allowed: Reasons) -> Cycle {
        let mut starts = match allowed.meets(Reasons::UNSEEN) {
            true => self.readers(part),
            false => Vec::new(),
        };
        let first = match starts.is_empty() {
            true => allowed,
            false => Reasons::UNSEEN,
        };
        // In a component that was not named by its edges there may be no `rw`.
        if starts.is_empty() {
            let nodes = part.iter().copied();
            starts = nodes
                .filter(|node| self.graph.is_transaction(*node))
                .collect();
        }
        let visits_max = self.effort.states() + VISITS_MAX;
        let mut is_over = false;
        let mut kinds = vec![(first, allowed)];
        if first == Reasons::UNSEEN {
            kinds.insert(0, (first, allowed.without(Reasons::UNSEEN)));
        }
        for (first, later) in kinds {
            let mut best: Option<Cycle> = None;
            for start in &starts {
                // The first is owed: it is what the verdict rests on.
                let is_owed = later == allowed && best.is_none();
                if !is_owed && (is_over || self.effort.states() >= visits_max) {
                    break;
                }
                let bound = best.as_ref().map_or(usize::MAX, Vec::len);
                let found = self.through(*start, (first, later), bound, is_owed);
                is_over = found.is_err();
                best = found.ok().flatten().or(best);
                if best.as_ref().is_some_and(|best| best.len() == 2) {
                    break; // there is no shorter one
                }
            }
            if let Some(best) = best {
                return best;
            }
        }
        unreachable!("in a strongly connected component everyone leads back to themselves")
    }

    /// The transactions of a component that read what another there overwrote. Whoever missed what
    /// was written longest ago comes first: that is the likeliest to be in a short cycle.
    fn readers(&self, part: &[u32]) -> Vec<u32> {
        let oldest_missed = |node: u32| {
            let edges = self.graph.after(node);
            let within = edges.filter(|(to, why)| {
                why.meets(Reasons::UNSEEN) && self.part[*to as usize] == self.parts
            });
            // Behind a gate they are in order.
            let oldest = within.filter_map(|(to, _)| match self.graph.is_transaction(to) {
                true => Some(to),
                false => self.graph.after(to).next().map(|(first, _)| first),
            });
            oldest.min()
        };
        let nodes = part.iter().filter(|node| self.graph.is_transaction(**node));
        let mut readers: Vec<_> = nodes
            .filter_map(|node| {
                let missed = oldest_missed(*node)?;
                let [missed, place] = [missed, *node].map(|node| i64::from(self.graph.place(node)));
                Some((missed - place, *node))
            })
            .collect();
        readers.sort_unstable();
        readers.into_iter().map(|(_, reader)| reader).collect()
    }

    /// The shortest cycle through `start` that has fewer transactions than `bound`, by such edges
    /// first and such edges later. An error where the effort was spent before, unless it is owed.
    fn through(
        &mut self,
        start: u32,
        (first, later): (Reasons, Reasons),
        bound: usize,
        is_owed: bool,
    ) -> Result<Option<Cycle>, Spent> {
        self.searches += 1;
        let bound = u32::try_from(bound).unwrap_or(u32::MAX);
        self.reach(start, NONE, Reasons::ANY, 1);
        // Gates are no transactions: what is behind them is no farther away.
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            if !self.effort.visit() && !is_owed {
                return Err(Spent);
            }
            let length = self.reached[node as usize].length;
            let allowed = if node == start { first } else { later };
            for (to, why) in self.graph.after(node) {
                let Some(why) = why.best(allowed) else {
                    continue;
                };
                if to == start {
                    return Ok(Some(self.cycle(node, why)));
                }
                let is_transaction = self.graph.is_transaction(to);
                let length = length + u32::from(is_transaction);
                let is_out = self.part[to as usize] != self.parts;
                if is_out || length >= bound || self.reached[to as usize].search == self.searches {
                    continue;
                }
                self.reach(to, node, why, length);
                match is_transaction {
                    true => queue.push_back(to),
                    false => queue.push_front(to),
                }
            }
        }
        Ok(None)
    }

    fn reach(&mut self, node: u32, from: u32, why: Reasons, length: u32) {
        self.reached[node as usize] = Reached {
            search: self.searches,
            from,
            why,
            length,
        };
    }

    /// The way that led to `last`, and from there back to where it began.
    fn cycle(&self, last: u32, why: Reasons) -> Cycle {
        let mut cycle = vec![(last, why)];
        let mut at = last;
        while self.reached[at as usize].from != NONE {
            let reached = self.reached[at as usize];
            cycle.push((reached.from, reached.why));
            at = reached.from;
        }
        cycle.reverse();
        // What leads to a gate is the reason for what the gate leads to.
        cycle.retain(|(node, _)| self.graph.is_transaction(*node));
        cycle
    }
}
