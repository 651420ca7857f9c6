//! The client API: JSON over HTTP, as [`crate::protocol`] describes it.
//!
//! A request is refused here where it makes no sense, and given to the driver otherwise.
//!
//! | file | what |
//! |---|---|
//! | [`admin`] | orders, rules for messages, failpoints: on a port of its own |
//! | [`body`] | a body as JSON, taken as it was meant or not at all: pure |
//! | [`gateway`] | the way from a request to the driver and back |
//! | [`keys`] | reads, writes and transactions |
//! | [`session`] | sessions |
//! | [`socket`] | where a server listens |
//! | [`view`] | what the node tells about itself |

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "requests time out"
)]

mod admin;
mod body;
mod gateway;
mod keys;
mod session;
mod socket;
mod view;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::sync::watch;

pub(crate) use gateway::Gateway;
pub(crate) use socket::Socket;

use crate::protocol::ErrorCode;
use gateway::{BODY_BYTES_MAX, Failure, LeaderUrl};

/// Serves clients until told to stop.
pub(crate) async fn serve(
    socket: Socket,
    gateway: Gateway,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    socket.serve(router(gateway), stop).await
}

/// Serves administrators until told to stop.
pub(crate) async fn serve_admin(
    socket: Socket,
    gateway: Gateway,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    socket.serve(admin::router(gateway), stop).await
}

fn router(gateway: Gateway) -> Router {
    let mut router = Router::new()
        .merge(keys::routes())
        .merge(session::routes())
        .merge(view::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    if gateway.redirects {
        router = router.layer(middleware::from_fn(redirect));
    }
    router.with_state(gateway)
}

/// Makes a redirection of a refusal that names the leader and where it is. The body stays.
async fn redirect(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(LeaderUrl(url)) = response.extensions_mut().remove()
        && let Ok(location) = HeaderValue::try_from(format!("{url}{path}"))
    {
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

async fn unknown_route(State(gateway): State<Gateway>, uri: Uri) -> Failure {
    let message = format!("there is nothing at {}", uri.path());
    let Failure(_, error) = gateway.error(ErrorCode::Invalid, message);
    Failure(StatusCode::NOT_FOUND, error)
}

async fn unknown_method(State(gateway): State<Gateway>, method: Method, uri: Uri) -> Failure {
    let message = format!("{} does not take {method}", uri.path());
    let Failure(_, error) = gateway.error(ErrorCode::Invalid, message);
    Failure(StatusCode::METHOD_NOT_ALLOWED, error)
}
