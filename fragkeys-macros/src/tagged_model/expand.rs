//! A [`Model`] to tokens.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{DeriveInput, Expr, GenericParam, Generics, Ident, parse_quote};

use super::{FieldPath, Model, text};
use crate::model::TagSource;
use crate::template::{append, generated_at, literal, tag_of_model};

impl ToTokens for Model<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let model = &self.input.ident;
        let (generics, arguments, bounds) = self.input.generics.split_for_impl();
        let name = &self.name;
        let tag = self.tag();
        let scopes = self.scopes.iter().map(scope);
        let events = [
            event("on_create", self.on_create.as_ref()),
            event("on_delete", self.on_delete.as_ref()),
        ];
        let on_update = self.on_update.as_ref().map(on_update);
        let key_texts = self.key.iter().map(FieldPath::text);
        let scope_texts = self.scopes.iter().map(TagSource::text);
        let table_info = self.table_info();
        tokens.extend(quote! {
            #[automatically_derived]
            // A template without placeholders is a closure that does nothing but return.
            #[allow(clippy::redundant_closure_call)]
            #[allow(deprecated)]
            impl #generics ::fragkeys::TaggedModel for #model #arguments #bounds {
                const TAG_NAME: &'static ::core::primitive::str = #name;

                fn tag(&self) -> ::core::option::Option<::fragkeys::Tag> {
                    #tag
                }

                fn scopes(&self) -> ::std::vec::Vec<::fragkeys::Tag> {
                    ::core::iter::Iterator::collect(::core::iter::Iterator::flatten(
                        ::core::iter::IntoIterator::into_iter([
                            #(#scopes,)* ::core::option::Option::<::fragkeys::Tag>::None
                        ]),
                    ))
                }

                #(#events)*
                #on_update

                fn info() -> ::fragkeys::ModelInfo {
                    ::fragkeys::ModelInfo::new::<Self>(&[#(#key_texts),*], &[#(#scope_texts),*])
                }

                #table_info
            }
        });
        tokens.extend(self.keyed_by());
        tokens.extend(self.registered());
    }
}

impl Model<'_> {
    /// `Name:key`, or `Name:one:two`.
    fn tag(&self) -> TokenStream {
        let name = &self.name;
        let begin = quote!(::fragkeys::__private::TagText::named(#name));
        let parts = self.key.iter().flat_map(|FieldPath { members, span }| {
            let span = generated_at(*span);
            [literal(":", span), append(members.iter().cloned(), span)]
        });
        tag_of_model(&begin, &parts.collect(), Span::call_site())
    }

    /// The key as a value that is `Display`, or as a tuple of such.
    fn keyed_by(&self) -> TokenStream {
        let model = &self.input.ident;
        let name = &self.name;
        let parts: Vec<Ident> =
            (0..self.key.len()).map(|index| format_ident!("__Fragkeys{index}")).collect();
        let values: Vec<Ident> =
            (0..self.key.len()).map(|index| format_ident!("__fragkeys_{index}")).collect();
        let (key, pattern) = match (parts.as_slice(), values.as_slice()) {
            ([part], [value]) => (quote!(#part), quote!(#value)),
            _ => (quote!((#(#parts),*)), quote!((#(#values),*))),
        };
        let separator = literal(":", Span::call_site());
        let generics = with_parameters(
            &self.input.generics,
            parts.iter().map(|part| parse_quote!(#part: ::fragkeys::__private::KeyColumn)),
        );
        let (generics, ..) = generics.split_for_impl();
        let (_, arguments, bounds) = self.input.generics.split_for_impl();
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl #generics ::fragkeys::KeyedBy<#key> for #model #arguments #bounds {
                fn tag_of_key(#pattern: #key) -> ::fragkeys::Tag {
                    let mut __fragkeys_text = ::fragkeys::__private::TagText::named(#name);
                    #(
                        #separator
                        ::fragkeys::__private::placeholder(&mut __fragkeys_text, &#values);
                    )*
                    __fragkeys_text.into_tag()
                }
            }
        }
    }

    /// Of a generic model there is no knowing which instances there will be.
    fn registered(&self) -> Option<TokenStream> {
        let model = &self.input.ident;
        let parameters = &self.input.generics.params;
        if parameters.iter().any(|parameter| !matches!(parameter, GenericParam::Lifetime(_))) {
            return None;
        }
        let lifetimes = parameters.iter().map(|_| quote!('static));
        Some(quote! {
            #[allow(deprecated)]
            const _: () = {
                use ::fragkeys::__private::inventory;
                inventory::submit! {
                    ::fragkeys::__private::Registered(
                        <#model<#(#lifetimes),*> as ::fragkeys::TaggedModel>::info
                    )
                }
            };
        })
    }
}

impl FieldPath {
    pub(super) fn text(&self) -> String {
        self.members.iter().map(text).collect::<Vec<_>>().join(".")
    }
}

/// An expression of type `Option<Tag>`.
fn scope(scope: &TagSource) -> TokenStream {
    match scope {
        TagSource::Template(template) => template.to_tag_of_model(),
        TagSource::Expression(_) => {
            let tag = scope.to_tag();
            quote!(::core::option::Option::Some(#tag))
        }
    }
}

fn event(method: &str, tags: Option<&Expr>) -> Option<TokenStream> {
    let tags = tags?;
    let method = format_ident!("{method}");
    let tags = quote_spanned!(given_at(tags)=> ::fragkeys::__private::tags_on(self, #tags));
    Some(quote! {
        fn #method(&self) -> ::std::vec::Vec<::fragkeys::Tag> {
            #tags
        }
    })
}

fn on_update(tags: &Expr) -> TokenStream {
    let tags = quote_spanned! {given_at(tags)=>
        ::fragkeys::__private::tags_on_update(self, __fragkeys_change, #tags)
    };
    quote! {
        fn on_update(
            &self,
            __fragkeys_change: &::fragkeys::Change<'_, Self>,
        ) -> ::std::vec::Vec<::fragkeys::Tag> {
            #tags
        }
    }
}

/// Where a function of an event says what it gives.
fn given_at(tags: &Expr) -> Span {
    generated_at(match tags {
        Expr::Closure(closure) => closure.body.span(),
        other => other.span(),
    })
}

/// A model that has no tags: so that nothing but the mistake is reported.
pub(super) fn fallback(input: &DeriveInput) -> TokenStream {
    let model = &input.ident;
    let keyed_by = with_parameters(&input.generics, [parse_quote!(__FragkeysKey)]);
    let (keyed_by, ..) = keyed_by.split_for_impl();
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    quote! {
        impl #generics ::fragkeys::TaggedModel for #model #arguments #bounds {
            const TAG_NAME: &'static ::core::primitive::str = "";

            fn tag(&self) -> ::core::option::Option<::fragkeys::Tag> {
                ::core::option::Option::None
            }

            fn scopes(&self) -> ::std::vec::Vec<::fragkeys::Tag> {
                ::std::vec::Vec::new()
            }
        }

        impl #keyed_by ::fragkeys::KeyedBy<__FragkeysKey> for #model #arguments #bounds {
            fn tag_of_key(_: __FragkeysKey) -> ::fragkeys::Tag {
                ::fragkeys::Tag::global("")
            }
        }
    }
}

/// A model's generics and a type for each part of a key.
fn with_parameters(generics: &Generics, parts: impl IntoIterator<Item = GenericParam>) -> Generics {
    let mut generics = generics.clone();
    generics.params.extend(parts);
    generics
}
