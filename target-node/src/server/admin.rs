//! The port for administrators, and for a harness: see [`crate::protocol::admin`].
//!
//! It is a port of its own so that what is done to the network of clients and peers does not keep
//! anybody from undoing it.

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::gateway::{Answer, BODY_BYTES_MAX, Body, Failure, Gateway};
use super::{unknown_method, unknown_route, view};
use crate::driver::{Order, Request, RuleOrder};
use crate::protocol::admin::{
    CampaignRequest, ChangeRequest, ClockRate, CompactRequest, Health, MemberRequest,
    PromoteRequest, PromoteResponse, TraceRequest, TransferRequest,
};
use crate::protocol::{ErrorCode, FailpointRequest, Failpoints, NetRule, NetRuleState, Status};
use crate::raft::Change;

/// What the rate of a clock may be.
const RATE: std::ops::RangeInclusive<f64> = 0.01..=100.0;

pub(super) fn router(gateway: Gateway) -> Router {
    Router::new()
        .merge(view::routes())
        .route("/v1/health", get(health))
        .merge(orders())
        .route(
            "/v1/admin/net-rules",
            get(list_rules).post(add_rule).delete(clear_rules),
        )
        .route("/v1/admin/net-rules/{id}", delete(remove_rule))
        .route(
            "/v1/admin/failpoints",
            get(list_failpoints)
                .post(set_failpoint)
                .delete(clear_failpoints),
        )
        .route("/v1/admin/failpoints/{site}", delete(clear_failpoint))
        .route("/v1/admin/trace", get(trace).post(set_trace))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(gateway)
}

fn orders() -> Router<Gateway> {
    Router::new()
        .route("/v1/cluster/transfer", post(transfer))
        .route("/v1/cluster/add-learner", post(add_learner))
        .route("/v1/cluster/add-voter", post(add_voter))
        .route("/v1/cluster/promote", post(promote_learner))
        .route("/v1/cluster/remove", post(remove_member))
        .route("/v1/cluster/change", post(change))
        .route("/v1/admin/campaign", post(campaign))
        .route("/v1/admin/step-down", post(step_down))
        .route("/v1/admin/promote-primary", post(promote_primary))
        .route("/v1/admin/snapshot", post(snapshot))
        .route("/v1/admin/compact", post(compact))
        .route("/v1/admin/clock", get(clock).post(set_clock))
}

async fn health(State(gateway): State<Gateway>) -> Answer<Health> {
    let status = gateway.ask(|reply| Request::Status { reply }).await?;
    Ok(Json(Health {
        has_leader: status.leader.is_some(),
        applied: status.applied,
    }))
}

async fn order(gateway: &Gateway, order: Order) -> Answer<Status> {
    let done = gateway.ask(|reply| Request::Order { order, reply }).await?;
    done.map(Json).map_err(|error| gateway.failure(error))
}

async fn transfer(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let TransferRequest { to } = gateway.parse(body)?;
    order(&gateway, Order::Transfer { to }).await
}

async fn add_learner(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let MemberRequest { id } = gateway.parse(body)?;
    order(&gateway, Order::Change(Change::AddLearner(id))).await
}

async fn add_voter(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let MemberRequest { id } = gateway.parse(body)?;
    order(&gateway, Order::Change(Change::AddVoter(id))).await
}

async fn promote_learner(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let MemberRequest { id } = gateway.parse(body)?;
    order(&gateway, Order::Change(Change::Promote(id))).await
}

async fn remove_member(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let MemberRequest { id } = gateway.parse(body)?;
    order(&gateway, Order::Change(Change::Remove(id))).await
}

async fn change(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let ChangeRequest { voters, learners } = gateway.parse(body)?;
    let (voters, learners) = (voters.into_iter().collect(), learners.into_iter().collect());
    order(
        &gateway,
        Order::Change(Change::Replace { voters, learners }),
    )
    .await
}

async fn campaign(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let CampaignRequest { pre } = gateway.parse_or_default(body)?;
    order(&gateway, Order::Campaign { asks_first: pre }).await
}

async fn step_down(State(gateway): State<Gateway>) -> Answer<Status> {
    order(&gateway, Order::StepDown).await
}

