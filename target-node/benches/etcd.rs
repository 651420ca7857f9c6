//! How the node compares with etcd 3.4.23 on this machine: three nodes each, on loopback, with
//! their logs synced, in the same file system, asked by the same client.
//!
//! ```sh
//! cargo bench -p target-node --bench etcd                     # 5 rounds of 2 s for each cell
//! cargo bench -p target-node --bench etcd -- --rounds 3 --period-ms 1000 --only get
//! ```
//!
//! Both clusters run all the time, and take turns cell by cell, so that whatever else the machine
//! does hits both. Told are medians over the rounds, and of the ratios within each round.
//!
//! What makes it fair, or rather: what is done in favour of etcd.
//! - It is asked over gRPC, its native protocol, with headers compressed as its own client does,
//!   by a client that costs no more than ours for HTTP/1.1. Its JSON gateway, which is what we
//!   offer too, is measured with `--gateway`: it costs etcd more.
//! - Both have heartbeats every 100 ms, elections after 1 s, and otherwise their defaults.
//! - Clients spread over all nodes, the leader first: a single client asks the leader.
//! - One connection a client, one request at a time; puts of 100 bytes to 1,000 keys.
//!
//! etcd comes from `PATH`, or else from Debian's package, which is unpacked below the target
//! directory and not installed.

#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench takes times and starts processes"
)]

#[path = "load/client.rs"]
mod client;
#[path = "load/grpc.rs"]
mod grpc;
#[path = "load/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests of whole nodes need more of this file")]
#[path = "../tests/cluster/process.rs"]
mod process;
#[path = "etcd/rival.rs"]
mod rival;
#[path = "etcd/table.rs"]
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

use client::{Dialect, Load, Operation};
use process::Cluster;
use rival::Etcd;
use table::{Cell, Sample, Table};

const CLIENTS: [usize; 3] = [1, 16, 64];

#[derive(Debug, Parser)]
struct Args {
    /// How often every cell is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// For how long each time
    #[arg(long, default_value_t = 2000)]
    period_ms: u64,
    /// Only this operation
    #[arg(long, value_enum)]
    only: Option<Operation>,
    /// Only with so many clients
    #[arg(long)]
    clients: Option<usize>,
    /// Ask etcd through its JSON gateway instead of gRPC
    #[arg(long)]
    gateway: bool,
    /// Measure only our own node
    #[arg(long)]
    alone: bool,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// A running cluster and how to talk to it; the leader comes first.
struct Subject {
    dialect: Dialect,
    nodes: Vec<SocketAddr>,
}

fn main() {
    let args = Args::parse();
    let ours = Cluster::start(3, &["--profile", "etcd"]);
    let etcd = (!args.alone).then(Etcd::start);
    let mut subjects = vec![subject_of_ours(&ours)];
    if let Some(etcd) = &etcd {
        let dialect = if args.gateway {
            Dialect::Gateway
        } else {
            Dialect::Grpc
        };
        subjects.push(Subject {
            dialect,
            nodes: etcd.nodes(),
        });
        println!("etcd {} over {dialect:?}", etcd.version);
    }
    for subject in &subjects {
        client::fill(subject.dialect, subject.nodes[0]);
    }
    println!("{}", measure(&args, &subjects));
}

fn subject_of_ours(cluster: &Cluster) -> Subject {
    let leader = cluster.leader() - 1;
    let nodes = (0..3).map(|turn| cluster.nodes[(leader + turn) % 3].client);
    Subject {
        dialect: Dialect::Ours,
        nodes: nodes.collect(),
    }
}

/// Measures all cells as often as there are rounds.
fn measure(args: &Args, subjects: &[Subject]) -> Table {
    let mut table = Table::default();
    let period = Duration::from_millis(args.period_ms);
    for round in 0..args.rounds {
        for operation in [Operation::Put, Operation::Get] {
            if args.only.is_some_and(|only| only != operation) {
                continue;
            }
            for clients in CLIENTS {
                if args.clients.is_some_and(|only| only != clients) {
                    continue;
                }
                let mut order: Vec<usize> = (0..subjects.len()).collect();
                if round % 2 == 1 {
                    order.reverse();
                }
                for which in order {
                    let Subject { dialect, nodes } = &subjects[which];
                    let load = Load {
                        operation,
                        clients,
                        period,
                        dialect: *dialect,
                        nodes,
                    };
                    let sample = Sample::new(load.run(), period);
                    table.add(Cell { operation, clients }, which, sample);
                }
            }
        }
    }
    table
}
