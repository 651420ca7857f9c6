//! What only an operator asks: who is to be the primary.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use tokio::sync::oneshot;

use super::gateway::{Answer, Body, Gateway};
use crate::driver::Request;
use crate::protocol::{ErrorCode, PromoteRequest, PromoteResponse};

pub(super) fn routes() -> Router<Gateway> {
    Router::new().route("/v1/admin/promote-primary", post(promote_primary))
}

async fn promote_primary(State(gateway): State<Gateway>, body: Body) -> Answer<PromoteResponse> {
    let PromoteRequest { epoch } = gateway.parse(body)?;
    let (reply, answer) = oneshot::channel();
    gateway.submit(Request::Promote { epoch, reply })?;
    match answer.await {
        Ok(Ok(epoch)) => Ok(Json(PromoteResponse { epoch })),
        Ok(Err(refusal)) => Err(gateway.failure(refusal)),
        Err(_) => Err(gateway.read_error(ErrorCode::ShuttingDown, "the node is stopping")),
    }
}
