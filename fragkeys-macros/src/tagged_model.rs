//! `#[derive(TaggedModel)]`: a struct and its `#[tagged_model(..)]` to a [`Model`].

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Expr, ExprField, ExprLit, ExprPath, ExprTuple, Fields, Index,
    Lit, LitStr, Member, Meta,
};

use crate::diag::{Mistakes, did_you_mean, list};
use crate::model::{TagSource, tag_source};
use crate::options::{OptionSet, elements, example, name, parse, set, ungrouped};

mod expand;
mod table;

use table::Table;

/// What was written in `#[tagged_model(..)]`, each option at most once.
#[derive(Default)]
struct Options {
    name: Option<Expr>,
    key: Option<Expr>,
    scopes: Option<Expr>,
    on_create: Option<Expr>,
    on_update: Option<Expr>,
    on_delete: Option<Expr>,
    table: Option<Expr>,
    columns: Option<Expr>,
}

impl OptionSet for Options {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("name", "name = \"Donations\""),
        ("key", "key = id"),
        ("scopes", "scopes = [\"Donations:org:<organization_id>\"]"),
        ("on_create", "on_create = |donation| donation.scopes()"),
        ("on_update", "on_update = |donation, change| change.tags(donation)"),
        ("on_delete", "on_delete = |donation| donation.tags()"),
        ("table", "table = \"donations\""),
        ("columns", "columns = [organization_id = \"organization\"]"),
    ];

    fn keep(&mut self, name: &Ident, value: ParseStream<'_>) -> syn::Result<()> {
        match name.to_string().as_str() {
            "name" => set(&mut self.name, name, value.parse()?),
            "key" => set(&mut self.key, name, value.parse()?),
            "scopes" => set(&mut self.scopes, name, value.parse()?),
            "on_create" => set(&mut self.on_create, name, value.parse()?),
            "on_update" => set(&mut self.on_update, name, value.parse()?),
            "on_delete" => set(&mut self.on_delete, name, value.parse()?),
            "table" => set(&mut self.table, name, value.parse()?),
            _ => set(&mut self.columns, name, value.parse()?),
        }
    }
}

/// A model that is valid.
struct Model<'a> {
    input: &'a DeriveInput,
    /// The name of its rows' tags.
    name: LitStr,
    /// Fields of `self`, and paths into them.
    key: Vec<FieldPath>,
    scopes: Vec<TagSource>,
    on_create: Option<Expr>,
    on_update: Option<Expr>,
    on_delete: Option<Expr>,
    table: Option<Table>,
}

/// `id`, `key.tenant` or `0`, without the `self.` before it.
struct FieldPath {
    members: Vec<Member>,
    span: Span,
}

pub(crate) fn derive(tokens: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let Some(input) = mistakes.keep(syn::parse2::<DeriveInput>(tokens)) else {
        return mistakes.unless_any(None).unwrap_or_else(|errors| errors);
    };
    let model = Model::new(&input, &mut mistakes);
    match mistakes.unless_any(model) {
        Ok(model) => model.into_token_stream(),
        Err(mut errors) => {
            errors.extend(expand::fallback(&input));
            errors
        }
    }
}

impl<'a> Model<'a> {
    fn new(input: &'a DeriveInput, mistakes: &mut Mistakes) -> Option<Model<'a>> {
        let options = options(&input.attrs, mistakes);
        let Data::Struct(data) = &input.data else {
            let message = "only a struct can be a model: its key and scopes are fields";
            mistakes.at(&input.ident, message);
            return None;
        };
        for attribute in data.fields.iter().flat_map(|field| ours(&field.attrs)) {
            let message = "`tagged_model` stands on the struct and not on a field, as in \
                           `#[tagged_model(key = id)]`";
            mistakes.at(attribute, message);
        }
        let fields = FieldNames::of(&input.ident, &data.fields);
        let name = match options.name {
            Some(written) => mistakes.keep(model_name(written)),
            None => Some(LitStr::new(&input.ident.unraw().to_string(), input.ident.span())),
        };
        let key = match options.key {
            Some(written) => fields.key(written, mistakes),
            // Of options that could not be read, the mistake in them says enough.
            None if !mistakes.is_empty() => None,
            None => fields.default_key(mistakes),
        };
        let scopes = options.scopes.map(|written| fields.scopes(written, mistakes));
        let table = fields.table(options.table, options.columns, mistakes);
        let mut event = |option, written, parameters| {
            mistakes.keep(event(option, written, parameters)).flatten()
        };
        let on_create = event("on_create", options.on_create, 1);
        let on_update = event("on_update", options.on_update, 2);
        let on_delete = event("on_delete", options.on_delete, 1);
        let model = Model {
            name: name?,
            key: key?,
            scopes: scopes.unwrap_or_default(),
            on_create,
            on_update,
            on_delete,
            table,
            input,
        };
        model.check_columns(mistakes);
        Some(model)
    }
}

fn ours(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("tagged_model"))
}

fn options(attributes: &[Attribute], mistakes: &mut Mistakes) -> Options {
    let mut ours = ours(attributes);
    let first = ours.next();
    for second in ours {
        mistakes.at(second, "`tagged_model` is given twice; write all options in one");
    }
    match first.map(|attribute| &attribute.meta) {
        None => Options::default(),
        Some(Meta::List(list)) => parse(list.tokens.clone(), mistakes),
        Some(other) => {
            let message = "write options in parentheses, as in `#[tagged_model(key = id)]`";
            mistakes.at(other, message);
            Options::default()
        }
    }
}

