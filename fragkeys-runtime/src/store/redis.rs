//! The Redis store, and the only place that knows the `redis` crate.
//!
//! Layout: `{prefix}:t:{tag}` holds a version in decimal ASCII, `{prefix}:v:{key_name}:{hash}`
//! an entry, `{prefix}:l:…` a lease. A look is one round trip where this process knows the versions already:
//! it asks for them and for the entry under them at once, and believes the entry only
//! if the versions that came back are the ones it assumed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use quick_cache::sync::DefaultLifecycle;
use redis::{Value, cmd};

use self::lease::Leases;
pub(crate) use self::lease::{Grant, Watch};
use self::link::Failure;
pub(super) use self::link::Link;
pub(crate) use self::look::Ready;
use self::recent::Recent;
use self::reply::{nonsense, read_entry, refusal};
use self::route::Route;
use super::identity::Identities;
use super::memory::{Weight, sized_cache_with};
use super::{Access, Deadline, Each, Found, GuardId, Put, Store};
use crate::broken::leaves_out;
use crate::cache::outliving;
use crate::config::{Layout, Servers, Settings};
use crate::error::{Error, ErrorKind};
use crate::health::Reach;
use crate::key::{Identity, Place, version_key};
use crate::near::Ledger;
use crate::queue::BumpQueue;
use crate::seeded::Seeded;
use crate::tag::{Kind, Tag};
use crate::version::Version;

mod bump;
mod cell;
mod cluster;
mod guard;
mod job;
mod lease;
mod link;
mod look;
mod node;
mod put_many;
mod read;
mod recent;
mod reply;
mod route;
mod script;
mod sentinel;
mod server;
#[cfg_attr(not(feature = "tls"), path = "redis/no_tls.rs")]
mod tls;

/// Bytes of remembered versions. They are only guesses at what Redis will answer.
const GUESS_BYTES: u64 = 8 << 20;
/// Tags in one run of a script: bounds how long Redis does nothing else.
const TAGS_PER_RUN: usize = 10_000;

pub(crate) struct RedisStore {
    route: Route,
    leases: Arc<Leases>,
    recent: Arc<Recent>,
    prefix: String,
    /// How long a tag is kept after a bump, or a store with it.
    tag_lifetime: Duration,
    /// What Redis told last.
    guesses: quick_cache::sync::Cache<Tag, Guess, Weight, Seeded>,
    /// What the near tier knows of the connections, if there is one.
    ledger: Option<Arc<Ledger>>,
}

/// What is probably true of a tag.
#[derive(Clone, Copy)]
struct Guess {
    version: Version,
    /// Until when Redis was asked to keep it, by this process and since this version.
    kept_until: Instant,
}

impl RedisStore {
    /// Bumps that turn out to be lost, and cannot be made up for at once, go to the queue.
    pub(crate) fn open(
        servers: &Servers,
        settings: &Settings,
        queue: Arc<BumpQueue>,
    ) -> Result<Self, Error> {
        let is_cluster = matches!(servers.layout, Layout::Cluster(_));
        let recent = Arc::new(Recent::new(settings, queue, is_cluster));
        let ledger = settings.near.map(|near| Arc::new(Ledger::new(near.max_staleness)));
        let route = Route::open(servers, settings, recent.clone(), ledger.clone())?;
        Ok(RedisStore {
            leases: Leases::new(route.beside(), settings),
            route,
            recent,
            prefix: settings.prefix.clone(),
            tag_lifetime: settings.tag_lifetime,
            guesses: sized_cache_with(
                GUESS_BYTES,
                Weight,
                Seeded::at_random(),
                DefaultLifecycle::default(),
            ),
            ledger,
        })
    }

