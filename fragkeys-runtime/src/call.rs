//! One cached call, from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use crate::around::Order;
use crate::cache::Cache;
use crate::config::LONGEST_TIMEOUT;
use crate::encode::{self, Buffer, append_text};
use crate::global;
use crate::inherit::{self, Obstacle};
use crate::key::{Identity, key_base};
use crate::outcome::{Outcome, Report};
use crate::private::Plain;
use crate::site::{Instance, Path, Site};
use crate::store::Access;
use crate::tag::Tag;
use crate::value::{KeyPart, Plan, Reading, TagPart};

mod answer;
pub(crate) mod batch;
pub(crate) mod grace;
pub(crate) mod keep;
mod late;
mod lease;
mod miss;
mod near;
mod ordered;
mod problem;
mod request;
mod telling;

pub(crate) use answer::answer;
pub(crate) use keep::Keep;
pub use late::run_with_late_tags;
pub use near::near;
pub(crate) use problem::Unstorable;
use problem::{Problem, warn_once};
pub(crate) use request::{Looked, Request};
use telling::Telling;

/// One call of an annotated function, as the macro puts it together.
#[derive(Debug)]
pub struct Call {
    site: &'static Site,
    instance: &'static Instance,
    /// All that tells it from other calls: the fingerprint, the arguments, and behind them what
    /// its tags are made of. Injective.
    bytes: Buffer,
    arguments_end: Option<usize>,
    has_unencodable: bool,
    tags: Vec<Tag>,
    /// Where the values end and what these tags are begins, once that is written.
    values_end: Option<usize>,
    timeout: Option<Duration>,
    jitter: f64,
}

/// Where the arguments begin, behind the fingerprint.
const ARGUMENTS: usize = size_of::<u128>();

impl Call {
    #[inline]
    pub fn new<R, T>(site: &'static Site, path: Path, plan: &Plan<R, T>) -> Self {
        Call::of(site, site.instance(path, plan.ops.reading.find_shape))
    }

    fn of(site: &'static Site, instance: &'static Instance) -> Self {
        let mut bytes = Buffer::new();
        bytes.extend(&instance.fingerprint.to_le_bytes());
        Call {
            site,
            instance,
            bytes,
            arguments_end: None,
            has_unencodable: false,
            tags: Vec::new(),
            values_end: None,
            timeout: None,
            jitter: 0.0,
        }
    }

    /// Makes the answer depend on an argument.
    pub fn vary_on<A: KeyPart + ?Sized>(&mut self, argument: &A) {
        self.has_unencodable |= encode::append(argument, &mut self.bytes).is_err();
    }

    /// What stands in the next placeholder: of those of one path in the templates, the first.
    pub fn placeholder<V: TagPart + ?Sized>(&mut self, value: &V) {
        self.end_arguments();
        self.bytes.append_display(value);
    }

    /// The same for what needs no `Display`; `false` if it does.
    #[inline]
    pub fn plain(&mut self, value: Plain<'_>) -> bool {
        self.end_arguments();
        match value {
            Plain::Number { is_negative, digits } => self.bytes.append_number(is_negative, digits),
            Plain::Text(text) => append_text(text, &mut self.bytes),
            Plain::Unknown => return false,
        }
        true
    }

    pub fn tag(&mut self, tag: impl Into<Tag>) {
        self.tags.push(tag.into());
    }

    #[inline]
    fn end_arguments(&mut self) -> usize {
        *self.arguments_end.get_or_insert(self.bytes.len())
    }

    /// Completes what tells it from other calls. Says where its arguments and its values end.
    #[inline]
    fn complete(&mut self) -> (usize, usize) {
        let end = self.end_arguments();
        let values_end = match self.values_end {
            Some(values_end) => values_end,
            None => {
                let values_end = *self.values_end.insert(self.bytes.len());
                self.tags.iter().for_each(|tag| append_text(tag.as_str(), &mut self.bytes));
                values_end
            }
        };
        (end, values_end)
    }

    /// What the cache is asked for. An identity that was asked for before is remembered: then no
    /// tag is put together, and no key.
    fn identity(&mut self, cache: &Cache, access: &Access, codec: &str) -> Arc<Identity> {
        let (end, values_end) = self.complete();
        let bytes = self.bytes.as_slice();
        if let Some(identity) = cache.recall(access, bytes) {
            return identity;
        }
        let mut values = bytes.get(end..values_end).unwrap_or_default();
        let values: Vec<&str> = std::iter::from_fn(|| encode::take_text(&mut values)).collect();
        let templates = self.site.templates.iter();
        let tags = templates.map(|template| Tag::of_template(template, &values));
        let tags = self.tags.iter().cloned().chain(tags).collect();
        let Instance { name, fingerprint, .. } = self.instance;
        let arguments = bytes.get(ARGUMENTS..end).unwrap_or_default();
        // The fingerprint stands for the templates, and says how many of each there are.
        let about_tags = bytes.get(end..).unwrap_or_default();
        let identity = identify(cache, name, *fingerprint, codec, arguments, about_tags, tags);
        let identity = Arc::new(identity);
        cache.remember(access, bytes, &identity);
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
        jittered(self.timeout.unwrap_or_else(|| cache.default_timeout()), self.jitter)
    }
}

