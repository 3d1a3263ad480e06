use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> &'static str {
    if user_id == 42 { "Ada" } else { "nobody" }
}

fn main() {
    let _future = profile(42);
}
