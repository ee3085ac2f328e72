//! WebSocket (RFC 6455, RFC 7118).
use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::Task;
use crate::proto::Cause;
use crate::proto::identity::UpgradeFault;

/// A WebSocket that is open.
pub(super) struct Socket<S>(S);

/// What a server said that opens no WebSocket.
pub(super) enum Refused {
    /// It is over.
    Failed(Cause),
    /// It wants a password: 401, with these challenges.
    Challenged(Vec<String>),
}

/// Asks a server.
pub(super) async fn request<S>(
    _io: S,
    _host: &str,
    _path: &str,
    _authorization: Option<&str>,
) -> Result<Socket<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Err(Refused::Failed(Cause::Upgrade(UpgradeFault::NotWebSocket)))
}

/// Answers a client.
pub(super) async fn answer<S>(_io: S, _origins: &[String]) -> Result<Socket<S>, Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Err(Cause::Upgrade(UpgradeFault::NotWebSocket))
}

/// Runs it.
pub(super) async fn converse<S>(task: Task, socket: Socket<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    drop(socket.0);
    task.report.closed().await;
}
