use std::pin::Pin;

use fragkeys::tagged_cache;

struct Profile(u64);

#[tagged_cache(timeout = 60)]
fn profile(user_id: u64) -> Pin<Box<dyn Future<Output = Profile> + Send>> {
    Box::pin(async move { Profile(user_id) })
}

fn main() {
    let _future = profile(42);
}
