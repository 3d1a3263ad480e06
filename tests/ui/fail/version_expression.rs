use fragkeys::tagged_cache;

const VERSION: u32 = 2;

#[tagged_cache(version = VERSION)]
async fn profile(user_id: u64) -> u64 {
    user_id
}

fn main() {
    let _future = profile(42);
}