async fn promote_primary(State(gateway): State<Gateway>, body: Body) -> Answer<PromoteResponse> {
    let PromoteRequest { epoch } = gateway.parse_or_default(body)?;
    let promoted = gateway
        .ask(|reply| Request::Promote { epoch, reply })
        .await?;
    let epoch = promoted.map_err(|refusal| gateway.failure(refusal))?;
    Ok(Json(PromoteResponse { epoch }))
}

async fn snapshot(State(gateway): State<Gateway>) -> Answer<Status> {
    order(&gateway, Order::Snapshot).await
}

async fn compact(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let CompactRequest { keep } = gateway.parse_or_default(body)?;
    order(&gateway, Order::Compact { keep }).await
}

async fn clock(State(gateway): State<Gateway>) -> Answer<ClockRate> {
    let status = gateway.ask(|reply| Request::Status { reply }).await?;
    Ok(Json(ClockRate {
        rate: status.clock_rate,
    }))
}

async fn set_clock(State(gateway): State<Gateway>, body: Body) -> Answer<ClockRate> {
    let ClockRate { rate } = gateway.parse(body)?;
    if !RATE.contains(&rate) {
        let message = format!(
            "rate is {rate}, and may be {} to {}",
            RATE.start(),
            RATE.end()
        );
        return Err(gateway.error(ErrorCode::Invalid, message));
    }
    let Json(status) = order(&gateway, Order::ClockRate(rate)).await?;
    Ok(Json(ClockRate {
        rate: status.clock_rate,
    }))
}

async fn set_trace(State(gateway): State<Gateway>, body: Body) -> Answer<Status> {
    let request: TraceRequest = gateway.parse(body)?;
    order(&gateway, Order::Trace(request)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceQuery {
    #[serde(default)]
    since: u64,
}

async fn trace(
    State(gateway): State<Gateway>,
    query: Result<Query<TraceQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let TraceQuery { since } = gateway.query(query)?;
    let lines = gateway.tracer.since(since);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

async fn rules(gateway: &Gateway, order: RuleOrder) -> Answer<Vec<NetRuleState>> {
    let done = gateway.ask(|reply| Request::Rule { order, reply }).await?;
    done.map(Json).map_err(|error| gateway.failure(error))
}

async fn list_rules(State(gateway): State<Gateway>) -> Answer<Vec<NetRuleState>> {
    rules(&gateway, RuleOrder::List).await
}

async fn add_rule(State(gateway): State<Gateway>, body: Body) -> Answer<Vec<NetRuleState>> {
    let rule: NetRule = gateway.parse(body)?;
    rules(&gateway, RuleOrder::Add(rule)).await
}

async fn clear_rules(State(gateway): State<Gateway>) -> Answer<Vec<NetRuleState>> {
    rules(&gateway, RuleOrder::Clear).await
}

async fn remove_rule(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Answer<Vec<NetRuleState>> {
    let Ok(number) = id.parse() else {
        let message = format!("{id:?} is no number of a rule");
        return Err(gateway.error(ErrorCode::Invalid, message));
    };
    rules(&gateway, RuleOrder::Remove(number)).await
}

async fn list_failpoints(State(gateway): State<Gateway>) -> Answer<Failpoints> {
    Ok(Json(gateway.failpoints.list()))
}

async fn set_failpoint(State(gateway): State<Gateway>, body: Body) -> Answer<Failpoints> {
    let request: FailpointRequest = gateway.parse(body)?;
    let set = gateway.failpoints.set(request);
    set.map_err(|error| gateway.error(ErrorCode::Invalid, error.to_string()))?;
    Ok(Json(gateway.failpoints.list()))
}

async fn clear_failpoints(State(gateway): State<Gateway>) -> Answer<Failpoints> {
    clear(&gateway, None)
}

async fn clear_failpoint(
    State(gateway): State<Gateway>,
    Path(site): Path<String>,
) -> Answer<Failpoints> {
    clear(&gateway, Some(&site))
}

fn clear(gateway: &Gateway, site: Option<&str>) -> Answer<Failpoints> {
    let cleared = gateway.failpoints.clear(site);
    cleared.map_err(|error| gateway.error(ErrorCode::Invalid, error.to_string()))?;
    Ok(Json(gateway.failpoints.list()))
}
