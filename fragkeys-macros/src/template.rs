//! `"User:<user_id>"` to its literal parts and placeholders.

use std::iter::Peekable;
use std::str::Chars;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote_spanned;
use syn::LitStr;

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
pub(crate) struct Placeholder {
    segments: Vec<String>,
}

impl Template {
    pub(crate) fn parse(literal: LitStr) -> syn::Result<Template> {
        let text = literal.value();
        let parts = parts(&text).map_err(|message| syn::Error::new(literal.span(), message))?;
        Ok(Template { literal, parts })
    }

    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(placeholder),
            Part::Text(_) => None,
        })
    }

    /// An expression of type `Tag`. The placeholders have the literal's span, so that an
    /// error about one points there.
    pub(crate) fn to_tag(&self) -> TokenStream {
        let span = self.literal.span();
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => quote_spanned!(span=> __fragkeys_text.literal(#text);),
            Part::Placeholder(placeholder) => {
                let value = placeholder.to_expression(span);
                quote_spanned! {span=>
                    ::fragkeys::__private::placeholder(&mut __fragkeys_text, &#value);
                }
            }
        });
        quote_spanned! {span=> {
            let mut __fragkeys_text = ::fragkeys::__private::TagText::default();
            #(#parts)*
            __fragkeys_text.into_tag()
        }}
    }
}

impl Placeholder {
    /// The variable that the path begins with.
    pub(crate) fn root(&self) -> &str {
        self.segments.first().map_or("", |root| root.as_str())
    }

    fn to_expression(&self, span: Span) -> TokenStream {
        let mut segments = self.segments.iter().map(|segment| member(segment, span));
        let root = segments.next();
        quote_spanned!(span=> #root #(.#segments)*)
    }
}

fn member(segment: &str, span: Span) -> TokenStream {
    if let Ok(index) = segment.parse::<u32>() {
        let mut index = Literal::u32_unsuffixed(index);
        index.set_span(span);
        return quote_spanned!(span=> #index);
    }
    let ident = match segment.strip_prefix("r#") {
        Some(raw) => Ident::new_raw(raw, span),
        None => Ident::new(segment, span),
    };
    quote_spanned!(span=> #ident)
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    if text.trim().is_empty() {
        return Err("a tag needs a name; this one is empty".to_owned());
    }
    if text.starts_with('=') {
        return Err("a template cannot begin with `=`; for a constant tag, write `Tag::constant(\"env\", \"production\")`".to_owned());
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
        parts.push(Part::Placeholder(placeholder(&path)?));
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

fn placeholder(path: &str) -> Result<Placeholder, String> {
    let segments: Vec<String> = path.trim().split('.').map(|s| s.trim().to_owned()).collect();
    let is_member = |(index, segment): (usize, &String)| {
        let is_index = index > 0 && segment.parse::<u32>().is_ok();
        is_index || is_identifier(segment, index == 0)
    };
    if segments.iter().enumerate().all(is_member) {
        return Ok(Placeholder { segments });
    }
    Err(format!(
        "`{path}` is not a placeholder: it takes an argument or a path into one, such as `user_id`, \
         `user.id` or `self.0`; for anything else, write a tag expression such as `Tag::new(\"User\", user.id())`"
    ))
}

fn is_identifier(text: &str, may_be_self: bool) -> bool {
    match text {
        "self" => may_be_self,
        "_" | "Self" | "super" | "crate" => false,
        _ => syn::parse_str::<Ident>(text).is_ok(),
    }
}

/// As the runtime spells a tag: `\` escapes `:`, `\`, `=` and `*`; any other one is itself.
fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            canonical.push(character);
            continue;
        }
        match characters.next_if(|next| matches!(next, ':' | '\\' | '=' | '*')) {
            Some(escaped @ ('=' | '*')) => canonical.push(escaped),
            Some(escaped) => canonical.extend(['\\', escaped]),
            None => canonical.push_str(r"\\"),
        }
    }
    canonical
}
