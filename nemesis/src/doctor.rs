//! What can be injected here: each class of faults really tried, in a scratch network.
//!
//! Nothing is concluded from versions, files or rights. A cut is available when a packet that
//! passed before it was stopped by it and passed after its heal; a pause, when all threads of a
//! process were seen to stop.

mod backoff;
mod choice;
mod clock;
mod disk;
mod iptables;
mod packets;
mod process;
mod seccomp;
mod setting;

pub use self::seccomp::choose_disk;

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    time::{Duration, Instant},
};

pub use setting::{Setting, settings};

use crate::{
    fault::{FaultClass, PacketEffect},
    network::{Backend, CLIENT_ADDRESS, Choice, Network, Switch, SwitchOptions, Wanted, address},
    node::{Edge, Endpoint, Node},
    sandbox::Sandbox,
    schedule::Schedule,
};

/// What was found out about one class of faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The class.
    pub fault: FaultClass,
    /// The network's backend, where the fault is one of the network's.
    pub backend: Option<Backend>,
    /// Which effects on packets; where none is named, all.
    pub effects: Vec<PacketEffect>,
    /// By which means it is injected.
    pub mechanism: &'static str,
    /// How it was tried.
    pub probe: String,
    /// What was seen; where it failed, how, and what to install or enable.
    pub result: Result<String, String>,
}

impl Row {
    /// Whether it can be injected here.
    pub fn is_available(&self) -> bool {
        self.result.is_ok()
    }

    /// Whether something else can do all that it can, so that nobody misses it.
    pub fn is_spare(&self) -> bool {
        self.backend == Some(Backend::Iptables) || self.mechanism == seccomp::MECHANISM
    }

    /// What it is about: the class, or the effects.
    pub fn subject(&self) -> String {
        let effects: Vec<&str> = self.effects.iter().map(|effect| effect.name()).collect();
        match effects.as_slice() {
            [] => self.fault.to_string(),
            effects => effects.join(", "),
        }
    }

    /// What it is about and what was found, in one line.
    fn summary(&self) -> String {
        let (Ok(found) | Err(found)) = &self.result;
        format!("{}: {found}", self.subject())
    }
}

/// Tries every class of `classes`; rows are in their order. Needs a sandbox without a network, and
/// leaves it so.
pub fn examine(inside: &Sandbox, classes: &BTreeSet<FaultClass>) -> Vec<Row> {
    examine_effects(inside, classes, &PacketEffect::ALL.into())
}

/// The same, and of effects on packets these alone.
fn examine_effects(
    inside: &Sandbox,
    classes: &BTreeSet<FaultClass>,
    effects: &BTreeSet<PacketEffect>,
) -> Vec<Row> {
    if classes.iter().all(|class| class.is_offered_by_target()) {
        return Vec::new();
    }
    let network = Switch::create(inside, 1, &SwitchOptions::default());
    // What the target must offer is no property of the machine.
    let of_machine = classes.iter().filter(|class| !class.is_offered_by_target());
    let examined = of_machine.map(|class| {
        let (mechanism, probe, attempt) = trial(*class);
        let (probe, attempt): (String, &Attempt) = match class {
            FaultClass::Packet => (packets::probes(effects), &|_, switch| {
                packets::attempt(switch, effects.iter().copied())
            }),
            _ => (probe.to_owned(), &attempt),
        };
        let result = match &network {
            Ok(switch) => attempt(inside, switch),
            Err(error) => Err(error.to_string()),
        };
        let of_network = matches!(class, FaultClass::Partition | FaultClass::Packet);
        Row {
            fault: *class,
            backend: of_network.then_some(Backend::Switch),
            effects: Vec::new(),
            mechanism,
            probe,
            result,
        }
    });
    examined.collect()
}

/// Tries every class with every backend there is.
pub fn examine_all(inside: &Sandbox) -> Vec<Row> {
    let mut rows = examine(inside, &FaultClass::ALL.into());
    let of_disks = rows.iter().position(|row| row.fault == FaultClass::Disk);
    rows.insert(
        of_disks.map_or(0, |at| at + 1),
        seccomp::examine_seccomp(inside),
    );
    let of_cuts = rows
        .iter()
        .position(|row| row.fault == FaultClass::Partition);
    rows.insert(of_cuts.map_or(0, |at| at + 1), backoff::examine(inside));
    let effects = PacketEffect::ALL.into();
    rows.extend(iptables::examine(inside, &FaultClass::ALL.into(), &effects));
    rows
}

/// Chooses the backend for a schedule, and tries all that the schedule needs with it. Where a row
/// says no, the schedule cannot be run here as it was asked for.
pub fn choose(inside: &Sandbox, wanted: Wanted, schedule: &Schedule) -> (Choice, Vec<Row>) {
    let (mut classes, effects) = (schedule.classes(), schedule.effects());
    // Those of disks are chosen for on their own: see `choose_disk`.
    classes.retain(|class| !class.needs_disk());
    let kernel = match wanted {
        Wanted::Switch => Vec::new(),
        Wanted::Auto | Wanted::Iptables => iptables::examine(inside, &classes, &effects),
    };
    let choice = choice::decide(wanted, &kernel);
    if choice.backend == Backend::Switch {
        return (choice, examine_effects(inside, &classes, &effects));
    }
    let others = classes
        .into_iter()
        .filter(|class| kernel.iter().all(|row| row.fault != *class));
    let mut rows = examine_effects(inside, &others.collect(), &effects);
    rows.extend(kernel);
    (choice, rows)
}

