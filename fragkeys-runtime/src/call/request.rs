//! What a call asks of its cache: to look for its entry, and to store one.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::grace::Graced;
use super::keep::Keep;
use super::problem::{Problem, Unstorable, warn_once};
use crate::cache::{Budget, Cache};
use crate::clock;
use crate::codec::Format;
use crate::commit;
use crate::config::SHORTEST_TIMEOUT;
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::flight::Key;
use crate::inherit::{Heir, Obstacle};
use crate::key::{Identity, Place};
use crate::near::AnyKept;
use crate::outcome::{Outcome, Report};
use crate::shape::Shape;
use crate::store::{Access, Found};
use crate::value::{Nearby, Ops, Reading};
use crate::view::View;

/// What to look for, and how long to keep what is stored instead.
pub(crate) struct Request {
    pub(crate) cache: Cache,
    /// For a look in the poll that has put this together: see [`budget`](Self::budget).
    pub(crate) access: Access,
    pub(crate) identity: Arc<Identity>,
    /// Must also match for an entry to be read, but is not part of its key.
    pub(crate) sealed_with: Vec<u8>,
    pub(crate) timeout: Duration,
    /// Of a function that asks for grace.
    pub(crate) grace: Option<Box<Graced>>,
    /// Where its value stands in the near tier, if it may.
    pub(crate) near: Option<Box<[u8]>>,
    /// Does one process run for all?
    pub(crate) is_leased: bool,
    /// The function or entry, for messages.
    pub(crate) name: Arc<str>,
    /// How it is to see the versions, if it was told.
    pub(crate) view: Option<Arc<View>>,
    /// Who takes over its tags.
    pub(crate) heir: Option<Arc<Heir>>,
    /// Does it tell the heir what it gives?
    pub(crate) is_part: bool,
}

/// A value's bytes, and the value as it is read back from them.
pub(crate) struct Encoded<T> {
    pub(crate) payload: Bytes,
    back: T,
}

/// An entry made ready to be stored.
pub(crate) struct Sealed {
    pub(crate) entry: Vec<u8>,
    /// Where a later call finds it whatever is bumped meanwhile, and what stands there.
    pointer: Option<(Place, Vec<u8>)>,
    /// For the near tier.
    near: Option<Arc<AnyKept>>,
}

/// What a look found, as bytes.
pub(super) struct Seen {
    pub(super) place: Arc<Place>,
    pub(super) entry: Option<Bytes>,
    /// From before the look.
    pub(super) removals: u64,
}

/// What a look found.
pub(crate) struct Looked<T> {
    pub(crate) value: Option<T>,
    /// Where a value belongs under the versions of the look.
    pub(crate) place: Arc<Place>,
}

impl Request {
    /// For what begins with a look, in the poll that has put this together.
    pub(super) fn budget(&mut self) -> Budget {
        self.cache.budget().with_access(std::mem::take(&mut self.access))
    }

    pub(crate) async fn look<T>(
        &self,
        reading: &Reading<T>,
        budget: &mut Budget,
    ) -> Result<Looked<T>, Error> {
        let Seen { place, entry, removals } = self.find(budget).await?;
        let value = match entry {
            Some(entry) => self.open(&place, reading, &entry, removals),
            None => self.find_made(reading.nearby),
        };
        Ok(Looked { value, place })
    }

    /// Looks for the entry's bytes. What the call gives is as new as the versions of this look, or
    /// nobody knows how new it is.
    pub(super) async fn find(&self, budget: &mut Budget) -> Result<Seen, Error> {
        let seen = self.find_bytes(budget).await;
        match &seen {
            Ok(seen) => self.bequeath(&self.identity, &seen.place),
            Err(_) => self.bequeath_nothing(),
        }
        seen
    }

    async fn find_bytes(&self, budget: &mut Budget) -> Result<Seen, Error> {
        if commit::holds_any(&self.cache, &self.identity.tags) {
            return Err(Error::new(
                ErrorKind::Held,
                "a bump of one of its tags waits for the commit",
            ));
        }
        let removals = self.removals();
        let Found { place, entry } = self.look_up(budget).await?;
        Ok(Seen { place, entry, removals })
    }

