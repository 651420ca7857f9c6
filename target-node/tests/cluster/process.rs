//! Real node processes on loopback, and a client that speaks just enough HTTP.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test gives up: for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A cluster whose data lives as long as this value; its processes never outlive it.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) dir: TempDir,
}

pub(crate) struct Node {
    pub(crate) id: usize,
    pub(crate) client: SocketAddr,
    admin: PathBuf,
    flags: Vec<String>,
    child: Option<Child>,
}

/// Addresses that nobody else uses. Each process has a loopback host of its own (all of 127/8 is
/// one), made of its pid, and ports below those that the kernel gives to outgoing connections: so
/// no other test can take them between here and the start of a node.
pub(crate) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = (std::process::id() * 4 + 2).to_be_bytes();
    let host = Ipv4Addr::new(127, high, middle, low);
    let address = |_| SocketAddr::from((host, NEXT_PORT.fetch_add(1, Ordering::Relaxed)));
    (0..count).map(address).collect()
}

pub(crate) fn node_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_target-node"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Cluster {
    /// Starts nodes that know each other, each with these flags besides.
    pub(crate) fn start(size: usize, extra: &[&str]) -> Self {
        Self::start_each(size, |_| extra.to_vec())
    }

    /// Starts nodes that know each other, each with flags of its own besides.
    pub(crate) fn start_each<'a>(size: usize, extra: impl Fn(usize) -> Vec<&'a str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let peers = free_addresses(size);
        let clients = free_addresses(size);
        let mut nodes = Vec::new();
        for id in 1..=size {
            let extra = extra(id);
            let is_seeded = extra.contains(&"--seed");
            let seed: &[&str] = if is_seeded { &[] } else { &["--seed", "7"] };
            let data = dir.path().join(format!("n{id}"));
            let admin = dir.path().join(format!("n{id}.admin"));
            let mut flags: Vec<String> = ["--id", &id.to_string(), "--cluster", "test"]
                .into_iter()
                .chain(["--data-dir", data.to_str().unwrap()])
                .chain(["--listen-client", &clients[id - 1].to_string()])
                .chain(["--listen-admin", &format!("unix:{}", admin.display())])
                .chain(seed.iter().copied())
                .chain(extra.iter().copied())
                .map(|flag| flag.replace("{id}", &id.to_string()))
                .collect();
            for (place, peer) in peers.iter().enumerate() {
                flags.extend(["--peer".to_owned(), format!("{}={peer}", place + 1)]);
            }
            let mut node = Node {
                id,
                client: clients[id - 1],
                admin,
                flags,
                child: None,
            };
            node.spawn(&dir);
            nodes.push(node);
        }
        Self { nodes, dir }
    }

    pub(crate) fn node(&self, id: usize) -> &Node {
        &self.nodes[id - 1]
    }

    /// SIGKILL: nothing of the process's memory survives.
    pub(crate) fn kill(&mut self, id: usize) {
        let mut child = self.nodes[id - 1].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self, id: usize) {
        self.restart_with(id, &[]);
    }

    /// Starts a node again, with these flags besides in this life.
    pub(crate) fn restart_with(&mut self, id: usize, extra: &[&str]) {
        let dir = &self.dir;
        self.nodes[id - 1].spawn_with(dir, extra);
    }

    /// Starts a node with its data in another mode, and waits for it to refuse: its exit code.
    pub(crate) fn start_as(&mut self, id: usize, mode: &str) -> Option<i32> {
        let node = &mut self.nodes[id - 1];
        let place = node.flags.iter().position(|flag| flag == "--replication");
        node.flags[place.unwrap() + 1] = mode.to_owned();
        node.spawn(&self.dir);
        node.child.take().unwrap().wait().unwrap().code()
    }

    /// SIGTERM, and what the process then says.
    pub(crate) fn stop(&mut self, id: usize) -> ExitStatus {
        let mut child = self.nodes[id - 1].child.take().unwrap();
        kill(
            Pid::from_raw(i32::try_from(child.id()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        child.wait().unwrap()
    }

    /// Waits for the end of a process that ends by itself.
    #[allow(
        dead_code,
        reason = "only some of the tests that share this file wait for an end"
    )]
    pub(crate) fn wait(&mut self, id: usize) -> ExitStatus {
        let child = self.nodes[id - 1].child.as_mut().unwrap();
        let status = eventually("the process ends", || child.try_wait().unwrap());
        self.nodes[id - 1].child = None;
        status
    }

    pub(crate) fn data(&self, id: usize) -> PathBuf {
        self.dir.path().join(format!("n{id}"))
    }

    pub(crate) fn log(&self, id: usize) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("n{id}.log"))).unwrap()
    }

    /// Waits until some running node leads and all others follow it.
    pub(crate) fn leader(&self) -> usize {
        let running = self.nodes.iter().filter(|node| node.child.is_some());
        self.leader_of(&running.map(|node| node.id).collect::<Vec<_>>())
    }

    /// Waits until one of these nodes leads and all of them follow it.
    pub(crate) fn leader_of(&self, ids: &[usize]) -> usize {
        let running: Vec<&Node> = ids.iter().map(|&id| self.node(id)).collect();
        eventually("one leader, known to all", || {
            let views: Option<Vec<Value>> = running.iter().map(|node| node.status()).collect();
            let views = views?;
            let leader = views[0]["leader"].as_u64()?;
            let is_common = views
                .iter()
                .all(|view| view["leader"] == leader && view["term"] == views[0]["term"]);
            let leads = views
                .iter()
                .any(|view| view["id"] == leader && view["role"] == "leader");
            (is_common && leads).then(|| usize::try_from(leader).unwrap())
        })
    }

    pub(crate) fn follower(&self) -> usize {
        self.leader() % self.nodes.len() + 1
    }
}

