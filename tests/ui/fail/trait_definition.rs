use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
trait Users {
    async fn profile(user_id: u64) -> u64 {
        user_id
    }
}

struct NoUsers;

impl Users for NoUsers {}

fn main() {
    let _future = NoUsers::profile(42);
}
