//! Every lever breaks once, at every call of every fault: what it did is not known then, which is
//! told with the reason; nothing else is held up, and the run ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use ordeal_nemesis::{
    Ailment, Damage, Edge, Keep, Shaping, Skew,
    clock::{ClockError, Clocks, Reading},
    disk::{AilmentId, DiskError, Disks},
    lever::{Admin, Order, OrderError, Standing},
    network::{CutId, FateSeed, Namespace, Network, NetworkError, ShapingId},
    process::{Lifecycle, ProcessError},
    proof::{Damaged, Dropped, Killed, Lost, Paused, Shaped, Slowed, Starved, Stopped},
};

use super::*;
use crate::admin::{Mood, Told};

/// A call that breaks nothing: a machine without power is waited for.
const SLOW_RENEWAL: &str = "a slow renewal";

/// Does what the one inside does, but for one kind of call on n1.
struct Broken<L> {
    inner: Arc<L>,
    call: &'static str,
}

impl<L> Broken<L> {
    fn process(&self, call: &'static str, node: Node) -> Result<(), ProcessError> {
        if self.call != call || node != Node(1) {
            return Ok(());
        }
        let source = io::Error::other("the lever broke");
        Err(ProcessError::Call { node, call, source })
    }

    fn network(&self, call: &'static str) -> Result<(), NetworkError> {
        if self.call != call {
            return Ok(());
        }
        let (of, source) = ("n1".to_owned(), io::Error::other("the lever broke"));
        Err(NetworkError::Call { of, call, source })
    }

    fn clock(&self, call: &'static str, node: Node) -> Result<(), ClockError> {
        if self.call != call {
            return Ok(());
        }
        Err(ClockError::Memory {
            node,
            pid: 1,
            verb: "changed",
            source: io::Error::other("the lever broke"),
        })
    }

    fn admin(&self, call: &'static str, node: Node, order: &str) -> Result<(), OrderError> {
        if self.call != call {
            return Ok(());
        }
        let (order, why) = (order.to_owned(), "the lever broke".to_owned());
        Err(OrderError::Unclear { node, order, why })
    }

    fn disk(&self, call: &'static str) -> Result<(), DiskError> {
        if self.call != call {
            return Ok(());
        }
        let (what, why) = (call.to_owned(), "the lever broke");
        Err(DiskError::Unsupported { what, why })
    }
}

impl Lifecycle for Broken<Cluster> {
    fn start(&self, node: Node) -> Result<u32, ProcessError> {
        self.process("start", node)?;
        self.inner.start(node)
    }

    fn kill(&self, node: Node) -> Result<Killed, ProcessError> {
        self.process("kill", node)?;
        self.inner.kill(node)
    }

    fn pause(&self, node: Node) -> Result<Paused, ProcessError> {
        self.process("pause", node)?;
        self.inner.pause(node)
    }

    fn resume(&self, node: Node) -> Result<u32, ProcessError> {
        self.process("resume", node)?;
        self.inner.resume(node)
    }

    fn state(&self, node: Node) -> State {
        self.inner.state(node)
    }

    fn terminate(&self, node: Node, deadline: Duration) -> Result<Stopped, ProcessError> {
        self.process("terminate", node)?;
        self.inner.terminate(node, deadline)
    }

    fn listens(&self, node: Node) -> Result<bool, ProcessError> {
        self.inner.listens(node)
    }

    fn slow(&self, node: Node, percent: u8) -> Result<u32, ProcessError> {
        self.process("slow", node)?;
        self.inner.slow(node, percent)
    }

    fn slowed(&self, node: Node) -> Option<Slowed> {
        self.inner.slowed(node)
    }

    fn hasten(&self, node: Node) -> Result<Slowed, ProcessError> {
        self.process("hasten", node)?;
        self.inner.hasten(node)
    }

    fn limit_memory(&self, node: Node, room: u64) -> Result<Starved, ProcessError> {
        self.process("limit_memory", node)?;
        self.inner.limit_memory(node, room)
    }

    fn memory(&self, node: Node) -> Result<u64, ProcessError> {
        self.inner.memory(node)
    }

    fn allow_memory(&self, node: Node) -> Result<(), ProcessError> {
        self.process("allow_memory", node)?;
        self.inner.allow_memory(node)
    }
}

impl Network for Broken<Cuts> {
    fn nodes(&self) -> u16 {
        NODES
    }

    fn namespace(&self, node: Node) -> &Namespace {
        self.inner.namespace(node)
    }

    fn mechanism(&self) -> String {
        self.inner.mechanism()
    }

    fn bounds_tcp_backoff(&self) -> bool {
        true
    }

    fn renew(&self, _: Node) -> Result<(), NetworkError> {
        if self.call == SLOW_RENEWAL {
            std::thread::sleep(Duration::from_millis(60));
        }
        self.network("renew")
    }

