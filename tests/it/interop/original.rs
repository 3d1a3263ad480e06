//! A Python process that caches with the real packages.

use fragkeys::FragmentedKeys;
use fragkeys_tests::{Python, PythonSession, RedisServer};

/// How the Python side is set up, and where its versions stand.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    setup: &'static str,
    key_prefix: &'static str,
    pub(crate) keys: fn() -> FragmentedKeys,
}

/// `profile(user_id)` and `dashboard()` are cached with the tags `User:{user_id}` and
/// `Dashboard`, `org_reviews(org)` with the instance `org:…` of `Review`.
pub(crate) const DJANGO: Kind = Kind {
    setup: r#"
import os
import django
from django.conf import settings
settings.configure(CACHES={
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
    },
    "fragmented": {
        "BACKEND": "fragmented_keys_django.cache_backends.django_backend.FragmentedKeysCacheBackend",
        "CACHE_NAME": "default",
        "PREFIX": "NOZ",
    },
})
django.setup()
from django.core.cache import caches
from fragmented_keys import StandardTag
from fragmented_keys_django import ModelTagManager, configure_fragmented_keys, list_tag, tagged_cache
backend = caches["fragmented"]
configure_fragmented_keys(cache_name="fragmented", prefix="NOZ")

runs = 0
def run():
    global runs
    runs += 1
    return f"run {runs}"

@tagged_cache(tags=["User:{user_id}"], vary_on=["user_id"], cache_name="fragmented")
def profile(user_id):
    return run()

@tagged_cache(tags=["Dashboard"], cache_name="fragmented")
def dashboard():
    return run()

def org_reviews(org):
    return backend.get_or_set_with_tags("reviews", run, [("Review", f"org:{org}")])
"#,
    key_prefix: ":1:",
    keys: || FragmentedKeys::django("NOZ"),
};

pub(crate) const PLAIN: Kind = Kind {
    setup: r#"
import os
import redis
from fragmented_keys import Configuration, RedisHandler, StandardKey, StandardTag
client = redis.Redis.from_url(os.environ["REDIS_URL"])
Configuration.set_default_cache_handler(RedisHandler(client))
Configuration.set_global_prefix("NOZ")

runs = 0
def cached(name, tag):
    global runs
    key = StandardKey(name, [tag]).get_key_str()
    value = client.get(key)
    if value is not None:
        return value.decode()
    runs += 1
    client.setex(key, 3600, f"run {runs}")
    return f"run {runs}"

def profile(user_id):
    return cached(f"profile_{user_id}", StandardTag("User", str(user_id)))

def dashboard():
    return cached("dashboard", StandardTag("Dashboard"))

def org_reviews(org):
    return cached("reviews", StandardTag("Review", f"org:{org}"))
"#,
    key_prefix: "",
    keys: || FragmentedKeys::plain("NOZ"),
};

pub(crate) struct Original {
    kind: Kind,
    pub(crate) session: PythonSession,
}

impl Original {
    pub(crate) fn start(kind: Kind, server: &RedisServer) -> Self {
        let session = Python::new().session(kind.setup, &[("REDIS_URL", &server.url())]);
        Original { kind, session }
    }

    /// Where it keeps a tag's version.
    pub(crate) fn key(&self, name: &str, instance: &str) -> String {
        format!("{}{name}_{instance}NOZ", self.kind.key_prefix)
    }

    pub(crate) fn increment(&mut self, name: &str, instance: &str) {
        self.session.exec(&format!("StandardTag({name:?}, {instance:?}).increment()"));
    }

    /// The version as it reads it, seeding one that is not there.
    pub(crate) fn version(&mut self, name: &str, instance: &str) -> f64 {
        let version = format!("repr(StandardTag({name:?}, {instance:?}).get_tag_version())");
        self.session.eval(&version).parse().unwrap()
    }

    /// Does this call run its function?
    pub(crate) fn runs(&mut self, call: &str) -> bool {
        let before = self.session.eval("runs");
        let first = self.session.eval(call);
        assert!(first.starts_with("run "), "{call} gives {first}");
        self.session.eval("runs") != before
    }

    /// A miss that is stored.
    pub(crate) fn misses_once(&mut self, call: &str) {
        assert!(self.runs(call), "a hit of {call} after a bump");
        assert!(!self.runs(call), "a second miss of {call}");
    }
}
