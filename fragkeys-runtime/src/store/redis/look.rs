//! Looks: one GET where all versions are known, else the versions and the entry at once.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, Value};

use super::cell::{Cell, Cells};
use super::link::{Failure, Link, Live};
use super::{RedisStore, read_entry, read_versions};
use crate::key::{Identity, Place};
use crate::store::Found;
use crate::version::Version;

mod many;

impl RedisStore {
    /// A look through one connection: what its cells know is true of no other.
    pub(super) async fn look_through(
        &self,
        link: &Link,
        live: &Live,
        identity: &Identity,
        lifetime: Duration,
        until: Instant,
    ) -> Result<Found, Failure> {
        if let Some(cells) = &live.cells
            && let Some(ready) = self.ready(cells, identity)
        {
            let entry = read_entry(link.ask_one(live, &ready.get, until).await?)?;
            // A version that has moved since may have done so before the entry was read.
            if ready.is_current(cells) {
                return Ok(Found { place: ready.place.clone(), entry });
            }
        }
        // Boxed, so that a hit does not carry the room for it around.
        Box::pin(self.look_anew(link, live, identity, lifetime, until)).await
    }

    /// The look that is ready for this identity, or can be made so; `None` if a version is unknown.
    fn ready(&self, cells: &Arc<Cells>, identity: &Identity) -> Option<Arc<Ready>> {
        let last = identity.ready.load_full();
        if let Some(ready) = last.filter(|ready| ready.is_current(cells)) {
            return Some(ready);
        }
        let ready = Arc::new(Ready::of(cells, &self.version_keys(&identity.tags), identity)?);
        identity.ready.store(Some(ready.clone()));
        Some(ready)
    }

    /// A look that asks for the versions, and in the same round trip for the entry under those
    /// that Redis told last.
    async fn look_anew(
        &self,
        link: &Link,
        live: &Live,
        identity: &Identity,
        lifetime: Duration,
        until: Instant,
    ) -> Result<Found, Failure> {
        let tags = &identity.tags;
        let keys = self.version_keys(tags);
        let guess = self.guess(tags).map(|versions| (Arc::new(identity.at(&versions)), versions));
        let asked: Option<Vec<Asked>> = live
            .cells
            .as_deref()
            .map(|cells| keys.iter().map(|key| Asked::of(cells, key)).collect());
        let mut pipeline = Pipeline::with_capacity(3);
        if asked.is_some() {
            pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
        }
        pipeline.cmd("MGET").arg(&keys);
        if let Some((place, _)) = &guess {
            pipeline.cmd("GET").arg(&place.key);
        }
        let number = 1 + usize::from(asked.is_some()) + usize::from(guess.is_some());
        let mut replies = link.ask(live, &pipeline, number, until).await?.into_iter();
        // Unless Redis has agreed to tell of changes, nothing is learned.
        let asked = asked.filter(|_| replies.next() == Some(Value::Okay));
        let known = read_versions(tags, replies.next().unwrap_or(Value::Nil))?;
        for (asked, version) in asked.into_iter().flatten().zip(&known) {
            asked.learn(*version);
        }
        if let Some((place, guessed)) = guess
            && known.iter().copied().eq(guessed.iter().map(|version| Some(*version)))
        {
            let entry = read_entry(replies.next().unwrap_or(Value::Nil))?;
            return Ok(Found { place, entry });
        }
        // Under a version that was not there until now there is no entry.
        let is_complete = known.iter().all(Option::is_some);
        let versions = self.complete(tags, known, lifetime, until).await?;
        let place = Arc::new(identity.at(&versions));
        if !is_complete {
            return Ok(Found { place, entry: None });
        }
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(&place.key);
        let entry = read_entry(self.one(&pipeline, until).await?)?;
        Ok(Found { place, entry })
    }
}

/// A look that is ready to be sent: the command, and the versions that it is right for.
#[derive(Debug)]
pub(crate) struct Ready {
    place: Arc<Place>,
    get: Cmd,
    versions: Vec<(Arc<Cell>, Version)>,
    /// The cells of the connection that it is right for.
    cells: Weak<Cells>,
}

impl Ready {
    /// `None` unless all versions are known.
    fn of(cells: &Arc<Cells>, keys: &[String], identity: &Identity) -> Option<Ready> {
        let known = |key: &String| cells.get(key).and_then(|cell| Some((cell.version()?, cell)));
        let known: Vec<_> = keys.iter().map(known).collect::<Option<_>>()?;
        let versions: Vec<Version> = known.iter().map(|(version, _)| *version).collect();
        let place = identity.at(&versions);
        let mut get = redis::cmd("GET");
        get.arg(&place.key);
        Some(Ready {
            place: Arc::new(place),
            get,
            versions: known.into_iter().map(|(version, cell)| (cell, version)).collect(),
            cells: Arc::downgrade(cells),
        })
    }

    /// Are these the cells that it was made from, and are its versions still in them?
    fn is_current(&self, cells: &Arc<Cells>) -> bool {
        std::ptr::eq(self.cells.as_ptr(), Arc::as_ptr(cells))
            && self.versions.iter().all(|(cell, version)| cell.version() == Some(*version))
    }
}

/// A version that was asked for.
struct Asked {
    cell: Arc<Cell>,
    question: u64,
}

impl Asked {
    fn of(cells: &Cells, key: &str) -> Asked {
        let cell = cells.get_or_add(key);
        Asked { question: cell.question(), cell }
    }

    fn learn(self, version: Option<Version>) {
        if let Some(version) = version {
            self.cell.learn(self.question, version);
        }
    }
}
