//! Every fault on every backend, measured from outside: what it does while it is there, and that it
//! is gone after the heal.
//!
//! The list in [`measured`] is the one source: it makes the tests, and the table in this crate's
//! README. To add a fault or a backend:
//!
//! 1. write the measurement, a function that takes the sandbox and panics unless what a probe sees
//!    is what the fault promises;
//! 2. add it to the list (or a list of your own that `measured` joins) with its fault, its backend
//!    and what is promised, in the words of the table;
//! 3. `ORDEAL_BLESS=1 cargo test -p ordeal-nemesis --test conformance readme` writes the table.
//!
//! What a machine lacks cannot be measured there. Such a measurement goes on to see that the
//! backend refuses it, with what to install.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod backend;
mod cut;
mod packets;
mod process;
mod table;

use std::process::ExitCode;

use ordeal_nemesis::sandbox::Sandbox;

use backend::{Iptables, IptablesLegacy, Packet, Tun};
use support::{Body, Case};

fn main() -> ExitCode {
    let tests = measured().into_iter();
    let mut cases: Vec<Case> = tests
        .map(|row| (row.test, Body::Inside(row.body)))
        .collect();
    cases.push((
        "the_readme_has_the_table_that_this_list_yields",
        Body::Outside(table::check),
    ));
    cases.push(("lives", Body::Program(process::lives)));
    support::main(&cases)
}

/// One measurement: a test, and a row of the table.
pub(crate) struct Measured {
    /// The fault, as a plan writes it.
    pub(crate) fault: &'static str,
    /// By which means it is injected.
    pub(crate) backend: &'static str,
    /// What the probe must see.
    pub(crate) promise: &'static str,
    /// The test's name.
    pub(crate) test: &'static str,
    /// The test.
    pub(crate) body: fn(&Sandbox),
}

/// Measurements of the same fault on several backends of the network.
macro_rules! on_networks {
    ($($fault:literal: $promise:literal, $module:ident::$test:ident on $($backend:ident)+;)+) => {
        vec![$($(Measured {
            fault: $fault,
            backend: <$backend as backend::Backend>::NAME,
            promise: $promise,
            test: concat!(stringify!($test), "_on_", stringify!($backend)),
            body: $module::$test::<$backend>,
        }),+),+]
    };
}

/// Measurements of faults that know one mechanism only.
macro_rules! by {
    ($mechanism:literal: $($fault:literal: $promise:literal, $module:ident::$test:ident;)+) => {
        vec![$(Measured {
            fault: $fault,
            backend: $mechanism,
            promise: $promise,
            test: stringify!($test),
            body: $module::$test,
        }),+]
    };
}

fn measured() -> Vec<Measured> {
    let mut all = of_networks();
    all.extend(of_processes());
    all
}

fn of_processes() -> Vec<Measured> {
    let mut all = by! { "signals":
        "`stop`": "its own goodbye, then refused connections, then another process that serves",
            process::stop;
        "`restart all`": "everybody's goodbye, and everybody's successor serves",
            process::restart_all;
        "`crash-loop n1: 3`": "three processes that came up are gone, the fourth serves",
            process::crash_loop;
        "`kill-starting n1: 60ms`": "one process that never came up, and one that serves",
            process::kill_starting;
        "`slow-cpu n1: 20%`": "a process that is never idle gets less than 30 % of a processor, \
                              and then all of it",
            process::slow_cpu;
    };
    all.extend(by! { "`RLIMIT_DATA`":
        "`memory n1: 1mb`": "64 MiB are refused and end the process, its successor gets them; who \
                             needs none lives on, with the limit of before",
            process::memory;
    });
    all
}

fn of_networks() -> Vec<Measured> {
    on_networks! {
        "any cut": "no datagram passes in exactly the given directions; all do after the heal",
            cut::blocks_exactly_its_directions on Tun Packet Iptables IptablesLegacy;
        "two cuts": "together the union; healed one by one",
            cut::overlap_as_a_union on Tun Packet Iptables IptablesLegacy;
        "`delay 50ms`": "median late by 50 to 52 ms, the way back as before",
            packets::delay on Tun Packet Iptables;
        "`delay 30ms ±10ms`": "10, 50 and 90 % quantiles within 3 ms",
            packets::jitter on Tun Packet Iptables;
        "`loss 10%`": "62 to 138 of 1000 missing (4 σ), as many as counted",
            packets::loss on Tun Packet Iptables IptablesLegacy;
        "`duplicate 10%`": "62 to 138 of 1000 twice, as many as counted",
            packets::duplicate on Tun Packet Iptables IptablesLegacy;
        "`reorder 10%`": "62 to 138 of 1000 come behind a later one",
            packets::reorder on Tun Packet Iptables;
        "`corrupt 10%`": "found broken by its receiver: 55 to 138 of 1000 missing",
            packets::corrupt on Tun Packet Iptables;
        "`corrupt-deliver 100%`": "every payload differs in exactly one bit",
            packets::corrupt_deliver on Tun Packet Iptables;
        "`rate 1mbit`": "49 packets of 8 ms take 392 ± 20 ms",
            packets::rate on Tun Packet Iptables;
        "`reset 100%`": "both ends of a connection: reset; a new one: refused",
            packets::reset on Tun Packet Iptables IptablesLegacy;
        "`refuse 100%`": "new connections refused, each counted; an open one goes on",
            packets::refuse on Tun Packet Iptables IptablesLegacy;
    }
}
