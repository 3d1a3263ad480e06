//! Generated code for a model uses none of the names that a module may define for itself.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![allow(dead_code, non_camel_case_types)]

mod shadows {
    pub struct Option;
    pub struct Box;
    pub struct String;
    pub struct Vec;
    pub struct Tag;
    pub struct TaggedModel;
    pub struct Change;
    pub struct KeyedBy;
    pub struct ModelInfo;
    pub struct Send;
    pub struct Future;
    pub struct u64;
    pub struct str;
    pub trait Into {}
    pub trait From {}
    pub trait Display {}
    pub trait Iterator {}
    pub trait IntoIterator {}
    pub mod std {}
    pub mod core {}
    pub mod fragkeys {}
    pub mod inventory {}
    pub type Result<T> = ::std::result::Result<T, ::std::io::Error>;
    #[allow(non_snake_case)]
    pub fn Ok() {}
    #[allow(non_snake_case)]
    pub fn Some() {}
    #[allow(non_upper_case_globals)]
    pub const None: () = ();
    #[allow(unused_macros)]
    macro_rules! vec {
        () => {
            compile_error!("not this one")
        };
    }
    /// A trait of everything, with methods of likely names.
    pub trait Anything {
        fn append(&self) {}
        fn value(&self) {}
        fn collect(&self) {}
        fn flatten(&self) {}
        fn into_tag(&self) {}
        fn literal(&self) {}
        fn placeholder(&self) {}
        fn tag(&self) {}
        fn tags(&self) {}
        fn scopes(&self) {}
    }
    impl<T: ?Sized> Anything for T {}

    type Number = i64;

    #[derive(::fragkeys::TaggedModel)]
    #[tagged_model(
        key = (tenant, number),
        scopes = ["User:tenant:<tenant>", "User:team:<team>", ::fragkeys::Tag::new("Mail", self.number)],
        on_create = |user| [::fragkeys::Tag::new("Created", user.number)],
        on_update = |user, change| change.touches("team").then(|| ::fragkeys::Tag::new("Team", user.number)),
        on_delete = ::fragkeys::TaggedModel::scopes
    )]
    pub struct User {
        pub tenant: Number,
        pub number: Number,
        pub team: ::std::option::Option<Number>,
    }
}

use fragkeys::TaggedModel;

fn main() {
    let user = shadows::User { tenant: 1, number: 2, team: Some(3) };
    let texts: Vec<String> = TaggedModel::tags(&user).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["User:1:2", "User:tenant:1", "User:team:3", "Mail:2"]);
    assert_eq!(TaggedModel::on_create(&user).len(), 1);
    assert_eq!(TaggedModel::on_delete(&user).len(), 3);
}
