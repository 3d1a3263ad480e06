//! The bumps of the last minute, and what makes sure that a server has not forgotten them.
//!
//! Redis forgets what it has acknowledged: a failover to a replica that lagged behind, a restart
//! from a snapshot. So this process keeps what it was told `Ok` for, and before a new connection
//! is used, the server is made to have at least those versions: [`Recent::replay`]. A server has
//! always lost the newest part of its history, so the last minute is the part that matters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{Pipeline, ServerError, Value};

use self::memory::{Bumps, Remembered};
use super::cluster::by_slot;
use super::link::Live;
use super::reply::{is_busy, nonsense, read_texts, read_told, read_version, refusal};
use super::script::{BUMP, RENEW, RENEW_ORIGINAL};
use super::{TAGS_PER_RUN, script_keys};
use crate::config::Settings;
use crate::error::Error;
use crate::key::version_key;
use crate::log::{notice, warning};
use crate::queue::BumpQueue;
use crate::store::Deadline;
use crate::tag::{Kind, Tag};
use crate::version::Version;

mod memory;

/// How long a server is given at least for what it is asked at once: else as long as calls wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// Runs of a script in a cluster, each for one slot and with its source.
const SLOTS_AT_ONCE: usize = 500;

/// The recent bumps of one store, whichever connection they went through.
pub(super) struct Recent {
    bumps: Mutex<Bumps>,
    /// Replays that were begun.
    replays: AtomicU64,
    prefix: String,
    tag_lifetime: Duration,
    patience: Duration,
    /// Then one run may name the keys of one slot, and a server has some slots only.
    is_cluster: bool,
    /// Where a bump waits that the server refuses to renew.
    queue: Arc<BumpQueue>,
}

impl Recent {
    pub(super) fn new(settings: &Settings, queue: Arc<BumpQueue>, is_cluster: bool) -> Self {
        Recent {
            bumps: Mutex::default(),
            replays: AtomicU64::new(0),
            prefix: settings.prefix.clone(),
            tag_lifetime: settings.tag_lifetime,
            patience: settings.operation_timeout.max(PATIENCE),
            is_cluster,
            queue,
        }
    }

    /// Keeps bumps that the server has acknowledged.
    pub(super) fn remember(&self, bumps: impl Iterator<Item = (Tag, Version)>) {
        let is_first_overflow = self.lock().remember(bumps, Instant::now());
        if is_first_overflow {
            let most = memory::MOST;
            warning!({ bound = most }
                "more than {most} tags were bumped within a minute: if Redis loses bumps now, they \
                 are made up for by one bump of the whole cache"
            );
        }
    }

    /// How many replays were begun. A bump during which one began may be missing in it: its reply
    /// had come from the server that was lost, and it was not remembered yet.
    pub(super) fn replays(&self) -> u64 {
        self.replays.load(Ordering::SeqCst)
    }

    /// Makes sure that a server has at least the versions of the recent bumps (in a cluster: those of
    /// its slots), before its connection is used: a read would trust what is older (I2).
    ///
    /// Bumps that it refuses to renew are queued, so that nothing that depends on them is read
    /// until it does.
    ///
    /// # Errors
    ///
    /// If it does not answer; then the connection is not to be used, and the next one tries again.
    pub(super) async fn replay(&self, live: &Live) -> Result<(), Error> {
        self.replays.fetch_add(1, Ordering::SeqCst);
        let (bumps, are_some_forgotten) = self.lock().snapshot();
        let mut lost = BTreeMap::new();
        let (runs, runs_at_once) = self.runs(bumps);
        // What is forgotten is older than what is lost, and may be lost as well. First, as a replay
        // after this one finds nothing lost any more, and would not know.
        if are_some_forgotten && self.is_any_lost(live, &runs, runs_at_once).await? {
            self.bump_all(live).await?;
        }
        for runs in runs.chunks(runs_at_once) {
            self.renew(live, runs, &mut lost).await?;
        }
        if lost.is_empty() {
            return Ok(());
        }
        let number = lost.len();
        self.remember(lost.into_iter());
        notice!({ tags = number }
            "Redis had lost {number} bumps of this process, which are made up for: it was restarted \
             from a snapshot, or a replica that lagged behind took over"
        );
        Ok(())
    }

    /// What one run of a script each can be about, and how many runs go at once.
    fn runs(&self, bumps: Vec<Remembered>) -> (Vec<Vec<Remembered>>, usize) {
        if self.is_cluster {
            return (by_slot(bumps, |(tag, _)| version_key(&self.prefix, tag)), SLOTS_AT_ONCE);
        }
        let (own, original): (Vec<_>, Vec<_>) =
            bumps.into_iter().partition(|(tag, _)| tag.kind() == Kind::Own);
        let runs = own.chunks(TAGS_PER_RUN).chain(original.chunks(TAGS_PER_RUN));
        (runs.map(<[Remembered]>::to_vec).collect(), 1)
    }

