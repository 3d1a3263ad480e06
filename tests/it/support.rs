//! What several tests need.

use std::time::Duration;

use fragkeys::{Cache, Config};
use fragkeys_tests::{Child, RedisServer};

/// A cache of its own in a server.
pub(crate) async fn redis_cache(server: &RedisServer) -> Cache {
    patient(server.url()).build().await.unwrap()
}

/// Settings for a server that a busy machine may keep from answering for a while: these
/// tests are not about time.
pub(crate) fn patient(url: impl Into<String>) -> Config {
    Config::redis(url).operation_timeout(Duration::from_secs(10))
}

/// A store of its own in this process.
pub(crate) async fn memory_cache() -> Cache {
    Config::memory().build().await.unwrap()
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
