//! Where entries and versions are kept: bytes and numbers, nothing of functions.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use self::identity::Identities;
use crate::error::Error;
use crate::health::Reach;
use crate::key::{Identity, Place};
use crate::lease::Claim;
use crate::near::Ledger;
use crate::tag::Tag;
use crate::version::Version;

pub(crate) mod cell;
#[cfg_attr(not(feature = "redis"), allow(dead_code))] // nobody waits for the embedded store
mod deadline;
pub(crate) mod identity;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;

pub(crate) use deadline::Deadline;

/// What a look into the store found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The place of the entry under the versions of its tags at the time of the look.
    pub(crate) place: Arc<Place>,
    /// The entry's bytes, if there is one.
    pub(crate) entry: Option<Bytes>,
}

/// An entry to store, of several.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) identity: Arc<Identity>,
    pub(crate) place: Arc<Place>,
    pub(crate) entry: Vec<u8>,
    pub(crate) timeout: Duration,
}

/// One guard, in whatever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GuardId(u128);

impl GuardId {
    pub(crate) fn new() -> Self {
        GuardId(fastrand::u128(..))
    }
}

impl fmt::Display for GuardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the store did for each of several; or why it did nothing for any.
pub(crate) type Each<T> = Result<Vec<Result<T, Error>>, Error>;

