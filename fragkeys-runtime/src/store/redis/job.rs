//! Scripts over tags: seeds for those that have no version, and bumps.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, ServerErrorKind, Value};

use super::cell::forget_everywhere;
use super::reply::{is_error, nonsense, read_told, read_version};
use super::route::Command;
use super::script::{BUMP, BUMP_ORIGINAL, SEED, SEED_ORIGINAL, Script};
use super::{RedisStore, nobody_wrote, script_keys};
use crate::error::Error;
use crate::store::Deadline;
use crate::tag::{Kind, Tag};
use crate::version::Version;

/// A script to run over tags, each with its index in the list that it comes from.
pub(super) struct Job<'a> {
    script: &'static Script,
    tags: Vec<(usize, &'a Tag)>,
    /// How long Redis is to keep what the script writes.
    lifetime: Duration,
}

impl Job<'_> {
    /// A text for each tag, or why there is none.
    fn read(&self, reply: Result<Value, Error>) -> Vec<(usize, Result<Bytes, Error>)> {
        let texts = reply.and_then(|reply| read_told(self.tags.len(), reply));
        let indices = self.tags.iter().map(|(index, _)| *index);
        match texts {
            Ok(texts) => indices.zip(texts.into_iter().map(Ok)).collect(),
            Err(error) => indices.map(|index| (index, Err(error.clone()))).collect(),
        }
    }
}

impl RedisStore {
    /// Runs scripts in one round trip: a text or an error for each tag, with the tag's index.
    async fn run(
        &self,
        jobs: Vec<Job<'_>>,
        deadline: Deadline,
    ) -> Vec<(usize, Result<Bytes, Error>)> {
        self.run_beside(jobs, Vec::new(), deadline).await.0
    }

    /// As [`run`](Self::run), and sends other commands in the same round trip.
    pub(super) async fn run_beside(
        &self,
        jobs: Vec<Job<'_>>,
        others: Vec<Command>,
        deadline: Deadline,
    ) -> (Vec<(usize, Result<Bytes, Error>)>, Vec<Result<Value, Error>>) {
        let jobs: Vec<Job<'_>> = jobs.into_iter().flat_map(|job| self.split(job)).collect();
        let calls = jobs.iter().map(|job| self.call(job, Script::call));
        let mut replies = self.route.send(calls.chain(others).collect(), deadline).await;
        let told_others = replies.split_off(jobs.len());
        let is_unknown = |reply: &Result<Value, Error>| {
            reply.as_ref().is_ok_and(|reply| is_error(reply, ServerErrorKind::NoScript))
        };
        let unknown: Vec<usize> =
            (0..replies.len()).filter(|at| is_unknown(&replies[*at])).collect();
        let again = unknown.iter().map(|at| self.call(&jobs[*at], Script::call_with_source));
        let told = self.route.send(again.collect(), deadline).await;
        for (at, reply) in unknown.into_iter().zip(told) {
            replies[at] = reply;
        }
        let texts = jobs.iter().zip(replies).flat_map(|(job, reply)| job.read(reply));
        (texts.collect(), told_others)
    }

    /// The same job, in parts that one script can do.
    fn split<'a>(&self, job: Job<'a>) -> impl Iterator<Item = Job<'a>> {
        let Job { script, tags, lifetime } = job;
        let groups = self.route.groups(tags, |(_, tag)| self.version_key(tag));
        groups.into_iter().map(move |tags| Job { script, tags, lifetime })
    }

    fn call(&self, job: &Job<'_>, call: fn(&Script, &[String], Duration) -> Cmd) -> Command {
        let keys: Vec<String> =
            job.tags.iter().flat_map(|(_, tag)| script_keys(&self.prefix, tag)).collect();
        let key = keys.first().map_or("", String::as_str);
        self.route.command(key, call(job.script, &keys, job.lifetime))
    }

    /// Fills in the versions of tags that Redis does not have, or has something else for.
    pub(super) async fn complete(
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
        for (index, text) in self.run(jobs, deadline).await {
            let Some(version) = read_version(&tags[index], &text?) else {
                return Err(nobody_wrote(&tags[index]));
            };
            known[index] = Some(version);
        }
        let versions: Option<Vec<Version>> = known.into_iter().collect();
        let versions = versions.ok_or_else(|| nonsense("fewer versions than tags"))?;
        self.remember(tags.iter().zip(versions.iter().copied()), None);
        Ok(versions)
    }

    /// What gives a version to those of these tags that have none, and can be given one.
    pub(super) fn seeds<'a>(
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

    /// Gives each of these tags, which are no more than a run takes, a new version.
    pub(super) async fn bump_some(
        &self,
        tags: &[Tag],
        deadline: Deadline,
    ) -> Vec<Result<Version, Error>> {
        let lifetime = self.tag_lifetime;
        let (original, own) =
            tags.iter().enumerate().partition(|(_, tag)| tag.kind() == Kind::Original);
        let jobs = vec![
            Job { script: &BUMP, tags: own, lifetime },
            Job { script: &BUMP_ORIGINAL, tags: original, lifetime },
        ];
        let mut versions = vec![Err(nonsense("fewer versions than tags")); tags.len()];
        let mut stamps = Vec::with_capacity(tags.len());
        for (index, text) in self.run(jobs, deadline).await {
            let tag = &tags[index];
            versions[index] = text.and_then(|text| {
                let stamp = read_version(tag, &text).ok_or_else(no_version)?;
                stamps.push((tag, stamp));
                match tag.kind() {
                    Kind::Original => Version::of_original(&text).ok_or_else(no_version),
                    _ => Ok(stamp),
                }
            });
        }
        // Redis tells us, too, but not before it has answered.
        forget_everywhere(stamps.iter().map(|(tag, _)| self.version_key(tag)));
        self.remember(stamps, Some(lifetime));
        versions
    }
}

fn no_version() -> Error {
    nonsense("something else than a version from a script")
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
