//! Some tags of the outbox, on their way to the cache.

use fragkeys::{Cache, Error, Tag};
use tokio_postgres::Row;
use tracing::warn;

use super::TARGET;

/// Rows that are locked, and what stands in them.
#[derive(Debug)]
pub(super) struct Batch {
    /// Of the rows that can be deleted, once it was bumped.
    pub(super) done: Vec<i64>,
    /// Of those whose bump failed.
    pub(super) failed: Vec<i64>,
    /// How many of the done ones nobody can bump.
    pub(super) refused: usize,
    /// Is there perhaps more?
    pub(super) is_full: bool,
    /// Whose bump is to come.
    waiting: Vec<(i64, Tag)>,
}

impl Batch {
    /// Of rows with an id, a tag, and how many rows were locked.
    pub(super) fn of(rows: &[Row], most: u32) -> Result<Self, tokio_postgres::Error> {
        let mut batch = Batch {
            done: Vec::new(),
            failed: Vec::new(),
            refused: 0,
            is_full: false,
            waiting: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            let id = row.try_get(0)?;
            // A database without an encoding can hold what is no text.
            let tag =
                row.try_get::<_, &str>(1).map(Tag::from).map_err(|_| "it is no UTF-8".to_owned());
            let tag = tag.and_then(|tag| {
                tag.check_bumpable().map_err(|error| error.to_string())?;
                Ok(tag)
            });
            match tag {
                Ok(tag) => batch.waiting.push((id, tag)),
                Err(problem) => batch.refuse(id, &problem),
            }
            let locked: i64 = row.try_get(2)?;
            batch.is_full = locked >= i64::from(most) || locked > rows.len() as i64;
        }
        Ok(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty() && self.failed.is_empty() && self.waiting.is_empty()
    }

    /// Bumps all. What fails does not keep the others: of an error, it is what the cache has queued.
    pub(super) async fn bump(&mut self, cache: &Cache) -> Result<(), Error> {
        let mut tags: Vec<Tag> = self.waiting.iter().map(|(_, tag)| tag.clone()).collect();
        tags.sort_unstable();
        tags.dedup();
        let outcome = cache.invalidate(&tags).await;
        for (id, tag) in self.waiting.drain(..) {
            match outcome.is_err() && cache.is_bump_queued(&tag) {
                true => self.failed.push(id),
                false => self.done.push(id),
            }
        }
        outcome.map(drop)
    }

    fn refuse(&mut self, id: i64, what: &str) {
        self.done.push(id);
        self.refused += 1;
        let what: String = what.chars().take(200).collect();
        warn!(target: TARGET, "a tag of the outbox was deleted without a bump: {what}");
    }
}
