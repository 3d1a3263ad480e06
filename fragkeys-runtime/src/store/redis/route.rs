//! The route to the servers that have some keys: one server for all of them, or a cluster.

use std::sync::Arc;
use std::time::SystemTime;

use redis::{Cmd, Pipeline, Value};

use super::cluster::{Cluster, by_slot, slot_of};
use super::link::{Link, Links, Means};
use super::look::Asked;
use super::node::Node;
use super::recent::Recent;
use super::reply::nonsense;
use super::sentinel::Sentinels;
use super::server::Server;
use crate::config::{Layout, Servers, Settings};
use crate::error::Error;
use crate::health::Reach;
use crate::near::{Ledger, Trust};
use crate::store::Deadline;
use crate::store::identity::Identities;

pub(super) enum Route {
    /// One server at a time.
    Single(Links),
    Cluster(Arc<Cluster>),
}

/// A command whose keys stand in one slot.
pub(super) struct Command {
    /// In a cluster.
    pub(super) slot: u16,
    pub(super) command: Cmd,
    /// Keys that it reads, of which the cluster is to tell changes from then on.
    pub(super) tracked: Vec<String>,
}

/// What came of a command.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) reply: Value,
    /// The cells of its tracked keys, if changes of these are told from now on, and whose they are.
    pub(super) asked: Option<(Arc<[Asked]>, Arc<Trust>)>,
}

impl Answer {
    pub(super) fn of(reply: Value) -> Self {
        Answer { reply, asked: None }
    }
}

impl Route {
    pub(super) fn open(
        servers: &Servers,
        settings: &Settings,
        recent: Arc<Recent>,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Self, Error> {
        let timeout = settings.operation_timeout;
        let means = Means {
            operation_timeout: timeout,
            recent,
            ledger,
            is_cluster: matches!(servers.layout, Layout::Cluster(_)),
            last_error: Arc::default(),
        };
        let server = match &servers.layout {
            Layout::Cluster(urls) => {
                return Ok(Route::Cluster(Cluster::open(servers, urls, means)?));
            }
            Layout::Single(url) => {
                let node = Node::open(url, &servers.login, servers.tls.as_ref())?;
                Server::direct(node, timeout)
            }
            Layout::Sentinel { urls, master } => {
                Server::by_sentinels(Sentinels::open(servers, urls, master)?, timeout)
            }
        };
        Ok(Route::Single(Links::to(server, &means)))
    }

    /// How its servers can be reached; untried `since` there is a cache.
    pub(super) fn reach(&self, since: SystemTime) -> Reach {
        let reach = match self {
            Route::Single(links) => links.reach(),
            Route::Cluster(cluster) => cluster.reach(),
        };
        reach.unwrap_or_else(|| Reach::untried(since))
    }

    /// Why one could not be reached the last time.
    pub(super) fn last_error(&self) -> Option<Error> {
        match self {
            Route::Single(links) => links.last_error(),
            Route::Cluster(cluster) => cluster.last_error(),
        }
    }

    /// To name in messages.
    pub(super) fn address(&self) -> &str {
        match self {
            Route::Single(links) => links.address(),
            Route::Cluster(cluster) => &cluster.address,
        }
    }

    /// Begins to connect; a call that comes meanwhile waits for it.
    pub(super) fn connect(&self) {
        match self {
            // Without a runtime there is nothing to begin with; the first call will say so.
            Route::Single(links) => drop(links.here()),
            Route::Cluster(cluster) => drop(cluster.look_around()),
        }
    }

    /// Another one to the same servers, which does not share connections with this one's calls.
    pub(super) fn beside(&self) -> Self {
        match self {
            Route::Single(links) => Route::Single(links.beside()),
            // Has connections for each runtime anyway, also for that of who asks for this.
            Route::Cluster(cluster) => Route::Cluster(cluster.clone()),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Route::Cluster(_))
    }

    /// The link that all keys can be reached through, if there is one.
    pub(super) fn link(&self) -> Result<Option<Arc<Link>>, Error> {
        match self {
            Route::Single(links) => links.here().map(Some),
            Route::Cluster(_) => Ok(None),
        }
    }

    /// What was asked for lately: through this link, if there is one for all keys.
    pub(super) fn identities<'a>(&'a self, link: Option<&'a Link>) -> Option<&'a Identities> {
        match self {
            Route::Single(_) => link.map(|link| &link.identities),
            Route::Cluster(cluster) => Some(&cluster.identities),
        }
    }

    /// A command for the slot of this key, in which its other keys must stand as well.
    pub(super) fn command(&self, key: &str, command: Cmd) -> Command {
        let slot = match self {
            Route::Single(_) => 0,
            Route::Cluster(_) => slot_of(key.as_bytes()),
        };
        Command { slot, command, tracked: Vec::new() }
    }

    /// Items that one command can be about: those whose keys stand in one slot.
    pub(super) fn groups<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Vec<Vec<T>> {
        let items = items.into_iter();
        match self {
            Route::Single(_) => {
                Some(items.collect::<Vec<_>>()).into_iter().filter(|all| !all.is_empty()).collect()
            }
            Route::Cluster(_) => by_slot(items, key),
        }
    }

    /// As [`send`](Self::send), and what can be learned from the replies; nothing from a single server,
    /// whose looks see to that themselves.
    pub(super) async fn send_and_learn(
        &self,
        commands: Vec<Command>,
        deadline: Deadline,
    ) -> Vec<Result<Answer, Error>> {
        match self {
            Route::Cluster(cluster) => cluster.send(&commands, deadline).await,
            Route::Single(_) => {
                let replies = self.send(commands, deadline).await.into_iter();
                replies.map(|reply| reply.map(Answer::of)).collect()
            }
        }
    }

    /// Sends commands in one round trip: a reply or an error for each. Errors of the servers are
    /// replies.
    pub(super) async fn send(
        &self,
        commands: Vec<Command>,
        deadline: Deadline,
    ) -> Vec<Result<Value, Error>> {
        let number = commands.len();
        if number == 0 {
            return Vec::new();
        }
        let sent = match self {
            Route::Cluster(cluster) => {
                let answers = cluster.send(&commands, deadline).await.into_iter();
                return answers.map(|answer| answer.map(|answer| answer.reply)).collect();
            }
            Route::Single(links) => {
                let mut pipeline = Pipeline::with_capacity(number);
                for command in commands {
                    pipeline.add_command(command.command);
                }
                match links.here() {
                    Ok(link) => link.send(&pipeline, number, deadline).await,
                    Err(error) => Err(error),
                }
            }
        };
        match sent {
            Ok(replies) if replies.len() == number => replies.into_iter().map(Ok).collect(),
            Ok(_) => vec![Err(nonsense("another number of replies than commands")); number],
            Err(error) => vec![Err(error); number],
        }
    }

    pub(super) async fn one(&self, command: Command, deadline: Deadline) -> Result<Value, Error> {
        let mut replies = self.send(vec![command], deadline).await;
        replies.pop().unwrap_or_else(|| Err(nonsense("no reply")))
    }
}
