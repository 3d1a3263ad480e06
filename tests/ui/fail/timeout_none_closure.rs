use fragkeys::tagged_cache;

#[tagged_cache(timeout_none = |value| 60)]
async fn load(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {}
