use fragkeys::tagged_cache;

#[tagged_cache(tags = ["User:<user_id>"])]
async fn profile(user_id: Option<u64>) -> u64 {
    user_id.unwrap_or_default()
}

fn main() {
    let _future = profile(Some(42));
}
