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
use redis::{Cmd, ServerErrorKind, Value, cmd};

use self::link::Failure;
pub(crate) use self::look::Ready;
use self::reply::{
    is_error, nonsense, read_entry, read_texts, read_version, read_versions, refusal,
};
use self::script::{BUMP, BUMP_ORIGINAL, SEED, SEED_ORIGINAL, Script};
use self::way::{Command, Way};
use super::memory::{Weight, sized_cache};
use super::{Deadline, Found, Store};
use crate::cache::outliving;
use crate::config::{Servers, Settings};
use crate::error::{Error, ErrorKind};
use crate::key::{Identity, Place, version_key};
use crate::tag::{Kind, Tag};
use crate::version::Version;

mod cell;
mod cluster;
mod link;
mod look;
mod node;
mod reply;
mod script;
mod sentinel;
mod server;
#[cfg_attr(not(feature = "tls"), path = "redis/no_tls.rs")]
mod tls;
mod way;

/// Bytes of remembered versions. They are only guesses at what Redis will answer.
const GUESS_BYTES: u64 = 8 << 20;
/// Tags in one run of a script: bounds how long Redis does nothing else.
const TAGS_PER_RUN: usize = 10_000;

pub(crate) struct RedisStore {
    way: Way,
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
    pub(crate) fn open(servers: &Servers, settings: &Settings) -> Result<Self, Error> {
        Ok(RedisStore {
            way: Way::open(servers, settings)?,
            prefix: settings.prefix.clone(),
            tag_lifetime: settings.tag_lifetime,
            guesses: sized_cache(GUESS_BYTES, Weight),
        })
    }

    /// Begins to connect; a call that comes meanwhile waits for it.
    pub(crate) fn connect(&self) {
        self.way.connect();
    }

    pub(crate) fn recall(&self, bytes: &[u8]) -> Option<Arc<Identity>> {
        self.way.recall(bytes)
    }

    pub(crate) fn remember_identity(&self, bytes: &[u8], identity: &Arc<Identity>) {
        self.way.remember(bytes, identity);
    }

    /// The versions of these tags, in one round trip; `None` where there is none.
    async fn read(&self, tags: &[Tag], deadline: Deadline) -> Result<Vec<Option<Version>>, Error> {
        let groups = self.groups(tags);
        let commands = groups.iter().map(|group| self.mget(group)).collect();
        self.read_groups(tags.len(), &groups, self.way.send(commands, deadline).await)
    }

    /// Asks for the versions of tags whose keys one command can name.
    fn mget(&self, group: &[(usize, &Tag)]) -> Command {
        let keys: Vec<String> = group.iter().map(|(_, tag)| self.version_key(tag)).collect();
        let mut mget = cmd("MGET");
        mget.arg(&keys);
        self.way.command(keys.first().map_or("", String::as_str), mget)
    }

    fn get(&self, key: &str) -> Command {
        let mut get = cmd("GET");
        get.arg(key);
        self.way.command(key, get)
    }