    fn cut(&self, grudge: &Grudge) -> Result<CutId, NetworkError> {
        self.network("cut")?;
        self.inner.cut(grudge)
    }

    fn heal(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        self.network("heal")?;
        self.inner.heal(cut)
    }

    fn dropped(&self, cut: CutId) -> Result<Dropped, NetworkError> {
        self.inner.dropped(cut)
    }

    fn cuts(&self) -> Vec<CutId> {
        self.inner.cuts()
    }

    fn shape(
        &self,
        edges: &BTreeSet<Edge>,
        shaping: &Shaping,
        seed: FateSeed,
    ) -> Result<ShapingId, NetworkError> {
        self.network("shape")?;
        self.inner.shape(edges, shaping, seed)
    }

    fn unshape(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        self.network("unshape")?;
        self.inner.unshape(shaping)
    }

    fn shaped(&self, shaping: ShapingId) -> Result<Shaped, NetworkError> {
        self.inner.shaped(shaping)
    }

    fn shapings(&self) -> Vec<ShapingId> {
        self.inner.shapings()
    }
}

/// Disks that lose a byte whenever they are to.
#[derive(Default)]
struct Plates {
    ill: Mutex<BTreeMap<AilmentId, Node>>,
    next: AtomicU64,
}

impl Disks for Broken<Plates> {
    fn remember(&self) {}

    fn lose_power(&self, _: Node, _: Keep, _: u64) -> Result<Lost, DiskError> {
        self.disk("lose_power")?;
        Ok(Lost::default())
    }

    fn install(&self, node: Node, _: Ailment) -> Result<AilmentId, DiskError> {
        self.disk("install")?;
        let id = AilmentId(self.inner.next.fetch_add(1, Relaxed));
        self.inner.ill.lock().unwrap().insert(id, node);
        Ok(id)
    }

    fn met(&self, _: AilmentId) -> Result<u64, DiskError> {
        Ok(1)
    }

    fn heal(&self, id: AilmentId) -> Result<u64, DiskError> {
        self.disk("well")?;
        self.inner.ill.lock().unwrap().remove(&id).unwrap();
        Ok(1)
    }

    fn ailments(&self) -> Vec<AilmentId> {
        self.inner.ill.lock().unwrap().keys().copied().collect()
    }

    fn damage(&self, _: Node, _: Damage, _: u64) -> Result<Damaged, DiskError> {
        self.disk("damage")?;
        Ok(Damaged {
            bytes: 1,
            files: ["log".to_owned()].into(),
        })
    }

    fn repair(&self, _: Node) -> Result<(), DiskError> {
        self.disk("repair")
    }
}

/// Clocks that are an hour ahead or right.
#[derive(Default)]
struct Dials(Mutex<BTreeSet<Node>>);

impl Clocks for Broken<Dials> {
    fn set(&self, node: Node, skew: Option<Skew>) -> Result<Option<Reading>, ClockError> {
        self.clock(if skew.is_some() { "set" } else { "right" }, node)?;
        let mut wrong = self.inner.0.lock().unwrap();
        match skew {
            Some(_) => drop(wrong.insert(node)),
            None => drop(wrong.remove(&node)),
        }
        drop(wrong);
        self.reading(node)
    }

    fn read(&self, node: Node) -> Result<Option<Reading>, ClockError> {
        self.clock("read", node)?;
        self.reading(node)
    }

    fn wrong(&self) -> Vec<Node> {
        self.inner.0.lock().unwrap().iter().copied().collect()
    }
}

impl Broken<Dials> {
    #[allow(clippy::unnecessary_wraps, reason = "as the trait has it")]
    fn reading(&self, node: Node) -> Result<Option<Reading>, ClockError> {
        let ahead_ns = i64::from(self.wrong().contains(&node)) * 3_600_000_000_000;
        Ok(Some(Reading { pid: 1, ahead_ns }))
    }
}

impl Admin for Broken<Told> {
    fn order(&self, at: Node, order: &Order) -> Result<(), OrderError> {
        self.admin("order", at, &order.to_string())?;
        // What leads back to the first members.
        if matches!(order, Order::Remove(Node(4)) | Order::AddLearner(Node(1))) {
            self.admin("order back", at, &order.to_string())?;
        }
        self.inner.order(at, order)
    }

    fn standing(&self, node: Node) -> Result<Standing, OrderError> {
        self.admin("standing", node, "say where it stands")?;
        self.inner.standing(node)
    }
}

