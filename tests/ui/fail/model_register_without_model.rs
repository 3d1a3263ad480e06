struct Donation;

fn main() {
    fragkeys::register::<Donation>();
}
