use fragkeys::{prime, tagged_cache};

#[tagged_cache]
async fn load(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {
    drop(prime(load(1), 1_u64));
}
