//! What a row says is to be bumped when it was created, updated or deleted.

use std::sync::atomic::{AtomicU32, Ordering};

use fragkeys::{Cache, Change, Tag, TaggedModel, tagged_cache, with_cache};

use crate::support::over_both_stores;

over_both_stores! {
    a_row_that_moves_bumps_both_scopes,
    each_event_bumps_what_it_says,
}

#[derive(TaggedModel)]
#[tagged_model(scopes = ["Donation:org:<organization_id>"])]
struct Donation {
    id: u64,
    organization_id: u64,
}

fn texts(tags: Vec<Tag>) -> Vec<String> {
    tags.iter().map(ToString::to_string).collect()
}

#[test]
fn by_default_it_is_the_key_and_the_scopes_old_and_new() {
    let old = Donation { id: 1, organization_id: 7 };
    let new = Donation { id: 1, organization_id: 8 };
    let own = ["Donation:1", "Donation:org:8"];
    assert_eq!(texts(new.on_create()), own);
    assert_eq!(texts(new.on_delete()), own);
    assert_eq!(texts(new.on_update(&Change::unknown())), own);
    assert_eq!(texts(new.on_update(&Change::unknown().columns(&[]))), own);
    let both = ["Donation:1", "Donation:org:8", "Donation:1", "Donation:org:7"];
    assert_eq!(texts(new.on_update(&Change::from_row(&old))), both);
    assert_eq!(texts(new.on_update(&Change::from_row(&old).columns(&["amount"]))), both);
}

#[derive(TaggedModel)]
#[tagged_model(
    on_create = |row| row.scopes().into_iter().chain([Tag::new("Made", row.id)]),
    on_update = changed,
    on_delete = |row| (row.id > 1).then(|| Tag::new("Gone", row.id)),
)]
struct Row {
    id: u64,
    name: String,
}

fn changed(row: &Row, change: &Change<'_, Row>) -> Vec<Tag> {
    let mut tags = vec![Tag::new("Row", row.id)];
    if change.touches("name") {
        tags.push(Tag::new("Name", &row.name));
        tags.extend(change.old().map(|old| Tag::new("Name", &old.name)));
    }
    tags.extend(
        change.changed_columns().into_iter().flatten().map(|name| Tag::new("Column", name)),
    );
    tags
}

#[test]
fn closures_and_functions_say_it() {
    let old = Row { id: 1, name: "old".to_owned() };
    let new = Row { id: 2, name: "new".to_owned() };
    assert_eq!(texts(new.on_create()), ["Made:2"]);
    assert_eq!(texts(new.on_delete()), ["Gone:2"]);
    assert!(old.on_delete().is_empty());
    let on_update = |change: Change<'_, Row>| texts(new.on_update(&change));
    assert_eq!(on_update(Change::unknown()), ["Row:2", "Name:new"]);
    assert_eq!(on_update(Change::from_row(&old)), ["Row:2", "Name:new", "Name:old"]);
    assert_eq!(on_update(Change::unknown().columns(&["x"])), ["Row:2", "Column:x"]);
    let both = Change::from_row(&old).columns(&["name"]);
    assert_eq!(on_update(both), ["Row:2", "Name:new", "Name:old", "Column:name"]);
}

#[test]
fn functions_that_are_methods_paths_or_generic() {
    #[derive(TaggedModel)]
    #[tagged_model(on_create = Self::made, on_update = (Row::<T>::moved), on_delete = TaggedModel::scopes)]
    struct Row<T: std::fmt::Display> {
        id: T,
    }
    impl<T: std::fmt::Display> Row<T> {
        fn made(&self) -> [&'static str; 2] {
            ["Made", "Made:2"]
        }
        fn moved<'a>(
            &'a self,
            change: &Change<'a, Self>,
        ) -> impl Iterator<Item = Tag> + use<'a, T> {
            [Some(self), change.old()].into_iter().flatten().map(|row| Tag::new("Moved", &row.id))
        }
    }
    let (old, new) = (Row { id: 1 }, Row { id: 2 });
    assert_eq!(texts(new.on_create()), ["Made", "Made:2"]);
    assert_eq!(texts(new.on_update(&Change::from_row(&old))), ["Moved:2", "Moved:1"]);
    assert!(new.on_delete().is_empty());
}

/// Each organization's page depends on its own scope.
#[tagged_cache(tags = ["Donation:org:<organization_id>"], vary_on = [organization_id])]
async fn page(organization_id: u64, runs: &AtomicU32) -> u32 {
    runs.fetch_add(1, Ordering::SeqCst)
}

async fn a_row_that_moves_bumps_both_scopes(cache: Cache) {
    let runs = AtomicU32::new(0);
    with_cache(cache, async {
        for organization in 7..=9 {
            page(organization, &runs).await;
        }
        let old = Donation { id: 1, organization_id: 7 };
        let new = Donation { id: 1, organization_id: 8 };
        let bumped = new.updated(&Change::from_row(&old)).await.unwrap();
        assert_eq!(bumped.len(), 3, "the row once, and both scopes");
        assert_eq!((page(7, &runs).await, page(8, &runs).await), (3, 4), "both ran again");
        assert_eq!(page(9, &runs).await, 2, "not concerned");
    })
    .await;
}

async fn each_event_bumps_what_it_says(cache: Cache) {
    let row = Row { id: 2, name: "new".to_owned() };
    with_cache(cache, async {
        let expected = ["Made:2"].map(Tag::from);
        assert_eq!(
            row.created().await.unwrap().into_iter().map(|(tag, _)| tag).collect::<Vec<_>>(),
            expected
        );
        let change = Change::unknown().columns(&["x"]);
        let bumped = row.updated(&change).await.unwrap();
        assert!(
            bumped.version(&"Row:2".into()).is_some()
                && bumped.version(&"Column:x".into()).is_some()
        );
        assert_eq!(bumped.len(), 2);
        assert_eq!(row.deleted().await.unwrap().iter().next().unwrap().0, "Gone:2".into());
        let nothing = Row { id: 1, name: String::new() }.deleted().await.unwrap();
        assert!(nothing.is_empty() && nothing.held().is_empty());
    })
    .await;
}
