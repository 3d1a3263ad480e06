//! The call of a batch: one call described for each element, and a body that takes the missing ones.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned as _;

use crate::model::{Batch, CachedFn};

impl CachedFn {
    pub(super) fn batch_call(&self, batch: &Batch) -> TokenStream {
        let Batch { pattern, element, element_type, .. } = batch;
        let site = self.site();
        let planned = self.plan();
        // The macro's own, as in a single call.
        let (plan, call) = (quote!(__fragkeys_plan), quote!(__fragkeys_call));
        let (batch, elements) = (quote!(__fragkeys_batch), quote!(__fragkeys_elements));
        let argument = &pattern.ident;
        // The bounds on an element stand here and nowhere else.
        let all = quote_spanned! {element_type.span()=>
            ::fragkeys::__private::Elements::<#element_type>::of(&#argument)
        };
        let description = self.description(&call);
        let body = self.body();
        let answer = match self.kept() {
            Some(keep) => {
                quote!(::fragkeys::__private::run_batch_kept(#batch, #plan, #keep, #body).await)
            }
            None => {
                let cache_if = self.cache_if();
                quote_spanned! {cache_if.span()=>
                    ::fragkeys::__private::run_batch(#batch, #plan, #cache_if, #body).await
                }
            }
        };
        quote! {
            static __FRAGKEYS_SITE: ::fragkeys::__private::Site = #site;
            let #plan = #planned;
            let #elements = #all;
            let mut #batch = ::fragkeys::__private::Batch::new(
                &__FRAGKEYS_SITE,
                ::fragkeys::__private::path_of(&|| ()),
                &#plan,
                &#elements,
            );
            for (#element, mut #call) in #batch.calls(#elements) {
                #description
                #batch.add(#element, #call);
            }
            let __fragkeys_missing = #batch.missing();
            #answer
        }
    }
}

impl Batch {
    /// In the body: the argument, as those of its elements that are missing.
    pub(super) fn take(&self) -> TokenStream {
        let Batch { pattern, ty, element_type, .. } = self;
        let value = match ty {
            Type::Reference(_) => quote!(&__fragkeys_missing),
            _ => quote!(__fragkeys_missing),
        };
        quote! {
            let __fragkeys_missing: ::std::vec::Vec<#element_type> = __fragkeys_missing.take();
            let #pattern: #ty = #value;
        }
    }
}
