//! What a future sees of the versions: no less than it knows of, or the same all the time.
//!
//! A view stands beside the cache of the code that is running, so that a call without one pays
//! nothing to find that out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Budget, Cache};
use crate::error::{Error, ErrorKind};
use crate::global;
use crate::key::Identity;
use crate::near::AnyKept;
use crate::store::Found;
use crate::tag::{Kind, Tag};
use crate::version::{Bumped, Version};

mod snapshot;

use snapshot::Snapshot;

/// Runs a future whose reads see at least these versions: whoever bumped, in whichever process,
/// and whichever tier answers. So one who has written something reads it back.
///
/// Without a near tier every read does so anyhow: a hit is strict. With one, a process may be late
/// by a message's way through the network, and by [`Near::max_staleness`](crate::Near::max_staleness)
/// at worst. Inside, the near tier answers only where it has these versions, and Redis is asked
/// where it has not. If Redis itself has older ones (it has lost the bump, or it is another cache's
/// Redis than the one that was bumped), the function runs, and nothing is stored.
///
/// A [`Bumped`] prints to a short text, for a header or a cookie, and is parsed from one. Nothing
/// that it says is written anywhere, so a forged one costs misses of the calls inside and nothing
/// else. Tags that were held ([`Bumped::held`]) have no version yet, and are not waited for.
///
/// Another `at_least` inside adds to it. Tasks that the future spawns do not inherit it.
///
/// ```
/// # use fragkeys_runtime::{Bumped, Config, Error, Tag, at_least};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let cache = Config::memory().build().await?;
/// # let page = || async { "page" };
/// let cookie = cache.invalidate([Tag::new("User", 42)]).await?.to_string();
/// // … the next request, in another process …
/// let seen: Bumped = cookie.parse()?;
/// at_least(seen, page()).await;
/// # Ok::<(), Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn at_least<F: Future>(bumped: Bumped, future: F) -> F::Output {
    let mut view = View::here();
    for (tag, version) in &bumped {
        match tag.kind() {
            Kind::Own => view.raise(tag, *version),
            // What stands in cells for others' versions is in no order.
            _ => view.is_strict = true,
        }
    }
    view.is_strict |= bumped.is_partial();
    drop(bumped);
    global::with_view(view, future).await
}

/// Runs a future whose cached calls agree on the version of each tag: as it was when the first
/// of them read it. It is read once, so a request of 50 cached calls asks for its versions once.
///
/// A call whose tags are all known by then is one read of its entry, also where there is no client
/// tracking, and in a cluster. Up to 10,000 tags are remembered; those past it are read by each call.
///
/// What it takes away is the other half of strictness: **a bump that comes after a version was
/// read is not seen inside**, although its `Ok` came before a later call of the future began. But
/// for bumps of the future itself: those are seen by all calls after them. (Not those of tasks that
/// it spawns.) What a run inside gives is as fresh as ever, and is stored under the versions that
/// the view shows, where only such views find it after a bump. So keep it to one request.
///
/// The near tier answers where it has the very versions of the view. A batch asks for the versions
/// of its elements again, and is held to the same ones. A snapshot inside of another is part of it;
/// inside of [`at_least`] it shows no less than that asks for.
///
/// ```
/// # use fragkeys_runtime::snapshot;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let (header, body) = (|| async { "header" }, || async { "body" });
/// let page = snapshot(async { (header().await, body().await) }).await;
/// # let _ = page; });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn snapshot<F: Future>(future: F) -> F::Output {
    let mut view = View::here();
    view.snapshot.get_or_insert_with(Arc::default);
    global::with_view(view, future).await
}

/// What the code that is running sees of the versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    floors: HashMap<Tag, Version>,
    /// The near tier is not asked.
    is_strict: bool,
    snapshot: Option<Arc<Snapshot>>,
}

impl View {
    /// The one around the running code, to be narrowed.
    fn here() -> Self {
        global::view().map(|view| (*view).clone()).unwrap_or_default()
    }

