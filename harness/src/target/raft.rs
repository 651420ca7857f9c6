//! The bundled Raft node: this very binary, started again as `ordeal node`.

mod administrator;

use super::{
    Administrator, Ahead, Boxed, Client, ClientError, Completion, NodeProgram, NodeSpec, Probe,
    Target, View,
};
use administrator::RaftAdministrator;
use ordeal_nemesis::lever::OrderKind;
use ordeal_workloads::{Key, Name as WorkloadName, Op, Ret};
use reqwest::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use target_node::defect::Defect;
use target_node::protocol::admin::{PromoteRequest, PromoteResponse};
use target_node::protocol::{
    AppendRequest, AppendResponse, CasRequest, CasResponse, ErrorBody, GetRequest, GetResponse,
    Meta, PutRequest, PutResponse, Role, Status,
};

/// Where a node listens for its peers, inside its own namespace.
const PEER_PORT: u16 = 7000;
/// Where a node listens for clients.
const CLIENT_PORT: u16 = 8000;
/// Where a node listens for administrators: inside its own namespace only.
const ADMIN: &str = "127.0.0.1:8001";
/// The key that holds the set.
const SET: &str = "set";

/// The bundled Raft node.
#[derive(Clone, Copy, Debug)]
pub struct Raft;

impl Target for Raft {
    fn name(&self) -> &str {
        "raft"
    }

    fn summary(&self) -> &str {
        "the bundled Raft node: elections, replicated log, linearizable reads by ReadIndex"
    }

    fn workloads(&self) -> &[WorkloadName] {
        &[WorkloadName::Register, WorkloadName::Set]
    }

    fn defects(&self) -> Vec<(&'static str, &'static str)> {
        Defect::ALL
            .iter()
            .map(|defect| (defect.name(), defect.summary()))
            .collect()
    }

    fn command(&self, node: &NodeSpec<'_>) -> NodeProgram {
        let address = node.addresses[usize::from(node.id) - 1];
        let mut args = vec![
            "node".to_owned(),
            format!("--id={}", node.id),
            format!("--cluster={}", node.cluster),
            format!("--listen-client={address}:{CLIENT_PORT}"),
            format!("--listen-admin={ADMIN}"),
            format!("--data-dir={}", node.data_dir.display()),
            format!("--seed={}", node.seed),
            "--profile=fast".to_owned(),
        ];
        if usize::from(node.members) < node.addresses.len() {
            let voters: Vec<String> = (1..=node.members).map(|id| id.to_string()).collect();
            args.push(match node.id <= node.members {
                true => format!("--initial-voters={}", voters.join(",")),
                false => "--join".to_owned(),
            });
        }
        for (place, peer) in node.addresses.iter().enumerate() {
            args.push(format!("--peer={}={peer}:{PEER_PORT}", place + 1));
        }
        args.extend(
            node.defects
                .iter()
                .map(|defect| format!("--defect={defect}")),
        );
        args.extend(node.flags.iter().cloned());
        let program = node
            .binary
            .map_or_else(|| PathBuf::from("/proc/self/exe"), PathBuf::from);
        NodeProgram { program, args }
    }

    fn client_address(&self, node: Ipv4Addr) -> SocketAddr {
        SocketAddr::from((node, CLIENT_PORT))
    }

    fn client(&self, node: SocketAddr, deadline: Duration) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(RaftClient {
            http: http(deadline)?,
            base: format!("http://{node}/v1"),
        }))
    }

    fn probe(&self, node: SocketAddr, deadline: Duration) -> Result<Box<dyn Probe>, ClientError> {
        Ok(Box::new(RaftProbe {
            http: http(deadline)?,
            url: format!("http://{node}/v1/status"),
            // Whoever looks at a node does so from inside its namespace.
            promote_url: format!("http://{ADMIN}/v1/admin/promote-primary"),
            deadline,
        }))
    }

    fn orders(&self, flags: &[String]) -> BTreeSet<OrderKind> {
        administrator::orders(flags)
    }

    fn administrator(
        &self,
        _node: Ipv4Addr,
        deadline: Duration,
    ) -> Result<Option<Box<dyn Administrator>>, ClientError> {
        let (http, base) = (http(deadline)?, format!("http://{ADMIN}/v1"));
        Ok(Some(Box::new(RaftAdministrator::new(http, base, deadline))))
    }
}

