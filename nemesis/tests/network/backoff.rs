//! TCP's own back-off, where nothing bounds it: what a cut tells of it, and what it does not do for
//! that.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ordeal_nemesis::{
    Effect, Grudge, Node, PlannedFault, Proof, Schedule,
    injector::{FaultEvent, FaultRecord, Injector, Patience, Step, Stop},
    lever::Levers,
    network::{Network, OldConnection, Switch, SwitchOptions, TcpBackoff, address},
    sandbox::Sandbox,
};

use crate::{
    echo, half, serve_echo, support,
    support::probes::{at, set},
    switch,
};

const RTO_MAX: &str = "/proc/sys/net/ipv4/tcp_rto_max_ms";

/// A network that leaves it to the kernel, whose default is 120 s.
fn unbounded(sandbox: &Sandbox) -> Arc<Switch> {
    let options = SwitchOptions {
        backoff: TcpBackoff::Kernel,
        ..SwitchOptions::default()
    };
    let switch = Switch::create(sandbox, 2, &options).unwrap();
    assert!(!switch.bounds_tcp_backoff());
    Arc::new(switch)
}

/// A connection from n2 to n1 that has carried data, as nodes keep it.
fn own_connection(network: &Switch) -> TcpStream {
    serve_echo(network, Node(1));
    let dial = || TcpStream::connect(at(Node(1).into())).unwrap();
    let dialing = network.namespace(Node(2)).spawn("dial", dial).unwrap();
    let mut own = dialing.join().unwrap();
    own.set_nodelay(true).unwrap();
    own.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    echo(&mut own, 1).unwrap();
    own
}

pub(crate) fn tcp_backoff_outlasts_a_cut_where_it_is_not_bounded(sandbox: &Sandbox) {
    let switch = unbounded(sandbox);
    let grudge = Grudge::one_way(&set(&[1]), &set(&[2]));
    let mut old = OldConnection::over(&*switch, &grudge).unwrap();
    let cut = switch.cut(&grudge).unwrap();
    old.send().unwrap();
    // Sent after 0, 0.2, 0.6 and 1.4 s: healed in between, it is seen by the next attempt.
    support::eventually("the attempt at 0.6 s", || {
        switch.dropped(cut).unwrap().total() >= 3
    });
    let unhealed = OldConnection::over(&*switch, &grudge);
    assert!(unhealed.is_none(), "nobody connects over a cut");
    let _ = switch.heal(cut).unwrap();
    let resumed = old.resumes(Duration::from_secs(30));
    assert!(resumed.is_some(), "it carries data again");
    let edge = Grudge::clients(&set(&[1]));
    assert!(OldConnection::over(&*switch, &edge).is_none(), "only nodes");
}

/// Two cuts of the same edges: the second begins when it is planned to, however short, and the
/// first is healed before the connection goes on, which is when it said.
pub(crate) fn a_cut_is_over_at_its_heal_and_tells_the_backoff(sandbox: &Sandbox) {
    let bounded = switch(sandbox, 2);
    assert!(bounded.bounds_tcp_backoff() || !Path::new(RTO_MAX).exists());
    if bounded.bounds_tcp_backoff() {
        let run = Run::of(&[("isolate n1", 0, 300)]);
        let ended = speaking(&Arc::new(bounded), |network| run.inject(network, |_| {}));
        assert_eq!(ended.resumed_after(0), None);
    }
    let network = unbounded(sandbox);
    let mut own = own_connection(&network);
    // Sent after 0, 0.2, 0.6 and 1.4 s, and healed in between.
    let sending = Mutex::new(Some(own.try_clone().unwrap()));
    let send = |event: &FaultEvent| {
        if event.what == Step::Installed
            && let Some(mut sending) = sending.lock().unwrap().take()
        {
            sending.write_all(&[2]).unwrap();
        }
    };
    let run = Run::of(&[("isolate n1", 0, 900), ("isolate n1", 200, 300)]);
    let ended = speaking(&network, |network| run.inject(network, send));
    let second = &ended.records[1];
    assert!(second.effect.is_installed() && second.healed, "{second:?}");

    own.read_exact(&mut [0]).unwrap();
    let went_on = run.began.elapsed();
    let (healing, healed) = (ended.at(0, Step::Healing), ended.at(0, Step::Healed));
    let told = ended.resumed_after(0).expect("it is told");
    assert!(healed < healing + told, "{healed:?}, {healing:?}, {told:?}");
    // Nothing is sent before its time; half of it is for a machine that is slow to read.
    let earliest = healing + told / 2;
    assert!(went_on >= earliest, "{went_on:?}, {healing:?}, {told:?}");
}

