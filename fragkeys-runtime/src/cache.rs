//! A cache: a store, its settings, and what happens when the store fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::codec::Format;
use crate::condition::{Condition, LastError};
use crate::config::{SHORTEST_TIMEOUT, Settings};
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::flight::Flights;
use crate::grace::{Background, Failures};
use crate::key::{Identity, Place};
use crate::lease::Claim;
use crate::log::{notice, warning};
use crate::near::{NearStats, NearTier};
use crate::queue::BumpQueue;
use crate::stats::{Counters, Stats};
use crate::store::{Access, AnyStore, Deadline, Found, Store};
use crate::tag::Tag;
use crate::version::{Bumped, Version};

pub(crate) mod bump;
mod many;
pub(crate) mod mark;
mod report;

/// A cache, installed or built by hand. Cloning it is cheap; clones are one cache.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    settings: Settings,
    store: AnyStore,
    queue: Arc<BumpQueue>,
    near: Option<NearTier>,
    flights: Arc<Flights>,
    background: Arc<Background>,
    failures: Failures,
    counters: Counters,
    reads: Condition,
    writes: Condition,
    leases: Condition,
    bumps: Condition,
    /// Bumps that are repeated later.
    repeated: AtomicUsize,
    /// What the store refused last.
    last_error: LastError,
    since: SystemTime,
}

/// How long a tag must be kept to outlive an entry, and the run that makes it.
pub(crate) fn outliving(timeout: Duration) -> Duration {
    const LONGEST_RUN: Duration = Duration::from_secs(3_600);
    timeout.saturating_mul(2).max(LONGEST_RUN)
}

/// What the store may still add to one call.
pub(crate) struct Budget {
    left: Duration,
    /// With less than this left, waiting is in vain.
    least: Duration,
    /// For a look, if that is the first thing.
    access: Access,
}

impl Cache {
    pub(crate) fn new(
        name: String,
        settings: Settings,
        store: AnyStore,
        queue: Arc<BumpQueue>,
    ) -> Self {
        /// Calls of different keys seldom meet.
        const FLIGHT_SHARDS: usize = 32;
        let near = settings.near.map(|near| NearTier::new(near.max_bytes));
        let flights = Arc::new(Flights::new(FLIGHT_SHARDS, settings.max_flight_waiters));
        let background = Background::new(settings.max_refreshes, settings.max_queued_refreshes);
        let failures = Failures::new(settings.retry_after);
        Cache {
            shared: Arc::new(Shared {
                name,
                settings,
                store,
                queue,
                near,
                flights,
                background: Arc::new(background),
                failures,
                counters: Counters::default(),
                reads: Condition::default(),
                writes: Condition::default(),
                leases: Condition::default(),
                bumps: Condition::default(),
                repeated: AtomicUsize::new(0),
                last_error: LastError::default(),
                since: SystemTime::now(),
            }),
        }
    }

    /// An entry to read and write by hand; see [`Entry`].
    pub fn entry(&self, name: impl Into<String>) -> Entry {
        Entry::new(self.clone(), name.into().into())
    }

    /// Gives each tag a new version: every entry that depends on one of them misses from
    /// now on, in every process. One round trip for each 10,000 tags, however many entries
    /// depend on them. Of 256 tags or more, those in Redis get it when they are read next; then
    /// [`Bumped`] tells a number that it is at least.
    ///
    /// Call it after the change is committed, or inside of [`on_commit`](crate::on_commit), where
    /// it waits for that. Bumped before, a reader can still store the old value under the new
    /// version.
    ///
    /// # Errors
    ///
    /// If the store did not confirm it. The bump then waits and is retried until the store
    /// has it; until then, this cache neither reads nor stores what depends on these tags.
    /// [`ErrorKind::Tag`] if one cannot be bumped; then none was.
    pub fn invalidate<I>(&self, tags: I) -> impl Future<Output = Result<Bumped, Error>> + Send
    where
        I: IntoIterator,
        I::Item: Into<Tag>,
    {
        bump::bump(vec![self.clone()], tags.into_iter().map(Into::into).collect())
    }

