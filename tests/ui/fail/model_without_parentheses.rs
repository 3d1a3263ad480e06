use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model]
struct Donation {
    number: u64,
}

fn main() {
    let _tags = Donation { number: 42 }.tags();
}
