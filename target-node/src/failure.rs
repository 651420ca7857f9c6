//! What an error proves, and how it is told over HTTP.

use axum::http::StatusCode;

use crate::protocol::{ErrorCode, ErrorInfo, LeaderHint, NodeId, Stage};

/// What a node knows of the cluster when it answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeId>,
}

impl ErrorCode {
    /// True where a node says this only of a request that was not applied and never will be.
    #[must_use]
    pub const fn is_definite(self) -> bool {
        match self {
            Self::Invalid
            | Self::TooLarge
            | Self::NotLeader
            | Self::NoLeader
            | Self::Overloaded
            | Self::Starting
            | Self::NoQuorum
            | Self::Unsupported
            | Self::Learner
            | Self::TransferInProgress
            | Self::NotMember
            | Self::ConfchangePending
            | Self::ConfchangeNotReady
            | Self::Superseded
            | Self::SessionUnknown
            | Self::SeqTooOld => true,
            Self::Timeout
            | Self::LeadershipLost
            | Self::ShuttingDown
            | Self::ForwardFailed
            | Self::Internal => false,
        }
    }

    /// The HTTP status that goes with it. Clients decide by `definite`, never by the status.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotLeader | Self::NotMember => StatusCode::MISDIRECTED_REQUEST,
            Self::Superseded
            | Self::SeqTooOld
            | Self::Learner
            | Self::ConfchangePending
            | Self::ConfchangeNotReady => StatusCode::CONFLICT,
            Self::SessionUnknown => StatusCode::GONE,
            Self::ForwardFailed => StatusCode::BAD_GATEWAY,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::NoLeader
            | Self::NoQuorum
            | Self::Overloaded
            | Self::Starting
            | Self::TransferInProgress
            | Self::LeadershipLost
            | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Standing {
    /// An error that is as definite as its code.
    pub(crate) fn error(
        self,
        code: ErrorCode,
        stage: Stage,
        message: impl Into<String>,
    ) -> ErrorInfo {
        let Self { term, leader } = self;
        let (definite, message) = (code.is_definite(), message.into());
        ErrorInfo {
            code,
            definite,
            stage,
            message,
            leader: leader.map(|id| LeaderHint { id, url: None }),
            term,
        }
    }

    /// An error of a read: whatever the code, a read that failed has changed nothing.
    pub(crate) fn read_error(self, code: ErrorCode, message: impl Into<String>) -> ErrorInfo {
        ErrorInfo {
            definite: true,
            ..self.error(code, Stage::PreAppend, message)
        }
    }
}