/// A timeout, with a random share of it taken off.
fn jittered(timeout: Duration, share: f64) -> Duration {
    let timeout = timeout.min(LONGEST_TIMEOUT);
    if share > 0.0 { timeout.mul_f64(1.0 - share.min(1.0) * fastrand::f64()) } else { timeout }
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
    begin(call, plan, |value: &T| Keep::of_condition(cache_if(value)), body)
}

/// The same where the value says for how long it is kept.
pub fn run_kept<R, T, K, B>(
    call: Call,
    plan: Plan<R, T>,
    keep: K,
    body: B,
) -> impl Future<Output = R>
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    let jitter = call.jitter;
    begin(call, plan, move |value: &T| keep(value).jittered(jitter), body)
}

fn begin<R, T, K, B>(call: Call, plan: Plan<R, T>, keep: K, body: B) -> impl Future<Output = R>
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    let order = Order::take(&call.instance.name);
    let report = Report::claim();
    let request = prepare(call, &plan, &report);
    answer(request, plan, report, order, keep, body)
}

/// What a call asks of its cache, if it can be cached.
fn prepare<R, T>(call: Call, plan: &Plan<R, T>, report: &Report) -> Option<Request> {
    let instance = call.instance;
    let request = match request(call, &plan.ops.reading) {
        Ok(request) => request.that_can_hold(&plan.ops.reading, instance.shape, report),
        Err((name, problem, text)) => {
            warn_once(&name, problem, || text);
            report.tell(Outcome::Bypass);
            None
        }
    };
    if request.is_none() {
        inherit::refuse(Obstacle::Uncachable(instance.name.clone()));
    }
    request
}

/// What a call asks of its cache; or for which function, and why, it cannot be cached.
fn request<T>(
    mut call: Call,
    reading: &Reading<T>,
) -> Result<Request, (Arc<str>, Problem, String)> {
    let name = call.instance.name.clone();
    if call.has_unencodable {
        let text = "the `Serialize` of an argument returned an error, so there is no key";
        return Err((name, Problem::Unencodable, text.to_owned()));
    }
    if let Some(twin) = &call.instance.twin {
        return Err((name, Problem::Twin, twin.clone()));
    }
    let (cache, given) = match global::given_for(call.site.cache_name) {
        Ok(given) => given,
        Err(error) => return Err((name, Problem::NoCache, error.to_string())),
    };
    let codec = (reading.codec)(cache.format());
    let is_near = reading.nearby.is_some() && cache.has_near();
    let access = cache.access();
    Ok(Request {
        timeout: call.jittered_timeout(&cache),
        identity: call.identity(&cache, &access, codec),
        near: is_near.then(|| call.bytes.as_slice().into()),
        // The shape is part of the fingerprint.
        sealed_with: Vec::new(),
        grace: None,
        is_leased: call.site.is_leased,
        name,
        cache,
        access,
        view: given.view,
        heir: given.heir,
        is_part: false,
    })
}

/// The identity of a call: an injective row of all that tells it from others (I4).
pub(crate) fn identify(
    cache: &Cache,
    name: &str,
    fingerprint: u128,
    codec: &str,
    arguments: &[u8],
    about_tags: &[u8],
    tags: Vec<Tag>,
) -> Identity {
    let mut bytes = Vec::with_capacity(64 + arguments.len() + about_tags.len());
    bytes.extend_from_slice(&fingerprint.to_le_bytes());
    bytes.extend_from_slice(&cache.epoch().to_le_bytes());
    append_text(codec, &mut bytes);
    bytes.extend_from_slice(&(arguments.len() as u64).to_le_bytes());
    bytes.extend_from_slice(arguments);
    bytes.extend_from_slice(about_tags);
    let versioned = tags.into_iter().filter(|tag| !tag.is_constant());
    Identity {
        #[cfg(feature = "redis")]
        ready: arc_swap::ArcSwapOption::const_empty(),
        tags: std::iter::once(Tag::root()).chain(versioned).collect(),
        key_base: key_base(cache.prefix(), name),
        bytes,
    }
}
