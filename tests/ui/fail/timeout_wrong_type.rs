use fragkeys::tagged_cache;

const HOUR: &str = "1h";

#[tagged_cache(timeout = HOUR)]
async fn profile(user_id: u64) -> u64 {
    user_id
}

fn main() {
    let _future = profile(42);
}
