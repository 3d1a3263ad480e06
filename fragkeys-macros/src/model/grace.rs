//! What a function wants of old values, and of runs that are early or too long.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::spanned::Spanned as _;
use syn::{Expr, ExprCall, ExprLit, ItemFn, Lit};

use super::{Timeout, time};
use crate::diag::Mistakes;
use crate::options::{Options, example, ungrouped};
use crate::signature;

/// The options that make it, as they were written.
#[derive(Default)]
pub(crate) struct GraceOptions {
    pub(crate) while_revalidate: Option<Expr>,
    pub(crate) if_error: Option<Expr>,
    pub(crate) soft_timeout: Option<Expr>,
    pub(crate) hard_timeout: Option<Expr>,
    pub(crate) refresh_ahead: Option<Expr>,
    pub(crate) background: Option<Expr>,
}

/// At least one of the options was given.
pub(crate) struct Grace {
    pub(crate) while_revalidate: Option<Timeout>,
    pub(crate) if_error: Option<Timeout>,
    pub(crate) soft_timeout: Option<Timeout>,
    pub(crate) hard_timeout: Option<Timeout>,
    pub(crate) ahead: Option<Ahead>,
    /// Where a run can go on without its caller: the option that asks for it.
    pub(crate) behind: Option<Span>,
}

/// How a run begins before its value has expired.
pub(crate) enum Ahead {
    Share(f64),
    AtRandom(f64),
}

impl Grace {
    /// `None` if none of it was asked for.
    pub(crate) fn new(
        options: GraceOptions,
        function: &ItemFn,
        is_batch: bool,
        mistakes: &mut Mistakes,
    ) -> Option<Grace> {
        let first = options.all().next()?.clone();
        if is_batch {
            mistakes.at(first, "a batch has no grace: what is old, or fails, is one of its elements or another; leave this off");
            return None;
        }
        if let (Some(soft), None) = (&options.soft_timeout, &options.if_error) {
            let message = format!(
                "`soft_timeout` gives the last good value for as long as `stale_if_error` says; add that, as in {}",
                example::<Options>("stale_if_error")
            );
            mistakes.at(soft, message);
        }
        let behind = options.behind(function, mistakes);
        let GraceOptions { while_revalidate, if_error, soft_timeout, hard_timeout, .. } = options;
        let mut time = |name: &str, written: Option<Expr>| {
            written.and_then(|written| mistakes.keep(time(name, ungrouped(written))))
        };
        Some(Grace {
            while_revalidate: time("stale_while_revalidate", while_revalidate),
            if_error: time("stale_if_error", if_error),
            soft_timeout: time("soft_timeout", soft_timeout),
            hard_timeout: time("hard_timeout", hard_timeout),
            ahead: options.refresh_ahead.and_then(|written| mistakes.keep(ahead(written))),
            behind,
        })
    }
}

impl GraceOptions {
    fn all(&self) -> impl Iterator<Item = &Expr> {
        self.runs_behind()
            .chain([&self.if_error, &self.hard_timeout, &self.background].into_iter().flatten())
    }

    /// Those that have somebody run without being waited for.
    fn runs_behind(&self) -> impl Iterator<Item = &Expr> {
        [&self.while_revalidate, &self.refresh_ahead, &self.soft_timeout].into_iter().flatten()
    }

    fn behind(&self, function: &ItemFn, mistakes: &mut Mistakes) -> Option<Span> {
        let asks = self.runs_behind().next();
        let is_wanted = match &self.background {
            None => None,
            Some(written) => match ungrouped(written.clone()) {
                Expr::Lit(ExprLit { lit: Lit::Bool(is_wanted), .. }) => Some(is_wanted.value),
                other => {
                    mistakes.at(other, "`background` is `false`, to have each run waited for by a caller, or `true`, to have the arguments checked for runs that nobody waits for");
                    return None;
                }
            },
        };
        if let (Some(written), None) = (&self.background, asks) {
            mistakes.at(written, "`background` is about `stale_while_revalidate`, `refresh_ahead` and `soft_timeout`, and none of them is given");
        }
        let borrowed = signature::borrowed_argument(&function.sig);
        match (is_wanted, borrowed) {
            (Some(false), _) | (None, Some(_)) => None,
            (Some(true), Some(borrowed)) => {
                let borrowed: TokenStream = borrowed;
                mistakes.at(borrowed, "this may be borrowed, and a run that nobody waits for must own all of its arguments; take it by value or in an `Arc`, or leave `background` off");
                None
            }
            (_, None) => asks.map(Expr::span),
        }
    }
}

fn ahead(written: Expr) -> syn::Result<Ahead> {
    let written = ungrouped(written);
    let number = |written: &Expr| match written {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse::<f64>().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse::<f64>().ok(),
        _ => None,
    };
    let is_xfetch = |name: &Expr| name.to_token_stream().to_string() == "xfetch";
    let found = match &written {
        name @ Expr::Path(_) if is_xfetch(name) => Some(Ahead::AtRandom(1.0)),
        Expr::Call(ExprCall { func, args, .. }) if is_xfetch(func) && args.len() == 1 => {
            let eagerness = args.first().and_then(number);
            eagerness.filter(|number| *number > 0.0 && number.is_finite()).map(Ahead::AtRandom)
        }
        share => number(share).filter(|share| *share > 0.0 && *share < 1.0).map(Ahead::Share),
    };
    found.ok_or_else(|| {
        let message = "`refresh_ahead` is the last share of the timeout in which a run may begin, between 0.0 and 1.0, as in \
                       `refresh_ahead = 0.1`; or `xfetch`, which chooses at random by how long a run takes; `xfetch(2.0)` is twice as early";
        syn::Error::new_spanned(written, message)
    })
}
