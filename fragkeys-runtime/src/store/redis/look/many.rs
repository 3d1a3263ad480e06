//! Looks for many entries at once, in the round trips of one: what stands in cells is believed,
//! looked at before and after, and all other versions are asked for together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Pipeline, Value};

use super::super::guard::guarded;
use super::super::link::{Failure, Live};
use super::super::read::{each_entry, each_version};
use super::super::reply::{read_entries, read_version, read_versions};
use super::super::{RedisStore, nobody_wrote};
use super::Asked;
use crate::error::Error;
use crate::key::{Identity, Place};
use crate::store::{Deadline, Found};
use crate::tag::Tag;
use crate::version::Version;

impl RedisStore {
    /// As [`look_through`](Self::look_through), for several.
    pub(in super::super) async fn look_many_through(
        &self,
        live: &Live,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Vec<Result<Found, Error>>, Failure> {
        let mut found: Vec<Option<Result<Found, Error>>> =
            identities.iter().map(|_| None).collect();
        let mut rest = Rest::default();
        let ways = identities.iter().map(|identity| self.way(live, identity));
        let mut asked: Vec<(usize, Way)> = ways.enumerate().collect();
        while !asked.is_empty() {
            let mut tags = Distinct::default();
            let anew = asked.iter().filter(|(_, way)| matches!(way, Way::Anew(_)));
            anew.for_each(|(at, _)| tags.extend(&identities[*at].tags));
            let keys = asked.iter().filter_map(|(_, way)| Some(&*way.place()?.key)).collect();
            let (known, mut entries) = self.ask_many(live, &tags.all, keys, deadline).await?;
            let mut moved = Vec::new();
            for (at, way) in asked {
                let identity = &identities[at];
                let entry = way.place().and_then(|_| entries.next()).flatten();
                match way {
                    Way::Ready(place) => match &live.cells {
                        Some(cells) if place.is_current(cells) => {
                            found[at] = Some(Ok(Found { place, entry }));
                        }
                        // A version that has moved may have done so before the entry was read.
                        _ => moved.push((at, self.anew(identity))),
                    },
                    Way::Anew(Some((place, guess)))
                        if tags.are_at(&identity.tags, &known, &guess) =>
                    {
                        found[at] = Some(Ok(Found { place, entry }));
                    }
                    Way::Anew(_) => rest.add(at, identity, |tag| tags.version(tag, &known)),
                }
            }
            asked = moved;
        }
        for (at, answer) in self.finish(rest, lifetime, deadline).await {
            found[at] = Some(answer);
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// The same where keys stand with several masters: each is asked for what it has, all at
    /// once. What one does not answer costs the entries that depend on it, and no others.
    pub(in super::super) async fn look_many_everywhere(
        &self,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Vec<Result<Found, Error>> {
        let mut tags = Distinct::default();
        identities.iter().for_each(|identity| tags.extend(&identity.tags));
        let guesses: Vec<Option<Guessed>> =
            identities.iter().map(|identity| self.guessed(identity)).collect();
        let keys: Vec<&str> = guesses.iter().flatten().map(|(place, _)| &*place.key).collect();
        let (tag_groups, key_groups) = (self.tag_groups(&tags.all), self.key_groups(&keys));
        let commands = self.ask_versions(&tag_groups).chain(self.ask_entries(&key_groups));
        let mut replies = self.route.send(commands.collect(), deadline).await;
        let entries = each_entry(keys.len(), &key_groups, replies.split_off(tag_groups.len()));
        let mut entries = entries.into_iter();
        let told = each_version(tags.all.len(), &tag_groups, replies);
        let known: Vec<Option<Version>> =
            told.iter().map(|version| version.as_ref().ok().copied().flatten()).collect();
        let mut found: Vec<Option<Result<Found, Error>>> =
            identities.iter().map(|_| None).collect();
        let mut rest = Rest::default();
        for (at, (identity, guess)) in identities.iter().zip(guesses).enumerate() {
            let entry = guess.as_ref().and_then(|_| entries.next()).unwrap_or(Ok(None));
            if let Some(error) = tags.fault(identity, &told) {
                found[at] = Some(Err(error));
                continue;
            }
            match guess {
                Some((place, guess)) if tags.are_at(&identity.tags, &known, &guess) => {
                    found[at] = Some(entry.map(|entry| Found { place, entry }));
                }
                _ => rest.add(at, identity, |tag| tags.version(tag, &known)),
            }
        }
        for (at, answer) in self.finish(rest, lifetime, deadline).await {
            found[at] = Some(answer);
        }
        found.into_iter().flatten().collect()
    }

    fn way(&self, live: &Live, identity: &Identity) -> Way {
        let ready = live.cells.as_ref().and_then(|cells| self.ready(cells, identity));
        ready.map_or_else(|| self.anew(identity), Way::Ready)
    }

    fn anew(&self, identity: &Identity) -> Way {
        Way::Anew(self.guessed(identity))
    }

    fn guessed(&self, identity: &Identity) -> Option<Guessed> {
        let guess = self.guess(&identity.tags);
        guess.map(|versions| (Arc::new(identity.at(&versions)), versions))
    }

    /// The versions of tags, and the entries at some keys, in one round trip.
    async fn ask_many(
        &self,
        live: &Live,
        tags: &[Tag],
        entry_keys: Vec<&str>,
        deadline: Deadline,
    ) -> Result<(Vec<Option<Version>>, std::vec::IntoIter<Option<Bytes>>), Failure> {
        let mut pipeline = Pipeline::with_capacity(3);
        let mut asked = None;
        if !tags.is_empty() {
            let keys = self.version_keys(tags);
            let cells = live.cells.as_deref();
            asked = cells.map(|cells| {
                let asked: Vec<Asked> = keys.iter().map(|key| Asked::of(cells, key)).collect();
                (asked, cells)
            });
            if asked.is_some() {
                pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
            }
            pipeline.cmd("MGET").arg(keys);
        }
        if !entry_keys.is_empty() {
            pipeline.cmd("MGET").arg(&entry_keys);
        }
        let mut replies = live.ask(&pipeline, pipeline.len(), deadline).await?.into_iter();
        let asked = asked.filter(|(_, cells)| cells.are_told(replies.next().as_ref()));
        let mut known = Vec::new();
        if !tags.is_empty() {
            known = read_versions(tags.iter(), replies.next().unwrap_or(Value::Nil))?;
        }
        for (asked, version) in asked.iter().flat_map(|(asked, _)| asked).zip(&known) {
            asked.learn(*version);
        }
        Ok((known, read_entries(entry_keys.len(), replies.next())?.into_iter()))
    }

    /// Gives versions to tags that have none, and reads what stands under versions that nobody
    /// knew before: both in one round trip.
    async fn finish(
        &self,
        rest: Rest,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Vec<(usize, Result<Found, Error>)> {
        let Rest { identities, tags, mut known } = rest;
        // Under a version that was not there until now there is no entry.
        let places: Vec<Option<Arc<Place>>> =
            identities.iter().map(|(_, identity)| tags.place(identity, &known).ok()).collect();
        let keys: Vec<&str> = places.iter().flatten().map(|place| &*place.key).collect();
        let seeds = self.seeds(&tags.all, &known, lifetime);
        let groups = self.key_groups(&keys);
        let gets = self.ask_entries(&groups).collect();
        let (texts, entries) = self.run_beside(seeds, gets, deadline).await;
        let entries = each_entry(keys.len(), &groups, entries);
        let mut told: Vec<Result<(), Error>> = known.iter().map(|_| Ok(())).collect();
        for (index, text) in texts {
            match text {
                Ok(text) => match guarded(&tags.all[index], &text) {
                    None => known[index] = read_version(&tags.all[index], &text),
                    Some(error) => told[index] = Err(error),
                },
                Err(error) => told[index] = Err(error),
            }
        }
        for (tag, version) in tags.all.iter().zip(&known) {
            let told = version.as_slice();
            self.remember(std::iter::once(tag).zip(told.iter().copied()), None);
        }
        let mut entries = entries.into_iter();
        let answers = identities.iter().zip(places).map(|((at, identity), place)| {
            let answer = match place {
                Some(place) => {
                    let entry = entries.next().unwrap_or(Ok(None));
                    entry.map(|entry| Found { place, entry })
                }
                None => match tags.fault(identity, &told) {
                    Some(error) => Err(error),
                    None => tags.place(identity, &known).map(|place| Found { place, entry: None }),
                },
            };
            (*at, answer)
        });
        answers.collect()
    }
}

/// Where an entry stands under the versions that Redis told last, and these.
type Guessed = (Arc<Place>, Vec<Version>);

/// How one entry is asked for.
enum Way {
    /// Under the versions that stand in cells.
    Ready(Arc<Place>),
    /// With the versions; and under those that Redis told last.
    Anew(Option<Guessed>),
}

impl Way {
    fn place(&self) -> Option<&Place> {
        match self {
            Way::Ready(place) => Some(place),
            Way::Anew(guess) => guess.as_ref().map(|(place, _)| &**place),
        }
    }
}

/// Tags, each once: all entries share the root, and some may share more.
#[derive(Default)]
struct Distinct {
    all: Vec<Tag>,
    index: HashMap<Tag, usize>,
}

impl Distinct {
    fn add(&mut self, tag: &Tag) -> usize {
        *self.index.entry(tag.clone()).or_insert_with(|| {
            self.all.push(tag.clone());
            self.all.len() - 1
        })
    }

    fn extend(&mut self, tags: &[Tag]) {
        tags.iter().for_each(|tag| {
            self.add(tag);
        });
    }

    fn version(&self, tag: &Tag, known: &[Option<Version>]) -> Option<Version> {
        *known.get(*self.index.get(tag)?)?
    }

    /// Why one of the tags of this entry was not answered.
    fn fault<T>(&self, identity: &Identity, told: &[Result<T, Error>]) -> Option<Error> {
        let told = |tag| told.get(*self.index.get(tag)?)?.as_ref().err().cloned();
        identity.tags.iter().find_map(told)
    }

    fn are_at(&self, tags: &[Tag], known: &[Option<Version>], versions: &[Version]) -> bool {
        let known = tags.iter().map(|tag| self.version(tag, known));
        known.eq(versions.iter().map(|version| Some(*version)))
    }

    /// Where an entry stands, if all its versions are known.
    fn place(&self, identity: &Identity, known: &[Option<Version>]) -> Result<Arc<Place>, Error> {
        let version = |tag| self.version(tag, known).ok_or_else(|| nobody_wrote(tag));
        let versions = identity.tags.iter().map(version).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(identity.at(&versions)))
    }
}

/// Entries that were not found in the first round trip, and what is known of their tags.
#[derive(Default)]
struct Rest {
    identities: Vec<(usize, Arc<Identity>)>,
    tags: Distinct,
    known: Vec<Option<Version>>,
}

impl Rest {
    /// A version that was read again is the newer one.
    fn add(
        &mut self,
        at: usize,
        identity: &Arc<Identity>,
        known: impl Fn(&Tag) -> Option<Version>,
    ) {
        for tag in &identity.tags {
            let index = self.tags.add(tag);
            self.known.resize(self.tags.all.len(), None);
            self.known[index] = known(tag);
        }
        self.identities.push((at, identity.clone()));
    }
}