    fn raise(&mut self, tag: &Tag, version: Version) {
        let floor = self.floors.entry(tag.clone()).or_insert(version);
        *floor = version.max(*floor);
    }

    /// Looks for an entry under the versions that are to be seen.
    pub(crate) async fn look(
        &self,
        cache: &Cache,
        identity: &Identity,
        timeout: Duration,
        budget: &mut Budget,
    ) -> Result<Found, Error> {
        if let Some(snapshot) = &self.snapshot
            && let Some(versions) = snapshot.known(cache, &identity.tags)
            && !self.are_behind(&identity.tags, &versions)
        {
            return cache.fetch(identity, &versions, budget).await;
        }
        let found = cache.look(identity, timeout, budget).await?;
        self.agree(cache, identity, found, budget).await
    }

    /// What a look found, if that may be seen; else what stands under the versions that are.
    pub(crate) async fn agree(
        &self,
        cache: &Cache,
        identity: &Identity,
        found: Found,
        budget: &mut Budget,
    ) -> Result<Found, Error> {
        let tags = &identity.tags;
        let told = &*found.place.versions;
        let agreed = match &self.snapshot {
            Some(snapshot) => snapshot.agree(cache, tags, told, |tag| self.floors.get(tag)),
            None => told.to_vec(),
        };
        if self.are_behind(tags, &agreed) {
            let message = "the store has older versions of its tags than `at_least` asks for";
            return Err(Error::new(ErrorKind::Behind, message));
        }
        if agreed == told {
            return Ok(found);
        }
        cache.fetch(identity, &agreed, budget).await
    }

    /// As [`agree`](Self::agree), for each of several.
    pub(crate) async fn agree_on_many(
        &self,
        cache: &Cache,
        identities: &[Arc<Identity>],
        answers: Vec<Result<Found, Error>>,
        budget: &mut Budget,
    ) -> Vec<Result<Found, Error>> {
        let mut agreed = Vec::with_capacity(answers.len());
        for (identity, answer) in identities.iter().zip(answers) {
            agreed.push(match answer {
                Ok(found) => self.agree(cache, identity, found, budget).await,
                Err(error) => Err(error),
            });
        }
        agreed
    }

    /// May the near tier answer with this?
    pub(crate) fn admits(&self, cache: &Cache, call: &[u8], kept: &AnyKept) -> bool {
        // Which tags a call has is known where it was asked for before, and not long ago.
        let Some(identity) = cache.recall(&cache.access(), call).filter(|_| !self.is_strict) else {
            return false;
        };
        let versions: Vec<Version> = kept.versions().collect();
        let snapshot = self.snapshot.as_ref();
        versions.len() == identity.tags.len()
            && !self.are_behind(&identity.tags, &versions)
            && snapshot.is_none_or(|snapshot| {
                snapshot.known(cache, &identity.tags).is_some_and(|known| known == versions)
            })
    }

    /// May a value from under these versions be given, although they are not the present ones? Not
    /// where it is older than what was asked for, or may be.
    pub(crate) fn admits_old(&self, tags: &[Tag], versions: &[Version]) -> bool {
        !self.is_strict && !self.are_behind(tags, versions)
    }

    fn are_behind(&self, tags: &[Tag], versions: &[Version]) -> bool {
        let is_behind = |(tag, version): (&Tag, &Version)| {
            self.floors.get(tag).is_some_and(|floor| version < floor)
        };
        !self.floors.is_empty() && tags.iter().zip(versions).any(is_behind)
    }

    /// The code that sees it bumps these tags, and nobody knows yet what comes of it.
    pub(crate) fn expect_bump(&self, cache: &Cache, tags: &[Tag]) {
        if let Some(snapshot) = &self.snapshot {
            snapshot.expect_bump(cache, tags);
        }
    }

    /// It has.
    pub(crate) fn note_bump(&self, cache: &Cache, tags: &[Tag], versions: &[Version]) {
        if let Some(snapshot) = &self.snapshot {
            snapshot.note_bump(cache, tags, versions);
        }
    }
}
