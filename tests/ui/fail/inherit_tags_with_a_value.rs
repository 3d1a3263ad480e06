use fragkeys::tagged_cache;

#[tagged_cache(inherit_tags = true, timeout = 60)]
async fn page(text: String) -> u64 {
    text.len() as u64
}

fn main() {}
