//! Some tags of the outbox, on their way to the cache.

use fragkeys::{Cache, Error, ErrorKind, Tag};
use tokio_postgres::Row;
use tracing::warn;

use super::TARGET;

/// Rows that are locked, and what stands in them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ids: Vec<i64>,
    /// Each once.
    tags: Vec<Tag>,
    /// How many there were that nobody can bump.
    pub(super) refused: usize,
    /// Is there perhaps more?
    pub(super) is_full: bool,
}

impl Batch {
    /// Of rows with an id, a tag, and how many rows were locked.
    pub(super) fn of(rows: &[Row], most: u32) -> Result<Self, tokio_postgres::Error> {
        let mut batch = Batch {
            ids: Vec::with_capacity(rows.len()),
            tags: Vec::new(),
            refused: 0,
            is_full: false,
        };
        for row in rows {
            batch.ids.push(row.try_get(0)?);
            // A database without an encoding can hold what is no text.
            match row.try_get::<_, &str>(1) {
                Ok(text) => batch.tags.push(Tag::from(text)),
                Err(_) => batch.refuse("it is no UTF-8"),
            }
            let locked: i64 = row.try_get(2)?;
            batch.is_full = locked >= i64::from(most) || locked > rows.len() as i64;
        }
        batch.tags.sort_unstable();
        batch.tags.dedup();
        Ok(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many different ones.
    pub(super) fn tags(&self) -> usize {
        self.tags.len()
    }

    /// Bumps all; what nobody can bump is told of and left out, as it would never go through.
    pub(super) async fn bump(&mut self, cache: &Cache) -> Result<(), Error> {
        match cache.invalidate(&self.tags).await {
            Err(error) if error.kind() == ErrorKind::Tag => {}
            outcome => return outcome.map(drop),
        }
        for tag in std::mem::take(&mut self.tags) {
            match cache.invalidate([&tag]).await {
                Ok(_) => self.tags.push(tag),
                Err(error) if error.kind() == ErrorKind::Tag => self.refuse(&error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, what: &str) {
        self.refused += 1;
        let what: String = what.chars().take(200).collect();
        warn!(target: TARGET, "a tag of the outbox was deleted without a bump: {what}");
    }
}
