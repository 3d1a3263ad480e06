//! The Redis store, and the only place that knows the `redis` crate.
//!
//! Layout: `{prefix}:t:{tag}` holds a version in decimal ASCII, `{prefix}:v:{key_name}:{hash}`
//! an entry. A look is one round trip where this process knows the versions already:
//! it asks for them and for the entry under them at once, and believes the entry only
//! if the versions that came back are the ones it assumed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{Pipeline, ServerErrorKind, Value};

use self::link::{Failure, Links};
pub(crate) use self::look::Ready;
use self::recent::Recent;
use self::refusal::{nonsense, refusal};
use self::script::{SEED, SEED_ORIGINAL, Script};
use super::memory::{Weight, sized_cache};
use super::{Deadline, Each, Found, Put, Store};
use crate::cache::outliving;
use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use crate::health::Reach;
use crate::key::{Identity, Place, version_key};
use crate::queue::BumpQueue;
use crate::tag::{Kind, Tag};
use crate::version::Version;

mod bump;
mod cell;
mod link;
mod look;
mod put_many;
mod recent;
mod refusal;
mod script;
mod server;

/// Bytes of remembered versions. They are only guesses at what Redis will answer.
const GUESS_BYTES: u64 = 8 << 20;
/// Tags in one run of a script: bounds how long Redis does nothing else.
const TAGS_PER_RUN: usize = 10_000;

pub(crate) struct RedisStore {
    links: Links,
    recent: Arc<Recent>,
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
    /// Bumps that turn out to be lost, and cannot be made up for at once, go to the queue.
    pub(crate) fn open(
        url: &str,
        settings: &Settings,
        queue: Arc<BumpQueue>,
    ) -> Result<Self, Error> {
        let recent = Recent::new(settings.prefix.clone(), settings.tag_lifetime, queue);
        let recent = Arc::new(recent);
        Ok(RedisStore {
            links: Links::open(url, settings.operation_timeout, recent.clone())?,
            recent,
            prefix: settings.prefix.clone(),
            tag_lifetime: settings.tag_lifetime,
            guesses: sized_cache(GUESS_BYTES, Weight),
        })
    }

    /// Begins to connect; a call that comes meanwhile waits for it.
    pub(crate) fn connect(&self) {
        // Without a runtime there is nothing to begin with; the first call will say so.
        let _ = self.links.here();
    }

    pub(crate) fn recall(&self, bytes: &[u8]) -> Option<Arc<Identity>> {
        self.links.here().ok()?.identities.recall(bytes)
    }

    pub(crate) fn remember_identity(&self, bytes: &[u8], identity: &Arc<Identity>) {
        if let Ok(link) = self.links.here() {
            link.identities.remember(bytes, identity);
        }
    }

    pub(crate) fn reach(&self) -> Reach {
        self.links.reach()
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        self.links.last_error()
    }

    async fn send(
        &self,
        pipeline: &Pipeline,
        replies: usize,
        deadline: Deadline,
    ) -> Result<std::vec::IntoIter<Value>, Error> {
        let values = self.links.here()?.send(pipeline, replies, deadline).await?;
        if values.len() == replies {
            Ok(values.into_iter())
        } else {
            Err(nonsense("another number of replies than commands"))
        }
    }

    async fn one(&self, pipeline: &Pipeline, deadline: Deadline) -> Result<Value, Error> {
        let mut replies = self.send(pipeline, 1, deadline).await?;
        replies.next().ok_or_else(|| nonsense("no reply"))
    }

