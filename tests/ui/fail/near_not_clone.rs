use fragkeys::tagged_cache;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Profile {
    name: String,
}

#[tagged_cache(near = true)]
async fn profile(user_id: u64) -> Result<Profile, std::io::Error> {
    Ok(Profile { name: user_id.to_string() })
}

fn main() {
    let _future = profile(42);
}
