use fragkeys::{Tag, tagged_cache};

#[tagged_cache(inherit_tags, early_cutoff, tags_from = |length: &u64| [Tag::new("Length", *length)])]
async fn page(text: String) -> u64 {
    text.len() as u64
}

fn main() {}
