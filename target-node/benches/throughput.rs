//! How fast a three-node cluster is on this machine: linearizable puts and gets over HTTP, with
//! 1, 16 and 64 clients, each with one kept connection and one request at a time.
//!
//! `cargo bench -p target-node` prints the table. Clients spread over all nodes, so two thirds of
//! the writes are forwarded.

#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench takes times, and its clients are threads"
)]
#![allow(dead_code, reason = "the tests of whole nodes need more of this file")]

#[path = "../tests/cluster/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use process::Cluster;

/// How long each cell of the table is measured.
const PERIOD: Duration = Duration::from_secs(3);

fn main() {
    let cluster = Cluster::start(3, &[]);
    cluster.leader();
    let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.client).collect();
    println!("| what | clients | per second | p50 | p99 |");
    println!("|---|---|---|---|---|");
    for (what, path) in [("put", "/v1/kv/put"), ("get", "/v1/kv/get")] {
        for clients in [1, 16, 64] {
            let mut latencies = measure(&nodes, path, clients);
            latencies.sort_unstable();
            let at = |share: f64| {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a place in a list of a few hundred thousand"
                )]
                let place = (latencies.len() as f64 * share) as usize;
                latencies[place.min(latencies.len() - 1)]
            };
            let rate = latencies.len() as u64 / PERIOD.as_secs();
            println!(
                "| {what} | {clients} | {rate} | {:.2?} | {:.2?} |",
                at(0.5),
                at(0.99)
            );
        }
    }
}

/// The latency of every request that so many clients could make.
fn measure(nodes: &[SocketAddr], path: &str, clients: usize) -> Vec<Duration> {
    let workers = (0..clients).map(|client| {
        let (address, path) = (nodes[client % nodes.len()], path.to_owned());
        thread::spawn(move || work(address, &path, client))
    });
    let workers: Vec<_> = workers.collect();
    workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect()
}

fn work(address: SocketAddr, path: &str, client: usize) -> Vec<Duration> {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_nodelay(true).unwrap();
    let value = "v".repeat(100);
    let body = match path {
        "/v1/kv/put" => format!(r#"{{"key":"key-{client}","value":"{value}"}}"#),
        _ => format!(r#"{{"key":"key-{client}"}}"#),
    };
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: b\r\ncontent-length: {length}\r\n\r\n{body}");
    let deadline = Instant::now() + PERIOD;
    let mut latencies = Vec::new();
    while Instant::now() < deadline {
        let start = Instant::now();
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream);
        latencies.push(start.elapsed());
    }
    latencies
}

fn read_answer(stream: &mut BufReader<TcpStream>) {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        assert!(
            !line.starts_with("HTTP/") || line.contains(" 200 "),
            "{line}"
        );
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
}
