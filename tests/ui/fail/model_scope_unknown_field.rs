use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(scopes = ["Donations:org:<organisation_id>"])]
struct Donation {
    id: u64,
    organization_id: u64,
}

fn main() {
    let _tags = Donation { id: 42, organization_id: 7 }.tags();
}
