//! What the node tells about itself.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::gateway::{Answer, Failure, Gateway};
use crate::driver::Request;
use crate::protocol::{ErrorCode, LogResponse, StateHash, Status};

pub(super) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/hash", get(hash))
        .route("/v1/log", get(log))
}

async fn status(State(gateway): State<Gateway>) -> Answer<Status> {
    gateway
        .ask(|reply| Request::Status { reply })
        .await
        .map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HashQuery {
    index: Option<u64>,
}

async fn hash(
    State(gateway): State<Gateway>,
    query: Result<Query<HashQuery>, QueryRejection>,
) -> Answer<StateHash> {
    let HashQuery { index } = gateway.query(query)?;
    let hash = gateway.ask(|reply| Request::Hash { index, reply }).await?;
    hash.map(Json).map_err(|error| gateway.failure(error))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    #[serde(default)]
    from: u64,
    #[serde(default = "end")]
    to: u64,
}

fn end() -> u64 {
    u64::MAX
}

async fn log(
    State(gateway): State<Gateway>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Answer<LogResponse> {
    let LogQuery { from, to } = gateway.query(query)?;
    let log = gateway
        .ask(|reply| Request::Log { from, to, reply })
        .await?;
    log.map(Json).map_err(|error| gateway.failure(error))
}

impl Gateway {
    pub(super) fn query<T>(&self, query: Result<Query<T>, QueryRejection>) -> Result<T, Failure> {
        match query {
            Ok(Query(query)) => Ok(query),
            Err(rejection) => Err(self.error(ErrorCode::Invalid, rejection.body_text())),
        }
    }
}
