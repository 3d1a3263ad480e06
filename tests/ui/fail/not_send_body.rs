use std::rc::Rc;

use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(user_id: u64) -> u64 {
    let id = Rc::new(user_id);
    std::future::ready(()).await;
    *id
}

fn needs_send(_: impl Send) {}

fn main() {
    needs_send(profile(42));
}