    /// Has the server an older version of any of these, or does it not say?
    async fn is_any_lost(
        &self,
        live: &Live,
        runs: &[Vec<Remembered>],
        runs_at_once: usize,
    ) -> Result<bool, Error> {
        for runs in runs.chunks(runs_at_once) {
            let mut pipeline = Pipeline::with_capacity(runs.len());
            for bumps in runs {
                let keys = bumps.iter().map(|(tag, _)| version_key(&self.prefix, tag));
                pipeline.cmd("MGET").arg(keys.collect::<Vec<_>>());
            }
            let replies = live.ask(&pipeline, runs.len(), Deadline::after(self.patience)).await?;
            for (bumps, reply) in runs.iter().zip(replies) {
                if self.is_cluster && is_elsewhere(&reply) {
                    continue;
                }
                let Ok(texts) = read_texts(reply) else { return Ok(true) };
                let mut versions = bumps.iter().zip(texts);
                let is_lost = |((tag, known), text): (&Remembered, Bytes)| {
                    version_told(tag, &text).is_some_and(|version| version < *known)
                };
                if versions.any(is_lost) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Renews what is lost of these, and adds it with its new versions to `lost`.
    async fn renew(
        &self,
        live: &Live,
        runs: &[Vec<Remembered>],
        lost: &mut BTreeMap<Tag, Version>,
    ) -> Result<(), Error> {
        let mut pipeline = Pipeline::with_capacity(runs.len());
        for bumps in runs {
            let is_own = bumps.first().is_some_and(|(tag, _)| tag.kind() == Kind::Own);
            let script = if is_own { &RENEW } else { &RENEW_ORIGINAL };
            let keys: Vec<String> =
                bumps.iter().flat_map(|(tag, _)| script_keys(&self.prefix, tag)).collect();
            let versions: Vec<u64> = bumps.iter().map(|(_, version)| (*version).into()).collect();
            pipeline.add_command(script.call_with_versions(&keys, self.tag_lifetime, &versions));
        }
        let replies = live.ask(&pipeline, runs.len(), Deadline::after(self.patience)).await?;
        for (bumps, reply) in runs.iter().zip(replies) {
            if self.is_cluster && is_elsewhere(&reply) {
                continue;
            }
            if matches!(reply, Value::ServerError(_)) {
                self.refused(reply, bumps.iter().map(|(tag, _)| tag.clone()).collect())?;
                continue;
            }
            for ((tag, _), text) in bumps.iter().zip(read_told(bumps.len(), reply)?) {
                if !text.is_empty() {
                    let version = version_told(tag, &text)
                        .ok_or_else(|| nonsense("something else than a version"))?;
                    lost.insert(tag.clone(), version);
                }
            }
        }
        Ok(())
    }

    async fn bump_all(&self, live: &Live) -> Result<(), Error> {
        let root = Tag::root();
        let keys: Vec<String> = script_keys(&self.prefix, &root).collect();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(BUMP.call_with_source(&keys, self.tag_lifetime));
        let replies = live.ask(&pipeline, 1, Deadline::after(self.patience)).await?;
        let reply = replies.into_iter().next().ok_or_else(|| nonsense("no reply"))?;
        if matches!(reply, Value::ServerError(_)) {
            // In a cluster the root is likely to be somewhere else; the queue finds it.
            return self.refused(reply, vec![root]);
        }
        let version = read_told(1, reply)?.first().and_then(|text| read_version(&root, text));
        self.remember(version.map(|version| (root, version)).into_iter());
        Ok(())
    }

    /// The server will not renew these, now or ever.
    fn refused(&self, reply: Value, tags: Vec<Tag>) -> Result<(), Error> {
        let is_for_now = is_busy(&reply) || (self.is_cluster && is_cluster_down(&reply));
        let error = refusal(reply);
        if is_for_now {
            return Err(error);
        }
        let number = tags.len();
        warning!({ tags = number }
            "whether Redis still has {number} bumps cannot be found out, so they are repeated: {error}"
        );
        self.queue.add(&tags);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Bumps> {
        self.bumps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The version that who bumps a tag is told, where this text stands at its key.
fn version_told(tag: &Tag, text: &[u8]) -> Option<Version> {
    match tag.kind() {
        Kind::Original => Version::of_original(text),
        _ => read_version(tag, text),
    }
}

/// Is it another master of the cluster that has the slot, or none?
fn is_elsewhere(reply: &Value) -> bool {
    let Value::ServerError(error) = reply else { return false };
    matches!(error.code(), "MOVED" | "ASK") || is_unserved(error)
}

/// Does it not know yet that the cluster is whole? So it is in the moment of a failover.
fn is_cluster_down(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "CLUSTERDOWN" && !is_unserved(error))
}

/// The cluster goes on without this slot (`cluster-require-full-coverage no`).
fn is_unserved(error: &ServerError) -> bool {
    error.code() == "CLUSTERDOWN" && error.details().is_some_and(|text| text.contains("not served"))
}
