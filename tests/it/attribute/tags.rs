//! `tags`: templates and expressions, and that their bumps reach the entries.

use fragkeys::{Tag, cache, invalidate, tagged_cache};

use super::{Runs, assert_caches, assert_hits, assert_runs, in_new_cache};

struct User {
    id: u64,
    name: String,
    tag: Tag,
}

struct Users(u64);

const AREA: &str = "Area:51";

fn tag_of(user: &User) -> Tag {
    Tag::scoped("User", "name", &user.name)
}

#[tagged_cache(
    vary_on = [user.id, pair.1],
    tags = [
        "Dashboard",
        "User:<user.id>",
        "Braces:{user.id}",
        "Two:<user.name>:<pair.1>",
        "Part-<user.id>-of-{pair.0}",
        "Literal:<<{{>>}}",
        "Spaces:< user . id >",
        tag_of(user),
        &user.tag,
        Tag::new("Sum", user.id + pair.1),
        AREA,
        user.name.as_str(),
        format!("Owned:{}", user.id),
        if user.id == 1 { Tag::global("First") } else { Tag::global("Later") },
        Tag::constant("env", "test"),
    ]
)]
async fn tagged(user: &User, pair: (u8, u64), runs: &Runs) -> u64 {
    runs.add();
    user.id
}

#[tokio::test]
async fn every_tag_reaches_the_entry() {
    in_new_cache(async {
        let runs = Runs::default();
        let user = User { id: 1, name: "Ada".to_owned(), tag: Tag::global("Own") };
        let call = || tagged(&user, (2, 3), &runs);
        assert_caches(&runs, call).await;
        for text in [
            "Dashboard",
            "User:1",
            "Braces:1",
            "Two:Ada:3",
            "Part-1-of-2",
            "Literal:<{>}",
            "Spaces:1",
            "User:name:Ada",
            "Own",
            "Sum:4",
            "Area:51",
            "Ada",
            "Owned:1",
            "First",
        ] {
            cache().invalidate([text]).await.unwrap();
            assert_runs(&runs, call()).await;
            assert_hits(&runs, call()).await;
        }
        for text in ["User", "User:2", "User:name", "Part-1-of-3", "Later", "Area"] {
            cache().invalidate([text]).await.unwrap();
            assert_hits(&runs, call()).await;
        }
    })
    .await;
}

impl Users {
    #[tagged_cache(vary_on = [self.0], tags = ["Tenant:<self.0>"])]
    async fn all(&self, runs: &Runs) -> u64 {
        runs.add();
        self.0
    }
}

#[tokio::test]
async fn a_field_of_self() {
    in_new_cache(async {
        let runs = Runs::default();
        let users = Users(7);
        assert_caches(&runs, || users.all(&runs)).await;
        invalidate!("Tenant:<users.0>").await.unwrap();
        assert_runs(&runs, users.all(&runs)).await;
    })
    .await;
}

#[tagged_cache(vary_on = [], tags = ["User:<user_id>"])]
async fn by_tag_alone(user_id: u64, runs: &Runs) -> u64 {
    runs.add();
    user_id
}

/// A placeholder's value tells calls apart, though it is not in `vary_on`.
#[tokio::test]
async fn placeholder_is_part_of_the_identity() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || by_tag_alone(1, &runs)).await, 1);
        assert_eq!(assert_caches(&runs, || by_tag_alone(2, &runs)).await, 2);
        let user_id = 1;
        invalidate!("User:<user_id>").await.unwrap();
        assert_runs(&runs, by_tag_alone(1, &runs)).await;
        assert_hits(&runs, by_tag_alone(2, &runs)).await;
    })
    .await;
}

/// Two templates whose texts would be one if values were not escaped.
#[tokio::test]
async fn value_with_a_colon_stays_one_segment() {
    #[tagged_cache(vary_on = [], tags = ["Pair:<a>:<b>"])]
    async fn pair(a: &str, b: &str, runs: &Runs) -> String {
        runs.add();
        format!("{a}|{b}")
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || pair("x:y", "z", &runs)).await, "x:y|z");
        assert_eq!(assert_caches(&runs, || pair("x", "y:z", &runs)).await, "x|y:z");
        assert_eq!(assert_caches(&runs, || pair(r"x\", "y", &runs)).await, r"x\|y");
        let (a, b) = ("x:y", "z");
        invalidate!("Pair:<a>:<b>").await.unwrap();
        assert_runs(&runs, pair("x:y", "z", &runs)).await;
        assert_hits(&runs, pair("x", "y:z", &runs)).await;
    })
    .await;
}

/// The body's variables cannot be meant: tags are known before it runs.
#[tokio::test]
async fn tags_are_taken_before_the_body() {
    #[tagged_cache(vary_on = [id], tags = ["Id:<id>"])]
    async fn changed(mut id: u64, runs: &Runs) -> u64 {
        runs.add();
        id += 1;
        id
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || changed(1, &runs)).await, 2);
        cache().invalidate(["Id:2"]).await.unwrap();
        assert_hits(&runs, changed(1, &runs)).await;
        cache().invalidate(["Id:1"]).await.unwrap();
        assert_runs(&runs, changed(1, &runs)).await;
    })
    .await;
}

#[tokio::test]
async fn without_tags_only_the_whole_cache_can_be_bumped() {
    #[tagged_cache(vary_on = [id])]
    async fn untagged(id: u64, runs: &Runs) -> u64 {
        runs.add();
        id
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_caches(&runs, || untagged(1, &runs)).await;
        cache().invalidate_all().await.unwrap();
        assert_runs(&runs, untagged(1, &runs)).await;
    })
    .await;
}

/// A fragment arrives in invisible parentheses, and visible ones change nothing either.
#[tokio::test]
async fn template_in_parentheses_is_a_template() {
    macro_rules! load {
        ($name:ident($id:ident), $tag:literal, $other:expr) => {
            #[tagged_cache(vary_on = [$id], tags = [$tag, $other, ("Parens:<id>")])]
            async fn $name($id: u64, runs: &Runs) -> u64 {
                runs.add();
                $id
            }
        };
    }
    load!(load(id), "Literal:<id>", "Expression:<id>");
    in_new_cache(async {
        let runs = Runs::default();
        assert_caches(&runs, || load(7, &runs)).await;
        for text in ["Literal:7", "Expression:7", "Parens:7"] {
            cache().invalidate([text]).await.unwrap();
            assert_runs(&runs, load(7, &runs)).await;
        }
    })
    .await;
}
