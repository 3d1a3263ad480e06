//! Configuration: what a cache is made of. Setters never fail; building does.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::codec::{CacheCodec, Format};
use crate::error::{Error, ErrorKind};
use crate::fragmented_keys::FragmentedKeys;
use crate::global;
use crate::near::Near;
use crate::queue::BumpQueue;
use crate::store::AnyStore;
use crate::store::memory::MemoryStore;

mod redis;

#[cfg_attr(not(feature = "redis"), allow(unused_imports))]
pub(crate) use self::redis::{Layout, Login, Servers};

/// How to build a cache.
///
/// ```
/// # use std::time::Duration;
/// # use fragkeys_runtime::Config;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let cache = Config::memory()
///     .prefix("shop")
///     .default_timeout(Duration::from_secs(600))
///     .build()
///     .await?;
/// # let _ = cache; Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a configuration does nothing until `install`, `install_as` or `build`"]
pub struct Config {
    location: Location,
    pub(crate) settings: Settings,
    max_bytes: u64,
    /// A setting that this location does not have.
    misplaced: Option<&'static str>,
}

#[derive(Clone)]
enum Location {
    Memory,
    Redis(Box<Servers>),
}

/// What a running cache needs to know of its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) prefix: String,
    pub(crate) epoch: u64,
    pub(crate) default_timeout: Duration,
    pub(crate) operation_timeout: Duration,
    pub(crate) tag_lifetime: Duration,
    pub(crate) guard_timeout: Duration,
    pub(crate) max_entry_bytes: usize,
    pub(crate) max_queued_bumps: usize,
    pub(crate) flight_wait: Duration,
    pub(crate) max_flight_waiters: usize,
    pub(crate) max_refreshes: usize,
    pub(crate) max_queued_refreshes: usize,
    pub(crate) retry_after: Duration,
    pub(crate) lease_wait: Duration,
    pub(crate) lease_timeout: Duration,
    pub(crate) format: Format,
    pub(crate) also_bump: Vec<FragmentedKeys>,
    pub(crate) near: Option<Near>,
}

