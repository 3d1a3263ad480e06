//! One cached call, from top to bottom.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::cache::{Budget, Cache};
use crate::codec::{CodecError, Format};
use crate::commit;
use crate::config::{LONGEST_TIMEOUT, SHORTEST_TIMEOUT};
use crate::encode::{self, append_text};
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::global;
use crate::key::{Identity, Place, key_base};
use crate::log::warning;
use crate::outcome::{Outcome, Report};
use crate::site::{Instance, Path, Site};
use crate::store::Found;
use crate::tag::Tag;
use crate::value::{KeyPart, Ops, Plan, Reading, TagPart};

mod miss;

use miss::Miss;

/// One call of an annotated function, as the macro puts it together.
#[derive(Debug)]
pub struct Call {
    site: &'static Site,
    instance: Arc<Instance>,
    /// All that tells it from other calls: the fingerprint, the arguments, and behind them what
    /// its tags are made of. Injective.
    bytes: Vec<u8>,
    arguments_end: Option<usize>,
    has_unencodable: bool,
    tags: Vec<Tag>,
    timeout: Option<Duration>,
    jitter: f64,
}

/// Where the arguments begin, behind the fingerprint.
const ARGUMENTS: usize = size_of::<u128>();

impl Call {
    pub fn new<R, T>(site: &'static Site, path: Path, plan: &Plan<R, T>) -> Self {
        let instance = site.instance(path, plan.ops.reading.find_shape);
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&instance.fingerprint.to_le_bytes());
        Call {
            site,
            instance,
            bytes,
            arguments_end: None,
            has_unencodable: false,
            tags: Vec::new(),
            timeout: None,
            jitter: 0.0,
        }
    }

    /// Makes the answer depend on an argument.
    pub fn vary_on<A: KeyPart + ?Sized>(&mut self, argument: &A) {
        self.has_unencodable |= encode::append(argument, &mut self.bytes).is_err();
    }

    /// The value of the next placeholder in the templates.
    pub fn placeholder<V: TagPart + ?Sized>(&mut self, value: &V) {
        self.end_arguments();
        encode::append_display(value, &mut self.bytes);
    }

    pub fn tag(&mut self, tag: impl Into<Tag>) {
        self.tags.push(tag.into());
    }

    fn end_arguments(&mut self) -> usize {
        *self.arguments_end.get_or_insert(self.bytes.len())
    }

    /// What the cache is asked for. An identity that was asked for before is remembered: then no
    /// tag is put together, and no key.
    fn identity(&mut self, cache: &Cache, codec: &str) -> Arc<Identity> {
        let end = self.end_arguments();
        let values_end = self.bytes.len();
        self.tags.iter().for_each(|tag| append_text(tag.as_str(), &mut self.bytes));
        if let Some(identity) = cache.recall(&self.bytes) {
            return identity;
        }
        let mut values = self.bytes.get(end..values_end).unwrap_or_default();
        let mut values = std::iter::from_fn(|| encode::take_text(&mut values));
        let templates = self.site.templates.iter();
        let tags = templates.map(|template| Tag::of_template(template, &mut values));
        let tags = self.tags.iter().cloned().chain(tags).collect();
        let Instance { name, fingerprint, .. } = &*self.instance;
        let arguments = self.bytes.get(ARGUMENTS..end).unwrap_or_default();
        let identity = Arc::new(identify(cache, name, *fingerprint, codec, arguments, tags));
        cache.remember(&self.bytes, &identity);
        identity
    }

    pub fn timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    pub fn jitter(&mut self, share: f64) {
        self.jitter = share;
    }

    /// The timeout of this entry: a random share is taken off, so that entries stored
    /// together do not fall due together.
    fn jittered_timeout(&self, cache: &Cache) -> Duration {
        let timeout = self.timeout.unwrap_or_else(|| cache.default_timeout()).min(LONGEST_TIMEOUT);
        timeout.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * fastrand::f64())
    }
}

/// Runs a cached call: the answer is the cache's or the body's, and never an error of ours (I5).
pub fn run<R, T, F, B>(
    call: Call,
    plan: Plan<R, T>,
    cache_if: F,
    body: B,
) -> impl Future<Output = R>
where
    F: FnOnce(&T) -> bool,
    B: Future<Output = R>,
{
    let report = Report::claim();
    let request = match request(call, &plan.ops.reading) {
        Ok(request) => request.that_can_hold(&plan.ops.reading, &report),
        Err((name, problem, text)) => {
            warn_once(&name, problem, || text);
            report.tell(Outcome::Bypass);
            None
        }
    };
    answer(request, plan, report, cache_if, body)
}

