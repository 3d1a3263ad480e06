//! Tags that nobody knows before the body has run.

use proc_macro2::Ident;
use quote::ToTokens as _;
use syn::Expr;

use super::function_of_one;
use crate::diag::Mistakes;
use crate::options::{Options, example, ungrouped};

/// As they were written.
#[derive(Default)]
pub(crate) struct LateOptions {
    pub(crate) tags_from: Option<Expr>,
    /// As it stands there, alone.
    pub(crate) inherit_tags: Option<Ident>,
    pub(crate) early_cutoff: Option<Ident>,
}

/// Where a function's late tags come from.
pub(crate) struct LateTags {
    /// A function of the value.
    pub(crate) from_value: Option<Expr>,
    /// The cached calls in its body.
    pub(crate) are_inherited: bool,
    /// Is the last value right as long as these give the same?
    pub(crate) have_early_cutoff: bool,
}

impl LateTags {
    pub(super) fn new(
        options: LateOptions,
        is_batch: bool,
        is_kept_otherwise: bool,
        mistakes: &mut Mistakes,
    ) -> Self {
        let LateOptions { tags_from, inherit_tags, early_cutoff } = options;
        let from_value = tags_from.and_then(|it| mistakes.keep(function_of_value(it, is_batch)));
        let both = [
            ("tags_from", from_value.as_ref().map(Expr::to_token_stream)),
            ("inherit_tags", inherit_tags.as_ref().map(Ident::to_token_stream)),
        ];
        for (option, written) in both {
            if let Some(written) = written.filter(|_| is_kept_otherwise) {
                let message = format!(
                    "`{option}` goes with neither of `cache_err`, `timeout_none`, \
                     `timeout = |value| …`, `stale_while_revalidate`, `stale_if_error`, \
                     `soft_timeout`, `hard_timeout` and `refresh_ahead`"
                );
                mistakes.at(written, message);
            }
        }
        if let Some(written) = inherit_tags.as_ref().filter(|_| is_batch) {
            let message = "`inherit_tags` is about one value, and a run of a batch makes several; \
                           nobody could tell for which of them a call was made";
            mistakes.at(written, message);
        }
        if let Some(written) = &early_cutoff {
            if inherit_tags.is_none() {
                let message = "`early_cutoff` is about the calls whose tags are taken over: it goes with \
                               `inherit_tags`";
                mistakes.at(written, message);
            } else if from_value.is_some() {
                let message = "`early_cutoff` does not go with `tags_from`: what the value tells is not \
                               what the calls in the body gave";
                mistakes.at(written, message);
            }
        }
        let (are_inherited, have_early_cutoff) = (inherit_tags.is_some(), early_cutoff.is_some());
        LateTags { from_value, are_inherited, have_early_cutoff }
    }
}

/// What surely gives no tags is a mistake; the rest is checked by its type.
fn function_of_value(written: Expr, is_batch: bool) -> syn::Result<Expr> {
    let written = ungrouped(written);
    if is_batch {
        let message = "`tags_from` is about one value, and each element of a batch has one; \
                       a template may name the element: `tags = [\"Item:<id>\"]`";
        return Err(syn::Error::new_spanned(written, message));
    }
    function_of_one(written, || {
        format!(
            "`tags_from` takes a function of the value that gives its tags, as in {}",
            example::<Options>("tags_from")
        )
    })
}
