//! The installed caches, by name, and the cache of the code that is running.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::cache::Cache;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::inherit::Heir;
use crate::log::warning;
use crate::queue::BumpQueue;
use crate::store::AnyStore;
use crate::store::memory::MemoryStore;
use crate::view::View;

/// The name of the cache that is used where no other is named.
pub(crate) const DEFAULT: &str = "default";

/// Apart from the others, so that finding it takes no lock.
static INSTALLED: ArcSwapOption<Cache> = ArcSwapOption::const_empty();
/// Its lock is also that of installing.
static NAMED: LazyLock<RwLock<HashMap<String, Cache>>> = LazyLock::new(RwLock::default);
static EMBEDDED: LazyLock<ArcSwap<Cache>> = LazyLock::new(|| ArcSwap::from_pointee(new_embedded()));

fn new_embedded() -> Cache {
    let settings = Config::memory().settings;
    let queue = Arc::new(BumpQueue::new(settings.max_queued_bumps));
    let store = AnyStore::Memory(MemoryStore::new(64 << 20, false));
    Cache::new("embedded".to_owned(), settings, store, queue)
}

/// What the code that is running was given by those around it: in one place, as each call asks.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub(crate) cache: Option<Cache>,
    pub(crate) view: Option<Arc<View>>,
    /// Who takes over the tags of cached calls.
    pub(crate) heir: Option<Arc<Heir>>,
}

tokio::task_local! {
    static GIVEN: Given;
}

/// Runs a future whose cached functions, bumps and [`cache()`] use this cache, whatever is
/// installed: for tests and tenants. Tasks that it spawns do not inherit it.
///
/// ```
/// # use fragkeys_runtime::{Config, with_cache, cache};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let mine = Config::memory().prefix("test").build().await?;
/// with_cache(mine, async {
///     cache().entry("answer").set(&42).await
/// })
/// .await?;
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn with_cache<F: Future>(cache: Cache, future: F) -> F::Output {
    GIVEN.scope(Given { cache: Some(cache), ..given() }, future).await
}

/// Runs a future that sees the versions in this way.
pub(crate) async fn with_view<F: Future>(view: View, future: F) -> F::Output {
    GIVEN.scope(Given { view: Some(Arc::new(view)), ..given() }, future).await
}

/// Runs a future whose cached calls tell this heir, and none around it.
/// Not an `async fn`, which would have room for the future twice: calls are nested in calls.
pub(crate) fn with_heir<F: Future>(
    heir: Option<Arc<Heir>>,
    future: F,
) -> impl Future<Output = F::Output> {
    GIVEN.scope(Given { heir, ..given() }, future)
}

/// All that was given to the code that is running.
pub(crate) fn given() -> Given {
    GIVEN.try_with(Given::clone).unwrap_or_default()
}

/// Who takes over the tags of the code that is running.
pub(crate) fn heir() -> Option<Arc<Heir>> {
    GIVEN.try_with(|given| given.heir.clone()).ok().flatten()
}

/// Runs a future, as a task, with what those around have given to the code that spawns it.
pub(crate) async fn with_given<F: Future>(given: Given, future: F) -> F::Output {
    GIVEN.scope(given, future).await
}

/// How the code that is running sees the versions, if it was told.
pub(crate) fn view() -> Option<Arc<View>> {
    GIVEN.try_with(|given| given.view.clone()).ok().flatten()
}

/// The cache that functions use here: [`with_cache`]'s, else the installed one, else the
/// embedded store, which logs once that nothing was installed.
#[must_use]
pub fn cache() -> Cache {
    scope().or_else(installed).unwrap_or_else(embedded)
}

/// The cache that was installed under a name.
///
/// # Errors
///
/// [`ErrorKind::NotInstalled`] if there is none.
pub fn cache_named(name: &str) -> Result<Cache, Error> {
    let found = if name == DEFAULT {
        installed()
    } else {
        NAMED.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    };
    found.ok_or_else(|| {
        Error::new(
            ErrorKind::NotInstalled,
            format!("no cache is installed as `{name}`: call `Config::…install_as(\"{name}\")` at startup"),
        )
    })
}

