use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(key = (organization, nubmer))]
struct Donation {
    organization: u64,
    number: u64,
}

fn main() {
    let _future = Donation::invalidate_key((7, 42));
}
