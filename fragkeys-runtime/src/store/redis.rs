//! The Redis store, and the only place that knows the `redis` crate.
//!
//! Layout: `{prefix}:t:{tag}` holds a version in decimal ASCII, `{prefix}:v:{key_name}:{hash}`
//! an entry. A look is one round trip where this process knows the versions already:
//! it asks for them and for the entry under them at once, and believes the entry only
//! if the versions that came back are the ones it assumed.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{Pipeline, ServerErrorKind, Value};

use self::link::Links;
use self::script::{BUMP, SEED, Script};
use super::memory::{Weight, sized_cache};
use super::{Found, Store};
use crate::cache::outliving;
use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use crate::key::{Identity, Place, version_key};
use crate::tag::{Tag, Version};

mod link;
mod script;

/// Bytes of remembered versions. They are only guesses at what Redis will answer.
const GUESS_BYTES: u64 = 8 << 20;
/// Tags in one run of a script: bounds how long Redis does nothing else.
const TAGS_PER_RUN: usize = 10_000;

pub(crate) struct RedisStore {
    links: Links,
    prefix: String,
    /// How long a tag is kept after a bump, or a store with it.
    tag_lifetime: Duration,
    /// What Redis told last.
    guesses: quick_cache::sync::Cache<Tag, Guess, Weight>,
}

/// What is probably true of a tag.
#[derive(Clone, Copy)]
struct Guess {
    version: Version,
    /// Until when Redis was asked to keep it, by this process and since this version.
    kept_until: Instant,
}

impl RedisStore {
    pub(crate) fn open(url: &str, settings: &Settings) -> Result<Self, Error> {
        Ok(RedisStore {
            links: Links::open(url, settings.operation_timeout)?,
            prefix: settings.prefix.clone(),
            tag_lifetime: settings.tag_lifetime,
            guesses: sized_cache(GUESS_BYTES),
        })
    }

    /// Begins to connect; a call that comes meanwhile waits for it.
    pub(crate) fn connect(&self) {
        // Without a runtime there is nothing to begin with; the first call will say so.
        let _ = self.links.here();
    }

    async fn send(
        &self,
        pipeline: &Pipeline,
        replies: usize,
        until: Instant,
    ) -> Result<std::vec::IntoIter<Value>, Error> {
        let values = self.links.here()?.send(pipeline, replies, until).await?;
        if values.len() == replies {
            Ok(values.into_iter())
        } else {
            Err(nonsense("another number of replies than commands"))
        }
    }

    /// Runs a script over tags, `TAGS_PER_RUN` a round trip, and remembers the versions it gives.
    async fn run(
        &self,
        script: &Script,
        tags: &[Tag],
        lifetime: Duration,
        patience: Duration,
    ) -> Result<Vec<Version>, Error> {
        let mut versions = Vec::with_capacity(tags.len());
        for tags in tags.chunks(TAGS_PER_RUN) {
            let until = Instant::now() + patience;
            let keys: Vec<_> = tags.iter().map(|tag| version_key(&self.prefix, tag)).collect();
            let call = script.call(&keys, lifetime);
            let mut reply = self.one(&call, until).await?;
            if is_error(&reply, ServerErrorKind::NoScript) {
                reply = self.one(&script.call_with_source(&keys, lifetime), until).await?;
            }
            let given = read_versions(reply)?
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .filter(|given| given.len() == tags.len())
                .ok_or_else(|| nonsense("something else than versions from a script"))?;
            self.remember(tags, &given, Some(lifetime));
            versions.extend(given);
        }
        Ok(versions)
    }

    async fn one(&self, pipeline: &Pipeline, until: Instant) -> Result<Value, Error> {
        let mut replies = self.send(pipeline, 1, until).await?;
        replies.next().ok_or_else(|| nonsense("no reply"))
    }

