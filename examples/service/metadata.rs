//! What cargo knows of this workspace: real data that every machine with Rust has.

use std::env;
use std::path::Path;

use serde::Deserialize;
use tokio::process::Command;

use crate::settings::BoxError;

/// The part of `cargo metadata` that is of use here.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) resolve: Resolve,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) repository: Option<String>,
}

/// Which package uses which, after versions were chosen.
#[derive(Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) pkg: String,
    pub(crate) dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
pub(crate) struct Kind {
    /// `None` is a normal dependency.
    pub(crate) kind: Option<String>,
}

/// Asks cargo.
pub(crate) async fn read() -> Result<Metadata, BoxError> {
    // Without a platform cargo would want the sources for all of them, also those that no
    // build on this machine has ever fetched.
    let version = cargo(&["--version", "--verbose"]).await?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("`cargo --version --verbose` names no host")?;
    let arguments =
        ["metadata", "--format-version", "1", "--all-features", "--filter-platform", host];
    let offline = [&arguments[..], &["--offline"]].concat();
    let text = match cargo(&offline).await {
        Ok(text) => text,
        Err(error) => {
            tracing::info!("{error}; trying again with the network");
            cargo(&arguments).await?
        }
    };
    serde_json::from_str(&text)
        .map_err(|error| format!("`cargo metadata` answered something unexpected: {error}").into())
}

async fn cargo(arguments: &[&str]) -> Result<String, BoxError> {
    // This package lies in the workspace's folder.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.parent().unwrap_or(package);
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let line = arguments.join(" ");
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            format!("cannot run `cargo {line}` in {}: {error}", workspace.display())
        })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`cargo {line}` failed: {}", reason.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