impl Node {
    fn spawn(&mut self, dir: &TempDir) {
        self.spawn_with(dir, &[]);
    }

    fn spawn_with(&mut self, dir: &TempDir, extra: &[&str]) {
        let log = dir.path().join(format!("n{}.log", self.id));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        self.child = Some(
            node_command()
                .args(&self.flags)
                .args(extra)
                .stderr(log)
                .spawn()
                .unwrap(),
        );
    }

    /// None where the node does not answer.
    pub(crate) fn status(&self) -> Option<Value> {
        let answer = exchange(self.client, "GET", "/v1/status", b"", PATIENCE).ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        exchange(
            self.client,
            "POST",
            path,
            body.to_string().as_bytes(),
            PATIENCE,
        )
        .unwrap()
    }

    /// None where the node does not answer.
    pub(crate) fn fetch(&self, path: &str) -> Option<Answer> {
        exchange(self.client, "GET", path, b"", PATIENCE).ok()
    }

    /// A request to the port for administrators; a body of null is none.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let stream = UnixStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        converse(stream, method, path, body.as_bytes()).unwrap()
    }

    pub(crate) fn order(&self, path: &str, body: &Value) -> Answer {
        self.admin("POST", path, body)
    }

    pub(crate) fn put(&self, key: &str, value: &Value) -> Answer {
        self.post("/v1/kv/put", &json!({"key": key, "value": value}))
    }

    pub(crate) fn get(&self, key: &str) -> Answer {
        self.post("/v1/kv/get", &json!({"key": key}))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// A header, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// Status, code and definiteness of an error.
    pub(crate) fn error(&self) -> (u16, &str, bool) {
        let error = &self.body["error"];
        (
            self.status,
            error["code"].as_str().unwrap(),
            error["definite"].as_bool().unwrap(),
        )
    }
}

/// One request on a connection of its own.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
    patience: Duration,
) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    converse(stream, method, path, body)
}

fn converse(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<Answer> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    // A body that is refused unread may end in a reset; the answer is there all the same.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parse(&answer).ok_or_else(|| io::Error::other("no answer"))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_owned(),
        text: body.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}

/// Asks again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
