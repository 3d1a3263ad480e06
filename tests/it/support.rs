//! What several tests need.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fragkeys::{Cache, Config, tagged_cache};
use fragkeys_tests::{Child, RedisServer};
use tracing_subscriber::fmt::MakeWriter;

/// A source that counts how often it is asked.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) runs: AtomicU32,
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
pub(crate) async fn row(source: &Source, id: u64) -> String {
    format!("row {id}, run {}", source.runs.fetch_add(1, Ordering::SeqCst))
}

/// Collects log lines.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_writer(self.clone()).with_ansi(false);
        tracing::subscriber::set_default(subscriber.finish())
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A cache of its own in a server.
pub(crate) async fn redis_cache(server: &RedisServer) -> Cache {
    patient(server.url()).build().await.unwrap()
}

/// The same for who counts commands: the release of a lease comes when nobody waits for it.
pub(crate) async fn cache_without_leases(server: &RedisServer) -> Cache {
    patient(server.url()).lease_wait(Duration::ZERO).build().await.unwrap()
}

/// Settings for a server that a busy machine may keep from answering for a while: these
/// tests are not about time.
pub(crate) fn patient(url: impl Into<String>) -> Config {
    let config = Config::redis(url).operation_timeout(Duration::from_secs(10));
    config.flight_wait(PATIENCE)
}

/// For a test of what the near tier goes on believing: a bump of this process is told to all of its
/// caches with such a key, so those of other tests must have others.
pub(crate) fn alone(url: impl Into<String>, prefix: &str) -> Config {
    patient(url).prefix(prefix)
}

/// Another process with such keys.
pub(crate) fn worker_with(server: &RedisServer, prefix: &str) -> Child {
    let envs = [("FRAGKEYS_URL", &*server.url()), ("FRAGKEYS_PREFIX", prefix)];
    Child::start(env!("CARGO_BIN_EXE_worker"), &[], &envs)
}

/// How long a call waits for the run of another.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store of its own in this process.
pub(crate) async fn memory_cache() -> Cache {
    Config::memory().flight_wait(PATIENCE).build().await.unwrap()
}

/// Another process that uses the server.
pub(crate) fn worker(server: &RedisServer) -> Child {
    Child::start(env!("CARGO_BIN_EXE_worker"), &[], &[("FRAGKEYS_URL", &server.url())])
}

/// What a worker answers to a command.
pub(crate) fn ask(worker: &mut Child, command: &str) -> String {
    worker.send_line(command);
    worker.read_line()
}

/// Waits until a condition holds, without blocking the runtime.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + fragkeys_tests::wait::DEADLINE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Makes each of these functions of a cache two tests: over the embedded store and over Redis.
macro_rules! over_both_stores {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::support::memory_cache().await).await;
                }
            )*
        }

        mod redis {
            $(
                #[tokio::test]
                async fn $name() {
                    let server = fragkeys_tests::RedisServer::start();
                    super::$name(crate::support::redis_cache(&server).await).await;
                }
            )*
        }
    };
}
pub(crate) use over_both_stores;
