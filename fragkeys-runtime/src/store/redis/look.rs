//! Looks: one GET where all versions are known, else the versions and the entry at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

use super::RedisStore;
use super::cell::Cells;
use super::link::{Failure, Link, Live};
use super::read::{Group, each_version};
use super::reply::{read_entry, read_versions};
use super::route::Command;
use crate::error::Error;
use crate::key::{Identity, Place};
use crate::near::{Grounds, Trust};
use crate::store::cell::Cell;
use crate::store::{Deadline, Found};
use crate::tag::Tag;
use crate::version::Version;

mod many;

impl RedisStore {
    /// A look that asks for the versions as well; on another connection if the first is lost.
    pub(super) async fn look_anew(
        &self,
        link: &Link,
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let live = link.live(deadline).await?;
        match self.look_through(&live, identity, lifetime, deadline).await {
            Err(Failure::Lost(_)) => {
                let live = link.live(deadline).await?;
                Ok(self.look_through(&live, identity, lifetime, deadline).await?)
            }
            found => Ok(found?),
        }
    }

    /// The look that is ready for this identity, or can be made so; `None` if a version is unknown.
    pub(super) fn ready(&self, cells: &Arc<Cells>, identity: &Identity) -> Option<Arc<Place>> {
        let last = identity.ready.load_full();
        if let Some(place) = last.filter(|place| place.is_current(cells)) {
            return Some(place);
        }
        let keys = self.version_keys(&identity.tags);
        let place = Arc::new(Ready::place(cells, &keys, identity, self.has_near())?);
        identity.ready.store(Some(place.clone()));
        Some(place)
    }

    /// Asks for the versions, and in the same round trip for the entry under those that Redis
    /// told last. Through one connection: what its cells know is true of no other.
    async fn look_through(
        &self,
        live: &Live,
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Failure> {
        let tags = &identity.tags;
        let keys = self.version_keys(tags);
        let guess = self.guess(tags).map(|versions| (identity.at(&versions), versions));
        let asked = live.cells.as_deref().map(|cells| {
            let asked: Vec<Asked> = keys.iter().map(|key| Asked::of(cells, key)).collect();
            (asked, cells)
        });
        let mut pipeline = Pipeline::with_capacity(3);
        if asked.is_some() {
            pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
        }
        pipeline.cmd("MGET").arg(&keys);
        if let Some((place, _)) = &guess {
            pipeline.cmd("GET").arg(&place.key);
        }
        let number = 1 + usize::from(asked.is_some()) + usize::from(guess.is_some());
        let mut replies = live.ask(&pipeline, number, deadline).await?.into_iter();
        let asked = asked.filter(|(_, cells)| cells.are_told(replies.next().as_ref()));
        let known = read_versions(tags.iter(), replies.next().unwrap_or(Value::Nil))?;
        for (asked, version) in asked.iter().flat_map(|(asked, _)| asked).zip(&known) {
            asked.learn(*version);
        }
        let told = asked.filter(|_| self.has_near());
        let grounds = told.and_then(|(asked, cells)| grounds(asked, &known, cells));
        let told = Told { guess, known, entry: replies.next().map(Ok), grounds };
        Ok(self.conclude(identity, told, lifetime, deadline).await?)
    }

    /// The same where the keys stand with several masters: each is asked for what it has, all at
    /// once. The next look will ask again, as pushes of one are not in order with replies of
    /// another; but what is asked for here was true at some time during the look, and the near tier
    /// may believe it for as long as nothing is told against it.
    pub(super) async fn look_everywhere(
        &self,
        identity: &Identity,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let tags = &identity.tags;
        let guess = self.guess(tags).map(|versions| (identity.at(&versions), versions));
        let groups = self.tag_groups(tags);
        let entry = guess.iter().map(|(place, _)| self.get(&place.key));
        let commands: Vec<Command> = match self.has_near() {
            true => self.ask_versions_tracked(&groups).chain(entry).collect(),
            false => self.ask_versions(&groups).chain(entry).collect(),
        };
        let (mut replies, mut asked) = (Vec::new(), Vec::new());
        for answer in self.route.send_and_learn(commands, deadline).await {
            asked.push(answer.as_ref().ok().and_then(|answer| answer.asked.clone()));
            replies.push(answer.map(|answer| answer.reply));
        }
        let mut replies = replies.into_iter();
        let versions = each_version(tags.len(), &groups, replies.by_ref().take(groups.len()));
        let known = versions.into_iter().collect::<Result<Vec<_>, _>>()?;
        let grounds = grounds_everywhere(&groups, asked, &known);
        let told = Told { guess, known, entry: replies.next(), grounds };
        self.conclude(identity, told, lifetime, deadline).await
    }

    /// What was found: under the guessed versions if they were right, else under those that
    /// Redis has, or has now.
    async fn conclude(
        &self,
        identity: &Identity,
        told: Told,
        lifetime: Duration,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let Told { guess, known, entry, grounds } = told;
        if let Some((mut place, guessed)) = guess
            && known.iter().copied().eq(guessed.iter().map(|version| Some(*version)))
        {
            let entry = read_entry(entry.unwrap_or(Ok(Value::Nil))?)?;
            place.grounds = grounds;
            return Ok(Found { place: Arc::new(place), entry });
        }
        // Under a version that was not there until now there is no entry.
        let is_complete = known.iter().all(Option::is_some);
        let versions = self.complete(&identity.tags, known, lifetime, deadline).await?;
        let place = Arc::new(Place { grounds, ..identity.at(&versions) });
        if !is_complete {
            return Ok(Found { place, entry: None });
        }
        let entry = read_entry(self.route.one(self.get(&place.key), deadline).await?)?;
        Ok(Found { place, entry })
    }
}

/// What Redis told: of the versions that were guessed, those that it has, and the entry under
/// the guessed ones.
struct Told {
    guess: Option<(Place, Vec<Version>)>,
    known: Vec<Option<Version>>,
    entry: Option<Result<Value, Error>>,
    /// What an answer under these versions stands on, for the near tier.
    grounds: Option<Arc<Grounds>>,
}

/// No number of moves.
const NEVER: u64 = u64::MAX;

/// A look at a place that is ready to be sent: the command, and the versions that it is right for.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(super) get: Cmd,
    versions: Arc<Grounds>,
    /// The cells of the connection that it is right for.
    cells: Weak<Cells>,
    /// What [`Cells::moves`] was when its versions were last seen in them.
    seen_at: AtomicU64,
}

