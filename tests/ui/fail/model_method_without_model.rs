use fragkeys::TaggedModel;

struct Donation {
    id: u64,
}

fn main() {
    let _tags = Donation { id: 42 }.tags();
}
