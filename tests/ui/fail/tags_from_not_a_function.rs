use fragkeys::tagged_cache;

#[tagged_cache(tags_from = "Name:<id>")]
async fn name(id: u64) -> String {
    String::new()
}

fn main() {}