type Attempt<'a> = dyn Fn(&Sandbox, &Switch) -> Result<String, String> + 'a;

type Probe = fn(&Sandbox, &Switch) -> Result<String, String>;

/// The means, the words for the probe, and the probe.
fn trial(class: FaultClass) -> (&'static str, &'static str, Probe) {
    const SWITCH: &str = "userspace switch, over TUN or packet sockets";
    const FUSE: &str = "a disk in memory, served through FUSE";
    match class {
        FaultClass::Kill => (
            "SIGKILL, held by pidfd",
            "kill a process, start another in its place",
            process::kill,
        ),
        FaultClass::Pause => (
            "SIGSTOP, held by pidfd",
            "stop a process, see all its threads in state T",
            process::pause,
        ),
        FaultClass::Stop => (
            "SIGTERM, held by pidfd",
            "tell a process to end, see how it ended",
            process::stop,
        ),
        FaultClass::CrashLoop => (
            "SIGKILL, held by pidfd",
            "kill a process three times, starting it in between",
            process::crash_loop,
        ),
        FaultClass::StartKill => (
            "SIGSTOP, a look at its sockets, SIGKILL",
            "start a process, kill it before it listens",
            process::kill_starting,
        ),
        FaultClass::SlowCpu => (
            "SIGSTOP and SIGCONT, in turn",
            "let a process that is never idle run 20 % of the time",
            process::slow_cpu,
        ),
        FaultClass::Memory => (
            "RLIMIT_DATA, set from outside",
            "limit a process that doubles what it has, see it refused",
            process::memory,
        ),
        FaultClass::Partition => (SWITCH, CUT, |_, switch| cut(switch)),
        FaultClass::Packet => (SWITCH, "each effect", |_, switch| {
            packets::attempt(switch, PacketEffect::ALL)
        }),
        FaultClass::PowerLoss => (
            "a disk in memory, served through FUSE, which hears of fsync(2) and not of sync(2); a \
             fresh network namespace",
            "write, fsync, write, lose power, read what is left",
            disk::power_loss,
        ),
        FaultClass::Disk => (
            FUSE,
            "write, see fsync fail with EIO, heal, fsync; fill it",
            disk::ail,
        ),
        FaultClass::Damage => (FUSE, "flip a bit, read it, undo it", disk::damage),
        FaultClass::Clock => (
            "code in the vdso of each process, put there before it runs (x86_64)",
            "let `date` start with a clock that is an hour ahead, read what it prints",
            clock::an_hour_ahead,
        ),
        FaultClass::Membership | FaultClass::Admin => {
            unreachable!("left out above: no machine lacks it")
        }
    }
}

const N1: Node = Node(1);

const CUT: &str = "cut clients -> n1, see a datagram stopped, heal";

fn cut(switch: &dyn Network) -> Result<String, String> {
    let line = Line::open(switch)?;
    line.expect(b"before", 1)?;
    let grudge = [line.edge()].into_iter().collect();
    let cut = switch.cut(&grudge).map_err(|error| error.to_string())?;
    line.send(b"during")?;
    let met = || switch.dropped(cut).is_ok_and(|dropped| dropped.total() > 0);
    let stopped = within_a_second(met);
    switch.heal(cut).map_err(|error| error.to_string())?;
    if !stopped {
        return Err("a datagram did not meet the cut within 1 s".to_owned());
    }
    line.expect(b"after", 1)?;
    Ok("stopped by the cut, and by nothing after it".to_owned())
}

/// A socket at the clients' end, and one at n1's.
struct Line {
    clients: UdpSocket,
    n1: UdpSocket,
}

impl Line {
    fn open(switch: &dyn Network) -> Result<Self, String> {
        let open = || {
            let clients = UdpSocket::bind((CLIENT_ADDRESS, 0))?;
            let bind = || UdpSocket::bind((address(N1), 0));
            let inside = switch.namespace(N1).spawn("probe", bind)?;
            let n1 = inside.join().expect("binding does not panic")?;
            n1.set_read_timeout(Some(Duration::from_secs(1)))?;
            clients.connect(n1.local_addr()?)?;
            Ok(Self { clients, n1 })
        };
        open().map_err(|error: std::io::Error| format!("no probe sockets: {error}"))
    }

    fn edge(&self) -> Edge {
        Edge::new(Endpoint::Clients, N1)
    }

    fn send(&self, text: &[u8]) -> Result<(), String> {
        let sent = self.clients.send(text);
        sent.map(drop)
            .map_err(|error| format!("a datagram could not be sent: {error}"))
    }

    /// The next datagram that arrives.
    fn receive(&self) -> Result<Vec<u8>, String> {
        let mut buffer = [0; 1500];
        let length = self.n1.recv(&mut buffer);
        let length =
            length.map_err(|error| format!("a datagram did not arrive within 1 s: {error}"))?;
        Ok(buffer[..length].to_vec())
    }

    /// Sends one datagram; sees it, and nothing else, arrive so many times.
    fn expect(&self, text: &[u8], times: usize) -> Result<(), String> {
        self.send(text)?;
        for _ in 0..times {
            if self.receive()? != text {
                return Err("another datagram arrived than was sent".to_owned());
            }
        }
        Ok(())
    }
}

fn within_a_second(condition: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(1);
    while !condition() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
