use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(on_create = |donation, change| donation.tags())]
struct Donation {
    id: u64,
}

fn main() {
    let _tags = Donation { id: 42 }.on_create();
}
