//! The near tier asks for nothing: where a value cannot be kept there, it stays out.
#![deny(warnings)]

use std::borrow::Cow;
use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use fragkeys::tagged_cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct NotClone(u32);

#[derive(Clone, Serialize, Deserialize)]
pub struct NotSync(Cell<u32>);

#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Marked<'a>(u32, PhantomData<&'a ()>);

#[tagged_cache]
pub async fn not_clone(id: u32) -> NotClone {
    NotClone(id)
}

#[tagged_cache]
pub async fn not_sync(id: u32) -> NotSync {
    NotSync(Cell::new(id))
}

#[tagged_cache]
pub async fn not_send(id: u32) -> Rc<u32> {
    Rc::new(id)
}

#[tagged_cache]
pub async fn shared(id: u32) -> Result<Arc<NotClone>, String> {
    Ok(Arc::new(NotClone(id)))
}

/// Bounds that the near tier would like, but for the lifetime.
#[tagged_cache(vary_on = [])]
pub async fn generic<T>(value: T) -> T
where
    T: Clone + Send + Sync + Serialize + DeserializeOwned,
{
    value
}

#[tagged_cache(vary_on = [])]
pub async fn generic_in_a_result<Value: Clone + Send + Sync + Serialize + DeserializeOwned, E>(
    value: Value,
    _error: Option<E>,
) -> Result<Vec<Value>, E> {
    Ok(vec![value])
}

#[tagged_cache(vary_on = [], near = true)]
pub async fn generic_for_ever<T>(value: T) -> Option<T>
where
    T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    Some(value)
}

#[tagged_cache(vary_on = [text])]
pub async fn borrowed<'a>(text: &'a str) -> Cow<'a, str> {
    text.into()
}

#[tagged_cache(vary_on = [text])]
#[allow(mismatched_lifetime_syntaxes)]
pub async fn borrowed_in_secret(text: &str) -> Cow<str> {
    text.into()
}

#[tagged_cache]
pub async fn marked<'a>(id: u32) -> Marked<'a> {
    Marked(id, PhantomData)
}

pub struct Repository<T>(PhantomData<T>);

impl<T: Clone + Send + Sync + Serialize + DeserializeOwned + From<u32>> Repository<T> {
    #[tagged_cache(vary_on = [id])]
    pub async fn get(&self, id: u32) -> Result<Option<T>, String> {
        Ok(Some(id.into()))
    }

    #[tagged_cache]
    pub async fn first(id: u32) -> T {
        id.into()
    }

    #[tagged_cache(vary_on = [id], near = false)]
    pub async fn wrapped(&self, id: u32) -> NotClone {
        NotClone(id)
    }
}

pub trait Load: Sized {
    type Row: Clone + Send + Sync + Serialize + DeserializeOwned;

    fn load(id: u32) -> impl Future<Output = Self::Row>;
}

impl<T: Clone + Send + Sync + Serialize + DeserializeOwned + From<u32>> Load for Repository<T> {
    type Row = T;

    #[tagged_cache]
    async fn load(id: u32) -> T {
        id.into()
    }
}

impl Load for NotClone {
    type Row = u32;

    #[tagged_cache]
    async fn load(id: u32) -> Self::Row {
        id
    }
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    is_send(not_clone(1));
    is_send(shared(1));
    let _futures = (not_sync(1), not_send(1), generic(1), generic_for_ever(1), borrowed("a"));
    let _futures = (generic_in_a_result(1, None::<()>), marked(1), borrowed_in_secret("a"));
    let repository = Repository::<u32>(PhantomData);
    let _futures = (repository.get(1), repository.wrapped(1), Repository::<u32>::first(1));
    let _futures = (Repository::<u32>::load(1), NotClone::load(1));
}