    fn groups<'a>(&self, tags: &'a [Tag]) -> Vec<Vec<(usize, &'a Tag)>> {
        self.way.groups(tags.iter().enumerate(), |(_, tag)| self.version_key(tag))
    }

    /// Puts together what was told of groups of tags.
    fn read_groups(
        &self,
        number: usize,
        groups: &[Vec<(usize, &Tag)>],
        replies: impl IntoIterator<Item = Result<Value, Error>>,
    ) -> Result<Vec<Option<Version>>, Error> {
        let mut versions = vec![None; number];
        for (group, reply) in groups.iter().zip(replies) {
            let tags = group.iter().map(|(_, tag)| *tag);
            for ((index, _), version) in group.iter().zip(read_versions(tags, reply?)?) {
                versions[*index] = version;
            }
        }
        Ok(versions)
    }

    /// Runs scripts in one round trip: a text or an error for each tag, with the tag's index.
    async fn run(
        &self,
        jobs: Vec<Job<'_>>,
        deadline: Deadline,
    ) -> Vec<(usize, Result<Bytes, Error>)> {
        let jobs: Vec<Job<'_>> = jobs.into_iter().flat_map(|job| self.split(job)).collect();
        let calls = jobs.iter().map(|job| self.call(job, Script::call)).collect();
        let mut replies = self.way.send(calls, deadline).await;
        let is_unknown = |reply: &Result<Value, Error>| {
            reply.as_ref().is_ok_and(|reply| is_error(reply, ServerErrorKind::NoScript))
        };
        let unknown: Vec<usize> =
            (0..replies.len()).filter(|at| is_unknown(&replies[*at])).collect();
        if !unknown.is_empty() {
            let again = unknown.iter().map(|at| self.call(&jobs[*at], Script::call_with_source));
            let told = self.way.send(again.collect(), deadline).await;
            for (at, reply) in unknown.into_iter().zip(told) {
                replies[at] = reply;
            }
        }
        let mut texts = Vec::new();
        for (job, reply) in jobs.iter().zip(replies) {
            let indices = job.tags.iter().map(|(index, _)| *index);
            match reply.and_then(read_texts) {
                Ok(given) if given.len() == job.tags.len() => {
                    texts.extend(indices.zip(given.into_iter().map(Ok)));
                }
                Ok(_) => {
                    let error = nonsense("another number of versions than tags");
                    texts.extend(indices.map(|index| (index, Err(error.clone()))));
                }
                Err(error) => texts.extend(indices.map(|index| (index, Err(error.clone())))),
            }
        }
        texts
    }

    /// The same job, in parts that one script can do.
    fn split<'a>(&self, job: Job<'a>) -> impl Iterator<Item = Job<'a>> {
        let Job { script, tags, lifetime } = job;
        let groups = self.way.groups(tags, |(_, tag)| self.version_key(tag));
        groups.into_iter().map(move |tags| Job { script, tags, lifetime })
    }

    fn call(&self, job: &Job<'_>, call: fn(&Script, &[String], Duration) -> Cmd) -> Command {
        let keys: Vec<String> =
            job.tags.iter().flat_map(|(_, tag)| self.script_keys(tag)).collect();
        let key = keys.first().map_or("", String::as_str);
        self.way.command(key, call(job.script, &keys, job.lifetime))
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
        let jobs = vec![
            Job { script: &SEED, tags: root, lifetime: self.tag_lifetime.max(lifetime) },
            Job { script: &SEED, tags: own, lifetime },
            Job { script: &SEED_ORIGINAL, tags: is_missing(Kind::Original).collect(), lifetime },
        ];
        for (index, text) in self.run(jobs, deadline).await {
            let Some(version) = read_version(&tags[index], &text?) else {
                return Err(nobody_wrote(&tags[index]));
            };
            known[index] = Some(version);
        }
        let versions: Option<Vec<Version>> = known.into_iter().collect();
        let versions = versions.ok_or_else(|| nonsense("fewer versions than tags"))?;
        self.remember(tags, &versions, None);
        Ok(versions)
    }

    /// Gives each of these tags, which are no more than a run takes, a new version.
    async fn bump_some(&self, tags: &[Tag], deadline: Deadline) -> Vec<Result<Version, Error>> {
        let lifetime = self.tag_lifetime;
        let (original, own) =
            tags.iter().enumerate().partition(|(_, tag)| tag.kind() == Kind::Original);
        let jobs = vec![
            Job { script: &BUMP, tags: own, lifetime },
            Job { script: &BUMP_ORIGINAL, tags: original, lifetime },
        ];
        let mut versions = vec![Err(nonsense("fewer versions than tags")); tags.len()];
        for (index, text) in self.run(jobs, deadline).await {
            versions[index] = text.and_then(|text| self.bumped(&tags[index], &text, lifetime));
        }
        versions
    }

    /// The version that a script gave to a tag.
    fn bumped(&self, tag: &Tag, text: &[u8], lifetime: Duration) -> Result<Version, Error> {
        let stamp = read_version(tag, text)
            .ok_or_else(|| nonsense("something else than a version from a script"))?;
        self.remember(std::slice::from_ref(tag), &[stamp], Some(lifetime));
        match tag.kind() {
            Kind::Original => Version::of_original(text)
                .ok_or_else(|| nonsense("something else than a version from a script")),
            _ => Ok(stamp),
        }
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

    /// Where a script finds a tag's version; and of the original's, what was last written there.
    fn script_keys(&self, tag: &Tag) -> impl Iterator<Item = String> {
        let ours = || format!("{}:t:{}", self.prefix, tag.as_str());
        let last_written = (tag.kind() == Kind::Original).then(ours);
        std::iter::once(version_key(&self.prefix, tag)).chain(last_written)
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
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let Some(link) = self.way.link()? else {
            return Box::pin(self.look_everywhere(identity, lifetime, deadline)).await;
        };
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
        let known = self.read(tags, deadline).await?;
        self.complete(tags, known, lifetime, deadline).await
    }

    async fn bump(&self, tags: &[Tag], patience: Duration) -> Vec<Result<Version, Error>> {
        let mut versions = Vec::with_capacity(tags.len());
        for tags in tags.chunks(TAGS_PER_RUN) {
            versions.extend(self.bump_some(tags, Deadline::after(patience)).await);
        }
        versions
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
        let mut set = cmd("SET");
        set.arg(&place.key).arg(entry).arg("PX").arg(script::millis(timeout));
        let extensions = short_lived.iter().map(|(tag, _)| {
            let key = self.version_key(tag);
            let mut extend = cmd("PEXPIRE");
            extend.arg(&key).arg(script::millis(lifetime)).arg("GT");
            self.way.command(&key, extend)
        });
        let commands = [self.way.command(&place.key, set)].into_iter().chain(extensions).collect();
        let mut replies = self.way.send(commands, deadline).await.into_iter();
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

    async fn remove(&self, key: &str, deadline: Deadline) -> Result<bool, Error> {
        let mut delete = cmd("DEL");
        delete.arg(key);
        match self.way.one(self.way.command(key, delete), deadline).await? {
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
            .field("server", &self.way.address())
            .field("prefix", &self.prefix)
            .finish()
    }
}
