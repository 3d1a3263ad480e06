use fragkeys::tagged_cache;

struct Users {
    tenant: u64,
}

impl Users {
    #[tagged_cache(vary_on = [tenant, user_id])]
    async fn profile(&self, user_id: u64) -> u64 {
        user_id + self.tenant
    }
}

fn main() {
    let _future = Users { tenant: 1 }.profile(42);
}
