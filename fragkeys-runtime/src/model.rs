//! Models: rows that know their tags, so that nobody has to remember them at each write.

use std::any::TypeId;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::cache::bump::bump;
use crate::error::Error;
use crate::global;
use crate::tag::Tag;
use crate::version::Bumped;

mod registry;
mod table;

pub use registry::{ModelInfo, Registered, is_registered, models, register};
pub use table::{ColumnInfo, RowTag, RowTagPart, TableInfo};

/// A type whose values are rows: it knows the tags that stand for them.
///
/// Usually derived; see the derive macro of this name. All that bumps here bumps in every cache
/// that functions use, waits inside of [`on_commit`](crate::on_commit), and does nothing inside
/// of [`mute`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model: it has no tags",
    label = "not a model",
    note = "derive it: `#[derive(fragkeys::TaggedModel)]`"
)]
pub trait TaggedModel: Sized {
    /// The name of the tag of each row: `User` in `User:42`.
    const TAG_NAME: &'static str;

    /// The tag of this row; `None` if its key is not known yet.
    fn tag(&self) -> Option<Tag>;

    /// The tags of what this row belongs to, such as all rows of one organization.
    fn scopes(&self) -> Vec<Tag>;

    /// The tag of this row and its scopes.
    fn tags(&self) -> Vec<Tag> {
        self.tag().into_iter().chain(self.scopes()).collect()
    }

    /// What to bump when this row was created. Default: [`tags`](Self::tags).
    fn on_create(&self) -> Vec<Tag> {
        self.tags()
    }

    /// What to bump when a row became this one. Default: [`tags`](Self::tags), and those of the
    /// old row where it is known, so that a row which moves from one scope to another bumps both.
    fn on_update(&self, change: &Change<'_, Self>) -> Vec<Tag> {
        change.tags(self)
    }

    /// What to bump when this row was deleted. Default: [`tags`](Self::tags).
    fn on_delete(&self) -> Vec<Tag> {
        self.tags()
    }

    /// The tag of the row with this key: what [`tag`](Self::tag) gives of the row itself.
    ///
    /// ```
    /// # use fragkeys::{Tag, TaggedModel};
    /// # #[derive(TaggedModel)] struct Donation { id: u64 }
    /// assert_eq!(Donation::key_tag(42), Tag::new("Donation", 42));
    /// ```
    fn key_tag<K>(key: K) -> Tag
    where
        Self: KeyedBy<K>,
    {
        Self::tag_of_key(key)
    }

    /// Bumps [`tags`](Self::tags), in one round trip.
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate`](crate::Cache::invalidate); so do all that bump.
    fn invalidate(&self) -> Bumping {
        Bumping::new::<Self>(self.tags())
    }

    /// Bumps what [`on_create`](Self::on_create) says.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn created(&self) -> Bumping {
        Bumping::new::<Self>(self.on_create())
    }

    /// Bumps what [`on_update`](Self::on_update) says.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn updated(&self, change: &Change<'_, Self>) -> Bumping {
        Bumping::new::<Self>(self.on_update(change))
    }

    /// Bumps what [`on_delete`](Self::on_delete) says.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn deleted(&self) -> Bumping {
        Bumping::new::<Self>(self.on_delete())
    }

    /// Bumps the row of a key, and none of its scopes: they are in the row, which is not at hand.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn invalidate_key<K>(key: K) -> Bumping
    where
        Self: KeyedBy<K>,
    {
        Self::invalidate_keys([key])
    }

    /// Bumps the rows of these keys, in one round trip, and none of their scopes.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn invalidate_keys<K, I>(keys: I) -> Bumping
    where
        Self: KeyedBy<K>,
        I: IntoIterator<Item = K>,
    {
        Bumping::new::<Self>(keys.into_iter().map(Self::tag_of_key).collect())
    }

    /// Bumps all rows of one scope: `Donation::invalidate_scope("org", 7)` bumps
    /// `Donations:org:7`.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn invalidate_scope<S, D>(scope: S, instance: D) -> Bumping
    where
        S: Into<String>,
        D: Display,
    {
        Bumping::new::<Self>(vec![Tag::scoped(Self::TAG_NAME, scope, instance)])
    }

    /// Bumps keys and scopes after a bulk write, in one round trip.
    ///
    /// ```
    /// # use fragkeys::TaggedModel;
    /// # #[derive(TaggedModel)] struct Donation { id: u64 }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let bumped = Donation::invalidate_bulk([1, 2, 3], [("org", 7)]).await?;
    /// assert_eq!(bumped.len(), 4);
    /// # Ok::<(), fragkeys::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    fn invalidate_bulk<K, I, S, D, J>(keys: I, scopes: J) -> Bumping
    where
        Self: KeyedBy<K>,
        I: IntoIterator<Item = K>,
        S: Into<String>,
        D: Display,
        J: IntoIterator<Item = (S, D)>,
    {
        let scope = |(scope, instance)| Tag::scoped(Self::TAG_NAME, scope, instance);
        let keys = keys.into_iter().map(Self::tag_of_key);
        Bumping::new::<Self>(keys.chain(scopes.into_iter().map(scope)).collect())
    }

