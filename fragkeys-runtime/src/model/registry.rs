//! Which models there are, for people.

use std::any::TypeId;
use std::sync::{Mutex, PoisonError};

use super::TaggedModel;

/// What is known of a model: see [`models`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The Rust type, with its path.
    pub type_name: &'static str,
    /// The name of its rows' tags.
    pub tag_name: &'static str,
    /// The columns of its key.
    pub key: &'static [&'static str],
    /// Its scopes, as they were written.
    pub scopes: &'static [&'static str],
    id: TypeId,
}

impl ModelInfo {
    /// For an implementation of [`TaggedModel`] by hand.
    #[must_use]
    pub fn new<M: TaggedModel>(
        key: &'static [&'static str],
        scopes: &'static [&'static str],
    ) -> Self {
        ModelInfo {
            type_name: std::any::type_name::<M>(),
            tag_name: M::TAG_NAME,
            key,
            scopes,
            id: typeid::of::<M>(),
        }
    }
}

/// A model that the derive macro registered.
#[doc(hidden)]
#[derive(Debug)]
pub struct Registered(pub fn() -> ModelInfo);

inventory::collect!(Registered);

static BY_HAND: Mutex<Vec<ModelInfo>> = Mutex::new(Vec::new());

/// All models of this program, by type name: those that are derived, and those that were
/// [`register`]ed.
///
/// ```
/// # use fragkeys::TaggedModel;
/// #[derive(TaggedModel)]
/// #[tagged_model(name = "Donations", scopes = ["Donations:org:<organization_id>"])]
/// struct Donation {
///     id: u64,
///     organization_id: u64,
/// }
///
/// let models = fragkeys::models();
/// let donation = models.iter().find(|model| model.tag_name == "Donations").unwrap();
/// assert_eq!(donation.key, ["id"]);
/// assert_eq!(donation.scopes, ["Donations:org:<organization_id>"]);
/// ```
#[must_use]
pub fn models() -> Vec<ModelInfo> {
    let mut models: Vec<ModelInfo> = derived().collect();
    models.extend_from_slice(&BY_HAND.lock().unwrap_or_else(PoisonError::into_inner));
    models.sort_by_key(|model| model.type_name);
    models
}

fn derived() -> impl Iterator<Item = ModelInfo> {
    inventory::iter::<Registered>.into_iter().map(|registered| (registered.0)())
}

/// Is this model among [`models`]?
#[must_use]
pub fn is_registered<M: TaggedModel>() -> bool {
    models().iter().any(|model| model.id == typeid::of::<M>())
}

/// Adds a model that the derive macro cannot know: an instance of a generic type, or a
/// [`TaggedModel`] by hand. A second time changes nothing.
pub fn register<M: TaggedModel>() {
    let model = M::info();
    let is_derived = derived().any(|known| known.id == model.id);
    let mut by_hand = BY_HAND.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_derived && by_hand.iter().all(|known| known.id != model.id) {
        by_hand.push(model);
    }
}
