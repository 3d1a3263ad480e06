use fragkeys::tagged_cache;

#[tagged_cache(stale_if_error = |value| 60)]
async fn profile(user_id: u64) -> Result<u64, String> {
    Ok(user_id)
}

fn main() {
    let _future = profile(42);
}