    pub(crate) fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger.as_ref()
    }

    fn has_near(&self) -> bool {
        self.ledger.is_some()
    }

    /// Begins to connect; a call that comes meanwhile waits for it.
    pub(crate) fn connect(&self) {
        self.route.connect();
    }

    /// What leads to all keys, if one connection does.
    pub(super) fn link(&self) -> Result<Option<Arc<Link>>, Error> {
        self.route.link()
    }

    pub(super) fn identities<'a>(&'a self, link: Option<&'a Link>) -> Option<&'a Identities> {
        self.route.identities(link)
    }

    pub(crate) fn reach(&self, since: SystemTime) -> Reach {
        self.route.reach(since)
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        self.route.last_error()
    }

    fn guess(&self, tags: &[Tag]) -> Option<Vec<Version>> {
        tags.iter().map(|tag| Some(self.guesses.get(tag)?.version)).collect()
    }

    /// Remembers versions that Redis told; and for how long it keeps them, if that was said.
    fn remember<'a>(
        &self,
        versions: impl IntoIterator<Item = (&'a Tag, Version)>,
        lifetime: Option<Duration>,
    ) {
        let now = Instant::now();
        for (tag, version) in versions {
            let before = || self.guesses.get(tag).filter(|guess| guess.version == version);
            let kept_until = match lifetime {
                Some(lifetime) => now + lifetime,
                None => before().map_or(now, |before| before.kept_until),
            };
            self.guesses.insert(tag.clone(), Guess { version, kept_until });
        }
    }

    /// The tags that Redis may drop within half of this lifetime.
    fn short_lived(&self, tags: &[Tag], lifetime: Duration) -> Vec<(Tag, Guess)> {
        let soon = Instant::now() + lifetime / 2;
        let is_short = |guess: &Guess| guess.kept_until < soon;
        // Whatever stands at others' keys is theirs to keep.
        let own = tags.iter().filter(|tag| tag.kind() == Kind::Own);
        own.filter_map(|tag| Some((tag.clone(), self.guesses.get(tag).filter(is_short)?))).collect()
    }

    fn version_key(&self, tag: &Tag) -> String {
        version_key(&self.prefix, tag)
    }

    fn version_keys(&self, tags: &[Tag]) -> Vec<String> {
        tags.iter().map(|tag| self.version_key(tag)).collect()
    }
}

