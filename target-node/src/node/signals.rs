//! The signals that end a node in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::NodeError;

/// What a node hears of SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they are heard, and end nothing by themselves.
    pub(super) fn hear() -> Result<Self, NodeError> {
        let handler = |kind| {
            signal(kind).map_err(|source| NodeError::Io {
                doing: "hear signals",
                source,
            })
        };
        Ok(Self {
            terminate: handler(SignalKind::terminate())?,
            interrupt: handler(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
