//! Which values the near tier can keep, and how.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use super::Plan;
use crate::near::{AnyKept, Grounds, Kept};

/// How values of a type go into the near tier and come out. Types are erased in it, as one tier
/// holds those of all functions.
pub(crate) struct Nearby<T> {
    pub(crate) keep: fn(T, usize, Arc<Grounds>, Instant) -> Arc<AnyKept>,
    pub(crate) keep_clone: fn(&T, usize, Arc<Grounds>, Instant) -> Arc<AnyKept>,
    pub(crate) clone: fn(&(dyn Any + Send + Sync)) -> Option<T>,
}

impl<T> Clone for Nearby<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Nearby<T> {}

impl<T> Nearby<T>
where
    T: Clone + Send + Sync + 'static,
{
    const OF_TYPE: Self = Nearby {
        keep: |value, encoded, grounds, until| Arc::new(Kept::new(value, encoded, grounds, until)),
        keep_clone: |value, encoded, grounds, until| {
            Arc::new(Kept::new(value.clone(), encoded, grounds, until))
        },
        clone: |value| value.downcast_ref::<T>().cloned(),
    };
}

/// Values that a function with `near = true` can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in the near tier",
    label = "cannot be kept in this process",
    note = "`near = true` wants a value (of a `Result`, the `Ok` value) that is `Clone + Send + Sync + 'static`"
)]
pub trait NearValue: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> NearValue for T {}

impl<R, T> Plan<R, T> {
    /// `near = true`.
    pub fn surely_near(mut self) -> Self
    where
        T: NearValue,
    {
        self.ops.reading.nearby = Some(Nearby::OF_TYPE);
        self
    }
}

/// For values that may be kept. The choice is made as that of [`Returns`](super::Returns): this
/// method is found first, where it applies.
impl<R, T: Clone + Send + Sync> Plan<R, T> {
    /// What a type borrows does not count when a method is chosen, so `'static` may only be asked
    /// for here, where it is an error if it is missing.
    pub fn near(mut self) -> Self
    where
        T: 'static,
    {
        self.ops.reading.nearby = Some(Nearby::OF_TYPE);
        self
    }
}

/// For all others.
pub trait NearOfAnythingElse: Sized {
    fn near(self) -> Self {
        self
    }
}

impl<R, T> NearOfAnythingElse for Plan<R, T> {}
