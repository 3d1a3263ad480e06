use fragkeys::{Tag, TaggedModel};

#[derive(TaggedModel)]
#[tagged_model(on_create = |donation| Tag::new("Donations", donation.id))]
struct Donation {
    id: u64,
}

fn main() {
    let _tags = Donation { id: 42 }.on_create();
}
