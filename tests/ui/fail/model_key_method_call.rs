use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(key = self.id())]
struct Donation {
    id: u64,
}

impl Donation {
    fn id(&self) -> u64 {
        self.id
    }
}

fn main() {
    let _tags = Donation { id: 42 }.tags();
}
