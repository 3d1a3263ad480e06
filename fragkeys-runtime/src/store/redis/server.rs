//! Where a link leads: to a server, or to the one that sentinels say is the master.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;

use super::cell::Cells;
use super::node::{Connection, Node};
use super::sentinel::Sentinels;
use crate::error::Error;
use crate::store::Deadline;

/// What a slow but living server is given to connect or to answer, at most and at least. In
/// between it is as long as calls wait for it.
const MOST_PATIENCE: Duration = Duration::from_secs(5);
pub(super) const LEAST_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Server {
    way: Way,
    /// To name in messages.
    pub(super) address: String,
    /// How long calls wait for it.
    pub(super) operation_timeout: Duration,
}

enum Way {
    Direct(Node),
    Sentinels(Sentinels),
}

impl Server {
    pub(super) fn direct(node: Node, operation_timeout: Duration) -> Self {
        Server { address: node.address(), way: Way::Direct(node), operation_timeout }
    }

    pub(super) fn by_sentinels(sentinels: Sentinels, operation_timeout: Duration) -> Self {
        Server { address: sentinels.address(), way: Way::Sentinels(sentinels), operation_timeout }
    }

    /// A connection, and the cells that it keeps current; none where the server does not.
    pub(super) async fn connect(&self) -> Result<(Connection, Option<Arc<Cells>>), Error> {
        let patience = self.patience(LEAST_PATIENCE);
        match &self.way {
            Way::Direct(node) => node.connect(patience).await,
            Way::Sentinels(sentinels) => sentinels.connect(patience).await,
        }
    }

    /// Returns when a connection leads to the wrong server, if that can be known: to one that
    /// was replaced, but went on, or hung and came back.
    pub(super) async fn replaced(&self, address: &str) {
        match &self.way {
            Way::Direct(_) => std::future::pending().await,
            Way::Sentinels(sentinels) => {
                sentinels.replaced(address, self.patience(LEAST_PATIENCE)).await;
            }
        }
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
        match &self.way {
            Way::Direct(node) => node.unreachable(error),
            Way::Sentinels(sentinels) => sentinels.unreachable(error),
        }
    }

    pub(super) fn silent(&self) -> Error {
        super::node::silent(&self.address)
    }
}
