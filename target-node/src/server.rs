//! The client API: JSON over HTTP, as [`crate::protocol`] describes it.
//!
//! A request is refused here where it makes no sense, and given to the driver otherwise.
//!
//! | file | what |
//! |---|---|
//! | [`gateway`] | the way from a request to the driver and back |
//! | [`keys`] | reads, writes and transactions |
//! | [`session`] | sessions |
//! | [`view`] | what the node tells about itself |

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "requests time out"
)]

mod gateway;
mod keys;
mod session;
mod view;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) use gateway::Gateway;

use gateway::{BODY_BYTES_MAX, Failure};

/// Serves until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stopped = async move {
        let _ = stop.wait_for(|&stop| stop).await;
    };
    axum::serve(listener, router(gateway))
        .with_graceful_shutdown(stopped)
        .await
}

fn router(gateway: Gateway) -> Router {
    Router::new()
        .merge(keys::routes())
        .merge(session::routes())
        .merge(view::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(gateway)
}

async fn unknown_route(State(gateway): State<Gateway>, uri: Uri) -> Failure {
    let message = format!("there is nothing at {}", uri.path());
    Failure(StatusCode::NOT_FOUND, gateway.invalid(message))
}

async fn unknown_method(State(gateway): State<Gateway>, method: Method, uri: Uri) -> Failure {
    let message = format!("{} does not take {method}", uri.path());
    Failure(StatusCode::METHOD_NOT_ALLOWED, gateway.invalid(message))
}
