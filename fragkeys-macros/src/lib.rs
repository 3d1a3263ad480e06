//! The macros of [`fragkeys`](https://docs.rs/fragkeys). Depend on that crate, not on this one.
//!
//! Each macro goes the same three steps: tokens to options (syntax), options to a model
//! (meaning; a model that exists is valid), model to tokens (cannot fail). All mistakes are
//! reported in one compile, and the function itself survives them.

use proc_macro::TokenStream;

mod diag;
mod expand;
mod invalidate;
mod model;
mod options;
mod signature;
mod template;

/// Caches an async function: an answer that is in the cache is given without running it.
///
/// ```ignore
/// #[tagged_cache(timeout = 3600, tags = ["User:<user_id>"], vary_on = [user_id])]
/// async fn profile(user_id: u64) -> Result<Profile, DbError> { … }
/// ```
///
/// | option | value | default |
/// |---|---|---|
/// | `timeout` | seconds, or any `Duration` expression | the cache's, 1 hour |
/// | `tags` | list of templates, or of expressions that are `Into<Tag>` | none |
/// | `vary_on` | list of arguments, or of paths into them (`user.id`, `self.tenant`, `self.0`) | all arguments; a method with a receiver must say |
/// | `version` | string or integer; a new one is a new generation | none |
/// | `key_name` | string | path of the function |
/// | `cache_name` | string: which installed cache | `"default"` |
/// | `cache_if` | `\|value\| bool` on the value (of a `Result`, the `Ok` value) | cache all |
/// | `jitter` | 0.0–1.0, the share of the timeout that is taken off at random | 0 |
/// | `codec` | a codec type | the cache's |
///
/// In a template, `<name>` and `{name}` stand for an argument or a path into one (`<type>` for
/// `r#type`); `<<`, `>>`, `{{` and `}}` for the characters themselves. Values are escaped, so that one that holds a
/// `:` stays one segment.
///
/// What is cached: of `Result<T, E>` the `Ok` value, of anything else all of it, `None`
/// included. The value must be `Serialize + DeserializeOwned`; `E` needs nothing. Arguments in
/// `vary_on` must be `Serialize`, those in templates `Display`; others need nothing.
///
/// It goes on free functions, associated functions, methods of any receiver, methods of trait
/// implementations (under `#[async_trait]` too), and functions that return a boxed or an
/// `impl Future`. The future stays `Send` where the body is.
#[proc_macro_attribute]
pub fn tagged_cache(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::tagged_cache(options.into(), item.into()).into()
}

/// Bumps tags in the cache that is used here: `invalidate!("User:<user_id>", "Dashboard").await?`.
///
/// Takes templates whose placeholders are variables in scope, and expressions that are
/// `Into<Tag>`. One round trip; the output is `Result<Bumped, Error>`. Call it after the
/// change is committed.
#[proc_macro]
pub fn invalidate(tags: TokenStream) -> TokenStream {
    invalidate::invalidate(tags.into()).into()
}

/// A tag from a template whose placeholders are variables in scope: `tag!("User:<user_id>")`.
#[proc_macro]
pub fn tag(template: TokenStream) -> TokenStream {
    invalidate::tag(template.into()).into()
}
