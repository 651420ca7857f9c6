//! Just enough gRPC for etcd's `Put` and `Range`: HTTP/2 (RFC 9113) with one stream at a time.
//!
//! The first request puts its headers into the server's table (HPACK, RFC 7541), later ones name
//! them by six bytes, as etcd's own client does. Answers are taken by their DATA frames; a server
//! that fails sends none, so nothing of its headers has to be understood.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Operation;
use crate::http::contains;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// More than a run can fill: the connection's window is opened once, and never again.
const WINDOW_BYTES: u32 = 1 << 30;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    operation: Operation,
    next_id: u32,
    incoming: Vec<u8>,
    taken: usize,
    outgoing: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(stream: TcpStream, operation: Operation) -> Self {
        let mut outgoing = PREFACE.to_vec();
        frame(&mut outgoing, SETTINGS, 0, 0, &[]);
        frame(
            &mut outgoing,
            WINDOW_UPDATE,
            0,
            0,
            &WINDOW_BYTES.to_be_bytes(),
        );
        let (incoming, taken, next_id) = (Vec::new(), 0, 1);
        let mut connection = Self {
            stream,
            operation,
            next_id,
            incoming,
            taken,
            outgoing,
        };
        connection.send().await;
        connection
    }

    async fn send(&mut self) {
        self.stream.write_all(&self.outgoing).await.unwrap();
        self.outgoing.clear();
    }

    pub(crate) async fn ask(&mut self, key: &str, value: &str) {
        let id = self.next_id;
        self.next_id += 2;
        let head = match id {
            1 => self.first_headers(),
            // POST, http, and what the first request has put into the table.
            _ => vec![0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe],
        };
        frame(&mut self.outgoing, HEADERS, END_HEADERS, id, &head);
        let message = self.message(key, value);
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&message);
        frame(&mut self.outgoing, DATA, END_STREAM, id, &body);
        self.send().await;
        let answer = self.answer(id).await;
        let is_sound = match self.operation {
            Operation::Put => answer.len() > 5,
            Operation::Get => contains(&answer, value.as_bytes()),
        };
        assert!(is_sound, "{answer:?}");
    }

    /// Literals that the server keeps; after these four, `te` is 62 and the path 65.
    fn first_headers(&self) -> Vec<u8> {
        let path = match self.operation {
            Operation::Put => "/etcdserverpb.KV/Put",
            Operation::Get => "/etcdserverpb.KV/Range",
        };
        let mut head = vec![0x83, 0x86];
        let mut literal = |name: &[u8], value: &str| {
            head.extend_from_slice(name);
            head.push(u8::try_from(value.len()).unwrap());
            head.extend_from_slice(value.as_bytes());
        };
        literal(&[0x44], path);
        literal(&[0x41], "bench");
        literal(&[0x5f], "application/grpc");
        literal(b"\x40\x02te", "trailers");
        head
    }

    /// `PutRequest` and `RangeRequest` both have the key as field 1; the value is field 2.
    fn message(&self, key: &str, value: &str) -> Vec<u8> {
        let mut message = Vec::new();
        let mut field = |tag: u8, bytes: &[u8]| {
            message.extend([tag << 3 | 2, u8::try_from(bytes.len()).unwrap()]);
            message.extend_from_slice(bytes);
        };
        field(1, key.as_bytes());
        if self.operation == Operation::Put {
            field(2, value.as_bytes());
        }
        message
    }

    /// The data of the answer on a stream, up to its end.
    async fn answer(&mut self, id: u32) -> Vec<u8> {
        let mut data = Vec::new();
        loop {
            let (kind, flags, stream, length) = self.next_frame().await;
            let payload = &self.incoming[self.taken - length..self.taken];
            match kind {
                DATA if stream == id => data.extend_from_slice(payload),
                SETTINGS if flags & ACK == 0 => frame(&mut self.outgoing, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => {
                    let payload = payload.to_vec();
                    frame(&mut self.outgoing, PING, ACK, 0, &payload);
                }
                RST_STREAM | GO_AWAY => panic!("etcd gave up: {payload:?}"),
                _ => {}
            }
            if !self.outgoing.is_empty() {
                self.send().await;
            }
            if stream == id && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                assert!(!data.is_empty(), "etcd refused the request");
                return data;
            }
        }
    }

    /// Kind, flags, stream and length of the next frame; its payload ends at `taken`.
    async fn next_frame(&mut self) -> (u8, u8, u32, usize) {
        const HEAD: usize = 9;
        loop {
            let rest = &self.incoming[self.taken..];
            if let Some(head) = rest.first_chunk::<HEAD>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let (kind, flags) = (head[3], head[4]);
                if rest.len() >= HEAD + length {
                    self.taken += HEAD + length;
                    return (kind, flags, stream, length);
                }
            }
            self.incoming.drain(..self.taken);
            self.taken = 0;
            let read = self.stream.read_buf(&mut self.incoming).await.unwrap();
            assert!(read > 0, "etcd closed the connection");
        }
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend([kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}
