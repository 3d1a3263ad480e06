use fragkeys::tagged_cache;

#[tagged_cache(timeout_none = 60)]
async fn load(id: u64) -> u64 {
    id
}

fn main() {}
