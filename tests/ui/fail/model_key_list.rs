use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(key = [organization, number])]
struct Donation {
    organization: u64,
    number: u64,
}

fn main() {
    let _tags = Donation { organization: 7, number: 42 }.tags();
}
