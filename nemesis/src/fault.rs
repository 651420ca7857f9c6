//! Faults as data: closed, printable, and read back from the very text they print.
//!
//! A fault is one line, the same on the terminal, in a plan and in an event:
//!
//! | text | what happens, and what heals it |
//! |---|---|
//! | `kill n1 n3`, `kill leader`, `kill minority` | SIGKILL; started again |
//! | `pause n2`, `pause followers`, `pause all` | SIGSTOP; SIGCONT |
//! | `stop n1`, `crash-loop n1: 5`, `slow-cpu n1: 20%`, `memory n1: 4mb` | see [`process`] |
//! | `halves n1 n2 \| n3 n4 n5` | the two sides do not hear each other |
//! | `isolate n3`, `isolate leader` | one node and all others do not hear each other |
//! | `isolate leaders` | each node that says it leads is alone |
//! | `bridge n1 n2 \| n3 \| n4 n5` | two sides that do not hear each other; the middle hears both |
//! | `ring n3 n1 n5 n2 n4` | each node hears only its neighbours in this circle |
//! | `one-way n1 n2 -> n3` | nothing from the left reaches the right |
//! | `clients n1 n2` | clients and these nodes do not hear each other |
//! | `cut n1 -> n2 n3, n4 \| clients` | exactly these directions: one (`->`) or both (`\|`) |
//! | `packets n1: delay 50ms ±10ms, loss 20%` | see [`shaping`] and [`Scope`]; as before |
//! | `power-loss n1: torn`, `disk n1: fsync-error`, `damage n1: bit-flip 3` | see [`disk`] |
//! | `clock n1: +288s`, `clock all: rate 1.05`, `clock n1: strobe +1s every 10ms` | see [`clock`] |
//! | `grow n6`, `shrink leader`, `replace n2 -> n6` | see [`admin`]; the first members again |
//! | `transfer n3`, `campaign any`, `step-down`, `snapshot n1`, `compact all` | see [`admin`] |
//!
//! In the place of nodes may stand `leader` or `followers`: who that is, is asked when the fault
//! is injected; `one`, `minority` or `majority`: drawn then, from the plan's seed and the fault's
//! id; or `all`. Where it is nobody then, the fault is skipped.

pub mod admin;
mod class;
pub mod clock;
pub mod disk;
mod packets;
pub mod process;
mod shape;
pub mod shaping;
mod target;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::admin::{AdminFault, Asked, MemberChange, MemberFault, Whom};
pub use self::class::FaultClass;
pub use self::clock::{ClockFault, Skew};
pub use self::disk::{Ailment, Damage, DamageFault, DiskFault, Keep, PowerLoss};
pub use self::packets::{Packets, Scope};
pub use self::process::{CrashLoop, MemoryLimit, SlowCpu, StartKill};
pub use self::shape::Shape;
use self::shaping::ShapingTextError;
pub use self::shaping::{PacketEffect, Shaping};
pub use self::target::Targets;
use self::target::targets;
use crate::{
    node::{NameError, Node},
    text::stored_as_text,
};

/// Something to do to the cluster, and by implication to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Fault {
    /// SIGKILL; heals by starting the same nodes again.
    Kill(Targets),
    /// SIGSTOP; heals by SIGCONT.
    Pause(Targets),
    /// SIGTERM; heals by starting the same nodes again.
    Stop(Targets),
    /// SIGTERM, and started again as soon as they have ended.
    Restart(Targets),
    /// SIGKILL as often as it comes up; heals by leaving it alone.
    CrashLoop(CrashLoop),
    /// SIGKILL while it starts; heals by starting it again.
    StartKill(StartKill),
    /// A share of the processor; heals by giving it back.
    SlowCpu(SlowCpu),
    /// No more memory; heals by allowing it again.
    Memory(MemoryLimit),
    /// A cut in the network; heals by removing it.
    Partition(Shape),
    /// Packets slowed, lost, doubled, broken; heals by letting them pass as they are.
    Packets(Packets),
    /// Cut off, killed, and all that was not fsynced lost; heals by starting in a fresh network
    /// namespace.
    PowerLoss(PowerLoss),
    /// Requests to a disk that fail, wait or are lied about; heals by doing them again.
    Disk(DiskFault),
    /// Bytes of a disk changed; heals by starting what ended because of it on what was there.
    Damage(DamageFault),
    /// Wall clocks that are wrong; heals by making them right.
    Clock(ClockFault),
    /// The members changed; heals by bringing back the first ones.
    Member(MemberFault),
    /// Something an administrator orders; there is nothing to undo.
    Admin(AdminFault),
}

