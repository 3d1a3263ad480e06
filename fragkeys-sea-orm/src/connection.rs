//! What kind of connection a hook was given.

use std::any::TypeId;

use sea_orm::{DatabaseConnection, DatabaseTransaction};

/// When a statement takes effect for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Connection {
    /// When the transaction is committed, if ever.
    Transaction,
    /// At once.
    Autocommit,
    /// A type of somebody else, or SeaORM's `DatabaseExecutor`, which is either, or one of its
    /// restricted ones, which are there with a feature of SeaORM alone.
    Unknown,
}

impl Connection {
    pub(crate) fn of<C: ?Sized>() -> Self {
        let connection = typeid::of::<C>();
        if connection == TypeId::of::<DatabaseTransaction>() {
            Connection::Transaction
        } else if connection == TypeId::of::<DatabaseConnection>() {
            Connection::Autocommit
        } else {
            Connection::Unknown
        }
    }

    /// Whether rows that are read can be locked until the statement that changes them: in
    /// autocommit the lock is gone before.
    pub(crate) fn keeps_locks(self) -> bool {
        self != Connection::Autocommit
    }

    /// Whether what it begins may be a savepoint, and no transaction.
    pub(crate) fn may_be_transaction(self) -> bool {
        self != Connection::Autocommit
    }

    /// Whether a statement that succeeded may be committed already, whatever becomes of the
    /// scope that it ran in.
    pub(crate) fn may_have_committed(self) -> bool {
        self != Connection::Transaction
    }
}