/// What a call asks of its cache; or for which function, and why, it cannot be cached.
fn request<T>(
    mut call: Call,
    reading: &Reading<T>,
) -> Result<Request, (Arc<str>, Problem, String)> {
    let instance = call.instance.clone();
    let refuse = |problem, text| Err((instance.name.clone(), problem, text));
    if call.has_unencodable {
        let text = "the `Serialize` of an argument returned an error, so there is no key";
        return refuse(Problem::Unencodable, text.to_owned());
    }
    if let Some(twin) = &instance.twin {
        return refuse(Problem::Twin, twin.clone());
    }
    let cache = match global::cache_for(call.site.cache_name) {
        Ok(cache) => cache,
        Err(error) => return refuse(Problem::NoCache, error.to_string()),
    };
    let codec = (reading.codec)(cache.format());
    Ok(Request {
        timeout: call.jittered_timeout(&cache),
        identity: call.identity(&cache, codec),
        // The shape is part of the fingerprint.
        sealed_with: Vec::new(),
        name: instance.name.clone(),
        cache,
    })
}

/// What to look for, and how long to keep what is stored instead.
pub(crate) struct Request {
    pub(crate) cache: Cache,
    pub(crate) identity: Arc<Identity>,
    /// Must also match for an entry to be read, but is not part of its key.
    pub(crate) sealed_with: Vec<u8>,
    pub(crate) timeout: Duration,
    /// The function or entry, for messages.
    pub(crate) name: Arc<str>,
}

/// Answers from the cache or by running the body, whose value is then stored under the
/// versions that were read before it began (I1). Without a request, the body's answer it is.
pub(crate) async fn answer<R, T, F, B>(
    request: Option<Request>,
    plan: Plan<R, T>,
    report: Report,
    cache_if: F,
    body: B,
) -> R
where
    F: FnOnce(&T) -> bool,
    B: Future<Output = R>,
{
    let miss = match request {
        None => None,
        Some(request) => {
            let ticket = request.cache.flights().ticket();
            match request.look_for_call(&plan.ops.reading, &report).await {
                Ok(value) => return (plan.join)(value),
                Err(place) => place.map(|(place, budget)| Miss { request, place, budget, ticket }),
            }
        }
    };
    // Boxed, so that a hit does not carry the room for it around.
    Box::pin(miss::answer(miss, plan, report, cache_if, body)).await
}

/// What a look found.
pub(crate) struct Looked<T> {
    pub(crate) value: Option<T>,
    /// Where a value belongs under the versions of the look.
    pub(crate) place: Arc<Place>,
}

impl Request {
    pub(crate) async fn look<T>(
        &self,
        reading: &Reading<T>,
        budget: &mut Budget,
    ) -> Result<Looked<T>, Error> {
        if commit::holds_any(&self.cache, &self.identity.tags) {
            return Err(Error::new(
                ErrorKind::Held,
                "a bump of one of its tags waits for the commit",
            ));
        }
        let Found { place, entry } = self.cache.look(&self.identity, self.timeout, budget).await?;
        let value = entry.and_then(|entry| self.open(&place, reading, &entry));
        Ok(Looked { value, place })
    }

