//! Everything that generated code may name. No promise is made about any of it.
#![allow(missing_docs)]

pub use inventory;

pub use crate::call::{Call, run};
pub use crate::codec::OfCache;
pub use crate::model::Registered;
pub use crate::site::{Instances, Path, Site};
pub use crate::tag::TagText;
pub use crate::value::{Fallible, KeyPart, OutputOfAnythingElse, Plan, Returns, TagPart, Whole};

use crate::cache::bump::bump;
use crate::error::Error;
use crate::model::Change;
use crate::tag::Tag;
use crate::version::Bumped;
use std::time::Duration;

/// The path of the function in which a closure stands, with all generic arguments.
pub fn path_of<F>(_: &F) -> Path {
    Path { name: std::any::type_name::<F>(), id: typeid::of::<F>() }
}

/// A template's placeholder.
pub fn placeholder<V: TagPart + ?Sized>(text: &mut TagText, value: &V) {
    text.placeholder(value);
}

/// An expression in a list of tags: what is `Into<Tag>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tag",
    label = "not a tag",
    note = "write a template, as in `\"User:<user_id>\"`, or a tag, as in `Tag::new(\"User\", user_id)`"
)]
pub trait IntoTag: Into<Tag> {}

#[diagnostic::do_not_recommend]
impl<T: Into<Tag>> IntoTag for T {}

pub fn tag(tag: impl IntoTag) -> Tag {
    tag.into()
}

/// A field of a model, in a tag of it.
pub struct ModelPart<'a, T: ?Sized>(pub &'a T);

impl<T: TagPart> ModelPart<'_, Option<T>> {
    /// Appends the value; `None` if there is none, and so no such tag.
    pub fn append(&self, text: &mut TagText) -> Option<()> {
        text.placeholder(self.0.as_ref()?);
        Some(())
    }
}

/// Reached only where `ModelPart` is not about an `Option`.
pub trait PartOfAnythingElse {
    fn append(&self, text: &mut TagText) -> Option<()>;
}

impl<T: TagPart + ?Sized> PartOfAnythingElse for ModelPart<'_, T> {
    fn append(&self, text: &mut TagText) -> Option<()> {
        text.placeholder(self.0);
        Some(())
    }
}

/// What a model's `on_create` or `on_delete` gives.
pub fn tags_on<'a, M, I>(model: &'a M, tags: impl FnOnce(&'a M) -> I) -> Vec<Tag>
where
    I: IntoIterator,
    I::Item: Into<Tag>,
{
    tags(model).into_iter().map(Into::into).collect()
}

/// What a model's `on_update` gives.
pub fn tags_on_update<'a, M, I>(
    model: &'a M,
    change: &'a Change<'a, M>,
    tags: impl FnOnce(&'a M, &'a Change<'a, M>) -> I,
) -> Vec<Tag>
where
    I: IntoIterator,
    I::Item: Into<Tag>,
{
    tags(model, change).into_iter().map(Into::into).collect()
}

/// `invalidate!`: bumps in all caches that functions use here.
pub async fn invalidate(tags: Vec<Tag>) -> Result<Bumped, Error> {
    bump(crate::global::caches(), tags).await
}

/// What `timeout = …` accepts: a `Duration`, or whole seconds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a timeout",
    label = "not a timeout",
    note = "write seconds, as in `timeout = 3600`, or a `std::time::Duration`"
)]
pub trait Timeout {
    fn duration(self) -> Duration;
}

impl Timeout for Duration {
    fn duration(self) -> Duration {
        self
    }
}

macro_rules! seconds {
    ($($integer:ty),*) => {$(
        impl Timeout for $integer {
            /// Less than nothing is nothing: then the value is not stored.
            fn duration(self) -> Duration {
                Duration::from_secs(u64::try_from(self).unwrap_or(0))
            }
        }
    )*};
}

seconds!(i32, i64, u16, u32, u64, usize);
