use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> Result<String, std::io::Error> {
    user_id.to_string()
}

fn main() {
    let _future = profile(42);
}
