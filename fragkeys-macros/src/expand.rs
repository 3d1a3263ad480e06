//! A [`CachedFn`] to tokens. It cannot fail, and what it writes decides nothing: that is
//! the runtime's part.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{AttrStyle, Attribute, Expr, ExprClosure, Item, ItemFn, TraitItemFn};

use crate::diag::Mistakes;
use crate::model::{Batch, CachedFn, Near, TagSource, Timeout};
use crate::options;
use crate::signature::{self, Future};
use crate::template::{Template, Values};

mod batch;
mod keep;

pub(crate) fn tagged_cache(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let options = options::parse(options, &mut mistakes);
    let function = mistakes.keep(function(&item));
    let cached = function.and_then(|it| CachedFn::new(options, it, &mut mistakes));
    match mistakes.unless_any(cached) {
        Ok(cached) => cached.into_token_stream(),
        // The function stays, so that no error follows from its absence.
        Err(errors) => quote!(#item #errors),
    }
}

fn function(item: &TokenStream) -> syn::Result<ItemFn> {
    let error = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => match function.attrs.iter().find(|it| is_tagged_cache(it)) {
            Some(second) => {
                let message = "`tagged_cache` is given twice; keep one of them";
                return Err(syn::Error::new(second.path().span(), message));
            }
            None => return Ok(function),
        },
        Err(error) => error,
    };
    let (span, hint) = match (syn::parse2::<TraitItemFn>(item.clone()), syn::parse2(item.clone())) {
        (Ok(method), _) => {
            let message = "a method without a body has nothing to cache; put the attribute on its implementations";
            return Err(syn::Error::new(method.sig.ident.span(), message));
        }
        (_, Ok(Item::Impl(block))) => (block.impl_token.span(), "; put the attribute on methods"),
        (_, Ok(Item::Trait(definition))) => {
            (definition.trait_token.span(), "; put the attribute on methods that have a body")
        }
        (_, Ok(other)) => (other.span(), ""),
        (_, Err(_)) => return Err(error),
    };
    Err(syn::Error::new(span, format!("only async functions can be cached{hint}")))
}

fn is_tagged_cache(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "tagged_cache")
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
        let (outer, inner): (Vec<_>, Vec<_>) =
            attrs.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Outer));
        tokens.extend(quote! {
            #(#outer)*
            #vis #sig {
                #(#inner)*
                #body
            }
        });
    }
}

