//! Just enough HTTP/1.1: one request, one answer with a length.

use std::fmt::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Operation;

/// Whose API is spoken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Api {
    Ours,
    /// etcd's, with keys and values in base 64.
    Gateway,
}

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    api: Api,
    operation: Operation,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, api: Api, operation: Operation) -> Self {
        Self {
            stream,
            api,
            operation,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn ask(&mut self, key: &str, value: &str) {
        let request = self.request(key, value);
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let body = self.answer().await;
        let is_sound = match (self.api, self.operation) {
            (Api::Ours, Operation::Put) => contains(&body, b"\"index\":"),
            (Api::Ours, Operation::Get) => contains(&body, value.as_bytes()),
            (Api::Gateway, Operation::Put) => contains(&body, b"\"revision\":"),
            (Api::Gateway, Operation::Get) => contains(&body, b"\"value\":"),
        };
        assert!(is_sound, "{}", String::from_utf8_lossy(&body));
    }

    fn request(&self, key: &str, value: &str) -> String {
        let (path, body) = match (self.api, self.operation) {
            (Api::Ours, Operation::Put) => (
                "/v1/kv/put",
                format!(r#"{{"key":"{key}","value":"{value}"}}"#),
            ),
            (Api::Ours, Operation::Get) => ("/v1/kv/get", format!(r#"{{"key":"{key}"}}"#)),
            (Api::Gateway, Operation::Put) => {
                let (key, value) = (base64(key.as_bytes()), base64(value.as_bytes()));
                (
                    "/v3/kv/put",
                    format!(r#"{{"key":"{key}","value":"{value}"}}"#),
                )
            }
            (Api::Gateway, Operation::Get) => (
                "/v3/kv/range",
                format!(r#"{{"key":"{}"}}"#, base64(key.as_bytes())),
            ),
        };
        let mut request = String::with_capacity(300);
        let length = body.len();
        write!(
            request,
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        request
    }

    /// The body of a success.
    async fn answer(&mut self) -> Vec<u8> {
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the connection was closed");
            let Some(head) = find(&self.buffer, b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head]).unwrap();
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            let length = text.lines().find_map(content_length).expect("a length");
            let body = head + 4;
            while self.buffer.len() < body + length {
                let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
                assert!(read > 0, "the connection was closed");
            }
            return self.buffer[body..].to_vec();
        }
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(": ")?;
    name.eq_ignore_ascii_case("content-length")
        .then(|| value.parse().unwrap())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// True where `wanted` stands somewhere in `bytes`.
pub(crate) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let is_used = digit <= chunk.len();
            text.push(match is_used {
                true => char::from(DIGITS[bits >> (18 - 6 * digit) & 63]),
                false => '=',
            });
        }
    }
    text
}
