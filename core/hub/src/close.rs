//! Why a connection ends. A closed list: it labels `exedra_disconnects_total`, and tells the client what to do.

/// Why a connection has ended, and what the other side should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client said goodbye (Socket.IO DISCONNECT, WebSocket close). It knows what to do.
    ClientLeft,
    /// The TCP connection broke. The client reconnects.
    TransportLost,
    /// No answer to a heartbeat. The client reconnects.
    PingTimeout,
    /// The client reads too slowly: its byte budget is spent. It should reconnect and catch up.
    SlowConsumer,
    /// The client broke the protocol. Reconnecting with the same client will not help.
    ProtocolError,
    /// A frame, message or packet over its limit.
    TooLarge,
    /// The token has expired. The client fetches a new one and reconnects.
    AuthExpired,
    /// A plugin or an operator closed it. The client stays away unless told otherwise.
    Kicked,
    /// No namespace was joined in time.
    ConnectTimeout,
    /// Too much at once. The client slows down and reconnects.
    RateLimited,
    /// The hub is stopping. The client reconnects, with jitter.
    ShuttingDown,
    /// A fault of the hub.
    Internal,
}

impl CloseReason {
    /// Every value, so that the metric exists at 0 from the start.
    pub const ALL: [Self; 12] = [
        Self::ClientLeft,
        Self::TransportLost,
        Self::PingTimeout,
        Self::SlowConsumer,
        Self::ProtocolError,
        Self::TooLarge,
        Self::AuthExpired,
        Self::Kicked,
        Self::ConnectTimeout,
        Self::RateLimited,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// Whether a session goes on when its link ends for this reason without a word from the client's protocol.
    pub fn may_return(self) -> bool {
        match self {
            Self::ClientLeft
            | Self::TransportLost
            | Self::PingTimeout
            | Self::SlowConsumer
            | Self::ShuttingDown => true,
            Self::ProtocolError
            | Self::TooLarge
            | Self::AuthExpired
            | Self::Kicked
            | Self::ConnectTimeout
            | Self::RateLimited
            | Self::Internal => false,
        }
    }

    /// The metric label and the word in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::TransportLost => "transport_lost",
            Self::PingTimeout => "ping_timeout",
            Self::SlowConsumer => "slow_consumer",
            Self::ProtocolError => "protocol_error",
            Self::TooLarge => "too_large",
            Self::AuthExpired => "auth_expired",
            Self::Kicked => "kicked",
            Self::ConnectTimeout => "connect_timeout",
            Self::RateLimited => "rate_limited",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }

    /// The WebSocket close code (RFC 6455, 7.4) that says the same.
    pub fn websocket_code(self) -> u16 {
        match self {
            Self::ClientLeft | Self::ConnectTimeout => 1000,
            Self::ShuttingDown => 1012,
            Self::ProtocolError => 1002,
            Self::TooLarge => 1009,
            Self::TransportLost | Self::PingTimeout => 1001,
            Self::SlowConsumer | Self::AuthExpired | Self::Kicked | Self::RateLimited => 1008,
            Self::Internal => 1011,
        }
    }
}
