use async_trait::async_trait;
use fragkeys::tagged_cache;

#[async_trait]
trait Users {
    async fn profile(&self, user_id: u64) -> u64;
}

struct Table;

#[async_trait]
impl Users for Table {
    #[tagged_cache(timeout = 60)]
    async fn profile(&self, user_id: u64) -> u64 {
        user_id
    }
}

fn main() {
    let _future = Table.profile(42);
}
