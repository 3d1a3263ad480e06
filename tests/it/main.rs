//! x
#![allow(missing_docs)]
mod attribute;
mod ui;

use fragkeys::*;
use fragkeys_tests::RedisServer;
use std::sync::atomic::{AtomicU32, Ordering};

static RUNS: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Profile { id: u64, name: String }

/// Docs.
#[tagged_cache(timeout = 3600, tags = ["User:<user_id>"], vary_on = [user_id])]
async fn profile(user_id: u64) -> Result<Profile, Box<dyn std::error::Error>> {
    RUNS.fetch_add(1, Ordering::SeqCst);
    if user_id == 0 { return Err("x".into()); }
    Ok(Profile { id: user_id, name: "n".into() })
}

fn is_send<T: Send>(t: T) -> T { t }

async fn scenario() {
    RUNS.store(0, Ordering::SeqCst);
    let user_id = 42;
    for _ in 0..3 { let (_r, o) = observe(is_send(async { profile(user_id).await.map_err(|e| e.to_string()) })).await; println!("{o:?}"); }
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
    println!("{:?}", invalidate!("User:<user_id>").await);
    let (_r, o) = observe(profile(user_id)).await; println!("{o:?}");
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
    let (_r, o) = observe(profile(user_id)).await; println!("{o:?}");
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
    cache().invalidate_all().await.unwrap();
    let (_r, o) = observe(profile(user_id)).await; println!("{o:?}");
    assert_eq!(RUNS.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn both() {
    let _ = tracing_subscriber::fmt::try_init();
    with_cache(Config::memory().build().await.unwrap(), scenario()).await;
    let server = RedisServer::start();
    let c = Config::redis(server.url()).build().await.unwrap();
    with_cache(c.clone(), scenario()).await;
    println!("{:?} {:?}", server.keys("*"), c.stats());
    for k in server.keys("*:t:*") { println!("{k} {}", server.cli(&["GET", &k])); }
}
