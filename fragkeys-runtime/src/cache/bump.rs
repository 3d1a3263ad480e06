//! Bumps on their way to the store: sent, or queued and retried until the store has them.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{Cache, Shared};
use crate::bumps;
use crate::commit;
use crate::error::Error;
use crate::fragmented_keys::FragmentedKeys;
use crate::global;
use crate::log::{notice, warning};
use crate::seeded::Seeded;
use crate::store::{GuardId, Store as _};
use crate::tag::{Kind, Tag};
use crate::together::together;
use crate::version::{Bumped, Version};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(2);
const TAGS_PER_RETRY: usize = 500;
/// When a bump is repeated that may have come too early, and how many of such at a time.
const REPEATS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(25)];
const MOST_REPEATED: usize = 1_000;
/// How long the queue of a cache that nobody has any more is retried.
const LAST_WILL: Duration = Duration::from_secs(60);

/// Bumps tags in each of these caches; around a transaction, once it is committed.
pub(crate) async fn bump(caches: Vec<Cache>, tags: Vec<Tag>) -> Result<Bumped, Error> {
    let tags = distinct(tags);
    for tag in &tags {
        tag.check_bumpable()?;
    }
    if tags.is_empty() {
        return Ok(Bumped::default());
    }
    if let Some(scope) = commit::open_scope()
        && scope.hold(&caches, &tags)
    {
        scope.mark(&caches, &tags).await;
        return Ok(Bumped::held_back(tags));
    }
    send_all(caches.iter().flat_map(|cache| Bump::each(cache, tags.clone())).collect()).await
}

/// Sends bumps, all at once, and waits for all of them; the first error is the answer. Of a tag
/// that several caches have, the oldest version is told, which all have at least. Dropped, those that have no answer
/// are queued.
pub(crate) async fn send_all(bumps: Vec<Bump>) -> Result<Bumped, Error> {
    let outcomes = together(bumps.into_iter().map(Bump::send)).await;
    let mut outcomes = outcomes.into_iter();
    outcomes.try_fold(Bumped::default(), |bumped, outcome| Ok(bumped.and(outcome?)))
}

fn distinct(tags: Vec<Tag>) -> Vec<Tag> {
    let mut seen = HashSet::with_capacity_and_hasher(tags.len(), Seeded::at_random());
    tags.into_iter().filter(|tag| seen.insert(tag.clone())).collect()
}

/// A bump that its store does not have yet, of tags that stand at keys of one kind: those of
/// others may be refused where ours are not. Dropped, it is queued (I6, I8).
pub(crate) struct Bump {
    cache: Cache,
    tags: Vec<Tag>,
    /// Else these are counterparts, of which nothing is told.
    is_asked: bool,
    /// The guard that ends with it.
    leaving: Option<GuardId>,
}

impl Bump {
    /// The bumps of these tags and of what stands for them elsewhere.
    fn each(cache: &Cache, tags: Vec<Tag>) -> Vec<Bump> {
        let counterparts = cache.counterparts(&tags);
        Bump::groups(cache, tags, counterparts)
    }

    pub(crate) fn groups(cache: &Cache, asked: Vec<Tag>, mut counterparts: Vec<Tag>) -> Vec<Bump> {
        let (own, original): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|tag| tag.kind() == Kind::Own);
        counterparts.retain(|tag| !original.contains(tag));
        [(own, true), (original, true), (counterparts, false)]
            .into_iter()
            .filter(|(tags, _)| !tags.is_empty())
            .map(|(tags, is_asked)| Bump { cache: cache.clone(), tags, is_asked, leaving: None })
            .collect()
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Ends a guard of its tags, where there can be one. `false` if it ends another one already.
    pub(crate) fn leave(&mut self, guard: GuardId) -> bool {
        let can_be_guarded = self.tags.first().is_some_and(|tag| tag.kind() == Kind::Own);
        if can_be_guarded {
            return *self.leaving.get_or_insert(guard) == guard;
        }
        true
    }

    /// Bumps again some time later, for a change that may come after the bump.
    pub(crate) fn repeat_later(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let tags = self.tags.clone();
        let repeated = Repeated::begin(&self.cache);
        if self.cache.shared.repeated.load(Ordering::Relaxed) > MOST_REPEATED {
            warning!(
                "more than {MOST_REPEATED} commits were left under way: {} is bumped only once",
                Listed(&tags)
            );
            return;
        }
        runtime.spawn(async move {
            for pause in REPEATS {
                sleep(pause).await;
                // If it fails, it is queued.
                let (cache, tags) = (repeated.0.clone(), tags.clone());
                let _ = Bump { cache, tags, is_asked: false, leaving: None }.send().await;
            }
        });
    }

    async fn send(mut self) -> Result<Bumped, Error> {
        self.cache.ensure_retry();
        let Shared { store, queue, settings, bumps, counters, .. } = &*self.cache.shared;
        let view = global::view();
        if let Some(view) = &view {
            view.expect_bump(&self.cache, &self.tags);
        }
        let mut settles = queue.among(&self.tags);
        // Until the store has answered, the bump may be lost: also if this future is dropped.
        let answers = store.bump(&self.tags, self.leaving, settings.operation_timeout).await;
        let (tags, versions, outcome) = sort(&mut self.tags, answers);
        self.cache.judge(bumps, "bumping", &outcome);
        if let Some(view) = &view {
            view.note_bump(&self.cache, &tags, &versions);
        }
        if outcome.is_err() {
            let done: HashSet<&Tag> = tags.iter().collect();
            settles.retain(|(tag, _)| done.contains(tag));
        }
        queue.settle(&settles);
        if self.is_asked {
            bumps::note_sent(&self.cache, &tags, &versions);
            counters.bumped.add_many(tags.len());
        }
        match outcome {
            Ok(()) if !self.is_asked => Ok(Bumped::default()),
            Ok(()) => Ok(Bumped::new(tags, versions)),
            Err(error) => Err(error.context(format_args!(
                "bumping {} failed and is queued to be retried",
                Listed(&self.tags)
            ))),
        }
    }
}

