use async_trait::async_trait;
use fragkeys::tagged_cache;

struct Profile(u64);

#[async_trait]
trait Users {
    async fn profile(&self, user_id: u64) -> Result<Profile, std::io::Error>;
}

struct Table;

#[async_trait]
impl Users for Table {
    #[tagged_cache(vary_on = [user_id])]
    async fn profile(&self, user_id: u64) -> Result<Profile, std::io::Error> {
        Ok(Profile(user_id))
    }
}

fn main() {
    let _future = Table.profile(42);
}
