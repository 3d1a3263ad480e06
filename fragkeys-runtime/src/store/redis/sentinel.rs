//! Sentinels: who is the master now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::{Pipeline, RedisError, Value};
use tokio::time::sleep;

use super::cell::Cells;
use super::node::{Connection, Node};
use crate::config::{Login, Servers};
use crate::error::{Error, ErrorKind};

/// How often to ask whether the master is still the same. A connection to one that was replaced
/// may live on: it hung, or was cut off from the sentinels, and until they have told it what it
/// is now, which takes them up to ten seconds, it answers from what it had.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The sentinels of one master.
pub(super) struct Sentinels {
    nodes: Vec<Node>,
    /// The one that answered last.
    preferred: AtomicUsize,
    /// The name of the master.
    name: String,
    /// How to log in to it, wherever it is.
    master: Node,
}

impl Sentinels {
    pub(super) fn open(servers: &Servers, urls: &[String], name: &str) -> Result<Self, Error> {
        let open = |url: &String| Node::open(url, &Login::default(), servers.tls.as_ref());
        let nodes: Vec<Node> = urls.iter().map(open).collect::<Result<_, _>>()?;
        let [first, ..] = nodes.as_slice() else {
            return Err(unusable("`redis_sentinel` was given no URL of a sentinel"));
        };
        if name.is_empty() {
            return Err(unusable("`redis_sentinel` was given no name of a master"));
        }
        if nodes.iter().any(|node| node.is_secure() != first.is_secure()) {
            return Err(unusable(
                "some of the sentinels' URLs are `rediss://` and some are not: the servers are \
                 spoken to as the sentinels are, so it must be one of both",
            ));
        }
        if nodes.iter().any(|node| node.database() != 0) {
            return Err(unusable(
                "a sentinel's URL names a database: say it with `Config::database`",
            ));
        }
        // Credentials in a URL are for the host in that URL.
        let master = first.logged_in_as(&servers.login);
        Ok(Sentinels { nodes, preferred: AtomicUsize::new(0), name: name.to_owned(), master })
    }

    /// To name in messages.
    pub(super) fn address(&self) -> String {
        format!("`{}` (found by sentinels)", self.name)
    }

    /// A connection to the master that is one.
    pub(super) async fn connect(
        &self,
        patience: Duration,
    ) -> Result<(Connection, Option<Arc<Cells>>), Error> {
        let node = self.master(patience).await?;
        let (connection, cells) = node.connect(patience).await?;
        let mut role = Pipeline::with_capacity(1);
        role.cmd("ROLE");
        match node.ask(&connection, &role, patience).await? {
            // Sentinels are late to tell of a change.
            Value::Array(role) if is_text(role.first(), b"slave") => {
                let message = format!(
                    "Redis at {}, which the sentinels name as master of `{}`, is a replica",
                    node.address(),
                    self.name
                );
                Err(Error::new(ErrorKind::Unreachable, message))
            }
            // It is, or we may not ask.
            _ => Ok((connection, cells)),
        }
    }

    /// Returns when the sentinels name another master than this one.
    pub(super) async fn replaced(&self, address: &str, patience: Duration) {
        let mut sentinel = None;
        loop {
            sleep(ASK_EVERY).await;
            match self.master_again(&mut sentinel, patience).await {
                Ok(node) if node.address() != address => return,
                // It has its own ways to be found out.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Asks one sentinel over the connection of the last time, if there is one.
    async fn master_again(
        &self,
        last: &mut Option<(usize, Connection)>,
        patience: Duration,
    ) -> Result<Node, Error> {
        let (index, connection) = match last.take() {
            Some(last) => last,
            None => {
                let index = self.preferred.load(Ordering::Relaxed);
                (index, self.nodes[index].connect_plain(patience).await?)
            }
        };
        let answer = self.master_by(&self.nodes[index], &connection, patience).await;
        match answer {
            Ok(node) => {
                *last = Some((index, connection));
                Ok(node)
            }
            Err(error) => {
                let next = (index + 1) % self.nodes.len();
                self.preferred.store(next, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Asks the sentinels in turn, beginning with the one that answered last.
    async fn master(&self, patience: Duration) -> Result<Node, Error> {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut error = None;
        for turn in 0..self.nodes.len() {
            let index = (preferred + turn) % self.nodes.len();
            let sentinel = &self.nodes[index];
            let answer = match sentinel.connect_plain(patience).await {
                Ok(connection) => self.master_by(sentinel, &connection, patience).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(node) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(node);
                }
                // What one does not know says more than that another is away.
                Err(next) if is_telling(&next) => error = Some(next),
                Err(next) => error = error.or(Some(next)),
            }
        }
        let error = error.unwrap_or_else(|| unusable("there is no sentinel"));
        Err(error.context(format_args!("no sentinel tells who is the master of `{}`", self.name)))
    }

    async fn master_by(
        &self,
        sentinel: &Node,
        connection: &Connection,
        patience: Duration,
    ) -> Result<Node, Error> {
        let mut question = Pipeline::with_capacity(1);
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        match sentinel.ask(connection, &question, patience).await? {
            Value::Array(address) => read_address(&address).map_or_else(
                || Err(odd(sentinel, "an address that cannot be read")),
                |(host, port)| Ok(self.master.at(host, port)),
            ),
            Value::Nil => {
                let message = format!(
                    "the sentinel at {} knows no master of this name: check `redis_sentinel`",
                    sentinel.address()
                );
                Err(Error::new(ErrorKind::Refused, message))
            }
            Value::ServerError(error) => {
                let hint = match error.code() {
                    "NOAUTH" | "WRONGPASS" => "give its credentials in its URL",
                    "NOPERM" => "its user must be allowed SENTINEL GET-MASTER-ADDR-BY-NAME",
                    _ => "is it a sentinel?",
                };
                let (address, code) = (sentinel.address(), error.code());
                let message = format!("the sentinel at {address} refused ({code}): {hint}");
                Err(Error::new(ErrorKind::Refused, message))
            }
            _ => Err(odd(sentinel, "a reply of the wrong type")),
        }
    }

    pub(super) fn unreachable(&self, error: &RedisError) -> Error {
        self.master.unreachable_as(&self.address(), error)
    }
}

fn read_address(address: &[Value]) -> Option<(String, u16)> {
    let text = |value: &Value| match value {
        Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        _ => None,
    };
    let [host, port] = address else { return None };
    Some((text(host).filter(|host| !host.is_empty())?, text(port)?.parse().ok()?))
}

fn is_text(value: Option<&Value>, text: &[u8]) -> bool {
    matches!(value, Some(Value::BulkString(found)) if found == text)
}

/// Does it say more than that nobody answered?
fn is_telling(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout)
}

fn odd(sentinel: &Node, what: &str) -> Error {
    let message = format!("the sentinel at {} gave {what}", sentinel.address());
    Error::new(ErrorKind::Protocol, message)
}

fn unusable(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
