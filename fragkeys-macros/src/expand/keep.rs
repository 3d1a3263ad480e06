//! What becomes of a value: whether it is kept, for how long, and what it is good for when it is old.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, ExprClosure};

use crate::model::{Ahead, CachedFn, Grace, Timeout};

impl CachedFn {
    /// `None` where that is a condition alone.
    pub(super) fn kept(&self) -> Option<TokenStream> {
        let is_plain = self.timeout_of_value().is_none()
            && self.timeout_none.is_none()
            && self.cache_err.is_none();
        (!is_plain).then(|| self.keep())
    }

    /// The call of a function with grace; `None` where there is none.
    pub(super) fn graced(
        &self,
        call: &TokenStream,
        plan: &TokenStream,
        body: &TokenStream,
    ) -> Option<TokenStream> {
        let asked = self.grace.as_ref()?;
        let grace = asked.to_expression();
        let keep = self.keep();
        // The bound on the output stands here.
        let limit = match asked.hard_timeout.as_ref().and_then(Timeout::to_duration) {
            Some(time) => quote_spanned! {self.output.span()=>
                ::fragkeys::__private::Limit::after(#time)
            },
            None => quote!(::fragkeys::__private::Limit::none()),
        };
        let run = match asked.behind {
            // Where the body cannot go elsewhere, the option that needs it is blamed.
            Some(span) => quote_spanned!(span=> ::fragkeys::__private::run_graced_behind),
            None => quote!(::fragkeys::__private::run_graced),
        };
        Some(quote!(#run(#call, #plan, #grace, #keep, #limit, #body).await))
    }

    fn timeout_of_value(&self) -> Option<&Expr> {
        match &self.timeout {
            Some(Timeout::OfValue(closure)) => Some(closure),
            _ => None,
        }
    }

    fn keep(&self) -> TokenStream {
        let private = quote!(::fragkeys::__private);
        let returns = quote!(__fragkeys_returns);
        let value = match self.batch {
            Some(_) => quote!(#returns.value_in_map()),
            None => quote!(#returns.value()),
        };
        let mut timeout = match self.timeout_of_value() {
            Some(closure) => {
                let closure = self.owned(closure);
                quote_spanned!(closure.span()=> #private::timeout_of(#value, #closure))
            }
            None => quote!(#private::usual(#value)),
        };
        if let Some(none) = self.timeout_none.as_ref().and_then(Timeout::to_duration) {
            timeout = quote_spanned! {self.output.span()=>
                #private::timeout_of_none(#value, #none, #timeout)
            };
        }
        let cache_if = match &self.cache_if {
            Some(condition) => self.owned(condition),
            None => quote!(|_| true),
        };
        let mut keep = quote_spanned! {cache_if.span()=>
            #private::keep(#value, #cache_if, #timeout)
        };
        if let Some(cache_err) = &self.cache_err {
            let cache_err = self.owned(cache_err);
            keep = quote_spanned! {cache_err.span()=>
                #private::keep_or_error(#returns.errors(), #keep, #cache_err)
            };
        }
        let returned = self.returns();
        quote! {{
            #[allow(unused_imports)]
            use ::fragkeys::__private::OutputOfAnythingElse as _;
            let #returns = #returned;
            #keep
        }}
    }

    /// A closure that takes along what it names, where the call may end before it is asked. (What it
    /// names is `Copy`: anything else is the body's by then.)
    fn owned(&self, closure: &Expr) -> TokenStream {
        match closure {
            Expr::Closure(closure) if self.grace.as_ref().is_some_and(|it| it.behind.is_some()) => {
                let owned = ExprClosure { capture: Some(Default::default()), ..closure.clone() };
                quote!(#owned)
            }
            other => quote!(#other),
        }
    }
}

impl Grace {
    fn to_expression(&self) -> TokenStream {
        let times = [
            (quote!(while_revalidate), &self.while_revalidate),
            (quote!(if_error), &self.if_error),
            (quote!(soft_timeout), &self.soft_timeout),
        ];
        let times = times.into_iter().filter_map(|(setter, time)| {
            let time = time.as_ref()?.to_duration()?;
            Some(quote!(.#setter(#time)))
        });
        let ahead = self.ahead.as_ref().map(|ahead| match ahead {
            Ahead::Share(share) => quote!(.ahead_by_share(#share)),
            Ahead::AtRandom(eagerness) => quote!(.ahead_at_random(#eagerness)),
        });
        quote!(::fragkeys::__private::Grace::new()#(#times)*#ahead)
    }
}
