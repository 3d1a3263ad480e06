use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile<T: From<u64>>(user_id: u64) -> T {
    T::from(user_id)
}

fn main() {
    let _future = profile::<u64>(42);
}
