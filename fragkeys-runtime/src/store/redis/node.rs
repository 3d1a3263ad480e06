//! One Redis server: how to connect to it, and what to say of it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult, Value,
};
use tokio::time::timeout;

use super::cell::Cells;
use super::reply::hint;
use super::tls::Dialler;
use crate::config::Login;
use crate::error::{Error, ErrorKind};
use crate::tls::Tls;

/// Commands that wait to be written, at most; further calls queue up before that, which takes
/// longer: with the driver's 50, a thousand callers get a fifth less through.
const MOST_UNSENT: usize = 1_024;

/// An address, and what is needed to log in there.
#[derive(Clone)]
pub(super) struct Node {
    info: ConnectionInfo,
    /// With TLS.
    dialler: Option<Dialler>,
}

/// A connection; its tasks end with it.
#[derive(Clone)]
pub(super) struct Connection {
    commands: MultiplexedConnection,
    /// Where it leads.
    pub(super) address: Arc<str>,
    /// Of one whose driver we run ourselves.
    _task: Option<Arc<Task>>,
}

impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.commands
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.commands
    }
}

struct Task(tokio::task::AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Node {
    /// Reads a URL; `login` goes before what it says.
    pub(super) fn open(url: &str, login: &Login, tls: Option<&Tls>) -> Result<Self, Error> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_secure = ["rediss", "valkeys"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        // The parser's own error can quote the URL and with it the password.
        let unreadable = || {
            unusable(
                "the Redis URL cannot be read; write `redis://[[user]:password@]host[:port][/database]` \
                 or `redis+unix:///path/to/socket`",
            )
        };
        let plain_url =
            if is_secure { format!("redis{}", &url[scheme.len()..]) } else { url.to_owned() };
        if plain_url.contains('#') {
            return Err(unusable(
                "the Redis URL ends in `#…`, which means nothing here; in a password, write `%23`. \
                 A server's certificate is always verified",
            ));
        }
        let info = plain_url.into_connection_info().map_err(|_| unreadable())?;
        let settings = with_login(info.redis_settings().clone(), login);
        if settings.db() < 0 {
            return Err(unreadable());
        }
        let info = info
            .set_tcp_settings(TcpSettings::default().set_nodelay(true))
            .set_redis_settings(settings);
        let dialler = match (is_secure, tls) {
            (true, tls) => Some(Dialler::open(tls.cloned().unwrap_or_default())?),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(unusable(
                    "`Config::tls` is set, and the Redis URL is one without TLS: write `rediss://`",
                ));
            }
        };
        Ok(Node { info, dialler })
    }

    /// Another server, to be reached and logged in to in the same way.
    pub(super) fn at(&self, host: String, port: u16) -> Self {
        Node { info: self.info.clone().set_addr(ConnectionAddr::Tcp(host, port)), ..self.clone() }
    }

    /// The same, but for what its URL said of a login.
    pub(super) fn logged_in_as(&self, login: &Login) -> Self {
        let settings = with_login(RedisConnectionInfo::default(), login);
        Node { info: self.info.clone().set_redis_settings(settings), ..self.clone() }
    }

    /// To name in messages: never credentials.
    pub(super) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    /// Host and port, unless it is a socket.
    pub(super) fn host_and_port(&self) -> Option<(&str, u16)> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => Some((host, *port)),
            _ => None,
        }
    }

    pub(super) fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    pub(super) fn is_secure(&self) -> bool {
        self.dialler.is_some()
    }

    /// A connection, and the cells that it keeps current; none where the server does not.
    pub(super) async fn connect(
        &self,
        patience: Duration,
    ) -> Result<(Connection, Option<Arc<Cells>>), Error> {
        match self.connect_tracked(patience).await {
            Ok(tracked) => Ok(tracked),
            Err(error) if is_about_protocol(&error) => {
                Ok((self.connect_plain(patience).await?, None))
            }
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// A connection in the older protocol, which every server speaks.
    pub(super) async fn connect_plain(&self, patience: Duration) -> Result<Connection, Error> {
        let dialled = self.dial(ProtocolVersion::RESP2, connection_config(patience), patience);
        dialled.await.map_err(|error| self.unreachable(&error))
    }

    /// Asks one thing over a connection to this server.
    pub(super) async fn ask(
        &self,
        connection: &Connection,
        question: &Pipeline,
        patience: Duration,
    ) -> Result<Value, Error> {
        let mut connection = connection.clone();
        match timeout(patience, connection.send_packed_commands(question, 0, 1)).await {
            Ok(Ok(answer)) => Ok(answer.into_iter().next().unwrap_or(Value::Nil)),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(silent(&self.address())),
        }
    }

    /// A connection that is told of changes; or without cells, where the server refuses that.
    async fn connect_tracked(
        &self,
        patience: Duration,
    ) -> RedisResult<(Connection, Option<Arc<Cells>>)> {
        let cells = Arc::new(Cells::new());
        let told = cells.clone();
        let config = connection_config(patience).set_push_sender(move |push: PushInfo| {
            told.apply(&push);
            Ok::<(), std::convert::Infallible>(())
        });
        let mut connection = self.dial(ProtocolVersion::RESP3, config, patience).await?;
        let mut tracking = Pipeline::with_capacity(1);
        tracking.cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN");
        let told = timeout(patience, connection.send_packed_commands(&tracking, 0, 1)).await;
        let is_tracked = matches!(told, Ok(Ok(replies)) if replies == [Value::Okay]);
        Ok((connection, is_tracked.then_some(cells)))
    }

    async fn dial(
        &self,
        protocol: ProtocolVersion,
        config: AsyncConnectionConfig,
        patience: Duration,
    ) -> RedisResult<Connection> {
        let settings = self.info.redis_settings().clone().set_protocol(protocol);
        let address = Arc::from(self.address());
        if let (Some(dialler), Some((host, port))) = (&self.dialler, self.host_and_port()) {
            let dialling = async {
                let stream = dialler.connect(host, port).await?;
                MultiplexedConnection::new_with_config(&settings, stream, config).await
            };
            let (commands, driver) = match timeout(patience, dialling).await {
                Ok(dialled) => dialled?,
                Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            };
            let task = Task(tokio::spawn(driver).abort_handle());
            return Ok(Connection { commands, address, _task: Some(Arc::new(task)) });
        }
        let client = Client::open(self.info.clone().set_redis_settings(settings))?;
        Ok(Connection {
            commands: client.get_multiplexed_async_connection_with_config(&config).await?,
            address,
            _task: None,
        })
    }

    pub(super) fn unreachable(&self, error: &RedisError) -> Error {
        self.unreachable_as(&self.address(), error)
    }

    /// The same, under another name.
    pub(super) fn unreachable_as(&self, address: &str, error: &RedisError) -> Error {
        if let Some(dialler) = &self.dialler
            && let Some(advice) = dialler.advice(error)
        {
            let message = format!("Redis at {address} cannot be reached by TLS: {advice}");
            return Error::new(ErrorKind::Unreachable, message);
        }
        let (kind, message) = match error.kind() {
            redis::ErrorKind::AuthenticationFailed => (
                ErrorKind::Refused,
                format!("Redis at {address} refused the credentials: check user and password"),
            ),
            redis::ErrorKind::Io => {
                (ErrorKind::Unreachable, format!("Redis at {address} cannot be reached: {error}"))
            }
            // The driver keeps nothing but this sentence.
            _ if error.to_string().contains("switch database") => (
                ErrorKind::Refused,
                format!(
                    "Redis at {address} refused database {}: there is no database of this \
                     number, or the user may not SELECT",
                    self.database()
                ),
            ),
            kind => match error.code() {
                Some(code) => (
                    ErrorKind::Refused,
                    format!("Redis at {address} cannot be used ({code}): {}", hint(code)),
                ),
                None => {
                    (ErrorKind::Unreachable, format!("Redis at {address} cannot be used: {kind:?}"))
                }
            },
        };
        Error::new(kind, message)
    }
}

pub(super) fn silent(address: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("Redis at {address} did not answer in time"))
}

fn with_login(mut settings: RedisConnectionInfo, login: &Login) -> RedisConnectionInfo {
    if let Some(username) = &login.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    if let Some(number) = login.database {
        settings = settings.set_db(number.into());
    }
    settings
}

fn connection_config(patience: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(MOST_UNSENT)
}

/// Might a server that is spoken to in the older protocol answer?
fn is_about_protocol(error: &RedisError) -> bool {
    !error.is_io_error() && error.kind() != redis::ErrorKind::AuthenticationFailed
}

fn unusable(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
