//! Stores entries, many in one round trip.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use super::reply::refusal;
use super::route::Command;
use super::script::millis;
use super::{Guess, RedisStore};
use crate::cache::outliving;
use crate::store::{Deadline, Each, Put};
use crate::tag::Tag;

impl RedisStore {
    pub(super) async fn put_all(&self, entries: Vec<Put>, deadline: Deadline) -> Each<()> {
        let short_lived = self.short_lived_of_all(&entries);
        let number = entries.len();
        let mut commands = Vec::with_capacity(number + short_lived.len());
        for Put { place, entry, timeout, .. } in entries {
            commands.push(self.set(&place.key, entry, timeout));
        }
        for (tag, (_, lifetime)) in &short_lived {
            commands.push(self.extend(tag, *lifetime));
        }
        let mut replies = self.route.send(commands, deadline).await;
        let extended = replies.split_off(number);
        let now = Instant::now();
        for ((tag, (guess, lifetime)), extended) in short_lived.into_iter().zip(extended) {
            if matches!(extended, Ok(Value::Int(_))) {
                self.guesses.insert(tag, Guess { kept_until: now + lifetime, ..guess });
            }
        }
        let stored = replies.into_iter().map(|reply| match reply? {
            Value::Okay => Ok(()),
            other => Err(refusal(other)),
        });
        Ok(stored.collect())
    }

    /// Stores an entry for so long.
    pub(super) fn set(&self, key: &str, entry: Vec<u8>, timeout: Duration) -> Command {
        let mut set = cmd("SET");
        set.arg(key).arg(entry).arg("PX").arg(millis(timeout));
        self.route.command(key, set)
    }

    /// Keeps a tag for so long at least.
    pub(super) fn extend(&self, tag: &Tag, lifetime: Duration) -> Command {
        let key = self.version_key(tag);
        let mut extend = cmd("PEXPIRE");
        extend.arg(&key).arg(millis(lifetime)).arg("GT");
        self.route.command(&key, extend)
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
