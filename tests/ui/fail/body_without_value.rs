use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> u64 {
    let _ = user_id + 1;
}

fn main() {
    let _future = profile(42);
}
