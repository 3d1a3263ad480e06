//! Mistakes: collected, so that all are reported at once, and worded alike.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    /// Notes a mistake at some tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Notes a mistake at a place that has no tokens of its own.
    pub(crate) fn at_span(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(syn::Error::new(span, message));
    }

    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Notes the mistake of a step and goes on without its result.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// The model, unless there were mistakes on the way to it.
    pub(crate) fn unless_any<T>(self, model: Option<T>) -> Result<T, TokenStream> {
        match (self.0, model) {
            (None, Some(model)) => Ok(model),
            (Some(errors), _) => Err(errors.to_compile_error()),
            (None, None) => Err(TokenStream::new()),
        }
    }
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list<T: std::fmt::Display>(names: &[T]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// A question about the name that was probably meant, if there is one.
pub(crate) fn did_you_mean<T: std::fmt::Display>(written: &str, known: &[T]) -> Option<String> {
    let length = written.chars().count();
    let close_enough = (length / 3).max(1);
    known
        .iter()
        .map(|name| (distance(written, &name.to_string()), name))
        .filter(|(distance, name)| {
            let is_beginning = length >= 3 && name.to_string().starts_with(written);
            *distance <= close_enough || is_beginning
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// How many letters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
