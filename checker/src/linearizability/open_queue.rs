//! Open operations that may still be used: equal ones are used in the order of their calls.

use super::class::Classes;
use super::problem::Problem;
use crate::model::Model;

const NONE: u32 = u32::MAX;

/// Open operations, one queue for each class, first called first.
pub(super) struct OpenQueues {
    queues: Vec<(Vec<u32>, usize)>,
    of: Vec<u32>,
}

impl OpenQueues {
    pub(super) fn new<M: Model>(problem: &Problem<'_, M>, classes: &Classes<'_, '_, M>) -> Self {
        let mut number = vec![NONE; classes.count()];
        let mut open = OpenQueues {
            queues: Vec::new(),
            of: classes.of.clone(),
        };
        for place in (0..problem.len()).filter(|place| problem.is_open(*place)) {
            let class = classes.of[place as usize] as usize;
            if number[class] == NONE {
                number[class] = u32::try_from(open.queues.len()).expect("no more than classes");
                open.queues.push((Vec::new(), 0));
            }
            open.queues[number[class] as usize].0.push(place);
        }
        for class in &mut open.of {
            *class = number[*class as usize];
        }
        open
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn first(&self, queue: usize) -> Option<u32> {
        let (places, used) = &self.queues[queue];
        places.get(*used).copied()
    }

    pub(super) fn take(&mut self, place: u32) {
        self.queues[self.of[place as usize] as usize].1 += 1;
    }

    pub(super) fn put_back(&mut self, place: u32) {
        self.queues[self.of[place as usize] as usize].1 -= 1;
    }
}
