use fragkeys::TaggedModel;

struct Organization {
    id: u64,
}

#[derive(TaggedModel)]
#[tagged_model(scopes = ["Donations:org:<organization>"])]
struct Donation {
    id: u64,
    organization: Option<Organization>,
}

fn main() {
    let _tags = Donation { id: 42, organization: Some(Organization { id: 7 }) }.tags();
}
