//! `"User:<user_id>"` to its literal parts and placeholders.

use std::iter::Peekable;
use std::str::Chars;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Index, LitStr, Member};

/// A template that is well-formed. What its placeholders mean is the model's business.
pub(crate) struct Template {
    pub(crate) literal: LitStr,
    parts: Vec<Part>,
}

enum Part {
    /// Text in a tag's canonical spelling.
    Text(String),
    Placeholder(Placeholder),
}

/// A path such as `user_id`, `user.id` or `self.0`.
#[derive(PartialEq, Eq)]
pub(crate) struct Placeholder {
    root: Ident,
    members: Vec<Member>,
}

/// What stands in the placeholders of some templates: each path once, with the span of the
/// literal that names it first, so that an error about it points there.
pub(crate) struct Values<'a>(Vec<(&'a Placeholder, Span)>);

impl<'a> Values<'a> {
    pub(crate) fn of(templates: impl Iterator<Item = &'a Template>) -> Self {
        let mut values: Vec<(&Placeholder, Span)> = Vec::new();
        for template in templates {
            for part in &template.parts {
                if let Part::Placeholder(path) = part
                    && !values.iter().any(|(known, _)| *known == path)
                {
                    values.push((path, template.literal.span()));
                }
            }
        }
        Values(values)
    }

