//! Stores many entries in one round trip.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use super::script::millis;
use super::{Guess, RedisStore, refusal};
use crate::cache::outliving;
use crate::key::version_key;
use crate::store::{Deadline, Each, Put};
use crate::tag::Tag;

impl RedisStore {
    pub(super) async fn put_all(&self, entries: Vec<Put>, deadline: Deadline) -> Each<()> {
        let short_lived = self.short_lived_of_all(&entries);
        let number = entries.len();
        let mut pipeline = Pipeline::with_capacity(number + short_lived.len());
        for Put { place, entry, timeout, .. } in entries {
            pipeline.cmd("SET").arg(&place.key).arg(entry).arg("PX").arg(millis(timeout));
        }
        for (tag, (_, lifetime)) in &short_lived {
            let key = version_key(&self.prefix, tag);
            pipeline.cmd("PEXPIRE").arg(key).arg(millis(*lifetime)).arg("GT");
        }
        let replies = self.send(&pipeline, pipeline.len(), deadline).await?;
        let now = Instant::now();
        for (tag, (guess, lifetime)) in short_lived {
            self.guesses.insert(tag, Guess { kept_until: now + lifetime, ..guess });
        }
        let stored = replies.take(number).map(|reply| match reply {
            Value::Okay => Ok(()),
            other => Err(refusal(other)),
        });
        Ok(stored.collect())
    }

    /// The tags that Redis may drop too soon, and for how long it is to keep them.
    fn short_lived_of_all(&self, entries: &[Put]) -> HashMap<Tag, (Guess, Duration)> {
        let mut all: HashMap<Tag, (Guess, Duration)> = HashMap::new();
        for Put { identity, timeout, .. } in entries {
            let lifetime = self.tag_lifetime.max(outliving(*timeout));
            for (tag, guess) in self.short_lived(&identity.tags, lifetime) {
                let longest = &mut all.entry(tag).or_insert((guess, lifetime)).1;
                *longest = lifetime.max(*longest);
            }
        }
        all
    }
}