impl CachedFn {
    fn cached_call(&self) -> TokenStream {
        if let Some(batch) = &self.batch {
            return self.batch_call(batch);
        }
        let site = self.site();
        let planned = self.plan();
        // Written apart, so that they are the macro's own where the tokens around them have
        // the span of something that may be wrong.
        let call = quote!(__fragkeys_call);
        let plan = quote!(__fragkeys_plan);
        let description = self.description(&call);
        let body = self.body();
        let answer = match (self.graced(&call, &plan, &body), self.kept(), self.late_tags()) {
            (_, _, Some(late_tags)) => {
                let cache_if = self.cache_if();
                quote_spanned! {cache_if.span()=>
                    ::fragkeys::__private::run_with_late_tags(
                        #call, #plan, #cache_if, #late_tags, #body,
                    ).await
                }
            }
            (Some(graced), ..) => graced,
            (None, Some(keep), None) => {
                quote!(::fragkeys::__private::run_kept(#call, #plan, #keep, #body).await)
            }
            (None, None, None) => {
                let cache_if = self.cache_if();
                // The compiler blames the whole of it for a condition of the wrong type.
                quote_spanned! {cache_if.span()=>
                    ::fragkeys::__private::run(#call, #plan, #cache_if, #body).await
                }
            }
        };
        // A statement, so that nothing of it is held over the await.
        let near = (!matches!(self.near, Near::No)).then(|| {
            let value = quote!(__fragkeys_value);
            quote! {
                if let ::core::option::Option::Some(#value) =
                    ::fragkeys::__private::near(&mut #call, &#plan)
                {
                    return #plan.output(#value);
                }
            }
        });
        quote! {
            static __FRAGKEYS_SITE: ::fragkeys::__private::Site = #site;
            let #plan = #planned;
            let mut #call = ::fragkeys::__private::Call::new(
                &__FRAGKEYS_SITE,
                ::fragkeys::__private::path_of(&|| ()),
                &#plan,
            );
            #description
            #near
            #answer
        }
    }

    /// What tells this call from others, and how long its value is kept.
    fn description(&self, call: &TokenStream) -> TokenStream {
        let vary_on = self
            .vary_on
            .iter()
            .map(|argument| quote_spanned!(argument.span()=> #call.vary_on(&#argument);));
        let values = self.values();
        let values = values.to_expressions().map(|(value, span)| {
            quote_spanned! {span=>
                if !#call.plain(::fragkeys::__private::Shown::new(#value).plain()) {
                    #call.placeholder(#value);
                }
            }
        });
        let tags = self.tags.iter().filter_map(|tag| match tag {
            TagSource::Template(_) => None,
            TagSource::Expression(_) => {
                let tag = tag.to_tag();
                Some(quote!(#call.tag(#tag);))
            }
        });
        let timeout = self.timeout.as_ref().and_then(Timeout::to_duration);
        let timeout = timeout.map(|duration| quote!(#call.timeout(#duration);));
        let jitter = self.jitter.map(|share| quote!(#call.jitter(#share);));
        quote! {
            #(#vary_on)*
            #(#values)*
            #(#tags)*
            #timeout
            #jitter
        }
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.tags.iter().filter_map(|tag| match tag {
            TagSource::Template(template) => Some(template),
            TagSource::Expression(_) => None,
        })
    }

    fn values(&self) -> Values<'_> {
        Values::of(self.templates())
    }

    fn cache_if(&self) -> TokenStream {
        match &self.cache_if {
            Some(condition) => quote!(#condition),
            None => quote!(|_| true),
        }
    }

    /// A closure that gives a list. What a closure of the user's gives may borrow from the value, which
    /// no closure can say of itself: so its body stands in one that gives what borrows nothing.
    fn late_tags(&self) -> Option<TokenStream> {
        let Some(tags_from) = &self.late.from_value else {
            return self.late.are_inherited.then(|| quote!(|_| ::std::vec::Vec::new()));
        };
        let value = quote!(__fragkeys_value);
        let tags = match tags_from {
            Expr::Closure(ExprClosure { inputs, body, .. }) => {
                let parameter = inputs.first().map(|input| quote!(let #input = #value;));
                quote_spanned!(body.span()=> #parameter ::fragkeys::__private::tag_list(#body))
            }
            function => quote_spanned! {function.span()=>
                ::fragkeys::__private::tag_list((#function)(#value))
            },
        };
        Some(quote!(|#value| { #tags }))
    }

    /// Which of `Result` and anything else the function returns.
    fn returns(&self) -> TokenStream {
        let output = &self.output;
        quote_spanned!(output.span()=> ::fragkeys::__private::Returns::<#output>::new().output())
    }

    /// What is known at compile time.
    fn site(&self) -> TokenStream {
        let key_name = optional(self.key_name.as_ref());
        let version = optional(self.version.as_ref());
        let vary_on = self.vary_on.iter().map(|path| path.to_token_stream().to_string());
        let tags_from = self.late.from_value.as_ref();
        let tags_from = tags_from.map(|it| format!("tags_from = {}", it.to_token_stream()));
        let inherit_tags = self.late.are_inherited.then(|| "inherit_tags".to_owned());
        let early_cutoff = self.late.have_early_cutoff.then(|| "early_cutoff".to_owned());
        let late = tags_from.into_iter().chain(inherit_tags).chain(early_cutoff);
        let tags = self.tags.iter().map(TagSource::text).chain(late);
        let values = self.values();
        let templates = self.templates().map(|template| template.to_parts(&values));
        let is_batch = self.batch.is_some();
        let is_leased = self.is_leased;
        let inherits_tags = self.late.are_inherited;
        let has_early_cutoff = self.late.have_early_cutoff;
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
                vary_on: &[#(#vary_on),*],
                tags: &[#(#tags),*],
                templates: &[#(#templates),*],
                cache_name: #cache_name,
                is_batch: #is_batch,
                is_leased: #is_leased,
                inherits_tags: #inherits_tags,
                has_early_cutoff: #has_early_cutoff,
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
        let ops = match (&self.batch, &self.near) {
            (Some(Batch { element_type, .. }), _) => {
                quote_spanned!(output.span()=> batched::<#codec, #element_type, _>())
            }
            (None, near) => {
                let coded = match &self.cache_err {
                    Some(_) => quote_spanned!(output.span()=> coded_with_errors::<#codec>()),
                    None => quote_spanned!(output.span()=> coded::<#codec>()),
                };
                match near {
                    Near::No => coded,
                    Near::IfPossible => quote_spanned!(output.span()=> #coded.near()),
                    Near::Surely => quote_spanned!(output.span()=> #coded.surely_near()),
                }
            }
        };
        let primable = self.is_primable.then(|| quote_spanned!(output.span()=> .primable()));
        let returns = self.returns();
        let plan = quote_spanned!(output.span()=> #returns.#ops #primable);
        quote! {{
            #[allow(unused_imports)]
            use ::fragkeys::__private::{NearOfAnythingElse as _, OutputOfAnythingElse as _};
            #plan
        }}
    }

    /// The user's body as a future that runs only if it is polled.
    fn body(&self) -> TokenStream {
        let block = &self.function.block;
        let braces = block.brace_token.span.join();
        let output = &self.output;
        let batch = self.batch.as_ref().map(Batch::take);
        // Never reached. It tells the compiler the type, so that a wrong one is reported in
        // the body and not in generated code.
        let typed = quote_spanned! {output.span()=>
            #[allow(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction, unreachable_code)]
            if false {
                let __fragkeys_output: #output = loop {};
                return __fragkeys_output;
            }
        };
        match self.future {
            Future::Async => {
                // In the user's braces, not around them: a pair within a pair is one too many
                // for `unused_braces`.
                let statements = &block.stmts;
                let mut body = Group::new(Delimiter::Brace, quote!(#batch #typed #(#statements)*));
                body.set_span(braces);
                quote!(async move #body)
            }
            // A closure keeps a `return` in the part before the future where it belongs.
            Future::Boxed => {
                // What the body gets of a batch lives shorter than the argument did.
                let returned = match &self.batch {
                    Some(_) => signature::of_any_lifetime(&self.function.sig.output),
                    None => self.function.sig.output.clone(),
                };
                quote! {
                    async move {
                        #batch
                        #[allow(clippy::redundant_closure_call)]
                        (move || #returned #block)().await
                    }
                }
            }
            Future::Opaque => {
                let awaited = quote_spanned!(braces=> (move || #block)().await);
                quote!(async move { #batch #typed #[allow(clippy::redundant_closure_call)] #awaited })
            }
        }
    }
}

impl TagSource {
    /// An expression of type `Tag`.
    pub(crate) fn to_tag(&self) -> TokenStream {
        match self {
            TagSource::Template(template) => template.to_tag(),
            TagSource::Expression(expression) => {
                quote_spanned!(expression.span()=> ::fragkeys::__private::tag(#expression))
            }
        }
    }

    /// How it was written, for the function's identity.
    pub(crate) fn text(&self) -> String {
        match self {
            TagSource::Template(template) => template.literal.value(),
            TagSource::Expression(expression) => expression.to_token_stream().to_string(),
        }
    }
}

impl Timeout {
    /// An expression of type `Duration`; `None` if only the value can tell.
    pub(crate) fn to_duration(&self) -> Option<TokenStream> {
        match self {
            Timeout::Seconds(seconds) => Some(quote!(::core::time::Duration::from_secs(#seconds))),
            Timeout::Expression(expression) => Some(quote_spanned! {expression.span()=>
                ::fragkeys::__private::Timeout::duration(#expression)
            }),
            Timeout::OfValue(_) => None,
        }
    }
}

fn optional<T: ToTokens>(value: Option<&T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
