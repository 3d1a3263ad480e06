use fragkeys::tagged_cache;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Profile<'a> {
    name: &'a str,
}

#[tagged_cache(timeout = 60)]
async fn profile<'a>(name: &'a str) -> Profile<'a> {
    Profile { name }
}

fn main() {
    let _future = profile("42");
}
