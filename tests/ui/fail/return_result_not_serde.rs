use fragkeys::tagged_cache;

struct Profile(u64);

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> Result<Profile, std::io::Error> {
    Ok(Profile(user_id))
}

fn main() {
    let _future = profile(42);
}
