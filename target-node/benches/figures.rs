//! The figures that the node promises: how soon it can be written to, how long a lost leader is
//! missed, how fast it restarts, how little it needs.
//!
//! ```sh
//! cargo bench -p target-node --bench figures                 # all of them, about two minutes
//! cargo bench -p target-node --bench figures -- failover     # one of them
//! ```
//!
//! Real processes in the profile `fast` (ticks of 10 ms, election time-out 300 ms), timed from
//! outside. Told are the median, the worst, and the bound that the median is held against.

#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench takes times and starts processes"
)]
#![allow(
    dead_code,
    reason = "the other benches and tests need more of the shared files"
)]

#[path = "load/client.rs"]
mod client;
#[path = "load/grpc.rs"]
mod grpc;
#[path = "load/http.rs"]
mod http;
#[path = "../tests/cluster/process.rs"]
mod process;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::json;

use client::Dialect;
use process::{Cluster, exchange};

/// How often a request that failed is made again: the resolution of what is timed.
const RETRY: Duration = Duration::from_millis(2);

/// The election time-out of the profile.
const ELECTION_MS: f64 = 300.0;

#[derive(Debug, Parser)]
struct Args {
    /// Only these figures
    #[arg(value_enum)]
    only: Vec<Figure>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// From the start of three processes to the first acknowledged write
    Start,
    /// From SIGKILL of the leader to the next acknowledged write
    Failover,
    /// From the start of a node with a million entries behind it to its first read
    Restart,
    /// Resident memory of an idle node
    Memory,
    /// From the start of a follower that needs a snapshot until it has applied everything
    CatchUp,
}

impl Figure {
    fn measure(self) -> Vec<Row> {
        match self {
            Self::Start => vec![start()],
            Self::Failover => vec![failover()],
            Self::Restart => vec![
                restart("restart, 1,000,000 entries, default snapshots", &[], 3000.0),
                restart(
                    "restart, 1,000,000 entries, no snapshot",
                    WITHOUT_SNAPSHOTS,
                    f64::NAN,
                ),
            ],
            Self::Memory => vec![memory()],
            Self::CatchUp => vec![catch_up()],
        }
    }
}

const WITHOUT_SNAPSHOTS: &[&str] = &["--snapshot-entries", "100000000"];

/// One line of the table.
struct Row {
    what: &'static str,
    unit: &'static str,
    /// What the median must be below; not a number where nothing was promised.
    bound: f64,
    values: Vec<f64>,
}

fn main() {
    let args = Args::parse();
    println!("| figure | runs | median | worst | bound |");
    println!("|---|---:|---:|---:|---:|");
    for figure in Figure::value_variants() {
        if !args.only.is_empty() && !args.only.contains(figure) {
            continue;
        }
        for Row {
            what,
            unit,
            bound,
            mut values,
        } in figure.measure()
        {
            values.sort_by(f64::total_cmp);
            let (median, worst) = (values[values.len() / 2], values[values.len() - 1]);
            let runs = values.len();
            let bound = if bound.is_nan() {
                String::new()
            } else {
                format!("{bound:.0} {unit}")
            };
            println!("| {what} | {runs} | {median:.1} {unit} | {worst:.1} {unit} | {bound} |");
        }
    }
}

fn start() -> Row {
    let run = |seed: usize| {
        let begin = Instant::now();
        let cluster = Cluster::start(3, &["--seed", &seed.to_string()]);
        let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.client).collect();
        first_write(&nodes);
        milliseconds(begin)
    };
    let values = (0..20).map(run).collect();
    Row {
        what: "three nodes started, first write",
        unit: "ms",
        bound: 500.0,
        values,
    }
}

/// A restarted node draws its time-outs as it did before, so each cluster has its own seed.
fn failover() -> Row {
    let values = (0..10).flat_map(|seed| {
        let mut cluster = Cluster::start(3, &["--seed", &seed.to_string()]);
        [(); 2].map(|()| lose_leader(&mut cluster))
    });
    Row {
        what: "leader killed, next write",
        unit: "ms",
        bound: 2.0 * ELECTION_MS,
        values: values.collect(),
    }
}

fn lose_leader(cluster: &mut Cluster) -> f64 {
    let leader = cluster.leader();
    let others = (1..=3).filter(|&id| id != leader);
    let others: Vec<SocketAddr> = others.map(|id| cluster.node(id).client).collect();
    cluster.kill(leader);
    let begin = Instant::now();
    first_write(&others);
    let taken = milliseconds(begin);
    cluster.restart(leader);
    taken
}

fn restart(what: &'static str, flags: &[&str], bound: f64) -> Row {
    const ENTRIES: usize = 1_000_000;
    let mut cluster = Cluster::start(1, flags);
    cluster.leader();
    let node = cluster.node(1).client;
    client::put_many(Dialect::Ours, &[node], ENTRIES, 256);
    let mut run = || {
        cluster.kill(1);
        let begin = Instant::now();
        cluster.restart(1);
        let body = json!({"key": "key-0001"}).to_string();
        until_ok(&[node], "/v1/kv/get", &body);
        milliseconds(begin)
    };
    let values = (0..5).map(|_| run()).collect();
    Row {
        what,
        unit: "ms",
        bound,
        values,
    }
}

fn memory() -> Row {
    let cluster = Cluster::start(3, &[]);
    cluster.leader();
    let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.client).collect();
    client::fill(Dialect::Ours, nodes[0]);
    let values = cluster.nodes.iter().map(|node| {
        let pid = node.status().unwrap()["pid"].as_u64().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes / 1024.0
    });
    Row {
        what: "idle node, 1,000 keys, resident",
        unit: "MiB",
        bound: 30.0,
        values: values.collect(),
    }
}

fn catch_up() -> Row {
    const MISSED: usize = 30_000;
    let mut cluster = Cluster::start(3, &[]);
    let mut run = || {
        let away = cluster.follower();
        cluster.kill(away);
        let leader = cluster.node(cluster.leader()).client;
        client::put_many(Dialect::Ours, &[leader], MISSED, 256);
        let applied = cluster.node(cluster.leader()).status().unwrap()["applied"].as_u64();
        let installed = || {
            cluster
                .log(away)
                .matches("takes the leader's snapshot")
                .count()
        };
        let before = installed();
        let begin = Instant::now();
        cluster.restart(away);
        wait(|| {
            cluster
                .node(away)
                .status()
                .is_some_and(|view| view["applied"].as_u64() >= applied)
        });
        let taken = milliseconds(begin);
        let installed = cluster
            .log(away)
            .matches("takes the leader's snapshot")
            .count();
        assert!(installed > before, "it came without a snapshot");
        taken
    };
    let values = (0..5).map(|_| run()).collect();
    let what = "follower 30,000 entries behind, by snapshot";
    Row {
        what,
        unit: "ms",
        bound: f64::NAN,
        values,
    }
}

fn first_write(nodes: &[SocketAddr]) {
    until_ok(
        nodes,
        "/v1/kv/put",
        &json!({"key": "first", "value": 1}).to_string(),
    );
}

/// Asks one node after the other until one answers with success.
fn until_ok(nodes: &[SocketAddr], path: &str, body: &str) {
    let mut turn = nodes.iter().cycle();
    wait(|| {
        let node = *turn.next().unwrap();
        let answer = exchange(node, "POST", path, body.as_bytes(), Duration::from_secs(1));
        answer.is_ok_and(|answer| answer.status == 200)
    });
}

fn wait(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a minute");
        thread::sleep(RETRY);
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
