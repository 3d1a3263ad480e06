//! Another process of a test: reads commands line by line and answers each with one line.
//!
//! `FRAGKEYS_URL` and `FRAGKEYS_PREFIX` say which cache it installs; with the argument
//! `uninstalled` it installs none. `CLUSTER_URLS` are those of a cluster, with commas between.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::io::BufRead as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::post;
use fragkeys::tower::ReadYourWritesLayer;
use fragkeys::{
    Bumped, Config, Error, Tag, TaggedModel, cache, cache_named, invalidate, observe, tagged_cache,
    with_cache,
};
use tokio::net::TcpListener;

/// The "database": what the next run of [`answer`] gives.
static ROW: AtomicU64 = AtomicU64::new(0);

#[derive(TaggedModel)]
struct Row {
    id: u64,
}

#[tagged_cache(timeout = 3600, tags = ["Row:<id>"], vary_on = [id], key_name = "worker::answer")]
async fn answer(id: u64) -> String {
    format!("{}", ROW.load(Ordering::SeqCst))
}

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() != Some("uninstalled") {
        let mut config = match std::env::var("CLUSTER_URLS") {
            Ok(urls) => {
                let config = Config::redis_cluster(urls.split(',').map(str::to_owned));
                match std::env::var("FRAGKEYS_PREFIX") {
                    Ok(prefix) => config.prefix(prefix),
                    Err(_) => config,
                }
            }
            Err(_) => Config::from_env().unwrap(),
        };
        if let Ok(millis) = std::env::var("GUARD_TIMEOUT") {
            config = config.guard_timeout(Duration::from_millis(millis.parse().unwrap()));
        }
        config.install().await.unwrap();
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        println!("{}", obey(&words).await);
    }
}

async fn obey(words: &[&str]) -> String {
    match words {
        ["set", row] => {
            ROW.store(row.parse().unwrap(), Ordering::SeqCst);
            "ok".to_owned()
        }
        ["call", id] => {
            let (value, outcome) = observe(answer(id.parse().unwrap())).await;
            format!("{} {value}", outcome.unwrap())
        }
        ["invalidate", id] => told(invalidate!("Row:<id>").await),
        ["invalidate-row", id] => told(Row { id: id.parse().unwrap() }.invalidate().await),
        // The rest of the line, in a cache that nobody else uses.
        ["alone", command @ ..] => {
            let alone = Config::memory().build().await.unwrap();
            with_cache(alone, Box::pin(obey(command))).await
        }
        ["version", name, tag] => {
            let version = cache_named(name).unwrap().tag_version(&Tag::from(*tag)).await;
            version.unwrap().to_string()
        }
        // Writes the row and never gets to its bump.
        ["write", how, path, row] => {
            let commit = async {
                std::fs::write(path, row).unwrap();
                println!("committed");
                std::future::pending::<()>().await;
                Ok::<_, Error>(())
            };
            match *how {
                "plainly" => commit.await.unwrap(),
                "guarded" => fragkeys::guard(["Row:1"], commit).await.unwrap(),
                "write-ahead" => {
                    let transaction = fragkeys::on_commit(async {
                        invalidate!("Row:1").await?;
                        commit.await
                    });
                    transaction.write_ahead().await.unwrap();
                }
                other => panic!("no way to write: {other}"),
            }
            "bumped".to_owned()
        }
        // `times` bumps of one tag, as many at once as there are: the versions in order.
        ["bump", tag, times] => {
            let bumps = (0..times.parse().unwrap()).map(|_| {
                let tag = Tag::from(*tag);
                tokio::spawn(async move { cache().invalidate([&tag]).await.unwrap().version(&tag) })
            });
            let mut versions = Vec::new();
            for bump in bumps.collect::<Vec<_>>() {
                versions.push(bump.await.unwrap().unwrap().to_string());
            }
            versions.join(" ")
        }
        ["serve"] => serve().await,
        ["describe"] => format!("{:?}", cache()).replace('\n', " "),
        ["install"] => match Config::memory().install().await {
            Ok(_) => "installed".to_owned(),
            Err(error) => format!("error {:?}", error.kind()),
        },
        ["reset"] => {
            fragkeys::reset_for_tests();
            "ok".to_owned()
        }
        ["install-as", name] => match Config::memory().install_as(*name).await {
            Ok(_) => "installed".to_owned(),
            Err(error) => format!("error {:?}", error.kind()),
        },
        other => panic!("unknown command {other:?}"),
    }
}

/// A server whose one route bumps a row, and tells its client. The URL.
async fn serve() -> String {
    let write = async |Path(id): Path<u64>| told(invalidate!("Row:<id>").await);
    let app = Router::new().route("/{id}", post(write)).layer(ReadYourWritesLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

/// The new versions, or what went wrong.
fn told(outcome: Result<Bumped, Error>) -> String {
    match outcome {
        Ok(bumped) => bumped.iter().map(|(_, version)| version.to_string()).collect(),
        Err(error) => format!("error {:?}", error.kind()),
    }
}