impl Fault {
    /// The class that this fault counts towards.
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Kill(_) => FaultClass::Kill,
            Self::Pause(_) => FaultClass::Pause,
            Self::Stop(_) | Self::Restart(_) => FaultClass::Stop,
            Self::CrashLoop(_) => FaultClass::CrashLoop,
            Self::StartKill(_) => FaultClass::StartKill,
            Self::SlowCpu(_) => FaultClass::SlowCpu,
            Self::Memory(_) => FaultClass::Memory,
            Self::Partition(_) => FaultClass::Partition,
            Self::Packets(_) => FaultClass::Packet,
            Self::PowerLoss(_) => FaultClass::PowerLoss,
            Self::Disk(_) => FaultClass::Disk,
            Self::Damage(_) => FaultClass::Damage,
            Self::Clock(_) => FaultClass::Clock,
            Self::Member(_) => FaultClass::Membership,
            Self::Admin(_) => FaultClass::Admin,
        }
    }

    /// The nodes it is aimed at, unless it is the network's.
    pub fn targets(&self) -> Option<&Targets> {
        match self {
            Self::Kill(targets) | Self::Pause(targets) => Some(targets),
            Self::Stop(targets) | Self::Restart(targets) => Some(targets),
            Self::CrashLoop(CrashLoop { targets, .. })
            | Self::StartKill(StartKill { targets, .. })
            | Self::SlowCpu(SlowCpu { targets, .. })
            | Self::Memory(MemoryLimit { targets, .. }) => Some(targets),
            Self::PowerLoss(PowerLoss { targets, .. })
            | Self::Disk(DiskFault { targets, .. })
            | Self::Damage(DamageFault { targets, .. }) => Some(targets),
            Self::Clock(fault) => Some(&fault.targets),
            Self::Member(fault) => fault.leaving(),
            Self::Admin(fault) => fault.targets(),
            Self::Partition(_) | Self::Packets(_) => None,
        }
    }

    /// Whether it may end a process: nothing else that may do so can be in force on the same node.
    pub fn hits_processes(&self) -> bool {
        match self {
            Self::Disk(fault) => fault.ailment.is_noticed(),
            Self::Clock(_) | Self::Member(_) | Self::Admin(_) => false,
            _ => self.targets().is_some(),
        }
    }

    /// Whether somebody has to be asked who leads before this fault can be injected.
    pub fn needs_leader(&self) -> bool {
        match self {
            Self::Partition(shape) => {
                matches!(shape, Shape::IsolateLeader | Shape::IsolateLeaders)
            }
            Self::Packets(packets) => match &packets.scope {
                Scope::Around(targets) => targets.need_leader(),
                Scope::Between { .. } => false,
            },
            _ => self.targets().is_some_and(Targets::need_leader),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(targets) => write!(f, "kill {targets}"),
            Self::Pause(targets) => write!(f, "pause {targets}"),
            Self::Stop(targets) => write!(f, "stop {targets}"),
            Self::Restart(targets) => write!(f, "restart {targets}"),
            Self::CrashLoop(fault) => fault.fmt(f),
            Self::StartKill(fault) => fault.fmt(f),
            Self::SlowCpu(fault) => fault.fmt(f),
            Self::Memory(fault) => fault.fmt(f),
            Self::Partition(shape) => shape.fmt(f),
            Self::Packets(packets) => packets.fmt(f),
            Self::PowerLoss(fault) => fault.fmt(f),
            Self::Disk(fault) => fault.fmt(f),
            Self::Damage(fault) => fault.fmt(f),
            Self::Clock(fault) => fault.fmt(f),
            Self::Member(fault) => fault.fmt(f),
            Self::Admin(fault) => fault.fmt(f),
        }
    }
}

