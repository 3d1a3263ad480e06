//! A [`CachedFn`] to tokens. It cannot fail, and what it writes decides nothing: that is
//! the runtime's part.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, ItemFn, TraitItemFn};

use crate::diag::Mistakes;
use crate::model::{CachedFn, TagSource, Timeout};
use crate::options::Options;
use crate::signature::Future;

pub(crate) fn tagged_cache(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let options = Options::parse(options, &mut mistakes);
    let function = mistakes.keep(function(&item));
    let cached = function.and_then(|it| CachedFn::new(options, it, &mut mistakes));
    match mistakes.unless_any(cached) {
        Ok(cached) => cached.into_token_stream(),
        // The function stays, so that no error follows from its absence.
        Err(errors) => quote!(#item #errors),
    }
}

fn function(item: &TokenStream) -> syn::Result<ItemFn> {
    syn::parse2(item.clone()).map_err(|error| {
        if let Ok(method) = syn::parse2::<TraitItemFn>(item.clone())
            && method.default.is_none()
        {
            let message = "a method without a body has nothing to cache; put the attribute on its implementations";
            return syn::Error::new(method.sig.ident.span(), message);
        }
        let is_function = item.clone().into_iter().any(|token| token.to_string() == "fn");
        if is_function {
            return error;
        }
        syn::Error::new_spanned(item, "only async functions can be cached")
    })
}

impl ToTokens for CachedFn {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let ItemFn { attrs, vis, sig, .. } = &self.function;
        let cached = self.cached_call();
        let body = match self.future {
            Future::Async => cached,
            Future::Boxed => quote!(::std::boxed::Box::pin(async move { #cached })),
            Future::Opaque => quote!(async move { #cached }),
        };
        tokens.extend(quote! {
            #(#attrs)*
            #vis #sig {
                #body
            }
        });
    }
}

impl CachedFn {
    fn cached_call(&self) -> TokenStream {
        let site = self.site();
        let plan = self.plan();
        let vary_on = self
            .vary_on
            .iter()
            .map(|argument| quote_spanned!(argument.span()=> __fragkeys_call.vary_on(&#argument);));
        let tags = self.tags.iter().map(|tag| {
            let tag = tag.to_tag();
            quote!(__fragkeys_call.tag(#tag);)
        });
        let timeout = self.timeout.as_ref().map(Timeout::to_setting);
        let jitter = self.jitter.map(|share| quote!(__fragkeys_call.jitter(#share);));
        let cache_if = match &self.cache_if {
            Some(condition) => quote!(#condition),
            None => quote!(|_| true),
        };
        let body = self.body();
        quote! {
            static __FRAGKEYS_SITE: ::fragkeys::__private::Site = #site;
            let __fragkeys_plan = #plan;
            let mut __fragkeys_call = ::fragkeys::__private::Call::new(
                &__FRAGKEYS_SITE,
                ::fragkeys::__private::path_of(&|| ()),
                &__fragkeys_plan,
            );
            #(#vary_on)*
            #(#tags)*
            #timeout
            #jitter
            ::fragkeys::__private::run(__fragkeys_call, __fragkeys_plan, #cache_if, #body).await
        }
    }

    /// What is known at compile time.
    fn site(&self) -> TokenStream {
        let key_name = optional(self.key_name.as_ref());
        let version = optional(self.version.as_ref());
        let tags = self.tags.iter().map(TagSource::text);
        let cache_name = match &self.cache_name {
            Some(name) => quote!(#name),
            None => quote!("default"),
        };
        quote! {
            ::fragkeys::__private::Site {
                package: match ::core::option_env!("CARGO_PKG_NAME") {
                    ::core::option::Option::Some(name) => name,
                    ::core::option::Option::None => "",
                },
                file: ::core::file!(),
                line: ::core::line!(),
                key_name: #key_name,
                version: #version,
                tags: &[#(#tags),*],
                cache_name: #cache_name,
                instances: ::fragkeys::__private::Instances::new(),
            }
        }
    }

    /// The bounds on the output stand here and nowhere else, at the return type's span.
    fn plan(&self) -> TokenStream {
        let output = &self.output;
        let codec = match &self.codec {
            Some(codec) => quote!(#codec),
            None => quote!(::fragkeys::__private::OfCache),
        };
        let coded = quote_spanned!(output.span()=> coded);
        quote! {{
            #[allow(unused_imports)]
            use ::fragkeys::__private::OutputOfAnythingElse as _;
            ::fragkeys::__private::Returns::<#output>::new().output().#coded::<#codec, _>()
        }}
    }

    /// The user's body as a future that runs only if it is polled.
    fn body(&self) -> TokenStream {
        let block = &self.function.block;
        let output = &self.output;
        let returned = &self.function.sig.output;
        match self.future {
            Future::Async => {
                // Never reached. It tells the compiler the type, so that a wrong one is
                // reported in the body and not in generated code.
                let typed = quote_spanned! {output.span()=>
                    #[allow(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction, unreachable_code)]
                    if false {
                        let __fragkeys_output: #output = loop {};
                        return __fragkeys_output;
                    }
                };
                quote!(async move { #typed #block })
            }
            // A closure keeps a `return` in the part before the future where it belongs.
            Future::Boxed => quote! {
                async move { #[allow(clippy::redundant_closure_call)] (move || #returned #block)().await }
            },
            Future::Opaque => quote! {
                async move { #[allow(clippy::redundant_closure_call)] (move || #block)().await }
            },
        }
    }
}

impl TagSource {
    /// An expression of type `Tag`.
    pub(crate) fn to_tag(&self) -> TokenStream {
        match self {
            TagSource::Template(template) => template.to_tag(),
            TagSource::Expression(expression) => quote_spanned! {expression.span()=>
                <_ as ::core::convert::Into<::fragkeys::Tag>>::into(#expression)
            },
        }
    }

    /// How it was written, for the function's identity.
    fn text(&self) -> String {
        match self {
            TagSource::Template(template) => template.literal.value(),
            TagSource::Expression(expression) => expression.to_token_stream().to_string(),
        }
    }
}

impl Timeout {
    fn to_setting(&self) -> TokenStream {
        match self {
            Timeout::Seconds(seconds) => {
                quote!(__fragkeys_call.timeout(::core::time::Duration::from_secs(#seconds));)
            }
            Timeout::Expression(expression) => duration(expression),
        }
    }
}

fn duration(expression: &Expr) -> TokenStream {
    quote_spanned! {expression.span()=>
        __fragkeys_call.timeout(::fragkeys::__private::Timeout::duration(#expression));
    }
}

fn optional<T: ToTokens>(value: Option<&T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
