use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> Box<dyn Iterator<Item = u64>> {
    Box::new(0..user_id)
}

fn main() {
    let _future = profile(42);
}
