//! Clients in threads of their own, and a monitor that hears of every call and return as it
//! happens: `cargo run --example watch_live`
//!
//! The register keeps two copies, and a read that takes the older one is stale. The clients are
//! stopped as soon as that is certain.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use ordeal_checker::budget::Budget;
use ordeal_checker::history::{Outcome, Process, Time};
use ordeal_checker::linearizability::{Linearizability, Monitor, MonitorError};
use ordeal_checker::model::{CasRegister, RegisterOp, RegisterRet};
use ordeal_checker::verdict::Validity;

const CLIENTS: u64 = 3;
const ROUNDS: u64 = 200;

/// What is watched.
struct Register {
    copies: Mutex<Copies>,
    /// Which copy a read takes.
    is_fresh: bool,
}

#[derive(Default)]
struct Copies {
    newest: Option<i64>,
    /// One write behind.
    older: Option<i64>,
}

impl Register {
    fn new(is_fresh: bool) -> Self {
        let copies = Mutex::default();
        Register { copies, is_fresh }
    }

    fn apply(&self, op: RegisterOp) -> RegisterRet {
        let mut copies = lock(&self.copies);
        match op {
            RegisterOp::Write(value) => {
                copies.older = copies.newest.replace(value);
                RegisterRet::Written
            }
            RegisterOp::Read if self.is_fresh => RegisterRet::Value(copies.newest),
            RegisterOp::Read => RegisterRet::Value(copies.older),
            RegisterOp::Cas { expect, new } => {
                let swapped = copies.newest == expect;
                if swapped {
                    copies.older = copies.newest.replace(new);
                }
                RegisterRet::Swapped(swapped)
            }
            RegisterOp::WriteNil | RegisterOp::CasNil { .. } => unreachable!("nobody asks that"),
        }
    }
}

/// Takes events from all clients. Time is their order here: whoever holds the lock is next.
struct Recorder {
    monitor: Mutex<(Monitor<CasRegister>, Time)>,
    is_over: AtomicBool,
}

impl Recorder {
    /// Hands the next event over, and notes whether a violation is certain now.
    fn record(
        &self,
        event: impl FnOnce(&mut Monitor<CasRegister>, Time) -> Result<(), MonitorError>,
    ) -> Result<(), MonitorError> {
        let mut guard = lock(&self.monitor);
        let (monitor, now) = &mut *guard;
        now.0 += 1_000_000;
        event(monitor, *now)?;
        if monitor.advance(Time(now.0 + 1))?.is_some() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn call(&self, register: &Register, client: u64, op: RegisterOp) -> Result<(), MonitorError> {
        let process = Process(client);
        self.record(|monitor, now| monitor.invoke(process, now, op).map(drop))?;
        let ret = register.apply(op);
        self.record(|monitor, now| monitor.complete(process, now, Outcome::Ok(ret)).map(drop))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Clients write values of their own and read, until a violation is certain; one more comes when
/// the others are through. The verdict, and whether it was told while the clients were at work.
fn watch(register: &Register) -> Result<(Linearizability, bool), MonitorError> {
    let recorder = Recorder {
        monitor: Mutex::new((Monitor::new(CasRegister, Budget::default()), Time(0))),
        is_over: AtomicBool::new(false),
    };
    let client = |client: u64| -> Result<(), MonitorError> {
        for round in 0..ROUNDS {
            if recorder.is_over.load(Ordering::Relaxed) {
                break;
            }
            let value = round * (CLIENTS + 1) + client;
            recorder.call(register, client, RegisterOp::Write(value.cast_signed()))?;
            recorder.call(register, client, RegisterOp::Read)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|id| scope.spawn(move || client(id)))
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().expect("a client does not panic"))
    })?;
    client(CLIENTS)?;
    let stopped_early = recorder.is_over.into_inner();
    let monitor = recorder.monitor.into_inner();
    let (monitor, _) = monitor.unwrap_or_else(PoisonError::into_inner);
    Ok((monitor.finish().1, stopped_early))
}

fn main() -> ExitCode {
    for is_fresh in [true, false] {
        match watch(&Register::new(is_fresh)) {
            Ok((verdict, stopped_early)) => {
                let finding = verdict.finding();
                let when = if stopped_early {
                    "told at once"
                } else {
                    "at the end"
                };
                println!("{} ({when}): {}", finding.validity, finding.summary);
                println!("{}", verdict.explain().unwrap_or_default());
                if (verdict.validity() == Validity::Valid) != is_fresh {
                    return ExitCode::FAILURE;
                }
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[test]
fn a_register_that_keeps_its_word_is_watched_to_the_end() {
    let (verdict, stopped_early) = watch(&Register::new(true)).unwrap();
    assert_eq!(verdict.validity(), Validity::Valid);
    assert!(!stopped_early);
}

/// At the latest the last client, which is alone, reads what its own write replaced.
#[test]
fn a_stale_read_is_told_before_the_clients_are_through() {
    let (verdict, stopped_early) = watch(&Register::new(false)).unwrap();
    assert_eq!(verdict.validity(), Validity::Invalid);
    assert!(stopped_early);
}