    /// Runs a future in which this model bumps nothing; see [`mute`].
    fn mute<F: Future>(future: F) -> Muted<F> {
        mute::<Self, F>(future)
    }

    /// What [`models`] tells of this model.
    #[must_use]
    fn info() -> ModelInfo {
        ModelInfo::new::<Self>(&[], &[])
    }

    /// Where the rows stand and how their tags are made of columns, for triggers in the database
    /// (`fragkeys-postgres`). `None`, the default, if that is not known.
    #[must_use]
    fn table_info() -> Option<TableInfo> {
        None
    }
}

/// A model whose key can be given as a `K`: anything `Display`, or a tuple of such for a key of
/// several columns.
pub trait KeyedBy<K> {
    /// The tag of the row with this key; [`TaggedModel::key_tag`] gives it.
    fn tag_of_key(key: K) -> Tag;
}

/// What is known of an update: which row it was before, which columns changed.
///
/// ```
/// # use fragkeys_runtime::Change;
/// # struct Donation;
/// # let old = Donation;
/// let change = Change::from_row(&old).columns(&["amount"]);
/// assert!(change.touches("amount") && !change.touches("note"));
/// assert!(Change::<Donation>::unknown().touches("note"), "for all that is known");
/// ```
#[derive(Debug)]
pub struct Change<'a, M> {
    old: Option<&'a M>,
    columns: Option<&'a [&'a str]>,
}

impl<'a, M> Change<'a, M> {
    /// Nothing is known but that there was an update.
    #[must_use]
    pub fn unknown() -> Self {
        Change { old: None, columns: None }
    }

    /// The row was this one.
    #[must_use]
    pub fn from_row(old: &'a M) -> Self {
        Change { old: Some(old), columns: None }
    }

    /// Only these columns may have changed.
    #[must_use]
    pub fn columns(self, columns: &'a [&'a str]) -> Self {
        Change { columns: Some(columns), ..self }
    }

    /// All that is affected by default: the tags of the row, and those of the old one where it is
    /// known. For an `on_update` that adds to them.
    #[must_use]
    pub fn tags(&self, row: &M) -> Vec<Tag>
    where
        M: TaggedModel,
    {
        let old = self.old.map(M::tags).unwrap_or_default();
        row.tags().into_iter().chain(old).collect()
    }

    /// The row before, where it is known.
    #[must_use]
    pub fn old(&self) -> Option<&'a M> {
        self.old
    }

    /// The columns that may have changed; `None` if any may have.
    #[must_use]
    pub fn changed_columns(&self) -> Option<&'a [&'a str]> {
        self.columns
    }

    /// May this column have changed?
    #[must_use]
    pub fn touches(&self, column: &str) -> bool {
        self.columns.is_none_or(|columns| columns.contains(&column))
    }
}

impl<M> Clone for Change<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Change<'_, M> {}

tokio::task_local! {
    static MUTED: Vec<TypeId>;
}

/// Runs a future in which a model bumps nothing, for imports and migrations: neither by its own
/// methods nor by an ORM's hooks. Bump what they touched afterwards, with
/// [`invalidate_bulk`](TaggedModel::invalidate_bulk) or
/// [`invalidate_all`](crate::Cache::invalidate_all).
///
/// Other models, and tags given to `invalidate!`, are bumped as ever; so is what tasks do that
/// the future spawns. `Donation::mute(future)` is the same.
///
/// ```
/// # use fragkeys::{TaggedModel, mute};
/// # #[derive(TaggedModel)] struct Donation { id: u64 }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// mute::<Donation, _>(async {
///     assert!(Donation::invalidate_key(42).await?.is_empty());
/// #   Ok::<(), fragkeys::Error>(())
/// })
/// .await
/// # }).unwrap();
/// ```
pub fn mute<M: TaggedModel, F: Future>(future: F) -> Muted<F> {
    Muted { model: typeid::of::<M>(), future }
}

pin_project! {
    /// The future that [`mute`] gives: its output is that of the future inside.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Muted<F> {
        model: TypeId,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Muted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // At each poll, as what is around it may be muted too.
        let mut muted = MUTED.try_with(Clone::clone).unwrap_or_default();
        muted.push(*this.model);
        MUTED.sync_scope(muted, || this.future.poll(context))
    }
}

/// Is the running code inside of [`mute`] for this model?
#[must_use]
pub fn is_muted<M: TaggedModel>() -> bool {
    mutes(typeid::of::<M>())
}

fn mutes(model: TypeId) -> bool {
    MUTED.try_with(|muted| muted.contains(&model)).unwrap_or(false)
}

/// A bump that a model was asked for: a future. It borrows nothing and is `Send`, whatever the
/// model is.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Bumping(Pin<Box<dyn Future<Output = Result<Bumped, Error>> + Send>>);

impl Bumping {
    fn new<M>(tags: Vec<Tag>) -> Self {
        let model = typeid::of::<M>();
        Bumping(Box::pin(async move {
            if mutes(model) {
                return Ok(Bumped::default());
            }
            bump(global::caches(), tags).await
        }))
    }
}

impl Future for Bumping {
    type Output = Result<Bumped, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Bumping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bumping").finish_non_exhaustive()
    }
}
