//! Leaves only those who can be in a cycle, without a graph of all.
//!
//! ```text
//!   T1 ─▶ T2 ─▶ T3 ⇄ T4 ─▶ T5 ─▶ T6
//!   ╳     ╳                               nobody is left who came before: never in a cycle
//!                          ╳     ╳        nor whom nobody is left to come after
//!               T3 ⇄ T4                   what lies on a cycle, or between two
//! ```
//!
//! Kahn 1962, "Topological Sorting of Large Networks", from both ends. Where nobody is left there
//! is no cycle. It takes four bytes an edge and nine a node, one direction after the other, and of
//! a right history nothing more is ever needed.

use super::edges::each;
use super::effort::Effort;
use super::object::Objects;

/// Who is left, by node, and how many edges there are; `None` where the effort was spent before.
pub(super) fn peel(objects: &Objects<'_>, effort: &Effort) -> Option<(Vec<bool>, usize)> {
    let mut edges = 0;
    let nodes = each(objects, effort, &mut |_, _, _| edges += 1);
    let mut left = vec![true; nodes];
    for is_forward in [true, false] {
        let rows = Rows::gather(objects, &left, is_forward, effort)?;
        rows.peel(&mut left);
        effort.release(rows.size());
        if !left.contains(&true) {
            break;
        }
    }
    effort.look().then_some((left, edges))
}

/// Where each node leads, or from where one comes to it.
struct Rows {
    /// Where the row of each begins; that of the next is where it ends.
    starts: Vec<u32>,
    to: Vec<u32>,
}

impl Rows {
    /// The edges between those who are left, if there is room for them.
    fn gather(
        objects: &Objects<'_>,
        left: &[bool],
        is_forward: bool,
        effort: &Effort,
    ) -> Option<Self> {
        let directed = |from: u32, to: u32| {
            let is_left = left[from as usize] && left[to as usize];
            is_left.then_some(if is_forward { (from, to) } else { (to, from) })
        };
        let mut rows = Rows {
            starts: vec![0; left.len() + 1],
            to: Vec::new(),
        };
        each(objects, effort, &mut |from, to, _| {
            if let Some((from, _)) = directed(from, to) {
                rows.starts[from as usize] += 1;
            }
        });
        let mut count = 0_u32;
        for start in &mut rows.starts {
            count = count
                .checked_add(*start)
                .expect("there are fewer than 2^32 edges");
            *start = count;
        }
        if !effort.hold(rows.size() + size_of::<u32>() * count as usize) || !effort.look() {
            return None;
        }
        rows.to = vec![0; count as usize];
        // Each row is filled from its end, so that its start is where it belongs in the end.
        each(objects, effort, &mut |from, to, _| {
            if let Some((from, to)) = directed(from, to) {
                let start = &mut rows.starts[from as usize];
                *start -= 1;
                rows.to[*start as usize] = to;
            }
        });
        effort.look().then_some(rows)
    }

    fn row(&self, node: u32) -> &[u32] {
        let [from, to] = [node as usize, node as usize + 1].map(|at| self.starts[at] as usize);
        &self.to[from..to]
    }

    /// Takes out whom nobody leads to who is left.
    fn peel(&self, left: &mut [bool]) {
        let mut leading = vec![0_u32; left.len()];
        self.to.iter().for_each(|to| leading[*to as usize] += 1);
        let mut out: Vec<u32> = (0..)
            .zip(&leading)
            .filter(|(node, leading)| **leading == 0 && left[*node as usize])
            .map(|(node, _)| node)
            .collect();
        while let Some(node) = out.pop() {
            left[node as usize] = false;
            for to in self.row(node) {
                leading[*to as usize] -= 1;
                if leading[*to as usize] == 0 {
                    out.push(*to);
                }
            }
        }
    }

    /// In bytes, with what peeling takes.
    fn size(&self) -> usize {
        size_of::<u32>() * (2 * self.starts.len() + self.to.len())
    }
}
