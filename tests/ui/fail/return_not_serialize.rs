use fragkeys::tagged_cache;
use serde::Deserialize;

#[derive(Deserialize)]
struct Profile(u64);

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> Profile {
    Profile(user_id)
}

fn main() {
    let _future = profile(42);
}