fn spaced<'a, T: fmt::Display + 'a>(names: impl IntoIterator<Item = &'a T>) -> String {
    names
        .into_iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

const KINDS: &str = "kill, pause, stop, restart, crash-loop, kill-starting, slow-cpu, memory, \
                     halves, isolate, bridge, ring, one-way, clients, cut, packets, \
                     power-loss, disk, damage, clock, grow, shrink, replace, transfer, \
                     campaign, step-down, snapshot or compact";

/// A fault's text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault `{text}`: {problem}")]
pub struct FaultTextError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("`{0}` is no fault: use {KINDS}")]
    Kind(String),
    #[error("write it as `{0}`")]
    Form(&'static str),
    #[error("{0} is named twice")]
    Twice(String),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Shaping(#[from] ShapingTextError),
}

impl FromStr for Fault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, FaultTextError> {
        parse(text).map_err(|problem| FaultTextError {
            text: text.to_owned(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<Fault, Problem> {
    let text = text.trim();
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    Ok(match kind {
        "kill" => Fault::Kill(targets(
            rest,
            "kill n1 n2` or `kill leader` or `kill minority",
        )?),
        "pause" => Fault::Pause(targets(
            rest,
            "pause n1 n2` or `pause leader` or `pause followers",
        )?),
        "stop" => Fault::Stop(targets(rest, "stop n1 n2` or `stop leader` or `stop one")?),
        "restart" => Fault::Restart(targets(rest, "restart n1` or `restart all")?),
        "crash-loop" => Fault::CrashLoop(process::crash_loop(rest)?),
        "kill-starting" => Fault::StartKill(process::kill_starting(rest)?),
        "slow-cpu" => Fault::SlowCpu(process::slow_cpu(rest)?),
        "memory" => Fault::Memory(process::memory(rest)?),
        "packets" => Fault::Packets(packets::parse(rest)?),
        "power-loss" => Fault::PowerLoss(disk::power_loss(rest)?),
        "disk" => Fault::Disk(disk::disk(rest)?),
        "damage" => Fault::Damage(disk::damage(rest)?),
        "clock" => Fault::Clock(clock::parse(rest)?),
        other => {
            if let Some(fault) = admin::member(other, rest) {
                return Ok(Fault::Member(fault?));
            }
            if let Some(fault) = admin::admin(other, rest) {
                return Ok(Fault::Admin(fault?));
            }
            match shape::parse(other, rest)? {
                Some(shape) => Fault::Partition(shape),
                None => return Err(Problem::Kind(other.to_owned())),
            }
        }
    })
}

/// At least one node, none twice.
fn nodes(text: &str, form: &'static str) -> Result<Vec<Node>, Problem> {
    let mut list = Vec::new();
    for word in text.split_whitespace() {
        let node: Node = word.parse()?;
        if list.contains(&node) {
            return Err(Problem::Twice(node.to_string()));
        }
        list.push(node);
    }
    if list.is_empty() {
        Err(Problem::Form(form))
    } else {
        Ok(list)
    }
}

stored_as_text!(Fault);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_back_from_the_text_it_prints() {
        for text in [
            "kill n1 n3",
            "kill leader",
            "kill all",
            "kill one",
            "stop minority",
            "crash-loop majority: 3",
            "disk followers: slow-fsync 20ms",
            "packets followers: delay 50ms",
            "pause n2",
            "pause leader",
            "stop n1",
            "stop leader",
            "restart all",
            "crash-loop n1: 5",
            "kill-starting n1 n2: 20ms",
            "slow-cpu leader: 20%",
            "memory n2: 0mb",
            "halves n1 n2 | n3 n4 n5",
            "isolate n3",
            "isolate leader",
            "isolate leaders",
            "bridge n1 n2 | n3 | n4 n5",
            "cut n1 -> n2 n3",
            "cut clients | n4, n1 -> n2 n3, n5 -> n1",
            "ring n3 n1 n5 n2 n4",
            "one-way n1 n2 -> n3",
            "clients n1 n2",
            "packets leader: delay 50ms ±10ms",
            "packets all: loss 20%, reorder 0.5%",
            "packets clients n1 -> n2: rate 1mbit",
            "power-loss n1 n3",
            "power-loss leader: some",
            "power-loss all: torn",
            "disk n2: fsync-error",
            "disk leader: slow-fsync 20ms",
            "disk all: lying-fsync",
            "disk n2: full",
            "disk one: full after 64kb",
            "disk n1: lying-write",
            "disk n1: read-flip",
            "damage n1: bit-flip 3",
            "damage n1 n2: wipe",
            "clock n1 n2: +288s",
            "clock leader: -11ms",
            "clock all: rate 1.05",
            "clock n1: strobe -200ms every 10ms",
            "grow n6 n7",
            "shrink leader",
            "shrink n2 n3: isolated",
            "replace n2 -> n6",
            "replace leader -> n6",
            "transfer n3",
            "transfer any: isolated",
            "campaign any",
            "step-down",
            "snapshot all",
            "compact n1 n2",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            assert_eq!(serde_json::to_string(&fault).unwrap(), format!("{text:?}"));
        }
    }

    #[test]
    fn a_number_out_of_bounds_is_refused_with_the_form_to_use() {
        for (text, message) in [
            (
                "crash-loop n1: 1",
                "fault `crash-loop n1: 1`: write it as `crash-loop n1: 5` (2 to 1000 kills) or \
                 `crash-loop leader: 3`",
            ),
            (
                "kill-starting n1: +5ms",
                "fault `kill-starting n1: +5ms`: write it as `kill-starting n1: 20ms` \
                 (1ms to 10000ms) or `kill-starting all: 5ms`",
            ),
            (
                "slow-cpu n1: 100%",
                "fault `slow-cpu n1: 100%`: write it as `slow-cpu n1: 20%` (1% to 99%) or \
                 `slow-cpu leader: 5%`",
            ),
            (
                "memory n1: 4",
                "fault `memory n1: 4`: write it as `memory n1: 4mb` (0mb to 1048576mb) or \
                 `memory leader: 0mb`",
            ),
            (
                "clock n1: +0s",
                "fault `clock n1: +0s`: write it as `clock n1: +288s` (with its sign, 1ms to \
                 315360000s) or `clock leader: -11ms`",
            ),
            (
                "clock n1: rate 101",
                "fault `clock n1: rate 101`: write it as `clock all: rate 1.05` (0.01 to 100 and \
                 not 1, at most six decimals) or `clock n1: rate 0.5`",
            ),
            (
                "clock n1: strobe +1s every 0ms",
                "fault `clock n1: strobe +1s every 0ms`: write it as `clock n1: strobe +200ms \
                 every 10ms` (by 1ms to 315360000s, every 1ms to 60000ms) or `clock all: strobe \
                 -5s every 40ms`",
            ),
            (
                "disk n1: slow-fsync 5s",
                "fault `disk n1: slow-fsync 5s`: write it as `disk n1: slow-fsync 20ms` (1ms to \
                 2000ms) or `disk leader: slow-fsync 5ms`",
            ),
            (
                "disk n1: full after 0kb",
                "fault `disk n1: full after 0kb`: write it as `disk n1: full` or `disk n1: full \
                 after 64kb` (1kb to 4294967295kb) or `disk all: full after 1kb`",
            ),
            (
                "damage n1: bit-flip 0",
                "fault `damage n1: bit-flip 0`: write it as `damage n1: bit-flip 3` (1 to 65535 \
                 bits) or `damage leader: bit-flip 1`",
            ),
            (
                "packets clients: loss",
                "fault `packets clients: loss`: write it as `packets clients -> n1: loss 20%` \
                 (clients are an end of a direction) or `packets n1 n2 -> clients: delay 50ms`",
            ),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_wrong_text_is_refused_with_the_form_to_use() {
        for (text, message) in [
            (
                "",
                "fault ``: `` is no fault: use kill, pause, stop, restart, crash-loop, \
                 kill-starting, slow-cpu, memory, halves, isolate, bridge, ring, \
                 one-way, clients, cut, packets, power-loss, disk, damage, clock, \
                 grow, shrink, replace, transfer, campaign, step-down, snapshot or compact",
            ),
            (
                "power-loss n1: half",
                "fault `power-loss n1: half`: write it as `power-loss n1 n2` or \
                 `power-loss leader: some` or `power-loss all: torn`",
            ),
            (
                "damage n1: rust",
                "fault `damage n1: rust`: write it as `damage n1: bit-flip 3` or \
                 `damage n1: truncate` or `damage n1: restore` or `damage n1: wipe`",
            ),
            (
                "kill",
                "fault `kill`: write it as `kill n1 n2` or `kill leader` or `kill minority`",
            ),
            (
                "kill n1 x",
                "fault `kill n1 x`: `x` is not a node (n1, n2, …)",
            ),
            ("pause n1 n1", "fault `pause n1 n1`: n1 is named twice"),
            (
                "isolate n1 n2",
                "fault `isolate n1 n2`: write it as `isolate n1` or `isolate leader`",
            ),
            (
                "halves n1 n2",
                "fault `halves n1 n2`: write it as `halves n1 n2 | n3`",
            ),
            (
                "halves n1 | n1",
                "fault `halves n1 | n1`: n1 is named twice",
            ),
            (
                "one-way n1 ->",
                "fault `one-way n1 ->`: write it as `one-way n1 -> n2 n3`",
            ),
            (
                "bridge n1 | n2 | n1",
                "fault `bridge n1 | n2 | n1`: n1 is named twice",
            ),
            (
                "bridge n1 | n2",
                "fault `bridge n1 | n2`: write it as `bridge n1 n2 | n3 | n4 n5`",
            ),
            (
                "cut n1 n2",
                "fault `cut n1 n2`: write it as `cut n1 -> n2 n3, n4 | clients`",
            ),
            ("cut n1 -> n1", "fault `cut n1 -> n1`: n1 is named twice"),
            (
                "packets n1: loss 200%",
                "fault `packets n1: loss 200%`: write it as `loss 20%` (0.0001% to 100%) or \
                 `loss 0.5%`",
            ),
            (
                "packets n1 -> n2 n2: loss 2%",
                "fault `packets n1 -> n2 n2: loss 2%`: n2 is named twice",
            ),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_wrong_change_of_members_is_refused_with_the_form_to_use() {
        for (text, message) in [
            (
                "clock n1: 288s",
                "fault `clock n1: 288s`: write it as `clock n1: +288s` (with its sign, 1ms to \
                 315360000s) or `clock leader: -11ms`",
            ),
            (
                "clock n1: wrong",
                "fault `clock n1: wrong`: write it as `clock n1: +288s` or `clock leader: -11ms` \
                 or `clock all: rate 1.05` or `clock n1: strobe +200ms every 10ms`",
            ),
            (
                "shrink all",
                "fault `shrink all`: write it as `shrink n2` or `shrink leader` or \
                 `shrink n2: isolated`",
            ),
            (
                "replace n2 -> n2",
                "fault `replace n2 -> n2`: n2 is named twice",
            ),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message);
        }
    }
}
