//! The sqlx recipe, run step by step: `cargo run -p fragkeys-examples --features recipe-sqlx
//! --bin recipe-sqlx`.

#[path = "../sqlx.rs"]
mod recipe;
#[path = "../steps.rs"]
mod steps;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    steps::run("recipe-sqlx").await
}