    /// Fills in the versions of tags that Redis does not have, or has something else for.
    async fn complete(
        &self,
        tags: &[Tag],
        known: Vec<Option<Version>>,
        lifetime: Duration,
        until: Instant,
    ) -> Result<Vec<Version>, Error> {
        if known.len() != tags.len() {
            return Err(nonsense("another number of versions than tags"));
        }
        let is_missing =
            |(tag, version): (&Tag, &Option<Version>)| version.is_none().then(|| tag.clone());
        let missing: Vec<Tag> = tags.iter().zip(&known).filter_map(is_missing).collect();
        // All entries depend on the root, which is one tag and the first one.
        let roots = usize::from(missing.first().is_some_and(Tag::is_root));
        let (root, others) = missing.split_at(roots);
        let mut seeded = self.seed(root, self.tag_lifetime.max(lifetime), until).await?;
        seeded.extend(self.seed(others, lifetime, until).await?);
        let mut seeded = seeded.into_iter();
        let versions: Option<Vec<_>> =
            known.into_iter().map(|version| version.or_else(|| seeded.next())).collect();
        let versions = versions.ok_or_else(|| nonsense("fewer versions than tags"))?;
        self.remember(tags, &versions, None);
        Ok(versions)
    }

    async fn seed(
        &self,
        tags: &[Tag],
        lifetime: Duration,
        until: Instant,
    ) -> Result<Vec<Version>, Error> {
        self.run(&SEED, tags, lifetime, until.saturating_duration_since(Instant::now())).await
    }

    fn guess(&self, tags: &[Tag]) -> Option<Vec<Version>> {
        tags.iter().map(|tag| Some(self.guesses.get(tag)?.version)).collect()
    }

    /// Remembers versions that Redis told; and for how long it keeps them, if that was said.
    fn remember(&self, tags: &[Tag], versions: &[Version], lifetime: Option<Duration>) {
        let now = Instant::now();
        for (tag, &version) in tags.iter().zip(versions) {
            let before = self.guesses.get(tag).filter(|guess| guess.version == version);
            let kept_until = match (lifetime, before) {
                (Some(lifetime), _) => now + lifetime,
                (None, Some(before)) => before.kept_until,
                (None, None) => now,
            };
            self.guesses.insert(tag.clone(), Guess { version, kept_until });
        }
    }

    /// The tags that Redis may drop within half of this lifetime.
    fn short_lived(&self, tags: &[Tag], lifetime: Duration) -> Vec<(Tag, Guess)> {
        let soon = Instant::now() + lifetime / 2;
        let is_short = |guess: &Guess| guess.kept_until < soon;
        tags.iter()
            .filter_map(|tag| Some((tag.clone(), self.guesses.get(tag).filter(is_short)?)))
            .collect()
    }

    fn version_keys(&self, tags: &[Tag]) -> Vec<String> {
        tags.iter().map(|tag| version_key(&self.prefix, tag)).collect()
    }
}

impl Store for RedisStore {
    async fn look(
        &self,
        identity: &Identity,
        lifetime: Duration,
        patience: Duration,
    ) -> Result<Found, Error> {
        let until = Instant::now() + patience;
        let tags = &identity.tags;
        let guess = self.guess(tags).map(|versions| (identity.at(&versions), versions));

        let mut pipeline = Pipeline::new();
        pipeline.cmd("MGET").arg(self.version_keys(tags));
        if let Some((place, _)) = &guess {
            pipeline.cmd("GET").arg(&place.key);
        }
        let mut replies = self.send(&pipeline, 1 + usize::from(guess.is_some()), until).await?;
        let known = read_versions(replies.next().unwrap_or(Value::Nil))?;

        if let Some((place, guessed)) = guess
            && known.iter().copied().eq(guessed.iter().map(|version| Some(*version)))
        {
            let entry = read_entry(replies.next().unwrap_or(Value::Nil))?;
            return Ok(Found { place, entry });
        }
        let versions = self.complete(tags, known, lifetime, until).await?;
        let place = identity.at(&versions);
        let mut pipeline = Pipeline::new();
        pipeline.cmd("GET").arg(&place.key);
        let entry = read_entry(self.one(&pipeline, until).await?)?;
        Ok(Found { place, entry })
    }