/// All caches that functions use here: [`with_cache`]'s, else all that are installed, else the
/// embedded store. A bump goes to each, as functions of any may depend on the tag.
pub(crate) fn caches() -> Vec<Cache> {
    if let Some(scoped) = scope() {
        return vec![scoped];
    }
    let mut caches: Vec<Cache> = installed().into_iter().collect();
    caches.extend(NAMED.read().unwrap_or_else(PoisonError::into_inner).values().cloned());
    if caches.is_empty() {
        caches.push(embedded());
    }
    caches
}

/// The cache of a function that names one, and what else was given to it. `cache()` covers
/// the default.
pub(crate) fn given_for(name: &str) -> Result<(Cache, Given), Error> {
    let mut given = given();
    let cache = match given.cache.take() {
        Some(cache) => cache,
        None if name == DEFAULT => installed().unwrap_or_else(embedded),
        None => cache_named(name)?,
    };
    Ok((cache, given))
}

/// Asks that same cache something without counting who has it, which costs the near tier as much
/// as all of its tags. `None` if there is no such cache, or nothing was installed yet.
#[inline]
pub(crate) fn ask_cache_for<T>(
    name: &str,
    ask: impl Fn(&Cache, Option<&Given>) -> Option<T>,
) -> Option<T> {
    let ask_installed = |given: Option<&Given>| match name == DEFAULT {
        true => ask_default(|cache| ask(cache, given)),
        false => ask(&cache_named(name).ok()?, given),
    };
    let asked = GIVEN.try_with(|given| match &given.cache {
        Some(cache) => ask(cache, Some(given)),
        None => ask_installed(Some(given)),
    });
    asked.unwrap_or_else(|_| ask_installed(None))
}

/// Asks the installed cache. Each thread remembers it, as long as it is the same: that is one number to
/// compare, where to find it in common takes two writes that are fenced.
fn ask_default<T>(ask: impl Fn(&Cache) -> Option<T>) -> Option<T> {
    type Remembered = arc_swap::Cache<&'static ArcSwapOption<Cache>, Option<Arc<Cache>>>;
    thread_local! {
        static REMEMBERED: RefCell<Remembered> = RefCell::new(Remembered::new(&INSTALLED));
    }
    let asked = REMEMBERED.try_with(|remembered| {
        let mut remembered = remembered.try_borrow_mut().ok()?;
        Some(ask(remembered.load().as_deref()?))
    });
    match asked {
        Ok(Some(answer)) => answer,
        // Nothing is installed; or the thread ends, or asks while it asks.
        Ok(None) | Err(_) => ask(INSTALLED.load().as_deref()?),
    }
}

pub(crate) fn install(name: String, cache: Cache) -> Result<Cache, Error> {
    let mut named = NAMED.write().unwrap_or_else(PoisonError::into_inner);
    let is_default = name == DEFAULT;
    let is_taken = if is_default { installed().is_some() } else { named.contains_key(&name) };
    if !is_taken && is_default {
        INSTALLED.store(Some(Arc::new(cache.clone())));
    } else if !is_taken {
        named.insert(name.clone(), cache.clone());
    }
    drop(named);
    if is_taken {
        return Err(Error::new(
            ErrorKind::AlreadyInstalled,
            format!("a cache is installed as `{name}` already: install each once, at startup"),
        ));
    }
    Ok(cache)
}

/// Forgets all installed caches and what the embedded store holds, so that a test can install
/// anew. Entries in Redis stay; give each test a prefix of its own.
///
/// For tests that must share a process and its globals; others do better with [`with_cache`].
pub fn reset_for_tests() {
    let mut named = NAMED.write().unwrap_or_else(PoisonError::into_inner);
    named.clear();
    INSTALLED.store(None);
    EMBEDDED.store(Arc::new(new_embedded()));
}

fn installed() -> Option<Cache> {
    INSTALLED.load().as_deref().cloned()
}

/// The cache that [`with_cache`] has set here.
pub(crate) fn scope() -> Option<Cache> {
    GIVEN.try_with(|given| given.cache.clone()).ok().flatten()
}

fn embedded() -> Cache {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        warning!(
            "no cache is installed: using the embedded store of this process; \
             call `Config::redis(…).install().await` at startup to share one"
        );
    }
    Cache::clone(&EMBEDDED.load())
}
