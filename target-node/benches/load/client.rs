//! The load: closed-loop clients, all in one thread, each with a kept connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::{grpc, http};

/// How many keys are used.
pub(crate) const KEYS: usize = 1000;

/// How long a value is.
const VALUE_BYTES: usize = 100;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Operation {
    /// A write.
    Put,
    /// A linearizable read.
    Get,
}

/// How it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    /// Our JSON over HTTP/1.1.
    Ours,
    /// etcd's gRPC over HTTP/2.
    Grpc,
    /// etcd's JSON over HTTP/1.1.
    Gateway,
}

/// One connection.
enum Connection {
    Http(http::Connection),
    Grpc(grpc::Connection),
}

impl Connection {
    async fn open(dialect: Dialect, address: SocketAddr, operation: Operation) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        match dialect {
            Dialect::Ours => Self::Http(http::Connection::new(stream, http::Api::Ours, operation)),
            Dialect::Gateway => {
                Self::Http(http::Connection::new(stream, http::Api::Gateway, operation))
            }
            Dialect::Grpc => Self::Grpc(grpc::Connection::open(stream, operation).await),
        }
    }

    /// One request and its answer; panics where it is not a success.
    async fn ask(&mut self, key: &str, value: &str) {
        match self {
            Self::Http(connection) => connection.ask(key, value).await,
            Self::Grpc(connection) => connection.ask(key, value).await,
        }
    }
}

/// What one cell of the table asks of one cluster.
pub(crate) struct Load<'a> {
    pub(crate) operation: Operation,
    pub(crate) clients: usize,
    pub(crate) period: Duration,
    pub(crate) dialect: Dialect,
    pub(crate) nodes: &'a [SocketAddr],
}

impl Load<'_> {
    /// The latency of every request that the clients could make.
    pub(crate) fn run(&self) -> Vec<Duration> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let deadline = Instant::now() + self.period;
            let clients: Vec<_> = (0..self.clients)
                .map(|client| {
                    let address = self.nodes[client % self.nodes.len()];
                    tokio::spawn(work(
                        self.dialect,
                        address,
                        self.operation,
                        client,
                        deadline,
                    ))
                })
                .collect();
            let mut latencies = Vec::new();
            for client in clients {
                latencies.extend(client.await.unwrap());
            }
            latencies
        })
    }
}

async fn work(
    dialect: Dialect,
    address: SocketAddr,
    operation: Operation,
    client: usize,
    deadline: Instant,
) -> Vec<Duration> {
    let mut connection = Connection::open(dialect, address, operation).await;
    let value = "v".repeat(VALUE_BYTES);
    let mut latencies = Vec::new();
    // A prime stride: the clients wander over the keys without walking in step.
    let mut place = client * 61;
    while Instant::now() < deadline {
        place = (place + 7) % KEYS;
        let key = format!("key-{place:04}");
        let start = Instant::now();
        connection.ask(&key, &value).await;
        latencies.push(start.elapsed());
    }
    latencies
}

/// Writes every key once, so that each read finds something.
pub(crate) fn fill(dialect: Dialect, address: SocketAddr) {
    put_many(dialect, &[address], KEYS, 50);
}

/// Makes so many puts, over so many connections.
pub(crate) fn put_many(dialect: Dialect, nodes: &[SocketAddr], puts: usize, lanes: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lanes = (0..lanes).map(|lane| {
            let address = nodes[lane % nodes.len()];
            tokio::spawn(async move {
                let mut connection = Connection::open(dialect, address, Operation::Put).await;
                for place in (lane..puts).step_by(lanes) {
                    let key = format!("key-{:04}", place % KEYS);
                    connection.ask(&key, &"v".repeat(VALUE_BYTES)).await;
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.unwrap();
        }
    });
}
