//! Every fault on every backend, measured from outside: what it does while it is there, and that it
//! is gone after the heal.
//!
//! The list in [`measured`] is the one source: it makes the tests, and the table in this crate's
//! README. To add a fault or a backend:
//!
//! 1. write the measurement, a function that takes the sandbox and panics unless what a probe sees
//!    is what the fault promises: faults of the network on a [`support::line::Line`], all others on
//!    a [`rig::Rig`], which does to small programs ([`probe`]) what a plan says;
//! 2. add it to the list (or to the `rows` of its module, which `measured` joins) with its fault,
//!    its backend and what is promised, in the words of the table; behind `netem` where it takes
//!    that;
//! 3. `ORDEAL_BLESS=1 cargo test -p ordeal-nemesis --test conformance` runs all and writes the
//!    table, unless some row was not seen to hold in that very run.
//!
//! What a machine lacks cannot be measured there: such a measurement sees that the backend refuses
//! it, with what to install, and counts as ignored (`support`). What takes netem is measured by
//! `.ci/netem`, which runs all of it (`--netem`) on a kernel that has it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod backend;
#[cfg(target_arch = "x86_64")]
mod clock;
mod cut;
mod disk;
mod packets;
mod power;
mod probe;
mod process;
mod rig;
mod seccomp;
mod signal;
mod table;

use std::process::ExitCode;

use ordeal_nemesis::sandbox::Sandbox;

use backend::{Iptables, IptablesLegacy, Packet, Tun};
use support::{Body, Case};

fn main() -> ExitCode {
    // What `.ci/netem` runs.
    let all = !std::env::args().any(|arg| arg == "--netem");
    let tests = measured().into_iter().filter(|row| all || row.netem);
    let mut cases: Vec<Case> = tests
        .map(|row| (row.test, Body::Inside(row.body)))
        .collect();
    if all {
        cases.extend(refusals());
        // Last: it looks at what became of the others.
        cases.push((
            "the_readme_has_the_table_that_this_list_yields",
            Body::Outside(table::check),
        ));
    }
    cases.push(("probe", Body::Program(probe::probe)));
    cases.push(("lives", Body::Program(process::lives)));
    cases.push(("obeys", Body::Program(seccomp::obeys)));
    support::main(&cases)
}

/// One measurement: a test, and a row of the table.
#[derive(Clone)]
pub(crate) struct Measured {
    /// The fault, as a plan writes it.
    pub(crate) fault: &'static str,
    /// By which means it is injected.
    pub(crate) backend: &'static str,
    /// What the probe must see.
    pub(crate) promise: &'static str,
    /// The test's name.
    pub(crate) test: &'static str,
    /// Whether it takes netem, which few kernels here have: then `.ci/netem` measures it.
    pub(crate) netem: bool,
    /// The test.
    pub(crate) body: fn(&Sandbox),
}

/// Measurements of the same fault on several backends of the network, on some by means of netem.
macro_rules! on_networks {
    ($($fault:literal: $promise:literal,
        $module:ident::$test:ident on $($backend:ident)+ $(, netem $($with_netem:ident)+)?;)+) => {
        [$(
            vec![$(on_networks!(@ $fault, $promise, $module::$test, $backend, false)),+],
            vec![$($(on_networks!(@ $fault, $promise, $module::$test, $with_netem, true)),+)?],
        )+].concat()
    };
    (@ $fault:literal, $promise:literal,
        $module:ident::$test:ident, $backend:ident, $netem:literal) => {
        Measured {
            fault: $fault,
            backend: <$backend as backend::Backend>::NAME,
            promise: $promise,
            test: concat!(stringify!($test), "_on_", stringify!($backend)),
            netem: $netem,
            body: $module::$test::<$backend>,
        }
    };
}

/// Measurements by means of which there is one.
#[macro_export]
macro_rules! measured_here {
    ($($fault:literal: $promise:literal, $backend:literal: $module:ident::$test:ident;)+) => {
        vec![$($crate::Measured {
            fault: $fault,
            backend: $backend,
            promise: $promise,
            test: concat!(stringify!($module), "_", stringify!($test)),
            netem: false,
            body: $crate::$module::$test,
        }),+]
    };
}

fn measured() -> Vec<Measured> {
    [
        of_networks(),
        power_losses(),
        disk::rows(),
        signal::rows(),
        of_processes(),
        of_filters(),
        of_clocks(),
    ]
    .concat()
}

fn power_losses() -> Vec<Measured> {
    let mut rows = on_networks! {
        "`power-loss n1`": "exactly the unsynced bytes are gone; cut off meanwhile; peers hear \
                            neither an end nor a reset; afterwards another process serves",
            power::loses_exactly_the_unsynced on Tun Packet Iptables IptablesLegacy;
    };
    rows.extend(measured_here! {
        "`power-loss n1: some`": "of two unsynced writes any, each whole; the same with one seed",
            "FUSE": power::keeps_some;
        "`power-loss n1: torn`": "of unsynced writes any whole sectors of 512 bytes; the same with \
                                  one seed",
            "FUSE": power::keeps_sectors;
    });
    rows
}

