//! A model takes nothing from the prelude.
#![no_implicit_prelude]
#![deny(warnings)]

#[derive(::fragkeys::TaggedModel)]
#[tagged_model(
    key = (tenant, number),
    scopes = ["Users:tenant:<tenant>", "Users:team:<team>", ::fragkeys::Tag::new("Mail", &self.mail)],
    on_create = |user| [::fragkeys::Tag::new("Created", user.number)],
    on_update = |user, change| if change.touches("mail") { ::fragkeys::TaggedModel::tags(user) } else { ::std::vec![] },
    on_delete = ::fragkeys::TaggedModel::scopes
)]
struct User {
    tenant: u64,
    number: u64,
    team: ::std::option::Option<u64>,
    mail: ::std::string::String,
}

fn main() {
    let mail = <::std::string::String as ::std::convert::From<&str>>::from("ada@example.org");
    let user = User { tenant: 1, number: 2, team: ::std::option::Option::None, mail };
    ::std::assert_eq!(::fragkeys::TaggedModel::tags(&user).len(), 3);
    ::std::assert!(::fragkeys::is_registered::<User>());
}
