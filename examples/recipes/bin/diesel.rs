//! The Diesel recipe, run step by step: `cargo run -p fragkeys-examples --features recipe-diesel
//! --bin recipe-diesel`.

#[path = "../diesel.rs"]
mod recipe;
#[path = "../steps.rs"]
mod steps;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    steps::run("recipe-diesel").await
}
