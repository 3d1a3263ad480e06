//! What a database needs to know so as to put a model's tags together by itself.

use std::any::TypeId;

use crate::tag::{Part, Tag, TagText};

/// Where the rows of a model stand, and how their tags are made of their columns.
///
/// The derive makes it where `#[tagged_model(table = "donations")]` says which table that is;
/// see [`TaggedModel::table_info`](super::TaggedModel::table_info).
///
/// ```
/// # use fragkeys::TaggedModel;
/// #[derive(TaggedModel)]
/// #[tagged_model(
///     table = "shop.donations",
///     columns = [organization_id = "org"],
///     scopes = ["Donation:org:<organization_id>"],
/// )]
/// struct Donation {
///     id: i64,
///     organization_id: i32,
/// }
///
/// let table = Donation::table_info().unwrap();
/// assert_eq!(table.name, ["shop", "donations"]);
/// assert_eq!(table.columns[1].name, "org");
/// assert_eq!(table.tags.len(), 2); // that of the row, and its scope
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// The name of the table; before it that of its schema, if that was said.
    pub name: &'static [&'static str],
    /// The columns that stand in tags, each once.
    pub columns: Vec<ColumnInfo>,
    /// The tag of a row and its scopes.
    pub tags: Vec<RowTag>,
    /// Which of `on_create`, `on_update` and `on_delete` are code of the program, which no
    /// database can run.
    pub events: &'static [&'static str],
}

/// A column that stands in tags.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ColumnInfo {
    /// The field, or the path into one: `key.tenant`.
    pub field: &'static str,
    /// The column: by default the last name of that path.
    pub name: &'static str,
    /// The field's type.
    pub type_id: TypeId,
    /// The name of that type, for people.
    pub type_name: &'static str,
}

/// A tag of a row.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum RowTag {
    /// Put together from these; there is no such tag where a column is `NULL`.
    Columns(Vec<RowTagPart>),
    /// The same for all rows.
    Fixed(Tag),
    /// Given by code of the program, which is this.
    Code(&'static str),
}

/// A part of a tag's text.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowTagPart {
    /// As it is.
    Text(String),
    /// The text of [`TableInfo::columns`] with this index; in it `\` stands before each `:` and `\`.
    Column(usize),
}

impl TableInfo {
    /// For generated code: a table whose rows have no tags yet.
    #[doc(hidden)]
    #[must_use]
    pub fn new(name: &'static [&'static str], events: &'static [&'static str]) -> Self {
        TableInfo { name, columns: Vec::new(), tags: Vec::new(), events }
    }

    /// The next column, and where it stands in a row.
    #[doc(hidden)]
    #[must_use]
    pub fn column<M, T: ?Sized>(
        mut self,
        field: &'static str,
        name: &'static str,
        _: fn(&M) -> &T,
    ) -> Self {
        let (type_id, type_name) = (typeid::of::<T>(), std::any::type_name::<T>());
        self.columns.push(ColumnInfo { field, name, type_id, type_name });
        self
    }

    /// The tag of a row: its name and the columns of its key.
    #[doc(hidden)]
    #[must_use]
    pub fn key(mut self, name: &str, columns: &[usize]) -> Self {
        let mut parts = Vec::new();
        let mut text = TagText::named(name).into_text();
        for &column in columns {
            text.push(':');
            parts.extend([RowTagPart::Text(std::mem::take(&mut text)), RowTagPart::Column(column)]);
        }
        self.tags.push(RowTag::Columns(parts));
        self
    }

    /// A scope that is a template; placeholders are indices of columns.
    #[doc(hidden)]
    #[must_use]
    pub fn template(mut self, parts: &[Part]) -> Self {
        let parts = parts.iter().map(|part| match part {
            Part::Text(text) => RowTagPart::Text((*text).to_owned()),
            Part::Placeholder(column) => RowTagPart::Column(*column),
        });
        self.tags.push(RowTag::Columns(parts.collect()));
        self
    }

    /// A scope that is the same for all rows.
    #[doc(hidden)]
    #[must_use]
    pub fn fixed(mut self, tag: Tag) -> Self {
        self.tags.push(RowTag::Fixed(tag));
        self
    }

    /// A scope that only the program can tell.
    #[doc(hidden)]
    #[must_use]
    pub fn code(mut self, written: &'static str) -> Self {
        self.tags.push(RowTag::Code(written));
        self
    }
}
