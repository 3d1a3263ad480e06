use fragkeys::tagged_cache;

#[tagged_cache(early_cutoff)]
async fn page(text: String) -> u64 {
    text.len() as u64
}

fn main() {}
