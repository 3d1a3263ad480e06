use fragkeys::tagged_cache;

const ALWAYS: bool = true;

#[tagged_cache(cache_if = ALWAYS)]
async fn profile(user_id: u64) -> u64 {
    user_id
}

fn main() {
    let _future = profile(42);
}