    /// The value of an entry that is this call's and can be read. `removals` are from before the
    /// look.
    pub(super) fn open<T>(
        &self,
        place: &Place,
        reading: &Reading<T>,
        entry: &[u8],
        removals: u64,
    ) -> Option<T> {
        if self.grace.is_some() {
            let aged = self.open_aged(place, reading, entry, removals)?;
            return (clock::since_1970() < aged.age.expires).then_some(aged.value);
        }
        let value = self.decode(reading, envelope::open(entry, &self.address(place)))?;
        let left = || envelope::left(entry);
        self.keep_found(reading.nearby, place, &value, entry.len(), left, removals);
        Some(value)
    }

    /// The value of a payload, if there is one.
    pub(super) fn decode<T>(&self, reading: &Reading<T>, payload: Option<&[u8]>) -> Option<T> {
        let value = payload.map(|payload| (reading.decode)(self.cache.format(), payload));
        if let Some(Ok(value)) = value {
            return Some(value);
        }
        self.cache.counters().rejected.add();
        if let Some(Err(error)) = value {
            warn_once(&self.name, Problem::Undecodable, || {
                format!("an entry cannot be decoded: {error}; the function runs instead")
            });
        }
        None
    }

    /// The value's bytes in an entry that is this call's.
    pub(super) fn payload(&self, place: &Place, entry: &Bytes) -> Option<Bytes> {
        let address = self.address(place);
        let payload = match &self.grace {
            None => envelope::open(entry, &address),
            Some(_) => envelope::open_aged(entry, &address)
                .filter(|(_, age)| clock::since_1970() < age.expires)
                .map(|(payload, _)| payload),
        };
        payload.map(|payload| entry.slice_ref(payload))
    }

