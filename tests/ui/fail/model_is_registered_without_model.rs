struct Donation;

fn main() {
    assert!(fragkeys::is_registered::<Donation>());
}