    /// Runs scripts in one round trip: a text for each tag, with the tag's index.
    async fn run(
        &self,
        jobs: &[Job<'_>],
        deadline: Deadline,
    ) -> Result<Vec<(usize, Bytes)>, Error> {
        Ok(self.run_and_get(jobs, &[], deadline).await?.0)
    }

    /// As [`run`](Self::run); in the same round trip it reads the entries at these keys.
    async fn run_and_get(
        &self,
        jobs: &[Job<'_>],
        keys: &[&str],
        deadline: Deadline,
    ) -> Result<(Vec<(usize, Bytes)>, Vec<Option<Bytes>>), Error> {
        let commands = jobs.len() + usize::from(!keys.is_empty());
        if commands == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let keys_of = |job: &Job<'_>| -> Vec<String> {
            job.tags.iter().flat_map(|(_, tag)| script_keys(&self.prefix, tag)).collect()
        };
        let mut pipeline = Pipeline::with_capacity(commands);
        for job in jobs {
            job.script.call(&keys_of(job), job.lifetime, &mut pipeline);
        }
        if !keys.is_empty() {
            pipeline.cmd("MGET").arg(keys);
        }
        let mut replies = self.send(&pipeline, commands, deadline).await?;
        let mut texts = Vec::new();
        for (job, mut reply) in jobs.iter().zip(replies.by_ref()) {
            if is_error(&reply, ServerErrorKind::NoScript) {
                let mut pipeline = Pipeline::with_capacity(1);
                job.script.call_with_source(&keys_of(job), job.lifetime, &mut pipeline);
                reply = self.one(&pipeline, deadline).await?;
            }
            let given = read_texts(reply)?;
            if given.len() != job.tags.len() {
                return Err(nonsense("another number of versions than tags"));
            }
            texts.extend(job.tags.iter().map(|(index, _)| *index).zip(given));
        }
        Ok((texts, read_entries(keys.len(), replies.next())?))
    }

    /// Fills in the versions of tags that Redis does not have, or has something else for.
    async fn complete(
        &self,
        tags: &[Tag],
        mut known: Vec<Option<Version>>,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Vec<Version>, Error> {
        if let Some((_, tag)) = missing(tags, &known, Kind::Foreign).next() {
            return Err(nobody_wrote(tag));
        }
        let jobs = self.seeds(tags, &known, lifetime);
        for (index, text) in self.run(&jobs, deadline).await? {
            let Some(version) = read_version(&tags[index], &text) else {
                return Err(nobody_wrote(&tags[index]));
            };
            known[index] = Some(version);
        }
        let versions: Option<Vec<Version>> = known.into_iter().collect();
        let versions = versions.ok_or_else(|| nonsense("fewer versions than tags"))?;
        self.remember(tags, &versions, None);
        Ok(versions)
    }

    /// What gives a version to those of these tags that have none, and can be given one.
    fn seeds<'a>(
        &self,
        tags: &'a [Tag],
        known: &[Option<Version>],
        lifetime: Duration,
    ) -> Vec<Job<'a>> {
        // All entries depend on the root.
        let (root, own) = missing(tags, known, Kind::Own).partition(|(_, tag)| tag.is_root());
        let original = missing(tags, known, Kind::Original).collect();
        let jobs = [
            Job { script: &SEED, tags: root, lifetime: self.tag_lifetime.max(lifetime) },
            Job { script: &SEED, tags: own, lifetime },
            Job { script: &SEED_ORIGINAL, tags: original, lifetime },
        ];
        jobs.into_iter().filter(|job| !job.tags.is_empty()).collect()
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
        // Whatever stands at others' keys is theirs to keep.
        let own = tags.iter().filter(|tag| tag.kind() == Kind::Own);
        own.filter_map(|tag| Some((tag.clone(), self.guesses.get(tag).filter(is_short)?))).collect()
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
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let link = self.links.here()?;
        if let Some(live) = link.live_now()
            && let Some(cells) = &live.cells
            && let Some(ready) = self.ready(cells, identity)
        {
            match live.ask_one(&ready.get, deadline).await {
                // A version that has moved since may have done so before the entry was read.
                Ok(reply) if ready.is_current(cells) => {
                    return Ok(Found { place: ready.place.clone(), entry: read_entry(reply)? });
                }
                Ok(_) | Err(Failure::Lost(_)) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        // Boxed, so that a hit does not carry the room for it around.
        Box::pin(self.look_anew(&link, identity, lifetime, deadline)).await
    }

    async fn look_many(
        &self,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Each<Found> {
        let link = self.links.here()?;
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
        let mut pipeline = Pipeline::new();
        pipeline.cmd("MGET").arg(self.version_keys(tags));
        let known = read_versions(tags, self.one(&pipeline, deadline).await?)?;
        self.complete(tags, known, lifetime, deadline).await
    }

    async fn bump(&self, tags: &[Tag], patience: Duration) -> Result<Vec<Version>, Error> {
        let mut versions = Vec::with_capacity(tags.len());
        for tags in tags.chunks(TAGS_PER_RUN) {
            versions.extend(self.bump_lastingly(tags, Deadline::after(patience)).await?);
        }
        Ok(versions)
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
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg(&place.key).arg(entry).arg("PX").arg(script::millis(timeout));
        for (tag, _) in &short_lived {
            let key = version_key(&self.prefix, tag);
            pipeline.cmd("PEXPIRE").arg(key).arg(script::millis(lifetime)).arg("GT");
        }
        let mut replies = self.send(&pipeline, 1 + short_lived.len(), deadline).await?;
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

    async fn put_many(&self, entries: Vec<Put>, deadline: Deadline) -> Each<()> {
        self.put_all(entries, deadline).await
    }

    async fn remove(&self, key: &str, deadline: Deadline) -> Result<bool, Error> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("DEL").arg(key);
        match self.one(&pipeline, deadline).await? {
            Value::Int(removed) => Ok(removed > 0),
            other => Err(refusal(other)),
        }
    }
}

/// A script to run over tags, each with its index in the list that it comes from.
struct Job<'a> {
    script: &'static Script,
    tags: Vec<(usize, &'a Tag)>,
    /// How long Redis is to keep what the script writes.
    lifetime: Duration,
}

/// Where a script finds a tag's version; and of the original's, what was last written there.
fn script_keys(prefix: &str, tag: &Tag) -> impl Iterator<Item = String> {
    let ours = || format!("{prefix}:t:{}", tag.as_str());
    let last_written = (tag.kind() == Kind::Original).then(ours);
    std::iter::once(version_key(prefix, tag)).chain(last_written)
}

/// The tags of a kind that no version is known of, with their index.
fn missing<'a>(
    tags: &'a [Tag],
    known: &[Option<Version>],
    kind: Kind,
) -> impl Iterator<Item = (usize, &'a Tag)> {
    let missing = tags.iter().enumerate().zip(known);
    let missing = missing.filter(|(_, version)| version.is_none()).map(|(tag, _)| tag);
    missing.filter(move |(_, tag)| tag.kind() == kind)
}

/// One version a tag; `None` where Redis has none, or something that is none (a
/// stranger's text, a list, a number that no clock gave).
fn read_versions(tags: &[Tag], reply: Value) -> Result<Vec<Option<Version>>, Error> {
    let texts = read_texts(reply)?;
    if texts.len() != tags.len() {
        return Err(nonsense("another number of versions than tags"));
    }
    Ok(tags.iter().zip(texts).map(|(tag, text)| read_version(tag, &text)).collect())
}

/// Of tags of others, what stands for the text at their key.
fn read_version(tag: &Tag, text: &[u8]) -> Option<Version> {
    match tag.kind() {
        Kind::Own | Kind::Constant => Version::from_ascii(text),
        Kind::Foreign | Kind::Original => (!text.is_empty()).then(|| Version::stamp(text)),
    }
}

/// What Redis has at some keys; empty where it has nothing, or no text.
fn read_texts(reply: Value) -> Result<Vec<Bytes>, Error> {
    let Value::Array(values) = reply else {
        return Err(refusal(reply));
    };
    let text = |value| match value {
        Value::BulkString(text) => text.into(),
        _ => Bytes::new(),
    };
    Ok(values.into_iter().map(text).collect())
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

/// The bytes of as many entries as were asked for.
fn read_entries(number: usize, reply: Option<Value>) -> Result<Vec<Option<Bytes>>, Error> {
    let values = match reply {
        None if number == 0 => Vec::new(),
        Some(Value::Array(values)) => values,
        other => return Err(refusal(other.unwrap_or(Value::Nil))),
    };
    if values.len() != number {
        return Err(nonsense("another number of entries than keys"));
    }
    values.into_iter().map(read_entry).collect()
}

fn is_error(reply: &Value, kind: ServerErrorKind) -> bool {
    matches!(reply, Value::ServerError(error) if error.kind() == Some(kind))
}

fn nobody_wrote(tag: &Tag) -> Error {
    let message = format!(
        "there is no text at the key of `{tag}`, so there is no telling when it changes: \
         what depends on it is cached once its owner has written one"
    );
    Error::new(ErrorKind::Tag, message)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.links.address())
            .field("prefix", &self.prefix)
            .finish()
    }
}
