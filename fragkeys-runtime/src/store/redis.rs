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
use self::script::{BUMP, BUMP_ORIGINAL, SEED, SEED_ORIGINAL, Script};
use super::memory::{Weight, sized_cache};
use super::{Deadline, Found, Store};
use crate::cache::outliving;
use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use crate::health::Reach;
use crate::key::{Identity, Place, version_key};
use crate::queue::BumpQueue;
use crate::tag::{Kind, Tag};
use crate::version::Version;

mod cell;
mod link;
mod look;
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
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let keys_of = |job: &Job<'_>| -> Vec<String> {
            job.tags.iter().flat_map(|(_, tag)| script_keys(&self.prefix, tag)).collect()
        };
        let mut pipeline = Pipeline::with_capacity(jobs.len());
        for job in jobs {
            job.script.call(&keys_of(job), job.lifetime, &mut pipeline);
        }
        let replies = self.send(&pipeline, jobs.len(), deadline).await?;
        let mut texts = Vec::new();
        for (job, mut reply) in jobs.iter().zip(replies) {
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
        Ok(texts)
    }

    /// Fills in the versions of tags that Redis does not have, or has something else for.
    async fn complete(
        &self,
        tags: &[Tag],
        mut known: Vec<Option<Version>>,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Vec<Version>, Error> {
        let is_missing = |kind| {
            let missing = tags.iter().enumerate().zip(&known);
            let missing = missing.filter(|(_, version)| version.is_none()).map(|(tag, _)| tag);
            missing.filter(move |(_, tag)| tag.kind() == kind)
        };
        if let Some((_, tag)) = is_missing(Kind::Foreign).next() {
            return Err(nobody_wrote(tag));
        }
        // All entries depend on the root.
        let (root, own) = is_missing(Kind::Own).partition(|(_, tag)| tag.is_root());
        let jobs = [
            Job { script: &SEED, tags: root, lifetime: self.tag_lifetime.max(lifetime) },
            Job { script: &SEED, tags: own, lifetime },
            Job { script: &SEED_ORIGINAL, tags: is_missing(Kind::Original).collect(), lifetime },
        ];
        let jobs: Vec<Job<'_>> = jobs.into_iter().filter(|job| !job.tags.is_empty()).collect();
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

    /// Bumps, and remembers that for when the server forgets it.
    async fn bump_lastingly(
        &self,
        tags: &[Tag],
        deadline: Deadline,
    ) -> Result<Vec<Version>, Error> {
        loop {
            self.links.here()?.live(deadline).await?;
            let replays = self.recent.replays();
            let versions = self.bump_some(tags, deadline).await?;
            self.recent.remember(tags.iter().cloned().zip(versions.iter().copied()));
            // Else a new connection was made ready while this bump was not remembered yet: its
            // server may not have it, if the answer is another one's.
            if self.recent.replays() == replays {
                return Ok(versions);
            }
        }
    }

    /// Gives each of these tags, which are no more than a run takes, a new version.
    async fn bump_some(&self, tags: &[Tag], deadline: Deadline) -> Result<Vec<Version>, Error> {
        let lifetime = self.tag_lifetime;
        let (original, own) =
            tags.iter().enumerate().partition(|(_, tag)| tag.kind() == Kind::Original);
        let jobs = [
            Job { script: &BUMP, tags: own, lifetime },
            Job { script: &BUMP_ORIGINAL, tags: original, lifetime },
        ];
        let jobs: Vec<Job<'_>> = jobs.into_iter().filter(|job| !job.tags.is_empty()).collect();
        let mut versions = vec![None; tags.len()];
        for (index, text) in self.run(&jobs, deadline).await? {
            let tag = &tags[index];
            let Some(stamp) = read_version(tag, &text) else {
                return Err(nonsense("something else than a version from a script"));
            };
            self.remember(std::slice::from_ref(tag), &[stamp], Some(lifetime));
            versions[index] = match tag.kind() {
                Kind::Original => Version::of_original(&text),
                _ => Some(stamp),
            };
        }
        let versions: Option<Vec<Version>> = versions.into_iter().collect();
        versions.ok_or_else(|| nonsense("fewer versions than tags"))
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
