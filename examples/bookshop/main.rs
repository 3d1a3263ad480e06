//! A bookshop on SeaORM whose reads are all cached, and in which no code says what to
//! invalidate: the models do.
//!
//! ```text
//! cargo run -p fragkeys-examples --features bookshop --bin bookshop
//! ```
//!
//! In reading order: `entity` are the tables and what depends on them; `reads` is what is
//! cached; `writes` are edits in transactions; `routes` is HTTP and shows in a header what the
//! cache did; `database` and `seed` make and fill the tables; `settings` is the environment.

mod database;
mod entity;
mod error;
mod reads;
mod routes;
mod seed;
mod settings;
mod writes;

use std::process::ExitCode;

use fragkeys::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use settings::{BoxError, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    let mut config = Config::from_env()?;
    if let Some(timeout) = settings.cache_timeout {
        config = config.operation_timeout(timeout);
    }
    // Redis need not run: the shop answers without it, and uses it once it is there.
    let cache = config.install().await?;

    let db = database::open(&settings.database).await?;
    let listener = TcpListener::bind(&settings.address)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.address))?;
    let mut terminated = signal(SignalKind::terminate())?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes::router(db.clone()))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        })
        .await?;

    db.close().await?;
    let queued = cache.queued_bumps();
    if queued > 0 {
        tracing::warn!("{queued} bumps never reached Redis: old entries may live to their timeout");
    }
    tracing::info!("stopped");
    Ok(())
}
