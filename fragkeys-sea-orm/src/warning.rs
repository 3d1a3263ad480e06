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

/// As many as the program has models, times three.
static SAID: LazyLock<Mutex<HashSet<(TypeId, Event)>>> = LazyLock::new(Mutex::default);

/// Says, once per model and event, that a change in a transaction is bumped before its commit.
pub(crate) fn unless_in_scope<M: TaggedModel + 'static>(event: Event, connection: Connection) {
    let is_held = CommitScope::current().is_some();
    if connection != Connection::Transaction || is_held || is_muted::<M>() {
        return;
    }
    if !SAID.lock().unwrap_or_else(PoisonError::into_inner).insert((TypeId::of::<M>(), event)) {
        return;
    }
    tracing::warn!(
        "a row of `{}` was {event} in a transaction, but outside of `fragkeys::on_commit`: \
         its tags are bumped before the commit, and a reader in between can cache the old row. \
         Use `fragkeys_sea_orm::transaction`, or run the transaction inside `fragkeys::on_commit`",
        M::TAG_NAME
    );
}
