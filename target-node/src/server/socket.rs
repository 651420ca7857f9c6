//! Where a server listens: at a TCP address, or at a socket in the file system.

#![allow(clippy::disallowed_types, reason = "this is where sockets are")]

use std::io;
use std::path::Path;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;

/// How a path is told from an address on the command line.
const UNIX: &str = "unix:";

/// An address that is listened at.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Listens at `HOST:PORT`, or at `unix:PATH`.
    pub(crate) async fn bind(address: &str) -> io::Result<Self> {
        match address.strip_prefix(UNIX) {
            Some(path) => bind_path(Path::new(path)).await.map(Self::Unix),
            None => TcpListener::bind(address).await.map(Self::Tcp),
        }
    }

    /// Serves until told to stop.
    pub(super) async fn serve(
        self,
        router: Router,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let stopped = async move {
            let _ = stop.wait_for(|&stop| stop).await;
        };
        match self {
            Self::Tcp(listener) => {
                let listener = listener.tap_io(|stream| {
                    let _ = stream.set_nodelay(true);
                });
                axum::serve(listener, router)
                    .with_graceful_shutdown(stopped)
                    .await
            }
            Self::Unix(listener) => {
                axum::serve(listener, router)
                    .with_graceful_shutdown(stopped)
                    .await
            }
        }
    }
}

/// A socket that a killed process left behind is nobody's, and gives way; one that somebody
/// listens at does not.
async fn bind_path(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match UnixStream::connect(path).await {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)
                }
                _ => Err(error),
            }
        }
        bound => bound,
    }
}
