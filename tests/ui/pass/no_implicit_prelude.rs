//! Nothing is taken from the prelude.
#![no_implicit_prelude]
#![deny(warnings)]

struct Users {
    tenant: u64,
}

impl Users {
    #[::fragkeys::tagged_cache(
        timeout = 60,
        tags = ["Tenant:<self.tenant>", ::fragkeys::Tag::new("User", user_id)],
        vary_on = [self.tenant, user_id],
        codec = ::fragkeys::Json,
        cache_if = |value| *value > 0
    )]
    async fn profile(&self, user_id: u64) -> ::std::result::Result<u64, ::std::io::Error> {
        ::std::result::Result::Ok(user_id + self.tenant)
    }
}

#[::fragkeys::tagged_cache]
async fn nothing() {}

fn main() {
    let users = Users { tenant: 1 };
    let user_id = 2;
    ::std::mem::drop(users.profile(user_id));
    ::std::mem::drop(nothing());
    ::std::mem::drop(::fragkeys::invalidate!("User:<user_id>", "Tenant:<users.tenant>"));
    ::std::mem::drop(::fragkeys::tag!("User:<user_id>"));
}
