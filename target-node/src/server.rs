//! The client API: JSON over HTTP, as [`crate::protocol`] describes it.
//!
//! A request is refused here where it makes no sense, and given to the driver otherwise. A client
//! never waits longer than [`REQUEST_TIMEOUT`].

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "requests time out"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::driver::{Beacon, Request, Written};
use crate::kv::{Command, Outcome};
use crate::protocol::{
    AppendRequest, AppendResponse, CasRequest, CasResponse, ErrorBody, ErrorCode, ErrorInfo,
    GetRequest, GetResponse, Meta, NodeId, PromoteRequest, PromoteResponse, PutRequest,
    PutResponse, Stage, Status,
};

/// How long a client waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest body that is taken.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The longest key.
const KEY_BYTES_MAX: usize = 4096;

/// The way from the server to the driver.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) node: NodeId,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) beacon: Arc<Beacon>,
}

/// Serves until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/kv/get", post(get_key))
        .route("/v1/kv/put", post(put_key))
        .route("/v1/kv/cas", post(cas_key))
        .route("/v1/kv/append", post(append_key))
        .route("/v1/status", get(status))
        .route("/v1/admin/promote-primary", post(promote_primary))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(gateway);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stopped = async move {
        let _ = stop.wait_for(|&stop| stop).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
}

/// An error on its way to a client.
struct Failure(StatusCode, ErrorInfo);

impl From<ErrorInfo> for Failure {
    fn from(error: ErrorInfo) -> Self {
        Self(error.code.status(), error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorBody { error: self.1 })).into_response()
    }
}

type Answer<T> = Result<Json<T>, Failure>;
type Body = Result<Bytes, BytesRejection>;

async fn get_key(State(gateway): State<Gateway>, body: Body) -> Answer<GetResponse> {
    let GetRequest { key, consistency } = gateway.parse(body)?;
    gateway.check_key(&key)?;
    let (reply, answer) = oneshot::channel();
    gateway.submit(Request::Get {
        key,
        consistency,
        reply,
    })?;
    match timeout(REQUEST_TIMEOUT, answer).await {
        Ok(Ok(result)) => Ok(Json(result?)),
        Ok(Err(_)) => Err(gateway.read_error(ErrorCode::ShuttingDown, "the node is stopping")),
        Err(_) => {
            let message = "no leader confirmed the read in time";
            Err(gateway.read_error(ErrorCode::Timeout, message))
        }
    }
}

async fn put_key(State(gateway): State<Gateway>, body: Body) -> Answer<PutResponse> {
    let PutRequest { key, value } = gateway.parse(body)?;
    gateway.check_value("value", &value)?;
    let (meta, outcome) = gateway
        .write(&key.clone(), Command::Put { key, value })
        .await?;
    match outcome {
        Outcome::Put => Ok(Json(PutResponse { meta })),
        other => Err(gateway.unexpected(&other)),
    }
}

async fn cas_key(State(gateway): State<Gateway>, body: Body) -> Answer<CasResponse> {
    let CasRequest { key, expect, value } = gateway.parse(body)?;
    gateway.check_value("value", &value)?;
    let (meta, outcome) = gateway
        .write(&key.clone(), Command::Cas { key, expect, value })
        .await?;
    match outcome {
        Outcome::Cas { succeeded, current } => Ok(Json(CasResponse {
            succeeded,
            current,
            meta,
        })),
        other => Err(gateway.unexpected(&other)),
    }
}

async fn append_key(State(gateway): State<Gateway>, body: Body) -> Answer<AppendResponse> {
    let AppendRequest { key, element } = gateway.parse(body)?;
    gateway.check_value("element", &element)?;
    let (meta, outcome) = gateway
        .write(&key.clone(), Command::Append { key, element })
        .await?;
    match outcome {
        Outcome::Append { length } => Ok(Json(AppendResponse { length, meta })),
        other => Err(gateway.unexpected(&other)),
    }
}

async fn status(State(gateway): State<Gateway>) -> Answer<Status> {
    let (reply, answer) = oneshot::channel();
    gateway.submit(Request::Status { reply })?;
    let status = answer.await;
    status
        .map(Json)
        .map_err(|_| gateway.read_error(ErrorCode::ShuttingDown, "the node is stopping"))
}

