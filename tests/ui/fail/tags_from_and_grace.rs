use fragkeys::{Tag, tagged_cache};

#[tagged_cache(tags_from = |value: &u64| [Tag::new("Item", value)], stale_while_revalidate = 60)]
async fn found(text: String) -> u64 {
    text.len() as u64
}

fn main() {}
