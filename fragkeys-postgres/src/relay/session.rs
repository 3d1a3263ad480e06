//! One connection to PostgreSQL: it listens, and takes tags out of the outbox.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket, Statement};

use super::{Batch, PATIENCE, Relay};
use crate::error::Error;
use crate::quote::ident;

mod tls;

pub(super) use tls::Tls;

/// How many bytes of tags are taken at a time, but for the first tag.
const MOST_BYTES: i64 = 4 << 20;
/// A backlog is not counted beyond.
const MOST_COUNTED: i64 = 100_001;

pub(super) struct Session {
    client: Client,
    lock: Statement,
    delete: Statement,
    backlog: Statement,
    _driver: Driver,
}

/// The task that moves the connection's bytes. The connection ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Driver {
    /// Wakes whoever waits at each notification, and when the connection is gone.
    fn start<T>(mut connection: Connection<Socket, T>, woken: Arc<Notify>) -> Self
    where
        T: TlsStream + Unpin + Send + 'static,
    {
        Driver(tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(_) = message {
                    woken.notify_one();
                }
            }
            woken.notify_one();
        }))
    }
}

impl Session {
    pub(super) async fn open(relay: &Relay, tls: &Tls, woken: &Arc<Notify>) -> Result<Self, Error> {
        let doing = "connecting to PostgreSQL";
        let opened = within(doing, PATIENCE, tls.connect(&relay.database, woken)).await?;
        let (client, driver) = opened;
        let schema = relay.outbox.schema();
        // A relay that hangs must not keep its rows locked: others pass over them. A commit that
        // is lost in a crash of the server repeats a bump.
        let settings = format!(
            "SET idle_in_transaction_session_timeout = '30s';
             SET statement_timeout = '30s';
             SET synchronous_commit = off;
             SET default_transaction_isolation = 'read committed';
             LISTEN {};",
            ident(&relay.outbox.channel())
        );
        let lock = format!(
            "WITH locked AS MATERIALIZED (
               SELECT id, tag FROM {schema}.outbox WHERE id <> ALL ($2) ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
             ), sized AS (
               SELECT id, tag, count(*) OVER () AS found,
                 sum(octet_length(tag)) OVER (ORDER BY id) - octet_length(tag) AS before
               FROM locked
             )
             SELECT id, tag, found FROM sized WHERE before < {MOST_BYTES}"
        );
        let delete = format!("DELETE FROM {schema}.outbox WHERE id = ANY ($1)");
        let backlog = format!(
            "SELECT (SELECT count(*) FROM (SELECT FROM {schema}.outbox LIMIT {MOST_COUNTED}) AS rows),
               (SELECT extract(epoch FROM clock_timestamp() - made)::float8
                FROM {schema}.outbox ORDER BY id LIMIT 1)"
        );
        let prepare = async {
            client.batch_execute(&settings).await?;
            let lock = client.prepare(&lock).await?;
            let delete = client.prepare(&delete).await?;
            let backlog = client.prepare(&backlog).await?;
            Ok((lock, delete, backlog))
        };
        let (lock, delete, backlog) = within("preparing to relay", PATIENCE, prepare).await?;
        Ok(Session { client, lock, delete, backlog, _driver: driver })
    }

    /// Begins a transaction, and locks the oldest tags that nobody else has locked, but for these.
    /// Ends it where there are none.
    pub(super) async fn lock(&self, most: u32, but: &[i64]) -> Result<Batch, Error> {
        let limit = i64::from(most);
        let limit: [&(dyn ToSql + Sync); 2] = [&limit, &but];
        let lock = async {
            // Sent together.
            let ((), rows) = tokio::try_join!(
                self.client.batch_execute("BEGIN"),
                self.client.query(&self.lock, &limit)
            )?;
            Batch::of(&rows, most)
        };
        let batch = within("reading the outbox", PATIENCE, lock).await?;
        if batch.is_empty() {
            self.leave().await?;
        }
        Ok(batch)
    }

    /// Ends the transaction of a batch that was bumped: it is deleted.
    pub(super) async fn delete(&self, batch: &Batch) -> Result<(), Error> {
        let delete = async {
            self.client.execute(&self.delete, &[&batch.done]).await?;
            self.client.batch_execute("COMMIT").await
        };
        within("deleting from the outbox", PATIENCE, delete).await
    }

    /// Ends the transaction: its tags stay in the outbox, for whoever comes next.
    pub(super) async fn leave(&self) -> Result<(), Error> {
        within("leaving the outbox", PATIENCE, self.client.batch_execute("ROLLBACK")).await
    }

    /// How many tags wait, and for how long the oldest does.
    pub(super) async fn backlog(&self) -> Result<(u64, Duration), Error> {
        let query = async {
            let row = self.client.query_one(&self.backlog, &[]).await?;
            Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Option<f64>>(1)?))
        };
        let (tags, oldest) = within("measuring the outbox", PATIENCE, query).await?;
        // A clock that was set back gives less than nothing.
        let oldest = Duration::try_from_secs_f64(oldest.unwrap_or(0.0)).unwrap_or_default();
        Ok((u64::try_from(tags).unwrap_or(0), oldest))
    }
}

/// A server that hangs answers nothing, and says nothing of it.
async fn within<T>(
    doing: &str,
    patience: Duration,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match timeout(patience, asked).await {
        Ok(answer) => answer.map_err(|error| Error::database(doing, &error)),
        Err(_) => Err(Error::timed_out(doing, patience)),
    }
}
