//! The way from a request to the driver, and from its answer to a response.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::body;
use crate::driver::{Beacon, Look, Request};
use crate::failpoint::Failpoints;
use crate::machine::{Applied, Command, Outcome, Proposal, Turn};
use crate::peer::Directory;
use crate::protocol::{
    Consistency, ErrorBody, ErrorCode, ErrorInfo, Meta, NodeId, SessionTurn, Stage,
};
use crate::trace::Tracer;

/// How long a client waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest body that is taken.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The longest key.
const KEY_BYTES_MAX: usize = 4096;

/// The way from the server to the driver.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) node: NodeId,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) beacon: Arc<Beacon>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) failpoints: Failpoints,
    pub(crate) tracer: Tracer,
    /// Whether clients are sent to the leader.
    pub(crate) redirects: bool,
}

/// An error on its way to a client.
#[derive(Debug)]
pub(super) struct Failure(pub(super) StatusCode, pub(super) ErrorInfo);

/// Where the leader is that a refusal names, for the layer that makes a redirection of it.
#[derive(Clone, Debug)]
pub(super) struct LeaderUrl(pub(super) String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(status, error) = self;
        let url = match (&error.code, &error.leader) {
            (ErrorCode::NotLeader, Some(leader)) => leader.url.clone(),
            _ => None,
        };
        let response = (status, Json(ErrorBody { error })).into_response();
        match url {
            Some(url) => (Extension(LeaderUrl(url)), response).into_response(),
            None => response,
        }
    }
}

pub(super) type Answer<T> = Result<Json<T>, Failure>;
pub(super) type Body = Result<Bytes, BytesRejection>;

