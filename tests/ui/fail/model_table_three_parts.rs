use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(table = "a.shop.donations")]
struct Donation {
    id: u64,
}

fn main() {
    let _tags = Donation { id: 42 }.tags();
}
