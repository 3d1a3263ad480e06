use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> String {
    user_id
}

fn main() {
    let _future = profile(42);
}