    /// Makes every entry of this cache miss, by one bump: nothing is searched or deleted.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> Result<Bumped, Error> {
        bump::bump(vec![self.clone()], vec![Tag::root()]).await
    }

    /// The version of a tag. A tag that has none gets one.
    ///
    /// # Errors
    ///
    /// If the store fails, or [`ErrorKind::Tag`] for a tag that has no version of this cache's own;
    /// [`ErrorKind::Guarded`] while a [`guard`](crate::guard()) holds it.
    pub async fn tag_version(&self, tag: &Tag) -> Result<Version, Error> {
        tag.check_own()?;
        let Shared { store, settings, .. } = &*self.shared;
        let tags = std::slice::from_ref(tag);
        let answer = store
            .versions(tags, settings.tag_lifetime, Deadline::after(settings.operation_timeout))
            .await;
        self.judge(&self.shared.reads, "reading", &answer);
        let first = answer?.first().copied();
        first.ok_or_else(|| Error::new(ErrorKind::Protocol, "the store gave no version"))
    }

    /// What this cache did since it was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// How its near tier is; `None` if it has none.
    #[must_use]
    pub fn near_stats(&self) -> Option<NearStats> {
        let Shared { near, counters, store, .. } = &*self.shared;
        let ledger = store.ledger().map(Arc::as_ref);
        Some(NearStats::of(near.as_ref()?, counters.near_hits.read(), ledger))
    }

    /// How many tags wait for a failed bump to be retried.
    #[must_use]
    pub fn queued_bumps(&self) -> usize {
        self.shared.queue.len()
    }

    /// Does a failed bump of this tag wait to be retried, or one of what is bumped with it?
    #[must_use]
    pub fn is_bump_queued(&self, tag: &Tag) -> bool {
        let mut tags = self.counterparts(std::slice::from_ref(tag));
        // What is too much for the queue is a bump of everything.
        tags.extend([tag.clone(), Tag::root()]);
        self.shared.queue.holds_any(&tags)
    }

    /// Are these clones of one cache?
    pub(crate) fn is(&self, other: &Cache) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn max_queued_bumps(&self) -> usize {
        self.shared.settings.max_queued_bumps
    }

    /// The near tier to answer from, unless what is in it may have to be left alone: a failed bump
    /// may be of its tags, which it does not know.
    #[inline]
    pub(crate) fn near(&self) -> Option<&NearTier> {
        self.near_tier().filter(|_| self.shared.queue.len() == 0)
    }

    /// The near tier to keep things in and to drop them from, whatever waits: what it knows must not
    /// be out of date when nothing waits any more.
    #[inline]
    pub(crate) fn near_tier(&self) -> Option<&NearTier> {
        self.shared.near.as_ref()
    }

    pub(crate) fn has_near(&self) -> bool {
        self.shared.near.is_some()
    }

    /// Is the near tier all the store that its values need?
    pub(crate) fn is_store_near(&self) -> bool {
        self.shared.store.is_near()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.shared.flights
    }

    /// The runs that nobody waits for.
    pub(crate) fn background(&self) -> &Arc<Background> {
        &self.shared.background
    }

    /// What fails, of functions that ask for grace.
    pub(crate) fn failures(&self) -> &Failures {
        &self.shared.failures
    }

    pub(crate) fn flight_wait(&self) -> Duration {
        self.shared.settings.flight_wait
    }

    pub(crate) fn lease_wait(&self) -> Duration {
        self.shared.settings.lease_wait
    }

    pub(crate) fn has_leases(&self) -> bool {
        !self.lease_wait().is_zero() && self.shared.store.has_leases()
    }

    /// What all keys of this cache begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.shared.settings.prefix
    }

    /// The generation of its entries; see [`Config::epoch`](crate::Config::epoch).
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.settings.epoch
    }

    pub(crate) fn format(&self) -> Format {
        self.shared.settings.format
    }

    pub(crate) fn default_timeout(&self) -> Duration {
        self.shared.settings.default_timeout
    }

    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.shared.settings.max_entry_bytes
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.shared.settings.operation_timeout)
    }

    pub(crate) fn access(&self) -> Access {
        self.shared.store.access()
    }

    /// The identity that these bytes stood for the last time.
    pub(crate) fn recall(&self, access: &Access, bytes: &[u8]) -> Option<Arc<Identity>> {
        self.shared.store.identities(access)?.recall(bytes)
    }

    pub(crate) fn remember(&self, access: &Access, bytes: &[u8], identity: &Arc<Identity>) {
        if let Some(identities) = self.shared.store.identities(access) {
            identities.remember(bytes, identity);
        }
    }

    /// Looks for an entry and learns the versions of its tags.
    pub(crate) async fn look(
        &self,
        identity: &Identity,
        timeout: Duration,
        budget: &mut Budget,
    ) -> Result<Found, Error> {
        self.check_queue(identity)?;
        let (access, deadline) = (std::mem::take(&mut budget.access), budget.deadline());
        let answer = self.shared.store.look(access, identity, outliving(timeout), deadline).await;
        self.judge_look(identity, answer, deadline, budget)
    }

    /// The entry under versions that are known already, whether or not they are the present ones.
    pub(crate) async fn fetch(
        &self,
        identity: &Identity,
        versions: &[Version],
        budget: &mut Budget,
    ) -> Result<Found, Error> {
        self.check_queue(identity)?;
        budget.check()?;
        let deadline = budget.deadline();
        let answer = self.shared.store.fetch(identity, versions, deadline).await;
        self.judge_look(identity, answer, deadline, budget)
    }

    fn judge_look(
        &self,
        identity: &Identity,
        answer: Result<Found, Error>,
        deadline: Deadline,
        budget: &mut Budget,
    ) -> Result<Found, Error> {
        if !matches!(&answer, Ok(Found { entry: Some(_), .. })) {
            budget.spend(deadline);
        }
        self.judge(&self.shared.reads, "reading", &answer);
        // A new connection may have found out meanwhile that a bump is lost.
        if self.shared.queue.len() > 0 {
            self.check_queue(identity)?;
        }
        answer
    }

    /// Stores an entry where [`look`](Self::look) said.
    pub(crate) async fn put(
        &self,
        identity: &Identity,
        place: &Place,
        entry: Vec<u8>,
        timeout: Duration,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        // Too short to be read again.
        if timeout < SHORTEST_TIMEOUT {
            return Ok(());
        }
        // A bump may have failed while the function ran: its result may be from before.
        self.check_queue(identity)?;
        budget.check()?;
        let deadline = budget.deadline();
        let answer = self.shared.store.put(identity, place, entry, timeout, deadline).await;
        budget.spend(deadline);
        self.judge(&self.shared.writes, "storing", &answer);
        if answer.is_ok() {
            self.shared.counters.stored.add();
        }
        answer
    }

    /// What stands at a key, whatever the versions of tags are.
    pub(crate) async fn bytes_at(
        &self,
        key: &str,
        budget: &mut Budget,
    ) -> Result<Option<Bytes>, Error> {
        budget.check()?;
        let deadline = budget.deadline();
        let answer = self.shared.store.bytes_at(key, deadline).await;
        budget.spend(deadline);
        self.judge(&self.shared.reads, "reading", &answer);
        answer
    }

    /// Asks who is to run for an entry that a look did not find, or to go on waiting for that. What is
    /// `known` to stand there by its head is no answer.
    pub(crate) async fn claim(
        &self,
        identity: &Identity,
        place: &Place,
        known: &[u8],
        is_waiting: bool,
        budget: &mut Budget,
    ) -> Result<Claim, Error> {
        self.check_queue(identity)?;
        budget.check()?;
        let deadline = budget.deadline();
        let answer = self.shared.store.claim(&place.key, known, is_waiting, deadline).await;
        // Waiting for others is not the store's doing, and has a bound of its own.
        if !matches!(answer, Ok(Claim::Wait(_))) {
            budget.spend(deadline);
        }
        self.judge(&self.shared.leases, "leasing", &answer);
        if self.shared.queue.len() > 0 {
            self.check_queue(identity)?;
        }
        answer
    }

    pub(crate) async fn remove(&self, place: &Place, budget: &mut Budget) -> Result<bool, Error> {
        budget.check()?;
        let answer = self.shared.store.remove(&place.key, budget.deadline()).await;
        self.judge(&self.shared.writes, "removing", &answer);
        answer
    }

    /// Refuses what depends on a bump that the store does not have yet.
    fn check_queue(&self, identity: &Identity) -> Result<(), Error> {
        self.ensure_retry();
        if self.shared.queue.holds_any(&identity.tags) {
            return Err(Error::new(ErrorKind::Unreachable, "a failed bump is waiting"));
        }
        Ok(())
    }

    /// Counts a fault and logs when an operation begins to fail, and when it works again.
    fn judge<T>(&self, condition: &Condition, doing: &str, answer: &Result<T, Error>) {
        let name = &self.shared.name;
        match answer {
            Ok(_) => {
                if condition.ends_to_fail() {
                    notice!({ cache = name } "cache `{name}`: {doing} works again");
                }
            }
            // No fault of the store.
            Err(error) if is_no_fault(error.kind()) => {}
            Err(error) => {
                self.shared.counters.faults.add();
                // The connection has said itself that it is away, and says when it is back.
                if error.kind() == ErrorKind::Unreachable {
                    return;
                }
                if condition.begins_to_fail() {
                    warning!({ cache = name } "cache `{name}`: {doing} fails: {error}");
                }
                self.shared.last_error.keep(error);
            }
        }
    }
}

/// Kinds that say nothing about the store.
fn is_no_fault(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TooLarge | ErrorKind::Tag | ErrorKind::Guarded)
}

impl Budget {
    fn new(left: Duration) -> Self {
        let least = (left / Deadline::LOOKS).max(Duration::from_millis(1));
        Budget { left, least, access: Access::default() }
    }

    /// For what begins at once with a look.
    pub(crate) fn with_access(self, access: Access) -> Self {
        Budget { access, ..self }
    }

    fn deadline(&mut self) -> Deadline {
        // Who waits for the store may be polled by another runtime afterwards.
        self.access = Access::default();
        Deadline::after(self.left)
    }

    /// With little time left the store could not answer, and would seem to hang.
    fn check(&self) -> Result<(), Error> {
        if self.left < self.least {
            return Err(Error::new(ErrorKind::Timeout, "no time is left to ask the store"));
        }
        Ok(())
    }

    fn spend(&mut self, deadline: Deadline) {
        self.left = self.left.saturating_sub(deadline.since.elapsed());
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.shared.name)
            .field("store", &self.shared.store)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
