use fragkeys::tagged_cache;

#[tagged_cache(hard_timeout = 1)]
async fn profile(user_id: u64) -> u64 {
    user_id
}

fn main() {
    let _future = profile(42);
}