/// Below it, nothing is stored.
pub(crate) const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// No entry lives longer, whatever its timeout says; keeps sums of times from overflowing.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Config {
    /// A cache in this process: the embedded store, bounded by [`max_bytes`](Self::max_bytes).
    /// Each one built is a store of its own.
    pub fn memory() -> Self {
        Config::at(Location::Memory)
    }

    /// Reads the environment: `FRAGKEYS_URL` (as for [`redis`](Self::redis); unset, empty or
    /// `memory://` is the embedded store) and `FRAGKEYS_PREFIX`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if a variable is not UTF-8, or the URL is of no known kind.
    pub fn from_env() -> Result<Self, Error> {
        let config = match variable("FRAGKEYS_URL")? {
            None => Config::memory(),
            Some(url) if url == "memory://" || url == "memory:" => Config::memory(),
            Some(url) if ["redis", "valkey", "unix:"].iter().any(|kind| url.starts_with(kind)) => {
                Config::redis(url)
            }
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "FRAGKEYS_URL must begin with `redis://`, `redis+unix://` or `memory://`",
                ));
            }
        };
        Ok(match variable("FRAGKEYS_PREFIX")? {
            Some(prefix) => config.prefix(prefix),
            None => config,
        })
    }

    fn at(location: Location) -> Self {
        Config {
            location,
            settings: Settings {
                prefix: "fragkeys".to_owned(),
                epoch: 0,
                default_timeout: Duration::from_secs(3_600),
                operation_timeout: Duration::from_millis(250),
                tag_lifetime: Duration::from_secs(30 * 86_400),
                guard_timeout: Duration::from_secs(30),
                max_entry_bytes: 8 << 20,
                max_queued_bumps: 10_000,
                flight_wait: Duration::from_secs(10),
                max_flight_waiters: 100_000,
                max_refreshes: 64,
                max_queued_refreshes: 1_000,
                retry_after: Duration::from_secs(1),
                lease_wait: Duration::from_secs(5),
                lease_timeout: Duration::from_millis(750),
                format: Format::Bincode,
                also_bump: Vec::new(),
                near: None,
            },
            max_bytes: 64 << 20,
            misplaced: None,
        }
    }

    /// What all keys begin with. Default: `fragkeys`. Programs that share a prefix share
    /// tags, and entries of functions with the same path.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// A generation of all entries. Default: 0. Another number makes each one miss.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.settings.epoch = epoch;
        self
    }

    /// How long an entry lives where a function does not say. Default: 1 hour.
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.settings.default_timeout = timeout;
        self
    }

    /// What the store may add to one call, reading and writing together, before the call
    /// goes on without it. Default: 250 ms.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.operation_timeout = timeout;
        self
    }

    /// How long Redis keeps a tag after a bump, or after an entry was stored with it. Default:
    /// 30 days; at least twice that entry's timeout, at most 10 years. A tag that is gone costs
    /// its entries one miss. One that no entry was stored with is kept for twice the timeout of
    /// the function that asked for it, at least an hour.
    pub fn tag_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.tag_lifetime = lifetime.min(LONGEST_TIMEOUT);
        self
    }

    /// When a [`guard`](crate::guard()) of which nothing is heard is taken for dead. Default: 30 seconds;
    /// at least 100 ms, at most a day.
    ///
    /// For so long at most, what depends on its tags is not cached after its process has died, or its
    /// future was dropped. It must be longer than a commit can take that was under way then, and than
    /// a process may stand still; with a clock that is put forward by more than that, a guard ends
    /// early.
    pub fn guard_timeout(mut self, timeout: Duration) -> Self {
        self.settings.guard_timeout = timeout;
        self
    }

    /// Entries above this many bytes are not stored. Default: 8 MiB.
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_entry_bytes = bytes;
        self
    }

    /// How many failed bumps wait to be retried. Default: 10,000 tags. Past it, all of them
    /// become one bump of the whole cache: nothing is lost, at the price of misses.
    pub fn max_queued_bumps(mut self, tags: usize) -> Self {
        self.settings.max_queued_bumps = tags;
        self
    }

    /// How long a call waits for the run of another one for the same, before it runs itself.
    /// Default: 10 s; zero turns the sharing of runs off.
    ///
    /// Set it above what your slowest function takes: past it, all who wait for that run. It is
    /// what ends a wait that nothing else can end: a function that spawns a task which calls the
    /// function with the same arguments, and waits for it; two functions that call each other
    /// from two tasks.
    pub fn flight_wait(mut self, longest: Duration) -> Self {
        self.settings.flight_wait = longest;
        self
    }

    /// How many calls wait for one run. Default: 100,000. Those past it run themselves.
    pub fn max_flight_waiters(mut self, calls: usize) -> Self {
        self.settings.max_flight_waiters = calls;
        self
    }

    /// How many runs of this process nobody waits for, at once. Default: 64.
    ///
    /// They are those of functions with `stale_while_revalidate`, `refresh_ahead` or `soft_timeout`
    /// whose arguments are owned. Past it, one that is to begin waits for its turn, and one that a
    /// caller would hand over stays that caller's. With 0 there are none: the caller who finds an
    /// old value runs, and the others are given it.
    pub fn max_refreshes(mut self, runs: usize) -> Self {
        self.settings.max_refreshes = runs;
        self
    }

    /// How many such runs wait for their turn. Default: 1,000. Past it, a call is given the old
    /// value and begins no run: the next one tries again. [`Stats::refused_refreshes`] counts them.
    ///
    /// [`Stats::refused_refreshes`]: crate::Stats::refused_refreshes
    pub fn max_queued_refreshes(mut self, runs: usize) -> Self {
        self.settings.max_queued_refreshes = runs;
        self
    }

    /// How long after a failed run nobody runs again, where an old value can be given instead.
    /// Default: 1 second; zero lets each call try.
    ///
    /// It is for each entry, and in this process. After it, one call runs, and the others are given
    /// the old value until it has succeeded.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.settings.retry_after = pause;
        self
    }

    /// How long a call waits for the run of another process, before it runs itself. Default: 5 s;
    /// zero turns leases off. Not for an embedded store, which is one process's.
    ///
    /// Of all processes that miss an entry, one runs: it takes a lease in Redis and renews it while
    /// it runs. The others have the value as soon as it is stored. A process that is killed loses
    /// its lease within [`lease_timeout`](Self::lease_timeout), and another one runs. In each process
    /// one call waits for that and
    /// its flight waits for it, so keep this below [`flight_wait`](Self::flight_wait), and above what
    /// your slowest function takes: past it, one call of each process runs.
    ///
    /// Without `flight_wait` there are no leases, either.
    pub fn lease_wait(mut self, longest: Duration) -> Self {
        self.settings.lease_wait = longest;
        self
    }

    /// When a lease of which nothing is heard is taken for that of a dead process, and another one runs.
    /// Default: 750 ms; at least 100 ms, at most a minute.
    ///
    /// Each process renews its leases three times in that time. One that stands still for longer (it
    /// was paused, or its machine has too much to do) loses them, which costs runs and nothing else.
    pub fn lease_timeout(mut self, timeout: Duration) -> Self {
        self.settings.lease_timeout = timeout;
        self
    }

    /// Where each bump is also written, so that a Python application with `fragmented_keys` on the
    /// same Redis sees it, in the same round trip. Default: nowhere. Several are possible.
    ///
    /// [`invalidate_all`](Cache::invalidate_all) is ours alone: the original has no such version.
    pub fn also_bump(mut self, original: FragmentedKeys) -> Self {
        self.settings.also_bump.push(original);
        self
    }

    /// The memory of an embedded store, in bytes. Default: 64 MiB. Redis has its own `maxmemory`.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Keeps decoded values in this process as well. Default: no near tier, each hit is strict.
    ///
    /// With one, a hit may be late by the way that Redis's word of a bump takes through the
    /// network, and never by more than [`Near::max_staleness`]. In the process that bumped it is
    /// not late. Over an embedded store it is never late, and takes the place of the entries there.
    pub fn near(mut self, near: Near) -> Self {
        self.settings.near = Some(near);
        self
    }

    /// The codec of functions that name none. Default: [`Bincode`](crate::Bincode).
    pub fn codec<C: CacheCodec>(mut self) -> Self {
        self.settings.format = C::FORMAT;
        self
    }

    /// Builds the cache and makes it the one that functions, `invalidate!` and
    /// [`cache()`](crate::cache()) use.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyInstalled`] if there is one, [`ErrorKind::Config`] if a setting
    /// cannot be used. Redis being away is no error.
    pub async fn install(self) -> Result<Cache, Error> {
        self.install_as(global::DEFAULT).await
    }

    /// Builds the cache and installs it under a name, for functions with `cache_name = "…"`.
    ///
    /// # Errors
    ///
    /// As [`install`](Self::install).
    pub async fn install_as(self, name: impl Into<String>) -> Result<Cache, Error> {
        let name = name.into();
        global::install(name.clone(), self.build_as(name)?)
    }

    /// Builds a cache that nothing uses but who has it: for tests, tenants, and
    /// [`with_cache`](crate::with_cache).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if a setting cannot be used.
    pub async fn build(self) -> Result<Cache, Error> {
        self.build_as("unnamed".to_owned())
    }

    pub(crate) fn build_as(self, name: String) -> Result<Cache, Error> {
        self.check()?;
        let queue = Arc::new(BumpQueue::new(self.settings.max_queued_bumps));
        let store = match &self.location {
            Location::Memory => {
                let has_near = self.settings.near.is_some();
                AnyStore::Memory(MemoryStore::new(self.max_bytes, has_near))
            }
            #[cfg(feature = "redis")]
            Location::Redis(servers) => {
                let store =
                    crate::store::redis::RedisStore::open(servers, &self.settings, queue.clone())?;
                store.connect();
                AnyStore::Redis(store)
            }
            #[cfg(not(feature = "redis"))]
            Location::Redis(_) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "this build has no Redis store: turn on fragkeys' feature `redis`",
                ));
            }
        };
        Ok(Cache::new(name, self.settings, store, queue))
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(setting) = self.misplaced {
            let message = format!("`{setting}` is about Redis, and this cache is not there");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let settings = &self.settings;
        let problem = if settings.operation_timeout < Duration::from_millis(1) {
            "operation_timeout is below a millisecond: no store could answer; the default is 250 ms"
        } else if settings.operation_timeout > Duration::from_secs(3_600) {
            "operation_timeout is above an hour: a call would wait that long for a hung store"
        } else if settings.default_timeout < SHORTEST_TIMEOUT {
            "default_timeout is below a millisecond: nothing would be cached"
        } else if settings.tag_lifetime < Duration::from_secs(1) {
            "tag_lifetime is below a second: tags would be gone before their entries"
        } else if settings.guard_timeout < Duration::from_millis(100) {
            "guard_timeout is below 100 ms: a guard could not tell in time that it lives"
        } else if settings.guard_timeout > Duration::from_secs(86_400) {
            "guard_timeout is above a day: for so long nothing would be cached after a crash"
        } else if settings.max_queued_bumps == 0 {
            "max_queued_bumps is zero: a failed bump would bump the whole cache"
        } else if settings.flight_wait > Duration::from_secs(3_600) {
            "flight_wait is above an hour: a call would wait that long for a run that hangs"
        } else if settings.retry_after > Duration::from_secs(3_600) {
            "retry_after is above an hour: for so long a source that works again would not be asked"
        } else if settings.lease_wait > Duration::from_secs(3_600) {
            "lease_wait is above an hour: a call would wait that long for a run that hangs"
        } else if settings.lease_timeout < Duration::from_millis(100) {
            "lease_timeout is below 100 ms: a lease could not be renewed in time"
        } else if settings.lease_timeout > Duration::from_secs(60) {
            "lease_timeout is above a minute: for so long nobody would run where a process was killed"
        } else if settings.prefix.is_empty() {
            "prefix is empty: it keeps this cache's keys apart from others in the same Redis"
        } else if let Some(problem) = settings.near.and_then(|near| near.problem()) {
            problem
        } else if self.is_cluster() && !settings.also_bump.is_empty() {
            "`also_bump` is not for clusters: `fragmented_keys` has keys that stand in two places"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, problem))
    }
}

fn variable(name: &str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(ErrorKind::Config, format!("{name} is not UTF-8")))
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let location = match &self.location {
            Location::Memory => "memory",
            Location::Redis(_) => "redis",
        };
        f.debug_struct("Config")
            .field("location", &location)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
