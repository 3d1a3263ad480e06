//! One Redis server: how to connect to it, and what to say of it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, Pipeline, ProtocolVersion, PushInfo,
    RedisError, RedisResult, Value,
};
use tokio::time::timeout;

use super::cell::Cells;
use crate::error::{Error, ErrorKind};
use crate::store::Deadline;

/// What a slow but living server is given to connect or to answer, at most and at least. In
/// between it is as long as calls wait for it.
const MOST_PATIENCE: Duration = Duration::from_secs(5);
pub(super) const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// Commands that wait to be written, at most; further calls queue up before that, which takes
/// longer: with the driver's 50, a thousand callers get a fifth less through.
const MOST_UNSENT: usize = 1_024;

/// What is needed to connect, and the address to name in messages: never credentials.
pub(super) struct Server {
    client: Client,
    /// For servers that cannot track what was read, or may not.
    plain_client: Client,
    pub(super) address: String,
    /// How long calls wait for it.
    pub(super) operation_timeout: Duration,
}

impl Server {
    pub(super) fn open(url: &str, operation_timeout: Duration) -> Result<Self, Error> {
        if url.starts_with("rediss:") {
            let message = "`rediss://` needs TLS, which this version cannot do yet: use `redis://`, or a tunnel";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let info = url
            .into_connection_info()
            // The parser's own error can quote the URL and with it the password.
            .map_err(|_| {
                Error::new(
                    ErrorKind::Config,
                    "the Redis URL cannot be read; write `redis://[[user]:password@]host[:port][/database]` \
                     or `redis+unix:///path/to/socket`",
                )
            })?;
        let address = info.addr().to_string();
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client_with = |protocol| {
            let settings = info.redis_settings().clone().set_protocol(protocol);
            Client::open(info.clone().set_redis_settings(settings)).map_err(|_| {
                Error::new(
                    ErrorKind::Config,
                    format!("the Redis server {address} cannot be used with these settings"),
                )
            })
        };
        let client = client_with(ProtocolVersion::RESP3)?;
        let plain_client = client_with(ProtocolVersion::RESP2)?;
        Ok(Server { client, plain_client, address, operation_timeout })
    }

    /// A connection, and the cells that it keeps current; none where the server does not.
    pub(super) async fn connect(
        &self,
    ) -> Result<(MultiplexedConnection, Option<Arc<Cells>>), Error> {
        match self.connect_tracked().await {
            Ok(tracked) => Ok(tracked),
            Err(error) if is_about_protocol(&error) => {
                let config = self.connection_config();
                let client = &self.plain_client;
                let connecting = client.get_multiplexed_async_connection_with_config(&config);
                Ok((connecting.await.map_err(|error| self.unreachable(&error))?, None))
            }
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// A connection that is told of changes; or without cells, where the server refuses that.
    async fn connect_tracked(&self) -> RedisResult<(MultiplexedConnection, Option<Arc<Cells>>)> {
        let cells = Arc::new(Cells::new());
        let told = cells.clone();
        let config = self.connection_config().set_push_sender(move |push: PushInfo| {
            told.apply(&push);
            Ok::<(), std::convert::Infallible>(())
        });
        let client = &self.client;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut tracking = Pipeline::with_capacity(1);
        tracking.cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN");
        let patience = self.patience(LEAST_PATIENCE);
        let told = timeout(patience, connection.send_packed_commands(&tracking, 0, 1)).await;
        let is_tracked = matches!(told, Ok(Ok(replies)) if replies == [Value::Okay]);
        Ok((connection, is_tracked.then_some(cells)))
    }

    fn connection_config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience(LEAST_PATIENCE)))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(MOST_UNSENT)
    }

    /// Has a call waited so long that it says something of the server?
    pub(super) fn has_had_time(&self, deadline: Deadline) -> bool {
        deadline.since.elapsed() >= self.operation_timeout / 2
    }

    /// How long to wait for it, where nobody waits for us.
    pub(super) fn patience(&self, least: Duration) -> Duration {
        self.operation_timeout.clamp(least, MOST_PATIENCE)
    }

    pub(super) fn unreachable(&self, error: &RedisError) -> Error {
        let address = &self.address;
        match error.kind() {
            redis::ErrorKind::AuthenticationFailed => Error::new(
                ErrorKind::Refused,
                format!("Redis at {address} refused the credentials: check the URL"),
            ),
            redis::ErrorKind::Io => Error::new(
                ErrorKind::Unreachable,
                format!("Redis at {address} cannot be reached: {error}"),
            ),
            kind => {
                let code = error.code().unwrap_or("no code");
                Error::new(
                    ErrorKind::Unreachable,
                    format!("Redis at {address} cannot be used: {kind:?} ({code})"),
                )
            }
        }
    }

    pub(super) fn silent(&self) -> Error {
        let message = format!("Redis at {} did not answer in time", self.address);
        Error::new(ErrorKind::Timeout, message)
    }
}

/// Might a server that is spoken to in the older protocol answer?
fn is_about_protocol(error: &RedisError) -> bool {
    !error.is_io_error() && error.kind() != redis::ErrorKind::AuthenticationFailed
}