impl Store for RedisStore {
    async fn look(
        &self,
        access: Access,
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let link = match access.link {
            None => self.route.link()?,
            known => known,
        };
        let Some(link) = link else {
            return Box::pin(self.look_everywhere(identity, lifetime, deadline)).await;
        };
        if let Some(live) = link.live_now()
            && let Some(cells) = &live.cells
            && let Some(place) = self.ready(cells, identity)
            && let Some(ready) = &place.ready
        {
            match live.look(&place, &ready.get, deadline).await {
                // A version that has moved since may have done so before the entry was read.
                Ok(reply) if place.is_current(cells) || leaves_out("guard") => {
                    return Ok(Found { place, entry: read_entry(reply)? });
                }
                Ok(_) | Err(Failure::Lost(_)) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        // Boxed, so that a hit does not carry the room for it around.
        Box::pin(self.look_anew(&link, identity, lifetime, deadline)).await
    }

    async fn fetch(
        &self,
        identity: &Identity,
        versions: &[Version],
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let place = identity.at(versions);
        let entry = read_entry(self.route.one(self.get(&place.key), deadline).await?)?;
        // While these are the present versions, the near tier may keep what stands under them.
        let live = self.route.link()?.and_then(|link| link.live_now());
        let cells = live.as_ref().and_then(|live| live.cells.as_ref());
        let ready = cells.and_then(|cells| self.ready(cells, identity));
        let place = match ready {
            Some(ready) if ready.address == place.address => ready,
            _ => Arc::new(place),
        };
        Ok(Found { place, entry })
    }

    async fn look_many(
        &self,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Each<Found> {
        let Some(link) = self.route.link()? else {
            return Ok(self.look_many_everywhere(identities, lifetime, deadline).await);
        };
        let live = link.live(deadline).await?;
        match self.look_many_through(&live, identities, lifetime, deadline).await {
            Err(Failure::Lost(_)) => {
                let live = link.live(deadline).await?;
                Ok(self.look_many_through(&live, identities, lifetime, deadline).await?)
            }
            found => Ok(found?),
        }
    }

    async fn versions(
        &self,
        tags: &[Tag],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Vec<Version>, Error> {
        let known = self.read(tags, deadline).await?;
        self.complete(tags, known, lifetime, deadline).await
    }

    async fn bump(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
        patience: Duration,
    ) -> Vec<Result<Version, Error>> {
        let mut versions = Vec::with_capacity(tags.len());
        for tags in tags.chunks(TAGS_PER_RUN) {
            versions.extend(self.bump_lastingly(tags, leaving, Deadline::after(patience)).await);
        }
        versions
    }

    async fn mark(
        &self,
        tags: &[Tag],
        guard: GuardId,
        hold: Duration,
        patience: Duration,
    ) -> Vec<Result<(), Error>> {
        let mut marked = Vec::with_capacity(tags.len());
        for tags in tags.chunks(TAGS_PER_RUN) {
            marked.extend(self.mark_some(tags, guard, hold, Deadline::after(patience)).await);
        }
        marked
    }

    async fn put(
        &self,
        identity: &Identity,
        place: &Place,
        entry: Vec<u8>,
        timeout: Duration,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let lifetime = self.tag_lifetime.max(outliving(timeout));
        let short_lived = self.short_lived(&identity.tags, lifetime);
        let extensions = short_lived.iter().map(|(tag, _)| self.extend(tag, lifetime));
        let set = self.set(&place.key, entry, timeout);
        let commands = std::iter::once(set).chain(extensions).collect();
        let mut replies = self.route.send(commands, deadline).await.into_iter();
        match replies.next().unwrap_or_else(|| Err(nonsense("no reply")))? {
            Value::Okay => {}
            other => return Err(refusal(other)),
        }
        let kept_until = Instant::now() + lifetime;
        for ((tag, guess), extended) in short_lived.into_iter().zip(replies) {
            if matches!(extended, Ok(Value::Int(_))) {
                self.guesses.insert(tag, Guess { kept_until, ..guess });
            }
        }
        Ok(())
    }

    async fn put_many(&self, entries: Vec<Put>, deadline: Deadline) -> Each<()> {
        self.put_all(entries, deadline).await
    }

    async fn bytes_at(&self, key: &str, deadline: Deadline) -> Result<Option<Bytes>, Error> {
        read_entry(self.route.one(self.get(key), deadline).await?)
    }

    async fn remove(&self, key: &str, deadline: Deadline) -> Result<bool, Error> {
        // With its lease: who still runs for it began before.
        let keys = std::iter::once(key.to_owned()).chain(self.lease_key(key));
        let delete = |key: String| {
            let mut delete = cmd("DEL");
            delete.arg(&key);
            self.route.command(&key, delete)
        };
        let replies = self.route.send(keys.map(delete).collect(), deadline).await;
        match replies.into_iter().next().unwrap_or_else(|| Err(nonsense("no reply")))? {
            Value::Int(removed) => Ok(removed > 0),
            other => Err(refusal(other)),
        }
    }
}

fn nobody_wrote(tag: &Tag) -> Error {
    let message = format!(
        "there is no text at the key of `{tag}`, so there is no telling when it changes: \
         what depends on it is cached once its owner has written one"
    );
    Error::new(ErrorKind::Tag, message)
}

/// Where a script finds a tag's version; and of the original's, what was last written there.
fn script_keys(prefix: &str, tag: &Tag) -> impl Iterator<Item = String> {
    let ours = || format!("{prefix}:t:{}", tag.as_str());
    let last_written = (tag.kind() == Kind::Original).then(ours);
    std::iter::once(version_key(prefix, tag)).chain(last_written)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.route.address())
            .field("prefix", &self.prefix)
            .finish()
    }
}
