//! As much of etcd's JSON gateway as it takes to write keys and to read them all.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use ordeal_nemesis::{Node, network::address};

const TIMEOUT: Duration = Duration::from_secs(1);
/// Every key begins so.
const PREFIX: &str = "key ";

/// A connection to one node.
pub(crate) struct Etcd(TcpStream);

impl Etcd {
    pub(crate) fn dial(node: Node) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&(address(node), 2379).into(), TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Writes a key; `Ok` means that it was acknowledged.
    pub(crate) fn put(&mut self, key: &str) -> io::Result<()> {
        let key = base64(&format!("{PREFIX}{key}"));
        let body = format!("{{\"key\":\"{key}\",\"value\":\"{key}\"}}");
        self.ask("/v3/kv/put", &body).map(drop)
    }

    /// The body of the answer to a request, if it was answered with 200.
    fn ask(&mut self, path: &str, body: &str) -> io::Result<String> {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: etcd\r\nContent-Length: {length}\r\n\r\n");
        self.0.write_all(format!("{head}{body}").as_bytes())?;
        let mut bytes = Vec::new();
        loop {
            let mut chunk = [0; 1 << 16];
            let read = self.0.read(&mut chunk)?;
            bytes.extend(&chunk[..read]);
            let text = String::from_utf8_lossy(&bytes);
            if let Some(answer) = whole(&text) {
                if !text.starts_with("HTTP/1.1 200") {
                    return Err(io::Error::other(answer));
                }
                return Ok(answer);
            }
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The body of an answer, once all of it is there.
fn whole(text: &str) -> Option<String> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim())
    });
    match length {
        Some(length) => (body.len() >= length.parse().ok()?).then(|| body.to_owned()),
        // Chunked: the parts are joined, and the lengths between them dropped.
        None => {
            let (mut rest, mut joined) = (body, String::new());
            loop {
                let (size, after) = rest.split_once("\r\n")?;
                let size = usize::from_str_radix(size.trim(), 16).ok()?;
                if size == 0 {
                    return Some(joined);
                }
                joined.push_str(after.get(..size)?);
                rest = after.get(size + 2..)?;
            }
        }
    }
}

/// Writes to one node after another until told to stop; returns what was acknowledged.
pub(crate) fn write_until(stop: &AtomicBool, writer: u16) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    let mut connection = None;
    let mut node = writer;
    for number in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let key = format!("{writer}-{number}");
        let etcd = match connection.take() {
            Some(etcd) => Ok(etcd),
            None => {
                node = node % 3 + 1;
                Etcd::dial(Node(node))
            }
        };
        let Ok(mut etcd) = etcd else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        // What fails may have been written or not: it is not counted either way.
        if etcd.put(&key).is_ok() {
            acknowledged.insert(base64(&format!("{PREFIX}{key}")));
            connection = Some(etcd);
        }
    }
    acknowledged
}

/// Every key, as a linearizable read of some node that serves has it.
pub(crate) fn read_all() -> Result<BTreeSet<String>, Box<dyn std::error::Error + Send + Sync>> {
    let (from, to) = (base64("key "), base64("key!"));
    let body = format!("{{\"key\":\"{from}\",\"range_end\":\"{to}\",\"keys_only\":true}}");
    let mut last = None;
    for node in Node::first(3) {
        let asked = Etcd::dial(node).and_then(|mut etcd| {
            etcd.0.set_read_timeout(Some(Duration::from_secs(20)))?;
            etcd.ask("/v3/kv/range", &body)
        });
        match asked {
            Ok(answer) => {
                let keys = answer.split("\"key\":\"").skip(1);
                let keys = keys.filter_map(|rest| rest.split('"').next());
                return Ok(keys.map(str::to_owned).collect());
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| "no node was asked".into(), Into::into))
}

/// Whether the node answers; to be called inside its namespace.
pub(crate) fn serves(node: Node) -> bool {
    let asked = Etcd::dial(node).and_then(|mut etcd| etcd.ask("/v3/maintenance/status", "{}"));
    asked.is_ok_and(|answer| answer.contains("\"leader\""))
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = word >> (18 - 6 * place) & 63;
            let letter = char::from(LETTERS[usize::try_from(index).expect("six bits")]);
            out.push(if place > three.len() { '=' } else { letter });
        }
    }
    out
}
