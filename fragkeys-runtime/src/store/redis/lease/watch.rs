//! Who is woken when Redis tells of a change at a key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Those who wait for news of keys that were read on one connection.
#[derive(Default)]
pub(in crate::store::redis) struct Watches {
    bells: Mutex<HashMap<String, Vec<Arc<Notify>>>>,
    /// How many keys have one. Nearly always none: that is all that a push pays.
    number: AtomicUsize,
}

/// Rings when one of some keys has changed, from before they are read until it is dropped.
pub(crate) struct Watch {
    watches: Arc<Watches>,
    keys: [String; 2],
    bell: Arc<Notify>,
}

impl Watches {
    pub(in crate::store::redis) fn watch(self: &Arc<Self>, keys: [String; 2]) -> Watch {
        let bell = Arc::new(Notify::new());
        let mut bells = self.lock();
        for key in &keys {
            bells.entry(key.clone()).or_default().push(bell.clone());
        }
        self.number.store(bells.len(), Ordering::Release);
        drop(bells);
        Watch { watches: self.clone(), keys, bell }
    }

    /// There was a change at this key.
    pub(in crate::store::redis) fn ring(&self, key: &str) {
        if self.number.load(Ordering::Acquire) > 0 {
            ring(self.lock().get(key).into_iter().flatten().cloned().collect());
        }
    }

    /// Any key may have changed, or nobody tells any more.
    pub(in crate::store::redis) fn ring_all(&self) {
        if self.number.load(Ordering::Acquire) > 0 {
            ring(self.lock().values().flatten().cloned().collect());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Arc<Notify>>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the lock: waking may run a stranger's code.
fn ring(bells: Vec<Arc<Notify>>) {
    bells.iter().for_each(|bell| bell.notify_one());
}

impl Watch {
    /// Ready at once if it has rung already.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut bells = self.watches.lock();
        for key in &self.keys {
            if let Some(of_key) = bells.get_mut(key) {
                of_key.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if of_key.is_empty() {
                    bells.remove(key);
                }
            }
        }
        self.watches.number.store(bells.len(), Ordering::Release);
    }
}
