use fragkeys::TaggedModel;

struct Id(u64);

#[derive(TaggedModel)]
#[tagged_model(key = (organization, number))]
struct Donation {
    organization: u64,
    number: u64,
}

fn main() {
    let _future = Donation::invalidate_key((7, Id(42)));
}
