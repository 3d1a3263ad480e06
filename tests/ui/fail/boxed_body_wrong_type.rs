use std::pin::Pin;

use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
fn profile(user_id: u64) -> Pin<Box<dyn Future<Output = String> + Send>> {
    Box::pin(async move { user_id })
}

fn main() {
    let _future = profile(42);
}
