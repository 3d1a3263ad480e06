use fragkeys::tagged_cache;

#[tagged_cache(stale_while_revalidate = 60)]
async fn profile(user_id: u64) -> u64 {
    let shared = std::rc::Rc::new(user_id);
    std::future::ready(()).await;
    *shared
}

fn main() {
    let _future = profile(42);
}