    /// What an entry at this place must have been sealed for.
    pub(super) fn address<'a>(&self, place: &'a Place) -> Cow<'a, [u8]> {
        if self.sealed_with.is_empty() {
            return Cow::Borrowed(&place.address);
        }
        Cow::Owned([&place.address[..], &self.sealed_with].concat())
    }

    /// The entry under the versions that this call is to see.
    pub(super) async fn look_up(&self, budget: &mut Budget) -> Result<Found, Error> {
        let (cache, identity) = (&self.cache, &self.identity);
        match &self.view {
            None => cache.look(identity, self.timeout, budget).await,
            // Boxed, so that others do not carry the room for it around.
            Some(view) => Box::pin(view.look(cache, identity, self.timeout, budget)).await,
        }
    }

    /// Tells who takes over its tags as of which versions it is answered.
    pub(super) fn bequeath(&self, identity: &Identity, place: &Place) {
        if let Some(heir) = &self.heir {
            let versions = place.versions.iter().copied();
            heir.take(&self.cache, &self.name, &identity.tags, versions);
            if !self.is_part {
                heir.lacks_part();
            }
        }
    }

    /// Tells who takes over its tags that nobody knows as of which versions it is answered.
    pub(super) fn bequeath_nothing(&self) {
        if let Some(heir) = &self.heir {
            heir.refuse(Obstacle::Unknown);
        }
    }

    /// The same call with more tags. Who has it tells the heir.
    pub(super) fn of(&self, identity: Arc<Identity>) -> Self {
        Request {
            cache: self.cache.clone(),
            access: Access::default(),
            identity,
            sealed_with: Vec::new(),
            timeout: self.timeout,
            grace: None,
            near: self.near.clone(),
            is_leased: false,
            name: self.name.clone(),
            view: self.view.clone(),
            heir: None,
            is_part: false,
        }
    }

    /// Where its entry stands under those versions.
    pub(crate) async fn place(&self, budget: &mut Budget) -> Result<Arc<Place>, Error> {
        Ok(self.look_up(budget).await?.place)
    }

    /// Who else would ask for this entry, and could use what is sealed for it.
    pub(crate) fn flight_key(&self, place: &Arc<Place>) -> Key {
        Key { place: place.clone(), sealed_with: self.sealed_with.clone() }
    }

    /// Is a value stored, and for how long?
    pub(crate) fn is_kept(&mut self, keep: Keep) -> bool {
        if let Keep::For(timeout) = keep {
            self.timeout = timeout;
        }
        matches!(keep, Keep::Usual | Keep::For(_))
    }

    /// Would what is stored be read by somebody, and may it? What a transaction sees may not.
    pub(crate) fn may_store(&self) -> bool {
        self.timeout >= SHORTEST_TIMEOUT && !commit::is_inside()
    }

    /// This request, if the codec can read values of the type at all. If not, a look would
    /// be in vain.
    pub(crate) fn that_can_hold<T>(
        self,
        reading: &Reading<T>,
        shape: Shape,
        report: &Report,
    ) -> Option<Self> {
        if !shape.self_describing_only || (reading.is_self_describing)(self.cache.format()) {
            return Some(self);
        }
        self.refuse::<T>(&Unstorable::NotForCodec);
        report.tell(Outcome::NotStored);
        None
    }

    /// The bytes of a value, if it can be stored and read back.
    pub(crate) fn encode<T>(&self, ops: &Ops<T>, value: &T) -> Result<Encoded<T>, Unstorable> {
        let encoded = encode_checked(ops, self.cache.format(), value);
        encoded.inspect_err(|reason| self.refuse::<T>(reason))
    }

    /// The entry, if its bytes are not too many.
    pub(crate) fn seal<T>(
        &self,
        place: &Place,
        nearby: Option<Nearby<T>>,
        Encoded { payload, back }: Encoded<T>,
    ) -> Result<Sealed, Unstorable> {
        let limit = self.cache.max_entry_bytes();
        let (entry, left, pointer) = match &self.grace {
            None => {
                (envelope::seal(&self.address(place), &payload, self.timeout), self.timeout, None)
            }
            Some(graced) => self.seal_graced(graced, place, &payload),
        };
        let near = self.made(nearby, place, back, payload.len(), left);
        let sealed = entry.filter(|entry| entry.len() <= limit);
        let sealed = sealed.map(|entry| Sealed { entry, pointer, near });
        sealed.ok_or(Unstorable::TooLarge { limit }).inspect_err(|reason| self.refuse::<T>(reason))
    }

    pub(crate) async fn put(
        &self,
        place: &Arc<Place>,
        Sealed { entry, pointer, near }: Sealed,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        if near.as_ref().is_some_and(|near| self.cache.is_store_near() && self.keep_made(near)) {
            self.cache.counters().stored.add();
            return Ok(());
        }
        let stored = match &self.grace {
            None => self.cache.put(&self.identity, place, entry, self.timeout, budget).await,
            // Boxed, so that others do not carry the room for it around.
            Some(graced) => Box::pin(self.put_graced(graced, place, entry, pointer, budget)).await,
        };
        if let (Ok(()), Some(near)) = (&stored, &near) {
            self.keep_made(near);
        }
        if let Err(error) = &stored
            && error.kind() == ErrorKind::TooLarge
        {
            warn_once(&self.name, Problem::Unstorable, || error.to_string());
        }
        stored
    }

    fn refuse<T>(&self, reason: &Unstorable) {
        self.cache.counters().unstorable.add();
        warn_once(&self.name, Problem::Unstorable, || {
            format!("a value of type `{}` is not stored: {reason}", std::any::type_name::<T>())
        });
    }
}

/// The bytes of a value that will be read back as the same value, and the value so read.
///
/// A codec refuses what it is known to read back as something else. What is not known is
/// found by reading back: a field that is only written, or only read, shifts all behind it,
/// and the bytes of what is read then have another length. (Not other bytes: a `HashMap`'s
/// order is not its own.)
fn encode_checked<T>(ops: &Ops<T>, format: Format, value: &T) -> Result<Encoded<T>, Unstorable> {
    let payload = (ops.encode)(format, value).map_err(Unstorable::CodecRefused)?;
    let back = (ops.reading.decode)(format, &payload).map_err(Unstorable::NotReadBack)?;
    match (ops.encode)(format, &back) {
        Ok(again) if again.len() == payload.len() => Ok(Encoded { payload: payload.into(), back }),
        _ => Err(Unstorable::ReadBackOtherwise),
    }
}
