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
mod tagged_model;
mod template;

/// Caches an async function: an answer that is in the cache is given without running it.
///
/// ```
/// # use fragkeys::tagged_cache;
/// #[tagged_cache(timeout = 3600, tags = ["User:<user_id>"], vary_on = [user_id])]
/// async fn profile(user_id: u64) -> Result<String, std::io::Error> {
///     Ok(format!("user {user_id}")) // … from the database …
/// }
/// ```
///
/// | option | value | default |
/// |---|---|---|
/// | `timeout` | seconds, any `Duration` expression, or `\|value\| …` that gives one | the cache's, 1 hour |
/// | `timeout_none` | the same for `None`, without the closure | `timeout` |
/// | `tags` | list of templates, or of expressions that are `Into<Tag>` | none |
/// | `vary_on` | list of arguments, or of paths into them (`user.id`, `self.tenant`, `self.0`) | all arguments; a method with a receiver must say |
/// | `version` | string or integer; a new one is a new generation | none |
/// | `key_name` | string | path of the function |
/// | `cache_name` | string: which installed cache | `"default"` |
/// | `cache_if` | `\|value\| bool` on the value (of a `Result`, the `Ok` value) | cache all |
/// | `tags_from` | `\|value\| tags` that only the value can tell; see below | none |
/// | `inherit_tags` | nothing: takes over the tags of the cached calls in its body; see below | takes over none |
/// | `early_cutoff` | nothing: with `inherit_tags`, keeps the value while those calls give the same; see below | made anew |
/// | `cache_err` | `\|error\| Option<Duration>`: for how long an `Err` is cached | no `Err` is |
/// | `jitter` | 0.0–1.0, the share of the timeout that is taken off at random | 0 |
/// | `stale_while_revalidate` | seconds past the timeout in which an expired value, never an invalidated one, is given while one runs | 0 |
/// | `stale_if_error` | seconds past the timeout in which the last good value stands in for an `Err`, even if it was invalidated | 0 |
/// | `soft_timeout` | after so long the last good value is given, as `stale_if_error` says, and the run goes on | none |
/// | `hard_timeout` | after so long the run is dropped, which is an `Err`: the error must be `From<TimedOut>` | none |
/// | `refresh_ahead` | the last share of the timeout, in which a run may begin, as in `0.1`; or `xfetch` | none |
/// | `background` | `false` has a caller wait for each run; `true` makes borrowed arguments an error | by the arguments |
/// | `near` | `false` keeps the function out of the near tier; `true` makes it an error if its type cannot be kept there | kept where its type can |
/// | `lease` | `false` lets each process run that misses, instead of one for all; see the guide `herds` | `true`; batches take none |
/// | `codec` | a codec type | the cache's |
/// | `batch` | nothing, a name for an element, or `id in ids`: see below | one entry a call |
///
/// In a template, `<name>` and `{name}` stand for an argument or a path into one (`<type>` for
/// `r#type`); `<<`, `>>`, `{{` and `}}` for the characters themselves. Values are escaped, so
/// that one that holds a `:` stays one segment. Only a literal is a template: a `&str` that an
/// expression gives is a tag's text as it is.
///
/// `invalidate!` bumps in all installed caches, so also in that of a function with a `cache_name`.
///
/// Two functions of one `key_name` that are alike in all else share their entries: use it to
/// keep entries when a function moves, and never twice in one program.
///
/// What is cached: of `Result<T, E>` the `Ok` value, of anything else all of it, `None`
/// included. The value must be `Serialize + DeserializeOwned`; `E` needs nothing, but the same
/// where `cache_err` chooses errors to be cached. Arguments in
/// `vary_on` must be `Serialize`, those in templates `Display`; others need nothing.
///
/// # Tags of the value
///
/// A list of what was found depends on each thing in it, and only the value tells which those are:
///
/// ```
/// # use fragkeys::{Tag, tagged_cache};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Item { id: u64 }
/// # #[derive(Serialize, Deserialize)] struct Page { items: Vec<Item> }
/// #[tagged_cache(
///     tags = ["Items"],
///     tags_from = |page: &Page| page.items.iter().map(|item| Tag::new("Item", item.id)),
/// )]
/// async fn search(text: String) -> Page {
///     // … ask the database …
/// #   Page { items: Vec::new() }
/// }
/// ```
///
/// When item 5 changes, `invalidate!("Item:5")` invalidates the pages that it is on. (Not those that it
/// is on from then on: a tag for all items, here `Items`, is for those.)
///
/// A bump during a run makes its result unreachable, as with any tag. That takes the versions of all
/// tags to be read before the body runs; so a value is stored only if it has no tag that the last one
/// had not, and the first of all never is, unless it has no tag of its own: the second is. Which tags
/// the last value had stands in the store. A process that saw them asks for the value as for any
/// other, in one round trip; the first time it takes two. Up to 1,000 tags; a value with more is not
/// stored, and the log says so once. Concurrent misses run each for itself.
///
/// Not for batches. Tags at keys of others (`Tag::foreign`) cannot be among them.
///
/// # Values made of others
///
/// A page that is made of cached fragments depends on what they depend on. With `inherit_tags` it takes
/// over their tags, so nobody has to list them again:
///
/// ```
/// # use fragkeys::{invalidate, tagged_cache};
/// #[tagged_cache(tags = ["User:<id>"])]
/// async fn name(id: u64) -> String {
///     // … ask the database …
/// #   format!("user {id}")
/// }
///
/// #[tagged_cache(inherit_tags)]
/// async fn page(id: u64) -> String {
///     format!("<h1>{}</h1>", name(id).await)
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// page(42).await;
/// invalidate!("User:42").await?; // the name, and the page with it
/// # Ok::<(), fragkeys::Error>(()) }).unwrap();
/// ```
///
/// - It is a matter of the cached calls that the body awaits in its own task: functions, batches and entries by
///   hand, in a `join!` or `select!` too. What a function that has `inherit_tags` itself takes over is handed on;
///   of another function, its own tags alone. Calls in a task that the body spawns are not seen.
/// - The value is stored under the versions as of which those calls were answered. So a bump after that,
///   while the body still runs, makes the value unreachable, as with any tag (I1).
/// - If nobody knows as of when a call was answered, the value is given and not stored: the cache could not be used
///   or was bypassed, an old value stood in (`stale_if_error`, `stale_while_revalidate`), a
///   `peek` found nothing, or it ran inside of an `on_commit` in the body. The same where a tag was bumped between two
///   calls. A call that is never cached, or is in another cache (`cache_name`), keeps the value from
///   being stored for good, and the log says so once.
/// - `prime` stores nothing: nobody knows which calls a value that is given was made of.
/// - Tags are taken over, and not the timeout: give the page one that is no longer than those of its fragments.
///   `evict` and `refresh` of a fragment leave the page alone, as they are no bumps.
/// - A process that saw the page asks for it as for any other, in one round trip; the first time it takes two.
///   Up to 1,000 tags beside its own, with those of `tags_from`, with which it goes. Concurrent misses run
///   each for itself; the fragments in them share their runs. Not for batches, whose own calls can be
///   taken over all the same; what the body of one gave without having been asked has no tags.
///
/// ## Early cutoff
///
/// Often a fragment comes out the same although one of its tags was bumped. With `early_cutoff` the page then
/// keeps its value: after a bump its body runs, and its calls are hits or run; once all of them have given what
/// they gave the last time, byte for byte, the body is dropped where it waits for the last of them,
/// and what is cached stands again, under the versions of now.
///
/// ```
/// # use fragkeys::{cache, invalidate, tagged_cache};
/// #[tagged_cache(tags = ["Stock:<id>"])]
/// async fn is_available(id: u64) -> bool {
///     true // … the number in stock is above 0 …
/// }
///
/// #[tagged_cache(inherit_tags, early_cutoff)]
/// async fn page(id: u64) -> String {
///     let is_available = is_available(id).await;
///     // … what takes long …
///     format!("{id}: {is_available}")
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// page(42).await;
/// invalidate!("Stock:42").await?; // one has been sold
/// page(42).await; // asks whether there are others, and no more
/// assert_eq!(cache().stats().cut_off, 1);
/// # Ok::<(), fragkeys::Error>(()) }).unwrap();
/// ```
///
/// - It is for a body that is made of what those calls give, its arguments, and what `tags` of its own stand for. If it
///   reads something else that only a fragment's tag tells of, it must not have `early_cutoff`: that would stay old.
/// - What is before the last call runs each time; what is behind it is saved.
/// - The value is right no longer than it was: it keeps its time, and is made anew when that is over. A bump of a tag of its
///   own, `refresh`, and a release that changes `version` make it anew, too. One that changes only the body does not, as
///   ever.
/// - A call counts if it gives a value that is cached as any other. With an `Err`, an element of a batch, a function with
///   grace, or a future that was dropped among them, the body runs to its end. So it does where a
///   value is encoded in another order each time, as a `HashMap` is; and with more than 1,000 calls.
/// - It costs a miss a look for the last value, and each fragment in the body an encoding and a look at the store, as a near
///   tier is not asked there. Hits cost nothing. It does not go
///   with `tags_from`.
///
/// # Batches
///
/// With `batch`, each element of an argument has an entry and tags of its own: what is cached
/// comes from the cache, and the body runs once, with the other elements.
///
/// ```
/// # use std::collections::HashMap;
/// # use fragkeys::tagged_cache;
/// #[tagged_cache(batch, tags = ["User:<id>"])]
/// async fn names(ids: &[u64]) -> Result<HashMap<u64, String>, std::io::Error> {
///     // … `WHERE id = ANY(ids)`: those that are missing …
///     Ok(ids.iter().map(|id| (*id, format!("user {id}"))).collect())
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(names(&[1, 2]).await.unwrap().len(), 2); // runs with [1, 2]
/// assert_eq!(names(&[3, 2, 1]).await.unwrap().len(), 3); // runs with [3]
/// # });
/// ```
///
/// - The batch is the argument of type `&[K]` or `Vec<K>`. In options, an element of `ids` is
///   called `id`, of `user_ids` `user_id`; `batch = user` names it otherwise. Where there are
///   several such arguments, say which: `batch = id in ids`. Paths into it work: `<key.tenant>`.
/// - An element is always a part of its entry's key. `vary_on` is about the other arguments: by
///   default all of them are, too.
/// - The function returns a `HashMap<K, V>`, a `BTreeMap<K, V>` or another `BatchMap`, or a
///   `Result` of one. `K` is `Clone + Eq + Serialize`, and what the map wants; `V` is `Serialize +
///   DeserializeOwned`. `cache_if` sees each `V`; `jitter` is rolled, and `timeout` evaluated, for each.
/// - The body gets the missing elements in the order in which they were given, each once. It is not
///   run for an empty batch, whose answer is the empty map, nor where all are in the cache.
/// - An element that it leaves out is not cached, and asked for again next time. To cache absence,
///   let it be a value: `HashMap<u64, Option<User>>`.
/// - What it gives without having been asked is in the answer and not stored, for its versions
///   were not read before the run. Of an `Err`, nothing is stored, and hits are not given.
/// - An element that cannot be cached (its bump waits, the store is away) is asked of the body, and
///   keeps no other from the cache. The store adds one `operation_timeout` to the whole batch.
/// - 1,000 elements, or fewer that have 10,000 tags or hold 16 MiB together, go in one pipeline.
/// - Elements of a batch and calls of other functions never share entries.
/// - Where calls of this process are running for all that a batch misses, it waits for them and does
///   not run. One that also misses something else runs at once, for all that it misses: a body runs
///   once, so it could not make up for another's that fails. Batches take no leases.
/// - `observe` tells `Hit` if all elements were hits, else the worst that befell one: `Bypass`,
///   `NotStored`, `Miss`, `Shared`. `Stats` counts elements.
///
/// # Runs that nobody waits for
///
/// With `stale_while_revalidate`, `refresh_ahead` or `soft_timeout` a run can go on without its
/// caller if all arguments are owned as they are spelled: no reference, no lifetime but `'static`,
/// no `impl Trait`, no type parameter that is not bound to `'static`, and `self: Arc<Self>`
/// instead of `&self`. The body and the value must be `Send` then, and the value `Sync`. With
/// other arguments, and with `background = false`, one caller runs and waits, and the others are
/// given the old value. All of it, told apart: the guide `grace`.
///
/// # Where it goes
///
/// It goes on free functions, associated functions, methods of any receiver, methods of trait
/// implementations (under `#[async_trait]` too), and functions that return a boxed or an
/// `impl Future`. The future stays `Send` where the body and the value are.
#[proc_macro_attribute]
pub fn tagged_cache(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::tagged_cache(options.into(), item.into()).into()
}

