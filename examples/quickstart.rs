//! fragkeys in two minutes: an annotated function, a hit, a change, a miss.
//!
//! ```text
//! cargo run -p fragkeys-examples --bin quickstart
//! FRAGKEYS_URL=redis://127.0.0.1:6379 cargo run -p fragkeys-examples --bin quickstart
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fragkeys::{Config, Outcome, invalidate, observe, tagged_cache};
use serde::{Deserialize, Serialize};

/// What the cached function returns, and thus what the cache holds.
#[derive(Debug, Serialize, Deserialize)]
struct Profile {
    id: u64,
    name: String,
}

/// The only line that makes it cached. The key, and what it takes to get rid of an entry,
/// are nobody's business any more.
#[tagged_cache(timeout = 3600, tags = ["User:<user_id>"], vary_on = [user_id])]
async fn profile(user_id: u64) -> Result<Profile, DbError> {
    DATABASE.read(user_id).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Without this line there would be the embedded store, too. A demonstration may wait
    // longer for a Redis far away than the default, which protects a service.
    Config::from_env()?.operation_timeout(Duration::from_secs(2)).install().await?;
    println!("store: {}", store());

    let user_id = 42;
    let first = show("first call", user_id).await?;
    if first.outcome == Some(Outcome::Hit) {
        println!("  (Redis still has the entries of an earlier run; this database began anew)");
    }
    show("same call again", user_id).await?;
    show("another user", 7).await?;

    let name = DATABASE.rename(user_id, &first.profile.name)?;
    println!("user {user_id} is now called {name}; bumping the tag:");
    match invalidate!("User:<user_id>").await {
        Ok(bumped) => {
            for (tag, version) in bumped.iter() {
                println!("  {tag} has version {version}");
            }
        }
        // Only if Redis is away. Nothing stale is served by this process meanwhile.
        Err(error) => println!("  {error}"),
    }

    show("user 42", user_id).await?;
    show("user 42 again", user_id).await?;
    show("the other user", 7).await?;
    Ok(())
}

struct Shown {
    profile: Profile,
    outcome: Option<Outcome>,
}

/// Makes one call and prints how it was answered.
async fn show(what: &str, user_id: u64) -> Result<Shown, DbError> {
    let started = Instant::now();
    let (profile, outcome) = observe(profile(user_id)).await;
    let took = started.elapsed().as_secs_f64() * 1000.0;
    let profile = profile?;
    let answered = match outcome {
        Some(Outcome::Hit) => "hit: from the cache",
        Some(Outcome::Miss) => "miss: asked the database, stored",
        _ => "bypass: asked the database, the cache is away",
    };
    println!("{what:<16} {took:>6.1} ms  {:<13} {answered}", profile.name);
    Ok(Shown { profile, outcome })
}

fn store() -> &'static str {
    match std::env::var("FRAGKEYS_URL") {
        Ok(url) if url.starts_with("redis") || url.starts_with("unix:") => {
            "Redis, from FRAGKEYS_URL"
        }
        _ => "embedded, in this process (set FRAGKEYS_URL=redis://… for Redis)",
    }
}

/// Stands for a database: a table in memory, and the time that a query takes.
struct Database {
    names: Mutex<HashMap<u64, String>>,
}

#[derive(Debug)]
enum DbError {
    NoSuchUser(u64),
}

static DATABASE: LazyLock<Database> = LazyLock::new(|| {
    let names = [(7, "Grace Hopper"), (42, ADA_BORN)];
    Database { names: Mutex::new(names.map(|(id, name)| (id, name.to_owned())).into()) }
});

const ADA_BORN: &str = "Ada Byron";
const ADA_MARRIED: &str = "Ada Lovelace";

impl Database {
    async fn read(&self, id: u64) -> Result<Profile, DbError> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.get(&id).cloned().ok_or(DbError::NoSuchUser(id))?;
        Ok(Profile { id, name })
    }

    /// Gives Ada the name that is not her present one, so that each run shows a change.
    fn rename(&self, id: u64, present: &str) -> Result<&'static str, DbError> {
        let name = if present == ADA_BORN { ADA_MARRIED } else { ADA_BORN };
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        *names.get_mut(&id).ok_or(DbError::NoSuchUser(id))? = name.to_owned();
        Ok(name)
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DbError::NoSuchUser(id) = self;
        write!(f, "there is no user {id}")
    }
}

impl std::error::Error for DbError {}
