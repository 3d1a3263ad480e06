//! `table` and `columns`: where the rows of a model stand, for triggers in the database.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Expr, ExprArray, ExprAssign, ExprCall, ExprPath, ExprReference, ExprTuple, ExprUnary, LitStr,
    Member,
};

use super::{FieldNames, FieldPath, Model, Options, text};
use crate::diag::Mistakes;
use crate::model::TagSource;
use crate::options::{elements, example, name, ungrouped};
use crate::template::generated_at;

/// More, PostgreSQL cuts off.
const LONGEST_NAME: usize = 63;

/// A table that was named, and the columns that are not called as their fields are.
pub(super) struct Table {
    /// Perhaps a schema, and the table.
    name: Vec<String>,
    span: Span,
    columns: Vec<(FieldPath, String)>,
}

impl FieldNames {
    pub(super) fn table(
        &self,
        table: Option<Expr>,
        columns: Option<Expr>,
        mistakes: &mut Mistakes,
    ) -> Option<Table> {
        let Some(table) = table else {
            if let Some(columns) = columns {
                let message = format!(
                    "`columns` says how those of a table are called: which one? Add {}",
                    example::<Options>("table")
                );
                mistakes.at(columns, message);
            }
            return None;
        };
        let table = mistakes.keep(name::<Options>("table", table))?;
        let name: Vec<String> = table.value().split('.').map(str::to_owned).collect();
        if name.len() > 2 || name.iter().any(|part| !is_name(part)) {
            let message = format!(
                "`{}` is not the name of a table: write {}, or with its schema `table = \"shop.donations\"`; \
                 a name has 1 to {LONGEST_NAME} bytes",
                table.value(),
                example::<Options>("table"),
            );
            mistakes.at(&table, message);
        }
        let columns = columns.map(|written| self.columns(written, mistakes)).unwrap_or_default();
        Some(Table { name, span: table.span(), columns })
    }

    fn columns(&self, written: Expr, mistakes: &mut Mistakes) -> Vec<(FieldPath, String)> {
        let written = mistakes.keep(elements::<Options>("columns", written)).unwrap_or_default();
        let mut columns: Vec<(FieldPath, String)> = Vec::new();
        for column in written {
            let Some((path, column)) = mistakes.keep(column_of(column)) else { continue };
            if let Some(field) = path.members.first() {
                self.check(field, path.span, mistakes);
            }
            if columns.iter().any(|(known, _)| known.text() == path.text()) {
                let message = format!("the column of `{}` is given twice", path.text());
                mistakes.at_span(path.span, message);
            }
            columns.push((path, column));
        }
        columns
    }
}

/// `organization_id = "organization"`
fn column_of(written: Expr) -> syn::Result<(FieldPath, String)> {
    let message = format!(
        "`columns` takes fields and the names of their columns, as in {}; a name has 1 to {LONGEST_NAME} bytes",
        example::<Options>("columns")
    );
    let mistake = syn::Error::new_spanned(&written, message);
    let Expr::Assign(ExprAssign { left, right, .. }) = written else { return Err(mistake) };
    let path = FieldPath::of(&ungrouped(*left)).ok_or(mistake.clone())?;
    let column: LitStr = name::<Options>("columns", *right).map_err(|_| mistake.clone())?;
    if is_name(&column.value()) { Ok((path, column.value())) } else { Err(mistake) }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.contains('\0')
}

impl Table {
    /// The column of a field: where nothing else was said, called as that is.
    fn column(&self, path: &[Member]) -> Option<String> {
        let field = path_text(path);
        let said = self.columns.iter().find(|(path, _)| path.text() == field);
        match (said, path.last()) {
            (Some((_, column)), _) => Some(column.clone()),
            (None, Some(Member::Named(_))) => path.last().map(text),
            _ => None,
        }
    }
}

