//! Models that are derived, in place of `ModelTagManager`, its signals and its managers.

use fragkeys::{
    Change, Tag, TaggedModel, is_registered, models, on_commit, register, tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;

use crate::support::{memory_cache, redis_cache};

#[derive(Clone, TaggedModel)]
#[tagged_model(name = "Reviews", scopes = ["Reviews:org:<organization_id>"])]
struct Review {
    id: i64,
    organization_id: i64,
}

fn review(id: i64, organization_id: i64) -> Review {
    Review { id, organization_id }
}

fn list(tags: &[Tag]) -> Vec<String> {
    let mut tags: Vec<String> = tags.iter().map(Tag::to_string).collect();
    tags.sort();
    tags
}

/// What a bump did, by name.
fn bumped(answer: Result<fragkeys::Bumped, fragkeys::Error>) -> Vec<String> {
    let tags: Vec<Tag> = answer.unwrap().iter().map(|(tag, _)| tag.clone()).collect();
    list(&tags)
}

async fn alone<F: Future>(future: F) -> F::Output {
    with_cache(memory_cache().await, future).await
}

#[test]
fn a_model_knows_its_tags() {
    let row = review(1, 7);
    assert_eq!(Review::TAG_NAME, "Reviews");
    assert_eq!(row.tag(), Some(Tag::new("Reviews", 1)));
    assert_eq!(row.scopes(), [Tag::scoped("Reviews", "org", 7)]);
    assert_eq!(list(&row.tags()), ["Reviews:1", "Reviews:org:7"]);
}

/// Theirs bumps the scope only where a hook says so, and never that of the row before.
#[tokio::test]
async fn a_change_bumps_the_row_and_its_scopes() {
    #[tagged_cache(tags = ["Reviews:org:<organization_id>"], vary_on = [organization_id])]
    async fn reviews_of(organization_id: i64, count: u32) -> u32 {
        count
    }
    alone(async {
        assert_eq!(reviews_of(7, 1).await, 1);
        assert_eq!(bumped(review(2, 7).created().await), ["Reviews:2", "Reviews:org:7"]);
        assert_eq!(reviews_of(7, 2).await, 2);
        assert_eq!(bumped(review(2, 7).deleted().await), ["Reviews:2", "Reviews:org:7"]);
        assert_eq!(reviews_of(7, 1).await, 1);
        let (old, new) = (review(1, 7), review(1, 8));
        let moved = bumped(new.updated(&Change::from_row(&old)).await);
        assert_eq!(moved, ["Reviews:1", "Reviews:org:7", "Reviews:org:8"]);
        assert_eq!(reviews_of(7, 0).await, 0);
    })
    .await;
}

#[derive(TaggedModel)]
#[tagged_model(
    name = "Orders",
    on_create = |order| [Tag::new("Inbox", order.shop)],
    on_update = |order, change| {
        if change.touches("total") { vec![Tag::new("Totals", order.shop)] } else { Vec::new() }
    },
    on_delete = both,
)]
struct Order {
    id: i64,
    shop: i64,
}

fn both(order: &Order) -> Vec<Tag> {
    vec![Tag::new("Inbox", order.shop), Tag::new("Orders", order.id)]
}

#[tokio::test]
async fn hooks_choose_the_tags_of_a_change() {
    alone(async {
        let order = Order { id: 1, shop: 3 };
        assert_eq!(bumped(order.created().await), ["Inbox:3"]);
        let note: Change<'_, Order> = Change::unknown().columns(&["note"]);
        assert!(bumped(order.updated(&note).await).is_empty());
        let total = Change::unknown().columns(&["note", "total"]);
        assert_eq!(bumped(order.updated(&total).await), ["Totals:3"]);
        // Not knowing which columns changed is no reason to bump less.
        assert_eq!(bumped(order.updated(&Change::unknown()).await), ["Totals:3"]);
        assert_eq!(bumped(order.deleted().await), ["Inbox:3", "Orders:1"]);
    })
    .await;
}

