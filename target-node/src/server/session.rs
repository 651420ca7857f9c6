//! Sessions are opened, kept and closed.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::gateway::{Answer, Body, Gateway};
use crate::machine::{Command, Outcome};
use crate::protocol::{ErrorCode, OpenSessionRequest, SessionRequest, SessionResponse};

/// What a session's time to live may be, in milliseconds.
const TTL_MS: std::ops::RangeInclusive<u64> = 100..=24 * 60 * 60 * 1000;

/// What it is where the client does not say.
const TTL_MS_DEFAULT: u64 = 60_000;

pub(super) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/v1/session/open", post(open))
        .route("/v1/session/keepalive", post(keep))
        .route("/v1/session/close", post(close))
}

async fn open(State(gateway): State<Gateway>, body: Body) -> Answer<SessionResponse> {
    let OpenSessionRequest { ttl_ms } = gateway.parse(body)?;
    let ttl_ms = ttl_ms.unwrap_or(TTL_MS_DEFAULT);
    if !TTL_MS.contains(&ttl_ms) {
        let (least, most) = (TTL_MS.start(), TTL_MS.end());
        let message = format!("ttl_ms is {ttl_ms}, and may be {least} to {most}");
        return Err(gateway.error(ErrorCode::Invalid, message));
    }
    settle(&gateway, Command::OpenSession { ttl_ms }).await
}

async fn keep(State(gateway): State<Gateway>, body: Body) -> Answer<SessionResponse> {
    let SessionRequest { session } = gateway.parse(body)?;
    settle(&gateway, Command::KeepSession { session }).await
}

async fn close(State(gateway): State<Gateway>, body: Body) -> Answer<SessionResponse> {
    let SessionRequest { session } = gateway.parse(body)?;
    settle(&gateway, Command::CloseSession { session }).await
}

async fn settle(gateway: &Gateway, command: Command) -> Answer<SessionResponse> {
    match gateway.write(command, None).await? {
        (meta, Outcome::Session { id }) => Ok(Json(SessionResponse { session: id, meta })),
        (meta, other) => Err(gateway.unexpected(&meta, &other)),
    }
}
