use fragkeys::{Change, Tag, TaggedModel};

#[derive(TaggedModel)]
#[tagged_model(on_update = moved)]
struct Donation {
    id: u64,
}

fn moved(donation: &Donation) -> Vec<Tag> {
    donation.tags()
}

fn main() {
    let _tags = Donation { id: 42 }.on_update(&Change::unknown());
}
