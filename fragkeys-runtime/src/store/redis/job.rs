//! Scripts over tags: seeds for those that have no version, and bumps.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, ServerErrorKind, Value};

use super::cell::forget_everywhere;
use super::guard::{LEAVE, SETTLE, guarded};
use super::reply::{is_error, nonsense, read_told, read_version};
use super::route::Command;
use super::script::{BUMP, BUMP_ORIGINAL, MANY, SEED, SEED_ORIGINAL, Script};
use super::{RedisStore, nobody_wrote, script_keys};
use crate::error::Error;
use crate::store::{Deadline, GuardId};
use crate::tag::{Kind, Tag};
use crate::version::{Version, is_mark};

/// A script to run over tags, each with its index in the list that it comes from.
pub(super) struct Job<'a> {
    script: &'static Script,
    tags: Vec<(usize, &'a Tag)>,
    /// How long Redis is to keep what the script writes.
    lifetime: Duration,
    /// Behind those that all scripts have.
    arguments: Vec<String>,
    /// Does it name the guards of each tag as well?
    has_guards: bool,
    /// The script for tags that are guarded, of which this one gives back the mark.
    for_marked: Option<&'static LazyLock<Script>>,
}

impl<'a> Job<'a> {
    fn of(script: &'static Script, tags: Vec<(usize, &'a Tag)>, lifetime: Duration) -> Self {
        let (arguments, has_guards, for_marked) = (Vec::new(), false, None);
        Job { script, tags, lifetime, arguments, has_guards, for_marked }
    }

    /// One that knows the guards.
    pub(super) fn of_guards(
        script: &'static Script,
        tags: Vec<(usize, &'a Tag)>,
        lifetime: Duration,
        arguments: Vec<String>,
    ) -> Self {
        Job { has_guards: true, arguments, ..Job::of(script, tags, lifetime) }
    }

    fn and_for_marked(self, script: &'static LazyLock<Script>) -> Self {
        Job { for_marked: Some(script), ..self }
    }

    /// What is left of it to do where these tags turned out to be marked.
    fn rest(&self, marked: &HashSet<usize>) -> Option<Job<'a>> {
        let script = self.for_marked?;
        let tags = self.tags.iter().copied().filter(|(at, _)| marked.contains(at));
        let tags: Vec<_> = tags.collect();
        (!tags.is_empty()).then(|| Job::of_guards(script, tags, self.lifetime, Vec::new()))
    }

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
    pub(super) async fn run(
        &self,
        jobs: Vec<Job<'_>>,
        deadline: Deadline,
    ) -> Vec<(usize, Result<Bytes, Error>)> {
        self.run_beside(jobs, Vec::new(), deadline).await.0
    }

    /// As [`run`](Self::run), and sends other commands in the same round trip. Tags that turn out to
    /// be guarded take another one.
    pub(super) async fn run_beside(
        &self,
        jobs: Vec<Job<'_>>,
        others: Vec<Command>,
        deadline: Deadline,
    ) -> (Vec<(usize, Result<Bytes, Error>)>, Vec<Result<Value, Error>>) {
        let (jobs, mut texts, others) = self.run_once(jobs, others, deadline).await;
        // Jobs may be as many as there are tags: each is looked at once.
        let marked: HashSet<usize> = texts.iter().filter_map(marked).collect();
        let rest: Vec<Job<'_>> = jobs.iter().filter_map(|job| job.rest(&marked)).collect();
        if !rest.is_empty() {
            let (_, told, _) = self.run_once(rest, Vec::new(), deadline).await;
            let again: HashSet<usize> = told.iter().map(|(at, _)| *at).collect();
            texts.retain(|(at, _)| !again.contains(at));
            texts.extend(told);
        }
        (texts, others)
    }

    async fn run_once<'a>(
        &self,
        jobs: Vec<Job<'a>>,
        others: Vec<Command>,
        deadline: Deadline,
    ) -> (Vec<Job<'a>>, Vec<(usize, Result<Bytes, Error>)>, Vec<Result<Value, Error>>) {
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
        let texts = jobs.iter().zip(replies).flat_map(|(job, reply)| job.read(reply)).collect();
        (jobs, texts, told_others)
    }

    /// The same job, in parts that one script can do.
    fn split<'a>(&self, job: Job<'a>) -> impl Iterator<Item = Job<'a>> {
        let Job { script, tags, lifetime, arguments, has_guards, for_marked } = job;
        let groups = self.route.groups(tags, |(_, tag)| self.version_key(tag));
        groups.into_iter().map(move |tags| {
            let arguments = arguments.clone();
            Job { script, tags, lifetime, arguments, has_guards, for_marked }
        })
    }

    fn call(&self, job: &Job<'_>, call: fn(&Script, &[String], Duration) -> Cmd) -> Command {
        let guards = |tag| job.has_guards.then(|| self.guards_key(tag));
        let keys =
            job.tags.iter().flat_map(|(_, tag)| script_keys(&self.prefix, tag).chain(guards(tag)));
        let keys: Vec<String> = keys.collect();
        let key = keys.first().map_or("", String::as_str);
        let mut call = call(job.script, &keys, job.lifetime);
        call.arg(&job.arguments);
        self.route.command(key, call)
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
            let (tag, text) = (&tags[index], text?);
            let Some(version) = read_version(tag, &text) else {
                return Err(guarded(tag, &text).unwrap_or_else(|| nobody_wrote(tag)));
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
            Job::of(&SEED, root, self.tag_lifetime.max(lifetime)).and_for_marked(&SETTLE),
            Job::of(&SEED, own, lifetime).and_for_marked(&SETTLE),
            Job::of(&SEED_ORIGINAL, original, lifetime),
        ];
        jobs.into_iter().filter(|job| !job.tags.is_empty()).collect()
    }

    /// Gives each of these tags, which are no more than a run takes, a new version; or sees to it
    /// that their next readers do, who find no older one than is told here.
    /// The guard that is named leaves its tags.
    pub(super) async fn bump_some(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
        deadline: Deadline,
    ) -> Vec<Result<Version, Error>> {
        let lifetime = self.tag_lifetime;
        let (original, own): (Vec<_>, Vec<_>) =
            tags.iter().enumerate().partition(|(_, tag)| tag.kind() == Kind::Original);
        let are_removed = leaving.is_none() && own.len() >= MANY;
        let own = match leaving {
            None => Job::of(&BUMP, own, lifetime).and_for_marked(&LEAVE),
            Some(guard) => Job::of_guards(&LEAVE, own, lifetime, vec![guard.to_string()]),
        };
        let jobs = vec![own, Job::of(&BUMP_ORIGINAL, original, lifetime)];
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
        // Of what is removed, nobody knows the next version yet.
        let stand = stamps.into_iter().filter(|(tag, _)| !are_removed || tag.kind() != Kind::Own);
        self.remember(stand, Some(lifetime));
        versions
    }
}

/// The index of a tag of which its guards' mark was told.
fn marked((at, text): &(usize, Result<Bytes, Error>)) -> Option<usize> {
    text.as_ref().is_ok_and(|text| is_mark(text)).then_some(*at)
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
