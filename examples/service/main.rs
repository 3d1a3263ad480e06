//! A web service with cached reads: the packages that this workspace is built from, and
//! notes about them.
//!
//! ```text
//! cargo run -p fragkeys-examples --features service --bin service
//! ```
//!
//! In reading order: `queries` is where the cache is, reads and writes side by side;
//! `routes` is HTTP and shows what the cache did in headers; `database` and `metadata` make
//! and fill the tables; `settings` is the environment.

mod database;
mod error;
mod metadata;
mod queries;
mod routes;
mod settings;

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
    // Redis need not run: the service answers without it, and uses it once it is there.
    let cache = config.install().await?;

    let pool = database::open(&settings.database).await?;
    let listener = TcpListener::bind(&settings.address)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.address))?;
    let mut terminated = signal(SignalKind::terminate())?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes::router(pool.clone()))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        })
        .await?;

    pool.close().await;
    let queued = cache.queued_bumps();
    if queued > 0 {
        tracing::warn!("{queued} bumps never reached Redis: old entries may live to their timeout");
    }
    tracing::info!("stopped");
    Ok(())
}
