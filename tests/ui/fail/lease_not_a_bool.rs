use fragkeys::tagged_cache;

#[tagged_cache(lease = "no")]
async fn profile(user_id: u64) -> u64 {
    user_id
}

fn main() {
    let _future = profile(42);
}
