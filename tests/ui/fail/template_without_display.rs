use fragkeys::tagged_cache;
use serde::Serialize;

#[derive(Serialize)]
struct User {
    id: u64,
}

#[tagged_cache(tags = ["User:<user>"])]
async fn profile(user: User) -> u64 {
    user.id
}

fn main() {
    let _future = profile(User { id: 42 });
}