/// The rows' tags are this and the key. Somebody may take it for a template of them.
fn model_name(written: Expr) -> syn::Result<LitStr> {
    let name = name::<Options>("name", written)?;
    if name.value().contains(['<', '{']) {
        let message = format!(
            "`name` is not a template: a row's tag is this name and then its `key`; write {}",
            example::<Options>("name")
        );
        return Err(syn::Error::new(name.span(), message));
    }
    Ok(name)
}

/// What is surely no function of the row; the rest is checked by its type.
fn event(option: &str, written: Option<Expr>, parameters: usize) -> syn::Result<Option<Expr>> {
    let written = written.map(ungrouped);
    let problem = match &written {
        Some(literal @ (Expr::Lit(_) | Expr::Array(_))) => literal as &dyn ToTokens,
        Some(Expr::Closure(closure)) if closure.inputs.len() != parameters => closure,
        _ => return Ok(written),
    };
    let takes = if parameters == 1 { "the row" } else { "the row and what is known of the change" };
    let message =
        format!("`{option}` takes a function of {takes}, as in {}", example::<Options>(option));
    Err(syn::Error::new_spanned(problem, message))
}

/// What key and scopes may refer to.
struct FieldNames {
    model: Ident,
    names: Vec<Member>,
}

impl FieldNames {
    fn of(model: &Ident, fields: &Fields) -> Self {
        FieldNames { model: model.clone(), names: fields.members().collect() }
    }

    fn default_key(&self, mistakes: &mut Mistakes) -> Option<Vec<FieldPath>> {
        if let Some(id) = self.names.iter().find(|name| text(name) == "id") {
            return Some(vec![FieldPath { members: vec![id.clone()], span: id.span() }]);
        }
        let example = self.names.first().map_or_else(|| "..".to_owned(), text);
        let message = format!(
            "which field is the key of `{}`? There is no `id`: say it, as in \
             `#[tagged_model(key = {example})]`, and for a key of several `key = (tenant, number)`",
            self.model
        );
        mistakes.at(&self.model, message);
        None
    }

    fn key(&self, written: Expr, mistakes: &mut Mistakes) -> Option<Vec<FieldPath>> {
        let written = ungrouped(written);
        let span = written.clone();
        let paths: Vec<Expr> = match written {
            Expr::Tuple(ExprTuple { elems, .. }) => elems.into_iter().collect(),
            one => vec![one],
        };
        if paths.is_empty() {
            mistakes.at(span, format!("`key` names no field; write {}", example::<Options>("key")));
            return None;
        }
        let paths: Vec<_> =
            paths.into_iter().filter_map(|path| self.field_path(path, mistakes)).collect();
        Some(paths)
    }

    fn field_path(&self, written: Expr, mistakes: &mut Mistakes) -> Option<FieldPath> {
        let Some(path) = FieldPath::of(&ungrouped(written.clone())) else {
            let message = "`key` takes a field, as in `key = id`, or for a key of several a tuple \
                           of fields, as in `key = (tenant, number)`";
            mistakes.at(written, message);
            return None;
        };
        self.check(path.members.first()?, path.span, mistakes);
        Some(path)
    }

    fn scopes(&self, written: Expr, mistakes: &mut Mistakes) -> Vec<TagSource> {
        let written = mistakes.keep(elements::<Options>("scopes", written)).unwrap_or_default();
        let scopes: Vec<TagSource> =
            written.into_iter().filter_map(|scope| mistakes.keep(tag_source(scope))).collect();
        for scope in &scopes {
            if let TagSource::Template(template) = scope {
                template
                    .fields()
                    .for_each(|field| self.check(&field, template.literal.span(), mistakes));
            }
        }
        scopes
    }

    fn check(&self, field: &Member, span: Span, mistakes: &mut Mistakes) {
        let names: Vec<String> = self.names.iter().map(text).collect();
        let field = text(field);
        if names.contains(&field) {
            return;
        }
        let hint = did_you_mean(&field, &names).unwrap_or_else(|| match names.as_slice() {
            [] => "it has none".to_owned(),
            names => format!("its fields are {}", list(names)),
        });
        mistakes.at_span(span, format!("`{field}` is not a field of `{}`; {hint}", self.model));
    }
}

impl FieldPath {
    fn of(written: &Expr) -> Option<FieldPath> {
        let span = written.span();
        let members = match written {
            Expr::Path(ExprPath { attrs, qself: None, path }) if attrs.is_empty() => {
                vec![Member::Named(path.get_ident()?.clone())]
            }
            Expr::Lit(ExprLit { lit: Lit::Int(index), .. }) => {
                vec![Member::Unnamed(Index { index: index.base10_parse().ok()?, span })]
            }
            Expr::Field(ExprField { base, member, .. }) if is_self(base) => vec![member.clone()],
            Expr::Field(ExprField { base, member, .. }) => {
                let mut members = FieldPath::of(base)?.members;
                members.push(member.clone());
                members
            }
            _ => return None,
        };
        Some(FieldPath { members, span })
    }
}

fn is_self(path: &Expr) -> bool {
    matches!(path, Expr::Path(path) if path.path.is_ident("self"))
}

fn text(member: &Member) -> String {
    match member {
        Member::Named(name) => name.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}
