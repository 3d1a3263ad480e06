//! What is said once and not with every row.

use std::any::TypeId;
use std::collections::HashSet;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use fragkeys::{CommitScope, TaggedModel, is_muted};

use crate::connection::Connection;

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Event::Insert => "inserted",
            Event::Update => "updated",
            Event::Delete => "deleted",
        })
    }
}

type Said = HashSet<(TypeId, Event, Connection)>;

/// As many as the program has models, times three, times two.
static SAID: LazyLock<Mutex<Said>> = LazyLock::new(Mutex::default);

/// Says, once per model and event, that a change in a transaction is bumped before its commit.
/// A hook cannot see who called it; so it does not say it for each place that does.
pub(crate) fn unless_in_scope<M: TaggedModel + 'static>(event: Event, connection: Connection) {
    let is_held = CommitScope::current().is_some();
    if !connection.may_be_transaction() || is_held || is_muted::<M>() {
        return;
    }
    let what = (TypeId::of::<M>(), event, connection);
    if !SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(what) {
        return;
    }
    if connection == Connection::Transaction {
        tracing::warn!(
            "a row of `{}` was {event} in a transaction, but outside of `fragkeys::on_commit`: \
             its tags are bumped before the commit, and a reader in between can cache the old \
             row. {ADVICE}",
            M::TAG_NAME
        );
    } else {
        tracing::warn!(
            "a row of `{}` was {event} through a connection that may be in a transaction, outside \
             of `fragkeys::on_commit`: if it is, its tags are bumped before the commit, and a \
             reader in between can cache the old row. {ADVICE}",
            M::TAG_NAME
        );
    }
}

const ADVICE: &str = "Use `fragkeys_sea_orm::transaction`, or run the transaction inside \
                      `fragkeys::on_commit`, with `fragkeys::committing` around its commit";