    /// Expressions, each with the span for errors about it.
    pub(crate) fn to_expressions(&self) -> impl Iterator<Item = (TokenStream, Span)> {
        self.0.iter().map(|(Placeholder { root, members }, span)| {
            (quote_spanned!(*span=> &#root #(.#members)*), *span)
        })
    }

    fn index_of(&self, path: &Placeholder) -> usize {
        self.0.iter().take_while(|(known, _)| *known != path).count()
    }
}

impl Placeholder {
    /// In a model, where `self.` may be left out.
    fn of_self(&self) -> impl Iterator<Item = Member> {
        let root = (self.root != "self").then(|| Member::Named(self.root.clone()));
        root.into_iter().chain(self.members.iter().cloned())
    }
}

impl Template {
    pub(crate) fn parse(literal: LitStr) -> syn::Result<Template> {
        let text = literal.value();
        let span = literal.span();
        let parts = parts(&text, span).map_err(|message| syn::Error::new(span, message))?;
        Ok(Template { literal, parts })
    }

    /// The field of `self`, or the variable, that each placeholder begins with.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Member> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(path) if path.root == "self" => path.members.first().cloned(),
            Part::Placeholder(path) => Some(Member::Named(path.root.clone())),
            Part::Text(_) => None,
        })
    }

    /// The variables that the placeholders' paths begin with.
    pub(crate) fn roots_mut(&mut self) -> impl Iterator<Item = &mut Ident> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(&mut placeholder.root),
            Part::Text(_) => None,
        })
    }

    /// An expression of type `Tag`. The placeholders have the literal's span, so that an
    /// error about one points there.
    pub(crate) fn to_tag(&self) -> TokenStream {
        let span = self.literal.span();
        let parts = self.parts(span, |Placeholder { root, members }| {
            quote_spanned! {span=>
                ::fragkeys::__private::placeholder(&mut __fragkeys_text, &#root #(.#members)*);
            }
        });
        quote_spanned! {span=> {
            let mut __fragkeys_text: ::fragkeys::__private::TagText = ::core::default::Default::default();
            #parts
            __fragkeys_text.into_tag()
        }}
    }

    /// The template as the runtime puts tags together from it, of type `&[Part]`.
    pub(crate) fn to_parts(&self, values: &Values<'_>) -> TokenStream {
        self.numbered_parts(|path| values.index_of(path))
    }

    /// The same for a model, whose fields have numbers.
    pub(crate) fn to_parts_of_model(&self, number: impl Fn(Vec<Member>) -> usize) -> TokenStream {
        self.numbered_parts(|path| number(path.of_self().collect()))
    }

    /// The paths into a model's row that stand in it.
    pub(crate) fn paths_of_model(&self) -> impl Iterator<Item = Vec<Member>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(path) => Some(path.of_self().collect()),
            Part::Text(_) => None,
        })
    }

    fn numbered_parts(&self, number: impl Fn(&Placeholder) -> usize) -> TokenStream {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => quote!(::fragkeys::__private::Part::Text(#text)),
            Part::Placeholder(path) => {
                let number = number(path);
                quote!(::fragkeys::__private::Part::Placeholder(#number))
            }
        });
        quote!(&[#(#parts),*])
    }

    /// An expression of type `Option<Tag>`, in a method of a model: placeholders are fields, and
    /// there is no such tag if one of them is `None`.
    pub(crate) fn to_tag_of_model(&self) -> TokenStream {
        let span = generated_at(self.literal.span());
        let parts = self.parts(span, |path| append(path.of_self(), span));
        let empty = quote_spanned!(span=> ::core::default::Default::default());
        tag_of_model(&empty, &parts, span)
    }

    fn parts(&self, span: Span, placeholder: impl Fn(&Placeholder) -> TokenStream) -> TokenStream {
        let part = |part: &Part| match part {
            Part::Text(text) => literal(text, span),
            Part::Placeholder(path) => placeholder(path),
        };
        self.parts.iter().map(part).collect()
    }
}

/// The place of what was written, and the names and lints of generated code: a `self` that
/// `macro_rules!` brought along would be another one.
pub(crate) fn generated_at(written: Span) -> Span {
    written.resolved_at(Span::call_site())
}

/// Appends literal text to that of a tag.
pub(crate) fn literal(text: &str, span: Span) -> TokenStream {
    quote_spanned!(span=> ::fragkeys::__private::TagText::literal(&mut __fragkeys_text, #text);)
}

/// Appends a field's value to the text of a model's tag.
pub(crate) fn append(path: impl Iterator<Item = Member>, span: Span) -> TokenStream {
    quote_spanned! {span=>
        ::fragkeys::__private::placeholder(
            &mut __fragkeys_text,
            ::fragkeys::__private::Field::new(&self #(.#path)*).in_tag()?,
        );
    }
}

/// An expression of type `Option<Tag>`.
pub(crate) fn tag_of_model(begin: &TokenStream, parts: &TokenStream, span: Span) -> TokenStream {
    quote_spanned! {span=>
        (|| {
            let mut __fragkeys_text: ::fragkeys::__private::TagText = #begin;
            #parts
            ::core::option::Option::Some(__fragkeys_text.into_tag())
        })()
    }
}

fn parts(text: &str, span: Span) -> Result<Vec<Part>, String> {
    if text.trim().is_empty() {
        return Err("a tag needs a name; this one is empty".to_owned());
    }
    if text.starts_with('=') {
        return Err("a template cannot begin with `=`; for a constant tag, write `Tag::constant(\"env\", \"production\")`".to_owned());
    }
    if text.starts_with(['@', '~']) {
        return Err("a template cannot begin with `@` or `~`, which begin the keys of others; for one of those, write `Tag::foreign(key)`".to_owned());
    }
    if text == "*" {
        return Err(
            "`*` stands for the whole cache; to bump that, call `cache().invalidate_all()`"
                .to_owned(),
        );
    }
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let close = match character {
            '<' => '>',
            '{' => '}',
            '>' | '}' => {
                if characters.next_if_eq(&character).is_none() {
                    return Err(format!(
                        "`{character}` closes nothing in `{text}`; write `{character}{character}` for the character itself"
                    ));
                }
                plain.push(character);
                continue;
            }
            _ => {
                plain.push(character);
                continue;
            }
        };
        if characters.next_if_eq(&character).is_some() {
            plain.push(character);
            continue;
        }
        push_text(&mut parts, &mut plain);
        let path = until(close, &mut characters).ok_or_else(|| {
            format!(
                "the placeholder that `{character}` opens in `{text}` is not closed; add `{close}`, \
                 or write `{character}{character}` for the character itself"
            )
        })?;
        if path.trim().is_empty() {
            return Err(format!(
                "`{character}{close}` in `{text}` names no argument; write one in it, as in `<user_id>`, \
                 or `{character}{character}` and `{close}{close}` for the characters themselves"
            ));
        }
        parts.push(Part::Placeholder(placeholder(&path, span)?));
    }
    push_text(&mut parts, &mut plain);
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, plain: &mut String) {
    if !plain.is_empty() {
        parts.push(Part::Text(canonical(&std::mem::take(plain))));
    }
}

/// What stands before `close`, which is taken too.
fn until(close: char, characters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut path = String::new();
    for character in characters.by_ref() {
        if character == close {
            return Some(path);
        }
        path.push(character);
    }
    None
}

fn placeholder(path: &str, span: Span) -> Result<Placeholder, String> {
    let mut segments = path.split('.').map(str::trim);
    let root = segments.next().and_then(|root| identifier(root, span));
    let members: Option<Vec<Member>> = segments.map(|segment| member(segment, span)).collect();
    match (root, members) {
        (Some(root), Some(members)) => Ok(Placeholder { root, members }),
        _ => Err(format!(
            "`{path}` is not a placeholder: it takes an argument or a path into one, such as `user_id`, \
             `user.id` or `self.0`; for anything else, write a tag expression such as `Tag::new(\"User\", user.id())`"
        )),
    }
}

fn member(segment: &str, span: Span) -> Option<Member> {
    match segment.parse() {
        Ok(index) => Some(Member::Unnamed(Index { index, span })),
        Err(_) => identifier(segment, span).filter(|name| name != "self").map(Member::Named),
    }
}

/// A variable or field. A keyword can only be a raw one: `<type>` is `r#type`.
fn identifier(text: &str, span: Span) -> Option<Ident> {
    let mut ident = syn::parse::Parser::parse_str(Ident::parse_any, text).ok()?;
    let is_keyword = syn::parse_str::<Ident>(text).is_err();
    match text {
        "self" => {}
        "_" | "Self" | "super" | "crate" => return None,
        _ if is_keyword => ident = Ident::new_raw(text, span),
        _ => {}
    }
    ident.set_span(span);
    Some(ident)
}

/// As the runtime spells a tag: `\` escapes `:`, `\`, `=`, `@`, `~` and `*`; any other one is itself.
fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            canonical.push(character);
            continue;
        }
        match characters.next_if(|next| matches!(next, ':' | '\\' | '=' | '@' | '~' | '*')) {
            Some(escaped @ ('=' | '@' | '~' | '*')) => canonical.push(escaped),
            Some(escaped) => canonical.extend(['\\', escaped]),
            None => canonical.push_str(r"\\"),
        }
    }
    canonical
}