/// An HTTP client that does what it is told once, and nothing else.
///
/// reqwest would follow a 307 and send the body again, retry what it thinks is safe, and take a
/// proxy from the environment; each of them would be an operation that nobody recorded. Connecting
/// has the shorter deadline, because failing to connect proves that nothing was sent.
fn http(deadline: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(deadline / 2)
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true)
        .build()
}

struct RaftClient {
    http: reqwest::Client,
    base: String,
}

impl Client for RaftClient {
    fn invoke<'a>(&'a mut self, op: &'a Op) -> Boxed<'a, Completion> {
        Box::pin(async move {
            match op {
                Op::Read { key } => self.read(&register(*key), read_value).await,
                Op::ReadSet => self.read(SET, read_elements).await,
                Op::Write { key, value } => {
                    let request = PutRequest {
                        key: register(*key),
                        value: json!(value),
                        ..PutRequest::default()
                    };
                    let done = |answer: PutResponse| Some((Ret::Written, answer.meta));
                    self.ask("put", &request, done).await
                }
                Op::Cas { key, expect, new } => {
                    let request = CasRequest {
                        key: register(*key),
                        expect: expect.map(Value::from),
                        value: json!(new),
                        ..CasRequest::default()
                    };
                    let done =
                        |answer: CasResponse| Some((Ret::Swapped(answer.succeeded), answer.meta));
                    self.ask("cas", &request, done).await
                }
                Op::Add { element } => {
                    let request = AppendRequest {
                        key: SET.to_owned(),
                        element: json!(element),
                        ..AppendRequest::default()
                    };
                    let done = |answer: AppendResponse| Some((Ret::Added, answer.meta));
                    self.ask("append", &request, done).await
                }
            }
        })
    }
}

fn register(key: Key) -> String {
    format!("register/{}", key.0)
}

fn read_value(value: Option<Value>) -> Option<Ret> {
    match value {
        None => Some(Ret::Value(None)),
        Some(value) => Some(Ret::Value(Some(value.as_i64()?))),
    }
}

fn read_elements(value: Option<Value>) -> Option<Ret> {
    match value {
        None => Some(Ret::Elements(Vec::new())),
        Some(value) => serde_json::from_value(value).ok().map(Ret::Elements),
    }
}

impl RaftClient {
    async fn read(&self, key: &str, read: fn(Option<Value>) -> Option<Ret>) -> Completion {
        let request = GetRequest {
            key: key.to_owned(),
            consistency: None,
        };
        let done = |answer: GetResponse| Some((read(answer.value)?, answer.meta));
        self.ask("get", &request, done).await
    }

    async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
        done: impl FnOnce(A) -> Option<(Ret, Meta)> + Send,
    ) -> Completion {
        let url = format!("{}/kv/{path}", self.base);
        let response = match self.http.post(url).json(request).send().await {
            Ok(response) => response,
            Err(error) => return unanswered(&error),
        };
        if response.status() != StatusCode::OK {
            return refused(response).await;
        }
        let answer = match response.json::<A>().await {
            Ok(answer) => done(answer),
            Err(error) if error.is_decode() => None,
            Err(error) => return unanswered(&error),
        };
        match answer {
            None => Completion::info("UNEXPECTED_ANSWER", "200 with a body that is no answer"),
            Some((ret, meta)) => Completion {
                term: Some(meta.term),
                log_index: Some(meta.index),
                ..Completion::ok(ret)
            },
        }
    }
}

/// No answer: definite only where no connection came about, so that nothing was sent.
fn unanswered(error: &reqwest::Error) -> Completion {
    let why = innermost(error);
    if error.is_connect() {
        Completion::fail("NOT_CONNECTED", why)
    } else {
        Completion::info("CONNECTION_LOST", why)
    }
}

/// The node answered with an error: it says itself whether that is definite.
async fn refused(response: Response) -> Completion {
    let status = response.status();
    let Ok(body) = response.json::<ErrorBody>().await else {
        return Completion::info(
            "UNEXPECTED_ANSWER",
            format!("{status} without an error body"),
        );
    };
    let code = json!(body.error.code)
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let completion = if body.error.definite {
        Completion::fail(&code, body.error.message)
    } else {
        Completion::info(&code, body.error.message)
    };
    Completion {
        term: Some(body.error.term),
        ..completion
    }
}

