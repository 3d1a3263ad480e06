use fragkeys::TaggedModel;

struct Key {
    number: u64,
}

#[derive(TaggedModel)]
#[tagged_model(key = key.nubmer)]
struct Donation {
    key: Key,
}

fn main() {
    let _tags = Donation { key: Key { number: 42 } }.tags();
}