    async fn versions(
        &self,
        tags: &[Tag],
        lifetime: Duration,
        patience: Duration,
    ) -> Result<Vec<Version>, Error> {
        let until = Instant::now() + patience;
        let mut pipeline = Pipeline::new();
        pipeline.cmd("MGET").arg(self.version_keys(tags));
        let known = read_versions(self.one(&pipeline, until).await?)?;
        self.complete(tags, known, lifetime, until).await
    }

    async fn bump(&self, tags: &[Tag], patience: Duration) -> Result<Vec<Version>, Error> {
        self.run(&BUMP, tags, self.tag_lifetime, patience).await
    }

    async fn put(
        &self,
        identity: &Identity,
        place: &Place,
        entry: Vec<u8>,
        timeout: Duration,
        patience: Duration,
    ) -> Result<(), Error> {
        let lifetime = self.tag_lifetime.max(outliving(timeout));
        let short_lived = self.short_lived(&identity.tags, lifetime);
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg(&place.key).arg(entry).arg("PX").arg(script::millis(timeout));
        for (tag, _) in &short_lived {
            let key = version_key(&self.prefix, tag);
            pipeline.cmd("PEXPIRE").arg(key).arg(script::millis(lifetime)).arg("GT");
        }
        let until = Instant::now() + patience;
        let mut replies = self.send(&pipeline, 1 + short_lived.len(), until).await?;
        match replies.next() {
            Some(Value::Okay) => {}
            other => return Err(refusal(other.unwrap_or(Value::Nil))),
        }
        let kept_until = Instant::now() + lifetime;
        for (tag, guess) in short_lived {
            self.guesses.insert(tag, Guess { kept_until, ..guess });
        }
        Ok(())
    }

    async fn remove(&self, key: &str, patience: Duration) -> Result<bool, Error> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("DEL").arg(key);
        match self.one(&pipeline, Instant::now() + patience).await? {
            Value::Int(removed) => Ok(removed > 0),
            other => Err(refusal(other)),
        }
    }
}

/// One version a tag; `None` where Redis has none, or something that is none (a
/// stranger's text, a list, a number that no clock gave).
fn read_versions(reply: Value) -> Result<Vec<Option<Version>>, Error> {
    let Value::Array(values) = reply else {
        return Err(refusal(reply));
    };
    Ok(values
        .into_iter()
        .map(|value| match value {
            Value::BulkString(text) => Version::from_ascii(&text),
            _ => None,
        })
        .collect())
}

/// An entry's bytes. A key that holds no string is a stranger's, and our next `SET` replaces it.
fn read_entry(reply: Value) -> Result<Option<Bytes>, Error> {
    match reply {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::Nil => Ok(None),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok(None),
        other => Err(refusal(other)),
    }
}

fn is_error(reply: &Value, kind: ServerErrorKind) -> bool {
    matches!(reply, Value::ServerError(error) if error.kind() == Some(kind))
}

/// The error that a reply of the wrong kind stands for. Only the code of what Redis said
/// is kept: its text can quote arguments.
fn refusal(reply: Value) -> Error {
    let Value::ServerError(error) = reply else {
        return nonsense("a reply of the wrong type");
    };
    let hint = match error.code() {
        "OOM" => "it is out of memory: raise `maxmemory` or set an eviction policy",
        "READONLY" => "it is a read-only replica: connect to the master",
        "LOADING" => "it is still loading its data",
        "NOAUTH" | "WRONGPASS" => "it wants other credentials: check the URL",
        "NOPERM" => {
            "the user lacks a permission: fragkeys needs GET, SET, MGET, DEL, INCR, PEXPIRE, TIME, EVAL and EVALSHA on its prefix"
        }
        "MISCONF" => "it cannot save to disk and refuses writes",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            "it is part of a cluster, and was configured as a single server"
        }
        _ => "see the server's log",
    };
    Error::new(ErrorKind::Refused, format!("Redis refused ({}): {hint}", error.code()))
}

fn nonsense(what: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, format!("Redis gave {what}"))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.links.address())
            .field("prefix", &self.prefix)
            .finish()
    }
}
