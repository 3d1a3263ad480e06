use fragkeys::tagged_cache;

#[tagged_cache(soft_timeout = 1)]
async fn profile(user_id: u64) -> Result<u64, String> {
    Ok(user_id)
}

fn main() {
    let _future = profile(42);
}
