use fragkeys::tagged_cache;

struct Users;

impl Users {
    #[tagged_cache(vary = [user_id])]
    async fn profile(&self, user_id: u64) -> u64 {
        user_id
    }
}

fn main() {
    let _future = Users.profile(42);
}
