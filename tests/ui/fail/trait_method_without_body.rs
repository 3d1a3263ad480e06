use fragkeys::tagged_cache;

trait Users {
    #[tagged_cache(vary_on = [user_id])]
    fn profile(&self, user_id: u64) -> impl Future<Output = u64>;
}

fn profile(users: &impl Users) -> impl Future<Output = u64> {
    users.profile(42)
}

struct NoUsers;

impl Users for NoUsers {
    async fn profile(&self, user_id: u64) -> u64 {
        user_id
    }
}

fn main() {
    let _future = profile(&NoUsers);
}
