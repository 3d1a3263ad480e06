//! Entries by hand, for what is not a function.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::around::Order;
use crate::cache::Cache;
use crate::call::{Keep, Looked, Request, answer, identify};
use crate::codec::OfCache;
use crate::config::LONGEST_TIMEOUT;
use crate::encode::append_text;
use crate::error::{Error, ErrorKind};
use crate::global;
use crate::key::{Identity, Place};
use crate::outcome::Report;
use crate::store::Access;
use crate::tag::Tag;
use crate::value::{Ops, Plan, Reading, Returns};

/// One entry of a cache, named, tagged, read and written by hand.
///
/// ```
/// # use fragkeys_runtime::{Config, Tag};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Config::memory().build().await?;
/// let entry = cache.entry("campaign_stats").tag(Tag::new("Campaign", 7)).group("weekly");
///
/// entry.set(&1_250_u64).await?;
/// assert_eq!(entry.get::<u64>().await?, Some(1_250));
///
/// cache.invalidate([Tag::new("Campaign", 7)]).await?;
/// assert_eq!(entry.get::<u64>().await?, None);
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two entries are one if their names, groups and tags (in whatever order) are. An entry
/// that was written as another type is a miss.
#[must_use = "an entry does nothing until it is read or written"]
pub struct Entry {
    cache: Cache,
    name: Arc<str>,
    group: Option<String>,
    tags: Vec<Tag>,
    timeout: Option<Duration>,
    /// What the last `get` saw: a `set` that follows writes there (I1).
    looked_at: Mutex<Sight>,
}

/// What a `get` saw.
#[derive(Debug, Default)]
enum Sight {
    /// There was none.
    #[default]
    None,
    Place(Arc<Place>),
    /// A guard held a tag: what is worked out from then on is nobody else's to have.
    Guarded,
}

impl Entry {
    pub(crate) fn new(cache: Cache, name: Arc<str>) -> Self {
        Entry {
            cache,
            name,
            group: None,
            tags: Vec::new(),
            timeout: None,
            looked_at: Mutex::default(),
        }
    }

    /// Makes the entry depend on a tag. Default: on none.
    pub fn tag(self, tag: impl Into<Tag>) -> Self {
        self.tags([tag])
    }

    /// Makes the entry depend on tags.
    pub fn tags<I>(mut self, tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Tag>,
    {
        self.tags.extend(tags.into_iter().map(Into::into));
        self.looked_at = Mutex::default();
        self
    }

    /// Tells entries of one name and the same tags apart. Default: none.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self.looked_at = Mutex::default();
        self
    }