impl Gateway {
    pub(super) fn parse<T: DeserializeOwned>(&self, body: Body) -> Result<T, Failure> {
        let bytes = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("a body has at most {BODY_BYTES_MAX} bytes");
                self.error(ErrorCode::TooLarge, message)
            }
            _ => self.error(ErrorCode::Invalid, rejection.body_text()),
        })?;
        body::parse(&bytes)
            .map_err(|error| self.error(ErrorCode::Invalid, format!("the body: {error}")))
    }

    /// A body that may be left out.
    pub(super) fn parse_or_default<T: DeserializeOwned + Default>(
        &self,
        body: Body,
    ) -> Result<T, Failure> {
        match &body {
            Ok(bytes) if bytes.is_empty() => Ok(T::default()),
            _ => self.parse(body),
        }
    }

    pub(super) fn check_key(&self, key: &str) -> Result<(), Failure> {
        if key.len() <= KEY_BYTES_MAX {
            return Ok(());
        }
        let message = format!("a key has at most {KEY_BYTES_MAX} bytes");
        Err(self.error(ErrorCode::Invalid, message))
    }

    /// `null` means that a key is absent; so nothing may be set to it.
    pub(super) fn check_value(&self, field: &str, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Null => Err(self.error(ErrorCode::Invalid, format!("{field} must not be null"))),
            _ => Ok(()),
        }
    }

    /// Has a command replicated and applied.
    pub(super) async fn write(
        &self,
        command: Command,
        session: Option<SessionTurn>,
    ) -> Result<(Meta, Outcome), Failure> {
        let turn = session.map(|turn| self.turn(turn)).transpose()?;
        let proposal = Proposal {
            turn,
            ..Proposal::from(command)
        };
        let (reply, answer) = oneshot::channel();
        self.submit(Request::Write { proposal, reply })?;
        let unknown = |code, message: &str| {
            let standing = self.beacon.standing();
            self.failure(standing.error(code, Stage::Unknown, message))
        };
        let applied = match timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(result)) => result.map_err(|error| self.failure(error))?,
            Ok(Err(_)) => return Err(unknown(ErrorCode::ShuttingDown, "the node is stopping")),
            Err(_) => {
                let message = "the write was not committed in time, and may yet be";
                return Err(unknown(ErrorCode::Timeout, message));
            }
        };
        self.settle(applied, session)
    }

    fn turn(&self, turn: SessionTurn) -> Result<Turn, Failure> {
        let SessionTurn {
            id,
            seq,
            acked_below,
            ..
        } = turn;
        if acked_below > seq {
            let message = format!("acked_below {acked_below} is above seq {seq}");
            return Err(self.error(ErrorCode::Invalid, message));
        }
        Ok(Turn {
            session: id,
            seq,
            acked_below,
        })
    }

    /// What an applied command tells its client.
    fn settle(
        &self,
        applied: Applied,
        session: Option<SessionTurn>,
    ) -> Result<(Meta, Outcome), Failure> {
        let Applied {
            id,
            outcome,
            is_repeat,
        } = applied;
        let standing = self.beacon.standing();
        let leader = standing.leader;
        let refused = |code, message: String| standing.error(code, Stage::Applied, message);
        // An earlier attempt may have been applied while the session was known.
        let forgotten = |code, message| ErrorInfo {
            definite: !session.is_some_and(|turn| turn.retry),
            ..refused(code, message)
        };
        let error = match outcome {
            Outcome::Refused { reason } => refused(ErrorCode::Invalid, reason),
            Outcome::TooLarge { reason } => refused(ErrorCode::TooLarge, reason),
            Outcome::NoSession => {
                let message = "there is no such session: it ended, or never was; open another";
                forgotten(ErrorCode::SessionUnknown, message.to_owned())
            }
            Outcome::SeqTooOld { acked_below } => {
                let message = format!("the client has told that it has all below {acked_below}");
                forgotten(ErrorCode::SeqTooOld, message)
            }
            outcome => {
                let meta = Meta {
                    node: self.node,
                    term: id.term,
                    index: id.index,
                    applied: self.beacon.applied(),
                    leader,
                    read_index: None,
                    session_dup: is_repeat,
                };
                return Ok((meta, outcome));
            }
        };
        Err(self.failure(error))
    }

    /// Has something looked at, as fresh as asked for.
    pub(super) async fn read<T>(
        &self,
        consistency: Option<Consistency>,
        look: impl FnOnce(oneshot::Sender<Result<T, ErrorInfo>>) -> Look,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let look = look(reply);
        self.submit(Request::Read { consistency, look })?;
        match timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(result)) => result.map(Json).map_err(|error| self.failure(error)),
            Ok(Err(_)) => Err(self.read_error(ErrorCode::ShuttingDown, "the node is stopping")),
            Err(_) => {
                let message = "no leader confirmed the read in time";
                Err(self.read_error(ErrorCode::Timeout, message))
            }
        }
    }

    /// Has the driver tell something that it knows.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.submit(question(reply))?;
        let answer = answer.await;
        answer.map_err(|_| self.read_error(ErrorCode::ShuttingDown, "the node is stopping"))
    }

    pub(super) fn submit(&self, request: Request) -> Result<(), Failure> {
        if !self.beacon.has_started() {
            let message = "the node is reading back what is on its disk; ask again";
            return Err(self.error(ErrorCode::Starting, message));
        }
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

    /// An error as this node's clients are told of it: with the way to the leader, if known.
    pub(super) fn failure(&self, mut error: ErrorInfo) -> Failure {
        if let Some(leader) = &mut error.leader {
            let client = self.directory.client(leader.id);
            leader.url = client.map(|client| format!("http://{client}"));
        }
        Failure(error.code.status(), error)
    }

    pub(super) fn error(&self, code: ErrorCode, message: impl Into<String>) -> Failure {
        let standing = self.beacon.standing();
        self.failure(standing.error(code, Stage::PreAppend, message))
    }

    pub(super) fn read_error(&self, code: ErrorCode, message: &str) -> Failure {
        self.failure(self.beacon.standing().read_error(code, message))
    }

    /// The command was applied, and came to something that such a command cannot come to.
    pub(super) fn unexpected(&self, meta: &Meta, outcome: &Outcome) -> Failure {
        if meta.session_dup {
            let message = "this number of the session stands for another request, which was \
                           applied before; number each request anew";
            let standing = self.beacon.standing();
            return self.failure(standing.error(ErrorCode::Invalid, Stage::Applied, message));
        }
        let message = format!("the command came to {outcome:?}");
        let standing = self.beacon.standing();
        self.failure(standing.error(ErrorCode::Internal, Stage::Applied, message))
    }
}