/// reqwest wraps the cause three times; the innermost one is the one that says something.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// How far a clock was ahead that said this at some time between question and answer.
fn ahead(told_ns: u64, asked: SystemTime, answered: SystemTime) -> Option<Ahead> {
    let nanos = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_nanos()).ok()
    };
    let told_ns = i64::try_from(told_ns).ok().filter(|told_ns| *told_ns > 0)?;
    let (asked, answered) = (nanos(asked)?, nanos(answered)?);
    // None where this machine's own clock was set back meanwhile.
    let took = u64::try_from(answered - asked).ok()?;
    Some(Ahead {
        ns: told_ns - asked - (answered - asked) / 2,
        within_ns: took.div_ceil(2),
    })
}

struct RaftProbe {
    http: reqwest::Client,
    url: String,
    promote_url: String,
    deadline: Duration,
}

impl Probe for RaftProbe {
    fn look(&mut self) -> Boxed<'_, Option<View>> {
        Box::pin(async move {
            let request = self.http.get(&self.url).timeout(self.deadline);
            let asked = SystemTime::now();
            let status: Status = request.send().await.ok()?.json().await.ok()?;
            let role = json!(status.role).as_str().unwrap_or_default().to_owned();
            Some(View {
                role,
                // Where nobody leads, everybody takes writes.
                leads: matches!(status.role, Role::Leader | Role::Replica),
                term: status.term,
                pid: Some(status.pid),
                defects: status.defects,
                silent_ms: status.silent_ms,
                last: status.last,
                applied: Some(status.applied),
                ahead: ahead(status.wall_ns, asked, SystemTime::now()),
                installed: Some(status.installed),
            })
        })
    }

    fn promote(&mut self) -> Boxed<'_, Result<u64, String>> {
        Box::pin(async move {
            let request = self.http.post(&self.promote_url).timeout(self.deadline);
            let request = request.json(&PromoteRequest::default());
            let response = request.send().await.map_err(|error| innermost(&error))?;
            if response.status() == StatusCode::OK {
                let promoted = response.json::<PromoteResponse>().await;
                return promoted
                    .map(|promoted| promoted.epoch)
                    .map_err(|error| innermost(&error));
            }
            let body = response.json::<ErrorBody>().await;
            Err(body.map_or_else(|error| innermost(&error), |body| body.error.message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_node_is_told_who_it_is_and_who_the_others_are() {
        let addresses = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];
        let spec = NodeSpec {
            id: 2,
            addresses: &addresses,
            members: 2,
            cluster: "c",
            data_dir: Path::new("/d"),
            seed: 7,
            defects: &["ack_on_append".to_owned()],
            flags: &["--pre-vote=off".to_owned()],
            binary: None,
        };
        let program = Raft.command(&spec);
        assert_eq!(program.program, Path::new("/proc/self/exe"));
        let args = program.args.join(" ");
        assert!(args.contains("--listen-client=10.77.0.2:8000"), "{args}");
        assert!(
            args.contains("--peer=1=10.77.0.1:7000 --peer=2=10.77.0.2:7000"),
            "{args}"
        );
        assert!(
            args.ends_with("--defect=ack_on_append --pre-vote=off"),
            "{args}"
        );
    }

    #[tokio::test]
    async fn a_refused_connection_is_definite() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let mut client = Raft.client(nobody, Duration::from_secs(1)).unwrap();
        let completion = client.invoke(&Op::Add { element: 1 }).await;
        assert_eq!(completion.code, "NOT_CONNECTED");
        assert!(matches!(
            completion.outcome,
            ordeal_checker::history::Outcome::Fail(_)
        ));
    }

    #[tokio::test]
    async fn a_connection_that_breaks_after_the_request_proves_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let breaker = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
        let mut client = Raft.client(breaker, Duration::from_secs(1)).unwrap();
        let completion = client.invoke(&Op::Add { element: 1 }).await;
        server.join().unwrap();
        assert!(completion.outcome.is_info(), "{completion:?}");
    }
}