/// Takes those out of `tags` that the store has a bump of, with their versions; and the first
/// error of the others.
fn sort(
    tags: &mut Vec<Tag>,
    answers: Vec<Result<Version, Error>>,
) -> (Vec<Tag>, Vec<Version>, Result<(), Error>) {
    let (mut done, mut versions, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut outcome = Ok(());
    for (tag, answer) in tags.drain(..).zip(answers) {
        match answer {
            Ok(version) => {
                done.push(tag);
                versions.push(version);
            }
            Err(error) => {
                missing.push(tag);
                outcome = outcome.and(Err(error));
            }
        }
    }
    *tags = missing;
    (done, versions, outcome)
}

/// A bump that is repeated, for as long as it counts as one.
struct Repeated(Cache);

impl Repeated {
    fn begin(cache: &Cache) -> Self {
        cache.shared.repeated.fetch_add(1, Ordering::Relaxed);
        Repeated(cache.clone())
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.0.shared.repeated.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Bump {
    fn drop(&mut self) {
        let Shared { store, queue, .. } = &*self.cache.shared;
        if self.tags.is_empty() {
            return;
        }
        if let Some(view) = global::view() {
            view.expect_bump(&self.cache, &self.tags);
        }
        if !store.bump_at_once(&self.tags, self.leaving) {
            if self.is_asked {
                bumps::note_queued(&self.cache, &self.tags);
            }
            queue.add(&self.tags);
            self.cache.ensure_retry();
        }
    }
}

impl Cache {
    /// What stands for these tags elsewhere, and is bumped with them.
    pub(crate) fn counterparts(&self, tags: &[Tag]) -> Vec<Tag> {
        let also_bump = self.shared.settings.also_bump.iter();
        let of_one = |original: &FragmentedKeys| -> Vec<Tag> {
            tags.iter().filter_map(|tag| original.counterpart(tag)).collect()
        };
        distinct(also_bump.flat_map(of_one).collect())
    }

    /// Starts the task that retries queued bumps, unless one is at it.
    pub(super) fn ensure_retry(&self) {
        if self.shared.queue.len() == 0 {
            return;
        }
        // Without a runtime, the next call from within one starts it.
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(claim) = self.shared.queue.claim_retry() {
            let retry = Retry { shared: self.shared.clone(), claim };
            runtime.spawn(retry.run());
        }
    }
}

/// The task that retries queued bumps until none is left, or another one has its job.
struct Retry {
    shared: Arc<Shared>,
    claim: u64,
}

impl Retry {
    async fn run(mut self) {
        let mut pause = FIRST_RETRY;
        let mut orphaned_since = None;
        loop {
            sleep(pause).await;
            if !self.shared.queue.keep_retry(self.claim) {
                return;
            }
            pause = match self.shared.retry(self.claim).await {
                Ok(()) => FIRST_RETRY,
                Err(_) => (pause * 2).min(SLOWEST_RETRY),
            };
            if self.shared.queue.len() == 0 {
                // A bump that failed just now found the job taken; so look again after giving it back.
                self.shared.queue.release_retry(self.claim);
                match self.shared.queue.claim_retry() {
                    Some(claim) => self.claim = claim,
                    None => return,
                }
            }
            // Nobody else has this cache any more, and a store may never come back.
            if Arc::strong_count(&self.shared) == 1 {
                let since = *orphaned_since.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_WILL {
                    let Shared { name, queue, .. } = &*self.shared;
                    let lost = queue.len();
                    warning!(
                        "cache `{name}` was dropped and its store is away: {lost} queued bumps are lost"
                    );
                    return;
                }
            }
        }
    }
}

/// Also when the runtime ends: the next call, in another one, takes over.
impl Drop for Retry {
    fn drop(&mut self) {
        self.shared.queue.release_retry(self.claim);
    }
}

impl Shared {
    /// Sends the queued bumps, some at a time: one that goes through is settled, whatever
    /// becomes of the others. Nobody waits for this, so it may take longer than a call.
    async fn retry(&self, claim: u64) -> Result<(), Error> {
        let patience = self.settings.operation_timeout.clamp(LEAST_PATIENCE, MOST_PATIENCE);
        let mut outcome = Ok(());
        let (own, others): (Vec<_>, Vec<_>) =
            self.queue.all().into_iter().partition(|(tag, _)| tag.kind() == Kind::Own);
        for queued in own.chunks(TAGS_PER_RETRY).chain(others.chunks(TAGS_PER_RETRY)) {
            let mut tags: Vec<Tag> = queued.iter().map(|(tag, _)| tag.clone()).collect();
            let answers = self.store.bump(&tags, None, patience).await;
            let (done, _, answer) = sort(&mut tags, answers);
            if !done.is_empty() {
                let done: HashSet<Tag> = done.into_iter().collect();
                let settled = queued.iter().filter(|(tag, _)| done.contains(tag)).cloned();
                self.queue.settle(&settled.collect::<Vec<_>>());
                self.counters.bumped.add_many(done.len());
                notice!("cache `{}`: {} queued bumps went through", self.name, done.len());
            }
            outcome = outcome.and(answer);
            if !self.queue.keep_retry(claim) {
                break;
            }
        }
        outcome
    }
}

/// Tags in an error: the first ones, and how many more.
struct Listed<'a>(&'a [Tag]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (index, tag) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}`{tag}`")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more tags"),
        }
    }
}
