//! What must come before what, and when each operation can take effect at the earliest and latest.
//!
//! ```text
//!   a  ├───────┤                       a before b: b not before a's call, a not after b's return
//!   b ├────────────┤
//!      ↑ earliest  ↑ latest
//! ```
//!
//! With a partial order and a window for each operation, there are moments for all exactly if the
//! earliest moment of each lies before its return: they respect both. Beside operations there are
//! joints, which stand for no operation and only pass on what must come before what: `m` operations
//! before `n` others are `m + n` pairs instead of `m · n`.

/// A partial order on nodes with windows: operations first, then joints.
pub(super) struct Precedence {
    /// Per node: not before.
    calls: Vec<u32>,
    /// Per node: before.
    returns: Vec<u32>,
    pairs: Vec<(u32, u32)>,
}

/// The earliest and the latest moment of each node, as ranks: right after the one, before the
/// other.
pub(super) struct Windows {
    pub(super) early: Vec<u32>,
    pub(super) late: Vec<u32>,
    /// Per node: how many come before it, in one order that fits.
    pub(super) position: Vec<u32>,
    from: Vec<u32>,
    to: Vec<u32>,
}

impl Windows {
    /// From what is called too late for `node` to be earlier, and to what returns too early for it
    /// to be later.
    pub(super) fn ways(&self, node: u32) -> [Vec<u32>; 2] {
        let mut from: Vec<u32> = walk(&self.from, node).collect();
        from.reverse();
        [from, walk(&self.to, node).collect()]
    }
}

const NONE: u32 = u32::MAX;

/// Each node's successors, one node after the other.
struct Successors {
    begins: Vec<u32>,
    nodes: Vec<u32>,
}

impl Successors {
    fn of(&self, node: u32) -> &[u32] {
        let (from, to) = (self.begins[node as usize], self.begins[node as usize + 1]);
        &self.nodes[from as usize..to as usize]
    }
}

impl Precedence {
    pub(super) fn new(calls: &[u32], returns: &[u32]) -> Self {
        Precedence {
            calls: calls.to_vec(),
            returns: returns.to_vec(),
            pairs: Vec::new(),
        }
    }

    /// A node that stands for no operation.
    pub(super) fn joint(&mut self) -> u32 {
        self.calls.push(0);
        self.returns.push(NONE);
        u32::try_from(self.calls.len() - 1).expect("no more joints than operations")
    }

    pub(super) fn put(&mut self, before: u32, after: u32) {
        self.pairs.push((before, after));
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Forgets all pairs but the first so many.
    pub(super) fn truncate(&mut self, pairs: usize) {
        self.pairs.truncate(pairs);
    }

    fn successors(&self) -> Successors {
        let mut begins = vec![0_u32; self.calls.len() + 1];
        for (before, _) in &self.pairs {
            begins[*before as usize + 1] += 1;
        }
        for node in 0..self.calls.len() {
            begins[node + 1] += begins[node];
        }
        let mut next = begins.clone();
        let mut nodes = vec![0; self.pairs.len()];
        for (before, after) in &self.pairs {
            nodes[next[*before as usize] as usize] = *after;
            next[*before as usize] += 1;
        }
        Successors { begins, nodes }
    }

    /// # Errors
    /// With nodes one after the other that cannot be so: a circle, or a way from one that is called
    /// too late to one that returns too early.
    pub(super) fn windows(&self) -> Result<Windows, Vec<u32>> {
        let successors = self.successors();
        let (mut early, mut late) = (self.calls.clone(), self.returns.clone());
        let (mut from, mut to) = (vec![NONE; early.len()], vec![NONE; early.len()]);
        let order = self.order(&successors)?;
        for node in &order {
            for after in successors.of(*node) {
                if early[*node as usize] > early[*after as usize] {
                    early[*after as usize] = early[*node as usize];
                    from[*after as usize] = *node;
                }
            }
        }
        let mut position = vec![0; early.len()];
        for (at, node) in (0..).zip(&order) {
            position[*node as usize] = at;
        }
        for node in order.iter().rev() {
            for after in successors.of(*node) {
                if late[*after as usize] < late[*node as usize] {
                    late[*node as usize] = late[*after as usize];
                    to[*node as usize] = *after;
                }
            }
        }
        let is_late = |node: &&u32| early[**node as usize] >= late[**node as usize];
        if let Some(node) = order.iter().find(is_late) {
            let mut way: Vec<u32> = walk(&from, *node).collect();
            way.reverse();
            way.extend(walk(&to, *node).skip(1));
            return Err(way);
        }
        Ok(Windows {
            early,
            late,
            position,
            from,
            to,
        })
    }

    /// A topological order (Kahn 1962), or a circle.
    fn order(&self, successors: &Successors) -> Result<Vec<u32>, Vec<u32>> {
        let mut left = vec![0_u32; self.calls.len()];
        for (_, after) in &self.pairs {
            left[*after as usize] += 1;
        }
        let count = u32::try_from(left.len()).expect("nodes are 32 bits");
        let mut order: Vec<u32> = (0..count)
            .filter(|node| left[*node as usize] == 0)
            .collect();
        let mut at = 0;
        while let Some(node) = order.get(at).copied() {
            at += 1;
            for after in successors.of(node) {
                left[*after as usize] -= 1;
                if left[*after as usize] == 0 {
                    order.push(*after);
                }
            }
        }
        let Some(stray) = (0..count).find(|node| left[*node as usize] > 0) else {
            return Ok(order);
        };
        // What is left over all has a predecessor that is left over: going back ends in a circle.
        let mut before = vec![NONE; left.len()];
        for (one, other) in &self.pairs {
            if left[*one as usize] > 0 {
                before[*other as usize] = *one;
            }
        }
        let inside = walk(&before, stray)
            .nth(left.len())
            .expect("it never ends, as each has one before it");
        let round = walk(&before, inside).skip(1);
        let mut circle: Vec<u32> = round.take_while(|node| *node != inside).collect();
        circle.push(inside);
        circle.reverse();
        Err(circle)
    }
}

/// From link to link.
fn walk(links: &[u32], from: u32) -> impl Iterator<Item = u32> + '_ {
    std::iter::successors(Some(from), |node| {
        Some(links[*node as usize]).filter(|next| *next != NONE)
    })
}
