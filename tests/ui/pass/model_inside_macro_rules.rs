//! The derive works where `macro_rules!` writes the struct, with each part from either side.
#![deny(warnings)]

use fragkeys::{Tag, TaggedModel};

macro_rules! model {
    (
        struct $model:ident { $($field:ident: $type:ty),* }
        $name:literal, $key:ident, $also:ident, $scope:literal, $more:expr, $on_create:expr
    ) => {
        #[derive(TaggedModel)]
        #[tagged_model(
            name = $name,
            key = ($key, $also),
            scopes = [$scope, "Inside:<id>", $more],
            on_create = $on_create,
            on_delete = |row| [Tag::new("Gone", row.$key)]
        )]
        struct $model {
            $($field: $type),*
        }
    };
}

model! {
    struct Row { id: u64, tenant: u64 }
    "Rows", tenant, id, "Rows:tenant:<tenant>", Tag::global("More"), |row| [Tag::new("Made", row.id)]
}

macro_rules! model_of_paths {
    ($model:ident, $key:expr, $scopes:expr) => {
        #[derive(TaggedModel)]
        #[tagged_model(key = $key, scopes = $scopes)]
        struct $model {
            id: (u64, u64),
        }
    };
}

model_of_paths!(Pair, (id.1, id.0), ["Pair:first:<id.0>"]);

macro_rules! model_by {
    ($model:ident) => {
        #[derive(TaggedModel)]
        #[tagged_model(scopes = ["All:<id>", Tag::new("Self", self.id)])]
        struct $model {
            id: u64,
        }
    };
}

model_by!(Plain);

fn texts(tags: Vec<Tag>) -> Vec<String> {
    tags.iter().map(ToString::to_string).collect()
}

fn main() {
    let row = Row { id: 1, tenant: 2 };
    assert_eq!(texts(row.tags()), ["Rows:2:1", "Rows:tenant:2", "Inside:1", "More"]);
    assert_eq!(texts(row.on_create()), ["Made:1"]);
    assert_eq!(texts(row.on_delete()), ["Gone:2"]);
    assert_eq!(texts(Pair { id: (1, 2) }.tags()), ["Pair:2:1", "Pair:first:1"]);
    assert_eq!(texts(Plain { id: 1 }.tags()), ["Plain:1", "All:1", "Self:1"]);
}
