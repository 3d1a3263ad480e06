struct Donation;

async fn import() {
    fragkeys::mute::<Donation, _>(async {}).await;
}

fn main() {
    let _future = import();
}
