//! The models that a program has.

use fragkeys::{ModelInfo, Tag, TaggedModel, is_registered, models, register};

/// What is listed of a model, each time that it is.
fn listed(name: &str) -> Vec<ModelInfo> {
    models().into_iter().filter(|model| model.tag_name == name).collect()
}

#[derive(TaggedModel)]
#[tagged_model(
    name = "RegistryRow",
    key = (self.key.0, r#type),
    scopes = ["RegistryRow:{key.1}:<type>", Tag::new("Kind", self.r#type)],
)]
struct Row {
    key: (u8, u8),
    r#type: u8,
}

#[test]
fn derived_models_are_listed_with_their_key_and_scopes() {
    let [row] = listed("RegistryRow")[..] else { panic!("once: {:?}", listed("RegistryRow")) };
    assert_eq!(row.type_name, std::any::type_name::<Row>());
    assert_eq!(row.key, ["key.0", "type"]);
    assert_eq!(row.scopes[0], "RegistryRow:{key.1}:<type>");
    let expression: String = row.scopes[1].split_whitespace().collect();
    assert_eq!(expression, r#"Tag::new("Kind",self.r#type)"#);
    assert!(is_registered::<Row>());
    assert_eq!(Row { key: (1, 2), r#type: 3 }.tags().len(), 3);
}

#[test]
fn they_are_sorted_by_type() {
    let names: Vec<&str> = models().iter().map(|model| model.type_name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(names.len() > 10, "those of all these tests");
}

mod inner {
    #[derive(fragkeys::TaggedModel)]
    #[tagged_model(name = "RegistryInModule")]
    pub(super) struct Row {
        pub(super) id: u8,
    }
}

/// Also in a function that nobody calls, and generic functions.
#[test]
fn wherever_they_stand() {
    #[allow(dead_code)]
    fn nobody_calls<T>(_: T) {
        #[derive(TaggedModel)]
        #[tagged_model(name = "RegistryInFunction")]
        struct Row {
            id: u8,
        }
    }
    assert_eq!(listed("RegistryInFunction").len(), 1);
    assert_eq!(listed("RegistryInModule").len(), 1);
    assert_eq!(inner::Row { id: 1 }.tags().len(), 1);
    assert!(is_registered::<inner::Row>());
}

#[test]
fn one_with_lifetimes_is_one_model() {
    #[derive(TaggedModel)]
    #[tagged_model(name = "RegistryBorrowed")]
    struct Row<'a, 'b> {
        id: &'a &'b str,
    }
    fn check<'a>(row: &Row<'a, 'a>) {
        assert!(is_registered::<Row<'a, 'a>>());
        register::<Row<'a, 'a>>();
        assert_eq!(row.tags().len(), 1);
    }
    let text = String::from("x");
    check(&Row { id: &text.as_str() });
    assert_eq!(listed("RegistryBorrowed").len(), 1);
}

#[test]
fn instances_of_a_generic_one_are_registered_by_hand() {
    #[derive(TaggedModel)]
    #[tagged_model(name = "RegistryGeneric", scopes = ["RegistryGeneric:<id>"])]
    struct Row<T: std::fmt::Display> {
        id: T,
    }
    assert!(!is_registered::<Row<u8>>() && listed("RegistryGeneric").is_empty());
    register::<Row<u8>>();
    register::<Row<u8>>();
    assert!(is_registered::<Row<u8>>() && !is_registered::<Row<u16>>());
    let [row] = listed("RegistryGeneric")[..] else { panic!("once") };
    assert_eq!((row.key, row.scopes), (&["id"][..], &["RegistryGeneric:<id>"][..]));
    register::<Row<u16>>();
    assert_eq!(listed("RegistryGeneric").len(), 2);
    assert_eq!(Row { id: 1_u32 }.tags().len(), 2);
}

#[test]
fn a_model_by_hand_is_registered_by_hand() {
    struct Row;
    impl TaggedModel for Row {
        const TAG_NAME: &'static str = "RegistryByHand";
        fn tag(&self) -> Option<Tag> {
            None
        }
        fn scopes(&self) -> Vec<Tag> {
            Vec::new()
        }
    }
    assert!(!is_registered::<Row>());
    register::<Row>();
    register::<Row>();
    let [row] = listed("RegistryByHand")[..] else { panic!("once") };
    assert_eq!(row, Row::info());
    assert!(row.key.is_empty() && row.scopes.is_empty());
    assert!(Row.tags().is_empty());
}

/// Many threads at once, the moment all of them have found it missing.
#[test]
fn registered_from_many_threads_it_is_listed_once() {
    struct Row;
    impl TaggedModel for Row {
        const TAG_NAME: &'static str = "RegistryRace";
        fn tag(&self) -> Option<Tag> {
            None
        }
        fn scopes(&self) -> Vec<Tag> {
            Vec::new()
        }
        /// Asked for while it is not registered yet by any.
        fn info() -> ModelInfo {
            static ALL_HERE: std::sync::Barrier = std::sync::Barrier::new(4);
            ALL_HERE.wait();
            ModelInfo::new::<Self>(&[], &[])
        }
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(register::<Row>);
        }
    });
    assert_eq!(listed("RegistryRace").len(), 1);
}
