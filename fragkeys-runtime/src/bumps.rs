//! What a future bumps, for who asks: so that the one who sent a request can read what it wrote.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::Cache;
use crate::clock;
use crate::global::{self, Given};
use crate::tag::{Kind, Tag};
use crate::version::{Bumped, Version};

/// Tags, at most.
const MOST: usize = 10_000;

tokio::task_local! {
    static LOG: Log;
}

/// Runs a future and tells what was bumped in it, whoever did: `invalidate!`, a cache, a model, the hooks
/// of an ORM, and scopes of [`on_commit`](crate::on_commit) that ended in it, and [`guard`](crate::guard()).
///
/// With [`at_least`](crate::at_least) in a later request, that request's reads see these bumps. The layer
/// `tower::ReadYourWritesLayer` (feature `tower`) does both.
///
/// Of a tag that was bumped several times, the last version; of one that several caches have, the oldest
/// of theirs, which is what all have at least. A bump that failed, or whose future was dropped, is queued
/// and has no version yet: it stands there with this machine's time, so that
/// `at_least` lets nothing pass that is older, as far as this clock and the store's agree. Of more than 10,000 tags the rest is left
/// out, and the text of this says that there were more.
///
/// Tasks that the future spawns are not seen, unless they are [`attached`]; [`note_bumps`] tells of theirs.
///
/// ```
/// # use fragkeys_runtime::{Tag, bumps_in, cache};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (outcome, bumped) = bumps_in(async {
///     // … write …
///     cache().invalidate([Tag::new("User", 42)]).await
/// })
/// .await;
/// assert_eq!(outcome?, bumped);
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn bumps_in<F: Future>(future: F) -> (F::Output, Bumped) {
    let around = LOG.try_with(Log::clone).ok().map(Arc::new);
    let log = Log { noted: Arc::default(), around };
    let output = LOG.scope(log.clone(), future).await;
    (output, log.bumped())
}

/// Tells the [`bumps_in`] around the running code of bumps that another task made. Outside of one it does
/// nothing.
///
/// ```
/// # use fragkeys_runtime::{Tag, bumps_in, cache, note_bumps};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (outcome, bumped) = bumps_in(async {
///     // A write that goes on if the client hangs up.
///     let write = async { cache().invalidate([Tag::new("User", 42)]).await };
///     let (outcome, bumped) = tokio::spawn(bumps_in(write)).await?;
///     note_bumps(&bumped); // also if it failed: then it is queued
///     outcome?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// .await;
/// assert_eq!(bumped.len(), 1);
/// # outcome }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub fn note_bumps(bumped: &Bumped) {
    note(None, bumped.iter().map(|(tag, version)| (tag, *version)));
    if bumped.is_partial() {
        each_log(|noted| noted.is_partial = true);
    }
}

/// Notes what the store has.
pub(crate) fn note_sent(cache: &Cache, tags: &[Tag], versions: &[Version]) {
    note(Some(cache), tags.iter().zip(versions.iter().copied()));
}

/// Notes what the store does not have yet, and will.
pub(crate) fn note_queued(cache: &Cache, tags: &[Tag]) {
    let now = u64::try_from(clock::since_1970().as_micros()).unwrap_or(u64::MAX);
    let Some(version) = Version::new(now.saturating_mul(1_000)) else { return };
    let own = tags.iter().filter(|tag| tag.kind() == Kind::Own);
    note(Some(cache), own.map(|tag| (tag, version)));
}

/// A future that is a part of the code which calls this, although a task of its own runs it: it uses the same
/// cache ([`with_cache`](crate::with_cache)), sees the same versions ([`snapshot`](crate::snapshot),
/// [`at_least`](crate::at_least)), and what it bumps is told to [`bumps_in`] around the caller, as long as that runs.
///
/// A scope of [`on_commit`](crate::on_commit) stays where it is, and so does `inherit_tags`.
///
/// ```
/// # use fragkeys_runtime::{attached, bumps_in, cache};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (outcome, bumped) = bumps_in(async {
///     // A write that goes on if the client hangs up.
///     let write = async { cache().invalidate(["Dashboard"]).await };
///     tokio::spawn(attached(write)).await
/// })
/// .await;
/// assert_eq!(outcome??, bumped);
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub fn attached<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let given = Given { heir: None, ..global::given() };
    let log = LOG.try_with(Log::clone).ok();
    async move {
        let future = global::with_given(given, future);
        match log {
            Some(log) => LOG.scope(log, future).await,
            None => future.await,
        }
    }
}

fn note<'a>(cache: Option<&Cache>, bumps: impl Iterator<Item = (&'a Tag, Version)> + Clone) {
    each_log(|noted| noted.add(cache, bumps.clone()));
}

fn each_log(tell: impl Fn(&mut Noted)) {
    let _ = LOG.try_with(|log| {
        for log in std::iter::successors(Some(log), |log| log.around.as_deref()) {
            tell(&mut log.noted.lock().unwrap_or_else(PoisonError::into_inner));
        }
    });
}

/// What one future bumps, and what those around it do.
#[derive(Clone)]
struct Log {
    noted: Arc<Mutex<Noted>>,
    around: Option<Arc<Log>>,
}

/// In each cache.
type Versions = Vec<(Option<Cache>, Version)>;

#[derive(Default)]
struct Noted {
    /// Each tag once, in the order in which they were first bumped, with its version in each cache.
    tags: Vec<(Tag, Versions)>,
    index: HashMap<Tag, usize>,
    is_partial: bool,
}

impl Noted {
    fn add<'a>(&mut self, cache: Option<&Cache>, bumps: impl Iterator<Item = (&'a Tag, Version)>) {
        for (tag, version) in bumps {
            let Some(index) = self.index.get(tag) else {
                if self.tags.len() == MOST {
                    self.is_partial = true;
                    continue;
                }
                self.index.insert(tag.clone(), self.tags.len());
                self.tags.push((tag.clone(), vec![(cache.cloned(), version)]));
                continue;
            };
            let Some((_, versions)) = self.tags.get_mut(*index) else { continue };
            let is_same = |known: &Option<Cache>| match (known, cache) {
                (Some(known), Some(cache)) => known.is(cache),
                (known, cache) => known.is_none() && cache.is_none(),
            };
            match versions.iter_mut().find(|(known, _)| is_same(known)) {
                Some((_, known)) => *known = version.max(*known),
                None => versions.push((cache.cloned(), version)),
            }
        }
    }
}

impl Log {
    fn bumped(&self) -> Bumped {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = |(tag, versions): &(Tag, Versions)| {
            let (of_each, of_all): (Vec<_>, Vec<_>) =
                versions.iter().partition(|(cache, _)| cache.is_some());
            let oldest = of_each.iter().map(|(_, version)| *version).min();
            // What a task has told may be of any of them.
            Some((tag.clone(), oldest.max(of_all.iter().map(|(_, version)| *version).max())?))
        };
        let (tags, versions) = noted.tags.iter().filter_map(oldest).unzip();
        Bumped::new(tags, versions).partial(noted.is_partial)
    }
}
