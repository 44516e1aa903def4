//! What can go wrong, by what the caller does about it.

/// Why a run gave no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The arguments are wrong.
    #[error("{0}")]
    Usage(String),
    /// A client could not connect or join.
    #[error("client {index} cannot connect: {why}")]
    Connect {
        /// Which client, counted from 0.
        index: usize,
        /// What the server or the kernel said.
        why: String,
    },
    /// A connection ended that should not have.
    #[error("a connection ended: {0}")]
    Ended(String),
    /// The server said something that is not the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// Not everything that was sent came.
    #[error("{0}")]
    Lost(String),
    /// Another server answered than the one that was to be measured.
    #[error("{0}")]
    WrongServer(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl LoadError {
    /// Whether the fault is the caller's.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }
}
