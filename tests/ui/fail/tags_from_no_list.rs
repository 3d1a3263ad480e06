use fragkeys::{Tag, tagged_cache};

#[tagged_cache(tags_from = |name: &String| Tag::new("Name", name))]
async fn name(id: u64) -> String {
    String::new()
}

fn main() {}