pub(crate) fn a_stopped_run_waits_for_no_connection(sandbox: &Sandbox) {
    let network = unbounded(sandbox);
    let mut own = own_connection(&network);
    let run = Run::of(&[("cut n2 -> n1", 0, 60_000)]);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            support::eventually("the cut", || !network.cuts().is_empty());
            own.write_all(&[2]).unwrap();
            let cut = network.cuts()[0];
            support::eventually("the attempt at 0.6 s", || {
                network.dropped(cut).unwrap().total() >= 3
            });
            run.stop.request();
        });
        run.inject(network.clone(), |_| {})
    });
    let (healing, healed) = (ended.at(0, Step::Healing), ended.at(0, Step::Healed));
    let told = ended.resumed_after(0).expect("it is told");
    assert!(healed < healing + told, "{healed:?}, {healing:?}, {told:?}");
    own.read_exact(&mut [0]).unwrap();
}

pub(crate) fn a_cut_that_nobody_meets_is_met_by_nothing_of_ours(sandbox: &Sandbox) {
    let network = unbounded(sandbox);
    let mut idle = own_connection(&network);
    let run = Run::of(&[("isolate n1", 0, 300)]);
    let ended = run.inject(network.clone(), |_| {});
    let [record] = &ended.records[..] else {
        panic!("{ended:?}")
    };
    assert!(matches!(record.effect, Effect::NoEffect(_)), "{record:?}");
    assert_eq!(network.traffic().cut, 0);
    echo(&mut idle, 2).unwrap();
}

/// A schedule, to be run once.
struct Run {
    faults: Vec<PlannedFault>,
    stop: Stop,
    began: Instant,
}

#[derive(Debug)]
struct Ended {
    records: Vec<FaultRecord>,
    events: Vec<FaultEvent>,
}

impl Run {
    /// Faults, each with when and for how long.
    fn of(faults: &[(&str, u64, u64)]) -> Self {
        let planned = |(id, (fault, at_ms, for_ms)): (u32, &(&str, u64, u64))| PlannedFault {
            id,
            at_ms: *at_ms,
            for_ms: *for_ms,
            fault: fault.parse().unwrap(),
        };
        Self {
            faults: (0..).zip(faults).map(planned).collect(),
            stop: Stop::new(),
            began: Instant::now(),
        }
    }

    fn inject(&self, network: Arc<dyn Network>, heard: impl Fn(&FaultEvent) + Sync) -> Ended {
        let events = Mutex::new(Vec::new());
        let sink = |event: FaultEvent| {
            heard(&event);
            events.lock().unwrap().push(event);
        };
        let levers = Levers {
            network: Some(network),
            ..Levers::default()
        };
        let records = Injector {
            nodes: 2,
            spares: 0,
            levers: &levers,
            observer: &half::Nobody,
            clock: &|| u64::try_from(self.began.elapsed().as_nanos()).unwrap(),
            sink: &sink,
            stop: &self.stop,
            seed: 1,
            patience: Patience::default(),
        }
        .run(&Schedule {
            faults: self.faults.clone(),
        });
        let events = events.into_inner().unwrap();
        Ended { records, events }
    }
}

impl Ended {
    /// When this came of a fault, since the beginning.
    fn at(&self, fault: u32, what: Step) -> Duration {
        let is_it = |event: &&FaultEvent| event.fault == fault && event.what == what;
        let event = self.events.iter().find(is_it);
        Duration::from_nanos(event.unwrap_or_else(|| panic!("{self:?}")).time_ns)
    }

    /// How long the back-off lasted after the heal, by the fault's proof.
    fn resumed_after(&self, fault: usize) -> Option<Duration> {
        let Effect::Installed(Proof::Cut(dropped)) = &self.records[fault].effect else {
            panic!("{self:?}")
        };
        dropped.resumed_after_ms.map(Duration::from_millis)
    }
}

/// Does it while n1 sends datagrams to n2, as somebody has to meet a cut.
fn speaking<T>(network: &Arc<Switch>, work: impl FnOnce(Arc<dyn Network>) -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let speak = || UdpSocket::bind((address(Node(1)), 0)).unwrap();
        let speaking = network.namespace(Node(1)).spawn("speak", speak).unwrap();
        let socket = speaking.join().unwrap();
        scope.spawn(|| {
            let socket = socket;
            while !done.load(Relaxed) {
                socket.send_to(b"beat", at(Node(2).into())).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let ended = work(network.clone());
        done.store(true, Relaxed);
        ended
    })
}