impl Model<'_> {
    /// Each path into a row that stands in a tag, once.
    fn paths(&self) -> Vec<Vec<Member>> {
        let key = self.key.iter().map(|path| path.members.clone());
        let scopes = self.scopes.iter().filter_map(|scope| match scope {
            TagSource::Template(template) => Some(template.paths_of_model()),
            TagSource::Expression(_) => None,
        });
        let mut paths: Vec<Vec<Member>> = Vec::new();
        for path in key.chain(scopes.flatten()) {
            if paths.iter().all(|known| path_text(known) != path_text(&path)) {
                paths.push(path);
            }
        }
        paths
    }

    /// A field without a name has no column by itself.
    pub(super) fn check_columns(&self, mistakes: &mut Mistakes) {
        let Some(table) = &self.table else { return };
        for path in self.paths().iter().filter(|path| table.column(path).is_none()) {
            let path = path_text(path);
            let message =
                format!("which column is `{path}`? Say it: `columns = [{path} = \"..\"]`");
            mistakes.at_span(table.span, message);
        }
    }

    /// The method of this name, if there is a table.
    pub(super) fn table_info(&self) -> Option<TokenStream> {
        let table = self.table.as_ref()?;
        let paths = self.paths();
        let number = |path: Vec<Member>| {
            paths.iter().take_while(|known| path_text(known) != path_text(&path)).count()
        };
        let columns = paths.iter().map(|path| {
            let (field, column) = (path_text(path), table.column(path).unwrap_or_default());
            let span = generated_at(self.input.ident.span());
            let row = syn::Ident::new("__fragkeys_row", span);
            quote!(.column(#field, #column, |#row: &Self| &#row #(.#path)*))
        });
        let key = self.key.iter().map(|path| number(path.members.clone()));
        let scopes = self.scopes.iter().map(|scope| match scope {
            TagSource::Template(template) => {
                let parts = template.to_parts_of_model(number);
                quote!(.template(#parts))
            }
            TagSource::Expression(expression) if is_fixed(expression) => {
                let tag = scope.to_tag();
                quote!(.fixed(#tag))
            }
            TagSource::Expression(_) => {
                let code = scope.text();
                quote!(.code(#code))
            }
        });
        let events = [
            ("on_create", &self.on_create),
            ("on_update", &self.on_update),
            ("on_delete", &self.on_delete),
        ];
        let events = events.iter().filter(|(_, code)| code.is_some()).map(|(event, _)| event);
        let (name, tag_name) = (&table.name, &self.name);
        Some(quote! {
            fn table_info() -> ::core::option::Option<::fragkeys::TableInfo> {
                ::core::option::Option::Some(
                    ::fragkeys::TableInfo::new(&[#(#name),*], &[#(#events),*])
                        #(#columns)*
                        .key(#tag_name, &[#(#key),*])
                        #(#scopes)*
                )
            }
        })
    }
}

/// Is it the same tag whenever it is asked for? That can be seen of a constructor of `Tag` with
/// literals; anything else may be of the row, of today, or of a setting.
fn is_fixed(expression: &Expr) -> bool {
    match ungrouped(expression.clone()) {
        Expr::Call(ExprCall { func, args, .. }) => {
            is_constructor(*func) && args.into_iter().all(is_literal)
        }
        _ => false,
    }
}

fn is_constructor(function: Expr) -> bool {
    let Expr::Path(ExprPath { path, .. }) = ungrouped(function) else { return false };
    path.segments.iter().rev().nth(1).is_some_and(|owner| owner.ident == "Tag")
}

fn is_literal(argument: Expr) -> bool {
    match ungrouped(argument) {
        Expr::Lit(_) => true,
        Expr::Unary(ExprUnary { expr, .. }) | Expr::Reference(ExprReference { expr, .. }) => {
            is_literal(*expr)
        }
        Expr::Array(ExprArray { elems, .. }) | Expr::Tuple(ExprTuple { elems, .. }) => {
            elems.into_iter().all(is_literal)
        }
        _ => false,
    }
}

fn path_text(path: &[Member]) -> String {
    path.iter().map(text).collect::<Vec<_>>().join(".")
}