    /// How long the entry lives. Default: the cache's `default_timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The value, if the store has it under the present versions of the tags.
    ///
    /// # Errors
    ///
    /// If the store fails. An entry that cannot be read as a `T` is no error but `None`, and so
    /// is one that depends on a tag whose bump waits for a commit, or is held by a
    /// [`guard`](crate::guard()), or that is older than [`at_least`](crate::at_least) asks for.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let reading = Reading::<T>::of_cache();
        let request = self.request(&reading);
        let mut budget = self.cache.budget();
        let looked = match request.look(&reading, &mut budget).await {
            // The versions all the same: a `set` after the scope is not newer than this.
            Err(error) if matches!(error.kind(), ErrorKind::Held | ErrorKind::Behind) => {
                self.place(&mut budget).await.map(|place| Looked { value: None, place })
            }
            looked => looked,
        };
        let (value, sight) = match looked {
            Ok(Looked { value, place }) => (value, Sight::Place(place)),
            Err(error) if error.kind() == ErrorKind::Guarded => (None, Sight::Guarded),
            Err(error) => return Err(error),
        };
        *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = sight;
        let counters = self.cache.counters();
        if value.is_some() {
            counters.hits.add()
        } else {
            counters.misses.add()
        }
        Ok(value)
    }

    /// Stores a value.
    ///
    /// The first `set` after a [`get`](Self::get) of this `Entry` stores under the versions
    /// which that `get` read, so a bump in between makes the value unreachable. Without one,
    /// under the versions of now: then the value must not be older than this call. Where you
    /// can, use [`get_or_set_with`](Self::get_or_set_with).
    ///
    /// So an `Entry` is for one task at a time: of two that `get` and `set` through one, the
    /// first to `set` takes the versions of the last to `get`. Make another; it is cheap.
    ///
    /// With a timeout below a millisecond nothing is stored, nor inside of
    /// [`on_commit`](crate::on_commit): what a transaction sees is nobody else's to read. The same
    /// while a [`guard`](crate::guard()) holds one of the tags, or did when the `get` looked.
    ///
    /// # Errors
    ///
    /// If the store fails; [`ErrorKind::Codec`] if the cache's codec cannot hold the value,
    /// [`ErrorKind::TooLarge`] if it is above `max_entry_bytes`.
    pub async fn set<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<(), Error> {
        let ops = Ops::<T>::new::<OfCache>();
        let request = self.request(&ops.reading);
        let mut budget = self.cache.budget();
        if !request.may_store() {
            return Ok(());
        }
        let sight =
            std::mem::take(&mut *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner));
        let place = match sight {
            Sight::Place(place) => place,
            Sight::Guarded => return Ok(()),
            Sight::None => match self.place(&mut budget).await {
                Err(error) if error.kind() == ErrorKind::Guarded => return Ok(()),
                place => place?,
            },
        };
        let encoded = request.encode(&ops, value)?;
        let sealed = request.seal(&place, None, encoded)?;
        request.put(&place, sealed, &mut budget).await
    }

    /// Drops this entry, as it is under the present versions of its tags; says whether it was there.
    ///
    /// At once, also inside of [`on_commit`](crate::on_commit): a reader may store it again before
    /// the commit. Bump one of its tags instead, which waits.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn delete(&self) -> Result<bool, Error> {
        let mut budget = self.cache.budget();
        match self.place(&mut budget).await {
            Ok(place) => self.cache.remove(&place, &mut budget).await,
            // Nothing can be there.
            Err(error) if error.kind() == ErrorKind::Guarded => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The value, or what the closure gives, which is then stored. A failing store costs
    /// time and never the answer.
    pub async fn get_or_set_with<T, F, Fut>(&self, make: F) -> T
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        use crate::value::OutputOfAnythingElse as _;
        self.answer(Returns::<T>::new().output().coded::<OfCache>(), make).await
    }

    /// The value, or what the closure gives: an `Ok` is stored, an `Err` is only returned.
    ///
    /// # Errors
    ///
    /// The closure's own, and no other.
    pub async fn get_or_try_set_with<T, E, F, Fut>(&self, make: F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.answer(Returns::<Result<T, E>>::new().output().coded::<OfCache>(), make).await
    }

    /// The key of the entry under the present versions of its tags, for a look with `redis-cli`.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn key(&self) -> Result<String, Error> {
        Ok(self.place(&mut self.cache.budget()).await?.key.clone())
    }

    async fn answer<R, T, F, Fut>(&self, plan: Plan<R, T>, make: F) -> R
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = R>,
    {
        let order = Order::take(&self.name);
        let report = Report::claim();
        let request = self.request(&plan.ops.reading).that_can_hold(
            &plan.ops.reading,
            plan.ops.reading.shape(),
            &report,
        );
        answer(request, plan, report, order, |_| Keep::Usual, async move { make().await }).await
    }

    async fn place(&self, budget: &mut crate::cache::Budget) -> Result<Arc<Place>, Error> {
        Ok(self.cache.look(&self.identity(), self.timeout_or_default(), budget).await?.place)
    }

    fn request<T>(&self, reading: &Reading<T>) -> Request {
        let given = global::given();
        Request {
            cache: self.cache.clone(),
            access: Access::default(),
            identity: Arc::new(self.identity()),
            // A key must be known without the type, so the shape is checked in the entry.
            sealed_with: reading.shape().fingerprint.to_le_bytes().to_vec(),
            timeout: self.timeout_or_default(),
            near: None,
            grace: None,
            is_leased: true,
            name: self.name.clone(),
            view: given.view,
            heir: given.heir,
            is_part: false,
        }
    }

    fn identity(&self) -> Identity {
        /// No function's fingerprint: those are hashes of more than nothing.
        const BY_HAND: u128 = 0;
        let mut arguments = Vec::new();
        append_text(&self.name, &mut arguments);
        arguments.push(u8::from(self.group.is_some()));
        append_text(self.group.as_deref().unwrap_or_default(), &mut arguments);
        let mut tags = self.tags.clone();
        tags.sort_unstable();
        tags.dedup();
        let mut about_tags = (tags.len() as u64).to_le_bytes().to_vec();
        tags.iter().for_each(|tag| append_text(tag.as_str(), &mut about_tags));
        let codec = crate::codec::name_of(self.cache.format());
        identify(&self.cache, &self.name, BY_HAND, codec, &arguments, &about_tags, tags)
    }

    fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or_else(|| self.cache.default_timeout()).min(LONGEST_TIMEOUT)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("group", &self.group)
            .field("tags", &self.tags)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl From<crate::call::Unstorable> for Error {
    fn from(reason: crate::call::Unstorable) -> Self {
        let kind = match reason {
            crate::call::Unstorable::TooLarge { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Codec,
        };
        Error::new(kind, reason.to_string())
    }
}
