use async_trait::async_trait;
use fragkeys::tagged_cache;

#[async_trait]
trait Pairs {
    async fn sum(&self, pair: (u64, u64)) -> u64;
}

struct Table;

#[async_trait]
impl Pairs for Table {
    #[tagged_cache(vary_on = [a])]
    async fn sum(&self, (a, b): (u64, u64)) -> u64 {
        a + b
    }
}

fn main() {
    let _future = Table.sum((1, 2));
}