/// Keeps entries and versions. One contract suite runs over all of them.
///
/// `lifetime` is how long versions are kept that a call has to seed.
pub(crate) trait Store {
    /// Reads the versions of the identity's tags, seeding those that are missing, and
    /// the entry under them. The answer is strict: a bump that was acknowledged before
    /// this call began is seen (I2).
    fn look(
        &self,
        access: Access,
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Found, Error>> + Send;

    /// The entry under these versions, one for each of the identity's tags.
    fn fetch(
        &self,
        identity: &Identity,
        versions: &[Version],
        deadline: Deadline,
    ) -> impl Future<Output = Result<Found, Error>> + Send;

    /// As [`look`](Self::look), for several entries and in as few round trips as for one.
    fn look_many(
        &self,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> impl Future<Output = Each<Found>> + Send;

    /// Reads the versions of tags, seeding those that are missing.
    fn versions(
        &self,
        tags: &[Tag],
        lifetime: Duration,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<Version>, Error>> + Send;

    /// Gives each tag a version that it never had, above its present one (I3). One version a
    /// tag, or why it has none: a store in several places may have some of them. The guard that is
    /// named leaves these tags; while they have others, they stay marked, and have no version yet
    /// that could be read.
    fn bump(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
        patience: Duration,
    ) -> impl Future<Output = Vec<Result<Version, Error>>> + Send;

    /// Marks tags of our own for a guard, or says again that it lives: nobody can read their versions
    /// until it has left them, or nothing was heard of it for `hold`. Then they get a fresh version.
    fn mark(
        &self,
        tags: &[Tag],
        guard: GuardId,
        hold: Duration,
        patience: Duration,
    ) -> impl Future<Output = Vec<Result<(), Error>>> + Send;

    /// Keeps an entry for `timeout`, and its tags for longer than that.
    fn put(
        &self,
        identity: &Identity,
        place: &Place,
        entry: Vec<u8>,
        timeout: Duration,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// As [`put`](Self::put), for several entries and in one round trip.
    fn put_many(
        &self,
        entries: Vec<Put>,
        deadline: Deadline,
    ) -> impl Future<Output = Each<()>> + Send;

    /// The bytes at a key, whatever the versions of tags are.
    fn bytes_at(
        &self,
        key: &str,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// Drops one entry; says whether it was there.
    fn remove(
        &self,
        key: &str,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// The store of one cache.
#[derive(Debug)]
pub(crate) enum AnyStore {
    Memory(memory::MemoryStore),
    #[cfg(feature = "redis")]
    Redis(redis::RedisStore),
}

macro_rules! each_store {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            AnyStore::Memory($store) => $call.await,
            #[cfg(feature = "redis")]
            AnyStore::Redis($store) => $call.await,
        }
    };
}

/// How a store is reached from the runtime that polls the caller: found out once for what is done
/// in one poll, as another runtime may do the next. The default is not to know.
#[derive(Default)]
pub(crate) struct Access {
    #[cfg(feature = "redis")]
    link: Option<Arc<redis::Link>>,
}

impl AnyStore {
    pub(crate) fn access(&self) -> Access {
        match self {
            AnyStore::Memory(_) => Access::default(),
            #[cfg(feature = "redis")]
            AnyStore::Redis(store) => Access { link: store.link().ok().flatten() },
        }
    }

    /// What was asked for lately; `None` where nothing can be reached from here.
    #[cfg_attr(not(feature = "redis"), allow(unused_variables))]
    pub(crate) fn identities<'a>(&'a self, access: &'a Access) -> Option<&'a Identities> {
        match self {
            AnyStore::Memory(store) => Some(store.identities()),
            #[cfg(feature = "redis")]
            AnyStore::Redis(store) => store.identities(access.link.as_deref()),
        }
    }

    /// What its near tier knows of the connections; `None` where it needs none, or there is no tier.
    pub(crate) fn ledger(&self) -> Option<&Arc<Ledger>> {
        match self {
            AnyStore::Memory(_) => None,
            #[cfg(feature = "redis")]
            AnyStore::Redis(store) => store.ledger(),
        }
    }

    /// Is it in this process, so that what the near tier keeps need not be stored as well?
    pub(crate) fn is_near(&self) -> bool {
        matches!(self, AnyStore::Memory(_))
    }

    /// How it can be reached; the embedded one is at hand `since` it was built.
    pub(crate) fn reach(&self, since: SystemTime) -> Reach {
        match self {
            AnyStore::Memory(_) => Reach::at_hand(since),
            #[cfg(feature = "redis")]
            AnyStore::Redis(store) => store.reach(since),
        }
    }

    /// Why it could not be reached the last time.
    pub(crate) fn last_error(&self) -> Option<Error> {
        match self {
            AnyStore::Memory(_) => None,
            #[cfg(feature = "redis")]
            AnyStore::Redis(store) => store.last_error(),
        }
    }

    /// Can who runs be known beyond this process?
    pub(crate) fn has_leases(&self) -> bool {
        !self.is_near()
    }

    /// Asks who is to run for the entry at this key, which is missing, or known to be no answer by its
    /// head. Who asks again, while it waits, is told of changes.
    #[cfg_attr(not(feature = "redis"), allow(unused_variables, clippy::unused_async))]
    pub(crate) async fn claim(
        &self,
        key: &str,
        known: &[u8],
        is_waiting: bool,
        deadline: Deadline,
    ) -> Result<Claim, Error> {
        match self {
            AnyStore::Memory(_) => Ok(Claim::Run(None)),
            #[cfg(feature = "redis")]
            AnyStore::Redis(store) => store.claim(key, known, is_waiting, deadline).await,
        }
    }

    /// A guard is gone without leaving its tags. Redis finds out by itself.
    pub(crate) fn abandon(&self, tags: &[Tag], guard: GuardId, hold: Duration) {
        match self {
            AnyStore::Memory(store) => store.abandon(tags, guard, hold),
            #[cfg(feature = "redis")]
            AnyStore::Redis(_) => {}
        }
    }

    /// Bumps without waiting, where that can be done; `false` where it cannot.
    pub(crate) fn bump_at_once(&self, tags: &[Tag], leaving: Option<GuardId>) -> bool {
        match self {
            AnyStore::Memory(store) => store.bump_at_once(tags, leaving).is_ok(),
            #[cfg(feature = "redis")]
            AnyStore::Redis(_) => false,
        }
    }
}

impl Store for AnyStore {
    async fn look(
        &self,
        access: Access,
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        each_store!(self, store => store.look(access, identity, lifetime, deadline))
    }

    async fn fetch(
        &self,
        identity: &Identity,
        versions: &[Version],
        deadline: Deadline,
    ) -> Result<Found, Error> {
        each_store!(self, store => store.fetch(identity, versions, deadline))
    }

    async fn look_many(
        &self,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Each<Found> {
        each_store!(self, store => store.look_many(identities, lifetime, deadline))
    }

    async fn versions(
        &self,
        tags: &[Tag],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Vec<Version>, Error> {
        each_store!(self, store => store.versions(tags, lifetime, deadline))
    }

    async fn bump(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
        patience: Duration,
    ) -> Vec<Result<Version, Error>> {
        each_store!(self, store => store.bump(tags, leaving, patience))
    }

    async fn mark(
        &self,
        tags: &[Tag],
        guard: GuardId,
        hold: Duration,
        patience: Duration,
    ) -> Vec<Result<(), Error>> {
        each_store!(self, store => store.mark(tags, guard, hold, patience))
    }

    async fn put(
        &self,
        identity: &Identity,
        place: &Place,
        entry: Vec<u8>,
        timeout: Duration,
        deadline: Deadline,
    ) -> Result<(), Error> {
        each_store!(self, store => store.put(identity, place, entry, timeout, deadline))
    }

    async fn put_many(&self, entries: Vec<Put>, deadline: Deadline) -> Each<()> {
        each_store!(self, store => store.put_many(entries, deadline))
    }

    async fn bytes_at(&self, key: &str, deadline: Deadline) -> Result<Option<Bytes>, Error> {
        each_store!(self, store => store.bytes_at(key, deadline))
    }

    async fn remove(&self, key: &str, deadline: Deadline) -> Result<bool, Error> {
        each_store!(self, store => store.remove(key, deadline))
    }
}