/// The calls without which nothing happens, and those without which it may not be undone.
const CALLS: [(&str, &[&str], &[&str]); 20] = [
    ("kill n1", &["kill"], &["start"]),
    ("pause n1", &["pause"], &["resume"]),
    ("stop n1", &["terminate"], &["start"]),
    ("restart n1", &["terminate"], &["start"]),
    ("crash-loop n1: 3", &["kill"], &["start"]),
    ("kill-starting n1: 1ms", &["kill"], &["start"]),
    ("slow-cpu n1: 20%", &["slow"], &["hasten"]),
    ("memory n1: 1mb", &["limit_memory"], &["allow_memory"]),
    ("isolate n1", &["cut"], &["heal"]),
    ("packets n1: loss 20%", &["shape"], &["unshape"]),
    (
        "power-loss n1",
        &["cut", "kill", "lose_power", "renew"],
        &["heal", "start"],
    ),
    ("disk n1: read-error", &["install"], &["well"]),
    ("damage n1: wipe", &["kill", "damage"], &["start"]),
    ("clock n1: +3600s", &["set"], &["right", "read"]),
    ("grow n4", &["order", "standing"], &["order back"]),
    (
        "shrink n1 n3: isolated",
        &["cut", "order"],
        &["heal", "standing"],
    ),
    ("transfer n1", &["order", "standing"], &[]),
    ("campaign n1", &["order", "standing"], &[]),
    ("step-down", &["order", "standing"], &[]),
    ("compact n1", &["order", "standing"], &[]),
];

/// A change of members takes several orders, and a look after each.
fn lasts_ms(fault: &str) -> u32 {
    if fault.starts_with("grow") || fault.starts_with("shrink") {
        120
    } else {
        40
    }
}

fn run(trial: &Trial, call: &'static str, fault: &str) -> Vec<FaultRecord> {
    let levers = Levers {
        processes: Some(Arc::new(Broken {
            inner: trial.cluster.clone(),
            call,
        })),
        network: Some(Arc::new(Broken {
            inner: trial.cuts.clone(),
            call,
        })),
        disks: Some(Arc::new(Broken {
            inner: Arc::new(Plates::default()),
            call,
        })),
        admin: Some(Arc::new(Broken {
            inner: Told::new(Mood::Obeys),
            call,
        })),
        clocks: Some(Arc::new(Broken {
            inner: Arc::new(Dials::default()),
            call,
        })),
    };
    let first = format!("0+{} {fault}", lasts_ms(fault));
    trial.run_with(&levers, &[&first, "5+20 pause n2"])
}

fn steps_of(trial: &Trial, fault: u32) -> Vec<Step> {
    let events = trial.events.lock().unwrap();
    let of_fault = events.iter().filter(|event| event.fault == fault);
    of_fault.map(|event| event.what).collect()
}

#[test]
fn whichever_lever_breaks_the_fault_is_indeterminate_and_the_run_goes_on() {
    for (fault, doing, undoing) in CALLS {
        let sound = run(&Trial::default(), "none", fault);
        // Everybody is up at once here, so that none can be killed before.
        if !fault.starts_with("kill-starting") {
            assert!(sound[0].effect.is_installed(), "{fault}: {sound:?}");
        }
        for call in doing.iter().chain(undoing) {
            let trial = Trial::default();
            let records = run(&trial, call, fault);
            let first = &records[0];
            assert_eq!(
                first.effect.status(),
                "indeterminate",
                "{fault}, {call}: {first:?}"
            );
            assert!(
                why(first).contains("the lever broke"),
                "{fault}, {call}: {first:?}"
            );
            assert_eq!(
                first.healed,
                doing.contains(call),
                "{fault}, {call}: {first:?}"
            );
            let last = steps_of(&trial, 1).last().copied();
            assert_eq!(last, Some(Step::Indeterminate), "{fault}, {call}");
            // What failed to be done is at no time told as done.
            let was_told = steps_of(&trial, 1).contains(&Step::Installed);
            assert!(
                !(was_told && doing.contains(call)),
                "{fault}, {call}: {first:?}"
            );
            assert!(
                records[1].effect.is_installed(),
                "{fault}, {call}: {records:?}"
            );
            assert!(records[1].healed, "{fault}, {call}: {records:?}");
        }
    }
}

#[test]
fn a_disk_that_cannot_be_repaired_is_indeterminate() {
    let trial = Trial::default();
    trial.eye.serving.store(false, Relaxed);
    let records = run(&trial, "repair", "damage n1: wipe");
    assert_eq!(records[0].effect.status(), "indeterminate", "{records:?}");
    assert!(why(&records[0]).contains("the lever broke"), "{records:?}");
}

#[test]
fn a_machine_is_without_power_from_the_moment_it_is_cut_off() {
    let records = run(&Trial::default(), SLOW_RENEWAL, "power-loss n1");
    assert!(records[0].effect.is_installed(), "{records:?}");
    let (from_ns, to_ns) = records[0].window_ns.unwrap();
    assert!(to_ns - from_ns >= 60_000_000, "{records:?}");
}
