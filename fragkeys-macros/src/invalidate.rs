//! `invalidate!` and `tag!`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::{Expr, LitStr, Token};

use crate::diag::Mistakes;
use crate::model::{TagSource, tag_source};
use crate::template::Template;

pub(crate) fn invalidate(tokens: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let written = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens);
    let written = mistakes.keep(written).unwrap_or_default();
    let is_empty = written.is_empty();
    let tags: Vec<TagSource> =
        written.into_iter().filter_map(|element| mistakes.keep(tag_source(element))).collect();
    if is_empty {
        let message = "nothing to invalidate: write a tag, as in `invalidate!(\"User:<user_id>\")`; \
                       for the whole cache, call `cache().invalidate_all()`";
        mistakes.at_span(proc_macro2::Span::call_site(), message);
    }
    match mistakes.unless_any(Some(tags)) {
        Ok(tags) => {
            let tags = tags.iter().map(TagSource::to_tag);
            quote!(::fragkeys::__private::invalidate(::std::vec![#(#tags),*]))
        }
        // Something that can be awaited, so that only the mistake itself is reported.
        Err(errors) => quote! {{
            #errors
            ::fragkeys::__private::invalidate(::std::vec::Vec::new())
        }},
    }
}

pub(crate) fn tag(tokens: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let literal = syn::parse2::<LitStr>(tokens).map_err(|error| {
        syn::Error::new(error.span(), "`tag!` takes one template, as in `tag!(\"User:<user_id>\")`")
    });
    let literal = mistakes.keep(literal);
    let template = literal.and_then(|literal| mistakes.keep(Template::parse(literal)));
    match mistakes.unless_any(template) {
        Ok(template) => template.to_tag(),
        Err(errors) => quote! {{
            #errors
            ::fragkeys::Tag::global("")
        }},
    }
}
