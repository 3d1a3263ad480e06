use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile<T: Into<u64>>(user_id: T) -> u64 {
    user_id.into()
}

fn main() {
    let _future = profile(42_u64);
}
