//! Wrong clocks of nodes that tell the time: the wrong one, or the right one.

use ordeal_nemesis::{
    Skew,
    clock::{ClockError, Clocks, Reading},
    lever::{ClockTold, Observer},
};

use super::*;

/// Says of every process that its clock is as it was set, and has each asked for the time.
struct Faces {
    began: Instant,
    /// Since when it is wrong, and how.
    skew: Mutex<Option<(u64, Skew)>>,
    /// Who is told another time than the one that was set.
    right: &'static [Node],
    /// Who says what time it is; nobody else does.
    tell: &'static [Node],
    events: Mutex<Vec<FaultEvent>>,
}

const MS: u64 = 1_000_000;
const N1: Node = Node(1);
const N2: Node = Node(2);

impl Faces {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    fn ahead_ns(&self, at_ns: u64) -> i64 {
        let since = |since_ns: u64| i64::try_from(at_ns.saturating_sub(since_ns)).unwrap();
        match *self.skew.lock().unwrap() {
            None => 0,
            Some((_, Skew::Offset { ns })) => ns,
            Some((since_ns, Skew::Rate { millionths })) => {
                since(since_ns) * (i64::from(millionths) - 1_000_000) / 1_000_000
            }
            Some((since_ns, Skew::Strobe { ns, period_ns })) => {
                ns * i64::from(since(since_ns) / period_ns % 2 == 0)
            }
        }
    }

    /// One fault of 150 ms on nodes of which some tell the time.
    fn run(fault: &str, tell: &'static [Node], right: &'static [Node]) -> (FaultRecord, bool) {
        let faces = Arc::new(Faces {
            began: Instant::now(),
            skew: Mutex::default(),
            right,
            tell,
            events: Mutex::default(),
        });
        let levers = Levers {
            clocks: Some(faces.clone()),
            ..Levers::default()
        };
        let stop = Stop::new();
        let faults = vec![planned(1, &format!("0+150 {fault}"))];
        let records = Injector {
            nodes: NODES,
            spares: 0,
            levers: &levers,
            observer: &*faces,
            clock: &|| faces.now_ns(),
            sink: &|event| faces.events.lock().unwrap().push(event),
            stop: &stop,
            seed: 1,
            patience: Patience::default(),
        }
        .run(&Schedule { faults });
        let [record] = <[FaultRecord; 1]>::try_from(records).unwrap();
        let events = faces.events.lock().unwrap();
        let was_told = events.iter().any(|event| event.what == Step::Installed);
        (record, was_told)
    }
}

impl Clocks for Faces {
    fn set(&self, node: Node, skew: Option<Skew>) -> Result<Option<Reading>, ClockError> {
        *self.skew.lock().unwrap() = skew.map(|skew| (self.now_ns(), skew));
        self.read(node)
    }

    fn read(&self, _: Node) -> Result<Option<Reading>, ClockError> {
        let ahead_ns = self.ahead_ns(self.now_ns());
        Ok(Some(Reading { pid: 7, ahead_ns }))
    }

    fn wrong(&self) -> Vec<Node> {
        Vec::new()
    }
}

impl Observer for Faces {
    fn leader(&self) -> Option<Node> {
        None
    }

    fn clock_told(&self, node: Node) -> Option<ClockTold> {
        let asked_ns = self.now_ns();
        let ahead_ns = match self.right.contains(&node) {
            true => 0,
            false => self.ahead_ns(asked_ns),
        };
        let answered_ns = self.now_ns();
        self.tell.contains(&node).then_some(ClockTold {
            asked_ns,
            answered_ns,
            ahead_ns,
            within_ns: MS,
        })
    }

    fn serving(&self, _: Node, _: u32) -> bool {
        true
    }
}

#[test]
fn a_clock_that_its_node_tells_to_be_right_is_not_proven_wrong() {
    for fault in [
        "clock n1: +3s",
        "clock n1: +900ms",
        "clock n1: -11ms",
        "clock n1: rate 1.5",
        "clock n1: rate 0.5",
        "clock n1: strobe +200ms every 40ms",
        "clock n1: strobe +200ms every 500ms",
    ] {
        let (record, was_told) = Faces::run(fault, &[N1], &[]);
        assert!(record.effect.is_installed(), "{fault}: {record:?}");
        assert!(was_told, "{fault}");
        let Effect::Installed(Proof::Clocks { nodes }) = &record.effect else {
            panic!("{record:?}")
        };
        assert_ne!(nodes[0].told_ns.unwrap(), 0, "{fault}");

        let (record, was_told) = Faces::run(fault, &[N1], &[N1]);
        assert_eq!(
            record.effect.status(),
            "indeterminate",
            "{fault}: {record:?}"
        );
        assert!(
            why(&record).contains("in another way"),
            "{fault}: {record:?}"
        );
        assert!(record.healed && !was_told, "{fault}: {record:?}");
    }
}

#[test]
fn one_node_that_tells_the_right_time_is_enough_to_doubt_it() {
    let (record, _) = Faces::run("clock n1 n2: rate 1.5", &[N1, N2], &[N2]);
    assert!(why(&record).contains("n2 pid 7"), "{record:?}");
    assert!(why(&record).contains("in another way"), "{record:?}");
}

#[test]
fn what_stands_in_the_process_counts_where_nobody_tells_the_time() {
    let (record, was_told) = Faces::run("clock n1 n2: +900ms", &[], &[]);
    assert!(record.effect.is_installed() && was_told, "{record:?}");
    // Too little for its words to say anything.
    let (record, was_told) = Faces::run("clock n1: +1ms", &[N1], &[N1]);
    assert!(
        why(&record).contains("nobody told a wrong time"),
        "{record:?}"
    );
    assert!(!was_told);
}
