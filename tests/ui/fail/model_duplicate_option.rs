use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(key = id, name = "Donations", key = number)]
struct Donation {
    id: u64,
    number: u64,
}

fn main() {
    let _tags = Donation { id: 42, number: 1 }.tags();
}
