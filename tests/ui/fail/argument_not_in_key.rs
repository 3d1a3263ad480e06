use fragkeys::tagged_cache;

struct Pool;

#[tagged_cache(timeout = 60)]
async fn profile(pool: &Pool, user_id: u64) -> u64 {
    let _ = pool;
    user_id
}

fn main() {
    let _future = profile(&Pool, 42);
}