    /// The value of an entry that is this call's and can be read.
    fn open<T>(&self, place: &Place, reading: &Reading<T>, entry: &[u8]) -> Option<T> {
        let payload = envelope::open(entry, &self.address(place));
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

    /// What an entry at this place must have been sealed for.
    fn address<'a>(&self, place: &'a Place) -> Cow<'a, [u8]> {
        if self.sealed_with.is_empty() {
            return Cow::Borrowed(&place.address);
        }
        Cow::Owned([&place.address[..], &self.sealed_with].concat())
    }

    /// Would what is stored be read by somebody, and may it? What a transaction sees may not.
    pub(crate) fn may_store(&self) -> bool {
        self.timeout >= SHORTEST_TIMEOUT && !commit::is_inside()
    }

    /// The value; or where to store one, and what time is left for it, unless that is in vain.
    async fn look_for_call<T>(
        &self,
        reading: &Reading<T>,
        report: &Report,
    ) -> Result<T, Option<(Arc<Place>, Budget)>> {
        let counters = self.cache.counters();
        let mut budget = self.cache.budget();
        match self.look(reading, &mut budget).await {
            Ok(Looked { value: Some(value), .. }) => {
                counters.hits.add();
                report.tell(Outcome::Hit);
                Ok(value)
            }
            Ok(Looked { value: None, place }) => {
                counters.misses.add();
                report.tell(Outcome::NotStored);
                Err(Some((place, budget)))
            }
            Err(error) => {
                if error.kind() == ErrorKind::Tag {
                    warn_once(&self.name, Problem::NoVersion, || error.to_string());
                }
                counters.bypassed.add();
                report.tell(Outcome::Bypass);
                Err(None)
            }
        }
    }

    /// This request, if the codec can read values of the type at all. If not, a look would
    /// be in vain.
    pub(crate) fn that_can_hold<T>(self, reading: &Reading<T>, report: &Report) -> Option<Self> {
        let is_self_describing = (reading.is_self_describing)(self.cache.format());
        if is_self_describing || !reading.shape().self_describing_only {
            return Some(self);
        }
        self.refuse::<T>(&Unstorable::NotForCodec);
        report.tell(Outcome::NotStored);
        None
    }

    /// The entry's bytes, if the value can be stored and read back.
    pub(crate) fn seal<T>(
        &self,
        place: &Place,
        ops: &Ops<T>,
        value: &T,
    ) -> Result<Vec<u8>, Unstorable> {
        let sealed = encode_checked(ops, self.cache.format(), value)
            .and_then(|payload| self.seal_payload(place, &payload));
        sealed.inspect_err(|reason| self.refuse::<T>(reason))
    }

    /// The entry's bytes, if there are not too many.
    fn seal_payload(&self, place: &Place, payload: &[u8]) -> Result<Vec<u8>, Unstorable> {
        let entry = envelope::seal(&self.address(place), payload, self.timeout);
        let limit = self.cache.max_entry_bytes();
        match entry {
            Some(entry) if entry.len() <= limit => Ok(entry),
            _ => Err(Unstorable::TooLarge { limit }),
        }
    }

    pub(crate) async fn put(
        &self,
        place: &Place,
        entry: Vec<u8>,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let stored = self.cache.put(&self.identity, place, entry, self.timeout, budget).await;
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

/// Why a value is not stored.
#[derive(Debug)]
pub(crate) enum Unstorable {
    NotForCodec,
    CodecRefused(CodecError),
    NotReadBack(CodecError),
    ReadBackOtherwise,
    TooLarge { limit: usize },
}

impl fmt::Display for Unstorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ADVICE: &str = "another codec may hold it: \
            `codec = fragkeys::Bincode`, `Json` or `MessagePack` (features `json`, `msgpack`)";
        match self {
            Unstorable::NotForCodec => {
                write!(
                    f,
                    "its type must see the data to understand it, and this codec does not say what is there; {ADVICE}"
                )
            }
            Unstorable::CodecRefused(error) => write!(f, "{error}; {ADVICE}"),
            Unstorable::NotReadBack(error) => {
                write!(f, "it was encoded, but cannot be decoded: {error}; {ADVICE}")
            }
            Unstorable::ReadBackOtherwise => {
                write!(f, "it was encoded, but is decoded as another one; {ADVICE}")
            }
            Unstorable::TooLarge { limit } => {
                write!(f, "the entry is above `max_entry_bytes`, which is {limit}")
            }
        }
    }
}

/// The bytes of a value that will be read back as the same value.
///
/// A codec refuses what it is known to read back as something else. What is not known is
/// found by reading back: a field that is only written, or only read, shifts all behind it,
/// and the bytes of what is read then have another length. (Not other bytes: a `HashMap`'s
/// order is not its own.)
fn encode_checked<T>(ops: &Ops<T>, format: Format, value: &T) -> Result<Vec<u8>, Unstorable> {
    let payload = (ops.encode)(format, value).map_err(Unstorable::CodecRefused)?;
    let back = (ops.reading.decode)(format, &payload).map_err(Unstorable::NotReadBack)?;
    match (ops.encode)(format, &back) {
        Ok(again) if again.len() == payload.len() => Ok(payload),
        _ => Err(Unstorable::ReadBackOtherwise),
    }
}

/// The identity of a call: an injective row of all that tells it from others (I4).
pub(crate) fn identify(
    cache: &Cache,
    name: &str,
    fingerprint: u128,
    codec: &str,
    arguments: &[u8],
    tags: Vec<Tag>,
) -> Identity {
    let mut bytes = Vec::with_capacity(64 + arguments.len() + tags.len() * 24);
    bytes.extend_from_slice(&fingerprint.to_le_bytes());
    bytes.extend_from_slice(&cache.epoch().to_le_bytes());
    append_text(codec, &mut bytes);
    bytes.extend_from_slice(&(arguments.len() as u64).to_le_bytes());
    bytes.extend_from_slice(arguments);
    bytes.extend_from_slice(&(tags.len() as u64).to_le_bytes());
    tags.iter().for_each(|tag| append_text(tag.as_str(), &mut bytes));
    let versioned = tags.into_iter().filter(|tag| !tag.is_constant());
    Identity {
        key_base: key_base(cache.prefix(), name),
        bytes,
        tags: std::iter::once(Tag::root()).chain(versioned).collect(),
        #[cfg(feature = "redis")]
        ready: arc_swap::ArcSwapOption::const_empty(),
    }
}

/// What is worth saying once for each function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Problem {
    NoCache,
    Twin,
    Unencodable,
    Undecodable,
    Unstorable,
    NoVersion,
}

/// Logs a problem of a function, the first time.
pub(crate) fn warn_once(name: &str, problem: Problem, text: impl FnOnce() -> String) {
    /// Bounds the memory; what comes after is not logged.
    const LIMIT: usize = 1_000;
    static TOLD: LazyLock<Mutex<HashSet<(String, Problem)>>> = LazyLock::new(Mutex::default);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < LIMIT && told.insert((name.to_owned(), problem)) {
        drop(told);
        warning!("`{name}`: {}", text());
    }
}
