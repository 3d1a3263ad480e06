//! Which types of fields have the text, in a tag, that PostgreSQL gives their columns.

use std::any::TypeId;
use std::borrow::Cow;
use std::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64,
};
use std::rc::Rc;
use std::sync::Arc;

/// Columns whose text is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Text,
    Uuid,
    Boolean,
    /// Any of these: the user says that the text is the same.
    Any,
}

impl Kind {
    /// The kind of a field's type, also in an `Option`.
    pub(crate) fn of(id: TypeId) -> Option<Kind> {
        let is_one_of = |ids: &[TypeId]| ids.contains(&id);
        if is_one_of(&integers()) {
            Some(Kind::Integer)
        } else if is_one_of(&texts()) {
            Some(Kind::Text)
        } else if is_one_of(&both::<uuid::Uuid>()) {
            Some(Kind::Uuid)
        } else if is_one_of(&both::<bool>()) {
            Some(Kind::Boolean)
        } else {
            None
        }
    }

    /// As the outbox's function `check_column` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Integer => "integer",
            Kind::Text => "text",
            Kind::Uuid => "uuid",
            Kind::Boolean => "boolean",
            Kind::Any => "any",
        }
    }

    /// May a `:` or a `\` stand in it?
    pub(crate) fn needs_escapes(self) -> bool {
        matches!(self, Kind::Text | Kind::Any)
    }
}

/// A type, and an `Option` of it.
fn both<T>() -> [TypeId; 2] {
    [typeid::of::<T>(), typeid::of::<Option<T>>()]
}

macro_rules! all {
    ($($field:ty),* $(,)?) => { [$(both::<$field>()),*].concat() };
}

fn integers() -> Vec<TypeId> {
    all!(
        i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, NonZeroI8, NonZeroI16,
        NonZeroI32, NonZeroI64, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64,
    )
}

fn texts() -> Vec<TypeId> {
    all!(String, &str, Cow<'_, str>, Box<str>, Arc<str>, Rc<str>, char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_same_text_is_known() {
        assert_eq!(Kind::of(typeid::of::<Option<u64>>()), Some(Kind::Integer));
        assert_eq!(Kind::of(typeid::of::<Cow<'static, str>>()), Some(Kind::Text));
        assert_eq!(Kind::of(typeid::of::<uuid::Uuid>()), Some(Kind::Uuid));
        assert_eq!(Kind::of(typeid::of::<Option<bool>>()), Some(Kind::Boolean));
        for unknown in
            [typeid::of::<f64>(), typeid::of::<Option<Option<i64>>>(), typeid::of::<()>()]
        {
            assert_eq!(Kind::of(unknown), None);
        }
    }
}
