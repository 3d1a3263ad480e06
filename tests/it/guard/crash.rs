//! A real process that is killed between its commit and its bump.

use std::path::Path;

use fragkeys::{Cache, Outcome, observe, tagged_cache, with_cache};
use fragkeys_tests::{Child, RedisServer};

use super::SHORT;
use crate::support::{eventually, redis_cache};

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn on_disk(path: &Path, id: u64) -> String {
    std::fs::read_to_string(path).unwrap()
}

async fn read(cache: &Cache, path: &Path) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(on_disk(path, 1))).await;
    (value, outcome.unwrap())
}

/// The row is committed, and its writer is killed before it can bump.
async fn after_a_crash(how: &str, check: impl AsyncFnOnce(&Cache, &Path)) {
    let server = RedisServer::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("row");
    std::fs::write(&path, "old").unwrap();
    let cache = redis_cache(&server).await;
    assert_eq!(read(&cache, &path).await, ("old".to_owned(), Outcome::Miss));
    let environment =
        [("FRAGKEYS_URL", &*server.url()), ("GUARD_TIMEOUT", &SHORT.as_millis().to_string())];
    let mut writer = Child::start(env!("CARGO_BIN_EXE_worker"), &[], &environment);
    writer.send_line(&format!("write {how} {} new", path.display()));
    assert_eq!(writer.read_line(), "committed");
    writer.kill();
    check(&cache, &path).await;
}

#[tokio::test]
async fn without_a_guard_what_was_cached_stays_and_is_wrong() {
    after_a_crash("plainly", async |cache, path| {
        tokio::time::sleep(2 * SHORT).await;
        assert_eq!(read(cache, path).await, ("old".to_owned(), Outcome::Hit));
    })
    .await;
}

async fn nothing_old_is_read(cache: &Cache, path: &Path) {
    assert_eq!(read(cache, path).await, ("new".to_owned(), Outcome::Bypass));
    eventually("the mark ends", async || {
        let (value, outcome) = read(cache, path).await;
        assert_eq!(value, "new");
        outcome == Outcome::Miss
    })
    .await;
    assert_eq!(read(cache, path).await, ("new".to_owned(), Outcome::Hit));
}

#[tokio::test]
async fn with_a_guard_nothing_old_is_read() {
    after_a_crash("guarded", nothing_old_is_read).await;
}

#[tokio::test]
async fn with_a_scope_that_writes_ahead_nothing_old_is_read() {
    after_a_crash("write-ahead", nothing_old_is_read).await;
}