#[tokio::test]
async fn a_muted_model_bumps_nothing() {
    alone(async {
        let tag = Tag::new("Reviews", 1);
        let cache = fragkeys::cache();
        let before = cache.tag_version(&tag).await.unwrap();
        Review::mute(async {
            assert!(bumped(review(1, 7).created().await).is_empty());
            assert!(bumped(Review::invalidate_key(1).await).is_empty());
            assert_eq!(bumped(Order { id: 1, shop: 3 }.created().await), ["Inbox:3"]);
        })
        .await;
        assert_eq!(cache.tag_version(&tag).await.unwrap(), before);
        Review::invalidate_key(1).await.unwrap();
        assert!(cache.tag_version(&tag).await.unwrap() > before);
    })
    .await;
}

#[tokio::test]
async fn one_row_by_its_key() {
    alone(async {
        assert_eq!(bumped(Review::invalidate_key(1).await), ["Reviews:1"]);
        // With the row at hand, its scopes too.
        assert_eq!(bumped(review(1, 7).invalidate().await), ["Reviews:1", "Reviews:org:7"]);
    })
    .await;
}

#[tokio::test]
async fn a_scope_by_its_instance() {
    alone(async {
        assert_eq!(bumped(Review::invalidate_scope("org", 7).await), ["Reviews:org:7"]);
        // An instance with a `:` is no other scope.
        let hostile = bumped(Review::invalidate_scope("org", "7:x").await);
        assert_eq!(hostile, [r"Reviews:org:7\:x"]);
    })
    .await;
}

#[tokio::test]
async fn many_rows_and_scopes_in_one_bump() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    cache.invalidate(["warm"]).await.unwrap();
    server.reset_stats();
    let answer = with_cache(cache, Review::invalidate_bulk([1, 2], [("org", 7)])).await;
    assert_eq!(bumped(answer), ["Reviews:1", "Reviews:2", "Reviews:org:7"]);
    assert_eq!(server.command_calls("evalsha"), 1);
}

/// In place of `bulk_create` and `bulk_update`.
#[tokio::test]
async fn rows_of_one_transaction_are_one_bump() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    cache.invalidate(["warm"]).await.unwrap();
    server.reset_stats();
    let rows = [review(1, 7), review(2, 7), review(3, 8)];
    let write = async {
        for row in &rows {
            let bumped = row.created().await.unwrap();
            assert_eq!(list(bumped.held()), list(&row.tags()), "not before the commit");
        }
        assert_eq!(server.command_calls("evalsha"), 0);
        Ok::<_, fragkeys::Error>(())
    };
    let committed = with_cache(cache, on_commit(write).report()).await.unwrap();
    assert_eq!(committed.bumped.unwrap().len(), 5, "each tag once");
    assert_eq!(server.command_calls("evalsha"), 1);
}

/// In place of a queryset's `update` and `delete`: what the statement itself says it touched.
#[tokio::test]
async fn rows_that_a_statement_returned() {
    // As from `DELETE FROM reviews WHERE … RETURNING id, organization_id`.
    let returned = [(1, 7), (2, 7)];
    alone(async {
        let ids = returned.iter().map(|(id, _)| *id);
        assert_eq!(bumped(Review::invalidate_keys(ids.clone()).await), ["Reviews:1", "Reviews:2"]);
        let scopes = returned.iter().map(|(_, organization_id)| ("org", *organization_id));
        let all = bumped(Review::invalidate_bulk(ids, scopes).await);
        assert_eq!(all, ["Reviews:1", "Reviews:2", "Reviews:org:7"]);
    })
    .await;
}

#[test]
fn the_models_of_a_program_are_listed() {
    assert!(is_registered::<Review>());
    let models = models();
    let info = models.iter().find(|model| model.type_name.ends_with("models::Review")).unwrap();
    assert_eq!((info.tag_name, info.key), ("Reviews", ["id"].as_slice()));
    assert_eq!(info.scopes, ["Reviews:org:<organization_id>"]);

    /// Written by hand, so that no derive has seen it.
    struct Loose;
    impl TaggedModel for Loose {
        const TAG_NAME: &'static str = "Loose";
        fn tag(&self) -> Option<Tag> {
            None
        }
        fn scopes(&self) -> Vec<Tag> {
            Vec::new()
        }
    }
    assert!(!is_registered::<Loose>());
    register::<Loose>();
    assert!(is_registered::<Loose>());
}
