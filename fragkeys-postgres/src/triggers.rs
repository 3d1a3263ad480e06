//! The triggers of one model: its tags, put together in SQL.

use fragkeys::{ColumnInfo, RowTag, RowTagPart, TableInfo, TaggedModel};

use crate::error::{Error, ErrorKind};
use crate::kind::Kind;
use crate::outbox::Outbox;

mod sql;

/// SQL that makes the triggers of a model, or brings older ones up to date: the default of
/// [`Triggers`].
///
/// ```
/// use fragkeys::TaggedModel;
///
/// #[derive(TaggedModel)]
/// #[tagged_model(table = "donations", scopes = ["Donation:org:<organization_id>"])]
/// struct Donation {
///     id: i64,
///     organization_id: Option<i64>,
///     amount: i64,
/// }
///
/// let sql = fragkeys_postgres::trigger_sql::<Donation>()?;
/// assert!(sql.contains(r#"'Donation:org:' || r."organization_id"::text"#));
/// # Ok::<(), fragkeys_postgres::Error>(())
/// ```
///
/// # Errors
///
/// As [`Triggers::create_sql`].
pub fn trigger_sql<M: TaggedModel>() -> Result<String, Error> {
    Triggers::of::<M>().create_sql()
}

/// SQL that takes the triggers of a model away: the default of [`Triggers`].
///
/// # Errors
///
/// As [`Triggers::drop_sql`].
pub fn drop_sql<M: TaggedModel>() -> Result<String, Error> {
    Triggers::of::<M>().drop_sql()
}

/// Triggers by which each change of a model's table writes the tags of its rows into the outbox.
///
/// They are told apart by table and tag name: of two models that have both in common, the second
/// one's triggers take the place of the first one's.
#[derive(Clone, Debug)]
pub struct Triggers {
    outbox: Outbox,
    type_name: &'static str,
    tag_name: &'static str,
    table: Option<TableInfo>,
    vouched: Vec<String>,
    ignores_events: bool,
}

/// A model whose tags the database can make.
struct Plan<'a> {
    table: &'a TableInfo,
    kinds: Vec<Kind>,
    tags: Vec<&'a RowTag>,
}

impl Triggers {
    /// Those of a model that says `table = ".."`.
    #[must_use]
    pub fn of<M: TaggedModel>() -> Self {
        Triggers {
            outbox: Outbox::new(),
            type_name: std::any::type_name::<M>(),
            tag_name: M::TAG_NAME,
            table: M::table_info(),
            vouched: Vec::new(),
            ignores_events: false,
        }
    }

    /// Which outbox they write to. Default: `Outbox::new()`.
    #[must_use]
    pub fn into_outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = outbox;
        self
    }

    /// For a field of a type of yours, such as `struct DonationId(i64)`: what it displays is
    /// exactly the text of its column, `column::text` in SQL. If it is not, the triggers bump tags
    /// that nobody depends on, and nobody is told.
    #[must_use]
    pub fn vouch_for(mut self, field: impl Into<String>) -> Self {
        self.vouched.push(field.into());
        self
    }

    /// For a model with `on_create`, `on_update` or `on_delete`: the triggers bump key and scopes,
    /// and what these add is bumped by the program alone.
    #[must_use]
    pub fn without_events(mut self) -> Self {
        self.ignores_events = true;
        self
    }

    /// SQL that makes the triggers, or brings older ones up to date after the model was changed.
    /// Run it where the table is found by the name in the model, after the outbox's SQL; it can
    /// be run again. It takes effect in one step, and checks the columns' types first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] where the database could not make all of the model's tags exactly as
    /// the program does; [`ErrorKind::Config`] where the outbox cannot be called so.
    pub fn create_sql(&self) -> Result<String, Error> {
        self.outbox.check()?;
        Ok(sql::create(self, &self.plan()?))
    }

    /// SQL that takes the triggers away; nothing if there are none. Tags in the outbox stay there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] if the model does not say its table; [`ErrorKind::Config`] as above.
    pub fn drop_sql(&self) -> Result<String, Error> {
        self.outbox.check()?;
        Ok(sql::drop(self, self.table()?))
    }

    fn table(&self) -> Result<&TableInfo, Error> {
        self.table.as_ref().ok_or_else(|| {
            self.error("does not say its table: add `table = \"..\"` to `#[tagged_model(..)]`")
        })
    }

    fn plan(&self) -> Result<Plan<'_>, Error> {
        let table = self.table()?;
        if let (Some(event), false) = (table.events.first(), self.ignores_events) {
            return Err(self.error(&format!(
                "has an `{event}`, which only the program can run: what it gives would be missing; \
                 leave it out, or have that bumped by the program alone: `.without_events()`"
            )));
        }
        for field in &self.vouched {
            if table.columns.iter().all(|column| column.field != field) {
                return Err(self.error(&format!("has no `{field}` in its tags to vouch for")));
            }
        }
        for (index, column) in table.columns.iter().enumerate() {
            if let Some(other) = table.columns.iter().take(index).find(|it| it.name == column.name)
            {
                return Err(self.error(&format!(
                    "has `{}` and `{field}` in its tags, both of the column `{}`: say which one \
                     that is: `columns = [{field} = \"..\"]`",
                    other.field,
                    column.name,
                    field = column.field
                )));
            }
        }
        let kinds = table.columns.iter().map(|column| self.kind(column));
        let kinds = kinds.collect::<Result<_, _>>()?;
        let tags: Vec<&RowTag> = table.tags.iter().collect();
        tags.iter().try_for_each(|tag| self.check(tag))?;
        Ok(Plan { table, kinds, tags })
    }

    fn kind(&self, column: &ColumnInfo) -> Result<Kind, Error> {
        if self.vouched.iter().any(|field| field == column.field) {
            return Ok(Kind::Any);
        }
        Kind::of(column.type_id).ok_or_else(|| {
            self.error(&format!(
                "has `{field}: {type_name}` in a tag, whose text need not be that of the column: \
                 integers, texts, `Uuid` and `bool` are known; if it is the same, say so: \
                 `Triggers::of::<..>().vouch_for(\"{field}\")`",
                field = column.field,
                type_name = column.type_name,
            ))
        })
    }

    /// Can a database put it together, and can it be bumped?
    fn check(&self, tag: &RowTag) -> Result<(), Error> {
        match tag {
            RowTag::Columns(parts) if parts.iter().any(has_nul) => {
                Err(self.error("has a NUL in a tag, which no text of PostgreSQL can hold"))
            }
            RowTag::Columns(_) => Ok(()),
            RowTag::Fixed(tag)
                if tag.check_bumpable().is_err() || tag.to_string().contains('\0') =>
            {
                Err(self.error(&format!("has the scope `{tag}`, which nobody can bump")))
            }
            RowTag::Fixed(_) => Ok(()),
            RowTag::Code(code) => Err(self.error(&format!(
                "has the scope `{code}`, which only the program can make of a row; \
                 write a template, as in `\"Donation:org:<organization_id>\"`"
            ))),
            _ => Err(self.error("has a scope of a kind that this version does not know")),
        }
    }

    fn error(&self, problem: &str) -> Error {
        Error::new(ErrorKind::Model, format!("the model `{}` {problem}", self.type_name))
    }
}

fn has_nul(part: &RowTagPart) -> bool {
    matches!(part, RowTagPart::Text(text) if text.contains('\0'))
}
