//! What happens to processes besides a kill and a pause.
//!
//! | text | what happens, and what heals it |
//! |---|---|
//! | `stop n1`, `stop leader` | SIGTERM, seen to end in order; started again |
//! | `restart n1 n2`, `restart all` | the same, and started again at once |
//! | `crash-loop n1: 5` | SIGKILL as often as it comes up, at most so many times; left alone |
//! | `kill-starting n1: 20ms` | SIGKILL, and again within that time of its start; started again |
//! | `slow-cpu n1: 20%` | it runs that share of the time, by SIGSTOP and SIGCONT; all of it again |
//! | `memory n1: 4mb` | it gets so much more memory than it has, and no more; as before |
//!
//! A node that ends itself because it gets no memory does what most programs do: it is started
//! again when there is memory.

use std::{fmt, time::Duration};

use super::{Problem, Targets, targets};

/// A node that is killed as often as it comes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashLoop {
    /// Who.
    pub targets: Targets,
    /// How often at most.
    pub kills: u16,
}

/// A node that is killed while it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartKill {
    /// Who.
    pub targets: Targets,
    /// The longest time from its start to the kill; the time itself is drawn.
    pub within: Duration,
}

/// A node that gets a share of the processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowCpu {
    /// Who.
    pub targets: Targets,
    /// How much of the time it runs, in percent: 1 to 99.
    pub percent: u8,
}

/// A node that gets little more memory than it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Who.
    pub targets: Targets,
    /// How much more than it has when the fault begins, in MiB.
    pub room_mb: u32,
}

impl fmt::Display for CrashLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash-loop {}: {}", self.targets, self.kills)
    }
}

impl fmt::Display for StartKill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within_ms = self.within.as_millis();
        write!(f, "kill-starting {}: {within_ms}ms", self.targets)
    }
}

impl fmt::Display for SlowCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slow-cpu {}: {}%", self.targets, self.percent)
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory {}: {}mb", self.targets, self.room_mb)
    }
}

const CRASH_LOOP: &str = "crash-loop n1: 5` (2 to 1000 kills) or `crash-loop leader: 3";
const KILL_STARTING: &str = "kill-starting n1: 20ms` (1ms to 10000ms) or `kill-starting all: 5ms";
const SLOW_CPU: &str = "slow-cpu n1: 20%` (1% to 99%) or `slow-cpu leader: 5%";
const MEMORY: &str = "memory n1: 4mb` (0mb to 1048576mb) or `memory leader: 0mb";

/// Reads what follows the word `crash-loop`.
pub(super) fn crash_loop(text: &str) -> Result<CrashLoop, Problem> {
    let (targets, kills) = parts(text, "", CRASH_LOOP)?;
    match u16::try_from(kills) {
        Ok(kills @ 2..=1000) => Ok(CrashLoop { targets, kills }),
        _ => Err(Problem::Form(CRASH_LOOP)),
    }
}

/// Reads what follows the word `kill-starting`.
pub(super) fn kill_starting(text: &str) -> Result<StartKill, Problem> {
    let (targets, within_ms) = parts(text, "ms", KILL_STARTING)?;
    if !(1..=10_000).contains(&within_ms) {
        return Err(Problem::Form(KILL_STARTING));
    }
    let within = Duration::from_millis(within_ms.into());
    Ok(StartKill { targets, within })
}

/// Reads what follows the word `slow-cpu`.
pub(super) fn slow_cpu(text: &str) -> Result<SlowCpu, Problem> {
    let (targets, percent) = parts(text, "%", SLOW_CPU)?;
    match u8::try_from(percent) {
        Ok(percent @ 1..=99) => Ok(SlowCpu { targets, percent }),
        _ => Err(Problem::Form(SLOW_CPU)),
    }
}

/// Reads what follows the word `memory`.
pub(super) fn memory(text: &str) -> Result<MemoryLimit, Problem> {
    let (targets, room_mb) = parts(text, "mb", MEMORY)?;
    if room_mb > 1 << 20 {
        return Err(Problem::Form(MEMORY));
    }
    Ok(MemoryLimit { targets, room_mb })
}

/// `n1 n2: 20UNIT`.
fn parts(text: &str, unit: &str, form: &'static str) -> Result<(Targets, u32), Problem> {
    let (who, how) = text.split_once(':').ok_or(Problem::Form(form))?;
    let number = how.trim().strip_suffix(unit).unwrap_or_default();
    // `+5` is a number to `parse`, and would not be read back as it was written.
    if !number.chars().all(|digit| digit.is_ascii_digit()) {
        return Err(Problem::Form(form));
    }
    let number = number.parse().map_err(|_| Problem::Form(form))?;
    Ok((targets(who.trim(), form)?, number))
}
