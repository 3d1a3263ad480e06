use fragkeys::tagged_cache;

struct Pool;

struct Users {
    pool: Pool,
}

impl Users {
    #[tagged_cache(vary_on = [self.pool, user_id])]
    async fn profile(&self, user_id: u64) -> u64 {
        let _ = &self.pool;
        user_id
    }
}

fn main() {
    let _future = Users { pool: Pool }.profile(42);
}
