//! The attribute works where `macro_rules!` writes the function, with each part from either side.
#![deny(warnings)]

use fragkeys::{invalidate, tag, tagged_cache};

macro_rules! cached {
    (
        $(#[$attribute:meta])*
        fn $name:ident($argument:ident: $type:ty) -> $returned:ty = $body:expr;
        $tag:literal, $also:expr, $timeout:expr, $key_name:literal, $version:literal
    ) => {
        $(#[$attribute])*
        #[tagged_cache(
            tags = [$tag, $also],
            vary_on = [$argument],
            timeout = $timeout,
            key_name = $key_name,
            version = $version,
            jitter = 0.5,
            cache_if = |value| *value > 0
        )]
        async fn $name($argument: $type) -> $returned {
            $body
        }
    };
}

cached! {
    fn profile(user_id: u64) -> Result<u64, std::io::Error> = Ok(user_id + 1);
    "User:<user_id>", "All:<user_id>", 60, "profile_by_macro", "v2"
}

macro_rules! cached_by {
    ($name:ident) => {
        #[tagged_cache(tags = ["User:<user_id>"])]
        async fn $name(user_id: u64) -> u64 {
            user_id
        }
    };
}

cached_by!(inner);

macro_rules! bump {
    ($tag:literal) => {{
        drop(invalidate!($tag));
        tag!($tag)
    }};
}

fn main() {
    let user_id = 42;
    drop(profile(user_id));
    drop(inner(user_id));
    assert_eq!(bump!("User:<user_id>").to_string(), "User:42");
}