async fn promote_primary(State(gateway): State<Gateway>, body: Body) -> Answer<PromoteResponse> {
    let PromoteRequest { epoch } = gateway.parse(body)?;
    let (reply, answer) = oneshot::channel();
    gateway.submit(Request::Promote { epoch, reply })?;
    match answer.await {
        Ok(epoch) => Ok(Json(PromoteResponse { epoch: epoch? })),
        Err(_) => Err(gateway.read_error(ErrorCode::ShuttingDown, "the node is stopping")),
    }
}

async fn unknown_route(State(gateway): State<Gateway>, uri: Uri) -> Failure {
    Failure(
        StatusCode::NOT_FOUND,
        gateway.invalid(format!("there is nothing at {}", uri.path())),
    )
}

async fn unknown_method(State(gateway): State<Gateway>, method: Method, uri: Uri) -> Failure {
    let message = format!("{} does not take {method}", uri.path());
    Failure(StatusCode::METHOD_NOT_ALLOWED, gateway.invalid(message))
}

impl Gateway {
    fn parse<T: DeserializeOwned>(&self, body: Body) -> Result<T, Failure> {
        let bytes = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("a body has at most {BODY_BYTES_MAX} bytes");
                self.error(ErrorCode::TooLarge, message)
            }
            _ => self.error(ErrorCode::Invalid, rejection.body_text()),
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.error(ErrorCode::Invalid, format!("the body: {error}")))
    }

    fn check_key(&self, key: &str) -> Result<(), Failure> {
        if key.len() <= KEY_BYTES_MAX {
            return Ok(());
        }
        let message = format!("a key has at most {KEY_BYTES_MAX} bytes");
        Err(self.error(ErrorCode::Invalid, message))
    }

    /// `null` means that a key was never written; so nothing may be set to it.
    fn check_value(&self, field: &str, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Null => Err(self.error(ErrorCode::Invalid, format!("{field} must not be null"))),
            _ => Ok(()),
        }
    }

    /// Has a command replicated and applied.
    async fn write(&self, key: &str, command: Command) -> Result<(Meta, Outcome), Failure> {
        self.check_key(key)?;
        let (reply, answer) = oneshot::channel();
        self.submit(Request::Write { command, reply })?;
        let standing = || self.beacon.standing();
        let Written { id, outcome } = match timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => {
                let message = "the node is stopping";
                return Err(standing()
                    .error(ErrorCode::ShuttingDown, Stage::Unknown, message)
                    .into());
            }
            Err(_) => {
                let message = "the write was not committed in time, and may yet be";
                return Err(standing()
                    .error(ErrorCode::Timeout, Stage::Unknown, message)
                    .into());
            }
        };
        if let Outcome::Refused { reason } = outcome {
            return Err(standing()
                .error(ErrorCode::Invalid, Stage::PostAppend, reason)
                .into());
        }
        let leader = standing().leader;
        Ok((
            Meta {
                node: self.node,
                term: id.term,
                index: id.index,
                leader,
            },
            outcome,
        ))
    }

    fn submit(&self, request: Request) -> Result<(), Failure> {
        self.requests
            .try_send(request)
            .map_err(|error| match error {
                TrySendError::Full(_) => {
                    self.error(ErrorCode::Overloaded, "too many requests wait")
                }
                TrySendError::Closed(_) => {
                    self.error(ErrorCode::ShuttingDown, "the node is stopping")
                }
            })
    }

    fn error(&self, code: ErrorCode, message: impl Into<String>) -> Failure {
        self.beacon
            .standing()
            .error(code, Stage::PreAppend, message)
            .into()
    }

    fn read_error(&self, code: ErrorCode, message: &str) -> Failure {
        self.beacon.standing().read_error(code, message).into()
    }

    fn invalid(&self, message: String) -> ErrorInfo {
        self.beacon
            .standing()
            .error(ErrorCode::Invalid, Stage::PreAppend, message)
    }

    /// The command was applied, and came to something that such a command cannot come to.
    fn unexpected<T: Serialize + std::fmt::Debug>(&self, outcome: &T) -> Failure {
        let message = format!("the command came to {outcome:?}");
        self.beacon
            .standing()
            .error(ErrorCode::Internal, Stage::PostAppend, message)
            .into()
    }
}
