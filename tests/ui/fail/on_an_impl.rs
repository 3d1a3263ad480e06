use fragkeys::tagged_cache;

struct Users;

#[tagged_cache(timeout = 60)]
impl Users {
    async fn profile(user_id: u64) -> u64 {
        user_id
    }
}

fn main() {
    let _future = Users::profile(42);
}
