use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(name = 1, key = nubmer, scopes = ["Donations:<org>", 7], on_create = 1, by = 2)]
struct Donation {
    number: u64,
}

fn main() {
    let donation = Donation { number: 42 };
    let _tags = donation.tags();
}
