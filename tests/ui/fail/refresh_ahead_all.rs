use fragkeys::tagged_cache;

#[tagged_cache(refresh_ahead = 1.0)]
async fn profile(user_id: u64) -> Result<u64, String> {
    Ok(user_id)
}

fn main() {
    let _future = profile(42);
}
