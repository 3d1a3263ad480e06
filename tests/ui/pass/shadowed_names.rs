//! Generated code uses none of the names that a module may define for itself.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![allow(dead_code, non_camel_case_types)]

mod shadows {
    pub struct Option;
    pub struct Box;
    pub struct String;
    pub struct Vec;
    pub struct Duration;
    pub struct Tag;
    pub struct Send;
    pub struct Future;
    pub struct u64;
    pub trait Into {}
    pub trait From {}
    pub trait Display {}
    pub trait Serialize {}
    pub mod std {}
    pub mod core {}
    pub mod fragkeys {}
    pub mod serde {}
    pub type Result<T> = ::std::result::Result<T, ::std::io::Error>;
    #[allow(non_snake_case)]
    pub fn Ok() {}
    #[allow(non_snake_case)]
    pub fn Err() {}
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
    #[allow(unused_macros)]
    macro_rules! file {
        () => {
            compile_error!("not this one")
        };
    }

    type Number = i64;

    #[::fragkeys::tagged_cache(
        timeout = 60,
        tags = ["User:<user_id>", "All"],
        vary_on = [user_id],
        version = 2,
        key_name = "answer",
        jitter = 0.5,
        cache_if = |value| *value > 0
    )]
    pub async fn answer(user_id: Number) -> Result<Number> {
        ::std::result::Result::Ok(user_id)
    }

    #[::fragkeys::tagged_cache(timeout = ::std::time::Duration::from_secs(1))]
    pub async fn maybe(user_id: Number) -> ::std::option::Option<Number> {
        ::std::option::Option::Some(user_id)
    }

    #[::fragkeys::tagged_cache]
    pub fn boxed(
        user_id: Number,
    ) -> ::std::pin::Pin<
        ::std::boxed::Box<dyn ::std::future::Future<Output = Number> + ::std::marker::Send>,
    > {
        ::std::boxed::Box::pin(async move { user_id })
    }

    pub fn bump(user_id: Number) {
        drop(::fragkeys::invalidate!("User:<user_id>", "All"));
        drop(::fragkeys::tag!("User:<user_id>"));
    }
}

fn main() {
    drop(shadows::answer(1));
    drop(shadows::maybe(1));
    drop(shadows::boxed(1));
    shadows::bump(1);
}
