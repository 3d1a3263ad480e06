use fragkeys::TaggedModel;

#[derive(TaggedModel)]
struct Donation {
    #[tagged_model(key)]
    number: u64,
}

fn main() {
    let _tags = Donation { number: 42 }.tags();
}
