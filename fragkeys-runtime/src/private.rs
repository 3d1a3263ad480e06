//! Everything that generated code may name. No promise is made about any of it.
#![allow(missing_docs)]

pub use inventory;

pub use crate::batch::{BatchElement, BatchOf, BatchPlan, Elements};
pub use crate::call::batch::{Batch, Missing, run_batch, run_batch_kept};
pub use crate::call::grace::{Limit, run_graced, run_graced_behind};
pub use crate::call::keep::{keep, keep_or_error, timeout_of, timeout_of_none, usual};
pub use crate::call::{Call, near, run, run_kept, run_with_late_tags};
pub use crate::codec::OfCache;
pub use crate::grace::Grace;
pub use crate::model::Registered;
pub use crate::site::{Instances, Path, Site};
pub use crate::tag::{Part, TagText};
pub use crate::value::{
    Fallible, KeyPart, NearOfAnythingElse, NearValue, OutputOfAnythingElse, Plan, Returns, TagPart,
    Whole,
};

use crate::cache::bump::bump;
use crate::error::Error;
use crate::model::Change;
use crate::tag::Tag;
use crate::version::Bumped;
use std::fmt::Display;
use std::ops::Deref;
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

/// A field of a model. The method of an `Option` is found first and that of anything else
/// behind the `Deref`: so no trait has to be imported where a model is.
pub struct Field<'a, T: ?Sized>(FieldOfAnythingElse<'a, T>);

pub struct FieldOfAnythingElse<'a, T: ?Sized>(&'a T);

impl<'a, T: ?Sized> Field<'a, T> {
    pub fn new(field: &'a T) -> Self {
        Field(FieldOfAnythingElse(field))
    }
}

impl<'a, T> Field<'a, Option<T>> {
    /// What stands in a tag; `None` if there is nothing, and so no such tag.
    pub fn in_tag(self) -> Option<&'a T> {
        self.0.0.as_ref()
    }
}

impl<'a, T: ?Sized> FieldOfAnythingElse<'a, T> {
    pub fn in_tag(&self) -> Option<&'a T> {
        Some(self.0)
    }
}

impl<'a, T: ?Sized> Deref for Field<'a, T> {
    type Target = FieldOfAnythingElse<'a, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// What stands in a placeholder. Most are numbers or texts, which need no `Display` to be written down:
/// with it, a number costs a near hit more than all of its tags. Found as [`Field`]'s methods are.
pub struct Shown<'a, V: ?Sized>(ShownOfAnythingElse<'a, V>);

pub struct ShownOfAnythingElse<'a, V: ?Sized>(&'a V);

/// What `Display` would write.
#[derive(Clone, Copy, Debug)]
pub enum Plain<'a> {
    Number {
        is_negative: bool,
        digits: u64,
    },
    Text(&'a str),
    /// It must be asked.
    Unknown,
}

impl<'a, V: ?Sized> Shown<'a, V> {
    pub fn new(value: &'a V) -> Self {
        Shown(ShownOfAnythingElse(value))
    }
}

impl<'a, V: PlainValue + ?Sized> Shown<'a, V> {
    #[inline]
    pub fn plain(self) -> Plain<'a> {
        self.0.0.plain()
    }
}

/// A number or a text.
pub trait PlainValue {
    fn plain(&self) -> Plain<'_>;
}

macro_rules! plain_numbers {
    ($($number:ty),*) => {$(
        impl PlainValue for $number {
            #[inline]
            #[allow(unused_comparisons, reason = "for those with a sign and those without")]
            fn plain(&self) -> Plain<'_> {
                let digits = (*self as i128).unsigned_abs() as u64;
                Plain::Number { is_negative: *self < 0, digits }
            }
        }
    )*};
}

plain_numbers!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl PlainValue for str {
    #[inline]
    fn plain(&self) -> Plain<'_> {
        Plain::Text(self)
    }
}

impl PlainValue for String {
    #[inline]
    fn plain(&self) -> Plain<'_> {
        Plain::Text(self)
    }
}

impl<V: PlainValue + ?Sized> PlainValue for &V {
    #[inline]
    fn plain(&self) -> Plain<'_> {
        V::plain(self)
    }
}

impl<V: ?Sized> ShownOfAnythingElse<'_, V> {
    #[inline]
    pub fn plain(&self) -> Plain<'static> {
        Plain::Unknown
    }
}

impl<'a, V: ?Sized> Deref for Shown<'a, V> {
    type Target = ShownOfAnythingElse<'a, V>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// What a key is asked for by, or one of its columns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key: it is not `Display`",
    label = "not a key of this model",
    note = "a key is a value that is `Display`; for `key = (tenant, number)`, a tuple of as many"
)]
pub trait KeyColumn: Display {}

#[diagnostic::do_not_recommend]
impl<T: Display> KeyColumn for T {}

/// What a model's event gives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of tags",
    label = "not a list of tags",
    note = "give one, such as `row.scopes()`, `[Tag::new(\"User\", row.user_id)]`, an iterator or an `Option<Tag>`"
)]
pub trait TagList {
    fn into_tags(self) -> Vec<Tag>;
}

#[diagnostic::do_not_recommend]
impl<I> TagList for I
where
    I: IntoIterator,
    I::Item: Into<Tag>,
{
    fn into_tags(self) -> Vec<Tag> {
        self.into_iter().map(Into::into).collect()
    }
}

/// What `tags_from = …` gives.
pub fn tag_list(tags: impl TagList) -> Vec<Tag> {
    tags.into_tags()
}

/// What a model's `on_create` or `on_delete` gives.
pub fn tags_on<'a, M, L: TagList>(model: &'a M, tags: impl FnOnce(&'a M) -> L) -> Vec<Tag> {
    tags(model).into_tags()
}

/// What a model's `on_update` gives.
pub fn tags_on_update<'a, M, L: TagList>(
    model: &'a M,
    change: &'a Change<'a, M>,
    tags: impl FnOnce(&'a M, &'a Change<'a, M>) -> L,
) -> Vec<Tag> {
    tags(model, change).into_tags()
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