fn of_processes() -> Vec<Measured> {
    measured_here! {
        "`stop`": "its own goodbye, then refused connections, then another process that serves",
            "signals": process::stop;
        "`restart all`": "everybody's goodbye, and everybody's successor serves",
            "signals": process::restart_all;
        "`crash-loop n1: 3`": "three processes that came up are gone, the fourth serves",
            "signals": process::crash_loop;
        "`kill-starting n1: 60ms`": "one process that never came up, and one that serves",
            "signals": process::kill_starting;
        "`slow-cpu n1: 20%`": "a process that is never idle gets less than 30 % of a processor, \
                              and then all of it",
            "signals": process::slow_cpu;
        "`memory n1: 1mb`": "64 MiB are refused and end the process, its successor gets them; who \
                             needs none lives on, with the limit of before",
            "`RLIMIT_DATA`": process::memory;
    }
}

#[cfg(target_arch = "x86_64")]
fn of_clocks() -> Vec<Measured> {
    clock::rows()
}

#[cfg(not(target_arch = "x86_64"))]
fn of_clocks() -> Vec<Measured> {
    eprintln!("clocks cannot be made wrong on this architecture: not measured");
    Vec::new()
}

fn of_filters() -> Vec<Measured> {
    measured_here! {
        "`disk n1: read-error`, filtered": "EIO for read and pread, beside the data none",
            "seccomp": seccomp::read_error;
        "`disk n1: write-error`, filtered": "EIO for write, pwrite and append; what was there \
                                             stays",
            "seccomp": seccomp::write_error;
        "`disk n1: fsync-error`, filtered": "EIO for fsync and fdatasync; what was written stays",
            "seccomp": seccomp::fsync_error;
        "`disk n1: full`, filtered": "ENOSPC for writes beyond the end; bytes in place can \
                                      be written",
            "seccomp": seccomp::full;
        "`disk n1: full after 1kb`, filtered": "1024 bytes more are taken, then ENOSPC; bytes in \
                                                place can be written",
            "seccomp": seccomp::full_after;
        "`disk n1: slow-fsync 80ms`, filtered": "80 ms at least; healed, at once, also what waits",
            "seccomp": seccomp::slow_fsync;
        "`disk n1: lying-fsync`, filtered": "says that it did, counted; power loss, damage refused",
            "seccomp": seccomp::lying_fsync;
    }
}

fn of_networks() -> Vec<Measured> {
    on_networks! {
        "any cut": "no datagram passes in exactly the given directions; all do after the heal",
            cut::blocks_exactly_its_directions on Tun Packet Iptables IptablesLegacy;
        "two cuts": "together the union; healed one by one",
            cut::overlap_as_a_union on Tun Packet Iptables IptablesLegacy;
        "`delay 50ms`": "median late by 50 to 52 ms, the way back as before",
            packets::delay on Tun Packet, netem Iptables IptablesLegacy;
        "`delay 30ms ±10ms`": "10, 50 and 90 % quantiles within 3 ms; the half in the middle \
                               within 8.5 to 11.5 ms",
            packets::jitter on Tun Packet, netem Iptables;
        "`loss 10%`": "62 to 138 of 1000 missing (4 σ), as many as counted",
            packets::loss on Tun Packet Iptables IptablesLegacy;
        "`duplicate 10%`": "62 to 138 of 1000 twice, as many as counted",
            packets::duplicate on Tun Packet Iptables IptablesLegacy;
        "`reorder 10%`": "62 to 138 of 1000 come behind a later one",
            packets::reorder on Tun Packet, netem Iptables IptablesLegacy;
        "`corrupt 10%`": "found broken by its receiver: 55 to 138 of 1000 missing",
            packets::corrupt on Tun Packet, netem Iptables;
        "`corrupt-deliver 100%`": "every payload differs in exactly one bit",
            packets::corrupt_deliver on Tun Packet;
        "`rate 1mbit`": "25 packets of 8 ms take 200 ± 10 ms",
            packets::rate on Tun Packet Iptables IptablesLegacy;
        "`reset 100%`": "both ends of a connection: reset; a new one: refused",
            packets::reset on Tun Packet Iptables IptablesLegacy;
        "`refuse 100%`": "new connections refused, each counted; an open one goes on",
            packets::refuse on Tun Packet Iptables IptablesLegacy;
    }
}

/// What a backend has no means for.
fn refusals() -> [Case; 2] {
    let (nft, legacy) = (
        packets::refuses_corrupt_deliver::<Iptables>,
        packets::refuses_corrupt_deliver::<IptablesLegacy>,
    );
    [
        ("refuses_corrupt_deliver_on_Iptables", Body::Inside(nft)),
        (
            "refuses_corrupt_deliver_on_IptablesLegacy",
            Body::Inside(legacy),
        ),
    ]
}
