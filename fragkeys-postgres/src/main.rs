//! `fragkeys-postgres`: prints the outbox's SQL, and relays from it.

use std::process::ExitCode;

mod arguments;

use arguments::{Arguments, Command};
use fragkeys::Config;
use fragkeys_postgres::{Outbox, Relay};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

fn main() -> ExitCode {
    let arguments =
        match Arguments::read(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
            Ok(arguments) => arguments,
            Err(problem) => {
                eprintln!("fragkeys-postgres: {problem}");
                return ExitCode::from(2);
            }
        };
    match obey(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("fragkeys-postgres: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn obey(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut outbox = Outbox::new();
    if let Some(schema) = &arguments.schema {
        outbox = outbox.in_schema(schema);
    }
    if !arguments.notifies {
        outbox = outbox.without_notify();
    }
    match arguments.command {
        Command::Help => print!("{}", arguments::HELP),
        Command::Version => println!("fragkeys-postgres {}", env!("CARGO_PKG_VERSION")),
        Command::OutboxSql => print!("{}", outbox.create_sql()?),
        Command::DropOutboxSql => print!("{}", outbox.drop_sql()?),
        Command::Relay => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(relay(&arguments, outbox))?;
        }
    }
    Ok(())
}

/// Until a signal says that it is over.
async fn relay(arguments: &Arguments, outbox: Outbox) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything else, so that no early one kills.
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut config = Config::redis(arguments.redis()?);
    if let Some(prefix) = &arguments.prefix {
        config = config.prefix(prefix);
    }
    // Nobody waits for a relay as a caller does for a call.
    let cache = config.operation_timeout(arguments::REDIS_PATIENCE).build().await?;
    let mut relay = Relay::new(arguments.database()?, cache)?.of_outbox(outbox);
    if let Some(tags) = arguments.batch_size {
        relay = relay.batch_size(tags);
    }
    if let Some(pause) = arguments.poll_every {
        relay = relay.poll_every(pause);
    }
    #[cfg(feature = "tls")]
    if let Some(path) = &arguments.authority {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        relay = relay.authority(pem);
    }
    let health = relay.health();
    tokio::select! {
        ended = relay.run() => match ended {
            Ok(never) => match never {},
            Err(error) => return Err(error.into()),
        },
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    info!("stopped; {} tags of the outbox were relayed", health.relayed());
    Ok(())
}