impl Ready {
    /// The place under the versions that stand in cells; `None` unless all are known.
    fn place(
        cells: &Arc<Cells>,
        keys: &[String],
        identity: &Identity,
        has_near: bool,
    ) -> Option<Place> {
        let known = |key: &String| cells.get(key).and_then(|cell| Some((cell.version()?, cell)));
        let known: Vec<_> = keys.iter().map(known).collect::<Option<_>>()?;
        let versions: Vec<Version> = known.iter().map(|(version, _)| *version).collect();
        let mut place = identity.at(&versions);
        let mut get = redis::cmd("GET");
        get.arg(&place.key);
        let known = known.into_iter().map(|(version, cell)| (cell, version)).collect();
        let versions = Arc::new(Grounds::new(known, cells.trust.clone()));
        place.grounds = has_near.then(|| versions.clone());
        place.ready = Some(Ready {
            get,
            versions,
            cells: Arc::downgrade(cells),
            seen_at: AtomicU64::new(NEVER),
        });
        Some(place)
    }

    /// Are these the cells that it was made from, and are its versions still in them? Where no
    /// cell at all has moved, that is one number to look at, however many tags there are.
    fn is_current(&self, cells: &Arc<Cells>) -> bool {
        if !std::ptr::eq(self.cells.as_ptr(), Arc::as_ptr(cells)) {
            return false;
        }
        let moves = cells.moves();
        if self.seen_at.load(Ordering::Relaxed) == moves {
            return true;
        }
        let is_current = self.versions.are_current();
        if is_current {
            self.seen_at.store(moves, Ordering::Relaxed);
        }
        is_current
    }
}

impl Place {
    /// Is a look at it ready, and right by these cells?
    pub(super) fn is_current(&self, cells: &Arc<Cells>) -> bool {
        self.ready.as_ref().is_some_and(|ready| ready.is_current(cells))
    }
}

/// A version that was asked for.
pub(super) struct Asked {
    cell: Arc<Cell>,
    question: u64,
}

impl Asked {
    pub(super) fn of(cells: &Cells, key: &str) -> Asked {
        let cell = cells.get_or_add(key);
        Asked { question: cell.question(), cell }
    }

    fn learn(&self, version: Option<Version>) {
        if let Some(version) = version {
            self.cell.learn(self.question, version);
        }
    }
}

/// What an answer under these versions stands on; `None` if one of them is not known.
fn grounds(asked: Vec<Asked>, known: &[Option<Version>], cells: &Cells) -> Option<Arc<Grounds>> {
    let versions = asked.into_iter().zip(known);
    let versions = versions.map(|(asked, version)| Some((asked.cell, (*version)?)));
    let versions = versions.collect::<Option<Vec<_>>>()?;
    Some(Arc::new(Grounds::new(versions, cells.trust.clone())))
}

/// What one master was asked, and whether it can be believed.
type AskedOf = (Arc<[Asked]>, Arc<Trust>);

/// Learns what several masters told, each of a group of the tags. What an answer stands on then;
/// `None` if one of the versions is not known, or its changes would not be told.
fn grounds_everywhere(
    groups: &[Group<&Tag>],
    told: Vec<Option<AskedOf>>,
    known: &[Option<Version>],
) -> Option<Arc<Grounds>> {
    let mut versions = vec![None; known.len()];
    let mut trusts: Vec<Arc<Trust>> = Vec::new();
    for (group, told) in groups.iter().zip(told) {
        let Some((asked, trust)) = told else { continue };
        for ((index, _), asked) in group.iter().zip(&*asked) {
            let version = *known.get(*index)?;
            asked.learn(version);
            versions[*index] = version.map(|version| (asked.cell.clone(), version));
        }
        if !trusts.iter().any(|known| Arc::ptr_eq(known, &trust)) {
            trusts.push(trust);
        }
    }
    let (versions, first) = (versions.into_iter().collect::<Option<_>>()?, trusts.pop()?);
    Some(Arc::new(Grounds::on_several(versions, first, trusts)))
}
