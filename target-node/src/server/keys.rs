//! Reads, writes and transactions.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::gateway::{Answer, Body, Failure, Gateway};
use crate::driver::Look;
use crate::machine::{Command, Expect, Outcome};
use crate::protocol::{
    AddRequest, AddResponse, AppendRequest, AppendResponse, CasRequest, CasResponse, DeleteRequest,
    DeleteResponse, DumpRequest, DumpResponse, ErrorCode, GetRequest, GetResponse, MicroOp,
    PutRequest, PutResponse, TransactionRequest, TransactionResponse,
};

/// How many guards, and how many operations in each half, a transaction has at most.
const TRANSACTION_MAX: usize = 128;

pub(super) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/v1/kv/get", post(get))
        .route("/v1/kv/put", post(put))
        .route("/v1/kv/delete", post(delete))
        .route("/v1/kv/cas", post(cas))
        .route("/v1/kv/append", post(append))
        .route("/v1/kv/add", post(add))
        .route("/v1/txn", post(transact))
        .route("/v1/dump", post(dump))
}

async fn get(State(gateway): State<Gateway>, body: Body) -> Answer<GetResponse> {
    let GetRequest { key, consistency } = gateway.parse(body)?;
    gateway.check_key(&key)?;
    gateway
        .read(consistency, |reply| Look::Key { key, reply })
        .await
}

async fn dump(State(gateway): State<Gateway>, body: Body) -> Answer<DumpResponse> {
    let DumpRequest {
        prefix,
        consistency,
    } = gateway.parse(body)?;
    gateway.check_key(&prefix)?;
    gateway
        .read(consistency, |reply| Look::Prefix { prefix, reply })
        .await
}

async fn put(State(gateway): State<Gateway>, body: Body) -> Answer<PutResponse> {
    let PutRequest {
        key,
        value,
        prev,
        session,
    } = gateway.parse(body)?;
    gateway.check_key(&key)?;
    gateway.check_value("value", &value)?;
    match gateway
        .write(Command::Put { key, value, prev }, session)
        .await?
    {
        (meta, Outcome::Put { version, prev }) => Ok(Json(PutResponse {
            version,
            prev,
            meta,
        })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}

async fn delete(State(gateway): State<Gateway>, body: Body) -> Answer<DeleteResponse> {
    let DeleteRequest { key, prev, session } = gateway.parse(body)?;
    gateway.check_key(&key)?;
    match gateway
        .write(Command::Delete { key, prev }, session)
        .await?
    {
        (meta, Outcome::Delete { deleted, prev }) => Ok(Json(DeleteResponse {
            deleted,
            prev,
            meta,
        })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}

async fn cas(State(gateway): State<Gateway>, body: Body) -> Answer<CasResponse> {
    let request: CasRequest = gateway.parse(body)?;
    gateway.check_key(&request.key)?;
    gateway.check_value("value", &request.value)?;
    let expect = match (request.expect, request.expect_version) {
        (None, None) => Expect::Absent,
        (Some(value), None) => Expect::Value(value),
        (None, Some(version)) => Expect::Version(version),
        (Some(_), Some(_)) => {
            let message = "give one of expect and expect_version";
            return Err(gateway.error(ErrorCode::Invalid, message));
        }
    };
    let (key, value, session) = (request.key, request.value, request.session);
    let command = Command::Cas { key, expect, value };
    match gateway.write(command, session).await? {
        (meta, Outcome::Cas { succeeded, current }) => Ok(Json(CasResponse {
            succeeded,
            current,
            meta,
        })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}

async fn append(State(gateway): State<Gateway>, body: Body) -> Answer<AppendResponse> {
    let AppendRequest {
        key,
        element,
        list,
        session,
    } = gateway.parse(body)?;
    gateway.check_key(&key)?;
    gateway.check_value("element", &element)?;
    let command = Command::Append { key, element, list };
    match gateway.write(command, session).await? {
        (meta, Outcome::Append { length, list }) => Ok(Json(AppendResponse { length, list, meta })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}

async fn add(State(gateway): State<Gateway>, body: Body) -> Answer<AddResponse> {
    let AddRequest {
        key,
        delta,
        session,
    } = gateway.parse(body)?;
    gateway.check_key(&key)?;
    match gateway.write(Command::Add { key, delta }, session).await? {
        (meta, Outcome::Add { value }) => Ok(Json(AddResponse { value, meta })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}

async fn transact(State(gateway): State<Gateway>, body: Body) -> Answer<TransactionResponse> {
    let request: TransactionRequest = gateway.parse(body)?;
    check_transaction(&gateway, &request)?;
    let TransactionRequest {
        guards,
        then,
        otherwise,
        session,
    } = request;
    let command = Command::Transaction {
        guards,
        then,
        otherwise,
    };
    match gateway.write(command, session).await? {
        (meta, Outcome::Transaction { succeeded, ops }) => Ok(Json(TransactionResponse {
            succeeded,
            ops,
            meta,
        })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}

fn check_transaction(gateway: &Gateway, request: &TransactionRequest) -> Result<(), Failure> {
    let parts = [
        ("guards", request.guards.len()),
        ("then", request.then.len()),
        ("else", request.otherwise.len()),
    ];
    if let Some((part, length)) = parts.iter().find(|&&(_, length)| length > TRANSACTION_MAX) {
        let message = format!("{part} has {length} members, and may have {TRANSACTION_MAX}");
        return Err(gateway.error(ErrorCode::Invalid, message));
    }
    let guarded = request.guards.iter().map(|guard| guard.key.as_str());
    let ops = request.then.iter().chain(&request.otherwise);
    guarded
        .chain(ops.map(MicroOp::key))
        .try_for_each(|key| gateway.check_key(key))
}
