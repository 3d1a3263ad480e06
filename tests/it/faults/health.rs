//! A cache seen from outside: `health()`, and what is logged.

use std::io;
use std::sync::{Arc, Mutex};

use fragkeys::{Breaker, Config, Outcome, Tag};
use fragkeys_tests::{Proxy, RedisServer};

use super::{PATIENCE, cache_at, call, recovers};
use crate::support::{Source, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_store() {
    let mut server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    let up = cache.health();
    assert!(up.is_reachable && up.is_tracking, "{up}");
    assert_eq!((up.breaker, up.connections, up.runtimes), (Breaker::Closed, 1, 1));
    assert_eq!((up.queued_bumps, &up.last_error), (0, &None));
    let text = up.to_string();
    assert!(text.starts_with("reachable for 0 s (1 of 1 connections), breaker closed"), "{text}");

    server.kill();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    let down = cache.health();
    assert!(!down.is_reachable && !down.is_tracking && down.since > up.since, "{down}");
    assert!(down.breaker > Breaker::Closed);
    assert_eq!((down.connections, down.runtimes, down.queued_bumps), (0, 1, 1));
    assert!(down.last_error.as_ref().unwrap().contains("cannot be reached"), "{down}");

    server.restart();
    recovers(&cache).await;
    let again = cache.health();
    assert!(again.is_reachable && again.since > down.since, "{again}");
    assert_eq!(again.last_error, down.last_error, "until something else goes wrong");
}

#[tokio::test]
async fn without_tracking_it_says_so() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "default", "-client|tracking"]);
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    let health = cache.health();
    assert!(health.is_reachable && !health.is_tracking, "{health}");
    assert!(health.to_string().contains("tracking off"));
}

#[tokio::test]
async fn the_embedded_store_is_always_there() {
    let health = Config::memory().build().await.unwrap().health();
    assert!(health.is_reachable && !health.is_tracking);
    assert_eq!((health.breaker, health.runtimes, health.last_error), (Breaker::Closed, 0, None));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An outage is one warning with fields, its end one notice, whatever the number of calls.
#[test]
fn each_change_is_logged_once() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || lines.clone()).with_ansi(false).finish();
    // The connection's task runs on this thread as well.
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = RedisServer::start();
        let proxy = Proxy::to(server.port());
        let url = proxy.url().replace("redis://", "redis://:hunter2@");
        server.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
        let cache = Config::redis(url).operation_timeout(PATIENCE).build().await.unwrap();
        recovers(&cache).await;
        proxy.refuse();
        let source = Source::default();
        eventually("it is open", async || {
            call(&cache, &source).await;
            cache.health().breaker > Breaker::Closed
        })
        .await;
        for _ in 0..200 {
            assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
        }
        proxy.pass();
        recovers(&cache).await;
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let events: Vec<&str> = text.lines().filter(|line| line.contains("fragkeys:")).collect();
    let number = |part: &str| events.iter().filter(|line| line.contains(part)).count();
    assert_eq!(number("WARN"), 1, "{text}");
    assert_eq!(number("breaker=open"), 1, "{text}");
    assert_eq!(number("breaker=closed tracking=true"), 2, "{text}");
    assert!(!text.contains("hunter"), "{text}");
}

/// What a recorder is given: each name with its value.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<std::collections::BTreeMap<String, f64>>>);

/// The cell of one name.
struct Number(Numbers, String);

impl Number {
    fn set_to(&self, value: f64) {
        self.0.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl metrics::CounterFn for Number {
    fn increment(&self, _: u64) {
        panic!("{} is counted elsewhere", self.1);
    }

    fn absolute(&self, value: u64) {
        self.set_to(value as f64);
    }
}

impl metrics::GaugeFn for Number {
    fn increment(&self, _: f64) {
        panic!("{} is measured elsewhere", self.1);
    }

    fn decrement(&self, _: f64) {
        panic!("{} is measured elsewhere", self.1);
    }

    fn set(&self, value: f64) {
        self.set_to(value);
    }
}

impl Numbers {
    fn number(&self, key: &metrics::Key) -> Arc<Number> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Number(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }
}

impl metrics::Recorder for Numbers {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.number(key))
    }

    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

/// The metrics are what `stats` and `health` say, under the names that the guide lists.
#[tokio::test]
async fn metrics_are_what_stats_and_health_say() {
    let mut server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.kill();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    let numbers = Numbers::default();
    fragkeys::with_cache(cache.clone(), async {
        metrics::with_local_recorder(&numbers, fragkeys::publish_metrics);
    })
    .await;
    let published = numbers.0.lock().unwrap().clone();
    let of = |name: &str| published[&format!("fragkeys_{name}{{cache=unnamed}}")];
    let stats = cache.stats();
    assert!(stats.hits > 0 && stats.misses > 0 && stats.bumped > 0);
    assert_eq!(of("hits_total"), stats.hits as f64);
    assert_eq!(of("misses_total"), stats.misses as f64);
    assert_eq!(of("bumped_total"), stats.bumped as f64);
    assert_eq!((of("queued_bumps"), of("reachable"), of("tracking")), (1.0, 0.0, 0.0));
    assert!(of("breaker") > 0.0);
    let guide = include_str!("../../../fragkeys/docs/faults.md");
    for name in published.keys().map(|name| name.split('{').next().unwrap()) {
        assert!(guide.contains(&format!("`{name}`")), "{name} is not in the guide");
    }
}
