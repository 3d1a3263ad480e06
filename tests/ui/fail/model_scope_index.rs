use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(key = 0, scopes = ["Donations:org:<1>"])]
struct Donation(u64, u64);

fn main() {
    let _tags = Donation(42, 7).tags();
}
