//! The tags of one cache that a guard has marked, for as long as it lives.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::bump::Bump;
use super::{Cache, Shared};
use crate::error::Error;
use crate::global;
use crate::store::{GuardId, Store as _};
use crate::tag::{Kind, Tag};

/// Dropped before its end, it leaves the marks behind: nobody knows whether the change is done, or
/// will be, and they end by themselves.
pub(crate) struct Marks {
    cache: Cache,
    guard: GuardId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that can be marked; also if that has failed, as it may be made up for.
    tags: Vec<Tag>,
    failed: Vec<Tag>,
    /// At keys of others, which take no marks: those that were asked for, and what stands for any.
    of_others: Vec<Tag>,
    counterparts: Vec<Tag>,
    renewal: Option<AbortHandle>,
    has_ended: bool,
}

impl Marks {
    pub(crate) fn new(cache: Cache) -> Arc<Self> {
        Arc::new(Marks { cache, guard: GuardId::new(), state: Mutex::default() })
    }

    pub(crate) fn are_of(&self, cache: &Cache) -> bool {
        self.cache.is(cache)
    }

    /// Marks these tags as well, in one round trip.
    pub(crate) async fn add(self: &Arc<Self>, tags: &[Tag]) -> Result<(), Error> {
        let fresh = {
            let mut state = self.lock();
            let known: HashSet<&Tag> = state.tags.iter().chain(&state.of_others).collect();
            let fresh = tags.iter().filter(|tag| !known.contains(tag));
            let fresh: Vec<Tag> = fresh.cloned().collect();
            state.counterparts.extend(self.cache.counterparts(&fresh));
            let (own, of_others): (Vec<_>, Vec<_>) =
                fresh.into_iter().partition(|tag| tag.kind() == Kind::Own);
            state.of_others.extend(of_others);
            // Before it is done: it may be, although no answer comes.
            state.tags.extend(own.iter().cloned());
            own
        };
        if fresh.is_empty() {
            return Ok(());
        }
        // What it changes it sees, whatever it has seen before.
        if let Some(view) = global::view() {
            view.expect_bump(&self.cache, &fresh);
        }
        self.ensure_renewal();
        let answers = self.mark(&fresh).await;
        let mut outcome = Ok(());
        let mut state = self.lock();
        for (tag, answer) in fresh.into_iter().zip(answers) {
            if let Err(error) = answer {
                state.failed.push(tag);
                outcome = outcome.and(Err(error.context(
                    "the tags of a guard could not be marked, so that a crash before their bump leaves them as they are",
                )));
            }
        }
        outcome
    }

    async fn mark(&self, tags: &[Tag]) -> Vec<Result<(), Error>> {
        let Shared { store, settings, bumps, .. } = &*self.cache.shared;
        let (hold, patience) = (settings.guard_timeout, settings.operation_timeout);
        let answers = store.mark(tags, self.guard, hold, patience).await;
        let failed = answers.iter().find_map(|answer| answer.as_ref().err());
        self.cache.judge(bumps, "marking", &failed.cloned().map_or(Ok(()), Err));
        answers
    }

    /// Says now and then that the guard lives: three times before anybody would take it for dead.
    fn ensure_renewal(self: &Arc<Self>) {
        let mut state = self.lock();
        let is_needed = !self.cache.is_store_near() && state.renewal.is_none() && !state.has_ended;
        if let Some(runtime) = Handle::try_current().ok().filter(|_| is_needed) {
            let renewal = renew(Arc::downgrade(self), self.cache.shared.settings.guard_timeout / 4);
            state.renewal = Some(runtime.spawn(renewal).abort_handle());
        }
    }

    /// What ends the guard: bumps of all its tags, of which it leaves those that it has marked.
    pub(crate) fn end(&self) -> Vec<Bump> {
        let mut bumps = Vec::new();
        self.end_with(&mut bumps);
        bumps
    }

    /// The same, where some of its tags are bumped anyhow.
    pub(crate) fn end_with(&self, bumps: &mut Vec<Bump>) {
        let State { mut tags, of_others, mut counterparts, renewal, .. } =
            std::mem::replace(&mut *self.lock(), State { has_ended: true, ..State::default() });
        renewal.iter().for_each(AbortHandle::abort);
        tags.extend(of_others);
        let mut bumped = HashSet::new();
        for bump in bumps.iter_mut().filter(|bump| self.cache.is(bump.cache())) {
            if bump.leave(self.guard) {
                bumped.extend(bump.tags().iter().cloned());
            }
        }
        tags.retain(|tag| !bumped.contains(tag));
        counterparts.retain(|tag| !bumped.contains(tag));
        bumps.extend(Bump::groups(&self.cache, tags, counterparts).into_iter().map(|mut bump| {
            bump.leave(self.guard);
            bump
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        let State { tags, failed, of_others, counterparts, renewal, has_ended } =
            std::mem::take(&mut *self.lock());
        renewal.iter().for_each(AbortHandle::abort);
        if has_ended {
            return;
        }
        let Shared { store, settings, .. } = &*self.cache.shared;
        store.abandon(&tags, self.guard, settings.guard_timeout);
        // What is done, or will be, is bumped by whoever finds the mark; the others by us.
        let unmarked = failed.into_iter().chain(of_others).collect();
        let bumps = Bump::groups(&self.cache, unmarked, counterparts);
        bumps.iter().for_each(Bump::repeat_later);
    }
}

async fn renew(marks: Weak<Marks>, pause: std::time::Duration) {
    loop {
        sleep(pause).await;
        let Some(marks) = marks.upgrade() else { return };
        let tags = marks.lock().tags.clone();
        // One that fails is tried again, and said in the log.
        marks.mark(&tags).await;
    }
}