/// Bumps tags in all caches that functions use here: `invalidate!("User:<user_id>", "Dashboard").await?`.
///
/// Takes templates whose placeholders are variables in scope, and expressions that are
/// `Into<Tag>`. One round trip for each installed cache; the output is `Result<Bumped, Error>`.
/// Call it after the change is committed, or inside of `on_commit`, which waits for that.
///
/// ```
/// # use fragkeys::{Tag, invalidate};
/// # async fn example() -> Result<(), fragkeys::Error> {
/// let user_id = 42;
/// let bumped = invalidate!("User:<user_id>", Tag::global("Dashboard")).await?;
/// assert_eq!(bumped.len(), 2);
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
#[proc_macro]
pub fn invalidate(tags: TokenStream) -> TokenStream {
    invalidate::invalidate(tags.into()).into()
}

/// A tag from a template whose placeholders are variables in scope.
///
/// ```
/// # use fragkeys::{Tag, tag};
/// let user_id = 42;
/// assert_eq!(tag!("User:<user_id>"), Tag::new("User", 42));
/// ```
#[proc_macro]
pub fn tag(template: TokenStream) -> TokenStream {
    invalidate::tag(template.into()).into()
}

/// Makes a struct a model: its rows know their tags, so that nobody has to list them at a write.
///
/// ```
/// # use fragkeys::{Tag, TaggedModel};
/// #[derive(TaggedModel)]
/// #[tagged_model(name = "Donations", key = id, scopes = ["Donations:org:<organization_id>"])]
/// struct Donation {
///     id: u64,
///     organization_id: u64,
///     amount: u64,
/// }
///
/// # async fn example() -> Result<(), fragkeys::Error> {
/// let donation = Donation { id: 42, organization_id: 7, amount: 100 };
/// assert_eq!(donation.tags(), [Tag::new("Donations", 42), Tag::scoped("Donations", "org", 7)]);
/// donation.invalidate().await?; // both
/// Donation::invalidate_key(42).await?; // `Donations:42` alone: the row is not at hand
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
///
/// | option | value | default |
/// |---|---|---|
/// | `name` | the name of the rows' tags | the type's name |
/// | `key` | a field, a path into one, or for a key of several columns a tuple: `(tenant, number)` | `id` |
/// | `scopes` | list of templates over fields, or of expressions that are `Into<Tag>` and may use `self` | none |
/// | `on_create`, `on_delete` | `\|row\| tags` | key and scopes |
/// | `on_update` | `\|row, change\| tags`; `change` tells the old row and the changed columns, where known | `change.tags(row)`: key and scopes, and those of the old row |
/// | `table` | the table of the rows, `"donations"` or `"shop.donations"`, for triggers in PostgreSQL: see the guide `postgres` | none |
/// | `columns` | list of fields whose columns have other names: `[organization_id = "organization"]` | the field's name |
///
/// A field that is an `Option` and `None` makes no tag: a donation that belongs to nobody has no
/// such scope. Fields in tags must be `Display`; a key of two columns gives `Name:one:two`.
///
/// ```
/// # use fragkeys::{Change, Tag, TaggedModel};
/// #[derive(TaggedModel)]
/// #[tagged_model(
///     key = (club, number),
///     scopes = ["Member:club:<club>", Tag::scoped("Member", "letter", &self.name[..1])],
///     on_update = |member, change| {
///         let mut tags = change.tags(member); // also those of the old row
///         tags.extend(change.touches("name").then(|| Tag::global("Names")));
///         tags
///     },
/// )]
/// struct Member {
///     club: u32,
///     number: u32,
///     name: String,
/// }
///
/// let ada = Member { club: 1, number: 2, name: "Ada".to_owned() };
/// assert_eq!(ada.tag(), Some("Member:1:2".parse()?));
/// assert_eq!(ada.on_update(&Change::unknown().columns(&["number"])).len(), 3);
/// assert_eq!(ada.on_update(&Change::unknown()).len(), 4);
/// # Ok::<(), fragkeys::Error>(())
/// ```
///
/// Derived models are among [`fragkeys::models`](https://docs.rs/fragkeys); instances of generic
/// ones after `fragkeys::register::<Row<u8>>()`.
#[proc_macro_derive(TaggedModel, attributes(tagged_model))]
pub fn tagged_model(input: TokenStream) -> TokenStream {
    tagged_model::derive(input.into()).into()
}
