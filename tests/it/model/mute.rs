//! Models that bump nothing for a while.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use fragkeys::{
    Bumped, Cache, Change, CommitScope, Error, Tag, TaggedModel, invalidate, is_muted, mute,
    on_commit, with_cache,
};

use crate::support::over_both_stores;

over_both_stores! {
    a_muted_model_bumps_nothing,
    others_are_bumped_as_ever,
    muted_models_nest,
    it_ends_with_its_future,
    it_ends_with_a_panic_and_a_drop,
    hooks_are_muted_too,
    spawned_tasks_are_not_muted,
    what_counts_is_where_a_bump_runs,
    inside_of_a_transaction_nothing_is_held,
    a_transaction_inside_holds_nothing,
}

#[derive(TaggedModel)]
#[tagged_model(scopes = ["Donation:org:<organization_id>"])]
struct Donation {
    id: u64,
    organization_id: u64,
}

#[derive(TaggedModel)]
struct User {
    id: u64,
}

const DONATION: Donation = Donation { id: 42, organization_id: 7 };

/// As an ORM would: it knows nothing of who has muted what.
async fn hook<M: TaggedModel>(row: &M) -> Result<Bumped, Error> {
    row.updated(&Change::unknown()).await
}

/// How many tags it bumped, or would once it is committed.
async fn count(bump: impl Future<Output = Result<Bumped, Error>>) -> usize {
    let bumped = bump.await.unwrap();
    bumped.len() + bumped.held().len()
}

async fn a_muted_model_bumps_nothing(cache: Cache) {
    let all = async {
        assert!(is_muted::<Donation>());
        for bumped in [
            DONATION.invalidate().await,
            DONATION.created().await,
            DONATION.updated(&Change::from_row(&DONATION)).await,
            DONATION.deleted().await,
            Donation::invalidate_key(1).await,
            Donation::invalidate_keys([2, 3]).await,
            Donation::invalidate_scope("org", 7).await,
            Donation::invalidate_bulk([4], [("org", 8)]).await,
        ] {
            assert_eq!(bumped.unwrap(), Bumped::default());
        }
        "the future's own output"
    };
    let output = with_cache(cache.clone(), Donation::mute(mute::<Donation, _>(all))).await;
    assert_eq!(output, "the future's own output");
    assert_eq!(cache.stats().bumped, 0);
}

async fn others_are_bumped_as_ever(cache: Cache) {
    with_cache(cache, async {
        mute::<Donation, _>(async {
            assert!(!is_muted::<User>());
            assert_eq!(count(User { id: 1 }.invalidate()).await, 1);
            assert_eq!(count(invalidate!("Donation:42")).await, 1, "who names a tag means it");
            assert_eq!(count(fragkeys::cache().invalidate(DONATION.tags())).await, 2);
        })
        .await;
    })
    .await;
}

async fn muted_models_nest(cache: Cache) {
    with_cache(cache, async {
        mute::<Donation, _>(async {
            User::mute(async {
                assert_eq!(count(DONATION.invalidate()).await, 0);
                assert_eq!(count(User::invalidate_key(1)).await, 0);
                Donation::mute(async {}).await;
                assert!(is_muted::<Donation>(), "the inner end is not the outer one");
            })
            .await;
            assert_eq!(count(DONATION.invalidate()).await, 0);
            assert_eq!(count(User::invalidate_key(1)).await, 1);
        })
        .await;
    })
    .await;
}

async fn it_ends_with_its_future(cache: Cache) {
    with_cache(cache, async {
        Donation::mute(async { tokio::task::yield_now().await }).await;
        assert!(!is_muted::<Donation>());
        assert_eq!(count(DONATION.invalidate()).await, 2);
        // While it waits, what runs beside it is not muted.
        let mut waiting = pin!(Donation::mute(pending::<()>()));
        tokio::select! {
            biased;
            () = &mut waiting => unreachable!("it never ends"),
            bumped = count(DONATION.invalidate()) => assert_eq!(bumped, 2),
        }
    })
    .await;
}

/// In one task, which goes on.
async fn it_ends_with_a_panic_and_a_drop(cache: Cache) {
    with_cache(cache, async {
        let mut panicking = Box::pin(Donation::mute(async {
            assert!(!is_muted::<Donation>(), "as planned");
        }));
        let caught = poll_fn(|context| {
            let poll = AssertUnwindSafe(|| panicking.as_mut().poll(context));
            std::task::Poll::Ready(catch_unwind(poll).is_err())
        });
        assert!(caught.await);
        assert_eq!(count(DONATION.invalidate()).await, 2);
        {
            let mut dropped = pin!(Donation::mute(pending::<()>()));
            assert!(is_pending(dropped.as_mut()).await);
        }
        assert_eq!(count(DONATION.invalidate()).await, 2);
    })
    .await;
}

/// Polls a future once: is it pending?
async fn is_pending(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

async fn hooks_are_muted_too(cache: Cache) {
    with_cache(cache, async {
        assert_eq!(count(hook(&DONATION)).await, 2);
        assert_eq!(count(Donation::mute(hook(&DONATION))).await, 0);
        assert_eq!(count(Donation::mute(hook(&User { id: 1 }))).await, 1);
    })
    .await;
}

async fn spawned_tasks_are_not_muted(cache: Cache) {
    let bump = with_cache(cache, DONATION.invalidate());
    let spawned = Donation::mute(async { tokio::spawn(bump).await.unwrap() });
    assert_eq!(count(spawned).await, 2);
}

async fn what_counts_is_where_a_bump_runs(cache: Cache) {
    with_cache(cache, async {
        let made_outside = DONATION.invalidate();
        let inside = async { (count(made_outside).await, DONATION.invalidate()) };
        let (bumped, made_inside) = Donation::mute(inside).await;
        assert_eq!((bumped, count(made_inside).await), (0, 2));
    })
    .await;
}

async fn inside_of_a_transaction_nothing_is_held(cache: Cache) {
    let committed = with_cache(cache, async {
        let transaction = on_commit(async {
            assert_eq!(count(Donation::mute(DONATION.invalidate())).await, 0);
            assert_eq!(count(User::invalidate_key(1)).await, 1);
            Ok::<_, ()>(())
        });
        transaction.report().await.unwrap().bumped.unwrap()
    });
    assert_eq!(committed.await.version(&Tag::new("Donation", 42)), None);
}

async fn a_transaction_inside_holds_nothing(cache: Cache) {
    let committed = with_cache(cache, async {
        let transaction = Donation::mute(
            on_commit(async {
                assert!(CommitScope::current().is_some());
                assert_eq!(count(DONATION.invalidate()).await, 0);
                assert_eq!(count(invalidate!("Donation:42")).await, 1);
                Ok::<_, ()>(())
            })
            .report(),
        );
        transaction.await.unwrap().bumped.unwrap()
    });
    assert_eq!(committed.await.len(), 1);
}
