//! `peek`, `refresh`, `evict`, `bypass` and `key_of` around a batch.

use fragkeys::{Cache, bypass, evict, key_of, peek, refresh, with_cache};

use super::{Table, users};
use crate::support::over_both_stores;

/// The order is the batch's, and not that of a call in its body.
async fn each_order_is_about_all_elements(cache: Cache) {
    let table = Table::default();
    let batch = || users(&table, &[1, 2]);
    let user = |id, run| (id, format!("user {id}, run {run}"));
    with_cache(cache, async {
        assert_eq!(peek(batch()).await, None);
        assert!(!evict(batch()).await);
        let keys = key_of(batch()).await;
        assert_eq!(keys.lines().count(), 2, "{keys}");
        assert!(table.asked().is_empty());

        users(&table, &[1]).await;
        assert_eq!(peek(batch()).await, None);
        assert_eq!(bypass(batch()).await, [user(1, 2), user(2, 2)].into());
        assert_eq!(batch().await, [user(1, 1), user(2, 3)].into());
        assert_eq!(peek(batch()).await, Some([user(1, 1), user(2, 3)].into()));
        assert_eq!(refresh(batch()).await, [user(1, 4), user(2, 4)].into());
        assert_eq!(users(&table, &[2]).await, [user(2, 4)].into());
        assert_eq!(table.asked(), [vec![1], vec![1, 2], vec![2], vec![1, 2]]);

        assert!(evict(users(&table, &[2])).await);
        assert_eq!(key_of(batch()).await, keys);
        assert_eq!(batch().await, [user(1, 4), user(2, 5)].into());
        assert_eq!(table.asked(), [vec![2]]);
    })
    .await;
}

over_both_stores!(each_order_is_about_all_elements);
